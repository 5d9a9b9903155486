"""Findings that a container's own last lines prove together with its spec, and about nodes that ran out of memory."""

from typing import Any

import pytest
from builders import ago, container, event, facts_of, node, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools.diagnosis.logsigns import told
from firstmate_tools.diagnosis.rule import LogWant, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref

CART = "deployment/cart"
PORT, VOLUME = "container-port-conflict", "volume-permission-denied"
SHM, FILES, NODE = "shared-memory-too-small", "open-file-limit-reached", "node-out-of-memory"
DATA = container(volumeMounts=[{"name": "data", "mountPath": "/data"}, {"name": "conf", "mountPath": "/etc/app"}])
VOLUMES: Obj = {
    "volumes": [
        {"name": "data", "persistentVolumeClaim": {"claimName": "cart"}},
        {"name": "conf", "configMap": {"name": "c"}},
    ]
}
EMFILE = "http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 5ms"
SEGMENT = 'ERROR: could not resize shared memory segment "/PostgreSQL.1" to 8388608 bytes: No space left on device'


def end(code: int, reason: str = "Error", *, ran: float = 2) -> Obj:
    return {"exitCode": code, "reason": reason, "startedAt": ago(10 + ran), "finishedAt": ago(10)}


def looping(code: int = 1, reason: str = "Error", **more: Any) -> list[Obj]:
    return app(**{"waiting": "CrashLoopBackOff", "last": end(code, reason), "restarts": 5, "ready": False, **more})


def log(text: str, *, previous: bool = True, pod_name: str = "cart-1-0") -> dict[tuple[str, str, str, bool], str]:
    return {("shop", pod_name, "app", previous): text}


