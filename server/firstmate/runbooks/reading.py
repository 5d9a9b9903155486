"""Asks a tool for a step, and tells what its answer leaves unseen.

`runner.py` calls `asked`. A failure is no answer and never "no"; an object that is not there, and a kind that is not
installed, are facts.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from firstmate_tools.errors import FirstmateError, NotInstalledError, ObjectNotFoundError, UnknownKindError, Why
from firstmate_tools.text import inline, quoting

Call = Callable[[str, Mapping[str, object]], Awaitable[Mapping[str, Any]]]
"""Asks a tool by its name with arguments; gives its answer as JSON."""

RUNNER = "run_runbook"
"""The tool that runs runbooks: no step of them may call it."""
CLUSTER = "cluster"
"""The argument by which a tool is told which cluster to ask."""
COUNTS: frozenset[Why] = frozenset({"denied", "failed", "timed_out", "not_collected"})
"""Reasons in `not_checked` by which an answer may be other than it seems. What is not there to be asked is no such."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking.

    Attributes:
        result: the answer; None where there is none.
        why: there is none, in words.
        unseen: what could not be looked at, in words.
        said: what the answer was, in a few words.
    """

    result: Mapping[str, Any] | None
    why: str = ""
    unseen: list[str] = field(default_factory=list[str])
    said: str = "answered"


async def asked(tool: str, arguments: Mapping[str, object], call: Call) -> Asked:
    """Asks a tool, never one that runs runbooks, and none about another cluster than the run's. Raises nothing that a
    tool raises on purpose."""
    if tool == RUNNER or CLUSTER in arguments:
        words = (
            f"a step may not call {tool}" if tool == RUNNER else "a step may not name a cluster: the run has its own"
        )
        return Asked(None, words, [words])
    try:
        result = await call(tool, arguments)
    except FirstmateError as error:
        words = quoting(error.message, error.said)
        absent = isinstance(error, ObjectNotFoundError | UnknownKindError)
        if absent or isinstance(error, NotInstalledError):
            return Asked({}, said=words)
        return Asked(None, f"{tool} gave no answer: {words}", [words])
    return Asked(result, unseen=unseen(result), said=_said(result))


def unseen(result: Mapping[str, Any]) -> list[str]:
    """What an answer itself says that it could not look at."""
    coverage = cast("Mapping[str, Any]", result.get("coverage") or {})
    missing = cast("list[Mapping[str, Any]]", coverage.get("not_checked") or [])
    words = [f"{inline(one.get('what', ''))} ({one['why']})" for one in missing if one.get("why") in COUNTS]
    words += [inline(one) for one in cast("list[object]", coverage.get("cut") or [])]
    total, returned = coverage.get("total"), coverage.get("returned")
    if coverage.get("cursor"):
        words.append(f"all but the first {returned} of {total} entries" if total else "the entries of further pages")
    return words


def _said(result: Mapping[str, Any]) -> str:
    """A few words about an answer: its outcome, or how many entries it has."""
    if isinstance(outcome := result.get("outcome"), str):
        causes = cast("list[Mapping[str, Any]]", result.get("root_causes") or [])
        named = ", ".join(dict.fromkeys(inline(one.get("cause", "")) for one in causes))
        return f"{outcome}: {named}" if named else outcome
    coverage = cast("Mapping[str, Any]", result.get("coverage") or {})
    returned = coverage.get("returned")
    return f"answered, entries: {returned}" if returned is not None else "answered"
