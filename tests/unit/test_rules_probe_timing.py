"""Findings about probes that ask in a hurry, that give up on a slow start, or whose command runs out of time."""

from typing import Any

import pytest
from builders import ago, container, event, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools.fields import Obj

CART = "deployment/cart"
HASTY, STARTUP, SLOW = "liveness-probe-too-aggressive", "startup-probe-never-passes", "exec-probe-timeout"
PORTS = [{"name": "http", "containerPort": 8080}]
REFUSED = 'Get "http://10.0.0.1:8080/live": dial tcp 10.0.0.1:8080: connect: connection refused'
NO_ANSWER = (
    'Get "http://10.0.0.1:8080/live": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
)
OUT_OF_TIME = 'command timed out: "sh -c check" timed out after 1s'
GRPC = 'timeout: failed to connect service "10.0.0.1:8080" within 1s: context deadline exceeded'
LIVE: Obj = {"httpGet": {"port": 8080, "path": "/live"}, "periodSeconds": 10, "failureThreshold": 3}
COMMAND: Obj = {"exec": {"command": ["sh", "-c", "check"]}, "periodSeconds": 10}


def killed(
    message: str,
    check: str = "liveness",
    *,
    ran: float = 42,
    restarts: int = 4,
    said: bool = True,
    ports: list[Obj] | None = None,
    **probes: Obj,
) -> list[Obj]:
    """A Deployment whose container a probe has killed after so many seconds."""
    spec = container(ports=PORTS if ports is None else ports, **{f"{k}Probe": v for k, v in probes.items()})
    last = {"exitCode": 137, "reason": "Error", "startedAt": ago(15 + ran), "finishedAt": ago(15)}
    objects = app(spec=spec, last=last, restarts=restarts, waiting="CrashLoopBackOff", ready=False)
    told = [event(objects[-1], "Unhealthy", f"{check.capitalize()} probe failed: {message}", seconds_ago=16, count=9)]
    if said:
        words = f"Container app failed {check} probe, will be restarted"
        told.append(event(objects[-1], "Killing", words, type_="Normal", seconds_ago=15))
    return [*objects, *told]


def unready(message: str, probe: Obj, **more: Any) -> list[Obj]:
    objects = app(spec=container(ports=PORTS, readinessProbe=probe), ready=False, **more)
    return [*objects, event(objects[-1], "Unhealthy", f"Readiness probe failed: {message}", seconds_ago=5, count=9)]


def log(text: str) -> dict[tuple[str, str, str, bool], str]:
    return {("shop", "cart-1-0", "app", True): text}


def test_a_kill_at_the_first_chance_is_too_hasty() -> None:
    found = finding(*killed(REFUSED, liveness=LIVE))
    assert (found.cause, str(found.object), found.severity, found.confidence) == (HASTY, CART, "critical", "likely")
    assert "initialDelaySeconds 0 + 3 × periodSeconds 10" in found.summary and "no startup probe" in found.summary


def test_the_kubelets_word_is_enough_where_the_times_are_odd() -> None:
    assert finding(*killed(REFUSED, ran=3, liveness=LIVE)).cause == HASTY
    objects = killed(REFUSED, liveness=LIVE)
    objects[2]["status"]["containerStatuses"][0]["lastState"]["terminated"].pop("startedAt")
    assert finding(*objects).confidence == "possible"


@pytest.mark.parametrize(
    "words", ["Started Shop in 74.2 seconds (process running for 76)", "startup took 74 s", "ready after 74.0s"]
)
def test_a_start_that_the_log_says_took_longer_is_proof(words: str) -> None:
    found = finding(*killed(REFUSED, liveness=LIVE), logs=log(f"booting\n{words}"))
    assert (found.cause, found.confidence) == (HASTY, "certain")
    assert "74 s" in found.summary


def test_answers_that_come_too_late_are_the_probes_hurry_even_after_hours() -> None:
    found = finding(*killed(NO_ANSWER, ran=7200, liveness=LIVE))
    assert found.cause == HASTY and "within 1 s (timeoutSeconds)" in found.summary


