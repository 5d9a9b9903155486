"""Findings about pods that lost their place to others, and about priority classes that are not there."""

from typing import Any

import pytest
from builders import ago, container, deployment, event, facts_of, node, obj, pending, pod, replica_set
from hypothesis import given
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, roots, shuffled, verdicts

from firstmate_tools.diagnosis.rule import GetWant, ReasonWant, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

[RULE] = [rule for rule in all_rules() if rule.name == "places_lost_to_priority"]
CART = "deployment/cart"


def asks(cpu: str) -> Obj:
    return container(resources={"requests": {"cpu": cpu}})


def told(victim: str, by: str, on: str = "n1", uid: str = "uid-of-the-old", **rest: Any) -> Obj:
    gone = obj("Pod", victim, metadata={"uid": uid})
    return event(gone, "Preempted", f"Preempted by {by} on node {on}", type_="Normal", **rest)


def waiting(name: str = "cart", cpu: str = "4", number: int = 1) -> list[Obj]:
    return [
        deployment(name, replicas=number),
        replica_set(f"{name}-1", of=name, replicas=number),
        *(
            pending(f"{name}-1-new{i}", owned_by=("ReplicaSet", f"{name}-1"), containers=[asks(cpu)])
            for i in range(number)
        ),
    ]


def taker(cpu: str = "6", on: str = "n1", namespace: str = "lake") -> list[Obj]:
    spec = {"priority": 9000, "priorityClassName": "urgent"}
    return app("batch", namespace=namespace, spec=asks(cpu), body=spec, node=on)


BATCH = "pod uid-pod-batch-1-0"


def taken() -> list[Obj]:
    return [*waiting(), *taker(), told("cart-1-old", BATCH), node("n1")]


def test_a_place_that_a_higher_priority_took_is_the_cause_and_not_the_full_node():
    [root] = linked(*taken())
    one = root.finding
    assert (one.cause, str(one.object), one.severity, one.confidence) == (
        "preempted-by-higher-priority",
        CART,
        "critical",
        "certain",
    )
    assert "1 pod of deployment/cart was evicted from n1 for 1 pod of deployment/batch of priority 9000" in one.summary
    assert "insufficient-node-resources" in {e.cause for e in root.explained}


def test_the_global_default_is_told():
    by_default = obj("PriorityClass", "urgent", None, value=9000, globalDefault=True)
    assert "urgent is the global default" in finding(*taken(), by_default).summary


@pytest.mark.parametrize("by", ["lake/batch-1-0", "pod uid-pod-batch-1-0", "uid-pod-batch-1-0"])
def test_events_of_several_versions_are_understood(by: str):
    objects = [*waiting(), *taker(), told("cart-1-old", by), node("n1")]
    assert finding(*objects).cause == "preempted-by-higher-priority"


@pytest.mark.parametrize(
    "objects",
    [
        # Whoever took the place is gone, or was never seen.
        [*waiting(), told("cart-1-old", BATCH), *app("other", spec=asks("6")), node("n1")],
        [*waiting(), *taker(), told("cart-1-old", "pod 1234"), node("n1")],
        # The node would be too full without the taker too.
        [*waiting(), *taker("1"), *app("other", spec=asks("7")), told("cart-1-old", BATCH), node("n1")],
        # Another workload lost its place.
        [*waiting(), *taker(), told("find-1-old", BATCH), *app("find", spec=asks("1")), node("n1")],
    ],
)
def test_a_lack_of_room_that_has_another_reason_stays_one(objects: list[Obj]):
    assert roots(*objects) == [("insufficient-node-resources", CART)]


def test_those_who_found_another_place_are_well():
    objects = [*app(node="n2"), *taker(), told("cart-1-old", BATCH), node("n1"), node("n2")]
    found, ruled_out, _ = verdicts(*objects)
    assert found == []
    assert "preempted-by-higher-priority" in {one.cause for one in ruled_out}


