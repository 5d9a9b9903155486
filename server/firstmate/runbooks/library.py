"""The library of runbooks: where they lie, which there are, which one fits a slug or a cause.

Tools, resources and the command line ask here. The folder of the bundled ones is package data in a wheel
(`firstmate/_runbooks`) and the repository's `runbooks/` in an editable install; configuration adds folders of a team's
own, of which the later ones win, slug by slug and cause by cause. Must never write, and never follow a link out of a
folder.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from firstmate.nearest import nearest
from firstmate.runbooks.document import Runbook, RunbookError, parse, source_of
from firstmate_tools.errors import ConfigurationError, UsageError
from firstmate_tools.text import clipped

_PACKAGE = Path(__file__).parents[1]
_log = logging.getLogger("firstmate")
MOST_NAMED = 16
"""Runbooks that a refusal names where none is near."""


def runbooks_folder(package: Path = _PACKAGE) -> Path:
    """Where the runbooks lie.

    Args:
        package: the folder of the package `firstmate`.

    Raises:
        ConfigurationError: the installation has none.
    """
    for folder in (package / "_runbooks", package.parents[1] / "runbooks"):
        if folder.is_dir():
            return folder
    raise ConfigurationError("This installation has no runbooks.", "Install firstmate again.")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a runbook comes from.

    Attributes:
        folder: that holds it.
        bundled: whether it is one that firstmate brings.
        replaces: the folders whose runbook of the same slug it stands in for.
    """

    folder: Path
    bundled: bool
    replaces: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """What it is called where paths of this machine are nobody's business."""
        return "bundled" if self.bundled else self.folder.name


