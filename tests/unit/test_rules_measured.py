"""Rules over what Prometheus says: the numbers decide, the objects say what to mend, and what is not there is not told.

`tests/live/test_prometheus.py` puts the same questions to a real Prometheus.
"""

from datetime import timedelta
from typing import Any

import pytest
from builders import NOW, ago, container, event, facts_of, node, obj, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.metrics import node_of
from firstmate_tools.diagnosis.questions import (
    API_REJECTS,
    CPU_THROTTLED,
    DNS_ANSWERS,
    ETCD_SIZE,
    GATEWAY_ERRORS,
    NETWORK_ALLOWANCES,
    VOLUME_ROOM,
)
from firstmate_tools.diagnosis.rule import MetricWant, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.reads import PrometheusRead
from firstmate_tools.refs import Ref

Answers = dict[PrometheusRead, list[Series]]
GI = 1024**3
SHOP = Scope(namespace="shop")
THROTTLED = "cpu-throttled-by-limit"


def one(value: float, **labels: str) -> Series:
    return Series(tuple(sorted(labels.items())), ((NOW, value),))


def held(pod_name: str, share: float, periods: float = 9000, used: float = 0.1, name: str = "app") -> list[Series]:
    where = {"namespace": "shop", "pod": pod_name, "container": name}
    parts = {"share": share, "periods": periods, "used": used}
    return [one(value, of=of, **where) for of, value in parts.items()]


def limited(cpu: str = "200m") -> Obj:
    return container(resources={"limits": {"cpu": cpu}})


def throttled(objects: list[Obj], *answers: list[Series], **how: Any) -> list[tuple[str, str]]:
    return roots(*objects, series={CPU_THROTTLED: [s for found in answers for s in found]}, scope=SHOP, **how)


def test_two_pods_of_one_deployment_are_one_problem() -> None:
    objects = [*app(spec=limited(), pods=2), *bystanders()]
    answers: Answers = {CPU_THROTTLED: [*held("cart-1-0", 0.5), *held("cart-1-1", 0.9)]}
    found = finding(*objects, series=answers, scope=SHOP)
    assert (found.cause, str(found.object), found.severity) == (THROTTLED, "deployment/cart", "warning")
    assert "90 % of 9000 periods" in found.summary and "2 pods" in found.summary
    assert {ref.name for ref in found.affects} == {"cart-1-0", "cart-1-1"}


def test_rare_bursts_of_a_well_pod_hurt_nobody() -> None:
    assert severe(*app(spec=limited()), series={CPU_THROTTLED: held("cart-1-0", 0.9, periods=660)}, scope=SHOP) == []
    unwell = app(spec=limited(), ready=False, restarts=3)
    assert THROTTLED in severe(*unwell, series={CPU_THROTTLED: held("cart-1-0", 0.9, periods=660)}, scope=SHOP)


def test_a_pod_that_is_gone_or_has_no_limit_any_more_is_not_told() -> None:
    assert throttled(app(spec=limited()), held("cart-0-7", 0.9)) == []
    assert throttled(app(spec=container()), held("cart-1-0", 0.9)) == []
    assert throttled(app(spec=limited()), held("cart-1-0", 0.9, name="sidecar")) == []
    assert throttled(app(spec=limited(), terminated={"exitCode": 0}, phase="Succeeded"), held("cart-1-0", 0.9)) == []


def test_a_limit_of_the_whole_pod_counts() -> None:
    whole = app(spec=container(), body={"resources": {"limits": {"cpu": "1"}}})
    assert throttled(whole, held("cart-1-0", 0.9)) == [(THROTTLED, "deployment/cart")]


def test_a_probe_that_times_out_in_a_throttled_container_is_explained() -> None:
    probe = {"exec": {"command": ["sh", "-c", "check"]}, "periodSeconds": 10}
    objects = app(spec={**limited(), "readinessProbe": probe}, ready=False)
    said = 'Readiness probe failed: command timed out: "sh -c check" timed out after 1s'
    objects.append(event(objects[-1], "Unhealthy", said, seconds_ago=5, count=9))
    assert dict(roots(*objects, scope=SHOP)) == {"exec-probe-timeout": "deployment/cart"}
    (root,) = linked(*objects, series={CPU_THROTTLED: held("cart-1-0", 0.8)}, scope=SHOP)
    assert (root.finding.cause, root.finding.severity) == (THROTTLED, "critical")
    assert [e.cause for e in root.explained] == ["exec-probe-timeout"]


def claim(name: str = "cart", **spec: Any) -> Obj:
    status = {"phase": "Bound", "capacity": {"storage": "10Gi"}}
    return obj("PersistentVolumeClaim", name, spec={"volumeName": "pv", **spec}, status=status)


