"""The runbook document: a SKILL.md, parsed.

Front matter (YAML) says what an Agent Skills host needs, one fenced `yaml runbook` block what firstmate needs; the rest
is prose and commands for people. `library.py` calls `parse`. Imports the YAML and Markdown parsers when first used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firstmate_tools.errors import ConfigurationError

BLOCK = "yaml runbook"


class RunbookError(ConfigurationError):
    """A file is no runbook; the message names file and line."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FrontMatter(_Part):
    """The front matter of an Agent Skill (agentskills.io/specification)."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)
    description: str = Field(min_length=1, max_length=1024)
    license: str | None = None
    compatibility: str | None = Field(default=None, max_length=500)
    metadata: dict[str, str] = Field(default_factory=dict[str, str])


class Parameter(_Part):
    """Something that the person or program who follows the runbook has to fill in."""

    name: str
    type: Literal["string", "integer", "number", "boolean"]
    description: str
    required: bool = False
    default: str | int | float | bool | None = None


class Block(_Part):
    """The `yaml runbook` block."""

    causes: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    log_patterns: tuple[str, ...] = ()
    event_patterns: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    owner: str
    last_reviewed: date
    kubernetes: str


P = TypeVar("P", bound=_Part)


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook.

    Attributes:
        slug: its folder's name, and the skill's.
        title: the first heading.
        front: what the front matter says.
        block: what the `yaml runbook` block says.
        text: the Markdown that people read: without front matter and block.
        source: the whole file.
        path: where it lies.
    """

    slug: str
    title: str
    front: FrontMatter
    block: Block
    text: str
    source: str
    path: Path

    @property
    def causes(self) -> tuple[str, ...]:
        return self.block.causes


def parse(path: Path) -> Runbook:
    """The runbook of one file.

    Raises:
        RunbookError: it cannot be read, or is no runbook.
    """
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from mdit_py_plugins.front_matter import front_matter_plugin

    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunbookError(f"The runbook {path} cannot be read: {error}.") from error
    tokens: list[Token] = MarkdownIt("commonmark").use(front_matter_plugin).parse(source)
    front = _checked(path, FrontMatter, _one(path, tokens, "front_matter", "front matter"))
    if front.name != path.parent.name:
        raise RunbookError(f"{path}: the name {front.name!r} is not that of its folder.")
    fence = _one(path, [t for t in tokens if t.type == "fence" and t.info.strip() == BLOCK], "fence", f"block {BLOCK}")
    return Runbook(
        slug=front.name,
        title=next(_headings(tokens), front.name),
        front=front,
        block=_checked(path, Block, fence),
        text=_prose(source, tokens, fence),
        source=source,
        path=path,
    )


def _one(path: Path, tokens: list[Any], type_: str, what: str) -> Any:
    found = [token for token in tokens if token.type == type_]
    if len(found) != 1:
        raise RunbookError(f"{path}: {'more than one' if found else 'no'} {what}.")
    return found[0]


def _checked(path: Path, part: type[P], token: Any) -> P:
    import yaml

    line = (token.map or [0])[0] + 1
    try:
        content: object = yaml.safe_load(token.content)
    except yaml.YAMLError as error:
        raise RunbookError(f"{path}:{line}: not YAML: {error}.") from error
    try:
        return part.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise RunbookError(f"{path}:{line}: {where or 'content'}: {first['msg']}.") from error


def _headings(tokens: list[Any]) -> Iterator[str]:
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag == "h1":
            yield inline.content


def _prose(source: str, tokens: list[Any], fence: Any) -> str:
    lines = source.splitlines()
    front = next(token for token in tokens if token.type == "front_matter")
    hidden: set[int] = set()
    for first, after in (cast("list[int]", front.map), cast("list[int]", fence.map)):
        hidden.update(range(first, after))
    kept = [line for number, line in enumerate(lines) if number not in hidden]
    return "\n".join(line for line, before in zip(kept, ["", *kept], strict=False) if line or before).strip() + "\n"
