"""How steps follow each other: where each may go, what has run before it on every way.

`checks.py` judges by it, `runner.py` asks for the next step of the document. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from firstmate.runbooks.document import Runbook
from firstmate.runbooks.expressions import expressions_in
from firstmate.runbooks.steps import Act, Ask, Check, Conclude, Decide, Escalate, Placed, Step, Verify, Wait
from firstmate.runbooks.uses import uses

MOST_STEPS = 200
"""Of one runbook."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way on from a step.

    Attributes:
        to: the id of the next step, "" where the document has none.
        key: of the step, by which it goes there (`then`, `decide.0.go`).
        known: whether the step's own result is there to be read on this way.
    """

    to: str
    key: tuple[str | int, ...]
    known: bool = True


def after(runbook: Runbook, id_: str) -> str:
    """The id of the step that follows in the document, "" after the last."""
    ids = [placed.step.id for placed in runbook.steps]
    return next((following for one, following in pairwise(ids) if one == id_), "")


def ways(runbook: Runbook, step: Step) -> Sequence[Way]:
    """Everywhere that a run may go from a step; where an act is carried out, its verify follows."""
    return list(_ways(step, after(runbook, step.id)))


def _ways(step: Step, following: str) -> Iterator[Way]:
    match step:
        case Check():
            yield Way(step.then or following, ("then",))
            if step.otherwise is not None:
                yield Way(step.otherwise, ("otherwise",))
            if step.unknown is not None:
                yield Way(step.unknown, ("unknown",), known=False)
        case Decide():
            for number, branch in enumerate(step.decide):
                yield Way(branch.go, ("decide", number, "go"))
            yield Way(step.otherwise, ("otherwise",))
            if step.unknown is not None:
                yield Way(step.unknown, ("unknown",))
        case Ask() | Wait():
            yield Way(step.then or following, ("then",))
        case Verify():
            if step.then is not None:
                yield Way(step.then, ("then",))
            yield Way(step.otherwise, ("otherwise",))
        case Act():
            yield Way(step.verify, ("verify",))
        case Conclude() | Escalate():
            return


def reachable(runbook: Runbook, start: str | None = None) -> set[str]:
    """The ids of the steps to which a run may come."""
    by_id = {placed.step.id: placed.step for placed in runbook.steps}
    waiting = [start or runbook.steps[0].step.id] if runbook.steps else []
    found: set[str] = set()
    while waiting:
        here = waiting.pop()
        if here in found or here not in by_id:
            continue
        found.add(here)
        waiting += [way.to for way in ways(runbook, by_id[here])]
    return found


def loop(runbook: Runbook) -> Sequence[str]:
    """The ids of steps that lead back to themselves, the first such circle; empty where there is none."""
    by_id = {placed.step.id: placed.step for placed in runbook.steps}
    done: set[str] = set()

    def search(here: str, path: tuple[str, ...]) -> tuple[str, ...]:
        if here in path:
            return (*path[path.index(here) :], here)
        if here in done or here not in by_id:
            return ()
        for way in ways(runbook, by_id[here]):
            if found := search(way.to, (*path, here)):
                return found
        done.add(here)
        return ()

    return next((found for id_ in by_id if (found := search(id_, ()))), ())


def fault(runbook: Runbook) -> str:
    """Why no run of these steps could be sure to end, in words; "" where each does."""
    ids = [placed.step.id for placed in runbook.steps]
    if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
        return f"several steps are called {', '.join(twice)}"
    if len(ids) > MOST_STEPS:
        return f"it has more than {MOST_STEPS} steps"
    for placed in runbook.steps:
        for way in ways(runbook, placed.step):
            if way.to not in ids:
                return f"step {placed.step.id} leads nowhere" + (f": there is no step {way.to}" if way.to else "")
    circle = loop(runbook)
    return f"its steps go in a circle: {' → '.join(circle)}" if circle else ""


def given_before(runbook: Runbook) -> Mapping[str, frozenset[str]]:
    """For every step to which a run may come, what every way to it has given.

    Names are ids of steps whose results are there, and `answers.NAME`. The steps may not loop.
    """
    if not runbook.steps:
        return {}
    by_id = {placed.step.id: placed for placed in runbook.steps}
    given: dict[str, frozenset[str]] = {}
    first = runbook.steps[0].step.id
    for id_ in _in_order(runbook, by_id):
        arriving = [
            given[placed.step.id] | (_gives(placed.step) if way.known else frozenset[str]())
            for placed in runbook.steps
            if placed.step.id in given
            for way in ways(runbook, placed.step)
            if way.to == id_
        ]
        if id_ == first:
            arriving.append(frozenset[str]())
        given[id_] = arriving[0].intersection(*arriving[1:])
    return given


def _gives(step: Step) -> frozenset[str]:
    if isinstance(step, Ask):
        return frozenset({f"answers.{step.answer.name}"})
    return frozenset({step.id}) if isinstance(step, Check | Verify) else frozenset()


def _in_order(runbook: Runbook, by_id: Mapping[str, Placed]) -> Sequence[str]:
    """Ids of the steps that can be reached, each after all that lead to it."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(here: str) -> None:
        if here in seen or here not in by_id:
            return
        seen.add(here)
        for way in ways(runbook, by_id[here].step):
            visit(way.to)
        order.append(here)

    visit(runbook.steps[0].step.id)
    return order[::-1]


def missed(runbook: Runbook, start: str) -> Sequence[str]:
    """What steps need that a run would not have run which begins at a step: ids and `answers.NAME`, sorted.

    A sentence may say that something is not known; an argument or a decision may not do without.
    """
    reached = reachable(runbook, start)
    steps = [placed.step for placed in runbook.steps if placed.step.id in reached]
    given = frozenset[str]().union(*(_gives(step) for step in steps))
    needed = {
        name
        for step in steps
        for expression in expressions_of(step, sentences=False)
        for path in uses(expression)
        if (name := _named(path)) is not None
    }
    return sorted(needed - given)


def _named(path: tuple[str, ...]) -> str | None:
    if len(path) < 2 or path[0] not in ("steps", "answers"):
        return None
    return path[1] if path[0] == "steps" else f"answers.{path[1]}"


def expressions_of(step: Step, *, sentences: bool = True) -> Iterator[str]:
    """Every expression in a step.

    Args:
        sentences: whether those in texts for people count.
    """
    texts: list[object] = []
    match step:
        case Check() | Verify():
            yield from [step.expect] if step.expect is not None else []
            yield from _within([step.arguments])
        case Decide():
            yield from (branch.when for branch in step.decide)
        case Act():
            yield from _within([step.parameters, step.roll_back.parameters])
            texts = [step.because]
        case Ask():
            texts = [step.ask]
        case Wait():
            texts = [step.why]
        case Conclude():
            texts = [step.because, step.fix]
        case Escalate():
            texts = [step.escalate, step.because, list(step.hand_over)]
    if sentences:
        yield from _within(texts)


def _within(value: object) -> Iterator[str]:
    for expression, _ in expressions_in(value):
        yield expression
