"""Findings about containers that end when they should not."""

from typing import Any

import pytest
from builders import ago, container, event, node, obj, owner, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, named, renamed, roots, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.rule import LogWant, all_rules
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read

CART = "deployment/cart"
PANIC = "starting\npanic: no configuration\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:3"
LIMITED = container(resources={"limits": {"memory": "64Mi"}})
PROBE = {"httpGet": {"path": "/live", "port": 8080}}


def end(code: int, reason: str = "Error", *, ran: float = 2, ago_s: float = 10, **more: Any) -> Obj:
    return {"exitCode": code, "reason": reason, "startedAt": ago(ago_s + ran), "finishedAt": ago(ago_s), **more}


def looping(
    code: int = 1, reason: str = "Error", *, restarts: int = 5, spec: Obj | None = None, **more: Any
) -> list[Obj]:
    """A Deployment whose container waits in CrashLoopBackOff after runs that ended so."""
    back_off = {"waiting": "CrashLoopBackOff", "message": "back-off 2m40s restarting failed container=app"}
    return app(spec=spec, **{**back_off, "last": end(code, reason), "restarts": restarts, "ready": False, **more})


def running_again(
    code: int = 1, reason: str = "Error", *, restarts: int, ready: bool = True, age: float = 600, **more: Any
) -> list[Obj]:
    last = end(code, reason, ran=more.pop("ran", 2), ago_s=age)
    return app(last=last, restarts=restarts, ready=ready, age=age, **more)


@pytest.mark.parametrize("code", [1, 2, 3, 134, 139, 255])
def test_a_crash_loop_is_the_programs_own_error(code: int) -> None:
    objects = looping(code)
    found = finding(*objects, logs={("shop", "cart-1-0", "app", True): PANIC})
    assert (found.cause, str(found.object), found.severity, found.confidence) == (
        "application-exits-on-error", CART, "critical", "certain",
    )  # fmt: skip
    assert f"exit code {code}" in found.summary
    assert any("panic: no configuration" in e.value for e in found.evidence)
    assert not any("goroutine" in e.value for e in found.evidence)


def test_the_log_of_the_run_before_is_wanted_once_for_each_workload() -> None:
    _, _, facts = verdicts(*looping(pods=40))
    wants = {w for rule in all_rules() if rule.wants for w in rule.wants(facts) if isinstance(w, LogWant)}
    assert wants == {LogWant("shop", "cart-1-0", "app", previous=True)}


def test_a_kill_at_the_memory_limit_beats_its_exit_code() -> None:
    found = finding(*looping(137, "OOMKilled", spec=LIMITED))
    assert (found.cause, str(found.object)) == ("oom-killed-container-limit", CART)
    assert "64Mi" in found.summary


def test_a_container_that_is_killed_again_and_again_is_found_while_it_runs() -> None:
    found = finding(*running_again(137, "OOMKilled", restarts=6, age=120, spec=LIMITED))
    assert (found.cause, found.severity) == ("oom-killed-container-limit", "warning")


def test_a_single_kill_at_the_limit_is_a_weakness() -> None:
    assert finding(*running_again(137, "OOMKilled", restarts=1, age=120, spec=LIMITED)).severity == "info"


def test_a_limit_that_the_template_does_not_have_is_said_to_be_injected() -> None:
    objects = looping(137, "OOMKilled", spec=LIMITED)
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container()]}}
    named(objects, "Deployment", "cart")["spec"]["template"] = template
    assert "not in the template" in finding(*objects).summary


def test_an_oom_kill_of_an_init_container_is_about_its_limit() -> None:
    setup = container("setup", resources={"limits": {"memory": "8Mi"}})
    status = {"name": "setup", "ready": False, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
              "lastState": {"terminated": end(137, "OOMKilled")}}  # fmt: skip
    objects = app(
        body={"initContainers": [setup]},
        init=[setup],
        init_statuses=[status],
        waiting="PodInitializing",
        phase="Pending",
    )
    assert roots(*objects) == [("oom-killed-container-limit", CART)]


def test_a_pod_level_limit_counts_as_the_containers() -> None:
    objects = looping(137, "OOMKilled", body={"resources": {"limits": {"memory": "1Gi"}}})
    assert "1Gi" in finding(*objects).summary


