"""Findings about pods that a kubelet evicts or refuses, init containers that only wait, and variables set twice."""

from typing import Any

import pytest
from builders import ago, container, event, obj, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools.fields import Obj

CART = "deployment/cart"
DISK, SYSCTL, WAITS, TWICE = (
    "ephemeral-storage-limit-exceeded",
    "unsafe-sysctl-forbidden",
    "init-container-waiting",
    "duplicate-env-var",
)
SCRATCH = 'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". '
OWN = 'Container app exceeded its local ephemeral storage limit "2Gi". '
WHOLE = "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. "
PRESSURE = "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 10Mi. "
SPEC = container(resources={"limits": {"ephemeral-storage": "2Gi"}})
BODY: Obj = {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]}


def ended_by(
    reason: str, message: str, *, pods: int = 2, well: int = 0, body: Obj | None = None, spec: Obj | None = None
) -> list[Obj]:
    """A Deployment whose pods failed before or against their will; `well` of them run."""
    made = app(pods=pods + well, spec=spec, body=body)
    for one in made[2 : 2 + pods]:
        one["status"] = {"phase": "Failed", "reason": reason, "message": message, "startTime": ago(300)}
    return made


@pytest.mark.parametrize(
    ("message", "words"),
    [(SCRATCH, "emptyDir volume scratch"), (OWN, "container app"), (WHOLE, "all its containers together")],
)
def test_a_pod_over_its_own_disk_limit_is_the_workloads(message: str, words: str) -> None:
    (root,) = linked(*ended_by("Evicted", message, body=BODY, spec=SPEC), service("cart"))
    found = root.finding
    assert (found.cause, str(found.object), found.severity, found.confidence) == (DISK, CART, "critical", "certain")
    assert words in found.summary and "2 pods" in found.summary
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


def test_an_eviction_for_the_nodes_sake_is_not_about_a_limit() -> None:
    assert DISK not in {c for c, _ in roots(*ended_by("Evicted", PRESSURE, body=BODY))}


def test_a_limit_that_is_gone_from_the_spec_is_less_sure() -> None:
    assert finding(*ended_by("Evicted", SCRATCH)).confidence == "likely"


def test_evicted_pods_that_were_replaced_long_ago_are_history() -> None:
    objects = ended_by("Evicted", SCRATCH, well=1, body=BODY)
    assert finding(*objects).severity == "warning"
    for one in objects[2:4]:
        one["status"]["startTime"] = ago(90_000)
        one["metadata"]["creationTimestamp"] = ago(90_000)
    assert severe(*objects) == []


def test_a_limit_that_was_raised_since_and_serves_is_history() -> None:
    objects = ended_by("Evicted", SCRATCH, well=1, body=BODY)
    raised = {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "4Gi"}}]}
    for one in objects[:2]:
        one["spec"]["template"] = {
            "metadata": {"labels": {"app": "cart"}},
            "spec": {"containers": [container()], **raised},
        }
    assert severe(*objects) == []


def test_an_evicted_attempt_of_a_job_that_succeeded_is_history() -> None:
    failed = pod("cart-x", owned_by=("Job", "cart"), phase="Failed", ready=False, spec=BODY)
    failed["status"].update(reason="Evicted", message=SCRATCH)
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert severe(obj("Job", "cart", api="batch/v1", status=done), failed) == []
    assert roots(obj("Job", "cart", api="batch/v1", status={}), failed) == [(DISK, "job/cart")]


def stateful() -> list[Obj]:
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container()], **BODY}}
    return [
        obj("StatefulSet", "cart", api="apps/v1", spec={"replicas": 1, "template": template}, status={"replicas": 1})
    ]


def test_an_evicted_pod_that_its_controller_deleted_is_told_by_the_event() -> None:
    there = pod("cart-0", owned_by=("StatefulSet", "cart"))
    gone = {**pod("cart-0"), "metadata": {**there["metadata"], "uid": "another"}}
    evicted = event(gone, "Evicted", SCRATCH)
    assert roots(*stateful(), there, evicted) == [(DISK, "statefulset/cart")]
    assert roots(*stateful(), there, event(gone, "Evicted", SCRATCH, seconds_ago=9000)) == []
    assert roots(event(pod("stranger-0"), "Evicted", SCRATCH)) == []


REFUSED = 'Pod was rejected: forbidden sysctl: "net.core.somaxconn" not allowlisted'
TUNED: Obj = {
    "securityContext": {
        "sysctls": [{"name": "net.core.somaxconn", "value": "4096"}, {"name": "net.ipv4.tcp_syncookies"}]
    }
}


def test_a_forbidden_sysctl_is_named() -> None:
    found = finding(*ended_by("SysctlForbidden", REFUSED, pods=3, body=TUNED))
    assert (found.cause, str(found.object), found.confidence) == (SYSCTL, CART, "certain")
    assert "net.core.somaxconn" in found.summary and "syncookies" not in found.summary and "3 pods" in found.summary


def test_a_sysctl_of_the_host_is_told_apart() -> None:
    words = 'forbidden sysctl: "net.core.somaxconn" not allowed with host net enabled'
    assert "host's network" in finding(*ended_by("SysctlForbidden", words, body=TUNED)).summary


def test_refused_pods_of_before_the_correction_are_history() -> None:
    objects = ended_by("SysctlForbidden", REFUSED, well=1, body=TUNED)
    assert finding(*objects).severity == "warning"
    for one in objects[:2]:
        one["spec"]["template"]["spec"].pop("securityContext", None)
    assert severe(*objects) == []


