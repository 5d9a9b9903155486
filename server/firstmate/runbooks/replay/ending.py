"""In which cause a run ended. A run that waits or calls people names none itself; its way does.

Replay cases and `evals.lab run --check-runbooks` judge by it. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from firstmate.runbooks import flow
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.expressions import compiled
from firstmate.runbooks.runner import Run
from firstmate.runbooks.steps import NONE, Act, Conclude, Decide

_NOT_BELOW = frozenset({"not_expression", "or_expression"})


def cause_of(run: Run) -> str:
    """The cause in which a run ended, `none` where in none.

    - The cause that its end names.
    - A run that is inconclusive has ended in none, however far it came.
    - Otherwise, where it waits or people are called: the cause by which a branch of a `decide` was taken
      (`[?cause=='x']`, exactly one; the last such branch). What is decided after that is the fix. A run that waits has
      to be able to end in it still.
    - A run that waits, and took no such branch: the one cause that every act and conclude names that can follow.
    """
    end = run.end
    assert end is not None
    if end.cause is not None:
        return end.cause
    if end.ended == "inconclusive":
        return NONE
    established = next(_established(run), NONE)
    if end.ended != "waiting":
        return established
    following = {cause for id_ in flow.reachable(run.runbook, run.at) for cause in _named(run, id_)}
    if established in following:
        return established
    return following.pop() if len(following) == 1 else NONE


def compared(runbook: Runbook) -> set[str]:
    """The causes by which decisions of a runbook go, its own and others."""
    whens = [branch.when for one in runbook.steps if isinstance(one.step, Decide) for branch in one.step.decide]
    return {cause for when in whens for cause in _compared(compiled(when).parsed)}


def _named(run: Run, id_: str) -> Iterator[str]:
    step = run.runbook.step(id_)
    if isinstance(step, Act):
        yield step.cause
    elif isinstance(step, Conclude):
        yield step.conclude


def _established(run: Run) -> Iterator[str]:
    """Causes by which branches were taken, the last one first."""
    causes = set(run.runbook.causes)
    for one in reversed(run.visited):
        step = run.runbook.step(one.id)
        if not isinstance(step, Decide):
            continue
        taken = next((branch for branch in step.decide if branch.reading == one.outcome), None)
        named = set(_compared(compiled(taken.when).parsed)) & causes if taken is not None else set[str]()
        if len(named) == 1:
            yield named.pop()


def _compared(node: Mapping[str, Any]) -> Iterator[str]:
    """What an expression asks the field `cause` to equal, where nothing turns that around."""
    children = cast("list[Mapping[str, Any]]", node["children"])
    if node["type"] in _NOT_BELOW:
        return
    if node["type"] == "comparator" and node["value"] == "eq":
        values = {str(child["value"]) for child in children if child["type"] == "literal"}
        if any(child["type"] == "field" and child["value"] == "cause" for child in children):
            yield from values
        return
    for child in children:
        yield from _compared(child)
