"""Every tool against a real API server: its own printing, its admission, its controllers and both its Event APIs.

Pod states are written to the status of pods that no stage touches, so that each is exactly what it says.
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from evals.lab.lab import Lab
from firstmate_tools.cluster.base import Usage
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.errors import DeniedError, UsageError
from firstmate_tools.events import events
from firstmate_tools.logs import logs
from firstmate_tools.nodes import node_status
from firstmate_tools.objects import get
from firstmate_tools.pods import pod_status
from firstmate_tools.reads import Grant
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import spec_of
from firstmate_tools.workloads import workload_status

pytestmark = pytest.mark.anyio
R = TypeVar("R", bound=Answer)
NS, STATES = "tools-live", "tools-states"
AGENT = "firstmate/tools-live"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
UNTOUCHED = {"sim.firstmate.dev/mode": "no-stage-selects-this"}
ERROR = {"exitCode": 1, "reason": "Error", "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:03Z"}
DONE = {**ERROR, "exitCode": 0, "reason": "Completed"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ask(lab: Lab, tool: Callable[..., Awaitable[R]], *, user: str = "", **arguments: Any) -> tuple[R, Usage]:
    """A tool's answer over a source of its own, with the reads that it declared, and what it cost."""
    spec = spec_of(tool)
    assert spec is not None
    source = LiveSource("lab", lab.kubeconfig_for(user) if user else lab.kubeconfig, user_agent=AGENT)
    try:
        async with source.open(Grant.of(spec.reads())) as cluster:
            return await tool(cluster, **arguments), cluster.usage
    finally:
        await source.close()


def table(lab: Lab, path: str) -> dict[str, dict[str, Any]]:
    """What the server prints of a list: columns by name, by the name of the object."""
    answer = lab.client.request("GET", path, accept=TABLE)
    names = [column["name"] for column in answer["columnDefinitions"]]
    return {row["object"]["metadata"]["name"]: dict(zip(names, row["cells"], strict=True)) for row in answer["rows"]}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


def container(
    name: str, state: dict[str, Any], *, ready: bool = False, restarts: int = 0, **more: Any
) -> dict[str, Any]:
    return {"name": name, "state": state, "ready": ready, "restartCount": restarts, "image": "x", "imageID": "", **more}


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
READY = {"type": "Ready", "status": "True"}
INITIALIZED = {"type": "Initialized", "status": "True"}


def up(*statuses: dict[str, Any], phase: str = "Running", **more: Any) -> dict[str, Any]:
    return {"phase": phase, "containerStatuses": list(statuses), **more}


def initial(*statuses: dict[str, Any], phase: str = "Pending", **more: Any) -> dict[str, Any]:
    app = container("app", waiting("PodInitializing"))
    return {"phase": phase, "initContainerStatuses": list(statuses), "containerStatuses": [app], **more}


INIT = [{"name": "one", "image": "x"}, {"name": "two", "image": "x"}]
SIDECAR = [{"name": "proxy", "image": "x", "restartPolicy": "Always"}, {"name": "two", "image": "x"}]
TWO = [{"name": "app", "image": "x"}, {"name": "side", "image": "x"}]
TURN = container("two", waiting("PodInitializing"))
FIRST_DONE = container("one", {"terminated": DONE})
PROXY_UP = container("proxy", RUNNING, ready=True, started=True)

