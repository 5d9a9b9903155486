"""Weighs what links, words and meaning say into one order, and judges whether anything fits. Pure.

The order is a sum: standardised scores of words and of meaning (how far a runbook stands out for this question; their
raw scales differ from question to question) plus the weight of each kind of link. Whether nothing fits is a logistic
judgement over how strong the best is, how much of the question is known at all, and how near a topic without a runbook
comes. The numbers stand in `weights.toml`, one set without meaning and one with; `python -m evals.retrieval learn`
writes them from the questions that are for tuning.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from firstmate.runbooks.search.lexical import Scores
from firstmate.runbooks.search.links import Link
from firstmate.runbooks.search.semantic import Meanings

FEATURES = ("documents", "phrases", "meaning", "text", "pattern", "alert", "named")
SIGNS = (
    "phrase_cover",
    "document_cover",
    "topic_lead",
    "topic_nearer",
    "best_link",
    "known_share",
    "foreign_share",
    "lead",
    "meaning",
    "topic_meaning",
    "meaning_lead",
)
_SHORT = 4
"""Terms of a question that is hardly more than a name."""
_KINDS = {
    "text": ("text",),
    "pattern": ("event", "log"),
    "alert": ("alert",),
    "named": ("slug", "cause"),
}


@dataclass(frozen=True, slots=True)
class Heard:
    """All that was found out about a question.

    Attributes:
        slugs: every runbook.
        words, links, meanings: from `lexical.py`, `links.py`, `semantic.py`; no meanings without an encoder.
    """

    slugs: Sequence[str]
    words: Scores
    links: Mapping[str, Sequence[Link]]
    meanings: Meanings | None


@dataclass(frozen=True, slots=True)
class Weights:
    """One set of numbers.

    Attributes:
        order: of each of `FEATURES`.
        none: of each of `SIGNS`, with `bias`.
        threshold: from which probability on nothing fits.
    """

    order: Mapping[str, float]
    none: Mapping[str, float]
    threshold: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """The order.

    Attributes:
        scores: of each runbook, by slug, best first.
        shares: the same as probabilities, given that one of them fits.
        nothing: how probable it is that no runbook fits.
        none_fits: whether that is probable enough.
    """

    scores: Mapping[str, float]
    shares: Mapping[str, float]
    nothing: float
    none_fits: bool


@cache
def weights(with_meaning: bool) -> Weights:
    """The numbers that were learnt."""
    found = tomllib.loads(Path(__file__).with_name("weights.toml").read_text(encoding="utf-8"))
    part = found["fused" if with_meaning else "lexical"]
    return Weights(part["order"], part["none"], float(part["threshold"]))


def features(heard: Heard) -> dict[str, tuple[float, ...]]:
    """The `FEATURES` of every runbook."""
    documents = _standard([heard.words.documents.get(slug, 0.0) for slug in heard.slugs])
    phrases = _standard([heard.words.phrases.get(slug, 0.0) for slug in heard.slugs])
    near = heard.meanings
    meaning = _standard([near.runbooks[slug][1] for slug in heard.slugs]) if near else [0.0] * len(heard.slugs)
    rows = zip(heard.slugs, documents, phrases, meaning, strict=True)
    return {slug: (d, p, m, *(_linked(heard.links.get(slug, ()), kind) for kind in _KINDS)) for slug, d, p, m in rows}


def signs(heard: Heard, scores: Mapping[str, float]) -> tuple[float, ...]:
    """The `SIGNS` of whether anything fits.

    Args:
        heard: what was found out.
        scores: of every runbook, best first.
    """
    words, near = heard.words, heard.meanings
    top = next(iter(scores), "")
    ordered = [*scores.values(), 0.0, 0.0]
    plain = [term for term in words.terms if not term.startswith("+")]
    phrase, topic = max(words.phrases.values(), default=0.0), max(words.topics.values(), default=0.0)
    best = max((one[0] for one in near.runbooks.values()), default=0.0) if near else 0.0
    other = near.topic[1] if near else 0.0
    document = max(words.documents.values(), default=0.0)
    most = max(words.possible, 1e-6)
    return (
        # Of what could match: raw scores grow with the length of a question, which says nothing of whether one fits.
        phrase / most,
        document / most,
        max(0.0, topic - phrase) / most,
        float(topic > phrase),
        max((link.weight for link in heard.links.get(top, ())), default=0.0),
        len([term for term in plain if term in words.known]) / max(1, len(plain)),
        len([term for term in plain if term in words.foreign]) / max(1, len(plain)),
        ordered[0] - ordered[1],
        best,
        other,
        best - other,
    )


def ordered(heard: Heard, by: Weights, shown: Mapping[str, float] | None = None) -> dict[str, float]:
    """The score of every runbook, best first.

    Args:
        heard: what was found out.
        by: the numbers.
        shown: what the cluster adds, by slug.
    """
    found = features(heard)
    extra = shown or {}
    sums = {
        slug: sum(by.order[name] * value for name, value in zip(FEATURES, row, strict=True)) + extra.get(slug, 0.0)
        for slug, row in found.items()
    }
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def rank(heard: Heard, shown: Mapping[str, float] | None = None) -> Ranked:
    """Every runbook in order, and whether any fits.

    Args:
        heard: what was found out.
        shown: what the cluster adds to runbooks whose causes it shows, by slug.
    """
    by = weights(heard.meanings is not None)
    asked = ordered(heard, by)
    scores = ordered(heard, by, shown) if shown else asked
    if not scores or not (heard.words.known or heard.links):
        return Ranked(scores, dict.fromkeys(scores, 0.0), 1.0, True)
    values = dict(zip(SIGNS, signs(heard, asked), strict=True))
    nothing = _probability(sum(by.none[name] * value for name, value in values.items()) + by.none["bias"])
    named = any(link.kind in {"slug", "cause", "alert"} for links in heard.links.values() for link in links)
    most = max(scores.values())
    powers = {slug: math.exp(score - most) for slug, score in scores.items()}
    total = sum(powers.values())
    shares = {slug: power / total for slug, power in powers.items()}
    # What the cluster shows answers a vague question, not a foreign one. Words tell a foreign one only where it has one
    # that no runbook has: "deployment" stands in topics, too.
    foreign = _elsewhere(heard) and (heard.meanings is not None or bool(heard.words.foreign))
    heeded = bool(shown) and not foreign
    kept = named or heeded or _short_and_known(heard)
    return Ranked(scores, shares, nothing, nothing > by.threshold and not kept)


def _short_and_known(heard: Heard) -> bool:
    """Whether a question is too short to be judged, and all of it is what runbooks speak of: then they are offered."""
    plain = [term for term in heard.words.terms if not term.startswith("+")]
    return len(plain) <= _SHORT and all(term in heard.words.known for term in plain) and not _elsewhere(heard)


def _elsewhere(heard: Heard) -> bool:
    """Whether a topic without a runbook is nearer than every runbook."""
    near, words = heard.meanings, heard.words
    if near is not None:
        return near.topic[1] > max(one[0] for one in near.runbooks.values())
    return max(words.topics.values(), default=0.0) > max(words.phrases.values(), default=0.0)


def _linked(links: Sequence[Link], kind: str) -> float:
    return max((link.weight for link in links if link.kind in _KINDS[kind]), default=0.0)


def _standard(values: Sequence[float]) -> list[float]:
    """In standard deviations from the mean; all zero where all are equal."""
    mean = sum(values) / max(1, len(values))
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values)))
    return [(value - mean) / deviation if deviation > 1e-9 else 0.0 for value in values]


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))
