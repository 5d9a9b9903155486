"""Findings about Services whose pods are none on purpose, the wrong ones, or speak another protocol."""

import pytest
from builders import container, obj, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled, verdicts

from firstmate_tools.fields import Obj

ZERO, BROAD, PROTOCOL = "workload-scaled-to-zero", "service-selector-too-broad", "service-protocol-mismatch"
HTTP = {"name": "http", "containerPort": 8080}


def web(name: str, **more: object) -> list[Obj]:
    image = more.pop("image", f"registry.shop.example/{name}:1")
    ports = more.pop("ports", [HTTP])
    env = more.pop("env", [])
    extra = {key: more.pop(key) for key in ("args", "command") if key in more}
    return app(name, spec=container(image=str(image), ports=ports, env=env, **extra), **more)  # type: ignore[arg-type]


def idle(name: str) -> list[Obj]:
    found = web(name, pods=0)
    return [o for o in found if o["kind"] == "Deployment"]


def ingress(to: str) -> Obj:
    backend = {"service": {"name": to, "port": {"number": 80}}}
    return obj("Ingress", "front", api="networking.k8s.io/v1", spec={"defaultBackend": backend})


def env(value: str, name: str = "CART_URL") -> list[Obj]:
    return [{"name": name, "value": value}]


def test_a_workload_at_zero_that_another_calls_is_named() -> None:
    found = finding(*idle("cart"), service("cart"), *web("front", env=env("http://cart/items")))
    assert (found.cause, str(found.object), found.severity) == (ZERO, "deployment/cart", "warning")
    assert "0 replicas" in found.summary and "deployment/front calls it" in found.summary
    assert any(e.value == "http://cart/items" for e in found.evidence)


def test_an_ingress_before_a_workload_at_zero_makes_it_critical() -> None:
    found = finding(*idle("cart"), service("cart"), ingress("cart"))
    assert (found.cause, found.severity, found.confidence) == (ZERO, "critical", "certain")


def test_zero_explains_the_callers_that_die_of_it() -> None:
    front = web("front", env=env("http://cart"), waiting="CrashLoopBackOff", restarts=4, last={"exitCode": 1})
    log = {("shop", "front-1-0", "app", True): "FATAL: dial tcp: connect to http://cart:80: connection refused\n"}
    found = linked(*idle("cart"), service("cart"), *front, logs=log)
    assert [(r.finding.cause, r.finding.severity) for r in found] == [(ZERO, "critical")]
    assert "application-exits-on-error" in [e.cause for e in found[0].explained]


def test_an_address_of_nobody_is_the_one_service_that_the_settings_name_with_its_port() -> None:
    settings = env("cart:6379", "CART_ADDR")
    front = web("front", env=settings, waiting="CrashLoopBackOff", restarts=4, last={"exitCode": 1})
    log = {("shop", "front-1-0", "app", True): "fatal: dial tcp 10.96.11.2:6379: connect: connection refused\n"}
    cart = service("cart", ports=[{"port": 6379}])
    assert [r.finding.cause for r in linked(*idle("cart"), cart, *front, logs=log)] == [ZERO]
    two = web(
        "front",
        env=[*settings, *env("other:6379", "PEER")],
        waiting="CrashLoopBackOff",
        restarts=4,
        last={"exitCode": 1},
    )
    causes = [r.finding.cause for r in linked(*idle("cart"), cart, *two, logs=log)]
    assert "application-exits-on-error" in causes, "either of them may be meant"


@pytest.mark.parametrize(
    "objects",
    [
        [*idle("cart"), service("cart")],
        [*idle("cart"), service("cart"), *idle("front")],
        [*idle("cart"), *web("cart-green", labels={"app": "cart"}), service("cart"), ingress("cart")],
        [*idle("cart"), service("cart"), *web("front", env=env("http://cart.example.com"))],
        [
            *idle("cart"),
            service("cart"),
            ingress("cart"),
            obj(
                "HorizontalPodAutoscaler",
                "keda-hpa-cart",
                api="autoscaling/v2",
                spec={"scaleTargetRef": {"kind": "Deployment", "name": "cart"}, "minReplicas": 1, "maxReplicas": 4},
            ),
        ],
    ],
    ids=["nobody calls", "the caller sleeps too", "blue-green", "another host", "KEDA"],
)
def test_a_workload_may_rest_at_zero(objects: list[Obj]) -> None:
    assert ZERO not in severe(*objects)


def test_what_nobody_calls_is_ruled_out() -> None:
    _, ruled_out, _ = verdicts(*idle("cart"), service("cart"))
    assert ZERO in [r.cause for r in ruled_out]


def labelled(name: str, part: str, **more: object) -> list[Obj]:
    return web(name, labels={"app": "shop", "component": part}, **more)


