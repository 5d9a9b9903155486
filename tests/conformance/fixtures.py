"""What the conformance suite looks up by name: tools, resources and prompts with fixed answers.

`fixture_server` registers them on the server that `build()` makes, so that the suite runs through our overrides of
lists, calls, reads and prompts. What they are called and what they answer is what the descriptions of the suite's
scenarios ask for. Those that ask the client something back are in `asking.py`.
"""

import json
from base64 import b64decode, b64encode
from typing import Annotated, Any

from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SILENCE = b64encode(
    b"RIFF" + (36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    + b"\1\0\1\0" + (8000).to_bytes(4, "little") * 2 + b"\1\0\x08\0" + b"data" + bytes(4)
).decode()  # fmt: skip

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def picture() -> ImageContent:
    return ImageContent(type="image", data=DOT, mime_type="image/png")


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, text=text, mime_type=mime_type))


def register(server: MCPServer[Any]) -> None:
    _tools(server)
    _tools_that_look_at_the_request(server)
    _resources(server)
    _prompts(server)


def _tools(server: MCPServer[Any]) -> None:
    @server.tool(description="Answers with a text")
    async def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(description="Answers with an image")
    async def test_image_content() -> list[ImageContent]:
        return [picture()]

    @server.tool(description="Answers with a sound")
    async def test_audio_content() -> list[AudioContent]:
        return [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")]

    @server.tool(description="Answers with a resource")
    async def test_embedded_resource() -> list[EmbeddedResource]:
        return [embedded("test://embedded-resource", "This is an embedded resource content.")]

    @server.tool(description="Answers with a text, an image and a resource")
    async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        words = TextContent(type="text", text="Multiple content types test:")
        return [words, picture(), embedded("test://mixed-content-resource", '{"test":"data"}', "application/json")]

    @server.tool(description="Fails on purpose")
    async def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(description="Takes the whole vocabulary of JSON Schema 2020-12")
    async def json_schema_2020_12_tool(name: str = "") -> str:
        return name

    found = server._tool_manager.get_tool("json_schema_2020_12_tool")
    assert found is not None
    found.parameters = SCHEMA


def _tools_that_look_at_the_request(server: MCPServer[Any]) -> None:
    @server.tool(description="Tells how far it is")
    async def test_tool_with_progress(ctx: Context[Any, Any]) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"Completed step {done} of 100")
        return "done"

    @server.tool(description="Needs a client that can sample")
    async def test_missing_capability(ctx: Context[Any, Any]) -> str:
        if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
            needed = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client cannot sample", needed)
        return "ok"

    @server.tool(description="Would log, where a request asks for it")
    async def test_logging_tool() -> str:
        return "firstmate logs to stderr"

    @server.tool(description="Mirrors an argument into a header")
    async def test_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
        return region


def _resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """A text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """An image."""
        return b64decode(DOT)

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:
        """A template."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _prompts(server: MCPServer[Any]) -> None:
    @server.prompt(description="A text")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="Two arguments")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="A resource")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
        return [UserMessage(embedded(resourceUri, "Embedded resource content for testing.")), UserMessage("Use it.")]

    @server.prompt(description="An image")
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(picture()), UserMessage("What is it?")]