class Library:
    """The runbooks of some folders.

    Args:
        folders: each holds `<slug>/SKILL.md`; later ones win.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._parsed: dict[str, Runbook] = {}
        self._told: set[str] = set()
        self._twice: dict[str, str] = {}
        """Causes that two runbooks of one folder claim, with the words for it."""

    @cached_property
    def _places(self) -> Mapping[str, Sequence[Path]]:
        """The folders that have a slug, the one that wins last."""
        found: dict[str, list[Path]] = {}
        for folder in self._folders:
            for path in folder.glob("*/SKILL.md"):
                found.setdefault(path.parent.name, []).append(folder)
        return dict(sorted(found.items()))

    @property
    def slugs(self) -> Sequence[str]:
        """Every slug, sorted. Reads names only."""
        return list(self._places)

    def provenance(self, slug: str) -> Provenance:
        """Where the runbook of a slug comes from; there has to be one."""
        *before, folder = self._places[slug]
        return Provenance(folder, self.bundled(folder), tuple(before))

    @staticmethod
    def bundled(folder: Path) -> bool:
        """Whether a folder is the one that firstmate brings."""
        return folder == _bundled()

    def _path(self, slug: str) -> Path:
        """The file of a slug.

        Raises:
            RunbookError: a link leads out of its folder.
        """
        folder = self._places[slug][-1]
        path = folder / slug / "SKILL.md"
        if not path.resolve().is_relative_to(folder.resolve()):
            raise RunbookError(f"{path} leads out of its folder.")
        return path

    def get(self, slug: str) -> Runbook:
        """A runbook by its slug.

        Raises:
            UsageError: there is none.
            RunbookError: it is damaged.
        """
        if slug not in self.slugs:
            raise UsageError(f"There is no runbook {clipped(slug, 100)!r}.", f"There are: {', '.join(self.slugs)}.")
        if slug not in self._parsed:
            try:
                self._parsed[slug] = parse(self._path(slug))
            except RunbookError as error:  # callers from elsewhere are told which file, not where it lies
                above = f"{self._places[slug][-1].parent}{os.sep}"
                raise RunbookError(error.message.replace(above, ""), error.hint) from error
        return self._parsed[slug]

    def every(self) -> Sequence[Runbook]:
        """All runbooks, by slug.

        Raises:
            RunbookError: one is damaged.
        """
        return [self.get(slug) for slug in self.slugs]

    def sound(self) -> Sequence[Runbook]:
        """All runbooks that can be read, by slug; the log names the others, so that one keeps nobody from the rest."""
        found: list[Runbook] = []
        for slug in self.slugs:
            try:
                found.append(self.get(slug))
            except RunbookError as error:
                if slug not in self._told:
                    _log.warning("runbook %s cannot be used: %s", slug, error.message)
                self._told.add(slug)
        return found

    def sources(self) -> Sequence[bytes]:
        """What the files hold, by slug, not parsed: by it search tells whether anything changed. Of one that cannot be
        read, and is therefore not searched, nothing."""
        found: list[bytes] = []
        for slug in self.slugs:
            try:
                found.append(source_of(self._path(slug)).encode())
            except RunbookError:
                found.append(b"")
        return found

    @cached_property
    def _by_cause(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for runbook in self.sound():
            for cause in runbook.causes:
                if (other := found.get(cause)) is not None:
                    mine, theirs = (self._folders.index(self._places[slug][-1]) for slug in (runbook.slug, other))
                    if mine < theirs:
                        continue
                    if mine == theirs:
                        words = f"{runbook.slug}/SKILL.md: the cause {cause} has a runbook already, {other}."
                        self._twice[cause] = words
                    else:
                        self._twice.pop(cause, None)
                found[cause] = runbook.slug
        return found

    def for_alert(self, name: str) -> Sequence[str]:
        """The slugs of the runbooks that name an alert, sorted. The same alert may have several causes."""
        return [one.slug for one in self.sound() if name in one.block.alerts]

    def find(self, name: str) -> Runbook:
        """A runbook by its slug or by a cause.

        Raises:
            UsageError: nothing fits, and the hint names the nearest; or what fits is not written yet.
            RunbookError: it is damaged, or two of one folder are for this cause.
        """
        wanted = name.strip().lower().removeprefix("runbook://")
        if wanted in self.slugs:
            return self.get(wanted)
        if wanted in self._by_cause:
            if wanted in self._twice:
                raise RunbookError(self._twice[wanted])
            return self.get(self._by_cause[wanted])
        from firstmate_tools.diagnosis.causes import CAUSES  # only where nothing else fits

        if wanted in CAUSES or wanted in {cause.runbook for cause in CAUSES.values()}:
            slug = CAUSES[wanted].runbook if wanted in CAUSES else wanted
            advice = "Go by the summary, the evidence and `next` of the root cause."
            raise UsageError(f"The runbook {slug} is not written yet.", advice)
        near = nearest(wanted, [*self.slugs, *self._by_cause])
        hint = f"Did you mean `{near}`?" if near else f"Runbooks: {self._some()}."
        raise UsageError(f"No runbook has the name or the cause {clipped(name, 100)!r}.", hint)

    def _some(self) -> str:
        """The first of the slugs: a refusal stays short however many runbooks there are."""
        more = len(self.slugs) - MOST_NAMED
        return ", ".join([*self.slugs][:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


@cache
def _bundled() -> Path | None:
    try:
        return runbooks_folder()
    except ConfigurationError:
        return None


@cache
def library() -> Library:
    """The runbooks that this installation brings."""
    return Library(runbooks_folder())


def library_with(folders: Sequence[str | Path]) -> Library:
    """The bundled runbooks, and those of some folders, of which the later ones win.

    Raises:
        ConfigurationError: one is no folder, or holds no runbook.
    """
    if not folders:
        return library()
    paths = [Path(one).expanduser().absolute() for one in folders]
    for path in paths:
        if not any(path.glob("*/SKILL.md")):
            raise ConfigurationError(f"{path} holds no runbooks.", "A runbook is <slug>/SKILL.md in it.")
    return Library(runbooks_folder(), *paths)
