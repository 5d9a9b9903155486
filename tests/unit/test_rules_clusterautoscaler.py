"""Findings about what Cluster Autoscaler cannot do, and its status in both forms."""

from typing import Any

import pytest
from builders import container, event, node, obj, pending, pod
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, linked, roots, severe, shuffled, verdicts

from firstmate_tools.diagnosis.nodegroups import NodeGroup, parsed, reasons
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj

UP, DOWN = "autoscaler-scale-up-impossible", "autoscaler-scale-down-blocked"
SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
YAML = """
autoscalerStatus: Running
nodeGroups:
- name: general
  health: {status: Healthy, cloudProviderTarget: 3, minSize: 1, maxSize: 3}
  scaleUp: {status: NoActivity}
- name: spot
  health: {status: Healthy, cloudProviderTarget: 0, minSize: 0, maxSize: 5}
  scaleUp:
    status: Backoff
    backoffInfo: {errorCode: InsufficientInstanceCapacity, errorMessage: none left}
"""
TEXT = """Cluster-autoscaler status at 2026-11-21 01:59:00 +0000 UTC:
Cluster-wide:
  Health:      Healthy (ready=3 unready=0)
  ScaleUp:     NoActivity (ready=3 registered=3)
NodeGroups:
  Name:        general
  Health:      Healthy (ready=3 unready=0 cloudProviderTarget=3 (minSize=1, maxSize=3))
  ScaleUp:     NoActivity (ready=3 cloudProviderTarget=3)
  Name:        spot
  Health:      Healthy (ready=0 cloudProviderTarget=0 (minSize=0, maxSize=5))
  ScaleUp:     Backoff (ready=0 cloudProviderTarget=0)
"""
BIG = container(resources={"requests": {"cpu": "6", "memory": "1Gi"}})
AT_MOST = "pod didn't trigger scale-up: 1 max node group size reached, 1 in backoff after failed scale-up"


def status(text: str = YAML) -> Obj:
    return obj("ConfigMap", "cluster-autoscaler-status", "kube-system", data={"status": text})


def full(message: str = AT_MOST, *, reason: str = "NotTriggerScaleUp", **rest: Any) -> list[Obj]:
    """One node, a workload that fills it, and one that would need another node."""
    taken = app("web", spec=BIG)
    mine = app("cart", spec=BIG)
    waiting = pending("cart-1-0", "0/1 nodes are available: 1 Insufficient cpu.", containers=[BIG])
    waiting["metadata"]["ownerReferences"] = mine[2]["metadata"]["ownerReferences"]
    said = event(waiting, reason, message, type_="Normal", **rest)
    return [node("n1"), *taken, *mine[:2], waiting, said]


def test_a_group_at_its_largest_is_why_room_is_missing() -> None:
    (root,) = linked(*full(), status())
    assert (root.finding.cause, str(root.finding.object)) == (UP, "deployment/cart")
    assert "general has 3 of at most 3" in root.finding.summary
    assert "InsufficientInstanceCapacity" in root.finding.summary
    assert "insufficient-node-resources" in {e.cause for e in root.explained}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("pod didn't trigger scale-up:", "knows no node group"),
        ("pod didn't trigger scale-up: 2 max cluster cpu, memory limit reached", "limit of the whole cluster"),
    ],
)
def test_other_reasons_that_lie_in_the_groups(message: str, words: str) -> None:
    (root,) = linked(*full(message))
    assert root.finding.cause == UP and words in root.finding.summary


def test_a_pod_that_no_node_could_take_is_its_own_cause() -> None:
    huge = container(resources={"requests": {"cpu": "64"}})
    objects = full("pod didn't trigger scale-up: 2 Insufficient cpu, 1 max node group size reached")
    for one in objects[-4:-1]:
        place = one["spec"].get("template", one)["spec"]
        place["containers"] = [huge]
    assert severe(*objects) == ["pod-larger-than-any-node"]
    assert UP in {r.cause for r in verdicts(*objects)[1]}


def selecting() -> list[Obj]:
    objects = full("pod didn't trigger scale-up: 2 node(s) didn't match Pod's node affinity/selector")
    for one in objects[-4:-1]:
        place = one["spec"].get("template", one)["spec"]
        place["nodeSelector"] = {"pool": "gpu"}
    return objects


def test_a_group_at_zero_may_lack_the_tag_that_tells_its_labels() -> None:
    (root,) = linked(*selecting(), status())
    assert root.finding.cause == UP and "spot is at zero" in root.finding.summary
    assert "node-selector-unmatched" in {e.cause for e in root.explained}
    assert severe(*selecting()) == ["node-selector-unmatched"]