def waiting(
    command: str, *, since: float = 300, logged: str = ""
) -> tuple[list[Obj], dict[tuple[str, str, str, bool], str]]:
    """A Deployment whose init container runs on."""
    spec = container("wait", command=["sh", "-c", command])
    status = {"name": "wait", "ready": False, "restartCount": 0, "state": {"running": {"startedAt": ago(since)}}}
    objects = app(
        body={"initContainers": [spec]},
        init=[spec],
        init_statuses=[status],
        waiting="PodInitializing",
        phase="Pending",
        age=since,
    )
    return objects, {("shop", "cart-1-0", "wait", False): logged}


@pytest.mark.parametrize(
    "command",
    [
        "until nslookup db; do sleep 2; done",
        "until nc -z db 5432; do sleep 1; done",
        "until nc -z -w 2 db.shop.svc.cluster.local 5432; do sleep 1; done",
        "until pg_isready -h db -p 5432; do sleep 1; done",
        "./wait-for-it.sh db:5432",
        "until curl -sf http://db:5432/health; do sleep 1; done",
    ],
)
def test_a_wait_for_a_service_that_does_not_exist(command: str) -> None:
    for since in (10, 300):
        objects, logs = waiting(command, since=since)
        (root,) = linked(*objects, service("cart"), logs=logs)
        found = root.finding
        assert (found.cause, str(found.object), found.severity, found.confidence) == (
            WAITS,
            CART,
            "critical",
            "certain",
        )
        assert "service/db, which does not exist" in found.summary


def test_a_wait_for_what_is_broken_is_explained_by_it() -> None:
    objects, logs = waiting("until nc -z db 5432; do sleep 1; done")
    broken = app("db", waiting="ErrImagePull", message="manifest unknown", phase="Pending", ready=False)
    (root,) = linked(*objects, *broken, service("db"), logs=logs)
    assert (root.finding.cause, str(root.finding.object)) == ("image-not-found", "deployment/db")
    assert WAITS in {e.cause for e in root.explained}


def test_a_wait_for_a_job_is_explained_by_the_job() -> None:
    objects, logs = waiting("kubectl wait --for=condition=complete job/migrate --timeout=1h")
    end = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "m"}
    job = obj("Job", "migrate", api="batch/v1", spec={"activeDeadlineSeconds": 5}, status={"conditions": [end]})
    (root,) = linked(*objects, job, logs=logs)
    assert (root.finding.cause, [e.cause for e in root.explained]) == ("job-retries-or-deadline-exceeded", [WAITS])


def test_a_wait_without_a_name_is_told_by_its_length_alone() -> None:
    objects, logs = waiting("/opt/prepare", logged="still waiting for the licence server")
    assert finding(*objects, logs=logs).confidence == "likely"
    assert finding(*waiting("/opt/prepare")[0]).confidence == "possible"


@pytest.mark.parametrize("command", ["until nc -z db 5432; do sleep 1; done", "/opt/prepare"])
def test_a_short_wait_is_a_start(command: str) -> None:
    objects, logs = waiting(command, since=20)
    assert severe(*objects, *app("db"), service("db"), logs=logs) == []


def test_an_outside_host_is_no_missing_service() -> None:
    objects, logs = waiting("until nc -z db.corp.example.com 5432; do sleep 1; done", since=20)
    assert severe(*objects, logs=logs) == []


def variables(*entries: Obj) -> list[Obj]:
    return app(spec=container(env=list(entries)))


def test_a_variable_that_is_set_twice_is_a_weakness() -> None:
    found = finding(*variables({"name": "A", "value": "1"}, {"name": "B", "value": "x"}, {"name": "A", "value": "2"}))
    assert (found.cause, str(found.object), found.severity) == (TWICE, CART, "info")
    assert "sets A more than once" in found.summary
    from_map = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a"}}}
    assert finding(*variables({"name": "A", "value": "secret"}, from_map)).cause == TWICE
    assert not any(
        "secret" in e.value for e in finding(*variables({"name": "A", "value": "secret"}, from_map)).evidence
    )


@pytest.mark.parametrize(
    "entries",
    [
        [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
        [{"name": "A", "value": "1"}, {"name": "A", "value": "1"}],
        [{"name": "PATH", "value": "/a"}, {"name": "PATH", "value": "$(PATH):/b"}],
    ],
)
def test_variables_that_hide_nothing_are_well(entries: list[Obj]) -> None:
    assert roots(*variables(*entries)) == []


def test_a_cron_jobs_template_is_looked_at_too() -> None:
    twice = container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])
    body: Any = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {"containers": [twice]}}}}}
    assert roots(obj("CronJob", "cart", api="batch/v1", spec=body)) == [(TWICE, "cronjob/cart")]


CASES = [
    ended_by("Evicted", SCRATCH, body=BODY),
    ended_by("SysctlForbidden", REFUSED, body=TUNED),
    waiting("until nc -z db 5432; do sleep 1; done")[0],
    variables({"name": "A", "value": "1"}, {"name": "A", "value": "2"}),
]


@settings(max_examples=15, deadline=None)
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


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged), st.text(max_size=200))
def test_absurd_fields_never_raise(objects: list[Obj], text: str) -> None:
    linked(*objects, logs={("shop", "cart-1-0", "wait", False): text})