STATUSES: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "nothing-yet": ({}, None),
    "running": ({}, up(container("app", RUNNING, ready=True), conditions=[READY])),
    "not-ready": ({}, up(container("app", RUNNING))),
    "creating": ({}, up(container("app", waiting("ContainerCreating")), phase="Pending")),
    "pull": ({}, up(container("app", waiting("ImagePullBackOff")), phase="Pending")),
    "config": ({}, up(container("app", waiting("CreateContainerConfigError")), phase="Pending")),
    "crash": ({}, up(container("app", waiting("CrashLoopBackOff"), restarts=7, lastState={"terminated": ERROR}))),
    "one-of-two-crashes": (
        {"containers": TWO},
        up(container("app", RUNNING, ready=True), container("side", waiting("CrashLoopBackOff"), restarts=2)),
    ),
    "one-of-two-is-done": (
        {"containers": TWO},
        up(container("app", RUNNING, ready=True), container("side", {"terminated": DONE})),
    ),
    "one-of-two-is-done-and-ready": (
        {"containers": TWO},
        up(container("app", RUNNING, ready=True), container("side", {"terminated": DONE}), conditions=[READY]),
    ),
    "done": ({}, up(container("app", {"terminated": DONE}), phase="Succeeded")),
    "failed": ({}, up(container("app", {"terminated": ERROR}), phase="Failed")),
    "killed": ({}, up(container("app", {"terminated": {**ERROR, "exitCode": 137, "reason": "OOMKilled"}}))),
    "signal": ({}, up(container("app", {"terminated": {"exitCode": 137, "signal": 9}}), phase="Failed")),
    "exit-code": ({}, up(container("app", {"terminated": {"exitCode": 3}}), phase="Failed")),
    "evicted": ({}, {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
    "init-first": ({"initContainers": INIT}, initial(container("one", RUNNING), TURN)),
    "init-second": ({"initContainers": INIT}, initial(FIRST_DONE, container("two", RUNNING))),
    "init-crash": (
        {"initContainers": INIT},
        initial(container("one", waiting("CrashLoopBackOff"), restarts=3), TURN),
    ),
    "init-error": ({"initContainers": INIT}, initial(container("one", {"terminated": ERROR}), phase="Failed")),
    "init-signal": ({"initContainers": INIT}, initial(container("one", {"terminated": {"exitCode": 9, "signal": 9}}))),
    "init-done": (
        {"initContainers": INIT},
        initial(FIRST_DONE, container("two", {"terminated": DONE}), conditions=[INITIALIZED]),
    ),
    "sidecar-up": (
        {"initContainers": SIDECAR},
        {
            **up(container("app", RUNNING, ready=True), conditions=[READY, INITIALIZED]),
            "initContainerStatuses": [PROXY_UP, container("two", {"terminated": DONE})],
        },
    ),
    "sidecar-starts": ({"initContainers": SIDECAR}, initial(container("proxy", RUNNING, started=False))),
    "sidecar-then-init": ({"initContainers": SIDECAR}, initial(PROXY_UP, container("two", RUNNING))),
    "sidecar-crashes-later": (
        {"initContainers": SIDECAR},
        {
            **up(container("app", RUNNING, ready=True), conditions=[INITIALIZED]),
            "initContainerStatuses": [
                container("proxy", waiting("CrashLoopBackOff"), restarts=4, started=False),
                container("two", {"terminated": DONE}),
            ],
        },
    ),
    "gated": ({"schedulingGates": [{"name": "example.com/wait"}]}, None),
    "too-large": ({"containers": [{"name": "app", "image": "x", "resources": {"requests": {"cpu": "999"}}}]}, None),
    "leaving": ({}, up(container("app", RUNNING, ready=True))),
}  # fmt: skip


@pytest.fixture(scope="module")
def states(lab: Lab) -> Iterator[Lab]:
    """A namespace with a pod in each of the states above."""
    client = lab.client
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STATES}})
    client.wait_until("the service account", lambda: client.get("ServiceAccount", "default", STATES) is not None)
    for name, (spec, _) in STATUSES.items():
        finalizers = ["example.com/hold"] if name == "leaving" else []
        metadata = {"name": name, "namespace": STATES, "labels": UNTOUCHED, "finalizers": finalizers}
        whole = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", "image": "x"}], **spec}
        client.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole})

    def placed() -> bool:
        found = client.list("Pod", STATES)
        return sum("nodeName" in pod["spec"] for pod in found) == len(STATUSES) - 2

    client.wait_until("the scheduler has placed them", placed)
    for name, (_, status) in STATUSES.items():
        if status is not None:
            client.patch("Pod", name, {"status": status}, STATES, subresource="status")
    client.delete("Pod", "leaving", STATES)
    yield lab
    client.patch("Pod", "leaving", {"metadata": {"finalizers": None}}, STATES)
    for name in STATUSES:
        client.delete("Pod", name, STATES, grace_s=0)
    client.delete("Namespace", STATES)


async def test_the_columns_of_kubectl_get_pods(states: Lab) -> None:
    answer, usage = await ask(states, pod_status, namespace=STATES, limit=500)
    printed = table(states, f"/api/v1/namespaces/{STATES}/pods")
    expected = {
        name: (row["Ready"], row["Status"], int(str(row["Restarts"]).split()[0])) for name, row in printed.items()
    }
    assert {row.name: (row.ready, row.status, row.restarts) for row in answer.pods} == expected
    assert len(expected) == len(STATUSES)
    assert usage.by_resource == {"/version": 1, "pods": 1, "events": 1}


