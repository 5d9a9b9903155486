"""Findings about autoscalers and disruption budgets."""

from typing import Any

import pytest
from builders import ago, container, node, obj, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools.fields import Obj

BLIND, LACKING, FULL, ASTRAY = (
    "hpa-metrics-unavailable",
    "hpa-missing-requests",
    "hpa-at-max-replicas",
    "hpa-target-invalid",
)
BLOCKS, OVERLAP, SINGLE = "pdb-blocks-eviction", "pdb-overlapping", "single-replica-no-disruption-budget"
REQUESTED = container(resources={"requests": {"cpu": "100m", "memory": "64Mi"}})
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}


def condition(kind: str, status: str, reason: str, message: str = "", since: int = 600) -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(since)}


def hpa(name: str = "cart", to: str = "cart", *conditions: Obj, most: int = 5, now: int = 1, **spec: Any) -> Obj:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": to}
    return obj(
        "HorizontalPodAutoscaler",
        name,
        api="autoscaling/v2",
        metadata={"creationTimestamp": ago(3600)},
        spec={"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": most, "metrics": [CPU], **spec},
        status={"currentReplicas": now, "desiredReplicas": now, "conditions": list(conditions)},
    )


def no_metrics(since: int = 600) -> Obj:
    return condition(
        "ScalingActive", "False", "FailedGetResourceMetric", "unable to get metrics for resource cpu", since
    )


ACTIVE = condition("ScalingActive", "True", "ValidMetricFound")


def api_service(available: str) -> Obj:
    return obj(
        "APIService",
        "v1beta1.metrics.k8s.io",
        None,
        api="apiregistration.k8s.io/v1",
        status={
            "conditions": [condition("Available", available, "MissingEndpoints" if available == "False" else "Passed")]
        },
    )


def budget(
    name: str = "cart", *, allowed: int = 0, healthy: int = 2, expected: int = 2, need: int = 2, **spec: Any
) -> Obj:
    return obj(
        "PodDisruptionBudget",
        name,
        api="policy/v1",
        metadata={"generation": 1, "creationTimestamp": ago(3600)},
        spec={"selector": {"matchLabels": {"app": "cart"}}, **(spec or {"maxUnavailable": 0})},
        status={
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": need,
            "expectedPods": expected,
        },
    )


def test_an_autoscaler_without_a_metrics_api_says_that_none_is_registered() -> None:
    found = finding(*app(spec=REQUESTED), *bystanders(), hpa("cart", "cart", no_metrics(5)))
    assert (found.cause, str(found.object), found.confidence) == (BLIND, "horizontalpodautoscaler/cart", "certain")
    assert "no metrics API metrics.k8s.io is registered" in found.summary


def test_several_blind_autoscalers_are_one_problem() -> None:
    others = [*app("web", spec=REQUESTED), hpa("web", "web", no_metrics())]
    found = finding(*app(spec=REQUESTED), hpa("cart", "cart", no_metrics()), *others)
    assert {str(ref) for ref in found.affects} >= {"deployment/cart", "deployment/web"}


def test_a_metrics_api_that_does_not_answer_is_named_with_its_reason() -> None:
    found = finding(*app(spec=REQUESTED), hpa("cart", "cart", no_metrics()), api_service("False"))
    assert found.cause == BLIND
    assert "MissingEndpoints" in found.summary


@pytest.mark.parametrize(("since", "expected"), [(20, []), (600, [BLIND])])
def test_the_first_metrics_of_new_pods_take_a_moment(since: int, expected: list[str]) -> None:
    assert severe(*app(spec=REQUESTED), hpa("cart", "cart", no_metrics(since)), api_service("True")) == expected


def test_a_container_without_the_request_that_it_is_scaled_by_is_named() -> None:
    objects = app(spec=REQUESTED)
    sidecar = container("proxy")
    for one in objects:
        if one["kind"] in {"Deployment", "ReplicaSet"}:
            one["spec"]["template"]["spec"]["containers"].append(sidecar)
    found = finding(*objects, *bystanders(), hpa("cart", "cart", no_metrics()))
    assert (found.cause, str(found.object), found.confidence) == (LACKING, "deployment/cart", "certain")
    assert "cpu in proxy" in found.summary


def test_an_absolute_target_needs_no_requests() -> None:
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}
    assert severe(*app(), hpa("cart", "cart", ACTIVE, metrics=[metric])) == []


def test_an_autoscaler_at_its_end_says_by_how_much_it_is_over() -> None:
    limited = condition("ScalingLimited", "True", "TooManyReplicas")
    scaler = hpa("cart", "cart", ACTIVE, limited, most=3, now=3)
    current = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 160}}}
    scaler["status"]["currentMetrics"] = [current]
    found = finding(*app(spec=REQUESTED, pods=3), scaler)
    assert (found.cause, str(found.object)) == (FULL, "horizontalpodautoscaler/cart")
    assert "160 % of requests, target 70 %" in found.summary


