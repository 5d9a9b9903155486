"""A tool that asks its caller something back, as an approval will: the question passes through our server in both eras.

In 2026-07-28 the answer to a call says which input it requires, and the call comes again with it; before, the server
asks meanwhile. The official suite runs the same over HTTP (tests/conformance).
"""

from typing import Annotated, Any

import pytest
from contract.eras import EVERY, connected
from contract.server_doubles import Clusters, shop
from mcp.server.mcpserver import Elicit, ElicitationResult, Resolve
from mcp.types import ElicitResult
from pydantic import BaseModel

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.mcp.server import FirstmateServer, build

pytestmark = pytest.mark.anyio
SINCE_2025_06_18 = EVERY[2:]  # before, a server cannot ask


class Approval(BaseModel):
    ok: bool


async def approval(plan: str) -> Elicit[Approval]:
    return Elicit(f"Apply {plan}?", Approval)


def serving() -> FirstmateServer:
    server = build(Calls(Clusters(prod=shop()), all_tools()))

    @server.tool(description="Applies a plan")
    async def apply(plan: str, answer: Annotated[ElicitationResult[Approval], Resolve(approval)]) -> str:
        return f"{plan}: {answer.action} {answer.data.ok if answer.action == 'accept' else ''}".strip()

    return server


@pytest.mark.parametrize("version", SINCE_2025_06_18)
async def test_the_question_reaches_the_client_and_its_answer_the_tool(version: str) -> None:
    asked: list[str] = []

    async def person(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"ok": True})

    async with connected(serving(), version, elicitation_callback=person) as client:
        result = await client.call_tool("apply", {"plan": "p-1"})
    assert result.content[0].text == "p-1: accept True" and not result.is_error
    assert asked == ["Apply p-1?"]


@pytest.mark.parametrize("version", SINCE_2025_06_18)
async def test_a_refusal_reaches_the_tool_as_well(version: str) -> None:
    async def person(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="decline")

    async with connected(serving(), version, elicitation_callback=person) as client:
        result = await client.call_tool("apply", {"plan": "p-1"})
    assert result.content[0].text == "p-1: decline"
