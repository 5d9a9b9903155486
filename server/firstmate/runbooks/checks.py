"""What is wrong with the steps of a runbook, as far as can be told without running them.

`firstmate runbooks lint` asks `problems` for each runbook. Each problem has its line and, where there is one, what to
write instead. Arguments, parameters and expressions are judged in `references.py`; here stands how steps hang together.
Pure. Must never call a tool.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from firstmate.nearest import nearest
from firstmate.runbooks import flow
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.problem import Problem
from firstmate.runbooks.references import References
from firstmate.runbooks.steps import NONE, Act, Check, Conclude, Escalate, Placed, Step, Verify, Wait
from firstmate_tools.actions import ActionSpec
from firstmate_tools.diagnosis.cause import Cause
from firstmate_tools.toolspec import ToolSpec

__all__ = ["Problem", "problems"]


@dataclass(frozen=True, slots=True)
class _Book:
    """A runbook with its steps by id."""

    runbook: Runbook
    by_id: Mapping[str, Placed]


def problems(
    runbook: Runbook,
    tools: Sequence[ToolSpec],
    causes: Mapping[str, Cause],
    actions: Mapping[str, ActionSpec],
) -> list[Problem]:
    """All that is wrong with a runbook's steps, by line; nothing where it has none.

    Args:
        runbook: as parsed.
        tools: those that a check may name.
        causes: the catalogue.
        actions: those that an act may name.
    """
    book = _Book(runbook, {placed.step.id: placed for placed in runbook.steps})
    if not runbook.steps:
        return []
    found = list(_ids(runbook))
    told_apart = not found
    found += [*_targets(book), *_ends(book), *_sections(runbook), *_subjects(book, causes)]
    if circle := flow.loop(runbook):
        line = book.by_id[circle[0]].line
        found.append(Problem(line, f"steps go in a circle: {' → '.join(circle)}", "a run must come to an end"))
    elif told_apart:
        found += _unreached(book)
        found += References(runbook, tools, causes, actions).problems()
    return sorted(dict.fromkeys(found), key=lambda one: (one.line, one.what))


def _ids(runbook: Runbook) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for placed in runbook.steps:
        id_ = placed.step.id
        if id_ in seen:
            yield Problem(
                placed.line_of("id"), f"the id `{id_}` is taken, by the step in line {seen[id_]}", "rename it"
            )
        seen.setdefault(id_, placed.line)


def _targets(book: _Book) -> Iterator[Problem]:
    for placed in book.runbook.steps:
        for way in flow.ways(book.runbook, placed.step):
            line = placed.line_of(*way.key)
            if not way.to:
                yield Problem(
                    placed.line,
                    f"step {placed.step.id} is the last of the document and has no `then`: the run would end nowhere",
                    "every path ends in act, conclude, escalate, or a verify without then",
                )
            elif way.to not in book.by_id:
                near = nearest(way.to, book.by_id)
                yield Problem(
                    line,
                    f"step {placed.step.id} goes on to `{way.to}`, which is no step",
                    f"did you mean `{near}`?" if near else f"there are: {', '.join(book.by_id)}",
                )


def _ends(book: _Book) -> Iterator[Problem]:
    """What an act and a verify have to lead to, and a check that chooses between two ways."""
    for placed in book.runbook.steps:
        step = placed.step
        then = step.then or flow.after(book.runbook, step.id) if isinstance(step, Check) else ""
        if isinstance(step, Check) and step.otherwise is not None and step.otherwise == then:
            yield Problem(
                placed.line_of("otherwise"),
                f"step {step.id} goes on to `{then}` whether it is as expected or not",
                "say `then`, or leave `expect` out",
            )
        if isinstance(step, Act) and not isinstance(_at(book, step.verify), Verify | Wait | None):
            yield Problem(
                placed.line_of("verify"), f"`verify: {step.verify}` is no verify step", "name one, or a wait before it"
            )
        if isinstance(step, Verify) and not isinstance(_at(book, step.otherwise), Escalate | None):
            yield Problem(
                placed.line_of("otherwise"),
                f"`otherwise: {step.otherwise}` is no escalate step",
                "what failed goes to people",
            )


def _at(book: _Book, id_: str) -> Step | None:
    placed = book.by_id.get(id_)
    return placed.step if placed is not None else None


def _sections(runbook: Runbook) -> Iterator[Problem]:
    for placed in runbook.steps:
        allowed = placed.step.sections
        if placed.section not in allowed:
            here = f"the section {placed.section}" if placed.section else "no section"
            yield Problem(
                placed.line,
                f"step {placed.step.id} ({placed.step.kind}) stands in {here}",
                f"it belongs in {' or '.join(allowed)}",
            )


def _subjects(book: _Book, causes: Mapping[str, Cause]) -> Iterator[Problem]:
    """Causes and runbooks that steps end with."""
    runbook = book.runbook
    slugs = {cause.runbook for cause in causes.values()} | {runbook.slug}
    for placed in runbook.steps:
        step = placed.step
        if isinstance(step, Act | Escalate) and step.cause is not None:
            yield from _cause(runbook, placed, "cause", step.cause, causes)
        if not isinstance(step, Conclude):
            continue
        if step.conclude != NONE:
            yield from _cause(runbook, placed, "conclude", step.conclude, causes)
            if step.runbook is not None:
                yield Problem(placed.line_of("runbook"), "`runbook` goes with `conclude: none`", "leave it out")
        elif step.fix is not None:
            yield Problem(placed.line_of("fix"), "`fix` goes with a cause, not with `conclude: none`", "leave it out")
        if step.runbook is not None and step.runbook not in slugs:
            near = nearest(step.runbook, slugs)
            yield Problem(
                placed.line_of("runbook"),
                f"there is no runbook `{step.runbook}` in the catalogue",
                f"did you mean `{near}`?" if near else "",
            )
        if step.runbook == runbook.slug:
            yield Problem(placed.line_of("runbook"), "a runbook does not go on with itself", "leave it out")


def _cause(runbook: Runbook, placed: Placed, key: str, slug: str, causes: Mapping[str, Cause]) -> Iterator[Problem]:
    if slug not in causes:
        near = nearest(slug, causes)
        yield Problem(placed.line_of(key), f"`{slug}` is no cause", f"did you mean `{near}`?" if near else "")
    elif slug not in runbook.causes:
        yield Problem(
            placed.line_of(key),
            f"the cause `{slug}` is none of this runbook's",
            f"name it in the block's `causes`, or conclude none with runbook: {causes[slug].runbook}",
        )


def _unreached(book: _Book) -> Iterator[Problem]:
    reached = flow.reachable(book.runbook)
    for placed in book.runbook.steps:
        if placed.step.id not in reached:
            yield Problem(
                placed.line, f"no way leads to step {placed.step.id}", "let a step go on to it, or take it out"
            )
