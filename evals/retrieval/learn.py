"""Learns the numbers of `ranking.py` from the questions of the split `dev`, and from nothing else.

The order: weights that make the right runbook the likeliest (a softmax over all runbooks). None fits: a logistic
regression, both classes counting the same, and the threshold that loses at most `LOST` of the questions that have a
runbook, judged on questions that the regression did not see (five folds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import firstmate.runbooks.search.ranking as ranking
from evals.retrieval.questions import Question
from firstmate.runbooks.search.engine import Engine
from firstmate.runbooks.search.ranking import FEATURES, SIGNS, Heard, Weights

FILE = Path(ranking.__file__).with_name("weights.toml")
LOST = 0.025
FLOORS = {"alert": 0.5, "named": 4.0, "text": 0.0, "pattern": 0.0, "documents": 0.0, "phrases": 0.0, "meaning": 0.0}
"""What a weight has at least: our questions hardly name a runbook, cause or bare alert, and exact links come first."""
AGAINST = frozenset({"phrase_cover", "document_cover", "best_link", "known_share", "lead", "meaning", "meaning_lead"})
"""Signs that something fits: they may only speak against "none", all others only for it. So few questions cannot teach
the opposite."""
FOLDS, SEEDS = 5, 5


def learn(engine: Engine, questions: Sequence[Question]) -> dict[str, str]:
    """The sections of weights.toml."""
    assert all(one.split == "dev" for one in questions)
    heard = [engine.hear(one.question)[0] for one in questions]
    return {name: _section(questions, heard, meaning) for name, meaning in (("lexical", False), ("fused", True))}


def _section(questions: Sequence[Question], whole: Sequence[Heard], meaning: bool) -> str:
    heard = [_without(one, meaning) for one in whole]
    features = np.array([[ranking.features(one)[slug] for slug in one.slugs] for one in heard])
    right = np.array([[float(slug in q.runbooks) for slug in h.slugs] for q, h in zip(questions, heard, strict=True)])
    having = right.sum(1) > 0
    order = dict(zip(FEATURES, map(float, _order(features[having], right[having])), strict=True))
    if not meaning:
        order["meaning"] = 0.0
    by = Weights(order, {}, 1.0)
    table = np.array([ranking.signs(one, ranking.ordered(one, by)) for one in heard])
    lacking = np.array([float(not one.runbooks) for one in questions])
    none = _none(table, lacking)
    threshold = _threshold(table, lacking)
    name = "fused" if meaning else "lexical"
    return "\n".join(
        (
            f"[{name}]\nthreshold = {threshold:.3f}\n",
            f"[{name}.order]",
            *(f"{key} = {value:.3f}" for key, value in order.items()),
            f"\n[{name}.none]",
            *(f"{key} = {value:.3f}" for key, value in zip((*SIGNS, "bias"), none, strict=True)),
            "",
        )
    )


def _without(heard: Heard, meaning: bool) -> Heard:
    assert heard.meanings is not None or not meaning, "there is no encoder"
    return heard if meaning else Heard(heard.slugs, heard.words, heard.links, None)


def _order(features: np.ndarray, right: np.ndarray, steps: int = 500) -> np.ndarray:
    least = np.array([FLOORS[name] for name in FEATURES])
    weights = np.maximum(0.5, least)
    first = second = np.zeros_like(weights)
    for step in range(1, steps + 1):
        scores = features @ weights
        likely = np.exp(scores - scores.max(1, keepdims=True))
        likely /= likely.sum(1, keepdims=True)
        among = likely * right
        among /= among.sum(1, keepdims=True) + 1e-12
        slope = np.einsum("ij,ijk->k", likely - among, features) / len(features) + 0.01 * weights
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        pace = 0.03 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        weights = np.maximum(least, weights - pace)
    return weights


def _none(table: np.ndarray, lacking: np.ndarray, steps: int = 1500) -> np.ndarray:
    """Weights of the signs as they are, the bias last."""
    mean, spread = table.mean(0), table.std(0) + 1e-9
    rows = np.c_[(table - mean) / spread, np.ones(len(table))]
    counts = np.where(lacking == 1, len(lacking) / (2 * lacking.sum()), len(lacking) / (2 * (1 - lacking).sum()))
    weights = np.zeros(rows.shape[1])
    against = np.array([name in AGAINST for name in SIGNS] + [False])
    towards = np.array([name not in AGAINST for name in SIGNS] + [False])
    first = second = np.zeros_like(weights)
    for step in range(1, steps + 1):
        likely = 1 / (1 + np.exp(-rows @ weights))
        slope = (rows * ((likely - lacking) * counts)[:, None]).mean(0) + 0.02 * np.r_[weights[:-1], 0]
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        weights = weights - 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        weights = np.where(against, np.minimum(weights, 0), np.where(towards, np.maximum(weights, 0), weights))
    plain = weights[:-1] / spread
    return np.r_[plain, weights[-1] - plain @ mean]


def _threshold(table: np.ndarray, lacking: np.ndarray) -> float:
    likely = np.zeros(len(lacking))
    for seed in range(SEEDS):
        places = np.random.default_rng(seed).permutation(len(lacking))
        for fold in range(FOLDS):
            unseen = places[fold::FOLDS]
            seen = np.setdiff1d(places, unseen)
            weights = _none(table[seen], lacking[seen], steps=600)
            likely[unseen] += 1 / (1 + np.exp(-(table[unseen] @ weights[:-1] + weights[-1]))) / SEEDS
    return float(np.clip(np.quantile(likely[lacking == 0], 1 - LOST), 0.3, 0.95))


def write(sections: Mapping[str, str]) -> None:
    """The file, whole."""
    head = "# Written by `python -m evals.retrieval learn` from the questions of the split dev. Not for hands.\n\n"
    FILE.write_text(head + "\n".join(sections.values()), encoding="utf-8")
