"""The library of runbooks: where they lie, which there are, which one fits a slug or a cause.

Tools, resources and the command line ask here. The folder is package data in a wheel (`firstmate/_runbooks`) and the
repository's `runbooks/` in an editable install. Must never write.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

from firstmate.nearest import nearest
from firstmate.runbooks.document import Runbook, RunbookError, parse
from firstmate_tools.errors import ConfigurationError, UsageError
from firstmate_tools.text import clipped

_PACKAGE = Path(__file__).parents[1]
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


class Library:
    """The runbooks of one folder.

    Args:
        folder: holds `<slug>/SKILL.md`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parsed: dict[str, Runbook] = {}

    @cached_property
    def slugs(self) -> Sequence[str]:
        """Every slug, sorted. Reads names only."""
        return sorted(path.parent.name for path in self._folder.glob("*/SKILL.md"))

    def get(self, slug: str) -> Runbook:
        """A runbook by its slug.

        Raises:
            UsageError: there is none.
            RunbookError: it is damaged.
        """
        if slug not in self.slugs:
            raise UsageError(f"There is no runbook {clipped(slug, 100)!r}.", f"There are: {', '.join(self.slugs)}.")
        if slug not in self._parsed:
            self._parsed[slug] = parse(self._folder / slug / "SKILL.md")
        return self._parsed[slug]

    def every(self) -> Sequence[Runbook]:
        """All runbooks, by slug.

        Raises:
            RunbookError: one is damaged.
        """
        return [self.get(slug) for slug in self.slugs]

    def sources(self) -> Sequence[bytes]:
        """What the files hold, by slug, not parsed: by it search tells whether anything changed.

        Raises:
            RunbookError: one cannot be read.
        """
        try:
            return [(self._folder / slug / "SKILL.md").read_bytes() for slug in self.slugs]
        except OSError as error:
            raise RunbookError(f"A runbook cannot be read: {error}.") from error

    @cached_property
    def _by_cause(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for runbook in self.every():
            for cause in runbook.causes:
                if cause in found:
                    raise RunbookError(f"{runbook.path}: the cause {cause} has a runbook already, {found[cause]}.")
                found[cause] = runbook.slug
        return found

    def for_alert(self, name: str) -> Sequence[str]:
        """The slugs of the runbooks that name an alert, sorted. The same alert may have several causes.

        Raises:
            RunbookError: one is damaged.
        """
        return [one.slug for one in self.every() if name in one.block.alerts]

    def find(self, name: str) -> Runbook:
        """A runbook by its slug or by a cause.

        Raises:
            UsageError: nothing fits, and the hint names the nearest; or what fits is not written yet.
        """
        wanted = name.strip().lower().removeprefix("runbook://")
        if wanted in self.slugs:
            return self.get(wanted)
        if wanted in self._by_cause:
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
def library() -> Library:
    """The runbooks that this installation brings."""
    return Library(runbooks_folder())
