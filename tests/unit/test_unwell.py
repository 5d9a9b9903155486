"""What looks unwell is listed, whatever the rules know of it: silence must mean that nothing is wrong."""

import pytest
from builders import ago, deployment, event, facts_of, node, obj, pod

from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.link import Root
from firstmate_tools.diagnosis.unwell import unexplained, unwell
from firstmate_tools.refs import Ref

DENIED = "pods \"db-0\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"


def stateful_set(**rest):
    return obj("StatefulSet", "db", api="apps/v1", spec={"replicas": 2}, status={"replicas": 0}, **rest)


def leaving(seconds_ago, *finalizers):
    return obj("Service", "db-old", metadata={"deletionTimestamp": ago(seconds_ago), "finalizers": list(finalizers)})


def job(*conditions):
    return obj("Job", "import", api="batch/v1", spec={"completions": 1}, status={"conditions": list(conditions)})


def unready(kind, api, seconds=900, status="False", **rest):
    said = {"type": "Ready", "status": status, "reason": "Odd", "message": "m", "lastTransitionTime": ago(seconds)}
    return obj(kind, "web", api=api, spec=rest, status={"conditions": [said]})


def degraded(seconds=900, **rest):
    health = {"status": "Degraded", "message": "m", "lastTransitionTime": ago(seconds)}
    return obj("Application", "web", api="argoproj.io/v1alpha1", spec={}, status={"health": health, **rest})


PRODUCTS = [
    ("Kustomization", "kustomize.toolkit.fluxcd.io/v1"),
    ("Certificate", "cert-manager.io/v1"),
    ("ExternalSecret", "external-secrets.io/v1"),
    ("ScaledObject", "keda.sh/v1alpha1"),
    ("NodePool", "karpenter.sh/v1"),
    ("NodeClaim", "karpenter.sh/v1"),
]


@pytest.mark.parametrize(("kind", "api"), PRODUCTS)
def test_a_product_that_says_that_it_is_not_ready_is_unwell_after_a_while(kind, api):
    symptoms = {ref.kind: symptom for ref, symptom in unwell(facts_of(unready(kind, api))).items()}
    assert symptoms == {kind: "not Ready: Odd: m"}
    for well in (unready(kind, api, 60), unready(kind, api, status="True"), unready(kind, api, suspend=True)):
        assert unwell(facts_of(well)) == {}


def test_a_degraded_application_is_unwell_unless_a_cause_is_known_of_what_it_applies():
    facts = facts_of(degraded())
    assert [str(ref) for ref in unwell(facts)] == ["application/web"]
    assert unwell(facts_of(degraded(60))) == {}
    assert [one.symptom for one in unexplained(facts, [])] == ["Degraded: m"]
    applied = degraded(resources=[{"kind": "Deployment", "namespace": "shop", "name": "web"}])
    cause = Finding("image-not-found", Ref("Deployment", "shop", "web"), "critical", "certain", "gone", ())
    assert unexplained(facts_of(applied), [Root(cause, ())]) == []
    assert len(unexplained(facts, [Root(cause, ())])) == 1


def condition(type_, status="True", reason="X"):
    return {"type": type_, "status": status, "reason": reason, "message": "m"}


def with_condition(made, *conditions):
    made["status"]["conditions"] += list(conditions)
    return made


@pytest.mark.parametrize(
    ("objects", "name", "word"),
    [
        ([stateful_set(), event(stateful_set(), "FailedCreate", DENIED)], "db", "denied request"),
        ([stateful_set()], "db", "wants 2 pods and has none"),
        ([job(condition("Failed", reason="DeadlineExceeded"))], "import", "DeadlineExceeded"),
        (
            [deployment("web", status={"conditions": [condition("Progressing", "False", "ProgressDeadlineExceeded")]})],
            "web",
            "has none",
        ),
        ([with_condition(node("n1"), condition("DiskPressure"))], "n1", "DiskPressure"),
        ([{**node("n1"), "status": {}}], "n1", "not reported"),
        ([pod("web", waiting="CrashLoopBackOff", restarts=9)], "web", "CrashLoopBackOff"),
        ([obj("Namespace", "old", None, metadata={"deletionTimestamp": ago(900)})], "old", "Terminating"),
        ([leaving(900, "acme.example/x")], "db-old", "waits for acme.example/x"),
    ],
)
def test_what_is_broken_is_listed(objects, name, word):
    found = {ref.name: symptom for ref, symptom in unwell(facts_of(*objects)).items()}
    assert word in found[name]


@pytest.mark.parametrize(
    "objects",
    [
        [pod("web"), node("n1")],
        [deployment("web", replicas=0)],
        [stateful_set(metadata={"creationTimestamp": ago(5)})],
        [job(condition("Complete"))],
        [deployment("web", spec={"paused": True})],
        [obj("Namespace", "old", None, metadata={"deletionTimestamp": ago(60)})],
        [leaving(60, "acme.example/x")],
    ],
)
def test_what_is_well_is_not(objects):
    assert unwell(facts_of(*objects)) == {}
