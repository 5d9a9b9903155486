"""Fixtures of the conformance suite that ask the client something back, in the way of either era.

In 2026-07-28 a result says which input it requires and the client calls again with the answers; before, the server
sends a request of its own meanwhile. `fixtures.py` says what they are for.
"""

from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

Request = ElicitRequest | CreateMessageRequest | ListRootsRequest
_CHOICES = ["option1", "option2", "option3"]
_TITLED = [{"const": f"value{n}", "title": title} for n, title in enumerate(("First", "Second", "Third"), 1)]


def form(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": []}


def question(name: str, type_: str = "string") -> ElicitRequest:
    schema = {**form(**{name: {"type": type_}}), "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=f"What is {name}?", requested_schema=schema))


def sample(words: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=words))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


def register(server: MCPServer[Any]) -> None:
    _rounds(server)
    _more_rounds(server)
    _back_channel(server)


def _rounds(server: MCPServer[Any]) -> None:
    def asks(name: str, requests: dict[str, Request], state: str | None = None) -> None:
        async def tool(ctx: Context[Any, Any]) -> str | InputRequiredResult:
            answers = ctx.input_responses or {}
            if requests.keys() <= answers.keys() and ctx.request_state == state:
                return f"state-ok, with {', '.join(sorted(answers))}"
            return InputRequiredResult(input_requests=dict(requests), request_state=state)

        server.add_tool(tool, name=f"test_input_required_result_{name}", description="Asks, and answers when answered")

    asks("elicitation", {"user_name": question("name")})
    asks("sampling", {"capital_question": sample("What is the capital of France?")})
    asks("list_roots", {"client_roots": ListRootsRequest()})
    asks("request_state", {"confirm": question("ok", "boolean")}, "asked")
    asks("tampered_state", {"confirm": question("ok", "boolean")}, "asked")
    asks(
        "multiple_inputs",
        {"user_name": question("name"), "greeting": sample("Greet me"), "client_roots": ListRootsRequest()},
        "asked",
    )


def _more_rounds(server: MCPServer[Any]) -> None:
    @server.tool(description="Asks twice")
    async def test_input_required_result_multi_round(ctx: Context[Any, Any]) -> str | InputRequiredResult:
        step = int(ctx.request_state or "0")
        answered = f"step{step}" in (ctx.input_responses or {})
        if step == 2 and answered:
            return "both answered"
        following = step + 1 if answered or step == 0 else step
        return InputRequiredResult(input_requests={f"step{following}": question("name")}, request_state=str(following))

    @server.tool(description="Asks only what the client can answer")
    async def test_input_required_result_capabilities(ctx: Context[Any, Any]) -> InputRequiredResult:
        able, requests = ctx.client_capabilities, dict[str, Request]()
        if able is not None and able.sampling is not None:
            requests["sample"] = sample("hello")
        if able is not None and able.elicitation is not None:
            requests["ask"] = question("name")
        return InputRequiredResult(input_requests=dict(requests), request_state="gated")

    @server.tool(description="Asks on a stream")
    async def test_streaming_elicitation(ctx: Context[Any, Any]) -> str | InputRequiredResult:
        await ctx.report_progress(1, 2, "about to ask")
        return "answered" if ctx.input_responses else InputRequiredResult(input_requests={"ask": question("name")})

    @server.prompt(description="A prompt that asks")
    async def test_input_required_result_prompt(ctx: Context[Any, Any]) -> str | InputRequiredResult:
        if "user_context" in (ctx.input_responses or {}):
            return "Use the context given."
        return InputRequiredResult(input_requests={"user_context": question("context")})


def _back_channel(server: MCPServer[Any]) -> None:
    async def elicited(ctx: Context[Any, Any], message: str, schema: dict[str, Any]) -> str:
        answer = await ctx.session.elicit_form(message, schema, ctx.request_context.request_id)
        return f"action={answer.action}, content={answer.content}"

    @server.tool(description="Asks a client of the older revisions")
    async def test_elicitation(message: str, ctx: Context[Any, Any]) -> str:
        schema = form(username={"type": "string"}, email={"type": "string"})
        return f"User response: {await elicited(ctx, message, schema)}"

    @server.tool(description="Asks with defaults")
    async def test_elicitation_sep1034_defaults(ctx: Context[Any, Any]) -> str:
        schema = form(
            name={"type": "string", "default": "John Doe"},
            age={"type": "integer", "default": 30},
            score={"type": "number", "default": 95.5},
            status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            verified={"type": "boolean", "default": True},
        )
        return f"Elicitation completed: {await elicited(ctx, 'Who?', schema)}"

    @server.tool(description="Asks with choices")
    async def test_elicitation_sep1330_enums(ctx: Context[Any, Any]) -> str:
        schema = form(
            untitledSingle={"type": "string", "enum": _CHOICES},
            titledSingle={"type": "string", "oneOf": _TITLED},
            legacyEnum={"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
            untitledMulti={"type": "array", "items": {"type": "string", "enum": _CHOICES}},
            titledMulti={"type": "array", "items": {"anyOf": _TITLED}},
        )
        return f"Elicitation completed: {await elicited(ctx, 'Which?', schema)}"

    @server.tool(description="Asks the client's model")
    async def test_sampling(prompt: str, ctx: Context[Any, Any]) -> str:
        request = sample(prompt).params
        answer = await ctx.session.create_message(
            request.messages, max_tokens=100, related_request_id=ctx.request_context.request_id
        )
        return f"LLM response: {answer.content}"
