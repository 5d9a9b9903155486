"""The server as clients meet it: in memory, over stdio and over HTTP, in both protocol eras."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract.server_doubles import MESSAGE, needed, record_shop
from jsonschema import validate
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import ResourceTemplateReference

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.mcp.server import build
from firstmate.settings import Settings

ERAS = [("auto", "2026-07-28"), ("legacy", "2025-11-25")]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def url(snapshot: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "firstmate", "serve", "--transport", "http", "--port", "0"]
    with subprocess.Popen(
        [*command, "--snapshot", str(snapshot)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()
        assert server.wait(10) == 0


@pytest.fixture(params=["memory", "stdio", "http"])
def target(request: pytest.FixtureRequest, snapshot: Path) -> Any:
    if request.param == "http":
        return request.getfixturevalue("url")
    if request.param == "stdio":
        return StdioServerParameters(
            command=sys.executable, args=["-m", "firstmate", "serve", "--snapshot", str(snapshot)]
        )
    return build(Calls(ConfiguredClusters(Settings(snapshot=str(snapshot))), all_tools()))


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_a_client_finds_the_root_cause_and_its_runbook(target: Any, mode: Any, version: str) -> None:
    async with Client(target, mode=mode) as client:
        assert client.protocol_version == version
        assert client.server_info is not None and client.server_info.name == "firstmate" and client.server_info.version
        assert client.instructions is not None and "`diagnose` first" in client.instructions

        tools = {one.name: one for one in (await client.list_tools()).tools}
        assert list(tools) == sorted(tools) == [spec.name for spec in all_tools()]
        assert tools["diagnose"].annotations is not None
        assert tools["diagnose"].annotations.read_only_hint is True
        assert tools["diagnose"].annotations.open_world_hint is True
        assert tools["clusters"].annotations is not None
        assert tools["clusters"].annotations.open_world_hint is False

        found = await client.call_tool("diagnose", {"namespace": "shop"})
        assert not found.is_error and found.structured_content is not None
        tree = found.structured_content
        assert found.content[0].type == "text" and json.loads(found.content[0].text) == tree
        assert found.content[0].text == json.dumps(tree, separators=(",", ":"), ensure_ascii=False)
        validate(tree, tools["diagnose"].output_schema)
        root = tree["root_causes"][0]
        assert (root["cause"], root["object"]["name"], root["runbook"]) == (
            "image-not-found",
            "cart",
            "image-pull-not-found",
        )
        assert tree["cluster"]["name"] == "shop" and tree["cluster"]["snapshot"] == "shop.tar.gz"
        mark = tree["untrusted"][1:6]
        assert f"<{mark}>{MESSAGE}</{mark}>" in [one["value"] for one in root["evidence"]]
        assert "null" not in found.content[0].text

        book = await client.call_tool("get_runbook", {"runbook": root["cause"]})
        assert book.structured_content is not None and book.structured_content["slug"] == root["runbook"]
        resource = await client.read_resource(f"runbook://{root['runbook']}")
        assert resource.contents[0].mime_type == "text/markdown"
        assert resource.contents[0].text.startswith("---\nname: image-pull-not-found\n")


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_errors_say_what_to_do_and_never_show_a_traceback(target: Any, mode: Any, version: str) -> None:
    async with Client(target, mode=mode) as client:

        async def words(tool: str, arguments: dict[str, Any]) -> str:
            result = await client.call_tool(tool, arguments)
            assert result.is_error and result.structured_content is None
            assert "Traceback" not in result.content[0].text
            return result.content[0].text

        assert "did you mean `namespace`?" in await words("diagnose", {"namspace": "shop"})
        assert "Did you mean `diagnose`?" in await words("diagnos", {})
        assert "There are: shop" in await words("diagnose", {"cluster": "prod"})
        assert "Unknown scope" in await words("diagnose", {"scope": "$(reboot) --all"})
        assert "Did you mean `oomkilled`?" in await words("get_runbook", {"runbook": "oomkill"})
        with pytest.raises(MCPError) as caught:
            await client.read_resource("runbook://nothing-like-it")
        assert caught.value.error.code == -32602


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_runbooks_are_listed_and_completed(target: Any, mode: Any, version: str) -> None:
    async with Client(target, mode=mode) as client:
        listed = (await client.list_resources()).resources
        assert "runbook://oomkilled" in [str(one.uri) for one in listed]
        assert all(one.mime_type == "text/markdown" and one.description for one in listed)
        templates = (await client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == ["runbook://{slug}"]
        completed = await client.complete(
            ref=ResourceTemplateReference(type="ref/resource", uri="runbook://{slug}"),
            argument={"name": "slug", "value": "image"},
        )
        assert completed.completion.values[0].startswith("image-pull")


@pytest.mark.anyio
async def test_every_tool_answers_or_says_why_not(snapshot: Path) -> None:
    server = build(Calls(ConfiguredClusters(Settings(snapshot=str(snapshot))), all_tools()))
    async with Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for spec in all_tools():
            tool = tools[spec.name]
            result = await client.call_tool(spec.name, needed(spec))
            text = result.content[0].text
            assert not result.is_error, (tool.name, text)
            validate(result.structured_content, tool.output_schema)
