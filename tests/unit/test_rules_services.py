"""Findings about Services without a backend that takes their traffic."""

from typing import Any

import pytest
from builders import ago, container, deployment, event, obj, pod, replica_set, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.rule import ListWant, all_rules
from firstmate_tools.fields import Obj

SELECTOR, TARGET, NOT_READY = "service-selector-mismatch", "service-target-port-mismatch", "service-endpoints-not-ready"
HTTP = {"name": "http", "containerPort": 8080}
CART = "service/cart"


def well(name: str = "cart", **more: Any) -> list[Obj]:
    return app(name, spec=container(ports=[HTTP]), **more)


def port(target: int | str | None, number: int = 80, **more: Any) -> Obj:
    return {"port": number, "protocol": "TCP", **({} if target is None else {"targetPort": target}), **more}


def ingress(to: str) -> Obj:
    path = {"backend": {"service": {"name": to, "port": {"number": 80}}}}
    return obj("Ingress", "front", api="networking.k8s.io/v1", spec={"rules": [{"http": {"paths": [path]}}]})


def test_a_headless_service_that_misses_the_pods_of_its_own_statefulset() -> None:
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container()]}}
    carts = obj("StatefulSet", "cart", spec={"serviceName": "cart", "replicas": 1, "template": template})
    member = pod("cart-0", labels={"app": "cart"}, owned_by=("StatefulSet", "cart"))
    headless = service("cart", selector={"app.kubernetes.io/name": "cart"}, clusterIP="None")
    found = finding(carts, member, headless)
    assert (found.cause, str(found.object), found.severity) == (SELECTOR, CART, "critical")
    assert roots(carts, member, service("other", selector={"app": "none"}, clusterIP="None")) == []


@pytest.mark.parametrize(
    ("selector", "labels", "differs"),
    [
        ({"app": "carts"}, {"app": "cart"}, "app=carts"),
        ({"app": "cart", "version": "8.1"}, {"app": "cart", "version": "8.2"}, "version=8.1"),
        ({"app": "cart", "team": "discovery"}, {"app": "cart", "team": "search"}, "team=discovery"),
        ({"app.kubernetes.io/name": "cart"}, {"app": "cart"}, "app.kubernetes.io/name=cart"),
        ({"component": "x"}, {"app": "cart"}, "component=x"),
        ({"app": "Cart"}, {"app": "cart"}, "app=Cart"),
    ],
)
def test_a_selector_that_misses_by_a_label_names_it(
    selector: dict[str, str], labels: dict[str, str], differs: str
) -> None:
    found = finding(*well(labels=labels), *bystanders(), service("cart", selector=selector))
    assert (found.cause, str(found.object), found.severity, found.confidence) == (SELECTOR, CART, "critical", "certain")
    assert differs in found.summary
    assert "deployment/cart" in found.summary


def test_labels_of_an_older_revision_do_not_count() -> None:
    objects = well(labels={"app": "cart", "version": "2"}, revision=2)
    old = replica_set(
        "cart-1", of="cart", replicas=0, template={"metadata": {"labels": {"app": "cart", "version": "1"}}}
    )
    assert roots(*objects, old, service("cart", selector={"app": "cart", "version": "1"})) == [(SELECTOR, CART)]


def test_a_service_of_a_workload_that_is_gone_is_possible_and_worse_where_somebody_calls() -> None:
    left = service("report", selector={"app": "report"})
    assert (finding(left).severity, finding(left).confidence) == ("info", "possible")
    assert finding(left, ingress("report")).severity == "critical"
    caller = app("web", spec=container(env=[{"name": "REPORT_URL", "value": "http://report:80/"}]))
    assert finding(left, *caller).severity == "warning"


@pytest.mark.parametrize(
    "one",
    [
        service("cart", selector={}),
        service("cart", selector={"app": "none"}, clusterIP="None"),
        service("cart", selector={"app": "none"}, type="ExternalName", externalName="x.example"),
        {**service("cart"), "spec": {"ports": [{"port": 80}]}},
    ],
)
def test_services_that_select_nothing_on_purpose_are_well(one: Obj) -> None:
    assert roots(*well("other"), one) == []


def test_a_workload_scaled_to_zero_is_selected_well() -> None:
    assert roots(deployment("cart", replicas=0), service("cart")) == []


def test_labels_that_controllers_give_to_pods_are_not_missed_in_templates() -> None:
    one = service("cart", selector={"app": "cart", "statefulset.kubernetes.io/pod-name": "cart-0"})
    assert roots(deployment("cart", replicas=0), one) == []


def test_backends_that_cannot_be_created_are_selected_well() -> None:
    assert SELECTOR not in {
        cause for cause, _ in roots(deployment("cart"), replica_set("cart-1", of="cart"), service("cart"))
    }


