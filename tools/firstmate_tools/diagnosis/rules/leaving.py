"""What does not go when it is deleted: namespaces, and objects that wait for a finalizer that nobody removes.

A finalizer alone is no fault: whoever should remove it may be at work. So it is asked who that is, whether it is there,
and how long the object has waited.
"""

from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds
from firstmate_tools.admission.texts import Gate
from firstmate_tools.diagnosis import leaving, owners
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, RuledOut, fact
from firstmate_tools.diagnosis.leaving import Leaving
from firstmate_tools.diagnosis.lib import ask, count
from firstmate_tools.diagnosis.owners import AT_WORK, Owner
from firstmate_tools.diagnosis.refusals import of
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.unattended import told
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import API_SERVICE, NAMESPACE
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.text import inline

OWNERLESS, NAMESPACE_STUCK = "finalizer-owner-missing", Gate.TERMINATING.value
RUNNERS = tuple(Read(kind, ("list",)) for kind in owners.RUNNERS)
NOT_EMPTIED = AT_WORK["control plane"]
"""How long a namespace may take to lose its content where no finalizer holds it."""


def _wants_namespaces(facts: Facts) -> Iterable[Want]:
    place = facts.scope.namespace
    if place is None and facts.scope.object is None:
        yield ListWant(NAMESPACE)
    elif place is not None and (
        leaving.emptied(facts) or leaving.leaving(facts) or any(True for _ in of(facts, Gate.TERMINATING))
    ):
        yield GetWant(NAMESPACE, Ref("Namespace", "", place))
    for namespace in leaving.namespaces(facts):
        if leaving.says(namespace, "NamespaceDeletionDiscoveryFailure"):
            yield ListWant(API_SERVICE)
        if leaving.waited_for(namespace) or fields.strings(namespace, "metadata", "finalizers"):
            yield from owners.wanted()


