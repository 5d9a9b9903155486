"""Builds the MCP server from the catalogue, for every transport and both protocol eras.

`serve` and tests call `build`. Tools are listed and called by our own code rather than the SDK's function wrapping:
schemas, validation, errors and results are those of `firstmate.calls` and `egress`. So are the runbooks, as resources
and as skills, and the prompts. What others register on the same server goes the SDK's way.
"""

import hmac
from collections.abc import Callable, Iterable
from typing import Any

import anyio
from mcp.server.caching import CacheHint
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer, RequestStateSecurity
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, UnexpectedResourceError
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    CallToolResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    GetPromptResult,
    InputRequiredResult,
    Prompt,
    PromptReference,
    Resource,
    ResourceTemplateReference,
    TextContent,
    Tool,
)
from pydantic import AnyUrl

from firstmate import version
from firstmate.caller import current
from firstmate.calls import Calls, Watch, masked
from firstmate.mcp import asking, egress
from firstmate.mcp.budget import CHARACTERS
from firstmate.mcp.instructions import INSTRUCTIONS
from firstmate.mcp.invalid import refusal
from firstmate.mcp.schemas import announced
from firstmate.mcp.skills import SCHEME as SKILLS
from firstmate.mcp.skills import Skills, SkillsExtension
from firstmate.nearest import nearest
from firstmate.runbooks.library import Library
from firstmate.tools.run_runbook import RunbookRun
from firstmate_tools.errors import FirstmateError, UsageError
from firstmate_tools.results import Answer
from firstmate_tools.text import clipped

SCHEME = "runbook://"
_HOUR = CacheHint(ttl_ms=3_600_000, scope="public")
_FIRST_WORD_S = 1.0
_COMPLETIONS = 100


