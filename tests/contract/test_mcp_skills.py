"""Runbooks as skills: complete, byte for byte what their digests are of, refused where the filter would change them."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract.server_doubles import Clusters, shop
from mcp import Client, MCPError
from mcp.types import RequestParams

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.mcp.server import FirstmateServer, build
from firstmate.mcp.skills import Skills, loaded
from firstmate.runbooks.document import RunbookError
from firstmate.runbooks.files import MOST_FILES, files_of
from firstmate.runbooks.library import Library, library, runbooks_folder

FRONT = "---\nname: {name}\ndescription: >-\n  Use when\n  it burns.\nmetadata:\n  last-reviewed: '2026-11-21'\n---\n"
BLOCK = "# It burns\n\n```yaml runbook\ncauses: [{name}]\nowner: us\nlast_reviewed: 2026-11-21\nkubernetes: '1'\n```\n"


def book(folder: Path, name: str = "it-burns", more: str = "", **files: bytes) -> Path:
    """A runbook's folder, with files beside SKILL.md: `references__a.md=b"..."` lies in `references`."""
    home = folder / name
    home.mkdir(parents=True)
    (home / "SKILL.md").write_text((FRONT + BLOCK).format(name=name) + more)
    for path, content in files.items():
        target = home / path.replace("__", "/").replace("_md", ".md")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


def serving(folder: Path | None = None) -> FirstmateServer:
    return build(Calls(Clusters(prod=shop()), all_tools()), Library(folder) if folder is not None else None)


async def ask(client: Client, method: str, **params: Any) -> dict[str, Any]:
    """A method that the SDK's client has no words for."""
    from mcp.types import Request, Result
    from pydantic import ConfigDict

    class Params(RequestParams):
        model_config = ConfigDict(extra="allow")

    class Anything(Result):
        model_config = ConfigDict(extra="allow")

    request = Request[Params, str](method=method, params=Params(**params))
    found = await client.session.send_request(request, Anything)
    return found.model_dump(by_alias=True, mode="json")


@pytest.mark.anyio
async def test_every_bundled_runbook_is_a_skill_whose_files_are_what_their_digests_say() -> None:
    async with Client(serving()) as client:
        assert client.server_capabilities.extensions == {"io.modelcontextprotocol/skills": {"directoryRead": True}}
        listed = await ask(client, "skills/list")
        assert [one["frontmatter"]["name"] for one in listed["skills"]] == list(library().slugs)
        assert (listed["ttlMs"], listed["cacheScope"]) == (3_600_000, "public")
        for entry in listed["skills"]:
            for file in entry["resources"]:
                (content,) = (await client.read_resource(file["uri"])).contents
                raw = content.text.encode()
                assert file["size"] == len(raw)
                assert file["digest"] == f"sha256:{hashlib.sha256(raw).hexdigest()}"
                lying = runbooks_folder() / file["uri"].removeprefix("skill://")
                assert raw == lying.read_bytes()


@pytest.mark.anyio
async def test_front_matter_is_told_as_the_file_has_it(tmp_path: Path) -> None:
    async with Client(serving(book(tmp_path))) as client:
        (entry,) = (await ask(client, "skills/list"))["skills"]
        source = (await client.read_resource(entry["uri"])).contents[0].text
        assert entry["frontmatter"] == yaml.safe_load(source.split("---\n")[1])
        assert entry == (await ask(client, "skills/get", uri=entry["uri"]))["skill"]


