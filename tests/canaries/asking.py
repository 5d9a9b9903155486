"""Asks firstmate everything, in every way in which it can be asked, and gives what came out as text.

Nothing here judges: `tests/live/test_canaries.py` searches what these functions give. Each piece of text has a label
that says where it came from.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

from canaries.objects import NS
from canaries.questions import Question
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from firstmate import answers
from firstmate.arguments import input_schema
from firstmate.calls import Calls
from firstmate.cli.show_any import markdown
from firstmate.cli.show_any import text as plain_text
from firstmate_tools.errors import FirstmateError
from firstmate_tools.toolspec import ToolSpec

Said = tuple[str, str]
"""A label, and what was said."""

PAGES = 4


async def through_calls(calls: Calls, questions: Iterable[tuple[str, Question]]) -> AsyncIterator[Said]:
    """As the command line prints it: whole, as JSON, as text and as Markdown."""
    from firstmate.mcp import egress

    for name, question in questions:
        label = f"{name} {json.dumps(question)[:200]}"
        try:
            answer = await calls.call(name, question)
        except FirstmateError as error:
            yield f"error of {label}", egress.error(error)
            continue
        tree = answers.tree_of(answer)
        yield label, answers.compact(tree)
        yield f"text of {label}", plain_text(tree)
        yield f"markdown of {label}", markdown(name, tree)


async def over_mcp(client: Client, questions: Iterable[tuple[str, Question]]) -> AsyncIterator[Said]:
    """As a client of MCP gets it, and the pages that follow."""
    for name, asked in questions:
        question = dict(asked)
        for page in range(PAGES):
            label = f"{name} {json.dumps(question)[:200]} page {page}"
            try:
                result = await client.call_tool(name, question)
            except MCPError as error:
                yield f"protocol error of {label}", f"{error.error.message} {error.error.data}"
                break
            structured: dict[str, Any] = result.structured_content or {}
            yield label, " ".join(one.text for one in result.content if one.type == "text") + json.dumps(structured)
            cursor = structured.get("coverage", {}).get("cursor")
            if not cursor or question.get("limit") != 1:
                break
            question["cursor"] = cursor


async def everything_else(client: Client, secrets: list[str]) -> AsyncIterator[Said]:
    """Resources, prompts, completions, and what the server says of itself."""
    yield "instructions", str(client.instructions)
    tools = await client.list_tools()
    yield "tools/list", tools.model_dump_json()
    resources = await client.list_resources()
    yield "resources/list", resources.model_dump_json()
    for one in resources.resources:
        yield f"resource {one.uri}", (await client.read_resource(str(one.uri))).model_dump_json()
    templates = (await client.list_resource_templates()).resource_templates
    for template in templates:
        for secret in secrets:
            base = template.uri_template.partition("{")[0]
            with contextlib.suppress(UnicodeError):
                yield f"resource {base}…", await _read(client, base + secret.partition("\n")[0])
            reference = ResourceTemplateReference(uri=template.uri_template)
            yield f"completion of {base}", await _completed(client, reference, "slug", secret)
    async for said in _prompts(client, secrets):
        yield said


async def _read(client: Client, uri: str) -> str:
    try:
        return (await client.read_resource(uri)).model_dump_json()
    except MCPError as error:
        return f"{error.error.message} {error.error.data}"


async def _completed(client: Client, reference: Any, name: str, value: str) -> str:
    try:
        return (await client.complete(reference, {"name": name, "value": value})).model_dump_json()
    except MCPError as error:
        return f"{error.error.message} {error.error.data}"


async def _prompts(client: Client, secrets: list[str]) -> AsyncIterator[Said]:
    try:
        prompts = (await client.list_prompts()).prompts
    except MCPError:
        return
    for prompt in prompts:
        names = [one.name for one in prompt.arguments or []]
        for secret in secrets:
            alert = json.dumps({"alerts": [{"labels": {"namespace": NS}, "annotations": {"description": secret}}]})
            for value in (secret, alert, "cluster", "2h"):
                label = f"prompt {prompt.name}"
                try:
                    found = await client.get_prompt(prompt.name, dict.fromkeys(names, value))
                    yield label, found.model_dump_json()
                except MCPError as error:
                    yield f"error of {label}", f"{error.error.message} {error.error.data}"
            for name in names:
                yield (
                    f"completion of prompt {prompt.name}",
                    await _completed(client, PromptReference(name=prompt.name), name, secret),
                )


def over_contexts(
    tools: Iterable[ToolSpec], contexts: Iterable[str], needed: dict[str, Question]
) -> list[tuple[str, Question]]:
    """Each tool over clusters that do not answer as they should."""
    return [
        (spec.name, {**needed[spec.name], "cluster": context})
        for spec in tools
        for context in contexts
        if "cluster" in input_schema(spec).get("properties", {})
    ]


def impatient(tools: Iterable[ToolSpec], seconds: float = 0.3) -> list[ToolSpec]:
    """The same tools, with little time."""
    return [replace(spec, deadline_s=seconds) for spec in tools]
