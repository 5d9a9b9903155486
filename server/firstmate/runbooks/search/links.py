"""Exact links from a question to runbooks: what it names or quotes, where no judgement is needed.

A runbook's slug, a cause, an alert, an error text whose causes are known (`firstmate_tools.diagnosis.errortexts`), an
event or log line that a runbook's patterns recognise. A link is strong evidence and no verdict: a pasted description of
a pod quotes many things, so that `ranking.py` weighs links together with what words and meaning say.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from firstmate.runbooks.search.analysis import plain
from firstmate.runbooks.search.corpus import Document
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.errortexts import likely, match

Kind = Literal["slug", "cause", "alert", "text", "event", "log"]

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{5,}")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONG = 30
"""Characters of a quotation from which on it counts in full: short ones stand in many texts."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link.

    Attributes:
        kind: by what.
        weight: 0 to 1, how surely it leads to this runbook and to no other.
        what: the part of the question; not cleaned.
        cause: of a known error text, the cause that leads here.
    """

    kind: Kind
    weight: float
    what: str
    cause: str | None = None


class Links:
    """Finds links. Compiles the runbooks' patterns when first asked.

    Args:
        documents: all runbooks.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._slugs = {one.slug for one in documents}
        self._causes = {cause: one.slug for one in documents for cause, _ in one.causes}
        self._alerts = defaultdict[str, list[str]](list)
        for one in documents:
            for alert in one.alerts:
                self._alerts[alert.lower()].append(one.slug)

    @cached_property
    def _patterns(self) -> list[tuple[str, Kind, re.Pattern[str]]]:
        kinds: tuple[Kind, Kind] = ("event", "log")
        return [
            (one.slug, kind, re.compile(pattern))
            for one in self._documents
            for kind, patterns in zip(kinds, (one.events, one.logs), strict=True)
            for pattern in patterns
        ]

    def find(self, question: str) -> dict[str, list[Link]]:
        """Links by slug, the surest first."""
        text = plain(question)
        found = defaultdict[str, list[Link]](list)
        self._named(text, found)
        self._texts(text, found)
        for slug, kind, pattern in self._patterns:
            if (hit := pattern.search(text)) is not None and hit[0].strip():
                found[slug].append(Link(kind, min(1.0, len(hit[0].strip()) / _LONG), hit[0].strip()))
        return {slug: sorted(links, key=lambda link: -link.weight) for slug, links in found.items()}

    def _named(self, text: str, found: defaultdict[str, list[Link]]) -> None:
        whole = text.strip().lower().removeprefix("runbook://")
        for word in dict.fromkeys(_SLUG.findall(text.lower())):
            if word != whole and "-" not in word:
                continue
            if word in self._slugs:
                found[word].append(Link("slug", 1.0, word))
            if word in self._causes:
                found[self._causes[word]].append(Link("cause", 1.0, word))
        for word in dict.fromkeys(_WORD.findall(text)):
            slugs = self._alerts.get(word.lower(), ())
            for slug in slugs:
                found[slug].append(Link("alert", 1 / len(slugs), word))

    def _texts(self, text: str, found: defaultdict[str, list[Link]]) -> None:
        """Known error texts: of the causes that write one, the likelier counts more."""
        place: dict[str, int] = {}
        for cause, by in likely(match(text)).items():
            slug = CAUSES[cause].runbook
            if slug in self._slugs and slug not in place:
                place[slug] = len(place)
                found[slug].append(Link("text", 1 / (1 + place[slug]), by.part, cause))
