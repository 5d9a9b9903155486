"""A recording of a real API server answers as the server itself: lists, gets, selectors, pages, logs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract import test_snapshot_selectors as selectors

from evals.lab.lab import Lab
from firstmate_tools import kinds
from firstmate_tools.cluster.base import Cluster, LogRequest
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.cluster.selectors import field_test
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import FirstmateError, ObjectNotFoundError, UsageError
from firstmate_tools.fields import name_of, namespace_of
from firstmate_tools.kinds import CONFIG_MAP, KNOWN, POD, Kind
from firstmate_tools.reads import Grant, Read
from firstmate_tools.recorder import record

pytestmark = pytest.mark.anyio
NS = "snapshot-live"
READS = [*(Read(kind) for kind in KNOWN), Read(POD, ("get",), "log")]
GRANT = Grant.of(READS)
MOVING = {"leases.coordination.k8s.io", "events", "events.events.k8s.io", "nodes"}
LOG = "".join(f"2026-01-02T03:04:{second:02d}.000000000Z stdout F line {second}\n" for second in range(20))
CRASHING = {
    "phase": "Running",
    "containerStatuses": [
        {
            "name": "app",
            "image": "registry.example/app:1",
            "imageID": "",
            "ready": False,
            "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        }
    ],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def place(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two namespaces whose order by key and by name differ, and a crashing pod with logs."""
    logs = tmp_path_factory.mktemp("logs") / "app.log"
    logs.write_text(LOG)
    for namespace in (NS, f"{NS}-eu"):
        lab.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        data = {"mode": "fast", "db-password": "hunter2"}
        metadata = {"name": "app", "namespace": namespace, "labels": {"app": "cart"}}
        lab.client.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    entry = {"containers": ["app"], "logsFile": str(logs), "previousLogsFile": str(logs)}
    spec = {"logs": [entry]}
    metadata = {"name": "crashing", "namespace": NS}
    lab.client.apply({"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": metadata, "spec": spec})
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "labels": {"sim.firstmate.dev/mode": "by-hand"}},
        "spec": {"nodeName": "node-a", "containers": [{"name": "app", "image": "registry.example/app:1"}]},
    }
    lab.client.apply(pod)
    lab.client.apply({**pod, "status": CRASHING}, subresource="status")
    yield lab
    for namespace in (NS, f"{NS}-eu"):
        lab.client.delete("Namespace", namespace)


@pytest.fixture
async def both(place: Lab, tmp_path: Path, anyio_backend: str) -> AsyncIterator[tuple[Cluster, Cluster]]:
    """The cluster, and what was recorded of it a moment ago."""
    source = LiveSource("lab", place.kubeconfig)
    async with source.open(GRANT, deadline_s=120) as live:
        report = await record(live, tmp_path / "lab.tar.gz", reads=READS, secrets=True)
        assert report.not_recorded == []
        async with SnapshotSource("then", tmp_path / "lab.tar.gz").open(GRANT, deadline_s=120) as then:
            yield live, then
    await source.close()


async def answer(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except FirstmateError as error:
        return type(error)


async def test_lists_and_objects_are_the_same(both: tuple[Cluster, Cluster]) -> None:
    live, then = both
    assert list(await live.kinds()) == list(await then.kinds())
    for kind in KNOWN:
        if kind.resource in MOVING or kind == CONFIG_MAP:
            continue
        expected = (await live.list(kind)).items
        assert (await then.list(kind)).items == expected, kind.resource
        assert (await then.list(kind, form="metadata")).items == (await live.list(kind, form="metadata")).items
        for one in expected[:2]:
            place = name_of(one), namespace_of(one) or None
            assert await then.get(kind, *place) == await live.get(kind, *place)


async def test_secrets_are_the_only_difference(both: tuple[Cluster, Cluster]) -> None:
    live, then = both
    before, after = [(await one.list(CONFIG_MAP, labels="app=cart")).items for one in (live, then)]
    for obj in before:
        obj["data"]["db-password"] = "[redacted:value]"
    assert after == before
    assert [namespace_of(obj) for obj in after] == [f"{NS}-eu", NS]


async def test_pages_are_the_same(both: tuple[Cluster, Cluster]) -> None:
    live, _ = both
    for cluster in both:
        first = await cluster.list(kinds.CLUSTER_ROLE, limit=7)
        rest = await cluster.list(kinds.CLUSTER_ROLE, more=first.more)
        assert [*map(name_of, first.items), *map(name_of, rest.items)] == [
            name_of(o) for o in (await live.list(kinds.CLUSTER_ROLE)).items
        ]
        assert first.remaining == len(rest.items)


async def test_labels_select_the_same(both: tuple[Cluster, Cluster]) -> None:
    takes: list[str] = [mark[0] for mark in selectors.test_label_selectors.pytestmark[0].args[1]]  # type: ignore[attr-defined]
    refuses: list[str] = selectors.test_a_label_selector_that_cannot_be_parsed.pytestmark[0].args[1]  # type: ignore[attr-defined]
    for selector in [*takes, *refuses]:
        found = [await answer(lambda c=c: c.list(CONFIG_MAP, labels=selector, form="metadata")) for c in both]  # noqa: B023
        names = [one if isinstance(one, type) else [name_of(o) for o in one.items] for one in found]
        assert names[0] == names[1], selector


async def test_kinds_can_be_selected_by_the_same_fields(both: tuple[Cluster, Cluster]) -> None:
    live, _ = both
    paths = ["metadata.name", "status.phase", "spec.nodeName", "type", "reason", "status.replicas", "spec.clusterIP"]
    paths += ["spec.type", "status.successful", "spec.unschedulable", "source", "reportingComponent", "status.podIPs"]
    paths += ["reportingController", "involvedObject.name", "regarding.name", "spec.hostNetwork", "nothing"]
    for kind in KNOWN:
        for path in paths:
            served = await answer(lambda k=kind, p=path: live.list(k, fields=f"{p}=x", limit=1)) is not UsageError
            assert served is takes_field(kind, path), f"{kind.resource} {path}"


def takes_field(kind: Kind, path: str) -> bool:
    try:
        field_test(f"{path}=x", kind)
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("previous", [False, True])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tail_lines": 3},
        {"tail_lines": None},
        {"tail_lines": 0},
        {"limit_bytes": 40},
        {"since_seconds": 10**9},
        {"since_seconds": 60},
        {"tail_lines": 2, "timestamps": True},
    ],
)
async def test_logs_are_the_same(both: tuple[Cluster, Cluster], previous: bool, more: dict[str, Any]) -> None:
    live, then = both
    request = LogRequest(NS, "crashing", "app", previous, **more)
    assert await then.logs(request) == await live.logs(request)


async def test_a_pod_that_is_not_there(both: tuple[Cluster, Cluster]) -> None:
    for cluster in both:
        assert await answer(lambda c=cluster: c.logs(LogRequest(NS, "gone", "app"))) is ObjectNotFoundError