def test_a_member_of_a_stateful_set_comes_back_under_its_name():
    made = [
        obj("StatefulSet", "db", api="apps/v1", spec={"replicas": 1}, status={"replicas": 1}),
        pending("db-0", owned_by=("StatefulSet", "db"), containers=[asks("4")]),
    ]
    one = finding(*made, *taker(), told("db-0", BATCH), node("n1"))
    assert (one.cause, str(one.object)) == ("preempted-by-higher-priority", "statefulset/db")


def test_a_pod_that_nobody_makes_again_is_missed():
    one = finding(*taker(), told("tool", BATCH), node("n1"))
    assert (one.cause, str(one.object), one.confidence) == ("preempted-by-higher-priority", "pod/tool", "likely")
    assert "nobody makes it again" in one.summary


def test_a_pod_that_is_still_there_was_not_evicted():
    there = pod("tool")
    assert roots(there, *taker(), told("tool", BATCH, uid=there["metadata"]["uid"]), node("n1")) == []


def test_questions_about_the_cluster_ask_for_evictions_only_where_priorities_differ():
    wants = RULE.wants
    assert wants is not None
    assert ReasonWant("Preempted") in set(wants(facts_of(*waiting(), *taker(), node("n1"))))
    assert set(wants(facts_of(*waiting(), *app("batch", spec=asks("6")), node("n1")))) == set()
    assert set(wants(facts_of(*app(), *taker(), node("n1")))) == set()
    inside = facts_of(*waiting(), *taker(namespace="shop"), node("n1"), scope=Scope("shop"))
    assert set(wants(inside)) == set()


def test_the_class_of_whoever_took_the_place_is_looked_at():
    assert RULE.wants is not None
    urgent = Ref("PriorityClass", "", "urgent")
    assert urgent in {want.ref for want in RULE.wants(facts_of(*taken())) if isinstance(want, GetWant)}


REFUSED = 'Error creating: pods "cart-1-" is forbidden: no PriorityClass with name gold was found'


def refused(**rest: Any) -> list[Obj]:
    made = app(pods=0, replicas=2, body={"priorityClassName": "gold"}, **rest)
    made[1]["spec"]["replicas"] = 2
    return [*made, event(made[1], "FailedCreate", REFUSED)]


def test_a_class_that_is_not_there_keeps_pods_from_being_made():
    one = finding(*refused(), obj("PriorityClass", "golden", None, value=5))
    assert (one.cause, str(one.object), one.confidence) == ("priority-class-missing", CART, "certain")
    assert "has 0 of 2 pods: priority class gold, which its pods name, does not exist" in one.summary
    assert "one of a similar name is golden" in one.summary


def test_a_class_that_is_back_is_ruled_out():
    found, ruled_out, _ = verdicts(*refused(), obj("PriorityClass", "gold", None, value=5))
    assert [f for f in found if f.cause == "priority-class-missing"] == []
    assert "priority-class-missing" in {one.cause for one in ruled_out}


def test_an_old_refusal_of_a_workload_that_is_complete_is_no_finding():
    made = app(pods=2, body={"priorityClassName": "gold"})
    assert roots(*made, event(made[1], "FailedCreate", REFUSED, seconds_ago=900)) == []


@pytest.mark.parametrize("objects", [taken(), refused()])
def test_order_and_bystanders_change_nothing(objects: list[Obj]):
    expected = roots(*objects)
    assert len(expected) == 1
    assert roots(*shuffled(objects, 5)) == expected
    assert roots(*objects, *bystanders()) == expected


@given(st.data(), st.sampled_from([taken(), refused()]))
def test_damaged_objects_never_raise(data: st.DataObject, objects: list[Obj]):
    verdicts(*data.draw(damaged(objects)))


def test_moments_of_evictions_are_told():
    one = finding(*waiting(), *taker(), told("cart-1-old", BATCH, seconds_ago=500), node("n1"))
    assert one.since is not None
    assert one.since.isoformat().replace("+00:00", "Z") == ago(530)