@pytest.mark.parametrize(
    "objects",
    [
        looping(137, "OOMKilled"),  # no limit: the node itself was out of memory
        looping(0, "Completed"),
        looping(127),
        looping(126),
        looping(128, "StartError"),
        looping(128, "ContainerCannotRun"),
        looping(255, "Unknown"),
        app(waiting="RunContainerError", message='exec: "x": executable file not found in $PATH', ready=False),
        app(waiting="PostStartHookError", ready=False),
        app(waiting="CreateContainerError", ready=False),
    ],
)
def test_causes_of_other_rules_are_left_to_them(objects: list[Obj]) -> None:
    assert not {cause for cause, _ in roots(*objects)} & {"application-exits-on-error", "oom-killed-container-limit"}


def test_a_node_that_was_out_of_memory_is_not_the_containers_limit() -> None:
    objects = looping(137, "OOMKilled", spec=LIMITED)
    oom = event(node("n1"), "SystemOOM", "System OOM encountered, victim process: java, pid: 1", seconds_ago=12)
    oom["involvedObject"]["namespace"] = ""
    assert roots(*objects, node("n1"), oom) == [("node-out-of-memory", "node/n1")]


def test_a_program_for_another_architecture_is_not_an_application_error() -> None:
    log = {("shop", "cart-1-0", "app", True): "exec /app: exec format error"}
    assert roots(*looping(1), logs=log) == [("image-architecture-mismatch", CART)]


@pytest.mark.parametrize(
    ("reason", "message", "cause"),
    [
        ("FailedPostStartHook", "PostStartHook failed", "post-start-hook-failing"),
        ("Killing", "Container app failed startup probe, will be restarted", "startup-probe-never-passes"),
        ("Killing", "Container app failed liveness probe, will be restarted", ""),
    ],
)
def test_a_container_that_the_kubelet_ended_did_not_exit_on_error(reason: str, message: str, cause: str) -> None:
    spec = container(livenessProbe=PROBE, startupProbe=PROBE, ports=[{"containerPort": 8080}])
    objects = looping(137, spec=spec)
    found = roots(*objects, event(objects[-1], reason, message, seconds_ago=10))
    assert found == ([(cause, CART)] if cause else [])


def test_a_graceful_end_after_a_failed_liveness_probe_is_the_probes_where_killing_was_not_read() -> None:
    spec = container(livenessProbe=PROBE, ports=[{"containerPort": 8080}])
    objects = looping(143, spec=spec)
    failed = event(
        objects[-1], "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", seconds_ago=11
    )
    assert roots(*objects, failed) == []


def test_a_kill_of_another_container_does_not_excuse_this_one() -> None:
    objects = looping(1)
    killed = event(objects[-1], "Killing", "Container side failed liveness probe, will be restarted", seconds_ago=10)
    assert roots(*objects, killed) == [("application-exits-on-error", CART)]


def test_an_old_kill_by_a_probe_does_not_excuse_an_error_now() -> None:
    objects = looping(1)
    killed = event(objects[-1], "Killing", "Container app failed liveness probe, will be restarted", seconds_ago=500)
    assert roots(*objects, killed) == [("application-exits-on-error", CART)]


def test_a_kill_by_nobody_is_possible_only() -> None:
    objects = looping(137)
    backing_off = event(objects[-1], "BackOff", "Back-off restarting failed container app", seconds_ago=5)
    assert finding(*objects, backing_off).confidence == "possible"


@pytest.mark.parametrize(
    "objects",
    [
        running_again(1, restarts=1, age=7200),
        running_again(1, restarts=1, age=20),
        running_again(1, restarts=2, age=20),
        running_again(1, restarts=9, age=7200),
        running_again(137, "OOMKilled", restarts=1, age=4000, spec=LIMITED),
        running_again(137, "OOMKilled", restarts=4, age=7200, spec=LIMITED),
        running_again(255, "Unknown", restarts=1, age=20),
    ],
)
def test_a_container_that_has_got_over_a_failure_is_well(objects: list[Obj]) -> None:
    stale = event(objects[-1], "BackOff", "Back-off restarting failed container app in pod cart", seconds_ago=20)
    assert roots(*objects, stale) == []
    _, ruled_out, _ = verdicts(*objects, stale)
    assert [r.cause for r in ruled_out] == ["application-exits-on-error"]


def test_a_crash_loop_is_found_while_the_container_runs_for_a_moment() -> None:
    objects = running_again(1, restarts=6, age=12, ran=30)
    found = finding(*objects)
    assert (found.cause, found.severity) == ("application-exits-on-error", "warning")
    assert roots(*running_again(1, restarts=1, ready=False, age=12)) == [("application-exits-on-error", CART)]


