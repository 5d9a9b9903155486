"""Findings about probes that cannot pass."""

from typing import Any

import pytest
from builders import ago, container, event, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, named, renamed, roots, severe, shuffled, verdicts

from firstmate_tools.diagnosis.probing import answer
from firstmate_tools.diagnosis.rule import LogWant, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj

CART = "deployment/cart"
LIVENESS, READINESS = "liveness-probe-misconfigured", "readiness-probe-misconfigured"
PORTS = [{"name": "http", "containerPort": 8080}]
REFUSED = 'Get "http://10.0.0.1:8081/live": dial tcp 10.0.0.1:8081: connect: connection refused'
MALFORMED = (
    'Get "http://10.0.0.1:8080/": net/http: HTTP/1.x transport connection broken: malformed HTTP response "\\x00"'
)
NO_SCHEME = 'Get "https://10.0.0.1:8080/live": http: server gave HTTP response to HTTPS client'


def http(port: int | str = 8080, path: str = "/live", **more: Any) -> Obj:
    return {"httpGet": {"port": port, "path": path, **more}, "periodSeconds": 10, "failureThreshold": 3}


def probed(ports: list[Obj] | None = None, **probes: Obj) -> Obj:
    return container(
        ports=PORTS if ports is None else ports, **{f"{name}Probe": probe for name, probe in probes.items()}
    )


def killed(
    probe: Obj,
    message: str,
    *,
    code: int = 137,
    restarts: int = 5,
    ports: list[Obj] | None = None,
    killing: bool = True,
    ran: float = 45,
    **more: Any,
) -> list[Obj]:
    """A Deployment whose container its liveness probe has killed."""
    last = {"exitCode": code, "reason": "Error", "startedAt": ago(15 + ran), "finishedAt": ago(15)}
    state: dict[str, Any] = {"waiting": "CrashLoopBackOff", "ready": False}
    probes = {"liveness": probe, **more.pop("probes", {})}
    objects = app(spec=probed(ports, **probes), last=last, restarts=restarts, **{**state, **more})
    told = (
        [event(objects[-1], "Unhealthy", f"Liveness probe failed: {message}", seconds_ago=16, count=3)]
        if message
        else []
    )
    if killing:
        told.append(
            event(
                objects[-1],
                "Killing",
                "Container app failed liveness probe, will be restarted",
                type_="Normal",
                seconds_ago=15,
            )
        )
    return [*objects, *told]


def unready(probe: Obj, message: str, *, ports: list[Obj] | None = None, count: int = 9, **more: Any) -> list[Obj]:
    """A Deployment whose pod runs and is not ready."""
    objects = app(spec=probed(ports, readiness=probe, **more.pop("probes", {})), ready=False, **more)
    return [*objects, event(objects[-1], "Unhealthy", f"Readiness probe failed: {message}", seconds_ago=5, count=count)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (f"Liveness probe failed: {REFUSED}", "refused"),
        ('Readiness probe failed: timeout: failed to connect service "x:90" within 1s: deadline exceeded', "refused"),
        ("Readiness probe failed: HTTP probe failed with statuscode: 404", "path"),
        ("Readiness probe failed: HTTP probe failed with statuscode: 401", "rights"),
        ("Readiness probe failed: HTTP probe failed with statuscode: 503", "unwell"),
        ("Readiness probe failed: HTTP probe failed with statuscode: 400", "protocol"),
        ('Readiness probe failed: service unhealthy (responded with "NOT_SERVING")', "unwell"),
        (f"Liveness probe failed: {MALFORMED}", "protocol"),
        (f"Liveness probe failed: {NO_SCHEME}", "protocol"),
        ("Readiness probe failed: error: this server does not implement the grpc health protocol (x)", "protocol"),
        ('Liveness probe failed: Get "http://x": context deadline exceeded (Client.Timeout exceeded)', "slow"),
        ('Liveness probe errored and resulted in unknown state: exec: "x": executable file not found', "command"),
        ("Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory", "file"),
        ("Liveness probe failed: ", "other"),
    ],
)  # fmt: skip
def test_what_a_probe_was_answered_is_read(message: str, expected: str) -> None:
    assert answer(message) == expected


