"""Quotas on objects other than pods that are full, so that a claim, a Service or another object is not there.

Whoever is refused such an object gets a 403 and leaves no trace, unless it is a controller, which says so in an event.
So there are two ways in: what a controller was told, and a pod, an Ingress or a StatefulSet that names an object which
does not exist in a namespace whose quota has no room for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.admission import quota, texts
from firstmate_tools.admission.quota import Over
from firstmate_tools.admission.texts import Gate, Told
from firstmate_tools.diagnosis import claims, refused
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, RuledOut, fact
from firstmate_tools.diagnosis.lib import ask, severity, unsettled
from firstmate_tools.diagnosis.refusals import UNLISTED, Refusal, creators_wanted, of
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, Verdicts, Want, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import PERSISTENT_VOLUME_CLAIM, POD, RESOURCE_QUOTA, SERVICE
from firstmate_tools.podresources import Amounts, amounts
from firstmate_tools.quantity import show
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence, Severity

CAUSE = "object-quota-exceeded"
OF_CLAIMS = frozenset({"persistentvolumeclaims", "count/persistentvolumeclaims"})
OF_STORAGE = "requests.storage"
OF_SERVICES = frozenset({"services", "count/services"})
OF_SOME_SERVICES = frozenset({"services.loadbalancers", "services.nodeports"})


def _wants(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    for refusal, told in of(facts, Gate.QUOTA):
        if _of_objects(texts.requested(told)):
            yield ListWant(RESOURCE_QUOTA, refusal.creator.namespace)
    for missing in (*_missing_claims(facts), *_missing_services(facts)):
        yield ListWant(RESOURCE_QUOTA, missing[1].namespace)


@rule(
    causes=(CAUSE,),
    observes=(
        POD,
        PERSISTENT_VOLUME_CLAIM,
        SERVICE,
        kinds.INGRESS,
        kinds.EVENT,
        kinds.REPLICA_SET,
        kinds.STATEFUL_SET,
        kinds.DEPLOYMENT,
        kinds.JOB,
    ),
    digs=(Read(RESOURCE_QUOTA, ("list",)), *(Read(kind, ("get",)) for kind in UNLISTED)),
    wants=_wants,
    explains=(
        *BACKENDS,
        *explains("ingress-backend-missing", along=("routes",)),
        *explains("volume-config-reference-missing", along=("owns",)),
    ),
    confirms=(POD, PERSISTENT_VOLUME_CLAIM, SERVICE, RESOURCE_QUOTA),
)
def full_object_quota(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-on-object-count"""
    for refusal, told in of(facts, Gate.QUOTA):
        if _of_objects(texts.requested(told)):
            yield from _refused(facts, refusal, told)
    for pod, claim in _missing_claims(facts):
        yield from _without_claim(facts, pod, claim)
    for user, service in _missing_services(facts):
        yield from _without_service(facts, user, service)


def _of_objects(asked: Amounts) -> bool:
    return bool(asked) and not any(quota.of_pods(resource) for resource in asked)


def _quotas(facts: Facts, namespace: str) -> list[Obj]:
    return facts.all(RESOURCE_QUOTA, namespace)


def _told(over: list[Over]) -> str:
    parts: list[str] = []
    for o in over:
        needs = f", and {show(o.resource, o.requested)} more needed" if o.requested else ""
        parts.append(f"{o.resource}: {show(o.resource, o.used)} of {show(o.resource, o.hard)} used{needs}")
    return "; ".join(parts)


def _shown(ref: Ref, over: list[Over]) -> list[Evidence]:
    return [
        fact(ref, f"status.used[{o.resource}]", f"{show(o.resource, o.used)} of hard {show(o.resource, o.hard)}")
        for o in over
    ]


def _look(ref: Ref) -> NextStep:
    return ask("get", "the quota", kind="resourcequota", name=ref.name, namespace=ref.namespace)


def _refused(facts: Facts, refusal: Refusal, told: Told) -> Iterator[Finding | RuledOut]:
    """A controller that may not create an object which its pods need."""
    namespace = refusal.creator.namespace
    if not facts.knows(RESOURCE_QUOTA, namespace):
        ref = Ref("ResourceQuota", namespace, told.name)
        words = f"quota {told.name} refuses what its pods need ({told.detail}); the quota itself could not be read"
        yield replace(refused.finding(facts, refusal, Gate.QUOTA, ref, words, (), confidence="likely"), cause=CAUSE)
        return
    for one in quota.first(_quotas(facts, namespace), told.name):
        over = quota.exceeded(one, texts.requested(told))
        if over:
            ref = ref_of(one, RESOURCE_QUOTA)
            words = f"quota {ref.name} has no room for what its pods need. {_told(over)}"
            found = refused.finding(facts, refusal, Gate.QUOTA, ref, words, _shown(ref, over), following=_look(ref))
            yield replace(found, cause=CAUSE)
            return
    yield RuledOut(CAUSE, f"the quotas of {namespace} have room now for what {refusal.workload} needs")


