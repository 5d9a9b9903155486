"""Findings about pods that fail for what admission put into them."""

from typing import Any

import pytest
from builders import ago, container, event, facts_of, obj, pending, replica_set
from hypothesis import given
from hypothesis import strategies as st
from test_rules_policies import SHOP, backend, hook
from verdicts import app, bystanders, damaged, finding, linked, named, renamed, roots, severe, shuffled

from firstmate_tools.diagnosis.rule import ListWant, all_rules
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import LIMIT_RANGE, MUTATING_WEBHOOK

RULES = {rule.name: rule for rule in all_rules()}
KILLED = {"exitCode": 137, "reason": "OOMKilled", "startedAt": ago(90), "finishedAt": ago(60)}
DYING = {"waiting": "CrashLoopBackOff", "last": KILLED, "restarts": 5, "ready": False}
ADMISSION = "admissionregistration.k8s.io/v1"


def limited(value: str) -> Obj:
    return container(resources={"limits": {"memory": value}, "requests": {"memory": value}})


def killed(template: Obj, got: Obj, **rest: Any) -> list[Obj]:
    """A Deployment `cart` whose pods die of their memory limit and have another container than its template."""
    made = app(spec=template, pods=2, **{**DYING, **rest})
    for one in made:
        if one["kind"] == "Pod":
            one["spec"]["containers"] = [got]
    return made


def limit_range(default: str | None = "64Mi", name: str = "defaults") -> Obj:
    item: Obj = {"type": "Container", "max": {"memory": "4Gi"}}
    return obj("LimitRange", name, spec={"limits": [{**item, **({"default": {"memory": default}} if default else {})}]})


def told(objects: list[Obj]) -> list[Obj]:
    for one in objects:
        if one["kind"] == "Pod":
            words = "LimitRanger plugin set: cpu, memory request for container app; cpu, memory limit for container app"
            one["metadata"]["annotations"] = {"kubernetes.io/limit-ranger": words}
    return objects


def mutating(name: str = "shrink.guard.example", config: str = "shrink", **spec: Any) -> Obj:
    made = hook(name, "Mutating", config, **spec)
    made["metadata"]["creationTimestamp"] = ago(9000)
    return made


def test_a_default_limit_that_kills_is_the_limit_ranges():
    one = finding(*killed(container(), limited("64Mi")), limit_range())
    assert (one.cause, str(one.object), one.severity) == (
        "limitrange-default-too-small",
        "limitrange/defaults",
        "critical",
    )
    assert "LimitRange defaults gave it 64Mi, which is too little" in one.summary
    assert one.confidence == "certain"


def test_the_kill_itself_is_explained():
    (root,) = linked(*killed(container(), limited("64Mi")), limit_range())
    assert "oom-killed-container-limit" in {f.cause for f in root.explained}


def test_a_default_that_was_raised_since_still_explains_pods_of_before():
    one = finding(*told(killed(container(), limited("64Mi"))), limit_range("1Gi"))
    assert (one.cause, one.confidence) == ("limitrange-default-too-small", "likely")
    assert "gives 1Gi to new pods now" in one.summary


@pytest.mark.parametrize(
    "objects",
    [
        [*killed(limited("64Mi"), limited("64Mi")), limit_range()],
        [*killed(limited("64Mi"), limited("64Mi")), limit_range("32Mi")],
        [*killed(container(), limited("64Mi")), limit_range(None)],
        [*killed(container(), limited("64Mi"))],
    ],
)
def test_a_limit_that_no_limit_range_gave_is_the_containers(objects: list[Obj]):
    assert roots(*objects) == [("oom-killed-container-limit", "deployment/cart")]


def test_a_default_that_hurts_nobody_is_nothing():
    assert severe(*app(spec=container()), limit_range("16Mi")) == []


# Webhooks


def test_a_webhook_that_lowers_a_limit_is_what_has_to_be_mended():
    one = finding(*killed(limited("1Gi"), limited("64Mi")), mutating(), *backend(), SHOP)
    assert (one.cause, str(one.object)) == ("mutating-webhook-alters-pod", "mutatingwebhookconfiguration/shrink")
    assert one.confidence == "likely"
    assert "changes spec.containers[app].resources.limits.memory" in one.summary
    assert [e.value for e in one.evidence[:2]] == ["64Mi", "1Gi"]


