"""Checks the prose of runbooks: sections, links, names of other runbooks, age, and what two runbooks have in common.

`linting.py` calls. Pure, but for looking whether a linked file is there.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from firstmate.nearest import nearest
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.lint.commands import Fault
from firstmate.runbooks.lint.layout import Layout, Piece
from firstmate.runbooks.lint.shell import used

SECTIONS = ("When this applies", "When it does not", "Diagnose", "Fix", "Verify", "Roll back", "Escalate")
REVIEWED_DAYS = 365
"""A runbook that nobody has looked at for longer is refused."""
SHARED_WORDS = 12
"""Paragraphs of fewer words may be the same in two runbooks: a short true sentence has few ways to be said."""


def sections(layout: Layout) -> Iterator[Fault]:
    """The seven sections, each once and in their order."""
    names = [piece.text for piece in layout.sections]
    for piece in layout.sections:
        if piece.text not in SECTIONS:
            near = nearest(piece.text, SECTIONS)
            hint = f"call it {near!r}, or make it a heading of the third level" if near else "use the third level"
            yield Fault(piece.line, f"there is no section {piece.text!r}", hint)
    missing = [name for name in SECTIONS if name not in names]
    if missing:
        yield Fault(1, f"no section {', '.join(missing)}", f"a runbook has {', '.join(SECTIONS)}")
    known = [name for name in names if name in SECTIONS]
    if not missing and known != list(SECTIONS):
        yield Fault(layout.sections[0].line, "the sections are not in their order", f"{', '.join(SECTIONS)}")


def links(layout: Layout, folder: Path, root: Path | None) -> Iterator[Fault]:
    """Links to files lead somewhere within the repository, or the runbook's own folder outside of one.

    Args:
        layout: of the runbook.
        folder: the runbook's own.
        root: of the repository, None outside of one.
    """
    for link in layout.links:
        if re.match(r"[a-z][a-z0-9+.-]*:", link.text):
            if link.text.startswith("http://"):
                yield Fault(link.line, f"{link.text} is not https", "link the https address")
            continue
        target = (folder / link.text.partition("#")[0]).resolve()
        allowed = (root or folder).resolve()
        if link.text.startswith("#"):
            continue
        if not target.is_relative_to(allowed) or not target.exists():
            yield Fault(link.line, f"the link {link.text} leads nowhere", "link a file that is in the repository")


def other_runbooks(source: str, slugs: Collection[str], causes: Collection[str]) -> Iterator[Fault]:
    """What tables send people to exists: the first name in the last column, where its heading speaks of runbooks.

    Args:
        source: the whole file.
        slugs: of all runbooks.
        causes: of the catalogue; some tables name one beside its runbook.
    """
    heading = ""
    for number, line in enumerate(source.splitlines(), start=1):
        if not line.lstrip().startswith("|"):
            heading = ""
            continue
        last = line.rstrip().rstrip("|").rpartition("|")[2].strip()
        heading = heading or last.lower()
        named = re.match(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", last)
        if heading not in ("runbook", "go to") or named is None or named[1] in slugs or named[1] in causes:
            continue
        near = nearest(named[1], slugs)
        yield Fault(number, f"there is no runbook {named[1]}", f"`{near}`?" if near else "name one")


def reviewed(runbook: Runbook, today: date) -> Iterator[Fault]:
    """Somebody looked at it within a year, and both places say the same day."""
    line = line_of(runbook.source, "last_reviewed:")
    age = (today - runbook.block.last_reviewed).days
    if age > REVIEWED_DAYS:
        yield Fault(line, f"last reviewed {age} days ago", "read it against today's versions, then change the date")
    if age < -1:
        yield Fault(line, f"last reviewed on {runbook.block.last_reviewed}, which is to come", "write today's date")
    said = runbook.front.metadata.get("last-reviewed")
    if said is not None and said != runbook.block.last_reviewed.isoformat():
        yield Fault(line, f"front matter says {said}, the block {runbook.block.last_reviewed}", "say one day")
    causes = runbook.front.metadata.get("causes")
    if causes is not None and [one.strip() for one in causes.split(",") if one.strip()] != list(runbook.causes):
        yield Fault(line_of(runbook.source, "causes:"), "front matter and block name different causes", "say one list")


def parameters(runbook: Runbook, layout: Layout) -> Iterator[Fault]:
    """Every parameter is used by a command or a step, and only the namespace may be required."""
    steps = "\n".join(step.step.model_dump_json() for step in runbook.steps)
    in_commands = {name for script in layout.scripts for name in used(script.text)}
    words = "\n".join(script.text for script in layout.scripts)
    for parameter in runbook.block.parameters:
        name = parameter.name
        line = line_of(runbook.source, f"name: {name}", 0)
        spelled = {"CONTEXT"} if name == "cluster" else set[str]()
        told = re.search(rf"\b{re.escape(name.upper())}\b", words) is not None
        if not (in_commands & ({name, name.upper()} | spelled)) and not told and f"params.{name}" not in steps:
            yield Fault(line, f"nothing uses the parameter {name}", "use it in a command or a step, or take it out")
        if parameter.required and name != "namespace":
            yield Fault(
                line,
                f"the parameter {name} is required",
                "an alert or a bot may not know it: only `namespace` may be required, others narrow the scope",
            )


@dataclass(frozen=True, slots=True)
class Written:
    """A paragraph and where it stands."""

    slug: str
    piece: Piece


def shared(written: Sequence[tuple[str, Layout]]) -> Iterator[tuple[str, Fault]]:
    """Paragraphs that stand in two runbooks: whoever mends one forgets the other.

    Args:
        written: slug and layout of every runbook.

    Yields:
        The slug of the later runbook, and the fault.
    """
    seen: dict[str, Written] = {}
    for slug, layout in written:
        for piece in layout.paragraphs:
            plain = " ".join(re.findall(r"[a-z0-9]+", piece.text.lower()))
            if len(plain.split()) < SHARED_WORDS:
                continue
            first = seen.setdefault(plain, Written(slug, piece))
            if first.slug != slug:
                yield (
                    slug,
                    Fault(
                        piece.line,
                        f"the same paragraph stands in {first.slug}, line {first.piece.line}",
                        "say it in one of them, and link or differ in the other",
                    ),
                )


def line_of(source: str, words: str, otherwise: int = 1) -> int:
    """The first line of a file that holds some words, from 1."""
    for number, line in enumerate(source.splitlines(), start=1):
        if words in line:
            return number
    return otherwise or 1
