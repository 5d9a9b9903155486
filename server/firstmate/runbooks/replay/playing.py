"""Plays a case: runs its runbook with the answers that it has, and says how the run differs from what must be.

`Player` holds what tools answered: a recording answers the same question always the same way, and many cases share one.
Time does not pass: a verify that waits for ten minutes has waited. Must never ask anything but the given tools.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from firstmate.runbooks.document import Runbook
from firstmate.runbooks.drive import drive
from firstmate.runbooks.given import answers, parameters
from firstmate.runbooks.replay.cases import Case
from firstmate.runbooks.replay.ending import cause_of
from firstmate.runbooks.runner import Run, begin
from firstmate_tools.errors import DeniedError, FirstmateError, UsageError

Tools = Callable[[str, Mapping[str, object]], Awaitable[Mapping[str, Any]]]
"""Asks a tool about one recording."""


@dataclass(slots=True)
class Remembered:
    """The tools over one recording, each question put once."""

    tools: Tools
    _known: dict[bytes, Mapping[str, Any] | FirstmateError] = field(
        default_factory=dict[bytes, "Mapping[str, Any] | FirstmateError"]
    )

    async def ask(self, tool: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        key = orjson.dumps([tool, dict(arguments)], option=orjson.OPT_SORT_KEYS)
        if key not in self._known:
            try:
                self._known[key] = await self.tools(tool, arguments)
            except FirstmateError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, FirstmateError):
            raise found
        return found


class _Clock:
    """Time that passes when somebody sleeps, and not otherwise."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


async def play(runbook: Runbook, case: Case, tools: Tools, then_on: Tools | None = None) -> Run:
    """The run of a case.

    Args:
        tools: over the case's snapshot.
        then_on: over the recording with which it goes on after a proposal.

    Raises:
        UsageError: the runbook does not take these parameters, answers or this start, or has no step that is denied.
    """
    for id_ in case.denied:
        if runbook.step(id_) is None:
            raise UsageError(f"{runbook.slug} has no step {id_}, which the case denies.")
    run = begin(runbook, parameters(runbook, case.params), answers(runbook, case.answers), case.start)
    clock = _Clock()
    await drive(run, _refusing(run, case, tools), clock.sleep, now=clock.now)
    if then_on is not None and run.end is not None and run.end.ended == "proposed":
        run.end = None
        await drive(run, _refusing(run, case, then_on), clock.sleep, now=clock.now)
    return run


def _refusing(run: Run, case: Case, tools: Tools) -> Tools:
    async def ask(tool: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        if run.at in case.denied:
            raise DeniedError(f"The case denies {tool} to step {run.at}.")
        return await tools(tool, arguments)

    return ask


def differences(case: Case, run: Run) -> Sequence[str]:
    """How a run that ended differs from what its case wants, in sentences; none where it does not."""
    assert run.end is not None
    reached = [one.id for one in run.visited]
    if run.end.ended == "waiting":
        reached.append(run.at)
    found = [f"did not reach {id_}" for id_ in case.must_reach if id_ not in reached]
    found += [f"reached {id_}" for id_ in case.must_not_reach if id_ in reached]
    for key, ids in (("must_reach", case.must_reach), ("must_not_reach", case.must_not_reach)):
        found += [f"{key}: there is no step {id_}" for id_ in ids if run.runbook.step(id_) is None]
    if run.end.ended != case.ends:
        found.append(f"ended {run.end.ended}, not {case.ends}: {run.end.because or ''}".rstrip(": "))
    if (cause := cause_of(run)) != case.cause:
        found.append(f"ended in {cause}, not in {case.cause}")
    return found
