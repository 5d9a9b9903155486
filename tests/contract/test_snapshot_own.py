"""A recorded cluster answers as the API server did, and says what it does not know."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from contract.snapshot_doubles import NOW, MemoryCluster, obj, pod

from firstmate_tools.cluster.base import Cluster, ClusterSource, LogRequest
from firstmate_tools.cluster.recorded import SnapshotCluster
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    NotCollectedError,
    NotInstalledError,
    ObjectNotFoundError,
    ReadError,
    RefusedError,
    TimedOutError,
    UsageError,
)
from firstmate_tools.fields import name_of
from firstmate_tools.kinds import DEPLOYMENT, EVENT, LEASE, NAMESPACE, NODE, POD, SECRET, SERVICE, Kind
from firstmate_tools.reads import Grant, Read
from firstmate_tools.recorder import record

pytestmark = pytest.mark.anyio
LOGS = Read(POD, ("get",), "log")
READS = [*(Read(kind) for kind in (POD, NODE, NAMESPACE, SERVICE, DEPLOYMENT, EVENT)), LOGS]
GRANT = Grant.of([*READS, Read(SECRET), Read(LEASE)])
WIDGET = Kind("Widget", "widgets", "example.org", "v1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def live(**more: object) -> MemoryCluster:
    pods = [
        pod("cart-2", restarts=3, waiting="CrashLoopBackOff", metadata={"labels": {"app": "cart"}}),
        pod("cart-1", metadata={"labels": {"app": "cart"}}),
        pod("web", "shop-eu"),
        pod("new", "pay", waiting="ContainerCreating"),
    ]
    objects = {
        POD: pods,
        NODE: [obj("b"), obj("a")],
        NAMESPACE: [obj("shop"), obj("shop-eu"), obj("pay")],
        SERVICE: [obj("cart", "shop", spec={"type": "ClusterIP"})],
        DEPLOYMENT: [],
    }
    return MemoryCluster(objects, **more)  # type: ignore[arg-type]


async def recorded(
    path: Path, cluster: MemoryCluster | None = None, namespaces: Sequence[str] | None = None
) -> SnapshotCluster:
    target = path / "snapshot.tar.gz"
    await record(cluster or live(), target, reads=READS, namespaces=namespaces)
    return await opened(target)


async def opened(path: Path, grant: Grant = GRANT, deadline_s: float = 30) -> SnapshotCluster:
    source: ClusterSource = SnapshotSource("then", path)
    async with source.open(grant, deadline_s=deadline_s) as cluster:
        assert isinstance(cluster, SnapshotCluster)
        held: Cluster = cluster
        assert not held.is_live
        return cluster


async def test_it_is_dated_and_named(tmp_path: Path) -> None:
    then = await recorded(tmp_path)
    assert then.now == NOW
    assert then.default_namespace == "shop"
    assert then.identity.model_dump(exclude_none=True) == {
        "name": "then",
        "server": "https://10.0.0.1:6443",
        "snapshot": "snapshot.tar.gz",
        "version": "v1.36.1",
    }


async def test_a_list_comes_in_the_servers_order(tmp_path: Path) -> None:
    then = await recorded(tmp_path)
    places = [(o["metadata"]["namespace"], name_of(o)) for o in (await then.list(POD)).items]
    # By key in etcd: "shop-eu/" sorts before "shop/".
    assert places == [("pay", "new"), ("shop-eu", "web"), ("shop", "cart-1"), ("shop", "cart-2")]


async def test_selectors_filter_a_list(tmp_path: Path) -> None:
    then = await recorded(tmp_path)
    assert [name_of(o) for o in (await then.list(POD, labels="app=cart")).items] == ["cart-1", "cart-2"]
    chosen = await then.list(POD, fields="metadata.namespace!=shop,spec.nodeName=a")
    assert [name_of(o) for o in chosen.items] == ["new", "web"]
    swept = await then.sweep(POD, lambda o: name_of(o) if name_of(o) != "web" else None, labels="!app")
    assert swept.items == ["new"]


async def test_pages_go_on_from_their_token(tmp_path: Path) -> None:
    then = await recorded(tmp_path)
    first = await then.list(POD, limit=3)
    assert (len(first.items), first.remaining) == (3, 1)
    again = await opened(tmp_path / "snapshot.tar.gz")  # another process
    second = await again.list(POD, limit=3, more=first.more)
    assert [name_of(o) for o in second.items] == ["cart-2"]
    assert (second.more, second.remaining) == ("", None)


@pytest.mark.parametrize("token", ["x", "bm90IGpzb24=", "é"])
async def test_a_token_of_something_else_is_refused(tmp_path: Path, token: str) -> None:
    then = await recorded(tmp_path)
    other = (await then.list(NODE, limit=1)).more
    for wrong in (token, other):
        with pytest.raises(UsageError, match="another list"):
            await then.list(POD, limit=1, more=wrong)


async def test_a_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        await (await recorded(tmp_path)).list(POD, limit=0)


async def test_metadata_alone(tmp_path: Path) -> None:
    items = (await (await recorded(tmp_path)).list(SERVICE, form="metadata")).items
    assert items == [{"metadata": {"name": "cart", "namespace": "shop"}}]


async def test_get_knows_what_exists(tmp_path: Path) -> None:
    then = await recorded(tmp_path)
    found = await then.get(SERVICE, "cart", "shop")
    assert found is not None
    assert (found["apiVersion"], found["kind"], name_of(found)) == ("v1", "Service", "cart")
    assert await then.get(SERVICE, "cart", "pay") is None
    assert await then.get(NODE, "z") is None
    with pytest.raises(UsageError, match="needs a namespace"):
        await then.get(POD, "cart-1")
    with pytest.raises(UsageError):
        await then.get(POD, "../x", "shop")


async def test_what_was_not_recorded_is_not_empty(tmp_path: Path) -> None:
    then = await recorded(tmp_path)
    with pytest.raises(NotCollectedError, match="snapshot create"):
        await then.list(SECRET)
    with pytest.raises(NotCollectedError):
        await then.get(SECRET, "db", "shop")


async def test_a_kind_that_the_server_did_not_know_is_not_installed(tmp_path: Path) -> None:
    then = await recorded(tmp_path, live(kinds=[POD, NODE]))
    with pytest.raises(NotInstalledError):
        await then.list(LEASE)


@pytest.mark.parametrize("error", [DeniedError("forbidden"), TimedOutError("late"), FailedReadError("500")])
async def test_a_refusal_is_raised_as_it_was_when_recorded(tmp_path: Path, error: ReadError) -> None:
    then = await recorded(tmp_path, live(errors={"pods": error}))
    for namespace in (None, "shop"):
        with pytest.raises(type(error), match=error.message):
            await then.list(POD, namespace=namespace)
    (access,) = await then.access([Read(POD)], None)
    assert access.allowed is (False if isinstance(error, DeniedError) else None)


async def test_some_namespaces_are_not_all(tmp_path: Path) -> None:
    then = await recorded(tmp_path, namespaces=["shop", "pay"])
    assert then.recorded_namespaces == ("shop", "pay")
    assert len((await then.list(POD, namespace="shop")).items) == 2
    with pytest.raises(NotCollectedError, match="not those of shop-eu"):
        await then.list(POD)
    with pytest.raises(NotCollectedError, match="It holds those of: pay, shop"):
        await then.list(POD, namespace="shop-eu")
    assert (await then.list(POD, namespace="nowhere")).items == []  # the list of namespaces was recorded
    assert len((await then.list(NODE)).items) == 2


async def test_each_namespace_together_is_the_cluster(tmp_path: Path) -> None:
    then = await recorded(tmp_path, namespaces=["shop", "pay", "shop-eu"])
    assert len((await then.list(POD)).items) == 4


async def test_one_denied_namespace_denies_the_whole_list(tmp_path: Path) -> None:
    denied = live(errors={("pods", "pay"): DeniedError("no")})
    then = await recorded(tmp_path, denied, namespaces=["shop", "pay", "shop-eu"])
    assert len((await then.list(POD, namespace="shop")).items) == 2
    with pytest.raises(DeniedError, match="pay"):
        await then.list(POD)


async def test_another_version_of_a_kind_is_not_that_kind(tmp_path: Path) -> None:
    then = await recorded(tmp_path)
    with pytest.raises(NotCollectedError, match="apps/v1, not as apps/v2"):
        await then.list(Kind("Deployment", "deployments", "apps", "v2"))


async def test_an_undeclared_read_is_refused(tmp_path: Path) -> None:
    await recorded(tmp_path)
    then = await opened(tmp_path / "snapshot.tar.gz", Grant.of([Read(NODE, ("list",))]))
    for call in (
        then.list(POD),
        then.sweep(POD, lambda o: o),
        then.get(NODE, "a"),
        then.logs(LogRequest("shop", "cart-2", "app")),
    ):
        with pytest.raises(RefusedError):
            await call
    assert len((await then.list(NODE)).items) == 2


async def test_a_call_ends_with_its_time(tmp_path: Path) -> None:
    await recorded(tmp_path)
    then = await opened(tmp_path / "snapshot.tar.gz", deadline_s=-1)
    with pytest.raises(TimedOutError):
        await then.list(POD)


async def test_kinds_are_those_of_discovery(tmp_path: Path) -> None:
    then = await recorded(tmp_path, live(kinds=[POD, WIDGET]))
    assert list(await then.kinds()) == [POD, WIDGET]


async def test_without_discovery_kinds_are_those_recorded(tmp_path: Path) -> None:
    then = await recorded(tmp_path, live(errors={"discovery": FailedReadError("503")}))
    assert POD in await then.kinds()
    with pytest.raises(NotCollectedError):  # and nothing is known not to be installed
        await then.list(LEASE)


async def test_access_is_what_was_collected(tmp_path: Path) -> None:
    then = await recorded(tmp_path)
    found = await then.access([Read(POD), Read(SECRET), LOGS], "shop")
    assert [access.allowed for access in found] == [True, None, True]


async def test_a_sweep_stops_after_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstmate_tools.cluster.recorded.PAGE", 2)
    then = await recorded(tmp_path)
    some = await then.sweep(POD, name_of, most=1)
    assert (some.items, some.remaining) == (["new", "web"], 2)
    assert [name_of(o) for o in (await then.list(POD, more=some.more)).items] == ["cart-1", "cart-2"]
    assert len((await then.sweep(POD, name_of)).items) == 4


LOG = "".join(f"2026-03-01T12:00:{second:02d}.123456789Z line {second}\n" for second in range(30))


class TestLogs:
    """Logs of a snapshot in our own layout."""

    async def cluster(self, path: Path, text: str = LOG) -> SnapshotCluster:
        logs = {("shop", "cart-2", "app", False): text, ("shop", "cart-2", "app", True): text}
        return await recorded(path, live(logs=logs))

    @pytest.mark.parametrize(
        ("request_", "first", "last"),
        [
            ({}, "line 0", "line 29"),
            ({"tail_lines": 2}, "line 28", "line 29"),
            ({"tail_lines": None, "since_seconds": 10}, "line 20", "line 29"),
            ({"tail_lines": 3, "since_seconds": 10}, "line 27", "line 29"),
            ({"limit_bytes": 20}, "line 28", "line 29"),
            ({"tail_lines": 1, "timestamps": True}, "2026-03-01T12:00:29.123456789Z line 29", ""),
        ],
    )
    async def test_the_kubelet_would_cut_it_so(
        self, tmp_path: Path, request_: dict[str, int], first: str, last: str
    ) -> None:
        text = await (await self.cluster(tmp_path)).logs(LogRequest("shop", "cart-2", "app", **request_))  # type: ignore[arg-type]
        lines = text.removesuffix("\n").split("\n")
        assert (lines[0], lines[-1]) == (first, last or first)
        assert text.endswith("\n")

    async def test_the_only_container_need_not_be_named(self, tmp_path: Path) -> None:
        then = await self.cluster(tmp_path)
        assert await then.logs(LogRequest("shop", "cart-2", "", tail_lines=1)) == "line 29\n"

    async def test_a_log_of_nothing(self, tmp_path: Path) -> None:
        assert await (await self.cluster(tmp_path, "")).logs(LogRequest("shop", "cart-2", "app")) == ""

    async def test_what_is_missing_says_why(self, tmp_path: Path) -> None:
        then = await self.cluster(tmp_path)
        for request, error in (
            (LogRequest("shop", "cart-1", "app"), ObjectNotFoundError),  # well, and silent
            (LogRequest("shop", "cart-1", "app", previous=True), ObjectNotFoundError),  # never restarted
            (LogRequest("pay", "new", "app"), ObjectNotFoundError),  # never ran
            (LogRequest("shop", "gone", "app"), ObjectNotFoundError),
            (LogRequest("shop", "cart-1", "sidecar"), UsageError),
        ):
            with pytest.raises(error):
                await then.logs(request)

    async def test_a_previous_run_that_the_kubelet_no_longer_had(self, tmp_path: Path) -> None:
        then = await recorded(tmp_path, live(logs={("shop", "cart-2", "app", False): LOG}))
        with pytest.raises(ObjectNotFoundError, match="no previous run"):
            await then.logs(LogRequest("shop", "cart-2", "app", previous=True))

    async def test_a_denied_log_stays_denied(self, tmp_path: Path) -> None:
        errors = {("shop", "cart-2", "app", previous): DeniedError("no logs for you") for previous in (False, True)}
        then = await recorded(tmp_path, live(errors=errors))
        with pytest.raises(DeniedError, match="no logs for you"):
            await then.logs(LogRequest("shop", "cart-2", "app"))
