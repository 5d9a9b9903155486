"""What looks unwell whatever the rules say: against it a diagnosis proves that it left nothing out. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds, nodestate, podstate, rollout
from firstmate_tools.customkinds import APPLICATION, CERTIFICATE_REQUEST, CHALLENGE, CUSTOM, HELM_CHART, ORDER
from firstmate_tools.diagnosis import claims, leaving, lib, refusals, sicknodes, spent
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.link import Root
from firstmate_tools.diagnosis.report import Unexplained
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import ObjectRef
from firstmate_tools.text import untrusted

LONG_LEAVING = timedelta(minutes=10)
"""How long after its deletion an object may still be there before that alone is unwell."""
ISSUING = timedelta(hours=1)
_PARTS = frozenset({CERTIFICATE_REQUEST, ORDER, CHALLENGE, HELM_CHART})
"""What products make for objects that say themselves how they are."""
SETTLING = timedelta(minutes=5)
"""How long a product's object may say that it is not ready before that is more than a moment's state."""
PROTECTED = frozenset({"kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"})


def unwell(facts: Facts) -> dict[Ref, str]:
    """Whatever in scope is not as it should be, each with its symptom: workloads, claims, nodes, products' objects."""
    symptoms: dict[Ref, str] = {}
    for ref, symptom in (
        *_pods(facts),
        *_refused(facts),
        *_podless(facts),
        *_rollouts(facts),
        *_nodes(facts),
        *_claims(facts),
        *_leaving(facts),
        *_products(facts),
    ):
        symptoms.setdefault(ref, symptom)
    return symptoms


Symptoms = Iterator[tuple[Ref, str]]


