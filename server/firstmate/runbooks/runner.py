"""Carries out the steps of a runbook, one at a time: a state machine over a function that asks tools.

    run = begin(runbook, parameters, answers)
    while run.end is None:
        await advance(run, call, now)

`drive.py` turns the crank, with a clock, for the tool and the command line. Not knowing is not "no": a tool that fails
and a result that says what was not checked lead to `unknown`, and so does a "yes" that rests on what such a result
lacks. Must never change anything in a cluster: an act ends the run with its proposal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from firstmate.runbooks import flow
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.expressions import ExpressionError, emptied, filled, holds, told
from firstmate.runbooks.outcome import End, HandOver, Question, Visited
from firstmate.runbooks.proposing import UnfitError, proposal
from firstmate.runbooks.reading import Call, asked
from firstmate.runbooks.steps import Act, Ask, Check, Conclude, Decide, Escalate, Step, Verify, Wait
from firstmate.runbooks.uses import steps_read
from firstmate_tools.errors import UsageError
from firstmate_tools.text import clipped, inline, own

__all__ = ["Call", "Run", "advance", "begin"]

NOT_KNOWN = "not known"
"""The outcome of a step that could not tell."""
PAUSE_S = 5
"""Seconds between two looks of a verify."""


@dataclass(slots=True)
class Run:
    """A run on its way. Everything in it is JSON, but for the runbook and the outcome.

    Attributes:
        runbook: what is carried out.
        params, answers: see `given.py`.
        at: the id of the step that comes next.
        results: what tools answered, by step.
        unseen: by step, what could not be looked at, in words.
        visited: the steps that were taken.
        not_before: when the step at hand may go on; None for at once.
        until: when the verify at hand gives up.
        end: how it ended, or why it stands still; None while it runs.
    """

    runbook: Runbook
    params: dict[str, Any]
    answers: dict[str, Any]
    at: str
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    unseen: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    visited: list[Visited] = field(default_factory=list[Visited])
    not_before: datetime | None = None
    until: datetime | None = None
    end: End | None = None

    def scope(self, **more: Any) -> dict[str, Any]:
        """What expressions see."""
        return {"params": self.params, "answers": self.answers, "steps": self.results, **more}

    @property
    def step(self) -> Step:
        """The step that comes next."""
        found = self.runbook.step(self.at)
        assert found is not None, f"{self.runbook.slug} has no step {self.at}"
        return found


def begin(runbook: Runbook, params: Mapping[str, Any], answers: Mapping[str, Any], start: str | None = None) -> Run:
    """A run at its first step.

    Args:
        runbook: one with steps.
        params, answers: as `given.py` has checked them.
        start: the id of the step to begin at; the first one of the document when left out.

    Raises:
        UsageError: the runbook has no steps, or some that lead nowhere or in a circle, or not this one, or one from
            there on reads what nobody will have run.
    """
    ids = [placed.step.id for placed in runbook.steps]
    if not ids:
        raise UsageError(f"The runbook {runbook.slug} has no steps that could be run.", "Read it with get_runbook.")
    if fault := flow.fault(runbook):
        hint = "`firstmate runbooks lint` tells where."
        raise UsageError(f"The runbook {runbook.slug} cannot be run: {fault}.", hint)
    if start is not None and start not in ids:
        raise UsageError(f"{runbook.slug} has no step {clipped(start, 100)!r}.", f"It has {', '.join(ids)}.")
    if start is not None and (missing := flow.missed(runbook, start)):
        raise UsageError(
            f"{runbook.slug} cannot begin at {start}: it reads {', '.join(missing)}, which would not have run.",
            "Begin at the first step, or go on with the handle of the run that came so far.",
        )
    return Run(runbook, dict(params), dict(answers), start or ids[0])


async def advance(run: Run, call: Call, now: datetime) -> None:
    """Takes the step at hand.

    Args:
        run: not ended; changed in place.
        call: asks a tool; its answer is JSON.
        now: the time. Where `run.not_before` lies ahead, nothing happens.
    """
    assert run.end is None
    if run.not_before is not None and now < run.not_before:
        return
    step = run.step
    try:
        match step:
            case Check():
                await _check(run, step, call)
            case Verify():
                await _verify(run, step, call, now)
            case Decide():
                _decide(run, step)
            case Ask():
                _ask(run, step)
            case Wait():
                _wait(run, step, now)
            case Act():
                _act(run, step)
            case Conclude():
                runbook = step.runbook
                because, fix = told(step.because, run.scope()), told(step.fix, run.scope()) if step.fix else None
                end = End(ended="concluded", cause=step.conclude, because=because, fix=fix, runbook=runbook)
                _finish(run, step, own(f"concludes {step.conclude}"), end)
            case Escalate():
                whom = told(step.escalate, run.scope())
                over = HandOver(to=whom, hand_over=[told(one, run.scope()) for one in step.hand_over])
                end = End(ended="escalated", cause=step.cause, because=told(step.because, run.scope()), escalate=over)
                _finish(run, step, own(f"escalates to {whom}"), end)
    except ExpressionError as error:
        _unknown(run, step, f"an expression could not be evaluated: {inline(error)}")


async def _check(run: Run, step: Check, call: Call) -> None:
    found = await asked(step.check, filled(step.arguments, run.scope()), call)
    run.unseen[step.id] = found.unseen
    if found.result is None:
        _unknown(run, step, found.why)
        return
    run.results[step.id] = found.result
    if step.expect is None:
        _go(run, step, found.said, step.then or flow.after(run.runbook, step.id))
    elif holds(step.expect, run.scope(result=found.result)):
        if absent := _by_absence(run, step.expect, step.id):
            _unknown(run, step, _unseen(absent))
        else:
            _go(run, step, "as expected", step.then or flow.after(run.runbook, step.id), step.expect)
    elif found.unseen:
        _unknown(run, step, _unseen(found.unseen))
    else:
        assert step.otherwise is not None
        _go(run, step, "not as expected", step.otherwise, step.expect)


def _decide(run: Run, step: Decide) -> None:
    for branch in step.decide:
        if holds(branch.when, run.scope()):
            if absent := _by_absence(run, branch.when):
                _unknown(run, step, _unseen(absent))
                return
            _go(run, step, branch.reading, branch.go, branch.when)
            return
    read = sorted({id_ for branch in step.decide for id_ in steps_read(branch.when)})
    if unseen := [words for id_ in read for words in run.unseen.get(id_, [])]:
        _unknown(run, step, _unseen(unseen))
    else:
        _go(run, step, "none of these", step.otherwise)


def _ask(run: Run, step: Ask) -> None:
    answer = step.answer
    if answer.name in run.answers:
        said = inline(run.answers[answer.name])
        _go(run, step, f"answered: {said}", step.then or flow.after(run.runbook, step.id))
        return
    choices = [str(one) for one in answer.choices or ()]
    question = Question(text=told(step.ask, run.scope()), name=answer.name, type=answer.type, choices=choices)
    run.end = End(ended="waiting", because=f"an answer is needed: {answer.name}", question=question)


async def _verify(run: Run, step: Verify, call: Call, now: datetime) -> None:
    run.until = run.until or now + timedelta(seconds=step.within_s)
    found = await asked(step.verify, filled(step.arguments, run.scope()), call)
    run.unseen[step.id] = found.unseen
    if found.result is not None:
        run.results[step.id] = found.result
        if holds(step.expect, run.scope(result=found.result)) and not _by_absence(run, step.expect, step.id):
            if step.then is not None:
                _go(run, step, "as expected", step.then, step.expect)
            else:
                _finish(run, step, "as expected", End(ended="verified", because=f"{inline(step.expect)} holds"))
            return
    if now < run.until:
        run.not_before = min(now + timedelta(seconds=PAUSE_S), run.until)
    elif found.result is None or found.unseen:
        _unknown(run, step, found.why if found.result is None else _unseen(found.unseen))
    else:
        _go(run, step, f"not as expected within {step.within_s} s", step.otherwise, step.expect)


def _wait(run: Run, step: Wait, now: datetime) -> None:
    if run.not_before is None:
        run.not_before = now + timedelta(seconds=step.wait)
        return
    _go(run, step, f"waited {step.wait} s", step.then or flow.after(run.runbook, step.id), step.why)


def _act(run: Run, step: Act) -> None:
    try:
        found = proposal(run.runbook, step, run.scope())
    except UnfitError as error:
        _unknown(run, step, str(error))
        return
    because = told(step.because, run.scope())
    end = End(ended="proposed", cause=step.cause, because=because, proposal=found)
    _finish(run, step, own(f"proposes {step.act}"), end)
    run.at = step.verify


def _by_absence(run: Run, expression: str, own_id: str | None = None) -> list[str]:
    """What was not looked at, where an expression that holds would hold just as well had nothing been found there.

    `!(result.root_causes)` is true of an answer that was denied half of what it wanted; `result.root_causes` is not.
    """
    read = {*steps_read(expression), *([own_id] if own_id is not None else [])}
    doubtful = sorted(id_ for id_ in read if run.unseen.get(id_))
    if not doubtful:
        return []
    results = {id_: emptied(one) if id_ in doubtful else one for id_, one in run.results.items()}
    scope = {**run.scope(), "steps": results}
    if own_id is not None:
        scope["result"] = results[own_id]
    try:
        still = holds(expression, scope)
    except ExpressionError:
        still = False
    return [words for id_ in doubtful for words in run.unseen[id_]] if still else []


def _unseen(words: list[str]) -> str:
    return f"not looked at: {'; '.join(dict.fromkeys(words))}"


def _unknown(run: Run, step: Step, why: str) -> None:
    """Goes where a step says for what it cannot know, or ends."""
    target = step.unknown if isinstance(step, Check | Decide) else None
    if target is not None:
        _go(run, step, NOT_KNOWN, target, why)
    else:
        _finish(run, step, NOT_KNOWN, End(ended="inconclusive", because=why), why)


def _go(run: Run, step: Step, outcome: str, to: str, why: str | None = None) -> None:
    _visit(run, step, outcome, why)
    run.at = to


def _finish(run: Run, step: Step, outcome: str, end: End, why: str | None = None) -> None:
    _visit(run, step, outcome, why or end.because)
    run.end = end


def _visit(run: Run, step: Step, outcome: str, why: str | None) -> None:
    run.visited.append(Visited(id=step.id, kind=step.kind, title=step.title, outcome=outcome, why=why))
    run.not_before = run.until = None