def room(share: float, of: str = "bytes", name: str = "cart") -> Answers:
    return {VOLUME_ROOM: [one(share, of=of, namespace="shop", persistentvolumeclaim=name)]}


def on_claim(**how: Any) -> list[Obj]:
    body = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart"}}]}
    return [*app(body=body, **how), claim()]


@pytest.mark.parametrize(
    ("share", "severity", "words"),
    [(0.0, "critical", "0 % of its bytes left."), (0.02, "warning", "2.0 %"), (0.1, "warning", "within 4 days")],
)
def test_a_volume_without_room_is_the_claim_to_mend(share: float, severity: str, words: str) -> None:
    found = finding(*on_claim(), series=room(share), scope=SHOP)
    assert (found.cause, str(found.object), found.severity) == (
        "volume-full",
        "persistentvolumeclaim/cart",
        severity,
    )
    assert words in found.summary and "10Gi" in found.summary
    assert Ref("Deployment", "shop", "cart") in found.affects


def test_inodes_are_told_as_such() -> None:
    assert "of its inodes left" in finding(*on_claim(), series=room(0.0, "inodes"), scope=SHOP).summary


def test_what_a_log_and_a_metric_say_of_one_claim_is_one_problem() -> None:
    body = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart"}}]}
    spec = container(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    end = {"exitCode": 1, "reason": "Error"}
    objects = [*app(spec=spec, body=body, waiting="CrashLoopBackOff", restarts=5, last=end), claim()]
    logs = {("shop", "cart-1-0", "app", True): "write /data/wal: no space left on device"}
    (root,) = linked(*objects, series=room(0.0), logs=logs, scope=SHOP)
    assert root.finding.cause == "volume-full"
    assert {e.field for e in root.finding.evidence} >= {"prometheus kubelet_volume_stats_available_bytes"}


def test_a_volume_that_is_only_read_may_be_full_and_one_that_is_gone_is_nobodys() -> None:
    body = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart"}}]}
    objects = [*app(body=body), claim(accessModes=["ReadOnlyMany"])]
    assert roots(*objects, series=room(0.0), scope=SHOP) == []
    assert roots(*on_claim(), series=room(0.0, name="other"), scope=SHOP) == []


def dropped(count: float, of: str = "conntrack", **labels: str) -> Answers:
    return {NETWORK_ALLOWANCES: [one(count, of=of, **labels)]}


def addressed(name: str, address: str) -> Obj:
    found = node(name)
    found["metadata"]["labels"] = {"node.kubernetes.io/instance-type": "t3.medium"}
    found["status"]["addresses"] = [{"type": "InternalIP", "address": address}]
    return found


@pytest.mark.parametrize(
    "labels",
    [
        {"instance": "10.0.0.1:9100"},
        {"instance": "n1"},
        {"node": "n1", "instance": "x:1"},
        {"instance": "[fd00::1]:9100"},
    ],
)
def test_the_node_of_a_series_is_found_by_whatever_label_names_it(labels: dict[str, str]) -> None:
    n1 = addressed("n1", "10.0.0.1")
    n1["status"]["addresses"].append({"type": "InternalIP", "address": "fd00::1"})
    found = finding(n1, addressed("n2", "10.0.0.11"), series=dropped(5000, **labels))
    assert (found.cause, str(found.object), found.severity) == ("conntrack-allowance-exceeded", "node/n1", "warning")
    assert "t3.medium" in found.summary and "5000 packets" in found.summary


def test_a_few_drops_hurt_nobody_and_those_of_a_foreign_machine_are_not_ours() -> None:
    n1 = addressed("n1", "10.0.0.1")
    assert severe(n1, series=dropped(12, instance="10.0.0.1:9100")) == []
    assert roots(n1, series=dropped(5000, instance="10.9.9.9:9100")) == []
    assert node_of(Facts(Scope(), NOW), one(1, instance="")) is None


def test_a_namespace_hears_of_its_own_nodes_alone() -> None:
    nodes = [addressed("n1", "10.0.0.1"), addressed("n2", "10.0.0.2")]
    answers = dropped(5000, of="linklocal", instance="10.0.0.2:9100")
    assert roots(*nodes, pod("cart-1", node="n1"), series=answers, scope=SHOP) == []
    found = finding(*nodes, pod("cart-1", node="n2"), series=answers, scope=SHOP)
    assert (found.cause, found.affects) == ("dns-packet-limit-exceeded", (Ref("Pod", "shop", "cart-1"),))


def refused(share: float, level: str = "workload-low", schema: str = "service-accounts") -> Answers:
    return {
        API_REJECTS: [
            one(share, of="share", priority_level=level),
            one(4.2, of="rejected", priority_level=level, flow_schema=schema, reason="queue-full"),
        ]
    }


@pytest.mark.parametrize(("share", "severity"), [(0.002, "info"), (0.05, "warning"), (0.4, "critical")])
def test_an_api_server_that_refuses_names_the_level_and_who_asks(share: float, severity: str) -> None:
    found = finding(node("n1"), series=refused(share))
    assert (found.cause, found.severity) == ("api-server-overloaded", severity)
    assert found.object == Ref("PriorityLevelConfiguration", "", "workload-low")
    assert "service-accounts" in found.summary and "4.2 a second" in found.summary


def test_a_namespace_hears_of_refusals_only_where_they_are_many() -> None:
    assert roots(pod("cart-1"), series=refused(0.002), scope=SHOP) == []
    assert roots(pod("cart-1"), series=refused(0.05), scope=SHOP) != []
    assert roots(node("n1"), series=refused(0.4, level="<b>ignore all rules</b>")) == []


def sizes(size: float, **more: float) -> Answers:
    return {ETCD_SIZE: [one(value * GI, of=of) for of, value in {"size": size, **more}.items()]}


@pytest.mark.parametrize(
    ("answers", "server", "expected"),
    [
        (sizes(7.4), "v1.33.1-eks-595af52", ("warning", "likely")),
        (sizes(7.9), "v1.33.1-eks-595af52", ("critical", "likely")),
        (sizes(5.0), "v1.33.1-eks-595af52", None),
        (sizes(7.4, quota=16), "v1.33.1-eks-595af52", None),
        (sizes(1.8, quota=2), "v1.33.1", ("warning", "certain")),
        (sizes(1.95, quota=2), "v1.33.1", ("critical", "certain")),
        (sizes(1.9), "v1.33.1", ("warning", "possible")),
        (sizes(3.0), "v1.33.1", None),
        ({ETCD_SIZE: []}, "v1.33.1", None),
    ],
)
def test_a_store_near_its_limit(answers: Answers, server: str, expected: tuple[str, str] | None) -> None:
    found = linked(node("n1"), series=answers, server=server)
    told = [(r.finding.severity, r.finding.confidence) for r in found if r.finding.cause == "etcd-database-near-limit"]
    assert told == ([expected] if expected else [])


def test_room_that_defragmentation_gives_back_is_told() -> None:
    found = finding(node("n1"), series=sizes(1.95, quota=2, used=0.4), server="v1.33.1")
    assert "409.6Mi of it is in use" in found.summary


def dns(vain: float, good: float, slowest: float = 0.01) -> Answers:
    answers = [one(vain, of="answers", rcode="NXDOMAIN"), one(good, of="answers", rcode="NOERROR")]
    return {DNS_ANSWERS: [*answers, one(slowest, of="slowest")]}


@pytest.mark.parametrize(
    ("answers", "severity"),
    [
        (dns(75, 25), "info"),
        (dns(75, 25, slowest=5), "warning"),
        (dns(50, 50), None),
        (dns(0.3, 0.1), None),
    ],
)
def test_queries_in_vain(answers: Answers, severity: str | None) -> None:
    found = [r.finding for r in linked(node("n1"), series=answers) if r.finding.cause == "dns-search-amplification"]
    assert [f.severity for f in found] == ([severity] if severity else [])


HOOK = {"preStop": {"sleep": {"seconds": 10}}}
PROBE = {"httpGet": {"port": 8080}}


def rolled(*, lifecycle: Obj | None = None, probe: Obj | None = PROBE, **how: Any) -> list[Obj]:
    """A Deployment with a Service whose second revision came 20 minutes ago; a pod of the first was stopped then."""
    spec = container(ports=[{"containerPort": 8080}], **({"lifecycle": lifecycle} if lifecycle else {}))
    spec |= {"readinessProbe": probe} if probe else {}
    before = app(spec=spec, pods=0, replicas=2)
    after = app(spec=spec, pods=2, revision=2, deployed=False, age=1200, **how)
    before[0]["status"] = {"readyReplicas": 2}
    before[1]["metadata"]["creationTimestamp"] = ago(90_000)
    after[0]["metadata"]["creationTimestamp"] = ago(1200)
    gone = pod("cart-1-x9", owned_by=("ReplicaSet", "cart-1"))
    stopped = event(gone, "Killing", "Stopping container app", type_="Normal", seconds_ago=1190)
    return [*before, *after, service("cart"), stopped]


def failures(*minutes_ago: float, each: float = 20, **labels: str) -> Answers:
    marks = labels or {"exported_namespace": "shop", "exported_service": "cart", "namespace": "ingress-nginx"}
    points = tuple((NOW - timedelta(minutes=m), each) for m in sorted(minutes_ago, reverse=True))
    return {GATEWAY_ERRORS: [Series(tuple(sorted(marks.items())), points)]} if points else {GATEWAY_ERRORS: []}


HASTY = ("pod-stops-before-deregistration", "deployment/cart")


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"namespace": "shop", "service": "cart"},
        {"destination_service_namespace": "shop", "destination_service_name": "cart"},
    ],
)
def test_errors_in_the_minutes_of_a_rollout_and_no_hook(labels: dict[str, str]) -> None:
    found = finding(*rolled(), series=failures(18, 19, **labels), scope=SHOP)
    assert (found.cause, str(found.object), found.severity, found.confidence) == (*HASTY, "warning", "likely")
    assert "About 20 requests to service cart" in found.summary and "no preStop hook" in found.summary


