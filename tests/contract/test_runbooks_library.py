"""The runbooks: parsed, found by slug and by cause, in a wheel and in an editable install."""

import json
import os
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from textwrap import indent

import pytest

from firstmate.mcp.skills import Skills
from firstmate.runbooks.document import RunbookError, parse
from firstmate.runbooks.library import Library, library, runbooks_folder
from firstmate.runbooks.search.engine import Engine
from firstmate.runbooks.search.store import Store
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.rule import all_rules
from firstmate_tools.errors import ConfigurationError, UsageError

ROOT = Path(__file__).parents[2]
FRONT = "---\nname: {name}\ndescription: Use when it burns.\n---\n"
BLOCK = "```yaml runbook\ncauses: [{causes}]\nowner: us\nlast_reviewed: 2026-11-21\nkubernetes: '>=1.29'\n```\n"


UNWRITTEN: set[str] = set()
"""Runbooks that rules name and nobody has written yet. Only shrinks."""


def runbook(folder: Path, name: str = "it-burns", causes: str = "fire", front: str = FRONT, block: str = BLOCK) -> Path:
    path = folder / name / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = front.format(name=name) + "\n# It burns\n\n" + block.format(causes=causes) + "\n## Fix\n\nPut it out.\n"
    path.write_text(text)
    return path


def test_all_bundled_runbooks_are_sound_and_every_cause_has_one() -> None:
    every = library().every()
    assert len(every) >= 16
    for one in every:
        assert one.title and one.text.startswith("# ") and "yaml runbook" not in one.text and one.front.description
    written = {one.slug for one in every}
    told = {CAUSES[cause].runbook for rule in all_rules() for cause in rule.causes}
    assert told - written == UNWRITTEN, "a runbook that is written leaves the list; a new rule brings its runbook"


def test_a_runbook_is_found_by_slug_cause_and_address() -> None:
    assert library().find("oomkilled").slug == "oomkilled"
    assert library().find(" OOM-Killed-Container-Limit ").slug == "oomkilled"
    assert library().find("runbook://oomkilled").slug == "oomkilled"


def test_what_does_not_fit_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Did you mean `oomkilled`\?"):
        library().find("oom-killed")
    with pytest.raises(UsageError, match="Runbooks: ack-resource-not-synced, admission-webhook-failure"):
        library().find("zzzzzzzz")
    with pytest.raises(UsageError):
        library().find("../../etc/passwd")


def test_a_cause_whose_runbook_nobody_has_written_says_so(tmp_path: Path) -> None:
    runbook(tmp_path)
    for name in ("oom-killed-container-limit", "oomkilled"):
        with pytest.raises(UsageError, match="The runbook oomkilled is not written yet"):
            Library(tmp_path).find(name)


def test_prose_and_block_are_told_apart(tmp_path: Path) -> None:
    found = parse(runbook(tmp_path))
    assert (found.slug, found.title, found.causes, found.block.owner) == ("it-burns", "It burns", ("fire",), "us")
    assert found.text == "# It burns\n\n## Fix\n\nPut it out.\n"
    assert found.source.startswith("---\nname: it-burns\n")


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ({"front": ""}, "no front matter"),
        ({"front": "---\nname: other\ndescription: x\n---\n"}, "not that of its folder"),
        ({"front": "---\nname: [\n---\n"}, "SKILL.md:1: not YAML"),
        ({"front": "---\nname: it-burns\n---\n"}, "description: Field required"),
        ({"block": ""}, "no block yaml runbook"),
        ({"block": BLOCK + "\n" + BLOCK}, "more than one block yaml runbook"),
        ({"block": BLOCK.replace("owner: us", "ownr: us")}, "SKILL.md:8: "),
    ],
)
def test_a_damaged_runbook_is_told_with_its_line(tmp_path: Path, rest: dict[str, str], words: str) -> None:
    with pytest.raises(RunbookError) as caught:
        parse(runbook(tmp_path, **rest))
    assert words in str(caught.value)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in pairwise("abcdefghijkl")
)
STEP = "```yaml step\nid: look\ncheck: get\n{rest}\n```\n"
HOSTILE = {
    "13th month": BLOCK.replace("2026-11-21", "2026-13-21"),
    "deep": BLOCK.replace("owner: us", "owner: " + "[" * 3000),
    "bomb": BLOCK.replace("owner: us", BOMB),
    "number": BLOCK + STEP.format(rest="arguments: {x: " + "9" * 5000 + "}"),
    "bomb in a step": BLOCK + STEP.format(rest="arguments:\n" + indent(BOMB, "  ")),
    "endless": BLOCK + STEP.format(rest="arguments: &x {a: *x}"),
    "deep in a step": BLOCK + STEP.format(rest="arguments: {a: " + "[" * 3000 + "]" * 3000 + "}"),
    "deep expression": BLOCK + STEP.format(rest="expect: '" + "(" * 900 + "a" + ")" * 900 + "'\notherwise: look"),
    "pattern": BLOCK.replace("owner: us", "owner: us\nlog_patterns: ['(']"),
    "huge": BLOCK + "x" * 1_000_001,
}


