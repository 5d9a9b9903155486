"""Findings about volumes that were to grow, and quotas that leave an object out."""

from typing import Any

import pytest
from builders import ago, container, deployment, event, node, obj, pending, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools.fields import Obj

CLAIM = "persistentvolumeclaim/cart"
STUCK, QUOTA = "volume-expansion-stuck", "object-quota-exceeded"
EBS = "ebs.csi.aws.com"
BODY: Obj = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart"}}]}


def condition(kind: str, seconds_ago: float, message: str = "") -> Obj:
    return {"type": kind, "status": "True", "lastTransitionTime": ago(seconds_ago), "message": message}


def claim(*conditions: Obj, wants: str = "20Gi", has: str = "10Gi", state: str = "", name: str = "cart") -> Obj:
    status: Obj = {"phase": "Bound", "capacity": {"storage": has}, "conditions": list(conditions)}
    if state:
        status["allocatedResourceStatuses"] = {"storage": state}
    spec = {"volumeName": "pv-1", "resources": {"requests": {"storage": wants}}, "storageClassName": "gp3"}
    return obj("PersistentVolumeClaim", name, spec=spec, status=status)


def volume(**source: Any) -> Obj:
    spec = source or {"csi": {"driver": EBS, "volumeHandle": "vol-1"}}
    return obj("PersistentVolume", "pv-1", None, spec=spec, status={"phase": "Bound"})


def driver(ready: int = 2) -> list[Obj]:
    body = {"spec": {"containers": [container("csi-resizer"), container("ebs-plugin")]}}
    made = deployment("ebs-csi-controller", "kube-system", replicas=2, template=body, status={"readyReplicas": ready})
    return [made, obj("CSIDriver", EBS, None)]


@pytest.mark.parametrize(
    ("wanting", "words"),
    [
        (claim(state="ControllerResizeInfeasible"), "the storage driver refuses it"),
        (claim(state="NodeResizeInfeasible"), "the node's driver refuses it"),
        (claim(condition("ControllerResizeError", 30, "quota")), "it failed at the storage driver"),
        (claim(condition("FileSystemResizePending", 600)), "its file system has not on the node, for 10 minutes"),
        (claim(condition("Resizing", 3600)), "has not finished, for 60 minutes"),
    ],
)
def test_a_claim_that_does_not_grow_says_why(wanting: Obj, words: str) -> None:
    found = finding(*app(body=BODY), wanting, volume(), *driver())
    assert (found.cause, str(found.object), found.severity) == (STUCK, CLAIM, "warning")
    assert "asks for 20Gi and still has 10Gi" in found.summary
    assert words in found.summary


@pytest.mark.parametrize(
    "wanting",
    [
        claim(condition("Resizing", 30)),
        claim(condition("FileSystemResizePending", 30)),
        claim(),
        claim(wants="10Gi"),
        claim(condition("FileSystemResizePending", 9000), wants="10Gi"),
    ],
)
def test_a_resize_on_its_way_is_none(wanting: Obj) -> None:
    assert severe(*app(body=BODY), wanting, volume(), *driver()) == []


def test_a_file_system_that_waits_for_its_next_pod_is_well() -> None:
    assert severe(claim(condition("FileSystemResizePending", 9000)), volume(), *driver()) == []


def test_a_refusal_counts_while_it_is_repeated() -> None:
    wanting = claim()
    said = "resize volume pv-1 by resizer ebs.csi.aws.com failed: maximum modification rate"
    objects = [*app(body=BODY), wanting, volume(), *driver()]
    assert roots(*objects, event(wanting, "VolumeResizeFailed", said)) == [(STUCK, CLAIM)]
    assert roots(*objects, event(wanting, "VolumeResizeFailed", said, seconds_ago=3600)) == []


def test_where_nobody_can_grow_a_volume() -> None:
    assert "driver ebs.csi.aws.com does not run" in finding(claim(), volume(), *driver(ready=0)).summary
    assert "no workload in the cluster runs it" in finding(claim(), volume()).summary
    assert "nothing can grow a volume of kind nfs" in finding(claim(), volume(nfs={"server": "nas"})).summary
    wanting = claim()
    said = event(wanting, "ExternalExpanding", "waiting for an external controller", type_="Normal", seconds_ago=900)
    assert "no resizer has taken it up" in finding(wanting, volume(), *driver(), said).summary


