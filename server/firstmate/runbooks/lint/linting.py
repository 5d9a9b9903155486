"""Runs every check over a library of runbooks and says what is wrong, where, and how to mend it.

`firstmate runbooks lint` prints the report, CI wants it empty. Reads files only.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from firstmate.runbooks.document import Runbook, RunbookError, parse
from firstmate.runbooks.knownalerts import every as known_alerts
from firstmate.runbooks.lint import prose
from firstmate.runbooks.lint.commands import Fault, Own, faults
from firstmate.runbooks.lint.layout import Layout, layout_of
from firstmate.runbooks.lint.reading import Reading, reading_of


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a runbook: file, line from 1, what it is, how to mend it."""

    path: Path
    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}: {self.mend}{'' if self.mend.endswith('?') else '.'}"


@dataclass(frozen=True, slots=True)
class Report:
    """What the linter found.

    Attributes:
        complaints: by file and line; none where all is well.
        readings: figures by slug.
        without_steps: slugs of runbooks that a machine cannot follow yet.
        uncovered: causes of the catalogue that no runbook treats.
    """

    complaints: tuple[Complaint, ...]
    readings: Mapping[str, Reading]
    without_steps: tuple[str, ...]
    uncovered: tuple[str, ...]


Judge = Callable[[Runbook], Iterable[tuple[int, str, str]]]
"""Judges the steps of a runbook: line, what is wrong, how to mend it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What runbooks are held against.

    Attributes:
        causes: of the catalogue, each with the slug of its runbook.
        own: judges commands of firstmate itself.
        steps: judges steps.
        replayed: slugs of runbooks that have a replay case; None where there are no cases to look at.
        today: the day of the check.
        root: of the repository, within which links may lead; None outside of one.
        others: slugs of runbooks that are not checked but may be named.
        complete: whether these are the bundled ones, which treat every cause and claim only alerts that are known.
    """

    causes: Mapping[str, str]
    own: Own
    steps: Judge
    replayed: Collection[str] | None
    today: date
    root: Path | None = None
    others: Collection[str] = field(default_factory=frozenset[str])
    complete: bool = True


def lint(paths: Sequence[Path], around: Surroundings) -> Report:
    """Checks runbooks.

    Args:
        paths: their files.
        around: what they are held against.
    """
    complaints: list[Complaint] = []
    runbooks: list[tuple[Runbook, Layout]] = []
    for path in paths:
        try:
            runbook = parse(path)
        except RunbookError as error:
            complaints += _unparsed(path, str(error))
            continue
        runbooks.append((runbook, layout_of(runbook.source)))
    slugs = {*around.others, *(path.parent.name for path in paths)}
    for runbook, layout in runbooks:
        for fault in _faults(runbook, layout, slugs, around):
            complaints.append(Complaint(runbook.path, fault.line, fault.what, fault.mend))
    by_slug = {runbook.slug: runbook for runbook, _ in runbooks}
    for slug, fault in prose.shared([(runbook.slug, layout) for runbook, layout in runbooks]):
        complaints.append(Complaint(by_slug[slug].path, fault.line, fault.what, fault.mend))
    complaints += _claimed_twice([runbook for runbook, _ in runbooks])
    treated = {cause for runbook, _ in runbooks for cause in runbook.causes}
    return Report(
        complaints=tuple(sorted(complaints, key=lambda one: (str(one.path), one.line, one.what))),
        readings={runbook.slug: reading_of(layout) for runbook, layout in runbooks},
        without_steps=tuple(sorted(runbook.slug for runbook, _ in runbooks if not runbook.steps)),
        uncovered=tuple(sorted(set(around.causes) - treated)) if around.complete else (),
    )


def _unparsed(path: Path, message: str) -> Iterable[Complaint]:
    """The parser's own words, which name the file and, where it knows one, the line; several stand on lines."""
    for line in message.splitlines():
        rest = line.removeprefix(f"{path}").lstrip(":")
        number, colon, what = rest.partition(":")
        if colon and number.strip().isdigit():
            yield Complaint(path, int(number), what.strip().rstrip("."), "mend it there")
        elif rest.strip():
            yield Complaint(path, 1, rest.strip().rstrip("."), "mend it there")


def _faults(runbook: Runbook, layout: Layout, slugs: Collection[str], around: Surroundings) -> Iterable[Fault]:
    yield from prose.sections(layout)
    yield from prose.links(layout, runbook.path.parent, around.root)
    yield from prose.other_runbooks(runbook.source, slugs, around.causes)
    yield from prose.reviewed(runbook, around.today)
    yield from prose.parameters(runbook, layout)
    yield from faults(layout.scripts, [one.name for one in runbook.block.parameters], around.own)
    yield from (Fault(*one) for one in around.steps(runbook))
    yield from _names(runbook, around)
    if runbook.steps and around.replayed is not None and runbook.slug not in around.replayed:
        yield Fault(1, "it has steps and no replay case", "record one: `firstmate runbooks test --help`")


def _names(runbook: Runbook, around: Surroundings) -> Iterable[Fault]:
    """Causes and alerts that the block names exist, and lead here."""
    for cause in runbook.causes:
        line = prose.line_of(runbook.source, "causes: [")
        if cause not in around.causes:
            yield Fault(line, f"there is no cause {cause}", "name one of docs/causes.md")
        elif around.complete and around.causes[cause] != runbook.slug:
            yield Fault(line, f"the cause {cause} belongs to {around.causes[cause]}", "name it there")
    if not around.complete:
        return
    for alert in runbook.block.alerts:
        if alert not in known_alerts():
            line = prose.line_of(runbook.source, alert)
            yield Fault(line, f"nobody knows an alert {alert}", "name one of knownalerts.py, or add it there")


def _claimed_twice(runbooks: Sequence[Runbook]) -> Iterable[Complaint]:
    first: dict[str, str] = {}
    for runbook in runbooks:
        for cause in runbook.causes:
            other = first.setdefault(cause, runbook.slug)
            if other != runbook.slug:
                line = prose.line_of(runbook.source, "causes: [")
                yield Complaint(runbook.path, line, f"the cause {cause} has a runbook already, {other}", "take it out")