def _pods(facts: Facts) -> Symptoms:
    counts: dict[Ref, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for pod in lib.unsettled(facts):
        if not podstate.healthy(pod, facts.now) and not _retried(facts, ref_of(pod, kinds.POD), pod):
            counts[facts.workload(ref_of(pod, kinds.POD))][podstate.status_text(pod)] += 1
    for ref, statuses in counts.items():
        shown = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        yield ref, f"pods: {shown}"


def _refused(facts: Facts) -> Symptoms:
    for refusal in refusals.refusals(facts):
        lacks = f"{refusal.existing} of {refusal.wanted} {refusal.kind.plural}"
        yield refusal.workload, f"{lacks}, and more cannot be created: {refusal.message}"


def _podless(facts: Facts) -> Symptoms:
    """Controllers that want pods and have none, long after they were made; nobody may have said why."""
    for kind in (*refusals.CREATORS, kinds.DEPLOYMENT):
        for obj in facts.all(kind):
            made = fields.time_at(obj, "metadata", "creationTimestamp")
            ref = ref_of(obj, kind)
            wanted = refusals.wanted_pods(obj, kind)
            old = made is not None and facts.now - made > podstate.START_UP
            alive = not podstate.terminating(obj) and not fields.flag(obj, "spec", "paused")
            if wanted and old and alive and facts.knows(kinds.POD, ref.namespace) and not _has_pods(facts, ref):
                yield facts.workload(ref), f"wants {lib.count(wanted, 'pod')} and has none"


def _has_pods(facts: Facts, ref: Ref) -> bool:
    return any(below.kind == "Pod" for below in facts.graph.reach([ref], "owns"))


def _rollouts(facts: Facts) -> Symptoms:
    for obj in facts.all(kinds.DEPLOYMENT):
        if rollout.standing(kinds.DEPLOYMENT, obj).state in {"stuck", "cannot create pods"}:
            progressing = fields.condition(obj, "Progressing")
            yield ref_of(obj, kinds.DEPLOYMENT), f"rollout stuck: {fields.text(progressing, 'message')}"
    for obj in facts.all(kinds.JOB):
        failed, ref = fields.condition(obj, "Failed"), ref_of(obj, kinds.JOB)
        if failed.get("status") == "True" and not spent.overcome(facts, ref, obj):
            yield facts.workload(ref), f"failed: {fields.text(failed, 'reason')}: {fields.text(failed, 'message')}"


def _nodes(facts: Facts) -> Symptoms:
    for node in sicknodes.concerned(facts):
        problems = [] if sicknodes.joining(facts, node) else nodestate.problems(node)
        for problem in problems[:1]:
            yield ref_of(node, kinds.NODE), problem


def _claims(facts: Facts) -> Symptoms:
    """Claims that lost their volume, or that are long without one, though they do not wait for a first pod."""
    for claim in claims.claims(facts, "Pending", "Lost"):
        made = fields.time_at(claim, "metadata", "creationTimestamp")
        young = made is not None and facts.now - made < podstate.START_UP
        if claims.phase(claim) == "Pending" and (young or claims.idle(facts, claim)):
            continue
        rows = claims.told(facts, claim)
        yield claims.ref(claim), f"{claims.phase(claim)}{': ' + rows[0].message if rows else ''}"


def _products(facts: Facts) -> Symptoms:
    """Objects of products that say themselves that they have not been well for a while, as far as they were read."""
    for kind in CUSTOM:
        if kind in _PARTS:
            continue
        for obj in facts.all(kind):
            if podstate.terminating(obj) or fields.flag(obj, "spec", "suspend"):
                continue
            health, ready = fields.mapping(obj, "status", "health"), fields.condition(obj, "Ready")
            if kind == APPLICATION:
                if fields.text(health, "status") == "Degraded" and not _young(facts, obj, health):
                    yield ref_of(obj, kind), f"Degraded: {fields.text(health, 'message')}".rstrip(": ")
            elif ready.get("status") == "False" and not _young(facts, obj, ready) and not _issuing(facts, obj):
                yield ref_of(obj, kind), f"not Ready: {fields.text(ready, 'reason')}: {fields.text(ready, 'message')}"


def _issuing(facts: Facts, obj: fields.Obj) -> bool:
    """Whether a certificate is on its way: an authority may take its time."""
    issuing = fields.condition(obj, "Issuing")
    return issuing.get("status") == "True" and _young(facts, obj, issuing, ISSUING)


def _young(facts: Facts, obj: fields.Obj, state: fields.Obj, most: timedelta = SETTLING) -> bool:
    """Whether it has only been so for a moment: no state is older than its object, whatever a copied one says."""
    moments = fields.time_at(state, "lastTransitionTime"), fields.time_at(obj, "metadata", "creationTimestamp")
    since = max((moment for moment in moments if moment is not None), default=None)
    return since is not None and facts.now - since < most


def _applies(facts: Facts, ref: Ref) -> set[Ref]:
    """What an Application or a Kustomization has applied: whatever ails it ails these."""
    obj = facts.get(ref) or {}
    found = {
        Ref(fields.text(one, "kind"), fields.text(one, "namespace"), fields.text(one, "name"))
        for one in fields.items(obj, "status", "resources")
    }
    for entry in fields.items(obj, "status", "inventory", "entries"):  # `shop_cart_apps_Deployment`
        parts = fields.text(entry, "id").split("_")
        if len(parts) == 4:
            found.add(Ref(parts[3], parts[0], parts[1]))
    return found


def _leaving(facts: Facts) -> Symptoms:
    """Namespaces and other objects that were deleted long ago and have not gone."""
    for namespace in leaving.namespaces(facts):
        deleted = fields.time_at(namespace, "metadata", "deletionTimestamp")
        if deleted is not None and facts.now - deleted > LONG_LEAVING:
            yield ref_of(namespace, kinds.NAMESPACE), "Terminating"
    for one in leaving.leaving(facts):
        if one.ref.kind != "Node" and facts.now - one.since > LONG_LEAVING and not _kept_in_use(facts, one):
            yield facts.workload(one.ref), f"{one.ref} is deleted and waits for {', '.join(one.finalizers)}"


def _kept_in_use(facts: Facts, one: leaving.Leaving) -> bool:
    """A claim or volume that pods use is kept for them, as it should be."""
    return set(one.finalizers) <= PROTECTED and bool(facts.graph.after(one.ref, "mounts"))


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
        if ref not in covered and (family is None or ref in family) and not _applies(facts, ref) & covered
    ]
