"""What is searched: each runbook as a few fields of text, made of its own words and of what others say of it. Pure.

`store.py` keeps the result by content. Besides a runbook's own text it takes how people ask (`asked.toml`), the titles
of its causes from the catalogue, and what other runbooks say under "When it does not" of the signs that lead here.
What a runbook itself says there is left out: those are signs of other runbooks. So is what it calls itself "not for".
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from firstmate.runbooks.document import Runbook

ASKED = Path(__file__).with_name("asked.toml")
ELSEWHERE = Path(__file__).with_name("elsewhere.toml")
SENT_AWAY = "When it does not"
APPLIES = "When this applies"

_FENCED = re.compile(r"^( *)```.*?^\1```\s*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## +(.+?)\s*$", re.MULTILINE)
_LINK = re.compile(r"https?://\S+")
_CODE = re.compile(r"`([a-z0-9]+(?:-[a-z0-9]+)*)`")
_NOT_FOR = re.compile(r"(?:^|(?<=[.;]))\s*(?:but )?not for\b[^.]*(?:\.|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Document:
    """One runbook as it is searched.

    Attributes:
        slug, title, description: the runbook's.
        causes: slug and title of each cause.
        alerts: names of alerts.
        events, logs: regular expressions.
        asked: how people ask for it.
        led: signs by which other runbooks lead here.
        applies: what it says of when it applies.
        body: the rest of its prose, without commands.
    """

    slug: str
    title: str
    description: str
    causes: tuple[tuple[str, str], ...]
    alerts: tuple[str, ...]
    events: tuple[str, ...]
    logs: tuple[str, ...]
    asked: tuple[str, ...]
    led: tuple[str, ...]
    applies: str
    body: str

    def passages(self) -> Iterator[str]:
        """The texts whose meaning stands for this runbook, each short enough for a model to read whole."""
        yield self.title
        yield self.description
        yield from (title for _, title in self.causes)
        yield from self.asked
        yield from self.led
        yield from _paragraphs(self.applies)


def read(content: bytes) -> tuple[Document, ...]:
    """Documents from the JSON that `TypeAdapter` has made of them.

    Raises:
        ValidationError: it is none.
    """
    return _adapter().validate_json(content)


def written(documents: Sequence[Document]) -> bytes:
    """Documents as JSON."""
    return _adapter().dump_json(tuple(documents))


@cache
def _adapter() -> TypeAdapter[tuple[Document, ...]]:
    return TypeAdapter(tuple[Document, ...])


def phrases(file: Path) -> dict[str, list[str]]:
    """Ways of asking, from `ASKED` by runbook or from `ELSEWHERE` by topic."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def documents(
    runbooks: Sequence[Runbook], titles: Mapping[str, str], asked: Mapping[str, Sequence[str]]
) -> tuple[Document, ...]:
    """Every runbook as it is searched.

    Args:
        runbooks: all of them.
        titles: of causes, by slug.
        asked: how people ask, by runbook.
    """
    led = _led({one.slug: one for one in runbooks})
    return tuple(_document(one, titles, tuple(asked.get(one.slug, ())), tuple(led[one.slug])) for one in runbooks)


def _document(one: Runbook, titles: Mapping[str, str], asked: tuple[str, ...], led: tuple[str, ...]) -> Document:
    parts = sections(one.text)
    rest = "\n".join(_prose(text) for name, text in parts.items() if name not in {SENT_AWAY, APPLIES})
    return Document(
        slug=one.slug,
        title=one.title,
        description=_NOT_FOR.sub(" ", " ".join(one.front.description.split())),
        causes=tuple((cause, titles.get(cause, "")) for cause in one.causes),
        alerts=one.block.alerts,
        events=one.block.event_patterns,
        logs=one.block.log_patterns,
        asked=asked,
        led=led,
        applies=_prose(parts.get(APPLIES, "")),
        body=rest,
    )


def sections(text: str) -> dict[str, str]:
    """The sections of a runbook by their heading, without fenced blocks; "" is what stands before the first."""
    bare = _FENCED.sub("", text)
    pieces = _HEADING.split(bare)
    return {"": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def _prose(text: str) -> str:
    """Without addresses and the drawing of tables."""
    plain = re.sub(r"^[|:\- ]+$", "", _LINK.sub("", text), flags=re.MULTILINE)
    listed = re.sub(r"^\s*\|", "- ", plain, flags=re.MULTILINE)
    return re.sub(r"[ \t]+", " ", re.sub(r"[|*`]", " ", listed)).strip()


def _paragraphs(text: str) -> Iterator[str]:
    """Lists and tables by their entries, prose by its paragraphs."""
    for block in re.split(r"\n\s*\n|\n(?=\s*[-0-9])", text):
        if len(words := " ".join(block.split())) > 20:
            yield words[:600]


def _led(runbooks: Mapping[str, Runbook]) -> defaultdict[str, list[str]]:
    """What tables of "When it does not" say of the way to each runbook."""
    found = defaultdict[str, list[str]](list)
    for one in runbooks.values():
        for row in sections(one.text).get(SENT_AWAY, "").splitlines():
            cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
            if len(cells) < 2:
                continue
            there = [slug for slug in _CODE.findall(" ".join(cells[1:])) if slug in runbooks and slug != one.slug]
            for slug in dict.fromkeys(there):
                found[slug].append(_prose(cells[0]))
    return found


def literal(pattern: str) -> str:
    """The words of a regular expression: what it looks for, without its grammar."""
    plain = re.sub(r"\(\?[a-zA-Z]+\)|\(\?:|\(\?[=!<]+", " ", pattern)
    plain = re.sub(r"\\[bBdDsSwWnAZ][+*?]?", " ", plain)
    plain = re.sub(r"\[\^?[^\]]*\][+*?]?(?:\{[^}]*\})?", " ", plain)
    plain = re.sub(r"\.[+*]\??|\{\d+(?:,\d*)?\}", " ", plain)
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[()|?^$*+]", " ", plain))


def words_of(patterns: Iterable[str]) -> str:
    """The words of several regular expressions."""
    return "\n".join(literal(one) for one in patterns)
