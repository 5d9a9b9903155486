"""Findings about what a workload needs and cannot see: another namespace, what an alias means, a slice by hand."""

from typing import Any

import pytest
from builders import ago, container, deployment, event, facts_of, obj, pod, service
from verdicts import app, linked, severe

from firstmate_tools import kinds
from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Want, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

ZERO, MISSING, PORT = "workload-scaled-to-zero", "service-host-reference-invalid", "service-target-port-mismatch"
SHOP = Scope("shop")
CRASH: dict[str, Any] = {"waiting": "CrashLoopBackOff", "restarts": 5, "last": {"exitCode": 1}}
REFUSED = "dial tcp: connect to orders.data.svc.cluster.local:5432: connection refused"


def found(cause: str, *objects: Obj, **how: Any) -> list[Finding]:
    return [r.finding for r in linked(*objects, **how) if r.finding.cause == cause]


def wanted(*objects: Obj, **how: Any) -> set[Want]:
    facts = facts_of(*objects, scope=SHOP, **how)
    return {want for rule in all_rules() if rule.wants for want in rule.wants(facts)}


def log(line: str, container: str = "app", *, previous: bool = False) -> dict[tuple[str, str, str, bool], str]:
    return {("shop", "front-1-0", container, previous): f"starting\n{line}\n"}


def waiting_for_it() -> list[Obj]:
    """A pod whose init container tries a Service of another namespace over and over."""
    step = container("wait", command=["sh", "-c", "until nc -z orders.data.svc.cluster.local 5432; do sleep 2; done"])
    running = {"name": "wait", "state": {"running": {"startedAt": ago(600)}}, "started": True, "ready": False}
    front = app("front", body={"initContainers": [step]}, phase="Pending", waiting="PodInitializing")
    front[-1]["status"]["initContainerStatuses"] = [running]
    return front


def store(replicas: int, **labels: str) -> list[Obj]:
    template = {"metadata": {"labels": {"app": "orders", **labels}}, "spec": {"containers": [container()]}}
    return [service("orders", "data"), deployment("orders", "data", replicas=replicas, template=template)]


def test_who_waits_for_what_is_at_zero_in_another_namespace_is_its_victim() -> None:
    roots = linked(*waiting_for_it(), *store(0), logs=log("waiting", "wait"), scope=SHOP)
    severe_ones = [(r.finding.cause, str(r.finding.object)) for r in roots if r.finding.severity != "info"]
    assert severe_ones == [(ZERO, "deployment/orders")]
    assert "init-container-waiting" in {e.cause for e in roots[0].explained}


def test_so_is_a_program_that_dies_without_it() -> None:
    roots = linked(*app("front", **CRASH), *store(0), logs=log(REFUSED, previous=True), scope=SHOP)
    assert [r.finding.cause for r in roots if r.finding.severity != "info"] == [ZERO]


@pytest.mark.parametrize("replicas", [1, 3])
def test_what_is_asked_for_pods_is_not_at_zero(replicas: int) -> None:
    assert found(ZERO, *waiting_for_it(), *store(replicas), logs=log("waiting", "wait"), scope=SHOP) == []


def test_keda_brings_its_own_back() -> None:
    target = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"}}
    keda = obj("HorizontalPodAutoscaler", "keda-hpa-orders", "data", api="autoscaling/v2", spec=target)
    assert found(ZERO, *waiting_for_it(), *store(0), keda, logs=log("waiting", "wait"), scope=SHOP) == []


def test_what_stands_elsewhere_is_read_only_where_somebody_misses_it() -> None:
    unread = (kinds.SERVICE, kinds.DEPLOYMENT, kinds.STATEFUL_SET)
    asked = GetWant(kinds.SERVICE, Ref("Service", "data", "orders"))
    assert asked in wanted(*waiting_for_it(), unknown=unread)
    assert ListWant(kinds.STATEFUL_SET, "data") in wanted(*waiting_for_it(), *store(0))
    assert asked not in wanted(*app("front"), unknown=unread)


def alias(to: str) -> Obj:
    return service("db", selector={}, type="ExternalName", externalName=to)


def front() -> list[Obj]:
    return app("front", spec=container(env=[{"name": "DB_HOST", "value": "db"}]), **CRASH)


LOST = 'could not translate host name "db" to address: Name or service not known'


def test_an_alias_of_a_service_that_is_gone_is_what_to_mend() -> None:
    roots = linked(*front(), alias("postgres.data.svc.cluster.local"), logs=log(LOST, previous=True))
    assert [(r.finding.cause, str(r.finding.object)) for r in roots if r.finding.severity != "info"] == [
        (MISSING, "service/db")
    ]
    assert "no Service postgres in namespace data" in roots[0].finding.summary


