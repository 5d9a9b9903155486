"""Scores answers to questions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evals.retrieval.questions import Question


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer.

    Attributes:
        order: slugs, best first, whether or not it was said that none fits.
        none_fits: whether it was said.
        ms: how long it took.
        cpu_ms: what of that the thread was at work, which is the same on a machine that is busy otherwise.
    """

    question: Question
    order: Sequence[str]
    none_fits: bool
    ms: float
    cpu_ms: float

    @property
    def place(self) -> int | None:
        """Of the first runbook that answers it, from 0; None where none does."""
        return next((at for at, slug in enumerate(self.order) if slug in self.question.runbooks), None)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured.

    Attributes:
        asked: questions that have a runbook.
        recall_1, recall_3, recall_5: share of them whose runbook is among the first, by the order alone.
        mrr: mean reciprocal rank.
        none_asked: questions that have none.
        abstention_recall: share of those to which "none fits" was said.
        abstention_precision: share of what was said "none fits" to that has none.
        lost: share of questions that have a runbook, to which "none fits" was said.
        found_1, found_3: as recall, where an answer that says "none fits" finds nothing.
        p50_ms, p95_ms, cpu_p50_ms: of one question.
    """

    asked: int
    recall_1: float
    recall_3: float
    recall_5: float
    mrr: float
    none_asked: int
    abstention_recall: float
    abstention_precision: float
    lost: float
    found_1: float
    found_3: float
    p50_ms: float
    p95_ms: float
    cpu_p50_ms: float


def figures(answers: Sequence[Answered]) -> Figures:
    """The figures of some answers."""
    having = [one for one in answers if one.question.runbooks]
    lacking = [one for one in answers if not one.question.runbooks]
    said = [one for one in answers if one.none_fits]
    times = sorted(one.ms for one in answers) or [0.0]

    def within(most: int, honest: bool = False) -> float:
        return _share(one.place is not None and one.place < most and not (honest and one.none_fits) for one in having)

    return Figures(
        asked=len(having),
        recall_1=within(1),
        recall_3=within(3),
        recall_5=within(5),
        mrr=sum(1 / (one.place + 1) for one in having if one.place is not None) / max(1, len(having)),
        none_asked=len(lacking),
        abstention_recall=_share(one.none_fits for one in lacking),
        abstention_precision=_share(not one.question.runbooks for one in said),
        lost=_share(one.none_fits for one in having),
        found_1=within(1, honest=True),
        found_3=within(3, honest=True),
        p50_ms=times[len(times) // 2],
        p95_ms=times[int(len(times) * 0.95)],
        cpu_p50_ms=sorted([one.cpu_ms for one in answers] or [0.0])[len(answers) // 2],
    )


def _share(hits: Iterable[bool]) -> float:
    found = list(hits)
    return sum(found) / len(found) if found else 1.0