@pytest.mark.parametrize(
    "scaler",
    [
        hpa("cart", "cart", ACTIVE, condition("ScalingLimited", "True", "TooFewReplicas")),
        hpa("cart", "cart", ACTIVE, condition("ScalingLimited", "True", "TooManyReplicas"), most=5, now=3),
        hpa("cart", "cart", ACTIVE, condition("ScalingLimited", "False", "DesiredWithinRange"), most=3, now=3),
        hpa("cart", "cart"),
    ],
    ids=["at its minimum", "still growing", "at its maximum and content", "has not spoken yet"],
)
def test_an_autoscaler_that_does_its_work_is_no_finding(scaler: Obj) -> None:
    assert severe(*app(spec=REQUESTED, pods=3), scaler) == []


def test_a_target_that_is_gone_is_told_with_the_one_that_is_there() -> None:
    able = condition("AbleToScale", "False", "FailedGetScale", 'deployments.apps "cart" not found')
    found = finding(*app("cart-v2", spec=REQUESTED), *bystanders(), hpa("cart", "cart", able))
    assert (found.cause, str(found.object), found.confidence) == (ASTRAY, "horizontalpodautoscaler/cart", "certain")
    assert "cart-v2 is there" in found.summary


def test_two_autoscalers_of_one_target_are_one_problem_of_the_later() -> None:
    later = hpa("cart-copy", "cart", ACTIVE)
    later["metadata"]["creationTimestamp"] = ago(60)
    found = finding(*app(spec=REQUESTED), hpa("cart", "cart", ACTIVE), later)
    assert (found.cause, str(found.object)) == (ASTRAY, "horizontalpodautoscaler/cart-copy")
    assert "cart and cart-copy both scale deployment/cart" in found.summary


def test_a_budget_that_can_never_allow_an_eviction() -> None:
    found = finding(*app(pods=2), *bystanders(), node("n1"), budget())
    assert (found.cause, str(found.object), found.severity) == (BLOCKS, "poddisruptionbudget/cart", "warning")
    assert "maxUnavailable 0 and covers 2 pods" in found.summary


def test_a_drain_that_hangs_on_it_is_named() -> None:
    found = finding(*app(pods=2), node("n1", cordoned=True), budget(minAvailable=2))
    assert "The drain of n1 hangs on it" in found.summary


@pytest.mark.parametrize(
    "one",
    [
        budget(allowed=1, need=1, minAvailable=1),
        budget(expected=0, healthy=0, need=0),
        budget(healthy=1, need=1, minAvailable=1),
    ],
    ids=["allows one", "covers no pods", "a pod is not ready, and nobody drains"],
)
def test_budgets_that_guard_as_they_should_are_no_finding(one: Obj) -> None:
    assert severe(*app(pods=2), node("n1"), one) == []


def test_pods_that_fail_explain_the_budget_that_they_exhaust() -> None:
    crashed = {"reason": "Error", "exitCode": 1, "startedAt": ago(90), "finishedAt": ago(80)}
    broken = app(pods=2, waiting="CrashLoopBackOff", restarts=9, last=crashed)
    found = linked(*broken, node("n1", cordoned=True), budget(healthy=0, need=1, minAvailable=1))
    assert [root.finding.cause for root in found] == ["application-exits-on-error"]
    assert BLOCKS in {one.cause for one in found[0].explained}


def test_two_budgets_over_the_same_pods_are_one_problem() -> None:
    later = budget("everything", allowed=1, need=1, minAvailable=1)
    later["spec"]["selector"] = {}
    later["metadata"]["creationTimestamp"] = ago(60)
    first = budget(allowed=1, need=1, minAvailable=1)
    found = finding(*app(pods=2), node("n1"), first, later)
    assert (found.cause, str(found.object)) == (OVERLAP, "poddisruptionbudget/everything")
    assert "deployment/cart" in found.summary


def test_one_replica_that_users_reach_is_a_weakness() -> None:
    front = service("cart", type="LoadBalancer")
    front["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert roots(*app(spec=container(ports=[{"containerPort": 8080}])), front) == [(SINGLE, "deployment/cart")]
    assert severe(*app(), service("cart")) == []
    guarded = budget(expected=1, healthy=1, need=1, allowed=1)
    assert (SINGLE, "deployment/cart") not in roots(*app(), front, guarded)


EVERYTHING = [
    *app(spec=REQUESTED, pods=2),
    node("n1", cordoned=True),
    hpa("cart", "cart", no_metrics(), condition("ScalingLimited", "True", "TooManyReplicas"), most=2, now=2),
    hpa("cart-2", "cart", condition("AbleToScale", "False", "FailedGetScale")),
    budget(),
    budget("other", minAvailable=2),
    api_service("False"),
    service("cart", type="NodePort"),
]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged(EVERYTHING))
def test_absurd_objects_never_raise(objects: list[Obj]) -> None:
    linked(*objects)


@given(st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_order_and_names_do_not_matter(seed: int) -> None:
    told = roots(*EVERYTHING)
    assert roots(*shuffled(EVERYTHING, seed)) == told
    assert [cause for cause, _ in roots(*renamed(EVERYTHING, "kart"))] == [cause for cause, _ in told]