async def test_every_unhealthy_pod_says_why(states: Lab) -> None:
    answer, _ = await ask(states, pod_status, namespace=STATES, detail="detailed", limit=500)
    well = {row.name for row in answer.pods if row.healthy}
    assert {"running", "done", "one-of-two-is-done-and-ready", "sidecar-up", "leaving"} <= well
    assert not {"crash", "pull", "config", "init-crash", "evicted", "too-large", "killed", "failed"} & well
    assert all(row.why and row.since is not None for row in answer.pods if not row.healthy)
    why = {row.name: row.why[0] for row in answer.pods if row.why}
    assert why["too-large"].startswith("Unschedulable: 0/3 nodes are available: 3 Insufficient cpu")
    assert why["crash"] == "app container app waits: CrashLoopBackOff, 7 restarts, last run: Error, exit 1, ran 3s"


async def test_a_list_of_pods_by_get_has_the_same_columns(states: Lab) -> None:
    answer, _ = await ask(states, get, kind="pods", namespace=STATES, limit=500)
    printed = table(states, f"/api/v1/namespaces/{STATES}/pods")
    assert {row.name: (row.status["ready"], row.status["status"]) for row in answer.items or []} == {
        name: (row["Ready"], row["Status"]) for name, row in printed.items()
    }


def deployment(image: str, **template: Any) -> dict[str, Any]:
    labels = {"app": "cart"}
    spec = {
        "containers": [{"name": "app", "image": image, "env": [{"name": "DB_PASSWORD", "value": f"{image}-secret"}]}]
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cart", "namespace": NS},
        "spec": {
            "replicas": 2,
            "progressDeadlineSeconds": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": {**labels, **template}}, "spec": spec},
        },
    }


@pytest.fixture(scope="module")
def shop(lab: Lab) -> Iterator[Lab]:
    """A namespace with a Deployment whose second revision does not come up, a Service, and a quota that is full."""
    client = lab.client
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
    client.wait_until("the service account", lambda: client.get("ServiceAccount", "default", NS) is not None)
    client.apply(deployment("registry.example/cart:1"))
    client.wait_until("the first revision runs", lambda: ready(client.get("Deployment", "cart", NS)) == 2)
    client.apply(deployment("registry.example/cart:2", **UNTOUCHED))
    service = {"selector": {"app": "cart"}, "ports": [{"port": 80}]}
    client.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": NS}, "spec": service}
    )
    client.wait_until("the deadline of the second revision", lambda: stuck(client.get("Deployment", "cart", NS)))
    yield lab
    client.delete("Namespace", NS)


def ready(found: dict[str, Any] | None) -> int:
    return (found or {}).get("status", {}).get("readyReplicas", 0)


def stuck(found: dict[str, Any] | None) -> bool:
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return any(c.get("reason") == "ProgressDeadlineExceeded" for c in conditions)


async def test_a_real_rollout_that_is_stuck(shop: Lab) -> None:
    answer, usage = await ask(shop, workload_status, scope="deployment/cart", namespace=NS)
    (row,) = answer.workloads
    assert (row.state, row.healthy, row.desired, row.ready, row.updated) == ("stuck", False, 2, 2, 1)
    assert [(r.revision, r.replicas, r.ready) for r in row.revisions] == [(2, 1, 0), (1, 2, 2)]
    changed = {change.field: (change.before, change.after) for change in row.changed}
    assert changed["spec.containers[app].image"] == ("registry.example/cart:1", "registry.example/cart:2")
    assert changed["spec.containers[app].env[DB_PASSWORD].value"] == ("[redacted:value]", "[redacted:value]")
    assert "-secret" not in answer.model_dump_json()
    assert row.why[0].startswith("1 of 3 pods Pending (revision 2, the newest)")
    assert usage.requests == 1 + 4
    in_all, _ = await ask(shop, workload_status, namespace=NS)
    assert in_all.workloads[0].state == "stuck"