@pytest.mark.parametrize(
    ("line", "sign"),
    [
        ("Error: listen EADDRINUSE: address already in use :::8080", "port"),
        ("panic: listen tcp :9090: bind: address already in use", "port"),
        ("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "port"),
        ("Web server failed to start. Port 8080 was already in use.", "port"),
        ("OSError: [Errno 98] Address already in use", "port"),
        ("Caused by: java.net.BindException: Address already in use", "port"),
        ("PermissionError: [Errno 13] Permission denied: '/data/lock'", "volume"),
        ("mkdir: cannot create directory '/data/pg': Permission denied", "volume"),
        ("java.nio.file.AccessDeniedException: /data/index", "volume"),
        ('initdb: error: could not change permissions of directory "/data": Operation not permitted', "volume"),
        ("open /etc/app/x.yaml: read-only file system", "volume"),
        ("open /root/.cache: permission denied", None),
        ("bind() to 0.0.0.0:80 failed (13: Permission denied)", None),
        ("dial unix /var/run/docker.sock: connect: permission denied", None),
        (SEGMENT, "shm"),
        (
            "RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. workers are out of shared memory",
            "shm",
        ),
        ("ERROR: out of shared memory HINT: You might need to increase max_locks_per_transaction.", None),
        ("write /data/a: no space left on device", None),
        (EMFILE, "files"),
        ("Error: EMFILE: too many open files, open '/app/x'", "files"),
        ("Error: ENOSPC: System limit for number of file watchers reached, watch '/app'", "files"),
        ("exec /app: exec format error", "arch"),
        ("exec container process `/app/server`: Exec format error", "arch"),
        ("exec container process `/app/server`: No such file or directory", "command"),
        ("panic: no configuration", None),
    ],
)
def test_what_a_line_proves(line: str, sign: str | None) -> None:
    found = told(["starting", line], Container("app", "app", DATA, {}))
    assert (found.sign if found else None) == sign


def test_a_complaint_long_before_the_death_did_not_kill() -> None:
    lines = ["error: open /data/cache: permission denied, going on without", *["tick"] * 30, "panic: no configuration"]
    assert told(lines, Container("app", "app", DATA, {})) is None


def two(other: Obj) -> list[Obj]:
    """A Deployment of two containers of which the first crashes."""
    mine = container(ports=[{"containerPort": 8080}])
    objects = looping(spec=mine, body={"containers": [mine, other]})
    objects[-1]["status"]["containerStatuses"].append(
        {"name": other["name"], "ready": True, "restartCount": 0, "state": {"running": {"startedAt": ago(500)}}}
    )
    return objects


def test_a_port_that_another_container_declares_is_proof() -> None:
    objects = two(container("side", ports=[{"containerPort": 8080}]))
    (root,) = linked(*objects, service("cart"), logs=log("listen tcp :8080: bind: address already in use"))
    found = root.finding
    assert (found.cause, str(found.object), found.confidence) == (PORT, CART, "certain")
    assert "port 8080" in found.summary and "container side has it" in found.summary
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


def test_a_port_of_the_node_is_taken_by_another_pod_of_the_host_network() -> None:
    spec = container(ports=[{"containerPort": 9100, "hostPort": 9100}])
    mine = looping(spec=spec, body={"hostNetwork": True})
    other = pod("exporter", "monitoring", containers=[spec], spec={"hostNetwork": True})
    found = finding(*mine, other, logs=log("bind: address already in use 0.0.0.0:9100"))
    assert found.confidence == "certain" and "pod/exporter in namespace monitoring" in found.summary


def test_a_port_that_nobody_else_declares_is_less_sure() -> None:
    taken = log("address already in use")
    assert finding(*two(container("side")), logs=taken).confidence == "likely"
    assert finding(*looping(), logs=taken).confidence == "possible"


@pytest.mark.parametrize(
    ("line", "body", "words"),
    [
        (
            "open /data/lock: permission denied",
            {"securityContext": {"runAsUser": 1000}},
            "user 1000, and fsGroup is not set",
        ),
        ("open /data/lock: permission denied", {"securityContext": {"fsGroup": 7}}, "fsGroup is 7"),
        ("open /etc/app/out: read-only file system", {}, "mounted read-only (configMap)"),
    ],
)
def test_a_volume_that_the_process_may_not_use(line: str, body: Obj, words: str) -> None:
    found = finding(*looping(spec=DATA, body={**VOLUMES, **body}), logs=log(f"starting\nfatal: {line}"))
    assert (found.cause, str(found.object), found.confidence) == (VOLUME, CART, "likely")
    assert words in found.summary


def test_an_init_container_may_be_refused_its_volume_too() -> None:
    setup = container("setup", volumeMounts=[{"name": "data", "mountPath": "/data"}])
    status = {"name": "setup", "ready": False, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
              "lastState": {"terminated": end(1)}}  # fmt: skip
    objects = app(
        body={"initContainers": [setup], **VOLUMES}, init=[setup], init_statuses=[status], waiting="PodInitializing",
        phase="Pending",
    )  # fmt: skip
    logs = {("shop", "cart-1-0", "setup", True): "chown: /data: Operation not permitted"}
    assert roots(*objects, logs=logs) == [(VOLUME, CART)]
    assert roots(*objects) == [("init-container-failing", CART)]


def test_shared_memory_is_told_with_its_size() -> None:
    found = finding(*looping(135), logs=log(SEGMENT))
    assert (found.cause, str(found.object)) == (SHM, CART) and "default of 64 MiB" in found.summary
    mount = container(volumeMounts=[{"name": "shm", "mountPath": "/dev/shm"}])
    body = {"volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}}]}
    assert "limited to 128Mi" in finding(*looping(spec=mount, body=body), logs=log(SEGMENT)).summary


def test_a_program_that_runs_and_is_not_ready_is_believed_when_it_repeats_itself() -> None:
    spec = container(readinessProbe={"httpGet": {"port": 8080}}, ports=[{"containerPort": 8080}])
    objects = app(spec=spec, ready=False)
    assert finding(*objects, logs=log("\n".join([EMFILE] * 5), previous=False)).cause == FILES
    assert FILES not in {c for c, _ in roots(*objects, logs=log(EMFILE, previous=False))}


def test_a_healthy_workload_is_read_only_when_asked_about() -> None:
    asked = Scope("shop", Ref("Deployment", "shop", "cart"))

    def wanted(scope: Scope) -> set[LogWant]:
        facts = facts_of(*app(pods=5), scope=scope)
        return {w for rule in all_rules() if rule.wants for w in rule.wants(facts) if isinstance(w, LogWant)}

    assert wanted(asked) == {LogWant("shop", "cart-1-0", "app", aside=True)}
    assert wanted(Scope("shop")) == wanted(Scope()) == set()
    found = finding(*app(), scope=asked, logs=log("\n".join([SEGMENT] * 4), previous=False))
    assert (found.cause, found.severity) == (SHM, "warning")
    assert severe(*app(), scope=asked, logs=log(f"{SEGMENT}\nserving", previous=False)) == []


def oom(name: str = "n1", seconds_ago: float = 12) -> list[Obj]:
    return [
        node(name),
        event(node(name), "SystemOOM", "System OOM encountered, victim process: java, pid: 7", seconds_ago=seconds_ago),
    ]


LIMITED = container(resources={"limits": {"memory": "2Gi"}})


def test_a_kill_that_no_limit_accounts_for_is_the_nodes() -> None:
    (root,) = linked(*looping(137, "OOMKilled"), node("n1"), service("cart"))
    found = root.finding
    assert (found.cause, str(found.object), found.severity, found.confidence) == (NODE, "node/n1", "critical", "likely")
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


@pytest.mark.parametrize("reason", ["OOMKilled", "Error"])
def test_the_kubelets_word_about_the_node_beats_the_limit(reason: str) -> None:
    found = finding(*looping(137, reason, spec=LIMITED), *oom())
    assert (found.cause, str(found.object), found.confidence) == (NODE, "node/n1", "certain")
    assert "2Gi" in found.summary


def test_an_out_of_memory_of_another_time_or_node_is_no_excuse() -> None:
    for told_ in (oom(seconds_ago=3500), oom("n2")):
        found = roots(*looping(137, "OOMKilled", spec=LIMITED), *told_, node("n1"))
        assert ("oom-killed-container-limit", CART) in found


def test_a_node_that_ran_out_lately_is_a_warning_and_one_of_yesterday_is_not() -> None:
    assert finding(*oom(seconds_ago=900)).severity == "warning"
    assert severe(*oom(seconds_ago=9000)) == []


CASES: list[tuple[list[Obj], str]] = [
    (two(container("side", ports=[{"containerPort": 8080}])), "bind: address already in use :8080"),
    (looping(spec=DATA, body=VOLUMES), "open /data/x: permission denied"),
    (looping(), SEGMENT),
    (looping(), EMFILE),
    ([*looping(137, "OOMKilled"), *oom()], ""),
]


@settings(max_examples=15, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects, text in CASES:
        mixed = shuffled([*objects, *(bystanders() if crowded else [])], seed)
        assert roots(*mixed, logs=log(text)) == roots(*objects, logs=log(text))


@settings(max_examples=10, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects, text in CASES:
        logs = log(text, pod_name=f"{name}-1-0")
        found = [(cause, ref.replace(name, "cart")) for cause, ref in roots(*renamed(objects, name), logs=logs)]
        assert found == roots(*objects, logs=log(text))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(CASES).flatmap(lambda case: st.tuples(damaged(case[0]), st.just(case[1]))), st.text(max_size=200)
)
def test_absurd_fields_never_raise(case: tuple[list[Obj], str], text: str) -> None:
    linked(*case[0], logs=log(f"{text}\n{case[1]}"))
