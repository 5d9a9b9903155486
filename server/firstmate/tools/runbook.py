"""The `get_runbook` tool: a runbook by its slug or by a cause, for clients that know tools only."""

from typing import Annotated

from pydantic import Field

from firstmate.runbooks.library import library
from firstmate_tools.results import Answer, Coverage
from firstmate_tools.text import Words
from firstmate_tools.toolspec import tool


class RunbookText(Answer):
    """One runbook."""

    slug: str
    title: str
    causes: list[str] = Field(description="Causes that it is for")
    text: Words = Field(description="Markdown")


@tool(title="Read a runbook", given="nothing", untrusted=False)
async def get_runbook(
    runbook: Annotated[str, Field(description="Slug, as in root_causes[].runbook, or a cause", max_length=200)],
) -> RunbookText:
    """The runbook for a cause: how to confirm it, fix it, verify, roll back and whom to call. Read it before proposing
    a fix. Its commands are for people: replace the placeholders, and change nothing without approval."""
    found = library().find(runbook)
    return RunbookText(
        slug=found.slug,
        title=found.title,
        causes=list(found.causes),
        text=found.text,
        coverage=Coverage(checked=["runbooks"]),
    )