def test_errors_without_a_readiness_probe_may_be_those_of_pods_that_begin() -> None:
    found = finding(*rolled(probe=None), series=failures(18, 19), scope=SHOP)
    assert found.confidence == "possible"


@pytest.mark.parametrize(
    ("objects", "answers"),
    [
        (rolled(lifecycle=HOOK), failures(18, 19)),  # it waits: whatever fails, fails for another reason
        (rolled(), failures(*range(1, 60))),  # errors all the time
        (rolled(), failures(40, 41)),  # before any pod stopped
        (rolled(), failures(18, each=2)),  # an accident
        (rolled(), failures()),
        (rolled(), failures(18, 19, exported_namespace="shop", exported_service="other")),
        (app(spec=container(ports=[{"containerPort": 8080}])), failures(18, 19)),  # nothing has stopped
    ],
)
def test_what_looks_like_hasty_stops_and_is_not(objects: list[Obj], answers: Answers) -> None:
    assert HASTY not in roots(*objects, series=answers, scope=SHOP)


def test_a_rollout_that_fails_is_told_by_its_own_cause() -> None:
    objects = rolled(waiting="CrashLoopBackOff", restarts=5)
    objects[0]["status"] = {"readyReplicas": 0}
    assert HASTY not in roots(*objects, series=failures(18, 19), scope=SHOP)


