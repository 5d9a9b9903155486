"""The pinned packages: no addresses, complete, and told from a tree that was changed."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.conformance import install
from tests.conformance.tree import PINNED, Tree, WrongTreeError, digest, verify

SHA512 = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")


def small(folder: Path) -> Tree:
    """A tree of two packages, one in the other, and its pin."""
    for path, name in (("node_modules/a", "a"), ("node_modules/a/node_modules/@b/c", "@b/c")):
        (folder / path).mkdir(parents=True)
        (folder / path / "package.json").write_text(json.dumps({"name": name, "version": "1.2.3"}))
    (folder / "node_modules/a/index.js").write_text("1")
    packages = {"node_modules/a": ("1.2.3", "x"), "node_modules/a/node_modules/@b/c": ("1.2.3", "y")}
    return Tree({"a": "1.2.3"}, packages, digest(folder))


def test_what_is_pinned_names_versions_and_digests_and_no_place() -> None:
    content = json.loads(PINNED.read_text())
    assert content["wanted"]["@modelcontextprotocol/conformance"] == "0.2.0-alpha.12"
    assert len(content["packages"]) > 200
    for one in content["packages"]:
        assert set(one) == {"path", "name", "version", "integrity"}
        assert SHA512.fullmatch(one["integrity"]), one
    assert "://" not in PINNED.read_text()


def test_a_lock_for_npm_follows_from_it(tmp_path: Path) -> None:
    lock = small(tmp_path).lock()["packages"]
    assert lock[""]["dependencies"] == {"a": "1.2.3"}
    assert lock["node_modules/a"]["dependencies"] == {"@b/c": "1.2.3"}
    assert "resolved" not in json.dumps(lock)


def test_a_tree_as_it_was_pinned_is_taken(tmp_path: Path) -> None:
    tree = small(tmp_path)
    (tmp_path / "node_modules/.package-lock.json").write_text("of npm")
    verify(tree, tmp_path)


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    tree = small(tmp_path)
    (tmp_path / "node_modules/a/index.js").write_text("2")
    with pytest.raises(WrongTreeError, match="digest"):
        verify(tree, tmp_path)


def test_a_file_too_many_and_another_version_are_noticed(tmp_path: Path) -> None:
    tree = small(tmp_path)
    (tmp_path / "node_modules/a/more.js").write_text("")
    with pytest.raises(WrongTreeError, match="digest"):
        verify(tree, tmp_path)
    (tmp_path / "node_modules/a/package.json").write_text('{"name": "a", "version": "1.2.4"}')
    with pytest.raises(WrongTreeError, match=r"1\.2\.4"):
        verify(tree, tmp_path)


def test_npm_is_given_the_digests_and_what_it_brings_is_held_against_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = small(tmp_path / "source")
    monkeypatch.setenv("FIRSTMATE_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    seen: list[str] = []

    def npm(command: list[object], *, cwd: Path, **rest: object) -> subprocess.CompletedProcess[str]:
        seen.append((cwd / "package-lock.json").read_text())
        small(cwd)
        (cwd / "node_modules/a/index.js").write_text("not what was pinned")
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setattr(install.subprocess, "run", npm)
    with pytest.raises(WrongTreeError):
        install.install(tree)
    assert json.loads(seen[0])["packages"]["node_modules/a"]["integrity"] == "x"
    assert [one.name for one in (tmp_path / "cache").iterdir()] == ["install.lock"]
    with pytest.raises(install.MissingError, match="make conformance"):
        install.installed(tree)
