"""The questions that search is scored on: sound, over all runbooks, in two parts that do not repeat each other."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from firstmate_tools.diagnosis.causes import CAUSES

PAGE = Path(__file__).parents[2] / "evals" / "retrieval" / "questions.yaml"
SPLITS = ("dev", "held")
KINDS = ("pasted-error", "symptom", "vague", "typo", "wrong-guess", "event", "log", "alert", "none")

# Two questions of one runbook share its error's words; above this they would be the same question with other names.
TOO_ALIKE = 0.7


class Question(BaseModel):
    """One entry of the file; another field, kind or split is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: str = Field(pattern=r"^q\d{3}$")
    question: str = Field(min_length=8, max_length=4000)
    runbooks: list[str] = Field(max_length=3)
    kind: Literal["pasted-error", "symptom", "vague", "typo", "wrong-guess", "event", "log", "alert", "none"]
    split: Literal["dev", "held"]


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return TypeAdapter(list[Question]).validate_python(yaml.safe_load(PAGE.read_text()))


@pytest.fixture(scope="module")
def slugs() -> set[str]:
    return {cause.runbook for cause in CAUSES.values()}


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", text.lower()))


def test_ids_are_unique(questions: list[Question]) -> None:
    assert [name for name, count in Counter(q.id for q in questions).items() if count > 1] == []


def test_no_question_is_asked_twice(questions: list[Question]) -> None:
    asked = Counter(" ".join(re.findall(r"\w+", q.question.lower())) for q in questions)
    assert [text for text, count in asked.items() if count > 1] == []


def test_runbooks_are_those_of_the_catalogue(questions: list[Question], slugs: set[str]) -> None:
    assert len(slugs) == 108
    assert {slug for q in questions for slug in q.runbooks} == slugs
    assert [q.id for q in questions if len(set(q.runbooks)) != len(q.runbooks)] == []


def test_only_questions_of_kind_none_fit_no_runbook(questions: list[Question]) -> None:
    assert [q.id for q in questions if (q.kind == "none") != (not q.runbooks)] == []


def test_there_are_enough_questions_of_every_kind_in_both_parts(questions: list[Question]) -> None:
    counts = Counter((q.kind, q.split) for q in questions)
    assert len(questions) >= 330
    assert counts["none", "dev"] + counts["none", "held"] >= 40
    assert {key for key in ((kind, split) for kind in KINDS for split in SPLITS) if counts[key] < 10} == set()


def test_parts_are_about_equal(questions: list[Question]) -> None:
    held = sum(q.split == "held" for q in questions) / len(questions)
    assert 0.45 <= held <= 0.55


def test_every_runbook_is_the_first_answer_in_both_parts(questions: list[Question], slugs: set[str]) -> None:
    first: dict[str, set[str]] = defaultdict(set)
    for q in questions:
        if q.runbooks:
            first[q.runbooks[0]].add(q.split)
    assert {slug for slug in slugs if first[slug] != set(SPLITS)} == set()


def test_held_questions_do_not_repeat_those_that_may_be_tuned_on(questions: list[Question]) -> None:
    dev = [(q.id, words(q.question)) for q in questions if q.split == "dev"]
    held = [(q.id, words(q.question)) for q in questions if q.split == "held"]
    alike = [(a, b) for a, left in dev for b, right in held if len(left & right) > TOO_ALIKE * len(left | right)]
    assert alike == []


def test_few_questions_spell_out_the_name_of_their_runbook(questions: list[Question]) -> None:
    answered = [q for q in questions if q.runbooks]
    spelt = [q.id for q in answered if words(q.runbooks[0].replace("-", " ")) <= words(q.question)]
    assert len(spelt) <= 0.05 * len(answered)