@rule(
    causes=(NAMESPACE_STUCK,),
    observes=(kinds.POD, kinds.SERVICE, *owners.RUNNERS, kinds.EVENT),
    digs=(Read(NAMESPACE), Read(API_SERVICE, ("get", "list")), *RUNNERS),
    wants=_wants_namespaces,
)
def namespace_does_not_go(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace"""
    for namespace in leaving.namespaces(facts):
        yield from _of_namespace(facts, namespace)


def _of_namespace(facts: Facts, namespace: Obj) -> Verdicts:
    ref = ref_of(namespace, NAMESPACE)
    deleted = fields.time_at(namespace, "metadata", "deletionTimestamp")
    waits = leaving.waited_for(namespace)
    own = fields.strings(namespace, "metadata", "finalizers")
    late = [
        owner
        for owner in (owners.owner(facts, name) for name in sorted({*waits, *own}))
        if deleted is not None and facts.now - deleted >= AT_WORK[owner.state]
    ]
    failed = leaving.says(namespace, "NamespaceDeletionContentFailure")
    overdue = deleted is not None and facts.now - deleted >= NOT_EMPTIED
    if not late and not (overdue and (failed or leaving.remaining(namespace))):
        if waits:
            words = "; ".join(owners.owner(facts, name).words for name in sorted(waits))
            yield RuledOut(NAMESPACE_STUCK, f"namespace {ref.name} is being deleted, and its finalizers: {words}")
        return
    refused = [refusal for refusal, _ in of(facts, Gate.TERMINATING) if refusal.creator.namespace == ref.name]
    shown = [*_conditions(ref, namespace), fact(ref, "metadata.deletionTimestamp", str(deleted), deleted)]
    if own:
        shown.insert(0, fact(ref, "metadata.finalizers", own))
    yield Finding(
        cause=NAMESPACE_STUCK,
        object=ref,
        severity="warning",
        confidence="likely" if any(owner.state != "runs" for owner in late) else "possible",
        summary=f"Namespace {ref.name} has been deleted for {told(facts.now - deleted) if deleted else 'some time'} "
        f"and does not go: {_why(namespace, late, waits)}.",
        evidence=(*shown, *_owner_facts(facts, late)),
        affects=tuple(dict.fromkeys(r for one in refused for r in (one.workload, one.creator))),
        since=deleted,
        next=(*_look(ref, namespace), ask("get", "all that it says", kind="namespace", name=ref.name)),
        awaits=(*_awaited(late), *_down(facts, namespace), *_pods(facts, ref)),
    )


def _why(namespace: Obj, late: list[Owner], waits: dict[str, int]) -> str:
    left = leaving.remaining(namespace)
    content = ", ".join(f"{number} {inline(name)}" for name, number in sorted(left.items())[:4])
    if not late:
        return f"it still holds {content}" if content else "its content cannot be deleted"
    reasons = [
        f"{count(waits.get(one.finalizer, 0), 'object') if one.finalizer in waits else 'the namespace itself'} "
        f"{'waits' if waits.get(one.finalizer, 1) == 1 else 'wait'} for finalizer {inline(one.finalizer)} ({one.words})"
        for one in late[:3]
    ]
    return "; ".join(reasons) + (f"; it still holds {content}" if content else "")


def _conditions(ref: Ref, namespace: Obj) -> list[Evidence]:
    found: list[Evidence] = []
    for name in (
        "NamespaceFinalizersRemaining",
        "NamespaceContentRemaining",
        "NamespaceDeletionContentFailure",
        "NamespaceDeletionDiscoveryFailure",
    ):
        condition = leaving.says(namespace, name)
        if condition:
            moment = fields.time_at(condition, "lastTransitionTime")
            found.append(fact(ref, f"status.conditions[{name}]", fields.text(condition, "message"), moment))
    return found


def _owner_facts(facts: Facts, late: Iterable[Owner]) -> Iterator[Evidence]:
    for owner in late:
        obj = facts.get(owner.workload) if owner.workload is not None else None
        if obj is not None and owner.workload is not None:
            ready = fields.number(obj, "status", "readyReplicas") or fields.number(obj, "status", "numberReady")
            yield fact(owner.workload, "status.readyReplicas", ready)


def _awaited(late: Iterable[Owner]) -> tuple[Ref, ...]:
    """Programs that should be at work: why they are not is the reason."""
    return tuple(o.workload for o in late if o.workload is not None and o.state in {"not ready", "scaled to zero"})


def _down(facts: Facts, namespace: Obj) -> Iterator[Ref]:
    """Aggregated APIs whose objects cannot be looked for."""
    if leaving.says(namespace, "NamespaceDeletionDiscoveryFailure"):
        for api in facts.everywhere(API_SERVICE):
            if fields.condition(api, "Available").get("status") == "False":
                yield ref_of(api, API_SERVICE)


def _pods(facts: Facts, namespace: Ref) -> Iterator[Ref]:
    return (ref_of(pod, kinds.POD) for pod in facts.all(kinds.POD, namespace.name))


def _look(ref: Ref, namespace: Obj) -> Iterator[NextStep]:
    for name in sorted(leaving.remaining(namespace))[:2]:
        yield ask("get", "which of them wait, and for what", kind=name, namespace=ref.name)


def _wants_owners(facts: Facts) -> Iterable[Want]:
    return owners.wanted() if leaving.leaving(facts) else ()


@rule(
    causes=(OWNERLESS,),
    observes=(kinds.POD, kinds.SERVICE, kinds.JOB, *owners.RUNNERS),
    digs=RUNNERS,
    wants=_wants_owners,
    explains=BACKENDS,
)
def finalizer_stays(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/"""
    for one in leaving.leaving(facts):
        waited = facts.now - one.since
        found = [owners.owner(facts, name) for name in one.finalizers]
        late = [owner for owner in found if waited >= AT_WORK[owner.state] and not _in_use(facts, one, owner)]
        if late:
            yield _stays(facts, one, late)
        elif any(owner.state == "runs" for owner in found):
            words = next(owner.words for owner in found if owner.state == "runs")
            yield RuledOut(OWNERLESS, f"{one.ref} is being deleted: {words}")


def _in_use(facts: Facts, one: Leaving, owner: Owner) -> bool:
    """Whether a claim is kept for pods that use it, as it should be."""
    if owner.finalizer != "kubernetes.io/pvc-protection":
        return False
    return any(ref.kind == "Pod" for ref in facts.graph.after(one.ref, "mounts"))


def _stays(facts: Facts, one: Leaving, late: list[Owner]) -> Finding:
    names = ", ".join(inline(owner.finalizer) for owner in late[:3])
    sure = any(owner.state in {"missing", "scaled to zero", "not ready"} for owner in late)
    reasons = "; ".join(dict.fromkeys(owner.words for owner in late[:3]))
    workload = facts.workload(one.ref)
    return Finding(
        cause=OWNERLESS,
        object=one.ref,
        severity="warning",
        confidence="likely" if sure else "possible",
        summary=f"{one.ref} has been deleted for {told(facts.now - one.since)} and waits for {names}: {reasons}.",
        evidence=(
            fact(one.ref, "metadata.finalizers", list(one.finalizers)),
            fact(one.ref, "metadata.deletionTimestamp", one.since.isoformat(), one.since),
            *_owner_facts(facts, late),
        ),
        affects=(workload,) if workload != one.ref else (),
        since=one.since,
        culprit=" ".join(sorted(o.finalizer for o in late)) + (f" {one.ref.namespace} {workload}"),
        next=tuple(
            ask("diagnose", "why it is not at work", scope=f"{ref.kind.lower()}/{ref.name}", namespace=ref.namespace)
            for ref in _awaited(late)[:1]
        ),
        awaits=_awaited(late),
    )