@pytest.mark.parametrize("block", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_runbook_keeps_nobody_from_the_others(tmp_path: Path, block: str) -> None:
    path = runbook(tmp_path, "it-burns", "fire", block=BLOCK)
    path.write_text(FRONT.format(name="it-burns") + "\n# It burns\n\n" + block.replace("{causes}", "fire"))
    runbook(tmp_path, "it-rains", "rain")
    books = Library(tmp_path)
    assert [one.slug for one in books.sound()] == ["it-rains"] and books.find("rain").slug == "it-rains"
    with pytest.raises(RunbookError):
        books.get("it-burns")
    assert Engine(books, Store(tmp_path / "kept"), "").search("rain").ranked.scores.keys() <= {"it-rains"}


def test_a_pipe_is_no_runbook(tmp_path: Path) -> None:
    runbook(tmp_path, "it-rains", "rain")
    (tmp_path / "it-burns").mkdir()
    os.mkfifo(tmp_path / "it-burns" / "SKILL.md")
    books = Library(tmp_path)
    assert [one.slug for one in books.sound()] == ["it-rains"] and len(books.sources()) == 2


def test_two_runbooks_for_one_cause_are_an_error(tmp_path: Path) -> None:
    runbook(tmp_path, "a", "fire")
    runbook(tmp_path, "b", "fire")
    runbook(tmp_path, "c", "rain")
    books = Library(tmp_path)
    with pytest.raises(RunbookError, match="the cause fire has a runbook already, a") as caught:
        books.find("fire")
    assert str(tmp_path) not in str(caught.value)
    assert books.find("rain").slug == "c", "other causes are none the worse for it"


def test_an_editable_install_reads_the_repository() -> None:
    assert runbooks_folder() == ROOT / "runbooks"


def test_an_installation_without_runbooks_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no runbooks"):
        runbooks_folder(tmp_path / "server" / "firstmate")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree, unpacked as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_a_wheel_brings_its_runbooks(site: Path) -> None:
    script = (
        "from firstmate.runbooks.library import runbooks_folder, library\n"
        "print(runbooks_folder(), len(library().every()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    )
    folder, count = done.stdout.split()
    assert Path(folder) == site / "firstmate" / "_runbooks" and int(count) == len(library().slugs)


def test_a_wheel_serves_the_same_skills_as_the_repository(site: Path) -> None:
    script = (
        "import json\n"
        "from firstmate.mcp.skills import Skills\n"
        "from firstmate.runbooks.library import library\n"
        "print(json.dumps([one.entry() for one in Skills(library()).every]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [one.entry() for one in Skills(library()).every]


def test_a_wheel_is_complete_and_holds_nothing_else(site: Path) -> None:
    top = {path.name for path in site.iterdir()}
    assert {"firstmate", "firstmate_tools"} <= top and len(top) == 3  # and the dist-info
    script = "from firstmate.cli import main; main(['runbooks', 'show', 'oomkilled'])"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("# ")
