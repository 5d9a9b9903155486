"""The prompts as MCP lists, gets and completes them. `server.py` calls this."""

from collections.abc import Mapping
from datetime import UTC, datetime

from mcp import MCPError
from mcp.types import INTERNAL_ERROR, GetPromptResult, Prompt, PromptArgument, PromptMessage, TextContent

from firstmate.calls import Calls
from firstmate.mcp import egress
from firstmate.mcp.invalid import refusal
from firstmate.mcp.prompts import explain_alert, postmortem, triage
from firstmate.mcp.prompts.guide import CLUSTER, Asked, PromptSpec
from firstmate.runbooks.library import Library
from firstmate_tools.errors import ConfigurationError, FirstmateError

PROMPTS: Mapping[str, PromptSpec] = {one.name: one for one in (triage.PROMPT, explain_alert.PROMPT, postmortem.PROMPT)}
"""Every prompt by its name, in the order in which they are listed."""


def listed() -> list[Prompt]:
    """The prompts as prompts/list shows them."""
    return [
        Prompt(
            name=one.name,
            title=one.title,
            description=one.description,
            arguments=[
                PromptArgument(name=part.name, description=part.description, required=part.required)
                for part in one.inputs
            ],
        )
        for one in PROMPTS.values()
    ]


def rendered(spec: PromptSpec, given: Mapping[str, str], calls: Calls, runbooks: Library) -> GetPromptResult:
    """A prompt as prompts/get answers it.

    Raises:
        MCPError: an argument is missing, unknown or wrong (invalid params), or this server is not set up right.
    """
    try:
        spec.check(given)
        text = spec.render(Asked(given, calls, runbooks, datetime.now(UTC)))
    except ConfigurationError as error:
        raise MCPError(INTERNAL_ERROR, egress.error(error)) from error
    except FirstmateError as error:
        raise refusal(egress.error(error)) from error
    message = PromptMessage(role="user", content=TextContent(type="text", text=egress.document(text)))
    return GetPromptResult(description=spec.description, messages=[message])


def completed(name: str, argument: str, typed: str, calls: Calls) -> list[str]:
    """Values of a prompt's argument that go on from what was typed; none where nothing is known of it."""
    spec = PROMPTS.get(name)
    part = next((one for one in spec.inputs if one.name == argument), None) if spec is not None else None
    if part is None:
        return []
    if part is not CLUSTER:
        return [one for one in part.completions if one.startswith(typed.lower())]
    try:
        return matching(list(calls.clusters.names()), typed)
    except FirstmateError:
        return []  # a kubeconfig that cannot be read is told by the call, not while somebody types


def matching(known: list[str], typed: str) -> list[str]:
    """Names that begin with what was typed, then those that hold it."""
    wanted = typed.lower()
    first = [one for one in known if one.lower().startswith(wanted)]
    return first + [one for one in known if wanted in one.lower() and one not in first]
