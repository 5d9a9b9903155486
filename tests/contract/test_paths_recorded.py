"""Paths that are no resources, live, in a double and recorded: the same text, and the same refusals."""

import asyncio
from pathlib import Path

import pytest
from builders import obj
from doubles import FakeCluster

from firstmate_tools.cluster import policy
from firstmate_tools.cluster.recorded import SnapshotCluster
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import DeniedError, NotCollectedError, ReadError, RefusedError
from firstmate_tools.kinds import NAMESPACE, Kind
from firstmate_tools.reads import Grant, NonResource, Read
from firstmate_tools.recorder import record

KSH = Kind("KSH", "ksh", "metrics.eks.amazonaws.com", namespaced=False)
EKS = "/apis/metrics.eks.amazonaws.com/v1/ksh/container/metrics"
DUMPS = "/debug/api_priority_and_fairness/"
READS = (
    Read(NAMESPACE, ("list",)),
    Read(KSH, ("get",), "metrics"),
    NonResource("/metrics"),
    NonResource("/readyz"),
    NonResource(f"{DUMPS}*"),
)
TEXTS: dict[str, str | ReadError] = {
    "/metrics": 'up 1\nkey{a="AKIAEXAMPLEEXAMPLE00"} 2\n',
    "/readyz": "[+]etcd ok\n",
    EKS: "scheduler 1\n",
    f"{DUMPS}dump_requests": DeniedError("Reading it was denied."),
}


def recorded(folder: Path) -> SnapshotSource:
    cluster = FakeCluster(obj("Namespace", "shop", None), paths=TEXTS)
    cluster.grant = Grant.of(READS)
    asyncio.run(record(cluster, folder / "paths.tar.gz", reads=READS))
    return SnapshotSource("then", folder / "paths.tar.gz")


def read(source: SnapshotSource, path: str, *grant: NonResource | Read, most: int = 1000) -> str:
    async def ask() -> str:
        async with source.open(Grant.of(grant or READS)) as cluster:
            assert isinstance(cluster, SnapshotCluster)
            return await cluster.text(path, limit_bytes=most)

    return asyncio.run(ask())


def test_a_recording_gives_what_the_cluster_gave(tmp_path: Path) -> None:
    source = recorded(tmp_path)
    assert read(source, "/readyz") == read(source, "/readyz?verbose") == TEXTS["/readyz"]
    assert read(source, "/metrics") == 'up 1\nkey{a="[redacted:aws-key]"} 2\n'
    assert read(source, EKS) == TEXTS[EKS]


def test_what_is_not_in_it_is_never_empty(tmp_path: Path) -> None:
    source = recorded(tmp_path)
    with pytest.raises(DeniedError):
        read(source, f"{DUMPS}dump_requests?includeRequestDetails=1")
    with pytest.raises(ReadError):
        read(source, f"{DUMPS}dump_queues")  # asked for, and the cluster did not serve it
    with pytest.raises(NotCollectedError):
        read(source, "/livez", NonResource("/livez"))
    with pytest.raises(ReadError, match="larger"):
        read(source, "/metrics", most=5)


def test_nobody_reads_a_path_undeclared_from_a_recording_either(tmp_path: Path) -> None:
    source = recorded(tmp_path)
    for path in ("/metrics", "/readyz", EKS, "/debug/pprof/heap", "/api/v1/namespaces/shop/secrets/x"):
        with pytest.raises(RefusedError):
            read(source, path, NonResource("/livez"))


def test_a_recording_says_which_paths_it_may_read(tmp_path: Path) -> None:
    async def ask() -> list[bool | None]:
        async with recorded_here.open(Grant.of(READS)) as cluster:
            asked = [NonResource("/metrics"), NonResource(f"{DUMPS}dump_requests"), NonResource("/livez")]
            return [one.allowed for one in await cluster.access(asked, None)]

    recorded_here = recorded(tmp_path)
    assert asyncio.run(ask()) == [True, False, None]


def test_a_report_names_what_was_not_recorded(tmp_path: Path) -> None:
    cluster = FakeCluster(obj("Namespace", "shop", None), paths=TEXTS)
    report = asyncio.run(record(cluster, tmp_path / "paths", reads=READS))
    left = {one.what: one.why for one in report.not_recorded}
    assert left[f"{DUMPS}dump_requests"] == "denied" and left[f"{DUMPS}dump_queues"] == "not_installed"
    assert "/metrics" not in left


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (NonResource("/metrics"), ["/metrics"]),
        (NonResource("/readyz"), ["/readyz?verbose"]),
        (NonResource("/readyz/*"), []),
        (NonResource(f"{DUMPS}dump_requests"), [f"{DUMPS}dump_requests?includeRequestDetails=1"]),
        (NonResource("/debug/pprof/*"), []),
        (Read(KSH, ("get",), "metrics"), [EKS]),
        (Read(NAMESPACE), []),
    ],
)
def test_what_a_declaration_records(declared: NonResource | Read, expected: list[str]) -> None:
    assert policy.recordable(declared) == expected
    for target in expected:
        policy.check("GET", target, None, Grant.of([declared]))
