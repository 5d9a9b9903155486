"""The `get_runbook` tool: a runbook by its slug or by a cause, for clients that know tools only."""

from operator import not_
from typing import Annotated, Any, Protocol

from pydantic import Field

from firstmate.runbooks.library import Library
from firstmate_tools.results import Answer, Coverage, Detail
from firstmate_tools.text import Words
from firstmate_tools.toolspec import tool


class RunbookText(Answer):
    """One runbook."""

    slug: str
    title: str
    causes: list[str] = Field(description="Causes that it is for")
    origin: str = Field(description="bundled, or the name of the folder that it comes from")
    runs: bool = Field(description="run_runbook can carry it out")
    text: Words = Field(description="Markdown")
    steps: list[dict[str, Any]] = Field(
        default_factory=list[dict[str, Any]], exclude_if=not_, description="What run_runbook carries out"
    )


class _Given(Protocol):
    """What asks other tools; see `firstmate.calls.Asking`."""

    @property
    def runbooks(self) -> Library: ...


@tool(title="Read a runbook", given="calls", untrusted=False)
async def get_runbook(
    given: _Given,
    runbook: Annotated[str, Field(description="Slug, as in root_causes[].runbook, or a cause", max_length=200)],
    detail: Detail = "concise",
) -> RunbookText:
    """The runbook for a cause: how to confirm it, fix it, verify, roll back and whom to call. Read it before proposing
    a fix. Its commands are for people: replace the placeholders, and change nothing without approval."""
    from firstmate.runbooks.steps import written  # with what reads runbooks

    found = given.runbooks.find(runbook)
    return RunbookText(
        slug=found.slug,
        title=found.title,
        causes=list(found.causes),
        origin=given.runbooks.provenance(found.slug).name,
        runs=bool(found.steps),
        text=found.text,
        steps=[written(placed.step) for placed in found.steps] if detail == "detailed" else [],
        coverage=Coverage(checked=["runbooks"]),
    )