@pytest.mark.parametrize(
    "objects",
    [
        killed(REFUSED, ran=7200, liveness=LIVE),  # it was up for two hours: something else happened
        killed("HTTP probe failed with statuscode: 503", liveness=LIVE),  # the program itself says so
        killed(REFUSED, liveness=LIVE, startup=LIVE),  # the start is the startup probe's
        killed(REFUSED, liveness=LIVE, ports=[], restarts=1),  # perhaps the wrong port
    ],
)
def test_a_kill_that_shows_no_hurry_is_left_alone(objects: list[Obj]) -> None:
    assert HASTY not in {cause for cause, _ in roots(*objects)}


def test_a_port_that_nobody_has_is_a_mistake_and_no_hurry() -> None:
    other = {**LIVE, "httpGet": {"port": 9999, "path": "/live"}}
    assert roots(*killed(REFUSED, liveness=other)) == [("liveness-probe-misconfigured", CART)]


def test_a_startup_probe_that_gives_up_is_named_by_its_budget() -> None:
    found = finding(*killed(REFUSED, "startup", startup=LIVE, liveness=LIVE))
    assert (found.cause, str(found.object), found.confidence) == (STARTUP, CART, "certain")
    assert "3 × periodSeconds 10" in found.summary


def test_a_startup_kill_is_told_where_killing_was_not_read() -> None:
    assert roots(*killed(REFUSED, "startup", said=False, startup=LIVE)) == [(STARTUP, CART)]


@pytest.mark.parametrize(
    "objects",
    [
        killed(OUT_OF_TIME, liveness=COMMAND),
        killed(GRPC, liveness={"exec": {"command": ["grpc_health_probe", "-addr=:8080"]}}),
        killed(GRPC, liveness={"grpc": {"port": 8080}}),
        unready(OUT_OF_TIME, COMMAND),
    ],
)
def test_a_check_that_runs_out_of_time_is_named_and_explains_the_service(objects: list[Obj]) -> None:
    (root,) = linked(*objects, service("cart"))
    assert (root.finding.cause, str(root.finding.object), root.finding.confidence) == (SLOW, CART, "certain")
    assert "may take 1 s" in root.finding.summary
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


@pytest.mark.parametrize("message", ["check failed: queue is full", "sh: check: not found"])
def test_a_command_that_fails_in_time_does_not_run_out_of_it(message: str) -> None:
    assert SLOW not in {cause for cause, _ in roots(*unready(message, COMMAND))}


def test_one_time_out_of_a_container_that_is_ready_is_noise() -> None:
    objects = app(spec=container(ports=PORTS, readinessProbe=COMMAND))
    late = event(objects[-1], "Unhealthy", f"Readiness probe failed: {OUT_OF_TIME}", seconds_ago=200)
    start = event(objects[-1], "Unhealthy", f"Startup probe failed: {REFUSED}", seconds_ago=500)
    assert severe(*objects, late, start) == []


def test_a_stop_at_a_rollout_is_no_probes_doing() -> None:
    last = {"exitCode": 143, "reason": "Error", "startedAt": ago(900), "finishedAt": ago(300)}
    objects = app(spec=container(ports=PORTS, livenessProbe=LIVE), last=last, restarts=1, age=290)
    stopped = event(objects[-1], "Killing", "Stopping container app", type_="Normal", seconds_ago=300)
    assert severe(*objects, stopped) == []


CASES = [
    killed(REFUSED, liveness=LIVE),
    killed(REFUSED, "startup", startup=LIVE),
    killed(OUT_OF_TIME, liveness=COMMAND),
]


@settings(max_examples=20, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects in CASES:
        assert roots(*shuffled([*objects, *(bystanders() if crowded else [])], seed)) == roots(*objects)


@settings(max_examples=10, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects in CASES:
        found = [(cause, ref.replace(name, "cart")) for cause, ref in roots(*renamed(objects, name))]
        assert found == roots(*objects)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged), st.text(max_size=200))
def test_absurd_fields_never_raise(objects: list[Obj], text: str) -> None:
    linked(*objects, logs=log(text))
