"""What the admission rules share when they put a refusal into a finding. Pure."""

from collections.abc import Callable, Iterable, Iterator

from firstmate_tools.admission.defaults import admitted
from firstmate_tools.admission.texts import Gate, Told
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, RuledOut, fact
from firstmate_tools.diagnosis.lib import ask, pods_of, severity, some
from firstmate_tools.diagnosis.refusals import Refusal, of, resolved
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import LIMIT_RANGE
from firstmate_tools.refs import Ref
from firstmate_tools.results import Confidence


def as_admitted(facts: Facts, refusal: Refusal) -> Obj:
    """The pod that the creator tries to create, with the defaults of its namespace."""
    namespace = refusal.creator.namespace
    return admitted(refusal.template, namespace, facts.all(LIMIT_RANGE, namespace))


def said(refusal: Refusal) -> Evidence:
    """The refusal itself, quoted."""
    return fact(refusal.creator, refusal.field, refusal.message, refusal.at)


def who(facts: Facts, refusal: Refusal) -> str:
    """`deployment/cart has 1 of 3 pods`, of its new revision where an older one still has pods."""
    noun = {"ReplicaSet": "ReplicaSets", "Job": "Jobs"}.get(refusal.kind.kind, "pods")
    others = [ref for ref in facts.graph.after(refusal.workload, "owns") if ref != refusal.creator]
    older = refusal.creator != refusal.workload and any(pods_of(facts, ref) for ref in others)
    new = " of its new revision" if older else ""
    return f"{refusal.workload} has {refusal.existing} of {refusal.wanted} {noun}{new}"


def finding(
    facts: Facts,
    refusal: Refusal,
    gate: Gate,
    target: Ref,
    summary: str,
    evidence: Iterable[Evidence],
    *,
    confidence: Confidence = "certain",
    culprit: str = "",
    following: NextStep | None = None,
) -> Finding:
    """The finding about one refused creator.

    Args:
        target: what has to be mended.
        summary: what is wrong with it, without its last full stop.
        evidence: what proves it; the refusal's own words are added.
        culprit: what several creators may share.
        following: the first question to ask next.
    """
    look = ask(
        "workload_status",
        "how the rollout stands",
        namespace=refusal.workload.namespace,
        scope=_scope(refusal.workload),
    )
    return Finding(
        cause=gate.value,
        object=target,
        severity=severity(facts, refusal.workload),
        confidence=confidence,
        summary=f"{who(facts, refusal)}: {summary}.",
        evidence=(*evidence, said(refusal)),
        affects=tuple(dict.fromkeys((refusal.workload, refusal.creator))),
        since=refusal.since,
        culprit=culprit,
        next=(following, look) if following else (look,),
    )


def _scope(ref: Ref) -> str:
    return f"{ref.kind.lower()}/{ref.name}"


def verdicts(
    facts: Facts, gate: Gate, judge: Callable[[Facts, Refusal, Told], Finding | RuledOut | None]
) -> Iterator[Finding | RuledOut]:
    """What one gate's refusals come to: those of now judged, those of the past ruled out."""
    for refusal, told in of(facts, gate):
        verdict = judge(facts, refusal, told)
        if verdict is not None:
            yield verdict
    yield from over(facts, gate)


def over(facts: Facts, gate: Gate) -> Iterator[RuledOut]:
    """One gate's refusals of the past, as one verdict."""
    past = [one for one in resolved(facts) if one.told.gate is gate]
    if past:
        names = some(str(one.creator) for one in past)
        verb = "has" if len(past) == 1 else "have"
        yield RuledOut(gate.value, f"the refusals are old: {names} {verb} all that is wanted")
