"""Pods that lost their place to a pod of higher priority, and pods that name a priority class that does not exist."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from firstmate_tools import fields, kinds
from firstmate_tools.admission.texts import Gate, Told
from firstmate_tools.diagnosis import preempted, refused
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.lib import ask, count, severity, some
from firstmate_tools.diagnosis.preempted import Eviction, evictions, priority
from firstmate_tools.diagnosis.refusals import UNLISTED, Refusal, creators_wanted, of
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, ReasonWant, Want, explains, rule
from firstmate_tools.kinds import EVENT, NODE, POD, PRIORITY_CLASS, REPLICA_SET
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

OBSERVED = (POD, EVENT, REPLICA_SET, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB, kinds.DEPLOYMENT)
CREATORS = tuple(Read(kind, ("get",)) for kind in UNLISTED)
EVICTED, MISSING = "preempted-by-higher-priority", Gate.PRIORITY_CLASS.value


def _wants_takers(facts: Facts) -> Iterable[Want]:
    if facts.scope.namespace is None and preempted.may_have_been(facts):
        yield ReasonWant(preempted.REASON)
    if preempted.events(facts) and not facts.knows(POD):
        yield ListWant(POD)
    classes = {fields.text(pod, "spec", "priorityClassName") for one in evictions(facts) for pod in one.pods} - {""}
    yield from (GetWant(PRIORITY_CLASS, Ref("PriorityClass", "", name)) for name in sorted(classes))


@rule(
    causes=(EVICTED,),
    observes=(*OBSERVED, NODE),
    digs=(Read(POD, ("list",)), Read(EVENT, ("list",)), Read(PRIORITY_CLASS, ("get",))),
    wants=_wants_takers,
    explains=(
        *BACKENDS,
        *explains(
            "insufficient-node-resources",
            "node-pod-limit-reached",
            "host-port-conflict",
            "pod-anti-affinity-unsatisfiable",
            along=("owns",),
        ),
    ),
    confirms=(POD, NODE),
)
def places_lost_to_priority(facts: Facts) -> Iterator[Finding | RuledOut]:
    found = evictions(facts)
    for one in found:
        yield _evicted(facts, one)
    if preempted.events(facts) and not found:
        yield RuledOut(EVICTED, "evictions for higher priority are over: nobody waits for a place that was taken so")


def _evicted(facts: Facts, one: Eviction) -> Finding:
    taker = max(one.pods, key=priority)
    class_name = fields.text(taker, "spec", "priorityClassName")
    class_ref = Ref("PriorityClass", "", class_name)
    by_default = fields.flag(facts.get(class_ref), "globalDefault")
    nodes = some(fields.text(pod, "spec", "nodeName") for pod in one.pods)
    whose = count(len(one.pods), "pod") + f" of {one.taker}" if one.taker.kind != "Pod" else str(one.taker)
    lost = len({row.about for row in one.told})
    waiting = [ref for case in one.cases for ref in case.pods]
    gone = f"{one.victim} was" if one.victim.kind == "Pod" else f"{count(lost, 'pod')} of {one.victim} {_were(lost)}"
    own = sorted({priority(case.pod) for case in one.cases})
    against = f", its pods have {own[0]}" if own else ""
    so = f"{count(len(waiting), 'pod')} {_verb(len(waiting))} no node since" if waiting else "nobody makes it again"
    default = f"; {class_name} is the global default, so that every pod without a class gets it" if by_default else ""
    evidence: list[Evidence] = [
        fact(one.told[0].about, f"event {preempted.REASON}", one.told[0].message, one.told[0].last)
    ]
    called = class_name or "no class"
    evidence += [fact(ref_of(pod, POD), "spec.priority", f"{priority(pod)} ({called})") for pod in one.pods[:2]]
    found = facts.get(class_ref)
    if found is not None:
        told = f"value {fields.number(found, 'value')}, globalDefault {str(by_default).lower()}"
        evidence.append(fact(class_ref, "value, globalDefault", told))
    for case in one.cases[:1]:
        evidence.append(quote(case.ref, case.pod, "spec", "priority"))
    return Finding(
        cause=EVICTED,
        object=one.victim,
        severity=severity(facts, one.victim),
        confidence="certain" if one.cases else "likely",
        summary=f"{gone} evicted from {nodes} for {whose} of priority {priority(taker)} "
        f"(class {class_name or 'none'}{against}), which still {_verb(len(one.pods))} the place; {so}{default}.",
        evidence=tuple(evidence),
        affects=tuple(dict.fromkeys((one.victim, *waiting))),
        since=one.since,
        culprit=f"{class_name} {one.taker.namespace}/{one.taker}",
        next=(
            ask("get", "what priority the class gives, and to whom", kind="priorityclass"),
            ask("node_status", "what the nodes offer, and what takes it"),
        ),
    )


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _verb(number: int) -> str:
    return "has" if number == 1 else "have"


def _wants_classes(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    if any(True for _ in of(facts, Gate.PRIORITY_CLASS)):
        yield ListWant(PRIORITY_CLASS)


@rule(
    causes=(MISSING,),
    observes=OBSERVED,
    digs=(Read(PRIORITY_CLASS, ("list",)), *CREATORS),
    wants=_wants_classes,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET, PRIORITY_CLASS),
)
def missing_priority_class(facts: Facts) -> Iterator[Finding | RuledOut]:
    yield from refused.verdicts(facts, Gate.PRIORITY_CLASS, _missing)


def _missing(facts: Facts, refusal: Refusal, told: Told) -> Finding | RuledOut | None:
    name = fields.text(refusal.template, "spec", "priorityClassName")
    named = Ref("PriorityClass", "", name or told.name)
    there = facts.exists(named) if named.name else None
    if there:
        return RuledOut(MISSING, f"class {named.name} exists; {refusal.creator} is retried soon")
    if there is None and named.name != told.name:
        return None
    names = [fields.name_of(one) for one in facts.everywhere(PRIORITY_CLASS)]
    near = get_close_matches(named.name, names, n=1)
    hint = f"; one of a similar name is {near[0]}" if near else ""
    unread = "" if there is False else " (priority classes could not be read)"
    return refused.finding(
        facts,
        refusal,
        Gate.PRIORITY_CLASS,
        refusal.workload,
        f"priority class {named.name}, which its pods name, does not exist{hint}{unread}",
        [fact(named, "metadata.name", "does not exist" if there is False else "not read")],
        confidence="certain" if there is False else "likely",
        culprit=named.name,
        following=ask("get", "which priority classes there are", kind="priorityclass"),
    )
