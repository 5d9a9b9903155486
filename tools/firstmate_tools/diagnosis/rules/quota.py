"""Pods that a ResourceQuota or a LimitRange of their namespace refuses.

The refusal says where to look; whether it still holds is computed from the quota's status and the pod template, with
the LimitRanges' defaults filled in. What admission webhooks add to a pod is not in its template: where the template
alone would pass, the amounts of the refusal decide, and the finding is an inference.
"""

from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds
from firstmate_tools.admission import limits, quota, texts
from firstmate_tools.admission.limits import Broken
from firstmate_tools.admission.quota import Over
from firstmate_tools.admission.texts import Gate, Told, requested
from firstmate_tools.diagnosis import refused
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut, fact
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.diagnosis.lib import ask, count, severity, some, unsettled
from firstmate_tools.diagnosis.refusals import UNLISTED, Refusal, creators_wanted, of
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, Want, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, LIMIT_RANGE, POD, REPLICA_SET, RESOURCE_QUOTA
from firstmate_tools.podresources import amounts
from firstmate_tools.quantity import milli, show
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.text import inline

OBSERVED = (POD, EVENT, REPLICA_SET, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB, kinds.DEPLOYMENT)
CREATORS = tuple(Read(kind, ("get",)) for kind in UNLISTED)


def _wants_quotas(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    for gate in (Gate.QUOTA, Gate.QUOTA_NEEDS_REQUESTS):
        for refusal, _ in of(facts, gate):
            yield ListWant(RESOURCE_QUOTA, refusal.creator.namespace)
            yield ListWant(LIMIT_RANGE, refusal.creator.namespace)


@rule(
    causes=(Gate.QUOTA.value,),
    observes=OBSERVED,
    digs=(Read(RESOURCE_QUOTA, ("list",)), Read(LIMIT_RANGE, ("list",)), *CREATORS),
    wants=_wants_quotas,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET, RESOURCE_QUOTA),
)
def full_quota(facts: Facts) -> Iterator[Finding | RuledOut]:
    yield from refused.verdicts(facts, Gate.QUOTA, _full)


def _full(facts: Facts, refusal: Refusal, told: Told) -> Finding | RuledOut | None:
    namespace = refusal.creator.namespace
    if not facts.knows(RESOURCE_QUOTA, namespace):
        return _unread(facts, refusal, told)
    pod = refused.as_admitted(facts, refusal)
    quotas = quota.first(facts.all(RESOURCE_QUOTA, namespace), told.name)
    for one in quotas:
        over = quota.exceeded(one, quota.usage(pod)) if quota.counts(one, pod) else []
        if over:
            return _over(facts, refusal, one, over)
    for one in quotas:
        # A webhook may have added a container: the refusal's own amounts against what is used now.
        over = quota.exceeded(one, requested(told)) if fields.name_of(one) == told.name else []
        if over and all(quota.of_pods(o.resource) for o in over):
            return _over(facts, refusal, one, over, inferred=True)
    if not any(quota.of_pods(resource) for resource in requested(told)):
        return None
    room = f"quota {told.name} has room" if any(fields.name_of(q) == told.name for q in quotas) else "the quota is gone"
    return RuledOut(Gate.QUOTA.value, f"{room} for a pod of {refusal.workload} now")


def _over(facts: Facts, refusal: Refusal, one: Obj, over: list[Over], *, inferred: bool = False) -> Finding:
    ref = ref_of(one, RESOURCE_QUOTA)
    numbers = "; ".join(
        f"{o.resource}: {show(o.resource, o.used)} of {show(o.resource, o.hard)} used, a pod needs "
        f"{show(o.resource, o.requested)}"
        for o in over
    )
    evidence = [
        fact(ref, f"status.used[{o.resource}]", f"{show(o.resource, o.used)} of hard {show(o.resource, o.hard)}")
        for o in over
    ]
    users = _users(facts, refusal, over[0].resource)
    return refused.finding(
        facts,
        refusal,
        Gate.QUOTA,
        ref,
        f"quota {ref.name} has no room for another pod. {numbers}{users}",
        evidence,
        confidence="likely" if inferred else "certain",
        following=ask("get", "the quota", kind="resourcequota", name=ref.name, namespace=ref.namespace),
    )


