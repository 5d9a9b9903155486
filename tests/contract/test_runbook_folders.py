"""Runbooks of several folders: a team's own beside the bundled ones, of which the later ones win."""

import json
from pathlib import Path

import pytest
from contract.server_doubles import Clusters, shop

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.runbooks.document import RunbookError
from firstmate.runbooks.library import Library, library, library_with, runbooks_folder
from firstmate.settings import load
from firstmate_tools.errors import ConfigurationError

BOOK = """---
name: {slug}
description: Use when it burns.
---

# {title}

```yaml runbook
causes: [{cause}]
owner: us
last_reviewed: 2026-11-21
kubernetes: '>=1.29'
```
"""


def book(folder: Path, slug: str, cause: str = "fire", title: str = "Ours") -> Path:
    path = folder / slug / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(BOOK.format(slug=slug, cause=cause, title=title))
    return folder


def test_later_folders_win_slug_by_slug_and_say_where_they_come_from(tmp_path: Path) -> None:
    first = book(book(tmp_path / "first", "oomkilled", "oom-killed-container-limit"), "fire")
    second = book(tmp_path / "second", "oomkilled", "oom-killed-container-limit", "Theirs")
    found = library_with([first, second])
    assert set(found.slugs) == {*library().slugs, "fire"}
    assert found.get("oomkilled").title == "Theirs" and found.get("fire").title == "Ours"
    origin = found.provenance("oomkilled")
    assert (origin.name, origin.bundled, origin.replaces) == ("second", False, (runbooks_folder(), first))
    assert found.provenance("image-pull-auth").name == "bundled"


def test_a_cause_goes_to_the_runbook_of_the_later_folder(tmp_path: Path) -> None:
    found = library_with([book(tmp_path / "ours", "our-memory", "oom-killed-container-limit")])
    assert found.find("oom-killed-container-limit").slug == "our-memory"
    assert found.find("oomkilled").slug == "oomkilled"
    twice = Library(book(book(tmp_path / "twice", "a"), "b"))
    with pytest.raises(RunbookError, match="the cause fire has a runbook already, a"):
        twice.find("fire")


def test_a_link_out_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    book(tmp_path / "elsewhere", "secret")
    folder = book(tmp_path / "ours", "fire")
    (folder / "secret").symlink_to(tmp_path / "elsewhere" / "secret")
    with pytest.raises(RunbookError, match="leads out of its folder"):
        Library(folder).get("secret")
    (folder / "fire" / "SKILL.md").unlink()
    (folder / "fire" / "SKILL.md").symlink_to(tmp_path / "elsewhere" / "secret" / "SKILL.md")
    with pytest.raises(RunbookError, match="leads out of its folder"):
        Library(folder).get("fire")


def test_one_that_is_damaged_keeps_nobody_from_the_others_and_is_named_without_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = book(book(tmp_path / "ours", "fire"), "smoke", "smoke")
    (folder / "fire" / "SKILL.md").write_text("# Nothing\n")
    found = library_with([folder])
    assert found.find("smoke").slug == "smoke" and found.find("oom-killed-container-limit").slug == "oomkilled"
    assert "fire" not in {one.slug for one in found.sound()} and caplog.text.count("runbook fire cannot be used") == 1
    with pytest.raises(RunbookError) as caught:
        found.find("fire")
    assert str(caught.value) == "ours/fire/SKILL.md: no front matter."


def test_a_folder_without_runbooks_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no runbooks"):
        library_with([tmp_path])
    assert library_with([]) is library()


def test_folders_are_configured_beside_the_file_in_the_environment_and_by_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('runbooks = ["ours", "/srv/theirs"]\n')
    assert load(config).runbooks == (str(tmp_path / "ours"), "/srv/theirs")
    monkeypatch.setenv("FIRSTMATE_RUNBOOKS", "/a:/b")
    assert load(config).runbooks == ("/a", "/b")
    assert load(config, runbooks=("/c",)).runbooks == ("/c",)


@pytest.mark.anyio
async def test_get_runbook_tells_origin_and_steps(tmp_path: Path) -> None:
    books = library_with([book(tmp_path / "ours", "fire")])
    calls = Calls(Clusters(prod=shop()), all_tools(), runbooks=books)
    own = (await calls.call("get_runbook", {"runbook": "fire"})).model_dump()
    assert (own["origin"], own["runs"], "steps" in own) == ("ours", False, False)
    bundled = (await calls.call("get_runbook", {"runbook": "oomkilled", "detail": "detailed"})).model_dump()
    assert (bundled["origin"], bundled["runs"]) == ("bundled", True)
    assert bundled["steps"][0] == {
        "id": "ask_firstmate",
        "title": "who was killed, and by what",
        "check": "diagnose",
        "arguments": {"scope": "${params.workload}", "namespace": "${params.namespace}"},
    }
    assert "yaml step" not in bundled["text"] and str(tmp_path) not in json.dumps(own)