@pytest.mark.parametrize(
    ("probe", "message", "confidence"),
    [
        (http(8081), REFUSED, "certain"),
        ({"tcpSocket": {"port": 8081}}, "dial tcp 10.0.0.1:8081: connect: connection refused", "certain"),
        ({"grpc": {"port": 9000}}, 'timeout: failed to connect service "10.0.0.1:9000" within 1s', "certain"),
        (http(), MALFORMED, "certain"),
        (http(scheme="HTTPS"), NO_SCHEME, "certain"),
        (http(path="/helth"), "HTTP probe failed with statuscode: 404", "likely"),
        (http(), "HTTP probe failed with statuscode: 401", "likely"),
        ({"exec": {"command": ["/bin/probe"]}}, 'exec: "/bin/probe": executable file not found in $PATH', "certain"),
    ],
)
def test_a_liveness_probe_that_cannot_pass_and_kills_is_named(probe: Obj, message: str, confidence: str) -> None:
    found = finding(*killed(probe, message))
    assert (found.cause, str(found.object), found.confidence) == (LIVENESS, CART, confidence)
    assert any("livenessProbe" in e.field for e in found.evidence)


@pytest.mark.parametrize("code", [0, 1, 2, 137, 143])
def test_a_kill_is_told_from_an_error_whatever_the_exit_code(code: int) -> None:
    assert roots(*killed(http(8081), REFUSED, code=code)) == [(LIVENESS, CART)]


def test_a_kill_is_told_by_the_probes_failures_where_killing_was_not_read() -> None:
    assert roots(*killed(http(8081), REFUSED, code=143, killing=False)) == [(LIVENESS, CART)]


def test_a_kill_at_a_port_that_nobody_has_is_told_from_an_error_without_killing_events() -> None:
    assert roots(*killed(http(8081), REFUSED, code=1, killing=False)) == [(LIVENESS, CART)]
    for objects in (
        killed(http(8080), REFUSED, code=1, killing=False),
        killed(http(8081), REFUSED, code=1, killing=False, ran=2),
    ):
        assert roots(*objects) == [("application-exits-on-error", CART)]
    alone = killed(http(8081), REFUSED, code=1, killing=False)
    assert roots(*alone, scope=Scope(namespace="shop")) == [("application-exits-on-error", CART)]


def test_a_probe_that_asks_another_host_is_a_mistake() -> None:
    assert roots(*unready(http(host="localhost"), "dial tcp 127.0.0.1:8080: connect: connection refused")) == [
        (READINESS, CART)
    ]


def test_a_container_that_is_up_between_two_kills_is_found() -> None:
    running = {"waiting": "", "ready": True, "age": 30}
    objects = killed(http(8081), REFUSED, **running)
    found = finding(*objects)
    assert (found.cause, found.severity) == (LIVENESS, "warning")


def test_a_kill_whose_probe_is_not_plainly_wrong_is_left_to_others() -> None:
    assert roots(*killed(http(), "HTTP probe failed with statuscode: 500")) == []


def test_a_port_is_proved_wrong_by_the_log_that_names_another() -> None:
    objects = killed(http(8081), REFUSED, ports=[])
    log = {("shop", "cart-1-0", "app", True): '{"msg":"listening","addr":":8080"}'}
    assert finding(*objects, logs=log).confidence == "likely"


def test_the_log_is_wanted_only_where_the_spec_proves_nothing() -> None:
    def wanted(objects: list[Obj]) -> set[LogWant]:
        _, _, facts = verdicts(*objects)
        return {w for rule in all_rules() if rule.wants for w in rule.wants(facts) if isinstance(w, LogWant)}

    assert wanted(killed(http(8081), REFUSED)) == set()
    assert wanted(killed(http(8081), REFUSED, ports=[])) == {LogWant("shop", "cart-1-0", "app", previous=True)}


def test_a_port_is_proved_wrong_by_the_readiness_probe_that_passes_elsewhere() -> None:
    running = {"waiting": "", "ready": True, "age": 30}
    found = finding(*killed(http(8081), REFUSED, ports=[], probes={"readiness": http(8080)}, **running))
    assert (found.cause, found.confidence) == (LIVENESS, "likely")


def test_a_refused_port_of_a_container_that_declares_none_is_possible_only() -> None:
    assert finding(*killed(http(8081), REFUSED, ports=[])).confidence == "possible"
    assert roots(*killed(http(8081), REFUSED, ports=[], restarts=1)) == []


def test_a_probe_that_passes_in_another_pod_of_the_same_template_can_pass() -> None:
    objects = killed(http(path="/x"), "HTTP probe failed with statuscode: 404")
    other = pod(
        "cart-1-z",
        owned_by=("ReplicaSet", "cart-1"),
        labels={"app": "cart"},
        containers=[probed(liveness=http(path="/x"))],
    )
    assert roots(*objects, other) == []


