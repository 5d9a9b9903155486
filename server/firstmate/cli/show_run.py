"""A run of a runbook for a person: each step as it is taken, and how it ended. Plain text, cluster text as text."""

import textwrap
from collections.abc import Iterator

from firstmate.runbooks.outcome import End, Proposal, Visited
from firstmate_tools.text import clean, redact, without_quotes

_SIGNS = {
    "check": "?",
    "decide": "→",
    "ask": "?",
    "act": "!",
    "verify": "?",
    "wait": "…",
    "conclude": "=",
    "escalate": "!",
}
_WIDTH = 116


def step(one: Visited) -> Iterator[str]:
    """The lines of one step."""
    title = f" ({shown(one.title)})" if one.title else ""
    yield f"{_SIGNS[one.kind]} {one.kind} {one.id}{title}: {shown(one.outcome)}"
    if one.why and one.kind not in ("conclude", "act", "escalate"):
        yield from _lines(one.why, "    ")


def ending(end: End, slug: str, handle: str | None = None) -> Iterator[str]:
    """The lines that tell how a run ended.

    Args:
        end: of the run.
        slug: of its runbook.
        handle: with which to go on, where there is more to come.
    """
    yield ""
    yield f"{end.ended}{f' {end.cause}' if end.cause else ''}"
    if end.because:
        yield from _lines(end.because, "  because  ")
    if end.fix:
        yield from _lines(end.fix, "  fix      ")
    if end.runbook:
        yield f"  go on    firstmate runbooks run {end.runbook}"
    if end.question is not None:
        yield from _lines(end.question.text, "  asks     ")
        of = f" ({', '.join(end.question.choices)})" if end.question.choices else f" ({end.question.type})"
        yield f"  answer   --answer {end.question.name}=…{of}"
    if end.proposal is not None:
        yield from _proposal(end.proposal)
    if end.escalate is not None:
        yield from _lines(end.escalate.to, "  call     ")
        for one in end.escalate.hand_over:
            yield from _lines(one, "  hand over  ")
    if end.until is not None:
        yield f"  not before {end.until:%H:%M:%S} UTC"
    if handle is not None:
        answer = f" --answer {end.question.name}=…" if end.question is not None else ""
        when = ", once that is done" if end.proposal is not None else ""
        yield f"  go on{when}: firstmate runbooks run {slug}{answer} --handle {handle}"


def _proposal(one: Proposal) -> Iterator[str]:
    yield f"  propose  {one.action} (risk {one.risk}); nothing has been changed"
    yield from _lines(one.changes, "  changes  ")
    yield f"  command  {shown(one.command)}"
    within = f", within {one.verify.within_s} s" if one.verify.within_s else ""
    yield f"  verify   step {one.verify.step}{within}"
    yield f"  undo     {shown(one.roll_back.command or one.roll_back.none or '')}"


def _lines(text: str, head: str) -> Iterator[str]:
    rest = " " * len(head)
    yield from textwrap.wrap(shown(text), _WIDTH, initial_indent=head, subsequent_indent=rest, break_on_hyphens=False)


def shown(text: str) -> str:
    """Text as it may stand on a terminal."""
    return redact(clean(without_quotes(text)))