def test_pods_that_have_run_to_their_end_are_no_backends() -> None:
    done = pod("cart-x", labels={"app": "cart"}, phase="Succeeded", ready=False)
    found = roots(*well(labels={"app": "carts"}), done, service("cart"))
    assert found == [(SELECTOR, CART)]


def test_the_idle_side_of_a_pair_hurts_nobody() -> None:
    vault = service("vault-standby", selector={"app": "vault", "vault-active": "false"})
    active = service("vault-active", selector={"app": "vault", "vault-active": "true"})
    assert severe(*well("vault", labels={"app": "vault", "vault-active": "true"}), active, vault) == []
    blue = service("cart-blue", selector={"app": "cart", "slot": "blue"})
    green = service("cart-green", selector={"app": "cart", "slot": "green"})
    assert severe(*well(labels={"app": "cart", "slot": "blue"}), blue, green) == []


def test_an_old_version_in_a_selector_hurts_although_another_service_finds_the_pods() -> None:
    metrics = service("cart-metrics", selector={"app": "cart"})
    objects = [
        *well(labels={"app": "cart", "version": "2"}),
        metrics,
        service("cart", selector={"app": "cart", "version": "1"}),
    ]
    assert severe(*objects) == [SELECTOR]


def test_nothing_is_said_of_selectors_where_pods_were_not_read() -> None:
    assert roots(*well(), service("cart", selector={"app": "carts"}), unknown=(kinds.POD,)) == []
    assert roots(service("cart", selector={"app": "carts"}), unknown=(kinds.DEPLOYMENT,)) == []


@pytest.mark.parametrize("target", ["web", 8000, None])
def test_a_target_port_that_no_container_has_is_named(target: int | str | None) -> None:
    found = finding(*well(pods=2), service("cart", ports=[port(target)]))
    assert (found.cause, str(found.object), found.severity) == (TARGET, CART, "critical")
    assert found.confidence == ("certain" if target == "web" else "likely")
    assert any("http 8080/TCP" in e.value for e in found.evidence)


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        (container(ports=[HTTP]), "http"),
        (container(ports=[HTTP]), 8080),
        (container(ports=[HTTP]), "8080"),
        (container(), 8000),
        (container(ports=[HTTP], readinessProbe={"httpGet": {"port": 8000}}), 8000),
        (container(ports=[{"name": "dns", "containerPort": 53, "protocol": "UDP"}]), 53),
    ],
)
def test_a_target_port_that_leads_somewhere_or_is_not_disproved_is_well(spec: Obj, target: int | str) -> None:
    assert TARGET not in [cause for cause, _ in roots(*app(spec=spec), service("cart", ports=[port(target)]))]


def test_a_port_of_a_native_sidecar_counts() -> None:
    side = container("proxy", restartPolicy="Always", ports=[{"name": "mesh", "containerPort": 15000}])
    objects = app(spec=container(ports=[HTTP]), body={"initContainers": [side]}, init=[side])
    assert roots(*objects, service("cart", ports=[port("mesh")])) == []


@pytest.mark.parametrize("first", [True, False])
def test_ports_of_an_injected_proxy_prove_nothing_about_a_container_that_declares_none(first: bool) -> None:
    proxy = container("istio-proxy", ports=[{"name": "prom", "containerPort": 15090}])
    both = [proxy, container()] if first else [container(), proxy]
    assert roots(*app(containers=both), service("cart", ports=[port(8080)])) == []


def test_a_number_that_may_be_an_undeclared_port_is_a_hint_only() -> None:
    metrics = service("cart-metrics", selector={"app": "cart"}, ports=[port(9090, 9090)])
    assert severe(*well(), service("cart", ports=[port("http")]), metrics) == []
    several = [port("http", name="web"), port(15012, 15012, name="xds")]
    assert finding(*well(), service("cart", ports=several)).severity == "info"
    named = [port("http", name="web"), port(9091, 9091, name="metrics")]
    spec = container(ports=[HTTP, {"name": "metrics", "containerPort": 9090}])
    assert finding(*app(spec=spec), service("cart", ports=named)).severity == "warning"


def test_one_wrong_port_of_several_is_a_warning() -> None:
    found = finding(*well(), service("cart", ports=[port("http"), port("metrics", 9090)]))
    assert (found.cause, found.severity) == (TARGET, "warning")
    assert "9090" in found.summary


def test_a_port_that_only_the_new_revision_renamed_is_a_warning() -> None:
    old = well(pods=2)
    new = app(spec=container(ports=[{"name": "web", "containerPort": 8080}]), revision=2, deployed=False)
    assert finding(*old, *new, service("cart", ports=[port("http")])).severity == "warning"


def test_a_wrong_target_port_is_told_before_there_are_pods() -> None:
    objects = [o for o in well() if o["kind"] != "Pod"]
    assert (TARGET, CART) in roots(*objects, service("cart", ports=[port("web")]))


def test_headless_services_map_no_ports() -> None:
    assert roots(*well(), service("cart", ports=[port("web")], clusterIP="None")) == []


