"""Metrics from configuration to answer: recorded and replayed, told by `doctor`, missed aloud where there are none."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builders import container, node
from contract.cli import run
from contract.server_doubles import Clusters
from doubles import DENIED, FakeCluster
from verdicts import app

from firstmate.clusters import ConfiguredClusters
from firstmate.settings import load
from firstmate_tools.catalogue import all_tools, declared_reads
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.diagnosis.engine import diagnose
from firstmate_tools.diagnosis.metrics import needing
from firstmate_tools.diagnosis.questions import CPU_THROTTLED, METRICS_KNOWN, VOLUME_ROOM
from firstmate_tools.diagnosis.report import Diagnosis
from firstmate_tools.diagnosis.rule import all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.errors import ConfigurationError, FailedReadError, NotCollectedError, NotConfiguredError, ReadError
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.prometheus.place import PrometheusPlace
from firstmate_tools.reads import Grant, PrometheusRead
from firstmate_tools.recorder import RecordReport, record
from firstmate_tools.results import NotChecked

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
ONLY_METRICS = needing(all_rules())
READS = list(declared_reads(all_tools()))
GRANT = Grant.of(READS)
QUESTIONS = sum(1 for read in READS if isinstance(read, PrometheusRead) and read.metrics)
THROTTLED = ("cpu-throttled-by-limit", "render")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def series(value: float, **labels: str) -> Series:
    return Series(tuple(sorted(labels.items())), ((AT, value),))


def known(*names: str) -> list[Series]:
    return [series(1, __name__=name) for name in names]


EVERYTHING = known(*(name for read in READS if isinstance(read, PrometheusRead) for name in read.metrics))


def held(namespace: str, pod: str, share: float = 0.8) -> list[Series]:
    where = {"namespace": namespace, "pod": pod, "container": "app"}
    return [
        series(share, of="share", **where),
        series(9000, of="periods", **where),
        series(0.3, of="used", **where),
    ]


def shop(**how: Any) -> FakeCluster:
    answers: dict[str, list[Series] | ReadError] = {
        METRICS_KNOWN.name: EVERYTHING,
        CPU_THROTTLED.name: [*held("pay", "other-1-0"), *held("shop", "render-1-0")],
        **how.pop("series", {}),
    }
    limited = container(resources={"limits": {"cpu": "500m"}})
    objects = [node("n1"), *app("render", spec=limited), *app("other", spec=limited, namespace="pay")]
    return FakeCluster(*objects, series=answers, **how)


def told(answer: Diagnosis) -> set[tuple[str, str]]:
    return {(root.cause, root.object.name) for root in answer.root_causes}


def about_metrics(answer: Diagnosis) -> list[NotChecked]:
    return [one for one in answer.coverage.not_checked if "Prometheus" in one.what and "not read yet" not in str(one)]


async def kept(cluster: FakeCluster, path: Path, namespaces: Sequence[str] | None = None) -> RecordReport:
    return await record(cluster, path, reads=READS, namespaces=namespaces)


async def replayed(path: Path, scope: Scope) -> Diagnosis:
    async with SnapshotSource("then", path).open(GRANT) as cluster:
        return await diagnose(cluster, scope)


async def test_a_recording_tells_what_metrics_told_then(tmp_path: Path) -> None:
    await kept(shop(), tmp_path / "all.tar.gz")
    assert told(await replayed(tmp_path / "all.tar.gz", Scope(namespace="shop"))) == {THROTTLED}
    whole = await replayed(tmp_path / "all.tar.gz", Scope())
    assert told(whole) == {THROTTLED, ("cpu-throttled-by-limit", "other")}
    assert "Prometheus" in whole.coverage.checked
    assert not about_metrics(whole)
    live = await diagnose(shop(), Scope())
    assert [root.model_dump() for root in live.root_causes] == [root.model_dump() for root in whole.root_causes]


async def test_a_recording_of_one_namespace_asks_about_that_alone(tmp_path: Path) -> None:
    cluster = shop()
    await kept(cluster, tmp_path / "shop", ["shop"])
    assert (CPU_THROTTLED.name, "shop") in cluster.measured
    assert (CPU_THROTTLED.name, None) not in cluster.measured
    text = (tmp_path / "shop" / "metrics" / "cpu-throttled.json").read_text()
    assert "render-1-0" in text and "other-1-0" not in text
    assert told(await replayed(tmp_path / "shop", Scope(namespace="shop"))) == {THROTTLED}


async def test_a_recording_without_metrics_is_as_a_cluster_without_prometheus(tmp_path: Path) -> None:
    cluster = shop()
    cluster.series = None
    await kept(cluster, tmp_path / "none")
    answer = await replayed(tmp_path / "none", Scope(namespace="shop"))
    (entry,) = about_metrics(answer)
    assert (entry.what, entry.why) == (f"Prometheus: {len(ONLY_METRICS)} causes", "not_configured")
    assert answer.outcome == "nothing_found"


async def test_a_question_that_failed_then_fails_now(tmp_path: Path) -> None:
    report = await kept(shop(series={VOLUME_ROOM.name: FailedReadError("Prometheus fails.")}), tmp_path / "some")
    assert [(one.what, one.why) for one in report.not_recorded if "prometheus" in one.what] == [
        ("prometheus/volume-room", "failed")
    ]
    answer = await replayed(tmp_path / "some", Scope(namespace="shop"))
    assert [(one.what, one.why) for one in about_metrics(answer)] == [("Prometheus", "failed")]
    assert told(answer) == {THROTTLED}


async def test_another_question_than_was_recorded_has_no_answer(tmp_path: Path) -> None:
    await kept(shop(), tmp_path / "old")
    file = tmp_path / "old" / "metrics" / "cpu-throttled.json"
    file.write_text(file.read_text().replace("0.25", "0.5"))
    async with SnapshotSource("then", tmp_path / "old").open(GRANT) as cluster:
        with pytest.raises(NotCollectedError, match="another question"):
            await cluster.measure(CPU_THROTTLED)
        file.write_text("{")
        with pytest.raises(FailedReadError, match="damaged"):
            await cluster.measure(CPU_THROTTLED)


async def test_labels_that_hold_a_secret_are_masked(tmp_path: Path) -> None:
    leak = series(0.9, of="share", namespace="shop", pod="x", container="AKIAIOSFODNN7EXAMPLE")
    await kept(shop(series={CPU_THROTTLED.name: [leak]}), tmp_path / "leak")
    assert "AKIAIOSFODNN7EXAMPLE" not in (tmp_path / "leak" / "metrics" / "cpu-throttled.json").read_text()


async def test_what_prometheus_lacks_is_told_by_metric_and_counted() -> None:
    answer = await diagnose(shop(series={METRICS_KNOWN.name: known("container_cpu_cfs_periods_total")}), Scope())
    (entry,) = about_metrics(answer)
    assert entry.why == "not_installed"
    assert entry.what.endswith(f"{len(ONLY_METRICS) - 1} causes")
    assert "apiserver_flowcontrol_dispatched_requests_total" in (entry.how_to_enable or "")
    assert answer.outcome == "problems_found"


async def test_a_prometheus_that_refuses_makes_nothing_healthy() -> None:
    refused: dict[str, list[Series] | ReadError] = {
        read.name: DENIED for read in READS if isinstance(read, PrometheusRead)
    }
    answer = await diagnose(shop(series=refused), Scope(namespace="shop"))
    assert [(one.what, one.why) for one in about_metrics(answer)] == [("Prometheus", "denied")]
    assert answer.outcome == "inconclusive"


TOML = """
[clusters.prod]
context = "prod"

