"""The runbooks as skills: MCP's skills extension, `io.modelcontextprotocol/skills` (SEP-2640).

`server.py` adds the extension, and asks `Skills` for the resources `skill://SLUG/...`. Every file of a runbook's folder
is one, and what is served is what its digest is of. So a file that the egress filter would change is not filtered
here: its runbook is refused as a skill, and the log says which line does it. Must never serve a file that the filter
would change.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.types import PaginatedRequestParams, Resource
from pydantic import ConfigDict

from firstmate.mcp import egress
from firstmate.mcp.invalid import refusal
from firstmate.runbooks.document import Runbook, RunbookError
from firstmate.runbooks.files import MAIN, RunbookFile, files_of
from firstmate.runbooks.library import Library
from firstmate_tools.errors import FirstmateError
from firstmate_tools.text import clipped

SCHEME = "skill://"
DIRECTORY = "inode/directory"
_TTL_MS = 3_600_000

_log = logging.getLogger("firstmate")


class UnservedError(FirstmateError):
    """A runbook cannot be served. What is wrong with it names files of the server, and goes to the log alone."""


@dataclass(frozen=True, slots=True)
class Skill:
    """A runbook with the files of its folder, all of them fit to be served."""

    runbook: Runbook
    files: tuple[RunbookFile, ...]

    @property
    def root(self) -> str:
        """The address of its folder."""
        return f"{SCHEME}{self.runbook.slug}"

    def address(self, file: RunbookFile) -> str:
        return f"{self.root}/{file.address}"

    def entry(self) -> dict[str, Any]:
        """The entry of skills/list and skills/get."""
        return {
            "uri": f"{self.root}/{MAIN}",
            "frontmatter": self.runbook.front.model_dump(mode="json", exclude_unset=True),
            "resources": [{"uri": self.address(file), "digest": file.digest, "size": file.size} for file in self.files],
        }

    def resource(self, file: RunbookFile) -> Resource:
        """A file as resources/list shows it."""
        if file.path == MAIN:
            name, description = self.runbook.slug, self.runbook.front.description
        else:
            name, description = file.path.rpartition("/")[2], None
        return Resource(uri=self.address(file), name=name, description=description, mime_type=file.mime_type)

    def children(self, folder: str) -> list[Resource] | None:
        """What lies directly in a folder of it, None where it has no such folder."""
        if folder != self.root and not folder.startswith(f"{self.root}/"):
            return None
        found: dict[str, Resource] = {}
        for file in self.files:
            address = self.address(file)
            if not address.startswith(f"{folder}/"):
                continue
            name, deeper, _ = address.removeprefix(f"{folder}/").partition("/")
            inner = f"{folder}/{name}"
            found[inner] = Resource(uri=inner, name=name, mime_type=DIRECTORY) if deeper else self.resource(file)
        return list(found.values()) or None


class Skills:
    """The runbooks that are fit to be served as skills. Reads a runbook's folder when it is first asked for.

    Args:
        runbooks: where they come from.
    """

    def __init__(self, runbooks: Library) -> None:
        self._runbooks = runbooks
        self._loaded: dict[str, Skill | UnservedError] = {}

    @cached_property
    def every(self) -> Sequence[Skill]:
        """All of them, by slug. One that cannot be served is left out, and the log says why."""
        found: list[Skill] = []
        for slug in self._runbooks.slugs:
            with suppress(UnservedError):
                found.append(self._load(slug))
        return tuple(found)

    async def read(self) -> Sequence[Skill]:
        """As `every`. Parsing them all takes a few tenths of a second, for which nobody else has to wait."""
        return await anyio.to_thread.run_sync(lambda: self.every)

    def of(self, uri: str) -> Skill | None:
        """The skill to which an address belongs, None where there is no such skill.

        Raises:
            UnservedError: there is, but it cannot be served.
        """
        slug = uri.removeprefix(SCHEME).partition("/")[0]
        return self._load(slug) if uri.startswith(SCHEME) and slug in self._runbooks.slugs else None

    def file(self, uri: str) -> RunbookFile | None:
        """The file at an address, None where there is none.

        Raises:
            UnservedError: it belongs to a skill that cannot be served.
        """
        skill = self.of(uri)
        return next((one for one in skill.files if skill.address(one) == uri), None) if skill is not None else None

    def _load(self, slug: str) -> Skill:
        if slug not in self._loaded:
            try:
                self._loaded[slug] = loaded(self._runbooks, slug)
            except RunbookError as error:
                _log.warning("runbook %s is not served as a skill: %s", slug, egress.error(error))
                self._loaded[slug] = UnservedError(
                    f"The runbook {slug} cannot be served as a skill.", "The server's log says why."
                )
        found = self._loaded[slug]
        if isinstance(found, UnservedError):
            raise UnservedError(found.message, found.hint)
        return found


def loaded(runbooks: Library, slug: str) -> Skill:
    """A runbook with its files.

    Raises:
        RunbookError: it is damaged, or a file cannot be served as it is.
    """
    runbook = runbooks.get(slug)
    files = files_of(runbook.path.parent)
    for file in files:
        _refuse_what_would_change(runbook, file)
    return Skill(runbook, files)


def _refuse_what_would_change(runbook: Runbook, file: RunbookFile) -> None:
    served = egress.document(file.text)
    if served == file.text:
        return
    lines = zip(file.text.split("\n"), served.split("\n"), strict=False)
    line = next((number for number, (own, left) in enumerate(lines, 1) if own != left), 1)
    raise RunbookError(
        f"{runbook.slug}/{file.path}:{line}: the egress filter would change this line.",
        "Take out what looks like a secret, control characters and carriage returns.",
    )


class AddressParams(PaginatedRequestParams):
    """Parameters of skills/get and resources/directory/read."""

    model_config = ConfigDict(defer_build=True)

    uri: str


class SkillsExtension(Extension):
    """The methods of the extension.

    Args:
        skills: what they serve.
    """

    identifier = "io.modelcontextprotocol/skills"

    def __init__(self, skills: Skills) -> None:
        self._skills = skills

    def settings(self) -> dict[str, Any]:
        return {"directoryRead": True}

    def methods(self) -> Sequence[MethodBinding]:
        return (
            MethodBinding("skills/list", PaginatedRequestParams, self._list),
            MethodBinding("skills/get", AddressParams, self._get),
            MethodBinding("resources/directory/read", AddressParams, self._directory),
        )

    async def _list(self, context: ServerRequestContext[Any, Any], params: PaginatedRequestParams) -> dict[str, Any]:
        _refuse_cursor(params)
        return {"skills": [skill.entry() for skill in await self._skills.read()], **_cached()}

    async def _get(self, context: ServerRequestContext[Any, Any], params: AddressParams) -> dict[str, Any]:
        skill = _served(self._skills, params.uri)
        if skill is None or params.uri != f"{skill.root}/{MAIN}":
            raise refusal(
                f"No skill is served at {clipped(params.uri, 200)}; skills/list names those that are.", params.uri
            )
        return {"skill": skill.entry(), **_cached()}

    async def _directory(self, context: ServerRequestContext[Any, Any], params: AddressParams) -> dict[str, Any]:
        _refuse_cursor(params)
        skill = _served(self._skills, params.uri)
        children = skill.children(params.uri) if skill is not None else None
        if children is None:
            raise refusal(f"{clipped(params.uri, 200)} is not a folder; that of a skill is {SCHEME}SLUG.", params.uri)
        found = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in children]
        return {"resources": found, **_cached()}  # hosts ask for the hint here too, although the extension does not


def _served(skills: Skills, uri: str) -> Skill | None:
    try:
        return skills.of(uri)
    except UnservedError as error:
        raise refusal(egress.error(error), uri) from error


def _refuse_cursor(params: PaginatedRequestParams) -> None:
    if params.cursor:
        raise refusal("This list has one page: leave out the cursor.")


def _cached() -> dict[str, Any]:
    return {"ttlMs": _TTL_MS, "cacheScope": "public"}
