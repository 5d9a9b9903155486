"""The questions: what people ask, with the runbooks that a fair senior engineer would accept in the first place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("questions.yaml")
SPLITS = ("dev", "held")


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        runbooks: slugs that answer it; none where there is no runbook for it.
        split: `dev` may be tuned on, `held` is only ever scored.
    """

    id: str
    question: str
    runbooks: frozenset[str]
    kind: str
    split: str


def load(file: Path = FILE) -> list[Question]:
    """Every question."""
    return [
        Question(row["id"], row["question"], frozenset(row["runbooks"]), row["kind"], row["split"])
        for row in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]


def askable(questions: Sequence[Question], written: Collection[str]) -> list[Question]:
    """Those for which a runbook is written, and those for which there is to be none."""
    there = frozenset(written)
    return [one for one in questions if not one.runbooks or one.runbooks & there]
