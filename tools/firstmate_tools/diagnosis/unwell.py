"""What looks unwell whatever the rules say: against it a diagnosis proves that it left nothing out. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import spent
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.link import Root
from firstmate_tools.diagnosis.report import Unexplained
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import ObjectRef
from firstmate_tools.text import untrusted


def unwell(facts: Facts) -> dict[Ref, str]:
    """Workloads, lone pods and nodes in scope that are not as they should be, each with its symptom."""
    symptoms: dict[Ref, str] = {}
    counts: dict[Ref, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for pod in facts.all(kinds.POD):
        if not podstate.healthy(pod, facts.now) and not _retried(facts, ref_of(pod, kinds.POD), pod):
            counts[facts.workload(ref_of(pod, kinds.POD))][podstate.status_text(pod)] += 1
    for ref, statuses in counts.items():
        shown = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        symptoms[ref] = f"pods: {shown}"
    for replica_set in facts.all(kinds.REPLICA_SET):
        failure = fields.condition(replica_set, "ReplicaFailure")
        if failure.get("status") == "True" and fields.number(replica_set, "spec", "replicas") > fields.number(
            replica_set, "status", "replicas"
        ):
            ref = facts.workload(ref_of(replica_set, kinds.REPLICA_SET))
            symptoms.setdefault(ref, f"pods cannot be created: {fields.text(failure, 'message')}")
    for node in facts.all(kinds.NODE):
        ready = fields.condition(node, "Ready")
        if ready and ready.get("status") != "True":
            symptoms[ref_of(node, kinds.NODE)] = (
                f"Ready is {fields.text(ready, 'status')}: {fields.text(ready, 'reason')}"
            )
    return symptoms


def _retried(facts: Facts, ref: Ref, pod: fields.Obj) -> bool:
    """A failed pod that its controller has made up for, or may still: Jobs, and evicted pods that were replaced."""
    if fields.text(pod, "status", "phase") != "Failed":
        return False
    owner = next(facts.graph.owners(ref), None)
    job = facts.get(owner) if owner and owner.kind == "Job" else None
    if job is not None and owner is not None:
        return fields.condition(job, "Failed").get("status") != "True" or spent.overcome(facts, owner, job)
    return owner is not None and owner.kind in {"ReplicaSet", "StatefulSet", "DaemonSet"}


def unexplained(facts: Facts, roots: Iterable[Root]) -> list[Unexplained]:
    """What is unwell and in no root cause's reach."""
    covered: set[Ref] = set()
    for root in roots:
        for finding in (root.finding, *root.explained):
            for ref in (finding.object, *finding.affects):
                covered |= {ref, facts.workload(ref)}
    asked = facts.scope.object
    family = facts.graph.related(asked) if asked else None
    return [
        Unexplained(object=ObjectRef.of(ref), symptom=untrusted(symptom[:300]))
        for ref, symptom in sorted(unwell(facts).items())
        if ref not in covered and (family is None or ref in family)
    ]
