"""The `run_runbook` tool: carries out the steps of a runbook, up to the fix that it proposes. Changes nothing.

Every step's tool is called as any other call is (`firstmate.calls.Asking`). What is left to come lies in the handle.
What runs steps is imported when a runbook is first run: the tool is listed at every start.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import Field

from firstmate.runbooks.library import Library, library
from firstmate.runbooks.outcome import End, Ended, HandOver, Proposal, Question, Visited
from firstmate.runbooks.steps import Check, Verify
from firstmate_tools.catalogue import all_tools, declared_reads
from firstmate_tools.errors import UsageError, Why
from firstmate_tools.reads import Declared
from firstmate_tools.results import Answer, Coverage, NotChecked
from firstmate_tools.text import Words
from firstmate_tools.toolspec import tool

if TYPE_CHECKING:
    from firstmate.runbooks.handle import Handles
    from firstmate.runbooks.runner import Run

WITHIN_S = 40.0
"""Seconds after which no further step is begun: clients give up after a minute."""


class Asking(Protocol):
    """What asks other tools; see `firstmate.calls.Asking`."""

    @property
    def runbooks(self) -> Library: ...
    @property
    def handles(self) -> "Handles": ...
    def cluster(self, name: str | None) -> str: ...
    async def ask(self, tool: str, arguments: Mapping[str, object], cluster: str | None) -> dict[str, Any]: ...


class RunbookRun(Answer):
    """How far a run came."""

    lists: ClassVar[tuple[str, ...]] = ("visited",)
    whole: ClassVar[tuple[str, ...]] = ("handle",)

    runbook: str
    cluster: str
    ended: Ended | None = Field(default=None, description="Absent: steps are left, go on with the handle")
    cause: str | None = Field(default=None, description="Slug; none: not what this runbook is about")
    because: Words | None = None
    fix: Words | None = None
    proposal: Proposal | None = Field(default=None, description="Nothing has been changed: a person decides")
    escalate: HandOver | None = None
    go_on: str | None = Field(default=None, description="The runbook that goes on")
    question: Question | None = None
    until: datetime | None = Field(default=None, description="Go on then, not before")
    following: str | None = Field(default=None, description="The step that comes next")
    visited: list[Visited] = Field(default_factory=list[Visited])
    handle: Words | None = Field(default=None, description="Pass it back to go on; good for an hour")


def step_reads() -> Iterable[Declared]:
    """Everything that the tools may read which steps of the bundled runbooks call."""
    steps = [placed.step for runbook in library().sound() for placed in runbook.steps]
    named = {one.check for one in steps if isinstance(one, Check)} | {
        one.verify for one in steps if isinstance(one, Verify)
    }
    return declared_reads(spec for spec in all_tools() if spec.name in named)


@tool(title="Run a runbook", given="calls", reads=step_reads, deadline_s=120.0, tokens=3000)
async def run_runbook(
    asking: Asking,
    runbook: Annotated[str, Field(description="Slug or cause", max_length=200)],
    params: Annotated[dict[str, Any] | None, Field(description="Such as namespace, workload")] = None,
    answers: Annotated[dict[str, Any] | None, Field(description="To its questions, by name")] = None,
    handle: Annotated[str | None, Field(description="From the call before", max_length=8000)] = None,
    one_step: Annotated[bool, Field(description="Stop after one step")] = False,
    cluster: Annotated[str | None, Field(max_length=1000)] = None,
) -> RunbookRun:
    """Carries out a runbook's checks in order and says where they lead: a cause, a proposed fix with how to verify and
    undo it, whom to call, or what could not be known. Changes nothing. Where it waits for an answer, ask the person,
    then pass handle and answers."""
    from firstmate.runbooks.drive import drive

    run, where = _taken_up(asking, runbook, params, answers, handle, cluster)

    async def ask(name: str, given: Mapping[str, object]) -> dict[str, Any]:
        return await asking.ask(name, given, where)

    await drive(run, ask, asyncio.sleep, one_step=one_step, within_s=WITHIN_S)
    return _told(run, where, asking.handles)


def _taken_up(
    asking: Asking,
    slug: str,
    params: Mapping[str, Any] | None,
    told: Mapping[str, Any] | None,
    handle: str | None,
    cluster: str | None,
) -> "tuple[Run, str]":
    from firstmate.runbooks.given import CLUSTER, answers, parameters
    from firstmate.runbooks.runner import begin

    if handle is None:
        book = asking.runbooks.find(slug)
        given = dict(params or {})
        named = given.pop(CLUSTER, None) or cluster
        if cluster is not None and named != cluster:
            raise UsageError("Two clusters are named: in `cluster`, and in `params`.", "Name one.")
        run = begin(book, parameters(book, given), answers(book, told or {}))
        return run, asking.cluster(str(named) if named is not None else None)
    run, where = asking.handles.open(handle, asking.runbooks.get)
    if asking.runbooks.find(slug).slug != run.runbook.slug:
        raise UsageError(f"This handle belongs to the runbook {run.runbook.slug}.", "Name that one.")
    if params:
        raise UsageError("The parameters of a run that has begun stand fast.", "Leave `params` out, or run it anew.")
    if cluster is not None and asking.cluster(cluster) != where:
        raise UsageError("This handle belongs to another cluster.", "Leave `cluster` out, or run the runbook anew.")
    run.answers.update(answers(run.runbook, told or {}))
    return run, asking.cluster(where)


def _told(run: "Run", cluster: str, handles: "Handles") -> RunbookRun:
    from firstmate.runbooks.handle import TooLargeError
    from firstmate.runbooks.runner import NOT_KNOWN

    end = run.end or _UNENDED
    more = run.end is None or end.ended in ("waiting", "proposed")
    handle: str | None = None
    cut: list[str] = []
    if more:
        try:
            handle = handles.seal(run, cluster)
        except TooLargeError as error:
            cut.append(f"no handle: {error}")
    return RunbookRun(
        runbook=run.runbook.slug,
        cluster=cluster,
        ended=end.ended if run.end is not None else None,
        cause=end.cause,
        because=end.because,
        fix=end.fix,
        proposal=end.proposal,
        escalate=end.escalate,
        go_on=end.runbook,
        question=end.question,
        until=end.until,
        following=run.at if more else None,
        visited=run.visited,
        handle=handle,
        coverage=Coverage(
            checked=[f"step {one.id}" for one in run.visited if one.outcome != NOT_KNOWN],
            not_checked=[_not_checked(id_, words) for id_, every in run.unseen.items() for words in every],
            cut=cut,
        ),
    )


def _not_checked(id_: str, words: str) -> NotChecked:
    """What a step could not look at, as `reading.py` says it: `nodes (denied)`, or a sentence."""
    from firstmate.runbooks.reading import COUNTS

    what, _, why = words.removesuffix(")").rpartition(" (")
    known: Why | None = next((one for one in COUNTS if one == why), None)
    return NotChecked(what=f"step {id_}: {what if known else words}", why=known if known is not None else "failed")


_UNENDED = End(ended="waiting")