def test_the_slice_without_ports_is_wanted_and_quoted() -> None:
    objects = [*well(), service("cart", ports=[port("web")])]
    found = obj(
        "EndpointSlice",
        "cart-abc",
        api="discovery.k8s.io/v1",
        metadata={"labels": {"kubernetes.io/service-name": "cart"}},
        endpoints=[{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        ports=None,
    )
    _, _, facts = verdicts(*objects)
    wants = {w for rule in all_rules() if rule.wants for w in rule.wants(facts)}
    assert ListWant(kinds.ENDPOINT_SLICE, "shop") in wants
    assert any(e.object.name == "cart-abc" for e in finding(*objects, found).evidence)


def unwell(name: str = "cart", **more: Any) -> list[Obj]:
    """Pods that run and answer their readiness probe with 503."""
    probe = {"httpGet": {"port": 8080, "path": "/ready"}}
    objects = app(name, spec=container(ports=[HTTP], readinessProbe=probe, **more), ready=False)
    return [
        *objects,
        event(objects[-1], "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", count=9),
    ]


def test_a_service_whose_pods_say_that_they_are_unwell_stands_alone() -> None:
    found = finding(*unwell(), service("cart"))
    assert (found.cause, str(found.object), found.severity) == (NOT_READY, CART, "critical")
    assert any("503" in e.value for e in found.evidence)


def test_a_program_that_says_that_it_is_unwell_is_no_longer_starting() -> None:
    def young(message: str) -> list[Obj]:
        probe = {"httpGet": {"port": 8080, "path": "/ready"}}
        objects = app(spec=container(ports=[HTTP], readinessProbe=probe), ready=False, age=8)
        return [
            *objects,
            event(objects[-1], "Unhealthy", f"Readiness probe failed: {message}", seconds_ago=2),
            service("cart"),
        ]

    assert roots(*young("HTTP probe failed with statuscode: 503")) == [(NOT_READY, CART)]
    assert roots(*young("dial tcp 10.0.0.1:8080: connect: connection refused")) == []


def test_two_services_of_the_same_pods_are_one_problem() -> None:
    assert len(roots(*unwell(), service("cart"), service("cart-metrics", selector={"app": "cart"}))) == 1


def test_a_readiness_gate_that_nobody_sets_leaves_the_service_alone() -> None:
    conditions = [
        {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "lastTransitionTime": ago(8)},
        {"type": "ContainersReady", "status": "True"},
    ]
    assert roots(*well(conditions=conditions, age=10), service("cart")) == [(NOT_READY, CART)]


@pytest.mark.parametrize(
    "objects",
    [
        well(ready=False, age=10),
        [*well(pods=2), *unwell("cart")[1:]],
        [o for o in well() if o["kind"] != "Pod" and not o["metadata"].update(creationTimestamp=ago(5))],
        [deployment("cart", replicas=0)],
    ],
)
def test_a_service_that_has_a_backend_or_gets_one_is_well(objects: list[Obj]) -> None:
    assert roots(*objects, service("cart")) == []


def test_a_service_that_takes_unready_pods_too_is_well() -> None:
    assert roots(*unwell(), service("cart", publishNotReadyAddresses=True)) == []


def test_a_service_whose_pods_need_a_broken_service_is_its_victim() -> None:
    broken = app("db", waiting="ErrImagePull", message="manifest unknown", phase="Pending")
    cart = unwell(env=[{"name": "DATABASE_URL", "value": "postgres://cart@db:5432/cart"}])
    (root,) = linked(*cart, service("cart"), *broken, service("db"))
    assert str(root.finding.object) == "deployment/db"
    assert {str(e.object) for e in root.explained} == {"service/cart", "service/db"}


def test_a_service_whose_pods_need_a_working_service_stands_alone() -> None:
    cart = unwell(env=[{"name": "DB_HOST", "value": "db"}])
    assert roots(*cart, service("cart"), *well("db"), service("db")) == [(NOT_READY, CART)]


def test_independent_faults_are_both_named() -> None:
    broken = app("db", waiting="ErrImagePull", message="manifest unknown", phase="Pending")
    found = roots(*broken, service("db"), *well(), service("cart", selector={"app": "carts"}))
    assert sorted(found) == [("image-not-found", "deployment/db"), (SELECTOR, CART)]


def test_nothing_is_found_in_a_healthy_shop() -> None:
    slim_port = [port("http"), port(None, 8080)]
    assert severe(*well(pods=2), service("cart", ports=slim_port), *bystanders(), ingress("cart")) == []


CASES = [
    [*well(labels={"app": "cart", "v": "2"}), service("cart", selector={"app": "cart", "v": "1"})],
    [*well(), service("cart", ports=[port("web"), port(8000, 81)])],
    [*unwell(), service("cart"), ingress("cart")],
]


@settings(max_examples=30, deadline=None)
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
