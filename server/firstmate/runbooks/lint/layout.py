"""A runbook's Markdown as the checks want it: sections, paragraphs, scripts and links, each with its line.

Built once per runbook by `linting.py`. Pure.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from firstmate.runbooks.document import BLOCK
from firstmate.runbooks.lint.commands import SCRIPTS, Script, is_inline_command
from firstmate.runbooks.steps import FENCE


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of a runbook.

    Attributes:
        line: of the file, from 1.
        text: as it stands there; of a link, its target.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Layout:
    """What a runbook's Markdown consists of.

    Attributes:
        sections: headings of the second level.
        paragraphs: prose, list items and rows of tables included; without front matter and fences.
        scripts: fenced scripts, and commands in sentences.
        links: targets of links.
    """

    sections: tuple[Piece, ...]
    paragraphs: tuple[Piece, ...]
    scripts: tuple[Script, ...]
    links: tuple[Piece, ...]


def layout_of(source: str) -> Layout:
    """Takes a SKILL.md apart.

    Args:
        source: the whole file.
    """
    from markdown_it import MarkdownIt
    from mdit_py_plugins.front_matter import front_matter_plugin

    tokens: list[Any] = MarkdownIt("commonmark").enable("table").use(front_matter_plugin).parse(source)
    return Layout(
        sections=tuple(_sections(tokens)),
        paragraphs=tuple(_paragraphs(tokens)),
        scripts=tuple(sorted(_scripts(tokens, source.splitlines()), key=lambda one: one.line)),
        links=tuple(_links(tokens)),
    )


def _sections(tokens: Sequence[Any]) -> Iterator[Piece]:
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag == "h2":
            yield Piece(heading.map[0] + 1, inline.content)


def _paragraphs(tokens: Sequence[Any]) -> Iterator[Piece]:
    for before, token in pairwise(tokens):
        if token.type == "inline" and before.type in ("paragraph_open", "td_open"):
            yield Piece(token.map[0] + 1, token.content)


def _scripts(tokens: Sequence[Any], lines: Sequence[str]) -> Iterator[Script]:
    for token in tokens:
        info = " ".join(token.info.split()) if token.type == "fence" else ""
        if token.type == "fence" and info not in (BLOCK, FENCE) and info in SCRIPTS:
            yield Script(token.map[0] + 2, token.content)
    for line, code in _inline_code(tokens, lines):
        if is_inline_command(code):
            yield Script(line, code)


def _inline_code(tokens: Sequence[Any], lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    for token in tokens:
        if token.type != "inline":
            continue
        first, after = token.map or (0, 1)
        for child in token.children or ():
            if child.type == "code_inline":
                near = (number for number in range(first, after) if child.content[:20] in lines[number])
                yield next(near, first) + 1, child.content


def _links(tokens: Sequence[Any]) -> Iterator[Piece]:
    for token in tokens:
        if token.type != "inline":
            continue
        for child in token.children or ():
            if child.type == "link_open":
                yield Piece(token.map[0] + 1, str(child.attrGet("href")))
            elif child.type == "text":
                for found in re.findall(r"https?://[^\s)>\]]+", child.content):
                    yield Piece(token.map[0] + 1, found)