CLAIM_REFUSED = (
    'create Claim data-db-0 for Pod db-0 in StatefulSet db failed error: persistentvolumeclaims "data-db-0" is '
    "forbidden: exceeded quota: team, requested: persistentvolumeclaims=1, used: persistentvolumeclaims=5, limited: "
    "persistentvolumeclaims=5"
)


def quota(hard: dict[str, str], used: dict[str, str]) -> Obj:
    return obj("ResourceQuota", "team", spec={"hard": hard}, status={"hard": hard, "used": used})


FULL = quota({"persistentvolumeclaims": "5"}, {"persistentvolumeclaims": "5"})


def stateful_set(name: str = "db", **spec: Any) -> Obj:
    return obj("StatefulSet", name, api="apps/v1", spec={"replicas": 1, **spec}, status={"replicas": 0})


def without_claim(name: str = "cart") -> list[Obj]:
    """A Deployment whose pod names a claim that is not there."""
    body = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]}
    waits = pending(
        f"{name}-1-0",
        f'persistentvolumeclaim "{name}" not found',
        owned_by=("ReplicaSet", f"{name}-1"),
        labels={"app": name},
        spec=body,
    )
    return [*app(name, body=body)[:-1], waits, node("n1")]


def test_a_claim_that_nobody_made_is_named_beside_one_of_a_similar_name() -> None:
    absent = ("volume-config-reference-missing", "deployment/cart")
    assert roots(*without_claim()) == [absent]
    (root,) = linked(*without_claim(), claim(name="carts"))
    assert (
        "claim cart, which pod cart-1-0 mounts, does not exist; one of a similar name is carts" in root.finding.summary
    )
    assert absent not in roots(*without_claim(), FULL), "the quota is why"
    assert roots(*without_claim(), claim(name="cart")) == []


def test_a_stateful_set_that_may_not_have_its_claim() -> None:
    objects = [stateful_set(), event(stateful_set(), "FailedCreate", CLAIM_REFUSED)]
    found = finding(*objects, FULL)
    assert (found.cause, str(found.object), found.confidence) == (QUOTA, "resourcequota/team", "certain")
    assert "persistentvolumeclaims: 5 of 5 used, and 1 more needed" in found.summary
    room = quota({"persistentvolumeclaims": "9"}, {"persistentvolumeclaims": "5"})
    assert roots(*objects, room) == []


@pytest.mark.parametrize(
    ("full", "found"),
    [
        (FULL, True),
        (quota({"count/persistentvolumeclaims": "2"}, {"count/persistentvolumeclaims": "2"}), True),
        (quota({"requests.storage": "50Gi"}, {"requests.storage": "45Gi"}), True),
        (quota({"requests.storage": "50Gi"}, {"requests.storage": "20Gi"}), False),
        (quota({"persistentvolumeclaims": "9"}, {"persistentvolumeclaims": "2"}), False),
        (quota({"services": "2"}, {"services": "2"}), False),
    ],
)
def test_a_claim_that_is_not_there_beside_a_full_quota(full: Obj, found: bool) -> None:
    others = claim(wants="10Gi", name="other")
    objects = [*without_claim(), service("cart"), others, full]
    assert [c for c, _ in roots(*objects)] == ([QUOTA] if found else ["volume-config-reference-missing"])