async def test_both_event_apis_tell_the_same(shop: Lab) -> None:
    client = shop.client
    rules = [
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    ]
    group = "rbac.authorization.k8s.io"
    client.apply(
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "ev", "namespace": NS}, "rules": rules}
    )
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "ev", "namespace": NS},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "ev"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "only-newer-events"}],
    }
    client.apply(binding)
    client.wait_until("the role is known", lambda: _may_list_events(shop))
    older, _ = await ask(shop, events, namespace=NS, type="all")
    newer, _ = await ask(shop, events, namespace=NS, type="all", user="only-newer-events")
    assert newer.coverage.checked == ["events.events.k8s.io"]
    assert newer.events == older.events
    assert any(entry.reason == "ScalingReplicaSet" for entry in older.events)
    mine, _ = await ask(shop, events, scope="deployment/cart", namespace=NS, type="all", user="only-newer-events")
    assert {entry.object.kind for entry in mine.events} == {"Deployment", "ReplicaSet", "Pod"}
    normal, _ = await ask(shop, events, namespace=NS, type="normal", reason="ScalingReplicaSet")
    assert {entry.reason for entry in normal.events} == {"ScalingReplicaSet"}


def _may_list_events(lab: Lab) -> bool:
    from evals.lab.client import LabClient
    from evals.lab.errors import ApiError

    try:
        LabClient(lab.kubeconfig_for("only-newer-events")).request(
            "GET", f"/apis/events.k8s.io/v1/namespaces/{NS}/events"
        )
    except ApiError:
        return False
    return True


async def test_logs_current_and_before_of_a_workload(shop: Lab, tmp_path: Path) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "talks", "namespace": NS, "labels": {"app": "talks"}},
        "spec": {"containers": [{"name": "app", "image": "x"}], "terminationGracePeriodSeconds": 0},
    }
    for name in ("now", "then"):
        stamp = "2026-01-02T03:04:05.000000000Z stdout F"
        lines = [f"{stamp} INFO step {n} of {name}" for n in range(300)] + [f"{stamp} ERROR lost the database {name}"]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    files = {"logsFile": str(tmp_path / "now"), "previousLogsFile": str(tmp_path / "then")}
    shop.client.apply(
        {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": "talks", "namespace": NS},
            "spec": {"logs": [{"containers": ["app"], **files}]},
        }
    )
    shop.client.apply(pod)

    def runs() -> bool:
        found = shop.client.get("Pod", "talks", NS) or {}
        return bool(found.get("status", {}).get("containerStatuses"))

    shop.client.wait_until("the pod runs", runs)
    again = container("app", RUNNING, ready=True, restarts=1, lastState={"terminated": ERROR})
    shop.client.patch("Pod", "talks", {"status": {"containerStatuses": [again]}}, NS, subresource="status")
    answer, usage = await ask(shop, logs, scope="pod/talks", namespace=NS, tail=100)
    assert [(log.previous, log.lines) for log in answer.logs] == [(True, 100), (False, 100)]
    assert answer.logs[0].templates[0].error
    assert answer.logs[0].tail[-1] == "ERROR lost the database then"
    assert usage.by_resource == {"/version": 1, "pods": 1, "pods/log": 2}
    found, _ = await ask(shop, logs, scope="pod/talks", namespace=NS, matching="LOST the", previous="never")
    assert found.logs[0].tail == ["ERROR lost the database now"]


async def test_nodes_and_who_fills_them(shop: Lab) -> None:
    answer, usage = await ask(shop, node_status)
    assert (answer.ready, answer.not_ready) == (3, 0)
    assert all({"cpu", "memory", "pods"} <= row.share.keys() for row in answer.nodes)
    assert usage.by_resource == {"/version": 1, "nodes": 1, "pods": 1}
    name = answer.nodes[0].name
    one, _ = await ask(shop, node_status, name=name)
    bound = [
        pod
        for pod in shop.client.list("Pod")
        if pod["spec"].get("nodeName") == name and pod["status"]["phase"] not in {"Succeeded", "Failed"}
    ]
    assert one.nodes[0].room["pods"].requested == str(len(bound))


