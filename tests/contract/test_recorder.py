"""What is recorded can be read back, says what is not in it, and holds no secrets."""

import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract.snapshot_doubles import NOW, MemoryCluster, obj, pod

from firstmate_tools.cluster.base import LogRequest
from firstmate_tools.cluster.layouts.manifest import LogEntry
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import (
    ConfigurationError,
    DeniedError,
    FailedReadError,
    NotCollectedError,
    ReadError,
    RefusedError,
    SnapshotError,
    TimedOutError,
    UsageError,
)
from firstmate_tools.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, NAMESPACE, NODE, POD, SECRET, SERVICE
from firstmate_tools.reads import AnyKindButSecrets, Grant, Read
from firstmate_tools.recorder import RecordReport, record

pytestmark = pytest.mark.anyio
LOGS = Read(POD, ("get",), "log")
KINDS = (POD, NODE, NAMESPACE, CONFIG_MAP, SERVICE, DEPLOYMENT, EVENT)
READS = [*(Read(kind) for kind in KINDS), LOGS, AnyKindButSecrets()]
GRANT = Grant.of([*READS, Read(SECRET)])
LOG = "2026-03-01T12:00:01.5Z started\n2026-03-01T12:00:02.5Z password=hunter2\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def cluster(**more: Any) -> MemoryCluster:
    objects = {
        POD: [pod("cart-1"), pod("cart-2", restarts=7, waiting="CrashLoopBackOff"), pod("pay-1", "pay")],
        NODE: [obj("b"), obj("a")],
        NAMESPACE: [obj("shop"), obj("pay"), obj("empty")],
        CONFIG_MAP: [],
        SERVICE: [obj("cart", "shop")],
        SECRET: [obj("db", "shop", data={"password": "aHVudGVyMg=="}, type="Opaque")],
    }
    objects.update(more.pop("objects", {}))
    return MemoryCluster(objects, **more)


@pytest.mark.parametrize("name", ["prod.tar.gz", "prod.tgz", "prod"])
async def test_what_was_recorded_reads_back_equal(tmp_path: Path, name: str) -> None:
    live = cluster()
    report = await record(live, tmp_path / name, reads=READS)
    assert report.objects == 9
    source = SnapshotSource("then", tmp_path / name)
    async with source.open(GRANT) as then:
        for kind in (POD, NODE, NAMESPACE, CONFIG_MAP, SERVICE):
            for namespace in (None, "shop", "pay", "empty", "nowhere"):
                if kind.namespaced or namespace is None:
                    expected = (await live.list(kind, namespace=namespace)).items
                    assert (await then.list(kind, namespace=namespace)).items == expected
        assert then.now == NOW
        assert then.identity.server == "https://10.0.0.1:6443"
        assert then.identity.version == "v1.36.1"
        assert then.recorded_namespaces is None
    await source.close()