def _users(facts: Facts, refusal: Refusal, resource: str) -> str:
    """Who uses most of a quota's resource, in words; "" where that tells nothing."""
    totals: dict[Ref, int] = {}
    for pod in facts.all(POD, refusal.creator.namespace):
        used = quota.usage(pod).get(resource, 0)
        if used:
            owner = facts.workload(ref_of(pod, POD))
            totals[owner] = totals.get(owner, 0) + used
    most = sorted(totals, key=lambda ref: (-totals[ref], ref))[:2]
    told = ", ".join(f"{ref} {show(resource, totals[ref])}" for ref in most)
    return f"; most of it is held by {told}" if told else ""


def _unread(facts: Facts, refusal: Refusal, told: Told) -> Finding | None:
    """Where quotas may not be read, the refusal's words have to do."""
    if not any(quota.of_pods(resource) for resource in requested(told)):
        return None
    ref = Ref("ResourceQuota", refusal.creator.namespace, told.name)
    words = f"quota {told.name} refuses another pod; the quota itself could not be read"
    return refused.finding(facts, refusal, Gate.QUOTA, ref, words, (), confidence="likely")


@rule(
    causes=(Gate.QUOTA_NEEDS_REQUESTS.value,),
    observes=OBSERVED,
    digs=(Read(RESOURCE_QUOTA, ("list",)), Read(LIMIT_RANGE, ("list",)), *CREATORS),
    wants=_wants_quotas,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET),
)
def quota_demands_requests(facts: Facts) -> Iterator[Finding | RuledOut]:
    yield from refused.verdicts(facts, Gate.QUOTA_NEEDS_REQUESTS, _demanding)


def _demanding(facts: Facts, refusal: Refusal, told: Told) -> Finding | RuledOut | None:
    namespace = refusal.creator.namespace
    if not facts.knows(RESOURCE_QUOTA, namespace):
        words = f"quota {told.name} demands {told.detail}; the quota itself could not be read"
        return refused.finding(
            facts, refusal, Gate.QUOTA_NEEDS_REQUESTS, refusal.workload, words, (), confidence="likely"
        )
    pod = refused.as_admitted(facts, refusal)
    for one in quota.first(facts.all(RESOURCE_QUOTA, namespace), told.name):
        missing = quota.undemanded(one, pod) if quota.counts(one, pod) else {}
        if missing:
            return _undemanded(facts, refusal, ref_of(one, RESOURCE_QUOTA), missing)
    return RuledOut(Gate.QUOTA_NEEDS_REQUESTS.value, f"{refusal.workload} states all that the quotas demand now")


def _undemanded(facts: Facts, refusal: Refusal, ref: Ref, missing: dict[str, list[str]]) -> Finding:
    lacks = "; ".join(f"{resource} in {some(names)}" for resource, names in missing.items())
    template = "spec.jobTemplate.spec.template" if refusal.workload.kind == "CronJob" else "spec.template"
    evidence = [
        fact(ref, "status.hard", ", ".join(missing)),
        fact(refusal.workload, f"{template}.spec.containers[].resources", f"not set: {lacks}"),
    ]
    return refused.finding(
        facts,
        refusal,
        Gate.QUOTA_NEEDS_REQUESTS,
        refusal.workload,
        f"quota {ref.name} demands values that its containers do not state: {lacks}. No LimitRange fills them in",
        evidence,
        culprit=f"{ref.namespace}/{ref.name}",
        following=ask("get", "what the quota limits", kind="resourcequota", name=ref.name, namespace=ref.namespace),
    )


def _wants_limits(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    for refusal, _ in of(facts, Gate.LIMIT_RANGE):
        yield ListWant(LIMIT_RANGE, refusal.creator.namespace)
    for row, _ in _own_claims(facts):
        yield ListWant(LIMIT_RANGE, row.about.namespace)


@rule(
    causes=(Gate.LIMIT_RANGE.value,),
    observes=OBSERVED,
    digs=(Read(LIMIT_RANGE, ("list",)), *CREATORS),
    wants=_wants_limits,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET),
)
def limit_range_broken(facts: Facts) -> Iterator[Finding | RuledOut]:
    yield from refused.verdicts(facts, Gate.LIMIT_RANGE, _breaking)
    for row, told in _own_claims(facts):
        ranges, workload = facts.all(LIMIT_RANGE, row.about.namespace), facts.workload(row.about)
        if facts.knows(LIMIT_RANGE, row.about.namespace) and not _stands(ranges, told):
            yield RuledOut(Gate.LIMIT_RANGE.value, f"no LimitRange of {row.about.namespace} says so now")
            continue
        yield Finding(
            cause=Gate.LIMIT_RANGE.value,
            object=workload,
            severity=severity(facts, workload),
            confidence="likely",
            summary=f"A LimitRange refuses the claim of an ephemeral volume of {workload}: {told.name} per "
            f"{inline(told.detail)}.",
            evidence=(said(row),),
            affects=(workload, row.about),
            since=row.first,
            next=(ask("get", "the LimitRange", kind="limitrange", namespace=row.about.namespace),),
        )


