"""What a run of a runbook answers with: the steps that were visited, how it ended, and what is proposed.

`runner.py` makes it, the tool `run_runbook` and `firstmate runbooks run` hand it out. Sentences are words of ours, in
which what comes from the cluster is quoted (`inline`).
"""

from datetime import datetime
from operator import not_
from typing import Any, Literal

from pydantic import Field

from firstmate_tools.results import Model
from firstmate_tools.text import Words

StepKind = Literal["check", "decide", "ask", "act", "verify", "wait", "conclude", "escalate"]
Risk = Literal["low", "medium", "high"]
"""As `firstmate_tools.actions` has it, which nobody who lists tools should have to load."""
Ended = Literal["concluded", "proposed", "escalated", "inconclusive", "waiting", "verified"]


class Visited(Model):
    """One step that was taken."""

    id: str
    kind: StepKind
    title: Words | None = None
    outcome: Words
    why: Words | None = None


class Question(Model):
    """What a person has to say before the run goes on."""

    text: Words
    name: str = Field(description="Pass the answer in `answers` under this name")
    type: str
    choices: list[Words] = Field(default_factory=list[str], exclude_if=not_)


class NextVerify(Model):
    """What tells whether an action helped."""

    step: str
    tool: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any], exclude_if=not_)
    expect: Words | None = None
    within_s: int | None = None


class UndoneBy(Model):
    """What takes an action back, or why nothing does."""

    action: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any], exclude_if=not_)
    command: Words | None = None
    none: Words | None = None


class Proposal(Model):
    """An action that would mend the cause. Nothing has been changed."""

    action: str
    parameters: dict[str, Any]
    command: Words = Field(description="What a person would run, with their own CONTEXT")
    changes: Words
    risk: Risk
    verify: NextVerify
    roll_back: UndoneBy


class HandOver(Model):
    """Whom to call, with what in hand."""

    to: Words
    hand_over: list[Words] = Field(default_factory=list[str])


class End(Model):
    """How a run ended, or why it stands still."""

    ended: Ended
    cause: str | None = Field(default=None, description="Slug, or none: not what the runbook is about")
    because: Words | None = None
    fix: Words | None = None
    proposal: Proposal | None = None
    escalate: HandOver | None = None
    runbook: str | None = Field(default=None, description="The runbook that goes on")
    question: Question | None = None
    until: datetime | None = Field(default=None, description="Go on with the handle then")
