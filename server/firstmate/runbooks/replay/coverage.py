"""Which ways out of steps runs have taken: a way of every check, decide and verify, by what its outcome says.

`firstmate runbooks test` counts with it. An ask, an act and a wait have one way each and choose nothing. Pure.
"""

from collections.abc import Iterable, Sequence

from firstmate.runbooks.document import Runbook
from firstmate.runbooks.outcome import Visited
from firstmate.runbooks.steps import Check, Decide, Step, Verify

Way = tuple[str, str]
"""Id of a step, and the key by which it goes on (`then`, `decide.0`, `otherwise`, `unknown`)."""


def ways_of(runbook: Runbook) -> Sequence[Way]:
    """Every way out of the steps that choose, in the order of the document."""
    return [(placed.step.id, key) for placed in runbook.steps for key in _keys(placed.step)]


def _keys(step: Step) -> Iterable[str]:
    match step:
        case Check():
            yield "then"
            if step.otherwise is not None:
                yield "otherwise"
            if step.unknown is not None:
                yield "unknown"
        case Decide():
            yield from (f"decide.{number}" for number in range(len(step.decide)))
            yield "otherwise"
            if step.unknown is not None:
                yield "unknown"
        case Verify():
            yield from ("then", "otherwise")
        case _:
            return


def taken(runbook: Runbook, visited: Iterable[Visited]) -> set[Way]:
    """The ways that a run took."""
    return {way for one in visited if (way := _way(runbook.step(one.id), one.outcome)) is not None}


def _way(step: Step | None, outcome: str) -> Way | None:
    match step:
        case Check() | Verify():
            if outcome.startswith("not as expected"):
                return step.id, "otherwise"
            if outcome == "not known":
                return (step.id, "unknown") if isinstance(step, Check) and step.unknown is not None else None
            return step.id, "then"
        case Decide():
            for number, branch in enumerate(step.decide):
                if branch.reading == outcome:
                    return step.id, f"decide.{number}"
            if outcome == "not known":
                return (step.id, "unknown") if step.unknown is not None else None
            return step.id, "otherwise"
        case _:
            return None
