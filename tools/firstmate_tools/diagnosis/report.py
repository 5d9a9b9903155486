"""The shape of a diagnosis as it leaves: the result contract's models and their making from findings."""

from datetime import datetime
from operator import not_
from typing import ClassVar

from pydantic import Field

from firstmate_tools.diagnosis import findings
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.revisions import Revised
from firstmate_tools.refs import Ref
from firstmate_tools.results import Confidence, Model, ObjectRef, Outcome, Result, Severity
from firstmate_tools.template_diff import Change
from firstmate_tools.text import FreeText, OwnValues, Words, plain_word, quoting, untrusted


class Evidence(Model):
    """A quoted fact with its address."""

    object: ObjectRef
    field: Words
    value: FreeText
    at: datetime | None = None


class Explained(Model):
    """A symptom that a root cause accounts for."""

    cause: str
    object: ObjectRef


class NextStep(Model):
    """The next question worth asking."""

    tool: str
    arguments: OwnValues
    why: Words


class RootCause(Model):
    """A problem that no other problem explains."""

    cause: str
    object: ObjectRef = Field(description="What has to be mended")
    severity: Severity
    confidence: Confidence
    since: datetime | None = None
    summary: Words
    evidence: list[Evidence]
    affects: list[ObjectRef] = Field(
        default_factory=list[ObjectRef], exclude_if=not_, description="Workloads that suffer from it"
    )
    explains: list[Explained] = Field(default_factory=list[Explained])
    changed: list[Change] = Field(
        default_factory=list[Change],
        exclude_if=not_,
        description="What the failing revision changed against the last that served",
    )
    changed_at: datetime | None = Field(default=None, description="When that revision was made")
    runbook: str
    next: list[NextStep] = Field(default_factory=list[NextStep], exclude_if=not_)


class RuledOut(Model):
    """A cause that the signals suggested and the objects refute."""

    cause: str
    why: Words


class Unexplained(Model):
    """Something unwell that no known cause accounts for: look at it, nobody has called it healthy."""

    object: ObjectRef
    symptom: FreeText


class Diagnosis(Result):
    """Root causes with their proof, worst first."""

    lists: ClassVar[tuple[str, ...]] = ("ruled_out", "unexplained", "root_causes")

    scope: Words
    outcome: Outcome
    root_causes: list[RootCause] = Field(default_factory=list[RootCause])
    unexplained: list[Unexplained] = Field(default_factory=list[Unexplained])
    ruled_out: list[RuledOut] = Field(default_factory=list[RuledOut])


MOST_AFFECTED = 10
MOST_CHANGES = 6


def note_cut(finding: findings.Finding, workloads: list[Ref], most: int | None, cut: list[str]) -> None:
    """Says how many suffering workloads are not named."""
    over = len(workloads) - most if most is not None else 0
    if over > 0:
        cut.append(f"{over} more workloads that {finding.cause} affects; ask with detail=detailed to have them named")


def _summary(finding: findings.Finding) -> str:
    """The summary, in which what it repeats of its evidence is a quotation, where that is more than a word."""
    repeated = [e.value for e in finding.evidence if e.value in finding.summary and not plain_word(e.value)]
    return quoting(finding.summary, max(repeated, key=len, default=""))


def root_cause(
    finding: findings.Finding,
    workloads: list[Ref],
    explained: list[findings.Finding],
    revised: Revised | None = None,
) -> RootCause:
    """The root cause of a finding.

    Args:
        workloads: what suffers, as many as are to be named, without the object at fault itself.
        explained: the findings that it accounts for.
        revised: what a new revision of the object changed, where that is what fails.
    """
    return RootCause(
        cause=finding.cause,
        object=ObjectRef.of(finding.object),
        severity=finding.severity,
        confidence=finding.confidence,
        since=finding.since,
        summary=_summary(finding),
        evidence=[
            Evidence(object=ObjectRef.of(e.object), field=e.field, value=untrusted(e.value), at=e.at)
            for e in finding.evidence
        ],
        affects=[ObjectRef.of(ref) for ref in workloads],
        explains=[Explained(cause=e.cause, object=ObjectRef.of(e.object)) for e in explained],
        changed=revised.changes[:MOST_CHANGES] if revised else [],
        changed_at=revised.at if revised else None,
        runbook=CAUSES[finding.cause].runbook,
        next=[NextStep(tool=n.tool, arguments=dict(n.arguments), why=n.why) for n in finding.next],
    )