@pytest.mark.parametrize("to", ["db.provider.example", "postgres.data", "postgres.data.svc.cluster.local"])
def test_an_alias_that_leads_outside_or_to_what_is_there_is_not(to: str) -> None:
    there = service("postgres", "data", selector={"app": "pg"})
    assert found(MISSING, *front(), alias(to), there, logs=log(LOST, previous=True)) == []


def by_hand(*names: str, addresses: bool = True) -> list[Obj]:
    """A Service with the port `sql` and no selector, and a slice with ports of these names."""
    ports = [{"name": "sql", "port": 1521, "protocol": "TCP"}]
    slice_ = obj(
        "EndpointSlice",
        "oracle-1",
        api="discovery.k8s.io/v1",
        metadata={"labels": {"kubernetes.io/service-name": "oracle"}},
        addressType="IPv4",
        ports=[{"name": name, "port": 1521, "protocol": "TCP"} for name in names],
        endpoints=[{"addresses": ["192.0.2.7"]}] if addresses else [],
    )
    return [service("oracle", selector={}, ports=ports, clusterIP="10.96.0.9"), slice_]


def test_a_slice_by_hand_whose_ports_are_called_otherwise_leads_nowhere() -> None:
    (one,) = found(PORT, *by_hand("tns"))
    assert (str(one.object), one.severity, one.confidence) == ("service/oracle", "warning", "certain")
    assert "sql" in one.summary and "tns" in one.summary


def test_it_is_critical_where_somebody_calls_it() -> None:
    caller = app("front", spec=container(env=[{"name": "DB_URL", "value": "jdbc://oracle:1521"}]))
    (one,) = found(PORT, *by_hand("tns"), *caller)
    assert one.severity == "critical" and Ref("Deployment", "shop", "front") in one.affects


@pytest.mark.parametrize("objects", [by_hand("sql"), by_hand("sql", "extra"), by_hand("tns", addresses=False)])
def test_names_that_fit_and_unfinished_work_are_left_in_peace(objects: list[Obj]) -> None:
    assert severe(*objects) == []


@pytest.mark.parametrize(
    "words",
    [
        "container create failed: open executable: Permission denied\n",
        "container create failed: cannot find `/srv/run` in rootfs: No such file or directory",
    ],
)
def test_what_crun_says_of_a_command_is_understood(words: str) -> None:
    assert severe(*app(waiting="CreateContainerError", message=words)) == ["container-command-not-found"]


def test_the_secret_of_an_ingress_is_asked_for_even_where_only_the_answer_can_say_that_it_is_not_read() -> None:
    tls = {"tls": [{"hosts": ["shop.example"], "secretName": "shop-tls"}]}
    front = obj("Ingress", "front", api="networking.k8s.io/v1", spec=tls)
    facts = facts_of(front, pod("x"), scope=Scope(None))
    every = {want for rule in all_rules() if rule.wants for want in rule.wants(facts)}
    assert GetWant(kinds.SECRET, Ref("Secret", "shop", "shop-tls"), optional=True) in every


def mounting(*sources: Obj) -> list[Obj]:
    """A pod of which the kubelet says only that its volumes did not come."""
    front = app(
        "front",
        body={"volumes": [{"name": f"v{i}", **source} for i, source in enumerate(sources)]},
        phase="Pending",
        waiting="ContainerCreating",
    )
    words = "Unable to attach or mount volumes: unmounted volumes=[v0], unattached volumes=[v0 kube-api-access-1]: "
    return [*front, event(front[-1], "FailedMount", f"{words}timed out waiting for the condition")]


SECRET: Obj = {"secret": {"secretName": "keys"}}


def test_volumes_that_only_did_not_come_in_time_are_looked_into() -> None:
    asked = GetWant(kinds.SECRET, Ref("Secret", "shop", "keys"), optional=True)
    assert asked in wanted(*mounting(SECRET))
    assert severe(*mounting(SECRET), absent=("keys",)) == ["volume-config-reference-missing"]
    assert severe(*mounting({"configMap": {"name": "settings"}})) == ["volume-config-reference-missing"]


def test_what_is_there_or_was_not_looked_at_does_not_explain_them() -> None:
    assert "volume-config-reference-missing" not in severe(*mounting(SECRET))
    assert "volume-config-reference-missing" not in severe(*mounting(SECRET), obj("Secret", "keys"))
    settings = obj("ConfigMap", "settings", data={})
    assert "volume-config-reference-missing" not in severe(*mounting({"configMap": {"name": "settings"}}), settings)
