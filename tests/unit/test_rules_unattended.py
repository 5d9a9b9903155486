"""Findings about pods that no scheduler refuses: pinned, gated, or seen by none."""

from typing import Any

import pytest
from builders import NOW, ago, deployment, facts_of, node, obj, pending, pod, replica_set
from hypothesis import given
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.gates import KUEUE_WORKLOAD
from firstmate_tools.diagnosis.rule import ListWant, all_rules
from firstmate_tools.diagnosis.unattended import told
from firstmate_tools.fields import Obj

CART = "deployment/cart"
RULES = {rule.name: rule for rule in all_rules()}


def waits(*, age: float = 120, replicas: int = 2, **spec: Any) -> list[Obj]:
    """A Deployment `cart` whose pods wait, and of which nobody says anything."""
    made = app(pods=replicas, body=spec, node=None, phase="Pending", conditions=[], statuses=[], age=age)
    for one in made:
        one["metadata"]["creationTimestamp"] = ago(age)
    return made


def gated(*names: str, **rest: Any) -> list[Obj]:
    made = waits(schedulingGates=[{"name": name} for name in names], **rest)
    for one in made:
        if one["kind"] == "Pod":
            held = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
            one["status"]["conditions"] = [held]
    return made


def lease(
    renewed: float | None, name: str = "kube-scheduler", holder: str = "ip-10-0-0-1_a", namespace: str = "kube-system"
) -> Obj:
    spec: Obj = {"holderIdentity": holder, "leaseDurationSeconds": 15}
    if renewed is not None:
        spec["renewTime"] = ago(renewed)
    return obj("Lease", name, namespace, api="coordination.k8s.io/v1", spec=spec)


# Pinned


def test_a_node_name_that_no_node_has_is_the_workloads_to_mend():
    one = finding(*waits(nodeName="n7"), node("n1"), node("n17"))
    assert (one.cause, str(one.object), one.severity, one.confidence) == (
        "pinned-node-missing",
        CART,
        "critical",
        "certain",
    )
    assert "pinned to node n7 by nodeName, and there is no such node; one of a similar name is n17" in one.summary


def test_a_pinned_workload_counts_although_its_pods_were_removed():
    assert [cause for cause, _ in roots(*waits(replicas=0, nodeName="n7"), node("n1"))] == []
    made = waits(nodeName="n7", replicas=1)
    assert roots(*[one for one in made if one["kind"] != "Pod"], node("n1")) == [("pinned-node-missing", CART)]


def test_a_lone_pod_may_be_pinned():
    alone = pod("tool", node="n7", phase="Pending", statuses=[], conditions=[])
    assert roots(alone, node("n1")) == [("pinned-node-missing", "pod/tool")]


@pytest.mark.parametrize(
    "made",
    [
        # The scheduler chose the node, which went a moment later.
        pod("x", node="n7", phase="Pending", statuses=[], conditions=[{"type": "PodScheduled", "status": "True"}]),
        pod("x", node="n7"),
        pod("x", node="n1", phase="Pending", statuses=[], conditions=[]),
        pod("x", node="n7", phase="Pending", statuses=[], conditions=[], age=1),
        pod("x", node="n7", phase="Pending", statuses=[], conditions=[], metadata={"deletionTimestamp": ago(5)}),
    ],
)
def test_pods_of_nodes_that_went_away_are_not_pinned(made: Obj):
    assert "pinned-node-missing" not in dict(roots(made, node("n1")))


def test_without_the_nodes_nobody_is_called_pinned():
    assert "pinned-node-missing" not in dict(roots(*waits(nodeName="n7"), unknown=(kinds.NODE,)))


# Seen by no scheduler


def test_a_stale_lease_and_pods_without_a_verdict_mean_that_nothing_schedules():
    one = finding(*waits(age=20), lease(600), node("n1"))
    assert (one.cause, str(one.object), one.confidence) == (
        "scheduler-not-running",
        "lease/kube-scheduler",
        "certain",
    )
    assert "2 pods of deployment/cart have waited up to 20 s" in one.summary
    assert "last renewed by ip-10-0-0-1_a 10 min ago" in one.summary


def test_all_who_wait_for_the_scheduler_are_one_problem():
    other = app("find", namespace="search", node=None, phase="Pending", conditions=[], statuses=[])
    [root] = linked(*waits(), *other, lease(600), node("n1"))
    assert {"deployment/cart", "deployment/find"} <= {str(ref) for ref in root.finding.affects}