INERT = [
    mutating("a.guard.example", "a", namespaceSelector={"matchLabels": {"team": "others"}}),
    mutating("b.guard.example", "b", objectSelector={"matchLabels": {"inject": "yes"}}),
    mutating("c.guard.example", "c", matchConditions=[{"name": "x", "expression": "false"}]),
    mutating(
        "d.guard.example",
        "d",
        rules=[{"apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["deployments"]}],
    ),
    mutating(
        "e.guard.example",
        "e",
        failurePolicy="Ignore",
        clientConfig={"service": {"namespace": "guard", "name": "gone"}},
    ),
    mutating("iam-for-pods.amazonaws.com", "pod-identity-webhook", clientConfig={"url": "https://127.0.0.1:23443/"}),
]


def test_of_several_webhooks_only_the_one_that_takes_in_the_pod_is_named():
    new = mutating("f.guard.example", "f")
    new["metadata"]["creationTimestamp"] = ago(1)
    one = finding(*killed(limited("1Gi"), limited("64Mi")), *INERT, new, mutating(), *backend(), SHOP)
    assert (one.object.name, one.confidence) == ("shrink", "likely")


def test_inert_webhooks_alone_leave_the_container_at_fault():
    inert = [one for one in INERT if one["metadata"]["name"] != "c"]
    found = roots(*killed(limited("1Gi"), limited("64Mi")), *inert, *backend(), SHOP)
    assert found == [("oom-killed-container-limit", "deployment/cart")]


def test_where_two_may_have_done_it_both_are_named_and_it_is_only_possible():
    objects = [*killed(limited("1Gi"), limited("64Mi")), mutating(), mutating("z.example", "z"), *backend(), SHOP]
    one = finding(*objects)
    assert one.confidence == "possible"
    assert "mutatingwebhookconfiguration/z" in one.summary


def test_a_mark_that_it_left_tells_which_one_it_was():
    objects = killed(limited("1Gi"), limited("64Mi"))
    for one in objects:
        if one["kind"] == "Pod":
            one["metadata"]["labels"] = {**one["metadata"]["labels"], "tuner.example/done": "true"}
    found = finding(*objects, mutating(), mutating("pods.tuner.example", "z"), *backend(), SHOP)
    assert (found.object.name, found.confidence) == ("z", "likely")


def test_a_resize_is_nobodys_webhook():
    resized = killed(limited("1Gi"), limited("64Mi"), metadata={"generation": 3})
    assert roots(*resized, mutating(), *backend(), SHOP) == [("oom-killed-container-limit", "deployment/cart")]


def test_an_image_that_was_rewritten():
    wrong = container(image="mirror.example/app:1")
    objects = app(spec=container(), waiting="ImagePullBackOff", message="not found", ready=False)
    pod = named(objects, "Pod", "cart-1-0")
    pod["spec"]["containers"] = [wrong]
    told_ = event(pod, "Failed", 'Failed to pull image "mirror.example/app:1": not found', path="spec.containers{app}")
    one = finding(*objects, told_, mutating(), *backend(), SHOP)
    assert (one.cause, "spec.containers[app].image" in one.summary) == ("mutating-webhook-alters-pod", True)


def test_a_node_selector_that_was_put_in_keeps_pods_off_nodes():
    objects = app(pods=0, replicas=1)
    body = {"containers": [container()], "nodeSelector": {"pool": "gold"}}
    waiting = pending("cart-1-0", owned_by=("ReplicaSet", "cart-1"), labels={"app": "cart"}, spec=body)
    assert roots(*objects, waiting, mutating(), *backend(), SHOP)[0][0] == "mutating-webhook-alters-pod"


def test_a_sidecar_that_runs_is_no_alteration():
    objects = app(spec=container())
    for one in objects:
        if one["kind"] == "Pod":
            one["spec"]["containers"] = [container(), container("proxy")]
    assert severe(*objects, mutating(), *backend(), SHOP) == []


def test_a_template_of_another_revision_is_not_compared():
    old = replica_set("cart-0", of="cart", template={"spec": {"containers": [limited("2Gi")]}})
    objects = killed(limited("64Mi"), limited("64Mi"))
    assert roots(*objects, old, mutating(), *backend(), SHOP) == [("oom-killed-container-limit", "deployment/cart")]


def test_a_mutating_policy_of_the_api_server_alters_pods_too():
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    spec = {"matchConstraints": {"resourceRules": rules}}
    policy = obj(
        "MutatingAdmissionPolicy", "shrink", None, api=ADMISSION, spec=spec, metadata={"creationTimestamp": ago(9000)}
    )
    bound = obj("MutatingAdmissionPolicyBinding", "shrink", None, api=ADMISSION, spec={"policyName": "shrink"})
    objects = killed(limited("1Gi"), limited("64Mi"))
    assert str(finding(*objects, policy, bound, SHOP).object) == "mutatingadmissionpolicy/shrink"
    assert roots(*objects, policy, SHOP) == [("oom-killed-container-limit", "deployment/cart")]


def test_webhooks_are_read_only_where_a_pod_is_not_as_its_template_says():
    wants = RULES["pods_altered"].wants
    assert wants is not None
    assert list(wants(facts_of(*killed(limited("64Mi"), limited("64Mi"))))) == []
    assert ListWant(MUTATING_WEBHOOK) in list(wants(facts_of(*killed(limited("1Gi"), limited("64Mi")))))
    ranges = RULES["default_limit_starves"].wants
    assert ranges is not None
    assert list(ranges(facts_of(*killed(container(), limited("64Mi"))))) == [ListWant(LIMIT_RANGE, "shop")]


ALL = [*killed(limited("1Gi"), limited("64Mi")), mutating(), *INERT, *backend(), SHOP, limit_range()]


@given(st.integers(0, 999))
def test_order_does_not_matter(seed: int):
    assert roots(*shuffled(ALL, seed)) == roots(*ALL)


@given(damaged([*ALL, *told(killed(container(), limited("64Mi")))]))
def test_absurd_fields_break_nothing(objects: list[Obj]):
    linked(*objects)


def test_names_and_bystanders_change_nothing():
    assert [cause for cause, _ in roots(*renamed(ALL, "kitten"), *bystanders())] == ["mutating-webhook-alters-pod"]