async def test_a_custom_resource_has_the_columns_that_the_server_prints(shop: Lab) -> None:
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Zones", "type": "string", "jsonPath": ".spec.zones[*].name"},
        {"name": "Team", "type": "string", "jsonPath": r".metadata.labels.example\.org/team"},
        {"name": "Hidden", "type": "string", "jsonPath": ".spec.size", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "boats.tools.example"},
        "spec": {
            "group": "tools.example",
            "scope": "Namespaced",
            "names": {"kind": "Boat", "plural": "boats", "singular": "boat", "shortNames": ["bt"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": loose},
                }
            ],
        },
    }
    client = shop.client
    client.apply(crd)
    try:
        boat = {
            "apiVersion": "tools.example/v1",
            "kind": "Boat",
            "metadata": {"name": "one", "namespace": NS, "labels": {"example.org/team": "blue"}},
            "spec": {"size": 3, "zones": [{"name": "a"}, {"name": "b"}]},
            "status": {"conditions": [{"type": "Ready", "status": "False"}]},
        }
        client.wait_until("the kind is served", lambda: _applied(shop, boat), timeout_s=20)
        client.apply({**boat, "metadata": {"name": "two", "namespace": NS}, "spec": {"size": 0}, "status": {}})
        answer, _ = await ask(shop, get, kind="bt", namespace=NS)
        printed = table(shop, f"/apis/tools.example/v1/namespaces/{NS}/boats")
        assert {row.name: dict(row.status) for row in answer.items or []} == {
            name: {key: str(cells[key]) for key in ("Size", "Ready", "Zones", "Team") if cells[key] not in {None, ""}}
            for name, cells in printed.items()
        }
        whole, _ = await ask(shop, get, kind="boat", name="one", namespace=NS)
        assert whole.object is not None
        assert whole.object["spec"]["size"] == 3
        assert "managedFields" not in whole.object["metadata"]
    finally:
        client.delete("CustomResourceDefinition", "boats.tools.example")


def _applied(lab: Lab, document: dict[str, Any]) -> bool:
    from evals.lab.discovery import UnknownKindError
    from evals.lab.errors import ApiError

    try:
        lab.client.apply(document)
    except (ApiError, UnknownKindError):
        return False
    return True


async def test_what_points_at_real_objects(shop: Lab) -> None:
    answer, _ = await ask(shop, get, kind="deployment", name="cart", namespace=NS)
    assert [(p.kind, p.name) for p in answer.pointed_at_by or []] == [("Service", "cart")]
    account, _ = await ask(shop, get, kind="sa", name="default", namespace=NS)
    assert ("Deployment", "cart") in [(p.kind, p.name) for p in account.pointed_at_by or []]


@pytest.mark.parametrize(
    "kind",
    [
        "pods",
        "deploy",
        "rs",
        "svc",
        "nodes",
        "ns",
        "events",
        "sa",
        "crd",
        "leases",
        "clusterroles",
        "stages.kwok.x-k8s.io",
    ],
)
async def test_lists_of_any_kind_page_through_everything(shop: Lab, kind: str) -> None:
    names: list[tuple[str | None, str]] = []
    cursor = None
    for _ in range(200):
        answer, _ = await ask(shop, get, kind=kind, limit=40, cursor=cursor)
        names += [(row.namespace, row.name) for row in answer.items or []]
        cursor = answer.coverage.cursor
        if cursor is None:
            break
    assert answer.coverage.total == len(names) == len(set(names)) > 0


async def test_a_user_without_rights_gets_an_error_never_an_empty_answer(shop: Lab) -> None:
    for tool, arguments in (
        (pod_status, {}),
        (workload_status, {}),
        (events, {}),
        (node_status, {}),
        (logs, {"scope": "pod/talks"}),
        (get, {"kind": "cm"}),
    ):
        with pytest.raises(DeniedError, match=r"apiGroups|forbidden"):
            await ask(shop, tool, user="nobody-of-the-tools", **arguments)


async def test_words_that_the_server_refuses_are_errors_of_the_caller(shop: Lab) -> None:
    for tool, arguments in (
        (pod_status, {"namespace": "no-such-namespace"}),
        (pod_status, {"name": "no-such-pod", "namespace": NS}),
        (pod_status, {"selector": "a=("}),
        (workload_status, {"scope": "deployment/none", "namespace": NS}),
        (logs, {"scope": "pod/--previous", "namespace": NS}),
        (get, {"kind": "secrets", "namespace": NS}),
        (get, {"kind": "no-such-kind"}),
        (get, {"kind": "cm", "name": "../secrets/x", "namespace": NS}),
    ):
        with pytest.raises(UsageError):
            await ask(shop, tool, **arguments)


async def test_no_tool_sends_anything_but_reads(shop: Lab) -> None:
    await ask(shop, pod_status, namespace=NS)

    def sent() -> list[str]:
        return [line for line in shop.audit_log.read_text().splitlines() if f'"{AGENT}"' in line]

    shop.client.wait_until("the audit log has it", lambda: bool(sent()), timeout_s=10)
    lines = sent()
    assert not [line for line in lines if '"verb":"get"' not in line and '"verb":"list"' not in line]