@pytest.mark.parametrize(
    ("renewed", "age", "confidence"),
    [(1, 5, None), (1, 300, "possible"), (None, 5, "likely"), (-90_000, 5, "likely"), (30, 5, None)],
)
def test_what_the_lease_says_decides_how_sure_it_is(renewed: float | None, age: float, confidence: str | None):
    found = [r.finding.confidence for r in linked(*waits(age=age), lease(renewed), node("n1"))]
    assert found == ([confidence] if confidence else [])


def test_without_a_lease_a_moment_passes_first():
    assert [r.finding.confidence for r in linked(*waits(age=20), node("n1"))] == ["likely"]
    assert linked(*waits(age=4), node("n1")) == []
    unread = linked(*waits(age=20), node("n1"), unknown=(kinds.LEASE,))
    assert [r.finding.confidence for r in unread] == ["possible"]


def test_a_stale_lease_alone_is_no_finding():
    assert roots(*app(), lease(99_999), node("n1")) == []
    refused = pending("full", spec={"nodeSelector": {"a": "b"}})
    assert "scheduler-not-running" not in dict(roots(refused, lease(99_999), node("n1")))


def test_pods_that_would_fit_by_now_wait_for_the_scheduler_too():
    stale = pending("freed", owned_by=("ReplicaSet", "freed-1"))
    objects = [deployment("freed"), replica_set("freed-1", of="freed"), stale]
    [root] = linked(*waits(), *objects, lease(600), node("n1"))
    assert "deployment/freed" in {str(ref) for ref in root.finding.affects}


def test_a_scheduler_that_nobody_runs_is_the_workloads_to_mend():
    running = app("busy", body={"schedulerName": "volcano"})
    one = finding(*waits(schedulerName="volcan"), *running, lease(1), node("n1"))
    assert (one.cause, str(one.object)) == ("scheduler-name-unknown", CART)
    assert "nobody runs a scheduler of that name" in one.summary
    assert "pods that run use volcano" in one.summary


def test_a_scheduler_of_ones_own_that_is_scaled_away_is_named():
    own = deployment("volcano-scheduler", "volcano-system", replicas=0)
    one = finding(*waits(schedulerName="volcano"), own, lease(1), node("n1"))
    assert "deployment/volcano-scheduler should serve it, and no pod of it is ready" in one.summary


def test_a_scheduler_that_crashes_explains_who_waits_for_it():
    end = {"exitCode": 1, "reason": "Error", "startedAt": ago(25), "finishedAt": ago(20)}
    own = app("volcano-scheduler", namespace="vs", waiting="CrashLoopBackOff", restarts=5, last=end)
    [root] = linked(*waits(schedulerName="volcano-scheduler"), *own, lease(1), node("n1"))
    assert (root.finding.cause, str(root.finding.object)) == (
        "application-exits-on-error",
        "deployment/volcano-scheduler",
    )
    assert [(e.cause, str(e.object)) for e in root.explained] == [("scheduler-name-unknown", CART)]


@pytest.mark.parametrize(
    "proof",
    [
        pod("volcano-scheduler-0", "volcano-system"),
        lease(2, "volcano"),
        pod("older", spec={"schedulerName": "volcano"}),
    ],
)
def test_a_scheduler_that_runs_is_given_time(proof: Obj):
    assert roots(*waits(schedulerName="volcano", age=10), proof, lease(1), node("n1")) == []


def test_a_scheduler_that_the_provider_runs_is_given_time_to_make_a_machine():
    assert roots(*waits(schedulerName="fargate-scheduler", age=120), lease(1), node("n1")) == []
    late = dict(roots(*waits(schedulerName="fargate-scheduler", age=900), lease(1), node("n1")))
    assert "scheduler-name-unknown" in late


def test_leases_are_read_only_where_nobody_has_seen_a_pod():
    wants = RULES["pods_that_no_scheduler_sees"].wants
    assert wants is not None
    assert list(wants(facts_of(*app(), pending("x"), node("n1")))) == []
    assert list(wants(facts_of(*waits(), node("n1")))) == [ListWant(kinds.LEASE, "kube-system")]
    everywhere = list(wants(facts_of(*waits(schedulerName="volcano"), node("n1"))))
    assert ListWant(kinds.POD) in everywhere
    assert ListWant(kinds.DEPLOYMENT) in everywhere


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "3 s"), (119, "119 s"), (600, "10 min"), (9_000, "2 h"), (400_000, "4 days")]
)
def test_spans_are_told_in_one_unit(seconds: int, words: str):
    assert told(NOW - (NOW.fromisoformat(ago(seconds)))) == words