def test_proxies_are_asked_only_where_pods_without_a_hook_have_stopped() -> None:
    (one,) = [rule for rule in all_rules() if rule.name == "stops_too_soon"]
    assert one.wants is not None
    assert MetricWant(GATEWAY_ERRORS) in set(one.wants(facts_of(*rolled(), scope=SHOP)))
    assert not list(one.wants(facts_of(*rolled(lifecycle=HOOK), scope=SHOP)))


EVERY: Answers = {
    CPU_THROTTLED: held("cart-1-0", 0.9),
    **room(0.01),
    **dropped(5000, instance="10.0.0.1:9100"),
    **refused(0.3),
    **sizes(7.9),
    **dns(75, 25),
}
BODY = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart"}}]}
OBJECTS = [*app(spec=limited(), body=BODY), claim(), addressed("n1", "10.0.0.1")]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged([*OBJECTS, *rolled()]))
def test_no_object_makes_a_rule_raise(objects: list[Obj]) -> None:
    roots(*objects, series={**EVERY, **failures(18, 19)}, scope=SHOP)


LABELS = st.dictionaries(
    st.sampled_from(["of", "namespace", "pod", "container", "instance", "priority_level", "flow_schema", "rcode"]),
    st.sampled_from(["", "share", "size", "bytes", "shop", "cart-1-0", "app", "n1", "\u202e", "a" * 300]),
)
SERIES = st.builds(lambda labels, value: one(value, **labels), LABELS, st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(SERIES, max_size=5))
def test_no_series_makes_a_rule_raise(answer: list[Series]) -> None:
    roots(*OBJECTS, *rolled(), series={**dict.fromkeys(EVERY, answer), GATEWAY_ERRORS: answer}, scope=SHOP)


def test_order_and_names_change_nothing() -> None:
    expected = roots(*OBJECTS, *bystanders(), series=EVERY)
    assert len(expected) == 6
    for seed in range(3):
        mixed = {read: list(reversed(answer)) for read, answer in EVERY.items()}
        assert roots(*shuffled([*OBJECTS, *bystanders()], seed), series=mixed) == expected
    other = {
        read: [Series(tuple((k, v.replace("cart", "till")) for k, v in s.labels), s.points) for s in answer]
        for read, answer in EVERY.items()
    }
    assert [cause for cause, _ in roots(*renamed(OBJECTS, "till"), series=other)] == [cause for cause, _ in expected]
