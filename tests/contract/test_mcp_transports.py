"""The server as clients meet it: in memory, over stdio and over HTTP, in every revision of the protocol.

One connection for each way and revision; every test here runs over all of them. Progress and cancellation, which need a
cluster that takes its time, are in test_mcp_cancellation.py.
"""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract.eras import EVERY, MODERN, ask, connected
from contract.server_doubles import MESSAGE, record_shop
from jsonschema import validate
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import PromptReference, ResourceTemplateReference

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.mcp.server import build
from firstmate.runbooks.library import library
from firstmate.settings import Settings

pytestmark = pytest.mark.anyio
WAYS = [(transport, version) for transport in ("memory", "stdio", "http") for version in EVERY]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def url(snapshot: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "firstmate", "serve", "--transport", "http", "--port", "0"]
    with subprocess.Popen(
        [*command, "--snapshot", str(snapshot)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()
        assert server.wait(10) == 0


def target_of(transport: str, snapshot: Path, url: str) -> Any:
    if transport == "http":
        return url
    if transport == "stdio":
        command = ["-m", "firstmate", "serve", "--snapshot", str(snapshot)]
        return StdioServerParameters(command=sys.executable, args=command)
    return build(Calls(ConfiguredClusters(Settings(snapshot=str(snapshot))), all_tools()))


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: "-".join(way))
async def client(request: pytest.FixtureRequest, anyio_backend: str, snapshot: Path, url: str) -> AsyncIterator[Client]:
    transport, version = request.param
    async with connected(target_of(transport, snapshot, url), version) as found:
        yield found


def told(result: Any) -> dict[str, Any]:
    """The facts of an answer: the same in its text and in its structure, since clients show models one or the other."""
    assert not result.is_error
    (content,) = result.content
    tree: dict[str, Any] = json.loads(content.text)
    assert content.text == json.dumps(tree, separators=(",", ":"), ensure_ascii=False)
    assert result.structured_content == tree
    return tree


async def test_it_says_who_it_is_and_what_it_can_do(client: Client) -> None:
    assert client.server_info is not None and client.server_info.name == "firstmate" and client.server_info.version
    assert client.instructions is not None and "`diagnose` first" in client.instructions
    able = client.server_capabilities
    assert able.tools is not None and able.resources is not None and able.prompts is not None
    assert able.completions is not None
    skills = {"io.modelcontextprotocol/skills": {"directoryRead": True}}
    assert (able.extensions or {}) == (skills if client.protocol_version == MODERN else {})


async def test_tools_are_listed_in_one_order_with_their_hints(client: Client) -> None:
    tools = {one.name: one for one in (await client.list_tools()).tools}
    assert list(tools) == sorted(tools) == [spec.name for spec in all_tools()]
    diagnose, clusters = tools["diagnose"].annotations, tools["clusters"].annotations
    assert diagnose is not None and diagnose.read_only_hint is True and diagnose.open_world_hint is True
    assert clusters is not None and clusters.open_world_hint is False


async def test_a_client_finds_the_root_cause_and_its_runbook(client: Client) -> None:
    result = await client.call_tool("diagnose", {"namespace": "shop"})
    tree = told(result)
    tools = {one.name: one for one in (await client.list_tools()).tools}
    validate(tree, tools["diagnose"].output_schema)
    (root, *_) = tree["root_causes"]
    assert (root["cause"], root["object"]["name"], root["runbook"]) == (
        "image-not-found",
        "cart",
        "image-pull-not-found",
    )
    assert tree["cluster"]["name"] == "shop" and tree["cluster"]["snapshot"] == "shop.tar.gz"
    mark = tree["untrusted"][1:6]
    assert f"<{mark}>{MESSAGE}</{mark}>" in [one["value"] for one in root["evidence"]]
    assert "null" not in result.content[0].text
    book = told(await client.call_tool("get_runbook", {"runbook": root["cause"]}))
    assert book["slug"] == root["runbook"]


async def test_runbooks_are_resources_under_both_addresses(client: Client) -> None:
    listed = {str(one.uri): one for one in (await client.list_resources()).resources}
    for slug in library().slugs:
        assert listed[f"runbook://{slug}"].mime_type == listed[f"skill://{slug}/SKILL.md"].mime_type == "text/markdown"
        assert listed[f"runbook://{slug}"].description == listed[f"skill://{slug}/SKILL.md"].description
    for uri in ("runbook://oomkilled", "skill://oomkilled/SKILL.md", "runbook://oom-killed-container-limit"):
        (content,) = (await client.read_resource(uri)).contents
        assert content.mime_type == "text/markdown" and content.text == library().get("oomkilled").source
    templates = (await client.list_resource_templates()).resource_templates
    assert [one.uri_template for one in templates] == ["runbook://{slug}"]


async def test_skills_are_listed_got_and_walked_through(client: Client) -> None:
    skills = (await ask(client, "skills/list"))["skills"]
    assert [one["frontmatter"]["name"] for one in skills] == list(library().slugs)
    assert (await ask(client, "skills/get", uri=skills[0]["uri"]))["skill"] == skills[0]
    (child,) = (await ask(client, "resources/directory/read", uri="skill://oomkilled"))["resources"]
    assert (child["uri"], child["name"]) == ("skill://oomkilled/SKILL.md", "oomkilled")


async def test_prompts_are_listed_with_their_arguments_and_rendered(client: Client) -> None:
    prompts = {one.name: one for one in (await client.list_prompts()).prompts}
    assert list(prompts) == ["triage", "explain-alert", "postmortem"]
    assert [(one.name, one.required) for one in prompts["explain-alert"].arguments or []] == [
        ("alert", True),
        ("cluster", False),
    ]
    found = await client.get_prompt("triage", {"scope": "deployment/cart", "namespace": "shop"})
    assert '`diagnose` with `{"scope":"deployment/cart","namespace":"shop"}`' in found.messages[0].content.text


async def test_slugs_clusters_and_scopes_are_completed(client: Client) -> None:
    async def values(ref: Any, name: str, typed: str) -> list[str]:
        return (await client.complete(ref=ref, argument={"name": name, "value": typed})).completion.values

    runbook = ResourceTemplateReference(type="ref/resource", uri="runbook://{slug}")
    found = await values(runbook, "slug", "image")
    assert found and all(slug.startswith("image") for slug in found[:3])
    triage = PromptReference(type="ref/prompt", name="triage")
    assert await values(triage, "cluster", "sh") == ["shop"]
    assert await values(triage, "scope", "dep") == ["deployment/"]


async def test_errors_say_what_to_do_and_never_show_a_traceback(client: Client) -> None:
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


async def test_what_names_nothing_is_invalid_params_with_a_hint(client: Client) -> None:
    async def refused(method: str, **params: Any) -> str:
        with pytest.raises(MCPError) as caught:
            await ask(client, method, **params)
        assert caught.value.error.code == -32602
        return caught.value.error.message

    assert "Runbooks: " in await refused("resources/read", uri="runbook://zzzzzzzz")
    assert "skills/list names what there is" in await refused("resources/read", uri="skill://nothing/SKILL.md")
    assert "skills/list names those that are" in await refused("skills/get", uri="skill://nothing/SKILL.md")
    assert "is not a folder" in await refused("resources/directory/read", uri="skill://oomkilled/SKILL.md")
    assert "Did you mean `triage`?" in await refused("prompts/get", name="triag")
    assert "did you mean `scope`?" in await refused("prompts/get", name="triage", arguments={"scop": "cluster"})
    assert "needs the argument `alert`" in await refused("prompts/get", name="explain-alert")


async def test_a_method_that_does_not_exist_is_told_as_such(client: Client) -> None:
    with pytest.raises(MCPError) as caught:
        await ask(client, "skills/burn")
    assert caught.value.error.code == -32601
