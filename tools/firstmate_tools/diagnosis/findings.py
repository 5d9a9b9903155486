"""What rules give: findings with their evidence, and causes that they rule out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref
from firstmate_tools.results import Confidence, Severity
from firstmate_tools.text import shorten, untrusted

MOST_EVIDENCE_TEXT = 400
"""Characters of one quoted value; longer ones are cut with an ellipsis."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quoted fact with its address: which object, which field, which value, seen when.

    `at` is the moment that the object itself gives for the fact (a transition, an event's last time), None where it
    gives none.
    """

    object: Ref
    field: str
    value: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next question worth asking: a tool of the catalogue and its arguments."""

    tool: str
    arguments: tuple[tuple[str, Any], ...]
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem: cause, object, severity, evidence.

    Attributes:
        cause: slug of the catalogue.
        object: what has to be mended.
        severity, confidence: see the result contract.
        summary: one or two sentences in our own words, with the numbers and names that matter. Names may stand in it;
            free text from the cluster may not (it belongs in evidence).
        evidence: what proves it, the most telling first.
        affects: the workloads and pods that suffer from it directly; the graph finds what hangs on those.
        since: when it began, as far as objects tell.
        culprit: names the one thing at fault. Findings of the same cause and culprit are one problem and are merged.
        next: what to ask next.
        awaits: what the evidence itself says that it could not do without (a Service that its log cannot reach). A
            finding about one of these explains this one.
    """

    cause: str
    object: Ref
    severity: Severity
    confidence: Confidence
    summary: str
    evidence: tuple[Evidence, ...]
    affects: tuple[Ref, ...] = ()
    since: datetime | None = None
    culprit: str = ""
    next: tuple[NextStep, ...] = ()
    awaits: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class RuledOut:
    """A cause that the signals suggested and the objects refute."""

    cause: str
    why: str


def quote(ref: Ref, obj: Obj, *path: str, at: datetime | None = None) -> Evidence:
    """Evidence from a field of an object: `quote(ref, pod, "spec", "nodeName")`."""
    return fact(ref, ".".join(path), fields.at(obj, *path), at)


def fact(ref: Ref, field: str, value: object, at: datetime | None = None) -> Evidence:
    """Evidence from a value at hand; text is cleaned, redacted and cut."""
    shown = value if isinstance(value, str) else _plain(value)
    return Evidence(ref, field, shorten(untrusted(shown), MOST_EVIDENCE_TEXT), at)


def _plain(value: object) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        import orjson

        return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode()
    return str(value)
