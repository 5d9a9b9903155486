"""Findings about writes that the API server refuses for what is written."""

from typing import Any

import pytest
from builders import ago, event, obj, replica_set
from hypothesis import given
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, roots, severe, shuffled

from firstmate_tools.fields import Obj

STATEFUL = (
    'StatefulSet.apps "cart" is invalid: spec: Forbidden: updates to statefulset spec for fields other than '
    "'replicas', 'ordinals', 'template', 'updateStrategy' are forbidden"
)
SELECTOR = (
    'Helm upgrade failed: cannot patch "cart" with kind Deployment: Deployment.apps "cart" is invalid: spec.selector: '
    'Invalid value: {"matchLabels":{"app":"basket"}}: field is immutable'
)
LARGE = "failed to save state: etcdserver: request is too large"


def release(name: str = "cart", namespace: str = "shop") -> Obj:
    return obj("HelmRelease", name, namespace, api="helm.toolkit.fluxcd.io/v2", spec={}, status={})


def told(message: str, about: Obj | None = None, reason: str = "UpgradeFailed", **rest: Any) -> Obj:
    return event(about or release(), reason, message, **rest)


def stateful() -> Obj:
    return obj("StatefulSet", "cart", api="apps/v1", spec={"replicas": 0, "serviceName": "cart"}, status={})


def test_a_selector_cannot_change():
    one = finding(*app("cart"), release(), told(SELECTOR, count=4))
    assert (one.cause, str(one.object), one.severity) == ("immutable-field-changed", "deployment/cart", "warning")
    assert "helmrelease/cart tries to change spec.selector of deployment/cart" in one.summary
    assert one.evidence[1].field == "spec.selector"


DIES: dict[str, Any] = {"waiting": "CrashLoopBackOff", "restarts": 4, "last": {"exitCode": 1}}


def test_a_deployer_that_dies_of_a_field_that_cannot_change():
    line = 'The Job "seed" is invalid: spec.template: Invalid value: {"x":1}: field is immutable'
    seed = obj("Job", "seed", api="batch/v1", spec={"completions": 1}, status={"succeeded": 1})
    deployer = app("deployer", **DIES)
    logs = {("shop", deployer[-1]["metadata"]["name"], "app", True): f"applying\n{line}\n"}
    (root,) = linked(*deployer, seed, logs=logs)
    assert (root.finding.cause, str(root.finding.object)) == ("immutable-field-changed", "job/seed")
    assert "deployment/deployer tries to change spec.template of job/seed" in root.finding.summary
    assert "application-exits-on-error" in {e.cause for e in root.explained}


def test_a_deployer_that_helm_refuses():
    deployer = app("deployer", **DIES)
    line = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"
    logs = {("shop", deployer[-1]["metadata"]["name"], "app", True): f"upgrading cart\n{line}\n"}
    (root,) = linked(*deployer, logs=logs)
    assert (root.finding.cause, str(root.finding.object)) == ("helm-release-pending", "deployment/deployer")
    assert "application-exits-on-error" in {e.cause for e in root.explained}


def test_a_statefulset_has_few_fields_that_can_change():
    one = finding(stateful(), told(STATEFUL))
    assert str(one.object) == "statefulset/cart"
    assert "fields of its spec that a StatefulSet cannot change" in one.summary


@pytest.mark.parametrize(
    "objects",
    [
        [told(SELECTOR)],
        [*app("cart"), told(SELECTOR, seconds_ago=7200)],
        [*app("cart"), release(), told(SELECTOR, {**release(), "metadata": {**release()["metadata"], "uid": "old"}})],
        [*app("cart"), told("all is well", type_="Normal")],
    ],
)
def test_a_refusal_of_the_past_is_none(objects: list[Obj]):
    assert severe(*objects) == []


def test_what_was_made_anew_since_is_mended():
    fresh = stateful()
    fresh["metadata"]["creationTimestamp"] = ago(10)
    assert severe(fresh, told(STATEFUL)) == []


def test_an_object_that_is_too_large():
    one = finding(release(), told(LARGE))
    assert (one.cause, str(one.object), one.confidence) == ("etcd-object-too-large", "helmrelease/cart", "likely")
    assert severe(release(), told(LARGE, seconds_ago=7200)) == []
    assert severe(told(LARGE, replica_set("gone-1", of="gone"))) == []


ALL = [*app("cart"), release(), told(SELECTOR), told(LARGE, reason="Odd")]


@given(st.integers(0, 999))
def test_order_does_not_matter(seed: int):
    assert roots(*shuffled(ALL, seed), *bystanders()) == roots(*ALL, *bystanders())


@given(damaged(ALL))
def test_absurd_fields_break_nothing(objects: list[Obj]):
    linked(*objects)


PENDING = "Helm upgrade failed for release shop/cart: another operation (install/upgrade/rollback) is in progress"


def test_a_helm_release_that_was_left_pending():
    one = finding(release(), told(PENDING, count=6))
    assert (one.cause, str(one.object), one.confidence) == ("helm-release-pending", "helmrelease/cart", "likely")
    assert "6 times so far" in one.summary


def test_a_helm_release_that_was_pending_long_ago_is_history():
    assert severe(release(), told(PENDING, seconds_ago=7200)) == []
    assert severe(told(PENDING, {**release(), "metadata": {**release()["metadata"], "uid": "old"}}), release()) == []