[clusters.prod.prometheus]
url = "https://prometheus.example.com/prod"
token_file = "token"
labels = { cluster = "prod" }
"""


def test_the_configuration_names_it_by_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "firstmate.toml").write_text(TOML)
    settings = load(tmp_path / "firstmate.toml")
    found = settings.clusters["prod"].prometheus
    assert found is not None
    assert found.place() == PrometheusPlace(
        "https://prometheus.example.com/prod", token_file=str(tmp_path / "token"), labels={"cluster": "prod"}
    )
    monkeypatch.setenv("FIRSTMATE_CLUSTERS__PROD__PROMETHEUS__TIMEOUT_S", "3")
    again = load(tmp_path / "firstmate.toml").clusters["prod"].prometheus
    assert again is not None
    assert (again.timeout_s, again.url) == (3.0, found.url)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('url = "https://u:p@host"', "must not hold credentials"),
        ('url = "https://host"\ntoken = "abc"', "Unknown key `clusters.prod.prometheus.token`"),
        ('url = "https://host"\ntokenfile = "abc"', "Did you mean `token_file`?"),
    ],
)
def test_what_is_wrong_with_it_is_named(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "firstmate.toml"
    path.write_text(f'[clusters.prod]\ncontext = "prod"\n[clusters.prod.prometheus]\n{line}\n')
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert words in str(caught.value)


def test_a_snapshot_has_none(tmp_path: Path) -> None:
    path = tmp_path / "firstmate.toml"
    path.write_text('[clusters.then]\nsnapshot = "x.tar.gz"\n[clusters.then.prometheus]\nurl = "http://host"\n')
    with pytest.raises(ConfigurationError, match="live cluster"):
        load(path)


async def test_callers_with_rights_of_their_own_are_not_told_by_prometheus(tmp_path: Path) -> None:
    (tmp_path / "firstmate.toml").write_text(TOML)
    source = ConfiguredClusters(load(tmp_path / "firstmate.toml")).source("prod")
    assert isinstance(source, LiveSource)
    message, how = source.why_no_prometheus()
    assert "impersonate" in how
    assert issubclass(NotConfiguredError, ReadError) and message


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        (None, "· Prometheus is not configured"),
        ({METRICS_KNOWN.name: EVERYTHING}, f"✓ Prometheus answers, and has {QUESTIONS} of {QUESTIONS}"),
        ({METRICS_KNOWN.name: known("container_cpu_cfs_periods_total")}, "lacks coredns_dns_responses_total"),
        ({METRICS_KNOWN.name: DENIED}, "✗ Prometheus does not answer"),
    ],
)
def test_doctor_tells_how_it_stands(
    answers: dict[str, list[Series] | ReadError] | None, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusters = Clusters(prod=FakeCluster(node("n1"), series=answers))
    clusters.user = lambda name: "alice"  # type: ignore[attr-defined]
    monkeypatch.setattr("firstmate.clusters.ConfiguredClusters", lambda settings: clusters)
    assert line in run("doctor").out
    found = json.loads(run("doctor", "--format", "json").out)["prometheus"]
    assert found["configured"] is (answers is not None)
    assert ("cpu-throttled-by-limit" in found.get("causes_not_checked", [])) is (line[0] in "·✗")