def _own_claims(facts: Facts) -> Iterator[tuple[EventRow, Told]]:
    """Pods whose generic ephemeral volumes are refused (pkg/controller/volume/ephemeral/controller.go, v1.36)."""
    for pod in unsettled(facts):
        row = next(iter(facts.events(ref_of(pod, POD), "FailedBinding")), None)
        told = texts.read(row.message) if row is not None else None
        if (
            row is not None
            and told is not None
            and told.gate is Gate.LIMIT_RANGE
            and not fields.text(pod, "spec", "nodeName")
        ):
            yield row, told


def _breaking(facts: Facts, refusal: Refusal, told: Told) -> Finding | RuledOut | None:
    namespace = refusal.creator.namespace
    words = f"a LimitRange refuses it: {told.name} per {told.detail.partition(' ')[0]}"
    if not facts.knows(LIMIT_RANGE, namespace):
        words += "; LimitRanges could not be read"
        return refused.finding(facts, refusal, Gate.LIMIT_RANGE, refusal.workload, words, (), confidence="likely")
    ranges = facts.all(LIMIT_RANGE, namespace)
    if told.detail.startswith(limits.CLAIM):
        owner = facts.get(refusal.creator) or {}
        broken = limits.broken_by_claims(ranges, fields.items(owner, "spec", "volumeClaimTemplates"))
    else:
        broken = limits.broken(ranges, refused.as_admitted(facts, refusal))
    if broken:
        return _broken(facts, refusal, broken)
    if _stands(ranges, told):
        words += "; the template keeps to it, so something changes the pod on its way"
        return refused.finding(facts, refusal, Gate.LIMIT_RANGE, refusal.workload, words, (), confidence="likely")
    return RuledOut(Gate.LIMIT_RANGE.value, f"{refusal.workload} keeps to every LimitRange of {namespace} now")


def _stands(ranges: list[Obj], told: Told) -> bool:
    """Whether the bound that a refusal names still exists: `maximum memory usage` per `Container is 1Gi, but …`."""
    kind, _, rest = told.detail.partition(" is ")
    value = milli(rest.split(",")[0].split(" ")[0].rstrip("."))
    words = told.name.split(" ")
    bound, resource = {"minimum": ("min", 1), "maximum": ("max", 1)}.get(words[0], ("maxLimitRequestRatio", 0))
    return any(
        fields.text(item, "type") == kind and amounts(item, bound).get(words[resource]) == value
        for one in ranges
        for item in fields.items(one, "spec", "limits")
    )


_BOUNDS = {"min": "at least", "max": "at most", "maxLimitRequestRatio": "a limit of at most so many times the request:"}


def _holder(one: Broken) -> str:
    """What breaks a bound, in words."""
    if not one.container:
        return "the pod"
    return f"claim template {one.container}" if one.kind == limits.CLAIM else f"container {one.container}"


def _broken(facts: Facts, refusal: Refusal, broken: list[Broken]) -> Finding:
    first = broken[0]
    ref = Ref("LimitRange", refusal.creator.namespace, first.limit_range)
    told = "; ".join(
        f"{_holder(b)} has {b.resource} {b.actual}, {b.limit_range} allows {_BOUNDS[b.bound]} {b.allowed} per {b.kind}"
        for b in broken[:3]
    )
    more = f"; and {count(len(broken) - 3, 'more bound')}" if len(broken) > 3 else ""
    evidence = [
        fact(
            Ref("LimitRange", ref.namespace, b.limit_range), f"spec.limits[{b.kind}].{b.bound}[{b.resource}]", b.allowed
        )
        for b in broken[:3]
    ]
    evidence += [fact(refusal.workload, f"resources of {_holder(b)}", b.actual) for b in broken[:2]]
    return refused.finding(
        facts,
        refusal,
        Gate.LIMIT_RANGE,
        refusal.workload,
        f"{told}{more}",
        evidence,
        culprit=f"{ref.namespace}/{ref.name} {first.kind} {first.bound} {first.resource}",
        following=ask("get", "the LimitRange", kind="limitrange", name=ref.name, namespace=ref.namespace),
    )