def _missing_claims(facts: Facts) -> Iterator[tuple[Ref, Ref]]:
    """Pods without a node, each with a claim that it names and that does not exist."""
    for pod in unsettled(facts):
        if podstate.finished(pod) or podstate.terminating(pod) or podstate.ready(pod):
            continue
        ref = ref_of(pod, POD)
        for claim in facts.graph.before(ref, "mounts"):
            if claim.kind == PERSISTENT_VOLUME_CLAIM.kind and facts.exists(claim) is False and _waits(facts, pod):
                yield ref, claim


def _waits(facts: Facts, pod: Obj) -> bool:
    made = fields.time_at(pod, "metadata", "creationTimestamp")
    return made is None or facts.now - made >= claims.YOUNG


def _without_claim(facts: Facts, pod: Ref, claim: Ref) -> Iterator[Finding]:
    workload = facts.workload(pod)
    rows = [row for row in facts.events(pod, "FailedBinding") if texts.read(row.message).gate is Gate.QUOTA]
    asked = texts.requested(texts.read(rows[0].message)) if rows else {}
    words = f"{workload}: claim {claim.name}, which pod {pod.name} needs, does not exist"
    sizes = [claims.asked(c) for c in facts.all(PERSISTENT_VOLUME_CLAIM, pod.namespace)]
    for one in _quotas(facts, pod.namespace):
        over = (
            quota.exceeded(one, asked)
            if asked
            else [*_full(one, OF_CLAIMS), *_full_storage(one, min(sizes, default=0))]
        )
        if over:
            absent = fact(claim, "metadata.name", "no such PersistentVolumeClaim")
            hurts = severity(facts, workload)
            confidence: Confidence = "certain" if asked else "likely"
            yield _finding(one, over, words, (absent, *map(_said, rows[:1])), (workload, pod), hurts, confidence)
            return


def _said(row: EventRow) -> Evidence:
    return fact(row.about, f"events[{row.reason}].message", row.message, row.last)


def _full(one: Obj, resources: Iterable[str]) -> list[Over]:
    """The resources of a quota that are used up to the last piece."""
    allowed, used = quota.hard(one), amounts(one, "status", "used")
    found = [(r, used.get(r, 0), allowed[r]) for r in sorted(allowed) if r in resources]
    return [Over(resource, 0, taken, most) for resource, taken, most in found if taken >= most]


def _full_storage(one: Obj, smallest: int) -> list[Over]:
    """The storage of a quota, where less is left than the smallest claim takes, and the claims of a class."""
    allowed, used = quota.hard(one), amounts(one, "status", "used")
    sizes = [r for r in allowed if r == OF_STORAGE or r.endswith(f".storageclass.storage.k8s.io/{OF_STORAGE}")]
    counts = [r for r in allowed if r.endswith(".storageclass.storage.k8s.io/persistentvolumeclaims")]
    short = [r for r in sorted(sizes) if allowed[r] - used.get(r, 0) < max(smallest, 1)]
    return [*(Over(r, 0, used.get(r, 0), allowed[r]) for r in short), *_full(one, counts)]


def _missing_services(facts: Facts) -> Iterator[tuple[Ref, Ref]]:
    """Ingresses and StatefulSets, each with a Service that it names and that does not exist."""
    for ingress in facts.all(kinds.INGRESS):
        ref = ref_of(ingress, kinds.INGRESS)
        for service in facts.graph.before(ref, "routes"):
            if facts.exists(service) is False:
                yield ref, service
    for one in facts.all(kinds.STATEFUL_SET):
        service = Ref("Service", fields.namespace_of(one), fields.text(one, "spec", "serviceName"))
        if service.name and facts.exists(service) is False:
            yield ref_of(one, kinds.STATEFUL_SET), service


def _without_service(facts: Facts, user: Ref, service: Ref) -> Iterator[Finding]:
    words = f"{user} needs service {service.name}, which does not exist"
    absent = fact(service, "metadata.name", "no such Service")
    hurts: Severity = "critical" if user.kind == "Ingress" else "warning"
    for one in _quotas(facts, service.namespace):
        over = _full(one, OF_SERVICES)
        some = over or _full(one, OF_SOME_SERVICES)
        if some:
            yield _finding(one, some, words, (absent,), (user, service), hurts, "likely" if over else "possible")
            return


def _finding(
    one: Obj,
    over: list[Over],
    words: str,
    absent: Iterable[Evidence],
    affects: tuple[Ref, ...],
    hurts: Severity,
    confidence: Confidence,
) -> Finding:
    ref = ref_of(one, RESOURCE_QUOTA)
    return Finding(
        cause=CAUSE,
        object=ref,
        severity=hurts,
        confidence=confidence,
        summary=f"{words}, and quota {ref.name} has no room for it. {_told(over)}.",
        evidence=(*_shown(ref, over), *absent),
        affects=affects,
        next=(_look(ref),),
    )
