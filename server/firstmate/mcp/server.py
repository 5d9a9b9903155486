"""Builds the MCP server from the catalogue, for every transport and both protocol eras.

`serve` and tests call `build`. Tools are listed and called by our own code rather than the SDK's function wrapping:
schemas, validation, errors and results are those of `firstmate.calls` and `egress`. Tools and resources that others
register on the same server go the SDK's way.
"""

from collections.abc import Callable
from typing import Any

import anyio
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import (
    CallToolResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    InputRequiredResult,
    PromptReference,
    Resource,
    ResourceTemplateReference,
    TextContent,
    Tool,
)

from firstmate import version
from firstmate.calls import Calls, Watch
from firstmate.mcp import egress
from firstmate.mcp.budget import CHARACTERS
from firstmate.mcp.instructions import INSTRUCTIONS
from firstmate.mcp.schemas import announced
from firstmate.runbooks.library import Library, library
from firstmate_tools.errors import FirstmateError, UsageError

SCHEME = "runbook://"
_HOUR = CacheHint(ttl_ms=3_600_000, scope="public")
_FIRST_WORD_S = 1.0
_COMPLETIONS = 100


class FirstmateServer(MCPServer[Any]):
    """The server. Make it with `build`."""

    def __init__(self, calls: Calls, runbooks: Library) -> None:
        super().__init__(
            "firstmate",
            title="firstmate",
            version=version(),
            instructions=INSTRUCTIONS,
            log_level="WARNING",
            cache_hints={
                "tools/list": _HOUR,
                "resources/list": _HOUR,
                "resources/templates/list": _HOUR,
                "resources/read": _HOUR,
                "prompts/list": _HOUR,
                "server/discover": _HOUR,
            },
            subscriptions=False,
        )
        self.calls = calls
        self.sent: Callable[[str, int], None] = _nobody
        """Told the name of a tool and the tokens of its answer, when it leaves."""
        self.closing: list[Callable[[], None]] = []
        """Called, in a thread, when serving has ended."""
        self._runbooks = runbooks
        self._tools: list[Tool] = []

    async def close(self) -> None:
        """Lets go of connections, and sends what telemetry has left."""
        await self.calls.clusters.close()
        for last in self.closing:
            await anyio.to_thread.run_sync(last, abandon_on_cancel=True)

    async def list_tools(self) -> list[Tool]:
        if not self._tools:
            self._tools = [announced(spec) for spec in self.calls.tools]
        return [*self._tools, *await super().list_tools()]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        if self._tool_manager.get_tool(name) is not None:
            return await super().call_tool(name, arguments, context)
        watch, outcome = Watch(), list[CallToolResult]()
        async with anyio.create_task_group() as group:
            if context is not None:
                group.start_soon(_progress, context, watch, name)
            outcome.append(await self._answer(name, arguments, watch))
            group.cancel_scope.cancel()
        return outcome[0]

    async def _answer(self, name: str, arguments: dict[str, Any], watch: Watch) -> CallToolResult:
        try:
            given = await self.calls.call(name, arguments, watch)
        except FirstmateError as error:
            return CallToolResult(content=[TextContent(type="text", text=egress.error(error))], is_error=True)
        tree = egress.answer(given, self.calls.find(name))
        text = egress.text(tree)
        self.sent(name, -(-len(text) // CHARACTERS))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=tree, is_error=False)

    async def list_resources(self) -> list[Resource]:
        mine = [
            Resource(
                uri=SCHEME + one.slug,
                name=one.slug,
                title=one.title,
                description=egress.document(one.front.description),
                mime_type="text/markdown",
            )
            for one in self._runbooks.every()
        ]
        return [*mine, *await super().list_resources()]

    def read_runbook(self, slug: str) -> str:
        """A runbook's Markdown, as the resource `runbook://SLUG`."""
        try:
            return egress.document(self._runbooks.find(slug).source)
        except UsageError as error:
            raise ResourceNotFoundError(egress.error(error)) from error
        except FirstmateError as error:
            raise ResourceError(egress.error(error)) from error

    async def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        """Slugs that begin, or else go on, with what was typed."""
        if not isinstance(ref, ResourceTemplateReference) or not ref.uri.startswith(SCHEME):
            return None
        typed = argument.value.lower()
        found = [slug for slug in self._runbooks.slugs if slug.startswith(typed)]
        found += [slug for slug in self._runbooks.slugs if typed in slug and slug not in found]
        return Completion(values=found[:_COMPLETIONS], total=len(found), has_more=len(found) > _COMPLETIONS)


def _nobody(name: str, tokens: int) -> None:
    pass


async def _progress(context: Context[Any, Any], watch: Watch, name: str) -> None:
    """Says every second that a call is still at work, from the first second on, to clients that asked for it."""
    seconds = 0
    while True:
        await anyio.sleep(_FIRST_WORD_S)
        seconds += 1
        asked = f", requests: {watch.usage.requests}" if watch.usage is not None else ""
        await context.report_progress(seconds, None, egress.words(f"{name}: {seconds} s{asked}"))


def build(calls: Calls, runbooks: Library | None = None) -> FirstmateServer:
    """The server over these calls.

    Args:
        calls: the tools and the clusters that they may look at.
        runbooks: those of this installation when left out.
    """
    server = FirstmateServer(calls, runbooks or library())
    server.resource(
        SCHEME + "{slug}",
        name="runbook",
        title="Runbook",
        description="How to confirm, mend, verify and roll back: by slug, as in root_causes[].runbook, or by cause",
        mime_type="text/markdown",
    )(server.read_runbook)
    server.completion()(server.complete)
    return server