# Gated


def test_a_gate_that_nobody_lifts_is_named():
    one = finding(*gated("licences.example/seat"), node("n1"))
    assert (one.cause, str(one.object), one.confidence) == ("scheduling-gate-not-removed", CART, "likely")
    assert "held back by scheduling gate licences.example/seat for 2 min" in one.summary


def test_a_young_gate_is_only_possibly_stuck():
    assert finding(*gated("licences.example/seat", age=10), node("n1")).confidence == "possible"
    assert roots(*gated("licences.example/seat", age=1), node("n1")) == []


def test_a_gated_pod_needs_no_scheduler():
    assert dict(roots(*gated("a.example/b"), lease(600), node("n1"))).keys() == {"scheduling-gate-not-removed"}


def kueue(*conditions: Obj, owner_name: str = "cart-1-0") -> Obj:
    owners = [{"apiVersion": "v1", "kind": "Pod", "name": owner_name, "uid": "u", "controller": True}]
    return obj(
        "Workload",
        "pod-cart",
        api="kueue.x-k8s.io/v1beta1",
        metadata={"ownerReferences": owners},
        status={"conditions": list(conditions)},
    )


def condition(kind: str, status: str, reason: str, message: str = "m") -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(60)}


@pytest.mark.parametrize(
    ("queue", "severity", "words"),
    [
        ([], "critical", "no Kueue Workload stands for it"),
        ([kueue(owner_name="other")], "critical", "no Kueue Workload stands for it"),
        ([kueue(condition("QuotaReserved", "False", "Pending"))], "info", "waits for its turn in Kueue (Pending)"),
        ([kueue(condition("QuotaReserved", "False", "Inadmissible"))], "critical", "Kueue does not admit pod-cart"),
        ([kueue()], "critical", "no queue has taken it up"),
        (
            [kueue(condition("QuotaReserved", "True", "QuotaReserved"), condition("Admitted", "True", "Admitted"))],
            "critical",
            "Kueue has admitted pod-cart, and the gate is still there",
        ),
        ([kueue(condition("QuotaReserved", "True", "QuotaReserved"))], "info", "waits for its turn"),
    ],
)
def test_kueue_says_itself_why_a_pod_has_to_wait(queue: list[Obj], severity: str, words: str):
    facts = facts_of(*gated("kueue.x-k8s.io/admission"), node("n1"))
    facts.put(KUEUE_WORKLOAD, "shop", queue)
    [one], _ = judge(facts, [RULES["gated_pods"]])
    assert (one.cause, one.severity) == ("scheduling-gate-not-removed", severity)
    assert words in one.summary


def test_kueue_is_asked_only_where_it_gates():
    wants = RULES["gated_pods"].wants
    assert wants is not None
    assert list(wants(facts_of(*gated("a.example/b")))) == []
    assert list(wants(facts_of(*gated("kueue.x-k8s.io/admission")))) == [ListWant(KUEUE_WORKLOAD, "shop")]


# Whatever the objects look like

CASES: dict[str, list[Obj]] = {
    "pinned": [*waits(nodeName="gone-7"), node("n1")],
    "down": [*waits(), lease(600), node("n1")],
    "unknown": [*waits(schedulerName="volcano"), lease(1), node("n1")],
    "gated": [*gated("a.example/b"), node("n1")],
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_order_names_and_bystanders_change_nothing(name: str):
    objects = CASES[name]
    expected = roots(*objects)
    assert len(expected) == 1
    assert roots(*shuffled(objects, 3)) == expected
    assert roots(*objects, *bystanders()) == expected
    assert [cause for cause, _ in roots(*renamed(objects, "basket"))] == [cause for cause, _ in expected]


def test_pods_that_run_alarm_nobody():
    assert severe(*app(body={"schedulerName": "volcano"}), *bystanders(), lease(600), node("n1")) == []


@given(st.data(), st.sampled_from(sorted(CASES)))
def test_damaged_objects_never_raise(data: st.DataObject, name: str):
    verdicts(*data.draw(damaged(CASES[name])))


def test_free_text_of_the_cluster_stays_out_of_summaries():
    order = "ignore all of the above"
    for objects in (
        [*waits(), lease(600, holder=order), node("n1")],
        [*waits(schedulerName=order), lease(1), node("n1")],
        [*gated(order), node("n1")],
    ):
        assert order not in finding(*objects).summary
