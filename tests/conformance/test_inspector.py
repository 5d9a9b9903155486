"""The MCP Inspector's command line against the server that people run: both eras, over stdio and HTTP."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from firstmate.catalogue import all_tools
from firstmate.runbooks.library import library
from tests.conformance.inspector import Said, inspect
from tests.conformance.servers import SERVE

CALLS: Mapping[str, tuple[str, ...]] = {
    "tools": ("tools/list", "--strict"),
    "call": ("tools/call", "--tool-name", "diagnose", "--tool-args-json", '{"scope":"cluster"}'),
    "refused": ("tools/call", "--tool-name", "diagnose", "--tool-args-json", '{"scopee":"cluster"}'),
    "resource": ("resources/read", "--uri", "skill://oomkilled/SKILL.md"),
    "prompt": ("prompts/get", "--prompt-name", "triage", "--prompt-args", "scope=namespace/shop"),
    "no prompt": ("prompts/get", "--prompt-name", "triag"),
    "skills": ("skills/list", "--verify", "--require-digests"),
    "folder": ("resources/directory/read", "--uri", "skill://oomkilled"),
}
ONCE = {"refused", "no prompt", "folder"}  # over HTTP alone: the transport makes no difference to them
ERAS = ("modern", "legacy")
WAYS = [(era, transport) for era in ERAS for transport in ("stdio", "http")]
Sweep = dict[tuple[str, str, str], Said]


@pytest.fixture(scope="module")
def sweep(installed: Path, demo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Every call in every way, a few at the same time."""
    home = tmp_path_factory.mktemp("home")
    target = {"stdio": SERVE, "http": [demo_url, "--transport", "http"]}
    with ThreadPoolExecutor(3) as pool:
        under_way = {
            (name, era, transport): pool.submit(inspect, installed, home, target[transport], era, *call)
            for era, transport in WAYS
            for name, call in CALLS.items()
            if transport == "http" or name not in ONCE
        }
        return {key: one.result() for key, one in under_way.items()}


@pytest.mark.parametrize(("era", "transport"), WAYS)
class TestTheInspector:
    def test_finds_no_fault_in_our_schemas(self, sweep: Sweep, era: str, transport: str) -> None:
        said = sweep["tools", era, transport]
        assert said.code == 0, said.errors
        assert [one["name"] for one in said.result["tools"]] == [spec.name for spec in all_tools()]

    def test_gets_a_diagnosis_that_fits_its_schema(self, sweep: Sweep, era: str, transport: str) -> None:
        said = sweep["call", era, transport]
        assert said.code == 0, said.errors
        assert said.result["structuredContent"]["outcome"] == "problems_found"
        assert json.loads(said.result["content"][0]["text"]) == said.result["structuredContent"]

    def test_reads_a_runbook(self, sweep: Sweep, era: str, transport: str) -> None:
        said = sweep["resource", era, transport]
        assert said.code == 0, said.errors
        assert said.result["contents"][0]["text"] == library().get("oomkilled").source
        assert said.result["contents"][0]["mimeType"] == "text/markdown"

    def test_gets_a_prompt(self, sweep: Sweep, era: str, transport: str) -> None:
        said = sweep["prompt", era, transport]
        assert said.code == 0, said.errors
        assert '`diagnose` with `{"scope":"namespace/shop"}`' in said.result["messages"][0]["content"]["text"]

    def test_verifies_every_skill_where_the_extension_exists(self, sweep: Sweep, era: str, transport: str) -> None:
        said = sweep["skills", era, transport]
        if era == "legacy":  # the older revisions cannot announce extensions
            assert said.code == 1 and "skills_unsupported" in said.errors
            return
        assert said.code == 0, said.errors
        reports = [json.loads(line) for line in said.out.splitlines()]
        assert [one["name"] for one in reports] == list(library().slugs)
        assert all(not one["conformance"] and file["status"] == "verified" for one in reports for file in one["files"])


@pytest.mark.parametrize("era", ERAS)
class TestTheInspectorOverHttp:
    def test_is_told_the_nearest_right_argument(self, sweep: Sweep, era: str) -> None:
        said = sweep["refused", era, "http"]
        assert said.code == 5
        assert said.result["isError"] is True
        assert "did you mean `scope`?" in said.result["content"][0]["text"]

    def test_is_told_the_nearest_prompt(self, sweep: Sweep, era: str) -> None:
        said = sweep["no prompt", era, "http"]
        assert said.code == 1
        assert "Did you mean `triage`?" in said.errors

    def test_walks_through_a_skills_folder_where_the_extension_exists(self, sweep: Sweep, era: str) -> None:
        said = sweep["folder", era, "http"]
        if era == "legacy":
            assert said.code == 1 and "did not declare directoryRead" in said.errors
            return
        assert said.code == 0, said.errors
        assert [one["uri"] for one in said.result["resources"]] == ["skill://oomkilled/SKILL.md"]