@pytest.mark.parametrize(
    "rest",
    [
        {"reason": "TriggeredScaleUp", "message": "pod triggered scale-up: [{general 3->4 (max: 5)}]"},
        {"seconds_ago": 7200},
    ],
)
def test_help_on_its_way_and_old_words_leave_the_scheduler_right(rest: dict[str, Any]) -> None:
    assert severe(*full(**rest)) == ["insufficient-node-resources"]


def test_help_on_its_way_is_said() -> None:
    found = verdicts(*full(reason="TriggeredScaleUp"))[1]
    assert UP in {r.cause for r in found}


def test_a_pod_that_found_room_since_is_well() -> None:
    objects = app("cart", spec=BIG)
    said = event(objects[2], "NotTriggerScaleUp", AT_MOST, type_="Normal")
    assert severe(node("n1"), *objects, said, status()) == []


@pytest.mark.parametrize("text", [YAML, TEXT])
def test_the_status_of_both_ages(text: str) -> None:
    general, spot = parsed(text)
    assert general == NodeGroup("general", 3, 1, 3) and general.full
    assert (spot.name, spot.most, spot.backoff, spot.full) == ("spot", 5, True, False)


@given(
    st.text(max_size=200)
    | st.sampled_from(["[", "nodeGroups: 7", "nodeGroups: [1, {name: }]", "&a [*a]", "!!python/x"])
)
def test_odd_statuses_never_raise(text: str) -> None:
    parsed(text)
    reasons(text)


def test_reasons_are_told_apart_though_they_hold_commas() -> None:
    told = (
        "pod didn't trigger scale-up: 2 max cluster cpu, memory limit reached, 1 node(s) had untolerated taint {a: b}"
    )
    assert reasons(told) == [(2, "max cluster cpu, memory limit reached"), (1, "node(s) had untolerated taint {a: b}")]


def kept(*objects: Obj, **how: Any) -> list[tuple[str, str]]:
    return [(c, o) for c, o in roots(node("n1"), status(), *objects, **how) if c == DOWN]


def pinned(value: str = "false") -> list[Obj]:
    objects = app("cart")
    objects[2]["metadata"]["annotations"] = {SAFE: value}
    return objects


def test_what_keeps_an_idle_node_is_named() -> None:
    assert kept(*pinned()) == [(DOWN, "deployment/cart")]
    assert kept(pod("shell")) == [(DOWN, "pod/shell")]
    assert kept(*app("dns", namespace="kube-system")) == [(DOWN, "deployment/dns")]


def test_a_node_that_forbids_it_itself() -> None:
    held = node("n1")
    held["metadata"]["annotations"] = {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}
    (root,) = [r for r in linked(held, status()) if r.finding.cause == DOWN]
    assert (str(root.finding.object), root.finding.severity) == ("node/n1", "info")


def test_nothing_keeps_a_node_where_pods_may_move_or_it_is_busy_or_nobody_would_take_it() -> None:
    assert kept(*pinned("true")) == []
    assert kept(*app("web"), *bystanders()) == []
    assert kept(*pinned(), scope=Scope("shop")) == []
    assert kept(*pinned(), *app("web", spec=BIG)) == []
    assert DOWN not in dict(roots(node("n1"), *pinned()))


WHOLE = [*full(), pod("shell"), status()]


@given(damaged(WHOLE))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects)


def test_order_does_not_matter() -> None:
    assert len({tuple(roots(*shuffled(WHOLE, seed))) for seed in range(6)}) == 1


@pytest.mark.parametrize(
    ("info", "cause"),
    [
        ("{errorCode: placeholder-cannot-be-fulfilled, errorMessage: AWS cannot provision any more instances for this "
         "node group}", "instance-capacity-insufficient"),
        ("{errorCode: VcpuLimitExceeded, errorMessage: more vCPU capacity}", "aws-service-quota-reached"),
        ("{errorCode: other, errorMessage: launch template is gone}", UP),
    ],
)  # fmt: skip
def test_what_aws_said_of_a_group_in_backoff_decides(info: str, cause: str) -> None:
    text = YAML.replace("{errorCode: InsufficientInstanceCapacity, errorMessage: none left}", info)
    only = full("pod didn't trigger scale-up: 1 in backoff after failed scale-up")
    (root,) = linked(*only, status(text))
    assert root.finding.cause == cause
    (root,) = linked(*full(), status(text))
    assert root.finding.cause == UP
