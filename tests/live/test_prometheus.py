"""Causes that only metrics show, told from a real Prometheus: every declared question is put to it as it stands.

Objects come from a cluster in memory; the samples are what cAdvisor, kubelets, node_exporter, the API server and
CoreDNS would have given.
"""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builders import container, node, obj, pod
from doubles import FakeCluster
from prometheus_server import Samples, serving
from verdicts import app, bystanders

from firstmate_tools.diagnosis.engine import diagnose
from firstmate_tools.diagnosis.questions import GATEWAY_ERRORS
from firstmate_tools.diagnosis.report import Diagnosis
from firstmate_tools.diagnosis.rule import all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.errors import FailedReadError, ReadError, RefusedError
from firstmate_tools.fields import Obj
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.prometheus.place import PrometheusPlace
from firstmate_tools.prometheus.reader import LivePrometheus
from firstmate_tools.reads import Grant, PrometheusRead

pytestmark = pytest.mark.anyio
GI = 1024**3
READS = {read for rule in all_rules() for read in rule.digs if isinstance(read, PrometheusRead)}
LIMITED = {"limits": {"cpu": "500m"}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Measured(FakeCluster):
    """A cluster in memory whose Prometheus is a real one."""

    def __init__(self, *objects: Obj, reader: LivePrometheus, **how: Any) -> None:
        super().__init__(*objects, **how)
        self.reader = reader

    async def measure(self, read: PrometheusRead, namespace: str | None = None) -> Sequence[Series]:
        self.measured.append((read.name, namespace))
        return await self.reader.ask(read, namespace)


def reader(url: str, labels: dict[str, str] | None = None, reads: set[PrometheusRead] = READS) -> LivePrometheus:
    return LivePrometheus(PrometheusPlace(url, labels=labels or {}), Grant.of(reads), lambda: 20.0, "firstmate/test")


def claim(name: str, modes: tuple[str, ...] = ("ReadWriteOnce",)) -> Obj:
    status = {"phase": "Bound", "capacity": {"storage": "10Gi"}}
    return obj(
        "PersistentVolumeClaim", name, spec={"accessModes": list(modes), "volumeName": f"pv-{name}"}, status=status
    )


def on_claim(name: str) -> Obj:
    return {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]}


def cpu(samples: Samples, name: str, wants: float, held: float, used: float, namespace: str = "shop") -> None:
    """One container: the periods a second in which it wants to run, those in which it is held back, the cores used."""
    where = {"namespace": namespace, "pod": name, "container": "app", "cluster": "prod", "id": f"/kubepods/{name}"}
    samples.counter("container_cpu_cfs_periods_total", wants, **where)
    samples.counter("container_cpu_cfs_throttled_periods_total", held, **where)
    samples.counter("container_cpu_usage_seconds_total", used, image="registry.shop.example/app:1", **where)
    samples.counter("container_cpu_usage_seconds_total", used, **where)  # the kubelet's /metrics/resource says so too


def volume(samples: Samples, name: str, free: float, per_hour: float, inodes: float = 900_000) -> None:
    where = {"namespace": "shop", "persistentvolumeclaim": name, "cluster": "prod"}
    samples.gauge("kubelet_volume_stats_available_bytes", free * 10 * GI, per_hour=per_hour * GI, **where)
    samples.gauge("kubelet_volume_stats_capacity_bytes", 10.0 * GI, **where)
    samples.gauge("kubelet_volume_stats_inodes_free", inodes, **where)
    samples.gauge("kubelet_volume_stats_inodes", 1_000_000.0, **where)


