"""Findings about rollouts, and what a failing revision changed."""

from typing import Any

import pytest
from builders import ago, container
from hypothesis import HealthCheck, given, settings
from verdicts import app, bystanders, damaged, finding, linked, roots, verdicts

from firstmate_tools.diagnosis import revisions
from firstmate_tools.diagnosis.rules.rollouts import may_be_unavailable
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

FAILING, AT_ONCE = "rollout-new-revision-failing", "rollout-max-unavailable-too-high"
STUCK = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "cart-2" has timed out progressing.',
    "lastTransitionTime": ago(60),
}
CRASH = {"reason": "Error", "exitCode": 1, "startedAt": ago(90), "finishedAt": ago(80)}


def rolling(*, old_pods: int = 2, new: Obj | None = None, stuck: bool = True, **of_new: Any) -> list[Obj]:
    """A Deployment whose second revision is on its way: two of the first serve, one of the second does not."""
    first = app("cart", spec=container(image="cart:1"), pods=old_pods, revision=1)
    second = app("cart", spec=new or container(image="cart:2"), pods=1, revision=2, deployed=False, **of_new)
    above = first[0]
    above["spec"]["replicas"] = 2
    above["status"] = {"conditions": [STUCK] if stuck else [], "updatedReplicas": 1, "replicas": old_pods + 1}
    first[1]["spec"]["replicas"] = old_pods
    second[0]["status"] = {"replicas": 1, "readyReplicas": 0}
    return [*first, *second]


UNREADY = {"ready": False, "running": True}


def test_a_stuck_rollout_without_a_known_cause_tells_what_changed() -> None:
    found = finding(
        *rolling(ready=False, new=container(image="cart:2", env=[{"name": "MODE", "value": "b"}])), *bystanders()
    )
    assert (found.cause, str(found.object), found.severity) == (FAILING, "deployment/cart", "warning")
    assert "2 pods of the one before still serve" in found.summary
    assert "spec.containers[app].image" in found.summary


def test_what_ails_the_new_pods_explains_the_stuck_rollout() -> None:
    found = linked(*rolling(waiting="CrashLoopBackOff", restarts=9, last=CRASH))
    assert [root.finding.cause for root in found] == ["application-exits-on-error"]
    assert FAILING in {one.cause for one in found[0].explained}


def test_a_rollout_within_its_deadline_is_no_finding() -> None:
    assert FAILING not in [cause for cause, _ in roots(*rolling(ready=False, stuck=False))]


def test_a_root_cause_tells_what_its_failing_revision_changed() -> None:
    objects = rolling(waiting="CrashLoopBackOff", restarts=9, last=CRASH)
    _, _, facts = verdicts(*objects)
    told = revisions.revised(facts, Ref("Deployment", "shop", "cart"))
    assert told is not None
    assert [(change.field, change.before, change.after) for change in told.changes] == [
        ("spec.containers[app].image", "cart:1", "cart:2")
    ]
    assert revisions.revised(facts, Ref("Deployment", "shop", "bystander")) is None


def test_everything_replaced_at_once_is_a_fault_beside_the_bug() -> None:
    objects = rolling(old_pods=0, waiting="CrashLoopBackOff", restarts=9, last=CRASH)
    objects[0]["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}}
    found = roots(*objects)
    assert found[0] == ("application-exits-on-error", "deployment/cart")
    assert (AT_ONCE, "deployment/cart") in found
    objects[0]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = "50%"
    assert AT_ONCE not in [cause for cause, _ in roots(*objects)]


@pytest.mark.parametrize(
    ("strategy", "replicas", "spare"),
    [
        ({}, 4, 1),
        ({"rollingUpdate": {"maxUnavailable": "100%"}}, 3, 3),
        ({"rollingUpdate": {"maxUnavailable": "34%"}}, 3, 1),
        ({"rollingUpdate": {"maxUnavailable": 2}}, 2, 2),
        ({"type": "Recreate"}, 3, 0),
        ({"rollingUpdate": {"maxUnavailable": "nonsense"}}, 3, 0),
    ],
)
def test_how_many_pods_may_be_away(strategy: Obj, replicas: int, spare: int) -> None:
    assert may_be_unavailable({"spec": {"strategy": strategy}}, replicas) == spare


EVERYTHING = [*rolling(old_pods=0, waiting="CrashLoopBackOff", restarts=9, last=CRASH), *bystanders()]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged(EVERYTHING))
def test_absurd_objects_never_raise(objects: list[Obj]) -> None:
    _, _, facts = verdicts(*objects)
    revisions.revised(facts, Ref("Deployment", "shop", "cart"))