def with_init(state: Obj, last: Obj | None = None, restarts: int = 0, *, sidecar: bool = False) -> list[Obj]:
    spec = container("setup", **({"restartPolicy": "Always"} if sidecar else {}))
    status = {
        "name": "setup",
        "ready": False,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }
    return app(
        body={"initContainers": [spec]}, init=[spec], init_statuses=[status], waiting="PodInitializing", phase="Pending"
    )


@pytest.mark.parametrize(
    "objects",
    [
        with_init({"waiting": {"reason": "CrashLoopBackOff"}}, end(1), 4),
        with_init({"waiting": {"reason": "CrashLoopBackOff"}}, end(127), 4),
        with_init({"terminated": end(3)}, None, 0),
        with_init({"running": {"startedAt": ago(2)}}, end(1), 4),
    ],
)
def test_an_init_container_that_fails_is_named(objects: list[Obj]) -> None:
    found = finding(*objects, logs={("shop", "cart-1-0", "setup", True): "ERROR: no schema"})
    assert (found.cause, str(found.object)) == ("init-container-failing", CART)
    assert "setup" in found.summary


@pytest.mark.parametrize(
    "objects",
    [
        with_init({"running": {"startedAt": ago(10)}}),
        with_init({"terminated": end(0, "Completed")}, end(1), 2),
        with_init({"running": {"startedAt": ago(900)}}, end(1), 2),
    ],
)
def test_an_init_container_that_waits_or_is_done_does_not_fail(objects: list[Obj]) -> None:
    assert "init-container-failing" not in {cause for cause, _ in roots(*objects)}


def test_a_native_sidecar_that_crashes_is_an_application() -> None:
    objects = with_init({"waiting": {"reason": "CrashLoopBackOff"}}, end(1), 4, sidecar=True)
    assert roots(*objects) == [("application-exits-on-error", CART)]


def job(name: str = "export", *conditions: str, cron: str = "", age: float = 600) -> Obj:
    owners = {"ownerReferences": owner("CronJob", cron, "batch/v1")} if cron else {}
    status = {"conditions": [{"type": c, "status": "True"} for c in conditions]}
    return obj("Job", name, api="batch/v1", metadata={"creationTimestamp": ago(age), **owners}, status=status)


def attempt(number: int, *, of: str = "export", code: int = 1, **more: Any) -> Obj:
    return pod(f"{of}-{number}", owned_by=("Job", of), phase="Failed", ready=False, terminated=end(code), **more)


def test_a_job_whose_pods_fail_is_named_while_it_tries_and_when_it_has_given_up() -> None:
    for conditions in ((), ("Failed",)):
        found = finding(job("export", *conditions), attempt(1), attempt(2))
        assert (found.cause, str(found.object), found.severity) == (
            "application-exits-on-error",
            "job/export",
            "warning",
        )


@pytest.mark.parametrize(
    "objects",
    [
        [job("export", "Complete"), attempt(1), attempt(2)],
        [job("export", "SuccessCriteriaMet"), attempt(1)],
        [job(), attempt(1), pod("export-2", owned_by=("Job", "export"), age=300)],
        [
            job(),
            pod(
                "export-1",
                owned_by=("Job", "export"),
                phase="Succeeded",
                ready=False,
                terminated=end(0, "Completed"),
                restarts=2,
            ),
        ],
        [
            job("a", "Failed", cron="nightly", age=9000),
            attempt(1, of="a"),
            job("b", "Complete", cron="nightly", age=600),
        ],
        [attempt(1, of="gone")],
    ],
)
def test_a_job_that_has_got_over_it_is_well(objects: list[Obj]) -> None:
    assert roots(*objects) == []


def test_a_cron_job_whose_newest_run_fails_is_named() -> None:
    objects = [job("a", "Complete", cron="nightly", age=9000), job("b", "Failed", cron="nightly"), attempt(1, of="b")]
    assert roots(*objects) == [("application-exits-on-error", "cronjob/nightly")]


@pytest.mark.parametrize("reason", ["Evicted", "NodeShutdown", "DeadlineExceeded", "Preempting"])
def test_a_pod_that_was_ended_from_outside_did_not_fail(reason: str) -> None:
    failed = attempt(1)
    failed["status"]["reason"] = reason
    refused_by_the_kubelet = {"kubelet-admission-rejected"} if reason == "NodeShutdown" else set()
    assert {cause for cause, _ in roots(job(), failed)} == refused_by_the_kubelet
    disrupted = attempt(2)
    disrupted["status"]["conditions"].append({"type": "DisruptionTarget", "status": "True"})
    assert roots(job(), disrupted) == []