@pytest.mark.parametrize(
    ("probe", "message", "confidence"),
    [
        (http("web"), 'strconv.Atoi: parsing "web": invalid syntax', "certain"),
        ({"tcpSocket": {"port": 9090}}, "dial tcp 10.0.0.1:9090: connect: connection refused", "certain"),
        (http(path="/redy"), "HTTP probe failed with statuscode: 404", "likely"),
        (http(), MALFORMED, "certain"),
        ({"grpc": {"port": 8080}}, "error: this server does not implement the grpc health protocol", "certain"),
    ],
)
def test_a_readiness_probe_that_cannot_pass_is_named(probe: Obj, message: str, confidence: str) -> None:
    found = finding(*unready(probe, message))
    assert (found.cause, str(found.object), found.confidence) == (READINESS, CART, confidence)


def test_a_port_name_that_the_container_lacks_needs_no_event() -> None:
    objects = [o for o in unready(http("web"), "") if o["kind"] != "Event"]
    assert roots(*objects) == [(READINESS, CART)]


def test_a_port_of_another_container_of_the_pod_is_no_mistake() -> None:
    side = container("side", ports=[{"containerPort": 9090}])
    objects = unready(
        http(9090),
        "dial tcp 10.0.0.1:9090: connect: connection refused",
        containers=[probed(readiness=http(9090)), side],
    )
    assert roots(*objects) == []


@pytest.mark.parametrize(
    "message",
    [
        "HTTP probe failed with statuscode: 503",
        'service unhealthy (responded with "NOT_SERVING")',
        'Get "http://10.0.0.1:8080/live": dial tcp 10.0.0.1:8080: connect: connection refused',
        'Get "http://10.0.0.1:8080/live": context deadline exceeded',
    ],
)
def test_a_program_that_is_unwell_has_no_wrong_probe(message: str) -> None:
    assert roots(*unready(http(), message)) == []
    assert roots(*unready(http(), message), service("cart")) == [("service-endpoints-not-ready", "service/cart")]


def test_a_probe_that_the_program_answers_itself_is_ruled_out() -> None:
    _, ruled_out, _ = verdicts(*unready(http(), "HTTP probe failed with statuscode: 503"))
    assert READINESS in {r.cause for r in ruled_out}


def revisions(now: Obj, before: Obj, message: str) -> list[Obj]:
    old = app(spec=probed(readiness=before), pods=2, revision=1)
    new = unready(now, message, revision=2, deployed=False)
    return [*old, *new]


def test_a_probe_that_the_serving_revision_did_not_have_is_quoted() -> None:
    found = finding(*revisions(http(path="/deep"), http(path="/ready"), "HTTP probe failed with statuscode: 503"))
    assert (found.cause, found.severity, found.confidence) == (READINESS, "warning", "likely")
    assert any(e.object.name == "cart-1" and "/ready" in e.value for e in found.evidence)


def test_a_changed_timing_is_no_wrong_question() -> None:
    faster = {**http(), "periodSeconds": 1, "timeoutSeconds": 1}
    assert roots(*revisions(faster, http(), "HTTP probe failed with statuscode: 503")) == []


@pytest.mark.parametrize(
    "objects",
    [
        [
            *app(spec=probed(readiness=http("http"))),
            event(app()[-1], "Unhealthy", f"Readiness probe failed: {REFUSED}"),
        ],
        killed(http(8081), REFUSED, waiting="", ready=True, restarts=1, age=10),
        app(spec=probed(readiness=http(9090)), ready=False, age=10),
    ],
)
def test_noise_of_the_start_is_no_finding(objects: list[Obj]) -> None:
    assert severe(*objects) == []


def test_a_startup_probe_that_has_not_passed_keeps_readiness_out_of_question() -> None:
    objects = unready(http(9090), REFUSED, probes={"startup": http()})
    named(objects, "Pod", "cart-1-0")["status"]["containerStatuses"][0]["started"] = False
    assert roots(*objects) == []


def test_old_failures_of_a_probe_prove_nothing() -> None:
    objects = [o for o in unready(http(path="/x"), "") if o["kind"] != "Event"]
    old = event(
        objects[-1], "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404", seconds_ago=3600
    )
    assert roots(*objects, old) == []


def test_a_service_without_backends_is_explained() -> None:
    (root,) = linked(*unready(http(path="/x"), "HTTP probe failed with statuscode: 404"), service("cart"))
    assert root.finding.cause == READINESS
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


CASES = [
    killed(http(8081), REFUSED),
    killed({"exec": {"command": ["/bin/probe"]}}, 'exec: "/bin/probe": executable file not found in $PATH'),
    unready(http("web"), "strconv.Atoi"),
    revisions(http(path="/deep"), http(path="/ready"), "HTTP probe failed with statuscode: 503"),
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
@given(st.sampled_from(CASES).flatmap(damaged), st.text(max_size=100))
def test_absurd_fields_never_raise(objects: list[Obj], log: str) -> None:
    linked(*objects, logs={("shop", "cart-1-0", "app", True): log})