def test_a_selector_that_takes_a_worker_as_well_is_too_broad() -> None:
    worker = labelled("worker", "worker", ports=[{"name": "admin", "containerPort": 9000}])
    worker += [service("api", selector={"app": "shop"}), ingress("api")]
    found = [r for r in linked(*labelled("api", "api"), *worker) if r.finding.severity != "info"]
    assert [(r.finding.cause, str(r.finding.object)) for r in found] == [(BROAD, "service/api")]
    assert found[0].finding.severity == "critical" and "deployment/worker" in found[0].finding.summary


def test_another_program_on_the_same_port_is_told_by_image_and_labels() -> None:
    both = [*labelled("api", "api"), *labelled("admin", "admin"), service("api", selector={"app": "shop"})]
    assert roots(*both) == [(BROAD, "service/api")]


def test_one_image_that_runs_as_a_worker_is_foreign_too() -> None:
    one = "registry.shop.example/shop:7"
    objects = [
        *web("api", image=one, labels={"app": "shop", "role": "web"}, args=["web"]),
        *web("worker", image=one, labels={"app": "shop", "role": "worker"}, args=["worker"], ports=[]),
        service("api", selector={"app": "shop"}),
    ]
    assert roots(*objects) == [(BROAD, "service/api")]


@pytest.mark.parametrize(
    "objects",
    [
        [
            *web("cart", image="r.example/cart:1", labels={"app": "cart", "track": "stable"}),
            *web("cart-canary", image="r.example/cart:2", labels={"app": "cart", "track": "canary"}),
            service("cart"),
        ],
        [
            *web("cart", image="r.example/cart:1", labels={"app": "cart", "version": "v1"}),
            *web("cart-v2", image="r.example/cart-go:2", labels={"app": "cart", "version": "v2"}),
            service("cart"),
        ],
        [
            *labelled("api", "api"),
            *labelled("admin", "admin"),
            service("shop-metrics", selector={"app": "shop"}, ports=[{"name": "metrics", "port": 8080}]),
        ],
        [
            *labelled("api", "api"),
            *labelled("admin", "admin"),
            service("shop", selector={"app": "shop"}, clusterIP="None"),
        ],
    ],
    ids=["canary", "rewrite", "metrics", "headless"],
)
def test_services_may_share_pods_on_purpose(objects: list[Obj]) -> None:
    assert severe(*objects) == []


def port(protocol: str, number: int = 53, to: int | str = 5353) -> Obj:
    return {"port": number, "targetPort": to, "protocol": protocol, "name": f"p{number}-{protocol.lower()}"}


def test_udp_before_a_tcp_port_is_named() -> None:
    objects = [*web("cart"), service("cart", ports=[port("UDP", 80, 8080)])]
    found = finding(*objects)
    assert (found.cause, str(found.object), found.confidence) == (PROTOCOL, "service/cart", "likely")
    named = finding(*web("cart"), service("cart", ports=[port("UDP", 80, "http")]))
    assert (named.cause, named.confidence) == (PROTOCOL, "certain")


def test_a_syslog_server_behind_a_tcp_service() -> None:
    syslog = web("log", ports=[{"name": "syslog", "containerPort": 5514, "protocol": "UDP"}])
    assert roots(*syslog, service("log", ports=[port("TCP", 514, 5514)])) == [(PROTOCOL, "service/log")]


@pytest.mark.parametrize(
    "objects",
    [
        [
            *web("dns", ports=[{"containerPort": 5353, "protocol": "UDP"}]),
            service("dns", ports=[port("UDP"), port("TCP")]),
        ],
        [*web("cart"), service("cart", ports=[port("TCP", 443, 8080), port("UDP", 443, 8080)])],
        [*web("cart", ports=[]), service("cart", ports=[port("UDP", 80, 8080)])],
        [
            *web("cart", ports=[HTTP, {"name": "quic", "containerPort": 8080, "protocol": "UDP"}]),
            service("cart", ports=[port("UDP", 80, 8080)]),
        ],
    ],
    ids=["dns by both", "http3", "nothing declared", "declared by both"],
)
def test_what_containers_leave_out_is_no_other_protocol(objects: list[Obj]) -> None:
    assert PROTOCOL not in severe(*objects)


CASES = [
    [*idle("cart"), service("cart"), *web("front", env=env("http://cart/items"))],
    [*labelled("cart", "cart"), *labelled("admin", "admin"), service("cart", selector={"app": "shop"})],
    [*web("cart"), service("cart", ports=[port("UDP", 80, "http")])],
]


@settings(max_examples=20, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects in CASES:
        assert roots(*shuffled([*objects, *(bystanders() if crowded else [])], seed)) == roots(*objects)


@settings(max_examples=20, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects in CASES:
        found = [(cause, ref.replace(name, "cart")) for cause, ref in roots(*renamed(objects, name))]
        assert found == roots(*objects)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects)
