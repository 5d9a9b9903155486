"""What looks unwell is listed, whatever the rules know of it: silence must mean that nothing is wrong."""

import pytest
from builders import ago, deployment, event, facts_of, node, obj, pod

from firstmate_tools.diagnosis.unwell import unwell

DENIED = "pods \"db-0\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"


def stateful_set(**rest):
    return obj("StatefulSet", "db", api="apps/v1", spec={"replicas": 2}, status={"replicas": 0}, **rest)


def leaving(seconds_ago, *finalizers):
    return obj("Service", "db-old", metadata={"deletionTimestamp": ago(seconds_ago), "finalizers": list(finalizers)})


def job(*conditions):
    return obj("Job", "import", api="batch/v1", spec={"completions": 1}, status={"conditions": list(conditions)})


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