class FirstmateServer(MCPServer[Any]):
    """The server. Make it with `build`."""

    def __init__(self, calls: Calls, runbooks: Library) -> None:
        skills = Skills(runbooks)
        super().__init__(
            "firstmate",
            title="firstmate",
            version=version(),
            instructions=INSTRUCTIONS,
            log_level="WARNING",
            cache_hints={
                "tools/list": CacheHint(ttl_ms=_HOUR.ttl_ms, scope="private"),  # callers see what they may use
                "resources/list": _HOUR,
                "resources/templates/list": _HOUR,
                "resources/read": _HOUR,
                "prompts/list": _HOUR,
                "server/discover": _HOUR,
            },
            extensions=[SkillsExtension(skills)],
            request_state_security=_security(calls),
            subscriptions=False,
        )
        self.calls = calls
        self.sent: Callable[[str, int], None] = _nobody
        """Told the name of a tool and the tokens of its answer, when it leaves."""
        self.closing: list[Callable[[], None]] = []
        """Called, in a thread, when serving has ended."""
        self._runbooks = runbooks
        self._skills = skills
        self._tools: list[Tool] = []

    async def close(self) -> None:
        """Lets go of connections, and sends what telemetry has left."""
        await self.calls.clusters.close()
        for last in self.closing:
            await anyio.to_thread.run_sync(last, abandon_on_cancel=True)

    async def list_tools(self) -> list[Tool]:
        if not self._tools:
            self._tools = [announced(spec) for spec in self.calls.tools]
        families = current().families
        mine = [tool for tool, spec in zip(self._tools, self.calls.tools, strict=True) if spec.family in families]
        return [*mine, *await super().list_tools()]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        if self._tool_manager.get_tool(name) is not None:
            return await super().call_tool(name, arguments, context)
        watch, outcome = Watch(), list[CallToolResult | InputRequiredResult]()
        async with anyio.create_task_group() as group:
            if context is not None:
                group.start_soon(_progress, context, watch, name)
            outcome.append(await self._answer(name, arguments, watch, context))
            group.cancel_scope.cancel()
        return outcome[0]

    async def _answer(
        self, name: str, arguments: dict[str, Any], watch: Watch, context: Context[Any, Any] | None
    ) -> CallToolResult | InputRequiredResult:
        try:
            if name == asking.TOOL and context is not None:
                given = await self._run_runbook(arguments, watch, context)
                if isinstance(given, InputRequiredResult):
                    return given
            else:
                given = await self.calls.call(name, arguments, watch)
        except FirstmateError as error:
            return CallToolResult(content=[TextContent(type="text", text=egress.error(error))], is_error=True)
        tree = egress.answer(given, self.calls.find(name))
        text = egress.text(tree)
        self.sent(name, -(-len(text) // CHARACTERS))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=tree, is_error=False)

    async def _run_runbook(
        self, arguments: dict[str, Any], watch: Watch, context: Context[Any, Any]
    ) -> Answer | InputRequiredResult:
        """A run whose questions are put to the person behind the client, as far as it can."""
        again = asking.resumed(context, arguments)
        found = await self.calls.call(asking.TOOL, again or arguments, watch)
        unanswered = again is not None and not again["answers"]
        while isinstance(found, RunbookRun) and found.question is not None and asking.may_ask(context):
            onward = await asking.asked(context, arguments, found) if not unanswered else None
            if onward is None or isinstance(onward, InputRequiredResult):
                return onward or found
            found = await self.calls.call(asking.TOOL, onward, watch)
        return found

    async def list_resources(self) -> list[Resource]:
        """Every runbook, then every file of its folder as a skill's, then what others registered."""
        skills = await self._skills.read()
        mine = [
            Resource(
                uri=SCHEME + one.slug,
                name=one.slug,
                title=one.title,
                description=egress.document(one.front.description),
                mime_type="text/markdown",
            )
            for one in (skill.runbook for skill in skills)
        ]
        files = [skill.resource(file) for skill in skills for file in skill.files]
        return [*mine, *files, *await super().list_resources()]

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """A skill's file, exactly as its digest has it; everything else goes the SDK's way."""
        address = str(uri)
        if not address.startswith(SKILLS):
            try:
                return await super().read_resource(uri, context)
            except ResourceNotFoundError as error:  # the SDK would repeat the address, whatever it holds
                said = str(error) if error.__cause__ is not None else f"There is no resource {clipped(address, 200)!r}."
                raise refusal(said, address) from error
            except UnexpectedResourceError as error:  # likewise
                told = masked(error, "resources/read")
                raise MCPError(INTERNAL_ERROR, egress.error(told)) from None
        try:
            file = self._skills.file(address)
        except FirstmateError as error:
            raise refusal(egress.error(error), address) from error
        if file is None:
            raise refusal(f"There is no {clipped(address, 200)}; skills/list names what there is.", address)
        return [ReadResourceContents(content=file.text, mime_type=file.mime_type)]

    def read_runbook(self, slug: str) -> str:
        """A runbook's Markdown, as the resource `runbook://SLUG`."""
        try:
            return egress.document(self._runbooks.find(slug).source)
        except UsageError as error:
            raise ResourceNotFoundError(egress.error(error)) from error
        except FirstmateError as error:
            raise ResourceError(egress.error(error)) from error

    # The prompts are imported when somebody asks for them: whoever waits for the tools need not wait for them as well.

    async def list_prompts(self) -> list[Prompt]:
        from firstmate.mcp.prompts import serving as prompts

        return [*prompts.listed(), *await super().list_prompts()]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """A prompt of ours, or of others. Unlike the SDK, calls what a caller got wrong invalid parameters."""
        from firstmate.mcp.prompts import serving as prompts

        given = arguments or {}
        if (spec := prompts.PROMPTS.get(name)) is not None:
            await self._skills.read()  # so that looking an alert up parses nothing while others wait
            return prompts.rendered(spec, given, self.calls, self._runbooks)
        if (other := self._prompt_manager.get_prompt(name)) is None:
            every = [one.name for one in await self.list_prompts()]
            near = nearest(name, every)
            hint = f"Did you mean `{near}`?" if near else f"There are: {', '.join(every)}."
            raise refusal(f"There is no prompt {clipped(name, 100)!r}. {hint}")
        if missing := [one.name for one in other.arguments or () if one.required and one.name not in given]:
            raise refusal(f"The prompt {name} needs the argument `{missing[0]}`.")
        return await super().get_prompt(name, arguments, context)

    async def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        """Slugs of runbooks, and what arguments of prompts may begin with. Nothing for what it does not know."""
        from firstmate.mcp.prompts import serving as prompts

        if isinstance(ref, PromptReference):
            found = prompts.completed(ref.name, argument.name, argument.value, self.calls)
        elif ref.uri.startswith(SCHEME):
            found = prompts.matching(list(self._runbooks.slugs), argument.value)
        else:
            found = []
        shown = [egress.words(one) for one in found[:_COMPLETIONS]]
        return Completion(values=shown, total=len(found), has_more=len(found) > _COMPLETIONS)


def _security(calls: Calls) -> RequestStateSecurity | None:
    """So that a replica with the same key can take up what another one has asked; None for a key of this process."""
    own = [hmac.digest(key, b"firstmate request state 1", "sha256") for key in calls.keys]
    return RequestStateSecurity(keys=own) if own else None


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
        runbooks: those of the calls when left out.
    """
    server = FirstmateServer(calls, runbooks or calls.runbooks)
    server.resource(
        SCHEME + "{slug}",
        name="runbook",
        title="Runbook",
        description="How to confirm, mend, verify and roll back: by slug, as in root_causes[].runbook, or by cause",
        mime_type="text/markdown",
    )(server.read_runbook)
    server.completion()(server.complete)
    return server
