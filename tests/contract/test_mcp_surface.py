"""What a model reads before it calls anything: few tokens, the same bytes every time, nothing loaded for it."""

import subprocess
import sys

import pytest
from contract.server_doubles import Clusters

from firstmate.answers import compact
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.mcp.instructions import INSTRUCTIONS
from firstmate.mcp.schemas import announced, tokens
from firstmate.mcp.server import build
from firstmate.runbooks.library import library
from firstmate_tools.toolspec import ToolSpec

HEAVY = (
    "kubernetes",
    "aiohttp",
    "boto3",
    "botocore",
    "yaml",
    "markdown_it",
    "mdit_py_plugins",
    "uvicorn.loops",
    "rich.markdown",
    "firstmate.mcp.prompts.serving",
)


def test_no_tool_takes_more_than_250_tokens() -> None:
    spent = {spec.name: tokens(spec) for spec in all_tools()}
    assert max(spent.values()) <= 250, spent


def test_the_default_list_stays_under_4000_tokens() -> None:
    assert sum(tokens(spec) for spec in all_tools()) <= 4000


@pytest.mark.parametrize("spec", all_tools(), ids=lambda spec: spec.name)
def test_every_tool_says_what_it_is_for_in_a_few_sentences(spec: ToolSpec) -> None:
    tool = announced(spec)
    assert tool.title and tool.description and 60 <= len(tool.description) <= 600
    assert tool.output_schema is not None and tool.output_schema["type"] == "object"
    assert '"title":"' not in compact(tool.output_schema) and '{"type":"null"}' not in compact(tool.output_schema)


def test_the_instructions_explain_what_schemas_leave_out() -> None:
    for word in ("cluster", "namespace", "limit", "cursor", "detail", "scope", "untrusted", "not_checked"):
        assert word in INSTRUCTIONS
    assert len(INSTRUCTIONS) / 4 <= 450


@pytest.mark.anyio
async def test_prompts_take_few_tokens_and_say_what_they_are_for() -> None:
    listed = await build(Calls(Clusters(), all_tools())).list_prompts()
    assert len(compact([one.model_dump(mode="json", exclude_none=True) for one in listed])) / 4 <= 450
    for one in listed:
        assert one.title and one.description and all(part.description for part in one.arguments or [])


@pytest.mark.anyio
async def test_what_is_listed_has_one_order_and_no_address_twice() -> None:
    first, second = [await build(Calls(Clusters(), all_tools())).list_resources() for _ in range(2)]
    assert first == second
    assert len({str(one.uri) for one in first}) == len(first) == 2 * len(library().slugs)


def test_the_announcement_is_the_same_in_every_process() -> None:
    script = (
        "import hashlib; from firstmate.mcp.schemas import announced; from firstmate.catalogue import all_tools;"
        "print(hashlib.sha256(''.join(announced(s).model_dump_json() for s in all_tools()).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_listing_the_tools_loads_nothing_heavy() -> None:
    script = f"""
import sys
from firstmate.mcp import quickstart
quickstart.load()
import anyio
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.mcp.server import build
from firstmate.settings import load
server = build(Calls(ConfiguredClusters(load()), all_tools()))
assert anyio.run(server.list_tools)
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--version"], ["tools", "list"], ["config", "cursor"], ["--help"]])
def test_commands_that_do_not_serve_do_not_load_the_sdk(arguments: list[str]) -> None:
    script = f"""
import sys
from firstmate.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
heavy = ("mcp", "mcp_types", "starlette", "kubernetes", "boto3")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_sdk_works_alike_with_validators_built_when_first_used() -> None:
    script = """
from firstmate.mcp import quickstart
quickstart.load()
import pydantic, mcp.types as types
assert "defer_build" not in pydantic.BaseModel.model_config
tool = types.Tool.model_validate({"name": "x", "inputSchema": {"type": "object"}})
assert types.ListToolsResult(tools=[tool]).model_dump(by_alias=True)["tools"][0]["name"] == "x"
class Mine(pydantic.BaseModel):
    a: int
assert Mine.__pydantic_complete__
print(pydantic.TypeAdapter(list[int]).validate_python(["1"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1]"
