"""What is announced is what comes: schemas of JSON Schema 2020-12, and every tool's answers over the demo conform."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from contract.server_doubles import EXAMPLES, needed
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.types import Tool

from firstmate.arguments import input_schema
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.mcp.schemas import announced
from firstmate.mcp.server import build
from firstmate.settings import Settings
from firstmate_tools.toolspec import ToolSpec

EVERY = [pytest.param(spec, id=spec.name) for spec in all_tools()]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def demo(anyio_backend: str) -> AsyncIterator[Client]:
    async with Client(build(Calls(ConfiguredClusters(Settings(snapshot="demo")), all_tools()))) as client:
        yield client


@pytest.fixture(scope="module")
async def pod(demo: Client) -> dict[str, str]:
    """The worst pod of the demo, by name and namespace."""
    found = await demo.call_tool("pod_status", {"limit": 1})
    assert found.structured_content is not None
    (row,) = found.structured_content["pods"]
    return {"name": row["name"], "namespace": row["namespace"]}


def arguments(spec: ToolSpec, pod: dict[str, str]) -> dict[str, Any]:
    """What the tool needs, about something that the demo has."""
    given: dict[str, Any] = dict(needed(spec))
    there = {EXAMPLES["scope"]: f"pod/{pod['name']}", EXAMPLES["name"]: pod["name"], "shop": pod["namespace"]}
    return {name: there.get(value, value) if isinstance(value, str) else value for name, value in given.items()}


@pytest.mark.parametrize("spec", EVERY)
def test_schemas_are_of_json_schema_2020_12_and_say_object(spec: ToolSpec) -> None:
    tool = announced(spec)
    for schema in (tool.input_schema, tool.output_schema):
        assert schema is not None and schema["type"] == "object"
        Draft202012Validator.check_schema(schema)
    assert tool.input_schema["additionalProperties"] is False


@pytest.mark.anyio
@pytest.mark.parametrize("detail", ["concise", "detailed"])
@pytest.mark.parametrize("spec", EVERY)
async def test_an_answer_conforms_stands_alone_and_says_the_same_in_text(
    demo: Client, pod: dict[str, str], spec: ToolSpec, detail: str
) -> None:
    tools: dict[str, Tool] = {one.name: one for one in (await demo.list_tools()).tools}
    given = arguments(spec, pod)
    if "detail" in input_schema(spec)["properties"]:
        given["detail"] = detail
    found = await demo.call_tool(spec.name, given)
    (content,) = found.content
    assert not found.is_error, content.text
    assert found.structured_content is not None
    Draft202012Validator(tools[spec.name].output_schema or {}).validate(found.structured_content)
    assert json.loads(content.text) == found.structured_content
    assert "coverage" in found.structured_content
    if spec.given == "cluster":
        assert found.structured_content["cluster"]["name"] == "demo" and found.structured_content["observed_at"]