@pytest.mark.anyio
async def test_files_beside_it_are_served_and_folders_are_listed_level_by_level(tmp_path: Path) -> None:
    folder = book(tmp_path, references__a_md=b"# A\n", references__deep__b_md="# Bé\n".encode(), scripts__x=b"ls\n")
    (folder / "it-burns" / ".DS_Store").write_bytes(b"\0")
    async with Client(serving(folder)) as client:
        (entry,) = (await ask(client, "skills/list"))["skills"]
        root = "skill://it-burns"
        wanted = [f"{root}/SKILL.md", f"{root}/references/a.md", f"{root}/references/deep/b.md", f"{root}/scripts/x"]
        assert [one["uri"] for one in entry["resources"]] == wanted
        assert (await client.read_resource(wanted[2])).contents[0].text == "# Bé\n"
        assert {str(one.uri) for one in (await client.list_resources()).resources} == {"runbook://it-burns", *wanted}

        async def within(uri: str) -> dict[str, str]:
            return {
                one["uri"]: one["mimeType"]
                for one in (await ask(client, "resources/directory/read", uri=uri))["resources"]
            }

        assert await within(root) == {
            f"{root}/SKILL.md": "text/markdown",
            f"{root}/references": "inode/directory",
            f"{root}/scripts": "inode/directory",
        }
        assert await within(f"{root}/references") == {
            f"{root}/references/a.md": "text/markdown",
            f"{root}/references/deep": "inode/directory",
        }


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("skills/get", {"uri": "skill://nothing-like-it/SKILL.md"}),
        ("skills/get", {"uri": "skill://oomkilled"}),
        ("skills/get", {"uri": "runbook://oomkilled"}),
        ("skills/get", {}),
        ("skills/list", {"cursor": "next"}),
        ("resources/directory/read", {"uri": "skill://oomkilled/SKILL.md"}),
        ("resources/directory/read", {"uri": "skill://oomkilled/"}),
        ("resources/directory/read", {"uri": "skill://oomkilled/../image-pull-auth"}),
        ("resources/directory/read", {"uri": "skill://"}),
        ("resources/directory/read", {"uri": "file:///etc"}),
        ("resources/read", {"uri": "skill://oomkilled/../image-pull-auth/SKILL.md"}),
        ("resources/read", {"uri": "skill://oomkilled/%2e%2e/image-pull-auth/SKILL.md"}),
        ("resources/read", {"uri": "skill://oomkilled/nothing.md"}),
    ],
)
async def test_what_is_not_there_is_invalid_params(method: str, params: dict[str, str]) -> None:
    async with Client(serving()) as client:
        with pytest.raises(MCPError) as caught:
            await ask(client, method, **params)
    assert caught.value.error.code == -32602


def test_a_file_that_the_filter_would_change_refuses_the_skill_and_names_the_line(tmp_path: Path) -> None:
    key = "AKIA" + "ABCDEFGHIJKLMNOP"
    runbooks = Library(book(tmp_path, references__a_md=f"# A\n\nUse {key} here.\n".encode()))
    with pytest.raises(
        RunbookError, match=r"it-burns/references/a\.md:3: the egress filter would change this line"
    ) as caught:
        loaded(runbooks, "it-burns")
    assert key not in str(caught.value)


@pytest.mark.parametrize("content", [b"a\r\nb\n", b"\x1b[31mred\n", "zero\u200bwidth\n".encode(), b"\xff\xfe\n"])
def test_control_characters_and_what_is_no_text_refuse_it_as_well(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(RunbookError):
        loaded(Library(book(tmp_path, references__a_md=content)), "it-burns")


def test_a_link_out_of_the_folder_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("hunter2")
    folder = book(tmp_path / "books")
    (folder / "it-burns" / "more.md").symlink_to(tmp_path / "credentials")
    with pytest.raises(RunbookError, match="leads out"):
        files_of(folder / "it-burns")


def test_more_files_than_a_host_has_to_take_are_refused(tmp_path: Path) -> None:
    folder = book(tmp_path)
    for number in range(MOST_FILES):
        (folder / "it-burns" / f"{number}.md").write_text("")
    with pytest.raises(RunbookError, match="more than 512 files"):
        files_of(folder / "it-burns")


@pytest.mark.anyio
async def test_one_that_cannot_be_served_is_left_out_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = book(book(tmp_path), "well")
    (folder / "it-burns" / "more.md").write_bytes(b"\xff")
    async with Client(serving(folder)) as client:
        with caplog.at_level(logging.WARNING, "firstmate"):
            assert [one["frontmatter"]["name"] for one in (await ask(client, "skills/list"))["skills"]] == ["well"]
        assert "runbook it-burns is not served as a skill" in caplog.text and "more.md cannot be read" in caplog.text
        assert "runbook://it-burns" not in {str(one.uri) for one in (await client.list_resources()).resources}
        for method in ("skills/get", "resources/read"):
            with pytest.raises(MCPError, match=r"cannot be served as a skill\. The server's log says why\.") as caught:
                await ask(client, method, uri="skill://it-burns/SKILL.md")
            assert caught.value.error.code == -32602 and str(tmp_path) not in str(caught.value)


def test_skills_are_listed_the_same_every_time() -> None:
    first, second = (json.dumps([one.entry() for one in Skills(library()).every]) for _ in range(2))
    assert first == second
