"""The runbook document: a SKILL.md, parsed.

Front matter (YAML) says what an Agent Skills host needs, one fenced `yaml runbook` block what firstmate needs, fenced
`yaml step` blocks what a machine can carry out; the rest is prose and commands for people. `library.py` calls `parse`,
`render` writes a runbook back. Imports the YAML and Markdown parsers when first used.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from firstmate.runbooks import plainyaml
from firstmate.runbooks.steps import FENCE, Placed, Step, written
from firstmate.runbooks.stepyaml import StepError, read_step
from firstmate_tools.errors import ConfigurationError

BLOCK = "yaml runbook"
MOST_BYTES = 1_000_000
"""Of one SKILL.md."""


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


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"no regular expression: {error}") from error
    return value


Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_pattern)]


class Block(_Part):
    """The `yaml runbook` block."""

    causes: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    log_patterns: tuple[Pattern, ...] = ()
    event_patterns: tuple[Pattern, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    owner: str
    last_reviewed: date
    kubernetes: str


P = TypeVar("P", bound=_Part)
Part = str | Block | Placed
"""Of a document: Markdown, the block, a step."""


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook.

    Attributes:
        slug: its folder's name, and the skill's.
        title: the first heading.
        front: what the front matter says.
        block: what the `yaml runbook` block says.
        text: the Markdown that people read: without front matter, block and steps.
        source: the whole file.
        path: where it lies.
        parts: what follows the front matter, in order: Markdown as it stands, the block, the steps.
    """

    slug: str
    title: str
    front: FrontMatter
    block: Block
    text: str
    source: str
    path: Path
    parts: tuple[Part, ...]

    @property
    def causes(self) -> tuple[str, ...]:
        return self.block.causes

    @property
    def steps(self) -> tuple[Placed, ...]:
        """What a machine can carry out, in the order of the document; none where nobody wrote any."""
        return tuple(part for part in self.parts if isinstance(part, Placed))

    def step(self, id_: str) -> Step | None:
        """A step by its id."""
        return next((placed.step for placed in self.steps if placed.step.id == id_), None)

    @property
    def digest(self) -> str:
        """The same for the same content, and for no other."""
        return hashlib.sha256(self.source.encode()).hexdigest()


def parse(path: Path) -> Runbook:
    """The runbook of one file.

    Raises:
        RunbookError: it cannot be read, or is no runbook.
    """
    return parsed(source_of(path), path)


def source_of(path: Path) -> str:
    """The text of one file.

    Raises:
        RunbookError: it cannot be read, or is larger than a runbook can be.
    """
    try:
        # A pipe or a device may never end.
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise RunbookError(f"The runbook {path} is no file of at most {MOST_BYTES} bytes.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunbookError(f"The runbook {path} cannot be read: {error}.") from error


def parsed(source: str, path: Path) -> Runbook:
    """The runbook of a text.

    Args:
        source: the content of SKILL.md.
        path: where it lies; its folder is called like the runbook.

    Raises:
        RunbookError: it is no runbook.
    """
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from mdit_py_plugins.front_matter import front_matter_plugin

    tokens: list[Token] = MarkdownIt("commonmark").use(front_matter_plugin).parse(source)
    matter = _one(path, tokens, "front_matter", "front matter")
    front = _checked(path, FrontMatter, matter)
    if front.name != path.parent.name:
        raise RunbookError(f"{path}: the name {front.name!r} is not that of its folder.")
    fence = _one(path, [t for t in tokens if t.type == "fence" and t.info.strip() == BLOCK], "fence", f"block {BLOCK}")
    block = _checked(path, Block, fence)
    lines = source.split("\n")
    fenced: list[tuple[Any, Block | Placed]] = [(fence, block), *_steps(path, tokens, lines)]
    parts = _parts(lines, matter.map[1], sorted(fenced, key=lambda one: one[0].map[0]))
    return Runbook(
        slug=front.name,
        title=next(_headings(tokens), front.name),
        front=front,
        block=block,
        text=_prose(parts),
        source=source,
        path=path,
        parts=parts,
    )


def _one(path: Path, tokens: list[Any], type_: str, what: str) -> Any:
    found = [token for token in tokens if token.type == type_]
    if len(found) != 1:
        raise RunbookError(f"{path}: {'more than one' if found else 'no'} {what}.")
    return found[0]


def _checked(path: Path, part: type[P], token: Any) -> P:
    line = (token.map or [0])[0] + 1
    try:
        content = plainyaml.load(token.content)
    except plainyaml.NotYamlError as error:
        raise RunbookError(f"{path}:{line}: not YAML: {error}.") from error
    try:
        return part.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise RunbookError(f"{path}:{line}: {where or 'content'}: {first['msg']}.") from error


def _steps(path: Path, tokens: Sequence[Any], lines: Sequence[str]) -> list[tuple[Any, Placed]]:
    """Every fenced step, with the heading under which it stands.

    Raises:
        RunbookError: some are damaged; says all that is wrong with them.
    """
    found: list[tuple[Any, Placed]] = []
    wrong: list[tuple[int, str]] = []
    section = ""
    for token, after in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        if token.type == "heading_open" and token.tag in ("h1", "h2"):
            section = after.content if token.tag == "h2" else ""
        if token.type != "fence" or " ".join(token.info.split()) != FENCE:
            continue
        first = cast("int", token.map[0])
        indent = lines[first].partition(token.markup)[0]
        try:
            if indent.strip(" "):
                raise StepError((first + 1, "a step's fence begins a line of its own, after blanks alone"))
            found.append((token, read_step(token.content, first + 1, section, indent)))
        except StepError as error:
            wrong += error.wrong
    if wrong:
        raise RunbookError("\n".join(f"{path}:{line}: {words}." for line, words in wrong))
    return found


def _headings(tokens: list[Any]) -> Iterator[str]:
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag == "h1":
            yield inline.content


def _parts(lines: Sequence[str], at: int, fenced: Sequence[tuple[Any, Block | Placed]]) -> tuple[Part, ...]:
    found: list[Part] = []
    for token, part in fenced:
        first, after = cast("list[int]", token.map)
        found += ["\n".join(lines[at:first]), part]
        at = after
    return (*found, "\n".join(lines[at:]))


def _prose(parts: Sequence[Part]) -> str:
    kept = "\n".join(part for part in parts if isinstance(part, str)).split("\n")
    return "\n".join(line for line, before in zip(kept, ["", *kept], strict=False) if line or before).strip() + "\n"


def render(runbook: Runbook) -> str:
    """A runbook as the content of its SKILL.md: parsed again, it is the same runbook.

    Comments within front matter, block and steps are not kept.
    """
    front = runbook.front.model_dump(mode="json", exclude_unset=True)
    return "\n".join([f"---\n{_yaml(front)}---", *(_rendered(part) for part in runbook.parts)])


def _rendered(part: Part) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Block):
        return _fenced(BLOCK, _yaml(part.model_dump(exclude_unset=True)))
    return _fenced(FENCE, _yaml(written(part.step)), part.indent)


def _fenced(info: str, content: str, indent: str = "") -> str:
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", content)), default=0))
    every = [f"{ticks}{info}", *content.rstrip("\n").split("\n"), ticks]
    return "\n".join(f"{indent}{line}" if line else line for line in every)


def _yaml(value: object) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