def test_an_ephemeral_volume_whose_claim_is_refused() -> None:
    body = {"volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]}
    waits = pending("cart", "waiting for ephemeral volume controller", spec=body)
    refused = 'persistentvolumeclaims "cart-scratch" is forbidden: exceeded quota: team, requested: '
    amounts = "requests.storage=20Gi, used: requests.storage=40Gi"
    said = f"ephemeral volume scratch: create PVC cart-scratch: {refused}{amounts}"
    hard = quota({"requests.storage": "50Gi"}, {"requests.storage": "40Gi"})
    found = finding(waits, node("n1"), event(waits, "FailedBinding", said), hard)
    assert (found.cause, found.confidence) == (QUOTA, "certain")


def test_a_full_quota_alone_is_no_fault() -> None:
    assert roots(*app(body=BODY), claim(wants="10Gi"), FULL) == []


def test_a_service_that_is_not_there_beside_a_full_quota() -> None:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = obj("Ingress", "shop", api="networking.k8s.io/v1", spec={"defaultBackend": backend})
    full = quota({"services": "3"}, {"services": "3"})
    assert (QUOTA, "resourcequota/team") in roots(ingress, full)
    assert all(c != QUOTA for c, _ in roots(ingress, full, service("web"), *app("web")))
    assert all(c != QUOTA for c, _ in roots(ingress, quota({"services": "3"}, {"services": "2"})))
    found = linked(stateful_set(serviceName="db"), full)
    assert [r.finding.cause for r in found] == [QUOTA]


MOUNTED = container(volumeMounts=[{"name": "data", "mountPath": "/var/lib/cart"}])
FULL_VOLUME = "2026-11-21 fatal: write /var/lib/cart/wal/0001: no space left on device"


def crashing(line: str, **more: Any) -> tuple[list[Obj], dict[tuple[str, str, str, bool], str]]:
    """A Deployment whose container dies with this line in its log."""
    end = {"exitCode": 1, "finishedAt": ago(60), "startedAt": ago(70)}
    made = app(spec=MOUNTED, body=BODY, waiting="CrashLoopBackOff", restarts=4, last=end, **more)
    return made, {("shop", made[-1]["metadata"]["name"], "app", True): f"starting\n{line}\n"}


def test_a_program_that_finds_no_space_on_its_claim() -> None:
    made, logs = crashing(FULL_VOLUME)
    (root,) = linked(*made, service("cart"), claim(wants="10Gi"), logs=logs)
    assert (root.finding.cause, str(root.finding.object), root.finding.severity) == ("volume-full", CLAIM, "critical")
    assert "no space left on claim cart (10Gi)" in root.finding.summary
    assert {e.cause for e in root.explained} == {"application-exits-on-error", "service-endpoints-not-ready"}


@pytest.mark.parametrize(
    "line", ["write /tmp/x: no space left on device", "no space left on device", "open /var/lib/cart/x: file exists"]
)
def test_space_that_lacks_elsewhere_is_not_the_claims(line: str) -> None:
    made, logs = crashing(line)
    assert [c for c, _ in roots(*made, claim(wants="10Gi"), logs=logs)] == ["application-exits-on-error"]


BINLOG = "[ERROR] Disk is full writing './binlog.000012' (OS errno 28 - No space left on device)"


def test_a_relative_path_is_the_claims_where_nothing_else_is_written_to() -> None:
    made, logs = crashing(BINLOG)
    (root,) = linked(*made, claim(wants="10Gi"), logs=logs)
    assert (root.finding.cause, str(root.finding.object), root.finding.confidence) == ("volume-full", CLAIM, "possible")
    made[-1]["spec"]["volumes"].append({"name": "scratch", "emptyDir": {}})
    made[-1]["spec"]["containers"][0]["volumeMounts"].append({"name": "scratch", "mountPath": "/scratch"})
    assert [c for c, _ in roots(*made, claim(wants="10Gi"), logs=logs)] == ["application-exits-on-error"]


def test_a_volume_that_was_to_grow_explains_that_it_is_full() -> None:
    made, logs = crashing(FULL_VOLUME)
    objects = [*made, claim(state="ControllerResizeInfeasible"), volume(), *driver()]
    assert roots(*objects, logs=logs) == [(STUCK, CLAIM)]


CASES = {
    "growth": [*app(body=BODY), claim(state="ControllerResizeInfeasible"), volume(), *driver()],
    "nobody": [*app(body=BODY), claim(), volume()],
    "refused": [stateful_set("cart"), event(stateful_set("cart"), "FailedCreate", CLAIM_REFUSED), FULL],
    "absent": [*without_claim(), service("cart"), FULL],
}


@pytest.mark.parametrize("case", CASES)
def test_neither_order_nor_bystanders_nor_names_change_the_verdict(case: str) -> None:
    objects = CASES[case]
    expected = roots(*objects)
    assert len(expected) == 1
    assert roots(*shuffled(objects, 7), *bystanders()) == expected
    assert [(c, o.replace("basket", "cart")) for c, o in roots(*renamed(objects, "basket"))] == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.sampled_from(sorted(CASES)).flatmap(lambda name: damaged(CASES[name])))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    linked(*objects)