def test_failed_pods_of_a_replica_set_have_been_replaced() -> None:
    failed = pod(
        "cart-1-9",
        owned_by=("ReplicaSet", "cart-1"),
        labels={"app": "cart"},
        phase="Failed",
        ready=False,
        terminated=end(1),
    )
    assert roots(*app(), failed) == []


def test_a_lone_pod_that_failed_is_a_warning() -> None:
    assert finding(pod("once", phase="Failed", ready=False, terminated=end(1))).severity == "warning"


def test_one_crashing_container_of_three_is_named_and_its_service_explained() -> None:
    (root,) = linked(*looping(), service("cart"))
    assert root.finding.cause == "application-exits-on-error"
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


def database(**state: Any) -> list[Obj]:
    return [*app("db", **state), service("db", clusterIP="10.96.3.4", ports=[{"port": 5432, "targetPort": 5432}])]


@pytest.mark.parametrize("peer", ["db:5432", "10.96.3.4:5432", "db.shop.svc.cluster.local:5432"])
def test_a_program_that_cannot_reach_a_broken_service_is_a_victim_of_it(peer: str) -> None:
    broken = database(waiting="ErrImagePull", message="manifest unknown", phase="Pending")
    log = f'level=error msg="dial tcp {peer}: connect: connection refused"'
    (root,) = linked(*looping(), *broken, logs={("shop", "cart-1-0", "app", True): log})
    assert (root.finding.cause, str(root.finding.object)) == ("image-not-found", "deployment/db")
    assert {e.cause for e in root.explained} == {"service-endpoints-not-ready", "application-exits-on-error"}


def test_a_program_that_cannot_reach_a_service_that_works_is_its_own_problem() -> None:
    log = "dial tcp db:5432: connect: connection refused"
    assert roots(*looping(), *database(), logs={("shop", "cart-1-0", "app", True): log}) == [
        ("application-exits-on-error", CART)
    ]


def test_a_program_that_cannot_reach_itself_is_its_own_problem() -> None:
    log = "cannot join: dial tcp cart:7000: connect: connection refused"
    objects = [*looping(), service("cart")]
    assert roots(*objects, logs={("shop", "cart-1-0", "app", True): log}) == [("application-exits-on-error", CART)]


def test_two_programs_that_wait_for_each_other_are_both_kept() -> None:
    other = [*app("db", waiting="CrashLoopBackOff", last=end(1), restarts=5, ready=False), service("db")]
    logs = {
        ("shop", "cart-1-0", "app", True): "dial tcp db:5432: connect: connection refused",
        ("shop", "db-1-0", "app", True): "dial tcp cart:80: connect: connection refused",
    }
    found = roots(*looping(), service("cart"), *other, logs=logs)
    assert found == [("application-exits-on-error", CART), ("application-exits-on-error", "deployment/db")]


def test_a_crash_of_an_older_revision_is_not_named_beside_the_newest_ones() -> None:
    back_off = {"waiting": "CrashLoopBackOff", "restarts": 4, "ready": False}
    old = app(revision=1, last=end(3), **back_off)
    new = app(revision=2, deployed=False, last=end(4), **back_off)
    found = finding(*old, *new)
    assert "exit code 4" in found.summary
    assert [ref.name for ref in found.affects if ref.kind == "Pod"] == ["cart-2-0"]


def test_nothing_is_found_in_a_healthy_workload() -> None:
    assert severe(*app(pods=3), service("cart"), *bystanders()) == []


CASES = [
    looping(),
    looping(137, "OOMKilled", spec=LIMITED),
    with_init({"waiting": {"reason": "CrashLoopBackOff"}}, end(1), 4),
    [job(), attempt(1), attempt(2)],
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
@given(st.sampled_from(CASES).flatmap(damaged), st.text(max_size=200))
def test_absurd_fields_never_raise(objects: list[Obj], log: str) -> None:
    linked(*objects, logs={("shop", "cart-1-0", "app", True): log})


def test_what_the_rules_read_is_declared() -> None:
    reads = {
        read.resource for rule in all_rules() if "application-exits-on-error" in rule.causes for read in rule.reads()
    }
    assert {"pods", "pods/log", "events", kinds.JOB.resource} <= reads
    least = {one for rule in all_rules() for one in rule.reads() if isinstance(one, Read) and not one.optional}
    assert "secrets" not in {read.resource for read in least}
