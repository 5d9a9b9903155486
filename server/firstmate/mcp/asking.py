"""The question of a runbook, put to the person behind the client, where the client says that it can.

`server.py` calls `answered` with each answer of `run_runbook` that waits. Since 2026-07-28 the answer to the call says
what it requires, and the call comes again with it; before, the server asks meanwhile. A client that cannot ask gets the
question as the tool's answer, with the handle to go on. The question is shown to people: what it quotes of the cluster
is plain text in quotation marks.
"""

from collections.abc import Mapping
from typing import Any, cast

from mcp.server.mcpserver import Context
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult

from firstmate.mcp import egress
from firstmate.tools.run_runbook import RunbookRun

TOOL = "run_runbook"
_MODERN = "2026-07-28"
_KEY = "answer"


def resumed(context: Context[Any, Any], arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments of a call that came again with a person's answer, None where it is no such call.

    Where they did not answer, the run is taken up without one, and waits again.
    """
    if context.request_state is None:
        return None
    responses = cast("Mapping[str, object]", context.input_responses or {})
    given = responses.get(_KEY)
    content = given.content if isinstance(given, ElicitResult) and given.action == "accept" else None
    return _onward(arguments, context.request_state, content)


def may_ask(context: Context[Any, Any]) -> bool:
    """Whether the client has said that it puts forms to a person."""
    capabilities = context.client_capabilities
    asking = capabilities.elicitation if capabilities is not None else None
    return asking is not None and (asking.form is not None or asking.url is None)


async def asked(
    context: Context[Any, Any], arguments: Mapping[str, Any], waiting: RunbookRun
) -> InputRequiredResult | dict[str, Any] | None:
    """Puts the question of a run to the person.

    Args:
        context: of a client that may be asked.
        arguments: of the call.
        waiting: its answer.

    Returns:
        What the client is told to bring; or the arguments with which to go on; or None where there is nothing to ask,
        or the person did not answer.
    """
    question, handle = waiting.question, waiting.handle
    if question is None or handle is None:
        return None
    form: dict[str, Any] = {"type": question.type, "title": question.name}
    if question.choices and question.type == "string":
        form["enum"] = [str(one) for one in question.choices]
    schema: dict[str, Any] = {"type": "object", "properties": {question.name: form}, "required": [question.name]}
    message = egress.for_people(question.text)
    if (context.protocol_version or "") >= _MODERN:
        request = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))
        return InputRequiredResult(input_requests={_KEY: request}, request_state=handle)
    found = await context.session.elicit_form(message, schema, context.request_id)
    return _onward(arguments, handle, found.content) if found.action == "accept" else None


def _onward(arguments: Mapping[str, Any], handle: str, content: Mapping[str, Any] | None) -> dict[str, Any]:
    rest = {name: value for name, value in arguments.items() if name in ("runbook", "one_step", "cluster")}
    return {**rest, "handle": handle, "answers": dict(content or {})}
