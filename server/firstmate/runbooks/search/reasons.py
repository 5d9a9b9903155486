"""Why a runbook was found, and why not, in words: read from what the order rests on, so that they cannot disagree.

What is quoted of a question goes in by `inline`: it may be a log line that a stranger wrote.
"""

from collections.abc import Sequence

from firstmate.runbooks.search.engine import Engine, Found
from firstmate.runbooks.search.links import Link
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.text import inline, shorten

_MOST_WORDS = 5
_ALIKE = 0.4
"""Cosine from which on two texts are called alike."""


class Reasons:
    """Reasons for one search.

    Args:
        engine: that searched.
        found: what it found.
    """

    def __init__(self, engine: Engine, found: Found) -> None:
        self._found = found
        words = found.heard.words
        plain = [term for term in words.terms if term in words.known and not term.startswith("+")]
        self._having = engine.having(plain)
        self._rare = sorted(self._having, key=lambda term: len(self._having[term]))
        near = found.heard.meanings
        self._best = max((one[0] for one in near.runbooks.values()), default=0.0) if near is not None else 0.0

    def why(self, slug: str) -> list[str]:
        """Why this one: links, words that it shares, meaning."""
        reasons = [_linked(link) for link in _distinct(self._found.heard.links.get(slug, ()))]
        if shared := self._shared(slug):
            reasons.append(f"shares {_listed(shared)}")
        for slipped, known in self._found.heard.words.corrected.items():
            reasons.append(f"{inline(slipped)} was read as {inline(known)}")
        if (near := self._near(slug)) >= _ALIKE:
            reasons.append(f"means much the same (cosine {near:.2f})")
        return reasons[:5] or ["nothing fits better, and this comes nearest"]

    def why_not(self, slug: str) -> str:
        """Why a near miss is none."""
        words = self._found.heard.words
        shared = self._shared(slug)
        alien = [t for t in words.terms if not t.startswith("+") and t not in words.known][:_MOST_WORDS]
        parts = [f"it shares {f'only {_listed(shared)}' if shared else 'no word'} with the question"]
        if alien:
            parts.append(f"{_listed(alien)} {'is' if len(alien) == 1 else 'are'} in no runbook")
        if self._found.heard.meanings is not None:
            parts.append(f"its meaning is not near (cosine {self._near(slug):.2f})")
        return "; ".join(parts)

    def none(self, query: str) -> str:
        """Why none fits."""
        if not query.strip():
            return "The question is empty: give what is seen, such as an error, an event or a symptom."
        heard = self._found.heard
        if not heard.words.terms:
            return "The question holds no word to search for: give what is seen, such as an error or a symptom."
        if not heard.words.known and not heard.links:
            return "No word of the question is in any runbook."
        topic = self._topic()
        if topic is not None:
            return f"It reads like a question about {topic}, for which there is no runbook."
        return "No runbook is near enough to the question to be worth following."

    def _topic(self) -> str | None:
        """The topic without a runbook that is nearer than every runbook, None where there is none."""
        heard = self._found.heard
        if heard.meanings is not None and heard.meanings.topic[1] >= max(self._best, _ALIKE):
            return heard.meanings.topic[0]
        name, score = max(heard.words.topics.items(), key=lambda item: item[1], default=("", 0.0))
        return name if score > max(heard.words.phrases.values(), default=0.0) else None

    def _shared(self, slug: str) -> list[str]:
        return [term for term in self._rare if slug in self._having[term]][:_MOST_WORDS]

    def _near(self, slug: str) -> float:
        meanings = self._found.heard.meanings
        return meanings.runbooks[slug][0] if meanings is not None else 0.0


def _distinct(links: Sequence[Link]) -> list[Link]:
    """One link of each kind, the surest."""
    found: dict[str, Link] = {}
    for link in links:
        found.setdefault(link.kind, link)
    return list(found.values())


def _linked(link: Link) -> str:
    quoted = inline(shorten(" ".join(link.what.split()), 120))
    if link.kind == "slug":
        return f"the question names it: {quoted}"
    if link.kind == "cause":
        return f"it is for the cause {quoted}"
    if link.kind == "alert":
        return f"it is for the alert {quoted}" + ("" if link.weight == 1 else ", as others are")
    if link.kind == "text":
        title = CAUSES[link.cause].title if link.cause else ""
        return f"the text {quoted} tells of: {title[:1].lower()}{title[1:]}"
    return f"its {link.kind} pattern fits {quoted}"


def _listed(terms: list[str]) -> str:
    return ", ".join(inline(term) for term in terms)