OBJECTS: list[Obj] = [
    node("n1"),
    *app("render", spec=container(resources=LIMITED)),
    *app("nightly", spec=container(resources=LIMITED)),
    *app("idle", spec=container(resources=LIMITED)),
    *(app("ledger", body=on_claim("ledger"))),
    *(app("search", body=on_claim("search"))),
    *(app("mail", body=on_claim("mail"))),
    *(app("docs", body=on_claim("docs"))),
    claim("ledger"),
    claim("search"),
    claim("mail"),
    claim("docs", ("ReadOnlyMany",)),
    claim("roomy"),
    *bystanders(),
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    samples = Samples(datetime.now(UTC), hours=7)
    cpu(samples, "render-1-0", 10, 8, 0.49)
    cpu(samples, "nightly-1-0", 0.5, 0.4, 0.01)
    cpu(samples, "idle-1-0", 10, 1, 0.2)
    cpu(samples, "stranger-1-0", 10, 9, 0.5, namespace="elsewhere")
    volume(samples, "ledger", 0.0, -0.2)
    volume(samples, "search", 0.1, -0.5)
    volume(samples, "mail", 0.1, 0.0)
    volume(samples, "docs", 0.0, 0.0)
    volume(samples, "roomy", 0.5, -0.1)
    for name, per_second in (("conntrack", 4.0), ("linklocal", 0.1), ("bw_in", 0.0), ("bw_out", 0.0), ("pps", 2.0)):
        where = {"instance": "10.0.0.1:9100", "device": "eth0", "job": "node", "cluster": "prod"}
        samples.counter(f"node_ethtool_{name}_allowance_exceeded", per_second, **where)
    other = {"instance": "10.0.0.2:9417", "device": "eth0", "cluster": "prod"}
    samples.counter("node_net_ethtool", 3.0, type="linklocal_allowance_exceeded", **other)
    samples.counter("node_net_ethtool", 900.0, type="rx_packets", **other)
    for level, schema, good, refused in (
        ("workload-low", "service-accounts", 60.0, 6.0),
        ("global-default", "global-default", 60.0, 0.1),
        ("system", "system-nodes", 60.0, 0.0),
    ):
        where = {"priority_level": level, "flow_schema": schema, "cluster": "prod", "job": "apiserver"}
        samples.counter("apiserver_flowcontrol_dispatched_requests_total", good, **where)
        samples.counter("apiserver_flowcontrol_rejected_requests_total", refused, reason="queue-full", **where)
    samples.gauge("apiserver_storage_size_bytes", 7.4 * GI, storage_cluster_id="etcd-0", cluster="prod")
    for rcode, per_second in (("NOERROR", 20.0), ("NXDOMAIN", 62.0), ("SERVFAIL", 0.1)):
        samples.counter("coredns_dns_responses_total", per_second, rcode=rcode, server="dns://:53", cluster="prod")
    for le, share in (("0.01", 0.9), ("0.1", 0.95), ("8", 1.0), ("+Inf", 1.0)):
        samples.counter("coredns_dns_request_duration_seconds_bucket", 82 * share, le=le, cluster="prod")
    proxied = {"exported_namespace": "shop", "exported_service": "cart", "namespace": "ingress", "cluster": "prod"}
    samples.jumps("nginx_ingress_controller_requests", {19: 30, 18: 12}, status="502", **proxied)
    samples.counter("nginx_ingress_controller_requests", 50.0, status="200", **proxied)
    mesh = {"destination_service_namespace": "shop", "destination_service_name": "mesh", "cluster": "prod"}
    samples.jumps("istio_requests_total", {19: 30}, response_code="503", reporter="source", **mesh)
    with serving(samples, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


async def asked(url: str, scope: Scope, *objects: Obj, version: str = "", **labels: str) -> tuple[Diagnosis, Measured]:
    one = reader(url, labels)
    cluster = Measured(*(objects or OBJECTS), reader=one, now=datetime.now(UTC))
    if version:
        cluster.identity = cluster.identity.model_copy(update={"version": version})
    try:
        return await diagnose(cluster, scope), cluster
    finally:
        await one.close()


def told(answer: Diagnosis) -> dict[tuple[str, str], str]:
    return {(root.cause, root.object.name): root.severity for root in answer.root_causes}


async def test_a_container_held_back_all_the_time_is_told_with_its_numbers(prometheus: str) -> None:
    answer, _ = await asked(prometheus, Scope(namespace="shop"))
    found = {root.object.name: root for root in answer.root_causes if root.cause == "cpu-throttled-by-limit"}
    assert {name: root.severity for name, root in found.items()} == {"render": "warning", "nightly": "info"}
    assert "limit of 500m in 80 % of 9000 periods" in found["render"].summary
    assert "On average it uses 490m, all that it may" in found["render"].summary
    assert "On average it uses 10m, less than it may" in found["nightly"].summary
    assert found["render"].evidence[0].at is not None


async def test_volumes_without_room_are_told_and_steady_or_read_only_ones_are_not(prometheus: str) -> None:
    answer, _ = await asked(prometheus, Scope(namespace="shop"))
    full = {name: severity for (cause, name), severity in told(answer).items() if cause == "volume-full"}
    assert full == {"ledger": "critical", "search": "warning"}


async def test_drops_beyond_the_allowance_are_told_by_node_from_either_exporter(prometheus: str) -> None:
    nodes = [node("n1"), node("n2")]
    for number, one in enumerate(nodes, 1):
        one["status"]["addresses"] = [{"type": "InternalIP", "address": f"10.0.0.{number}"}]
    answer, _ = await asked(prometheus, Scope(), *nodes, pod("cart-1"))
    assert {key: severity for key, severity in told(answer).items() if key[1] in {"n1", "n2"}} == {
        ("conntrack-allowance-exceeded", "n1"): "warning",
        ("node-bandwidth-allowance-exceeded", "n1"): "warning",
        ("dns-packet-limit-exceeded", "n1"): "info",
        ("dns-packet-limit-exceeded", "n2"): "warning",
    }
    elsewhere, _ = await asked(prometheus, Scope(namespace="shop"), *nodes, pod("cart-1", node="n2"))
    assert [name for cause, name in told(elsewhere) if "allowance" in cause or "packet" in cause] == ["n2"]


async def test_an_api_server_that_refuses_and_a_store_that_fills_up(prometheus: str) -> None:
    answer, _ = await asked(prometheus, Scope(), node("n1"), pod("cart-1"), version="v1.33.1-eks-595af52")
    found = told(answer)
    assert found["api-server-overloaded", "workload-low"] == "warning"
    assert found["api-server-overloaded", "global-default"] == "info"
    assert ("api-server-overloaded", "system") not in found
    assert found["etcd-database-near-limit", "kubernetes"] == "warning"
    inside, _ = await asked(prometheus, Scope(namespace="shop"), node("n1"), pod("cart-1"))
    assert set(told(inside)) == {("api-server-overloaded", "workload-low")}


async def test_queries_in_vain_weigh_when_answers_are_late(prometheus: str) -> None:
    answer, _ = await asked(prometheus, Scope(), node("n1"), pod("cart-1"))
    (found,) = [root for root in answer.root_causes if root.cause == "dns-search-amplification"]
    assert found.severity == "warning"
    assert "76 % of CoreDNS' 82 answers a second" in found.summary


async def test_errors_of_a_proxy_come_minute_by_minute(prometheus: str) -> None:
    one = reader(prometheus, {"cluster": "prod"})
    try:
        found = await one.ask(GATEWAY_ERRORS)
    finally:
        await one.close()
    by_service = {s.label("exported_service") or s.label("destination_service_name"): s for s in found}
    assert set(by_service) == {"cart", "mesh"}
    minutes = [(datetime.now(UTC) - at).total_seconds() / 60 for at, _ in by_service["cart"].points]
    assert 2 <= len(minutes) <= 4
    assert all(15 < minute < 21 for minute in minutes)
    assert sum(value for _, value in by_service["cart"].points) / 2 == pytest.approx(42, rel=0.6)


async def test_labels_of_another_cluster_leave_nothing_to_tell(prometheus: str) -> None:
    answer, _ = await asked(prometheus, Scope(namespace="shop"), cluster="staging")
    assert not told(answer)
    (entry,) = [one for one in answer.coverage.not_checked if "does not have" in one.what]
    assert entry.why == "not_installed"
    same, _ = await asked(prometheus, Scope(namespace="shop"), cluster="prod")
    assert ("cpu-throttled-by-limit", "render") in told(same)


async def test_a_question_costs_few_requests(prometheus: str) -> None:
    _, inside = await asked(prometheus, Scope(namespace="shop"))
    _, whole = await asked(prometheus, Scope())
    assert len(inside.measured) == len(set(inside.measured)) <= 8
    assert len(whole.measured) == len(set(whole.measured)) <= 12
    assert ("cpu-throttled", "shop") in inside.measured
    assert ("cpu-throttled", None) in whole.measured


async def test_every_declared_question_is_sound_promql(prometheus: str) -> None:
    one = reader(prometheus, {"cluster": 'pr"od\\'})
    try:
        for read in READS:
            assert await one.ask(read, 'sh"op\n') == []
    finally:
        await one.close()


async def test_what_prometheus_says_of_a_bad_question_is_quoted(prometheus: str) -> None:
    bad = PrometheusRead("bad", "sum(", ("x",))
    one = reader(prometheus, reads={bad})
    try:
        with pytest.raises(FailedReadError, match="parse error") as caught:
            await one.ask(bad)
        assert caught.value.said
        with pytest.raises(RefusedError):
            await one.ask(PrometheusRead("other", "up", ("up",)))
    finally:
        await one.close()


async def test_a_range_has_a_point_for_every_step(prometheus: str) -> None:
    ranged = PrometheusRead("ranged", "sum(apiserver_storage_size_bytes{$scope})", ("x",), window_s=600, step_s=60)
    one = reader(prometheus, reads={ranged})
    try:
        (series,) = await one.ask(ranged)
        assert len(series.points) == 11
        assert series.points[0][0] < series.at
    finally:
        await one.close()


async def test_a_prometheus_that_is_gone_makes_the_answer_inconclusive(tmp_path: Path) -> None:
    with serving(Samples(datetime.now(UTC)).gauge("up", 1.0), tmp_path) as url:
        pass
    answer, _ = await asked(url, Scope(namespace="shop"), node("n1"), pod("cart-1"))
    assert answer.outcome == "inconclusive"
    (entry,) = [one for one in answer.coverage.not_checked if one.what == "Prometheus"]
    assert entry.why == ReadError.why
    assert "url" in (entry.how_to_enable or "")
