"""Toolsets: what is registered, by configuration alone, and what a model reads of it."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from contract.server_doubles import record_shop
from mcp import Client, StdioServerParameters

from firstmate.catalogue import all_tools
from firstmate.mcp.schemas import tokens
from firstmate.settings import load
from firstmate.toolsets import ALL, DEFAULT, TOOLSETS, chosen, names_of
from firstmate_tools.errors import ConfigurationError
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import ToolSpec, spec_of, tool


@tool(title="Flows", toolset="network", given="nothing")
async def flows() -> Answer:
    """Flows."""
    return Answer()


def with_network(monkeypatch: pytest.MonkeyPatch) -> tuple[ToolSpec, ...]:
    from firstmate.toolsets import Toolset

    monkeypatch.setitem(TOOLSETS, "network", Toolset("flows", default=False))
    spec = spec_of(flows)
    assert spec is not None
    return (*all_tools(), spec)


def test_every_tool_is_in_a_set_that_there_is() -> None:
    assert {spec.toolset for spec in all_tools()} == set(TOOLSETS)


def test_the_default_leaves_out_sets_that_must_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = with_network(monkeypatch)
    assert "flows" not in {spec.name for spec in chosen(tools)}
    assert [spec.name for spec in chosen(tools, ["network"])] == ["flows"]
    assert chosen(tools, [ALL]) == tools
    assert chosen(tools, ["network", DEFAULT]) == tools


@pytest.mark.parametrize(("names", "words"), [(["netwrok"], "There is no toolset"), ([], "No toolset is named")])
def test_a_wrong_name_says_which_there_are(names: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        chosen(all_tools(), names)
    assert "core" in caught.value.hint


def test_names_come_as_a_list_or_with_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of(" core, network,,") == ("core", "network")
    path = tmp_path / "firstmate.toml"
    path.write_text('toolsets = ["core", "network"]\n')
    assert load(path).toolsets == ("core", "network")
    monkeypatch.setenv("FIRSTMATE_TOOLSETS", "core,runbooks")
    assert load(path).toolsets == ("core", "runbooks")
    assert load(path, toolsets="all").toolsets == ("all",)


def test_what_a_model_reads_of_the_tools_stays_within_its_budget() -> None:
    assert sum(tokens(spec) for spec in chosen(all_tools(), [DEFAULT])) < 4000
    assert sum(tokens(spec) for spec in chosen(all_tools(), [ALL])) < 7500


def test_serve_registers_what_the_flag_names(tmp_path: Path) -> None:
    arguments = ["-m", "firstmate", "serve", "--snapshot", str(record_shop(tmp_path)), "--toolsets", "core"]

    async def names() -> list[str]:
        async with Client(StdioServerParameters(command=sys.executable, args=arguments)) as client:
            return [one.name for one in (await client.list_tools()).tools]

    assert anyio.run(names) == [spec.name for spec in chosen(all_tools(), ["core"])]


def test_serve_refuses_a_set_that_there_is_not() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "firstmate", "serve", "--toolsets", "coer"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "Did you mean `core`?" in ran.stderr