async def test_a_recording_of_a_recording_is_equal(tmp_path: Path) -> None:
    texts = {("shop", "cart-2", "app", run): LOG for run in (False, True)}
    others = {("shop", "cart-1", "app", False): LOG, ("pay", "pay-1", "app", False): ""}
    live = cluster(logs={**texts, **others})
    await record(live, tmp_path / "first.tar.gz", reads=READS, namespaces=["shop", "pay"])
    async with SnapshotSource("prod", tmp_path / "first.tar.gz").open(GRANT) as then:
        await record(then, tmp_path / "second.tar.gz", reads=READS, namespaces=["shop", "pay"])
    assert members(tmp_path / "first.tar.gz") == members(tmp_path / "second.tar.gz")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def members(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
    return found


class TestWriting:
    """How it is written."""

    async def test_the_same_content_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("a.tar.gz", "b.tar.gz"):
            await record(cluster(), tmp_path / name, reads=READS)
        assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()

    async def test_only_the_owner_may_read_it(self, tmp_path: Path) -> None:
        await record(cluster(), tmp_path / "a.tar.gz", reads=READS)
        await record(cluster(), tmp_path / "folder", reads=READS)
        assert stat.S_IMODE((tmp_path / "a.tar.gz").stat().st_mode) == 0o600
        for root, folders, files in os.walk(tmp_path / "folder"):
            assert {stat.S_IMODE((Path(root) / name).stat().st_mode) for name in files} <= {0o600}
            assert {stat.S_IMODE((Path(root) / name).stat().st_mode) for name in [*folders, "."]} == {0o700}
        with tarfile.open(tmp_path / "a.tar.gz") as archive:
            assert {(m.mode, m.uid, m.uname, m.mtime) for m in archive} == {(0o600, 0, "", int(NOW.timestamp()))}

    @pytest.mark.parametrize("name", ["a.tar.gz", "folder"])
    async def test_nothing_is_replaced_unless_told_to(self, tmp_path: Path, name: str) -> None:
        await record(cluster(), tmp_path / name, reads=READS)
        live = cluster()
        with pytest.raises(UsageError, match="exists already"):
            await record(live, tmp_path / name, reads=READS)
        assert live.asked == []
        await record(cluster(objects={NODE: []}), tmp_path / name, reads=READS, force=True)
        async with SnapshotSource("x", tmp_path / name).open(GRANT) as then:
            assert (await then.list(NODE)).items == []
        assert names_in(tmp_path) == [name]

    async def test_what_is_no_snapshot_is_never_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "thesis.txt").write_text("years")
        (tmp_path / "a.tar.gz").mkdir()
        for name in ("home", "a.tar.gz"):
            with pytest.raises(UsageError, match="is no snapshot"):
                await record(cluster(), tmp_path / name, reads=READS, force=True)
        assert (tmp_path / "home" / "thesis.txt").exists()

    @pytest.mark.parametrize("name", ["a.zip", "a.tar", "missing/a.tar.gz"])
    async def test_a_place_or_format_that_is_not_there(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(UsageError):
            await record(cluster(), tmp_path / name, reads=READS)

    @pytest.mark.parametrize("name", ["a.tar.gz", "folder"])
    async def test_nothing_is_left_behind_by_a_failure(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        monkeypatch.setattr("os.utime", full)
        with pytest.raises(ConfigurationError, match="No space"):
            await record(cluster(), tmp_path / name, reads=READS)
        assert names_in(tmp_path) == []

    async def test_it_says_who_made_it_without_credentials(self, tmp_path: Path) -> None:
        live = cluster(server="https://admin:hunter2@10.0.0.1:6443/?token=abc")
        report = await record(live, tmp_path / "a.tar.gz", reads=READS, recorded_by="firstmate/0.1.0")
        assert report.manifest.cluster.server == "https://10.0.0.1:6443/"
        manifest = json.loads(members(tmp_path / "a.tar.gz")["snapshot.json"])
        assert manifest["recorded_by"] == "firstmate/0.1.0"
        assert manifest["recorded_at"] == "2026-03-01T12:00:30Z"


class TestScope:
    """What is asked for, and what is not."""

    async def test_some_namespaces(self, tmp_path: Path) -> None:
        live = cluster()
        await record(live, tmp_path / "a.tar.gz", reads=READS, namespaces=["shop"])
        assert ("pods", "shop") in live.asked
        assert ("pods", None) not in live.asked
        assert ("nodes", None) in live.asked

    async def test_a_name_that_no_namespace_has(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="not a namespace"):
            await record(cluster(), tmp_path / "a.tar.gz", reads=READS, namespaces=["../etc"])

    async def test_secrets_only_when_asked_for_and_never_their_values(self, tmp_path: Path) -> None:
        live, reads = cluster(), [*READS, Read(SECRET)]
        report = await record(live, tmp_path / "a.tar.gz", reads=reads)
        assert ("secrets", None) not in live.asked
        assert [(n.what, n.why) for n in report.not_recorded] == [("secrets", "not_asked")]
        async with SnapshotSource("x", tmp_path / "a.tar.gz").open(GRANT) as then:
            with pytest.raises(NotCollectedError, match="not asked for"):
                await then.list(SECRET, namespace="shop")
        await record(live, tmp_path / "b.tar.gz", reads=reads, secrets=True)
        assert b"aHVudGVyMg" not in members(tmp_path / "b.tar.gz")["objects/secrets/shop.jsonl"]
        async with SnapshotSource("x", tmp_path / "b.tar.gz").open(GRANT) as then:
            assert (await then.list(SECRET)).items[0]["data"] == {"password": ""}

    async def test_what_is_only_read_one_by_one_is_not_listed(self, tmp_path: Path) -> None:
        live = cluster()
        await record(live, tmp_path / "a.tar.gz", reads=[Read(NODE), Read(POD, ("get",))])
        assert [resource for resource, _ in live.asked] == ["nodes"]

    async def test_other_sources_have_a_place(self, tmp_path: Path) -> None:
        sources = {"metrics": {"cpu.json": b"{}"}, "aws": {"eks.json": b"[]"}}
        report = await record(cluster(), tmp_path / "a.tar.gz", reads=READS, sources=sources)
        assert report.manifest.sources["metrics"].files == ("cpu.json",)
        assert members(tmp_path / "a.tar.gz")["aws/eks.json"] == b"[]"
        for wrong in ({"objects": {"x": b""}}, {"aws": {"../x": b""}}):
            with pytest.raises(UsageError, match="no place"):
                await record(cluster(), tmp_path / "b.tar.gz", reads=READS, sources=wrong)


class TestFailures:
    """What could not be had is noted, with its reason."""

    @pytest.mark.parametrize(
        ("error", "why"),
        [
            (DeniedError("pods is forbidden: token=hunter2hunter2"), "denied"),
            (TimedOutError("late"), "timed_out"),
            (FailedReadError("torn"), "failed"),
        ],
    )
    async def test_of_lists(self, tmp_path: Path, error: ReadError, why: str) -> None:
        report = await record(cluster(errors={"pods": error}), tmp_path / "a.tar.gz", reads=READS)
        (missing,) = report.not_recorded
        assert (missing.what, missing.why) == ("pods", why)
        assert b"hunter2" not in members(tmp_path / "a.tar.gz")["snapshot.json"]

    async def test_of_one_namespace(self, tmp_path: Path) -> None:
        live = cluster(errors={("pods", "pay"): DeniedError("no")})
        report = await record(live, tmp_path / "a.tar.gz", reads=READS, namespaces=["shop", "pay"])
        assert [n.what for n in report.not_recorded] == ["pods in namespace pay"]

    async def test_of_everything(self, tmp_path: Path) -> None:
        errors = {kind.resource: DeniedError("forbidden") for kind in KINDS}
        with pytest.raises(FailedReadError, match="Nothing could be recorded: forbidden"):
            await record(cluster(errors=errors), tmp_path / "a.tar.gz", reads=READS)
        assert names_in(tmp_path) == []

    async def test_of_the_program(self, tmp_path: Path) -> None:
        errors: dict[object, Any] = {"pods": RefusedError("undeclared")}
        with pytest.raises(RefusedError):
            await record(cluster(errors=errors), tmp_path / "a.tar.gz", reads=READS)

    @pytest.mark.parametrize(
        "odd",
        [
            obj("x", "../../etc"),
            {"metadata": {"namespace": "shop"}},
            obj("x", "shop", spec=json.loads("[" * 300 + "]" * 300)),
        ],
    )
    async def test_objects_that_no_server_gives_fail_their_list_alone(self, tmp_path: Path, odd: Any) -> None:
        report = await record(cluster(objects={SERVICE: [odd]}), tmp_path / "a.tar.gz", reads=READS)
        assert [(n.what, n.why) for n in report.not_recorded] == [("services", "failed")]
        assert not any("etc" in name for name in members(tmp_path / "a.tar.gz"))


def collected(report: RecordReport) -> list[LogEntry]:
    return [log for log in report.manifest.logs if log.outcome == "collected"]


class TestLogs:
    """Logs of what looks unwell, without secrets."""

    RUNS = tuple(("shop", "cart-2", "app", run) for run in (False, True))

    async def test_of_unwell_containers_first_then_of_the_others(self, tmp_path: Path) -> None:
        texts = {**dict.fromkeys(self.RUNS, LOG), ("shop", "cart-1", "app", False): LOG}
        report = await record(cluster(logs=texts), tmp_path / "a.tar.gz", reads=READS)
        assert [(log.pod, log.previous, log.lines, log.stamped) for log in collected(report)] == [
            ("cart-1", False, 2, True),
            ("cart-2", False, 2, True),
            ("cart-2", True, 2, True),
        ]
        report = await record(cluster(logs=texts), tmp_path / "b.tar.gz", reads=READS, most_containers=1)
        assert {log.pod for log in report.manifest.logs} == {"cart-2"}
        assert report.manifest.logs_left_out == 0, "only what looks unwell is missed"
        kept = members(tmp_path / "a.tar.gz")["logs/shop/cart-2/app.previous.log"].decode()
        assert kept == LOG.replace("hunter2", "[redacted:value]")

    async def test_and_of_those_asked_for(self, tmp_path: Path) -> None:
        texts = {**dict.fromkeys(self.RUNS, LOG), ("shop", "cart-1", "app", False): LOG}
        more = [LogRequest("shop", "cart-1", "app"), LogRequest("shop", "cart-2", "app"), LogRequest("..", "x", "y")]
        report = await record(cluster(logs=texts), tmp_path / "a.tar.gz", reads=READS, most_containers=1, logs=more)
        assert [log.pod for log in report.manifest.logs] == ["cart-1", "cart-2", "cart-2"]

    async def test_the_worst_first_and_the_rest_counted(self, tmp_path: Path) -> None:
        pods = [
            pod("restarted-once", restarts=1),
            pod("not-ready", ready=False),
            pod("crashing", restarts=9, waiting="CrashLoopBackOff"),
        ]
        texts = {("shop", name, "app", False): LOG for name in ("restarted-once", "not-ready", "crashing")}
        live = cluster(objects={POD: pods}, logs=texts)
        report = await record(live, tmp_path / "a.tar.gz", reads=READS, most_containers=2)
        assert {log.pod for log in report.manifest.logs} == {"crashing", "not-ready"}
        assert report.manifest.logs_left_out == 1
        assert [(n.what, n.why) for n in report.not_recorded] == [("logs of 1 more containers", "not_asked")]

    async def test_the_last_lines(self, tmp_path: Path) -> None:
        report = await record(
            cluster(logs=dict.fromkeys(self.RUNS, LOG)), tmp_path / "a.tar.gz", reads=READS, log_lines=1
        )
        assert [(log.lines, log.cut) for log in collected(report)] == [(1, True), (1, True)]

    async def test_none_where_nobody_declared_them(self, tmp_path: Path) -> None:
        live = cluster(logs=dict.fromkeys(self.RUNS, LOG))
        report = await record(live, tmp_path / "a.tar.gz", reads=[Read(POD)])
        assert report.manifest.logs == ()
        report = await record(live, tmp_path / "b.tar.gz", reads=READS, log_lines=0)
        assert report.manifest.logs == ()

    async def test_errors_are_noted(self, tmp_path: Path) -> None:
        live = cluster(errors=dict.fromkeys(self.RUNS, DeniedError("no logs")))
        report = await record(live, tmp_path / "a.tar.gz", reads=READS)
        assert [(n.what, n.why) for n in report.not_recorded] == [("log of shop/cart-2/app", "denied")] * 2


@pytest.mark.parametrize(
    "spoil", [lambda files: files.pop("objects/nodes/_cluster.jsonl"), lambda files: files.pop("snapshot.json")]
)
async def test_what_is_taken_out_later_is_missed(tmp_path: Path, spoil: Callable[[dict[str, bytes]], object]) -> None:
    await record(cluster(), tmp_path / "a.tar.gz", reads=READS)
    files = members(tmp_path / "a.tar.gz")
    spoil(files)
    for name, content in files.items():
        (tmp_path / "spoilt" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "spoilt" / name).write_bytes(content)
    with pytest.raises((FailedReadError, SnapshotError)):
        async with SnapshotSource("x", tmp_path / "spoilt").open(GRANT) as then:
            await then.list(NODE)
