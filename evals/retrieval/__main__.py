"""`python -m evals.retrieval run|learn`: how well search finds runbooks, and where its numbers come from.

`run` asks every question, lexically, by meaning alone and fused (the last two where an encoder is installed), prints
both splits side by side and holds the floors of evals/floors.toml. It shows the misses of the split `dev` on request,
those of `held` never: nobody shall tune on them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from evals.retrieval.questions import SPLITS, Question, askable, load
from evals.retrieval.score import Answered, Figures, figures
from firstmate.runbooks.library import library
from firstmate.runbooks.search.engine import Engine, Found
from firstmate.runbooks.search.store import Store

FLOORS = Path(__file__).parents[1] / "floors.toml"
_PATIENCE_S = 300
Way = Callable[[str], tuple[Sequence[str], bool]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.retrieval", description=__doc__)
    parser.add_argument("what", choices=("run", "learn"))
    parser.add_argument("--floors", action="store_true", help="fail below the floors")
    parser.add_argument("--misses", action="store_true", help="show what was missed of the split dev")
    parser.add_argument("--encoder", choices=("onnx", "torch", "none"), help="in place of what is installed")
    given = parser.parse_args()
    if given.what == "learn":
        _learn()
    else:
        _run(given.encoder, given.floors, given.misses)


def _learn() -> None:
    from evals.retrieval.learn import learn, write

    engine = Engine(library())
    assert engine.prepare(_PATIENCE_S), "learning needs the extra `semantic`"
    questions = [one for one in askable(load(), library().slugs) if one.split == "dev"]
    write(learn(engine, questions))
    print(f"learnt from {len(questions)} questions of the split dev")


def _run(encoder: str | None, floors: bool, misses: bool) -> None:
    questions = askable(load(), library().slugs)
    print(f"{len(questions)} questions ({len(load()) - len(questions)} about runbooks that are not written)")
    lexical = Engine(library(), encoder="")
    ways: dict[str, Way] = {"lexical": lambda text: _asked(lexical, text)}
    if encoder != "none":
        with tempfile.TemporaryDirectory() as fresh:
            began = time.perf_counter()
            Engine(library(), Store(Path(fresh) / "cache"), encoder="").search("warm")
            print(f"index made anew: {time.perf_counter() - began:.2f} s")
        fused = Engine(library(), encoder=encoder)
        began = time.perf_counter()
        if fused.prepare(_PATIENCE_S):
            print(f"meaning ready after {time.perf_counter() - began:.2f} s: {fused.search('warm').model}")
            kept_for: dict[str, Found] = {}
            ways["fused"] = lambda text: _asked(fused, text, kept_for)
            ways["meaning"] = lambda text: _by_meaning(kept_for[text])
    failures: list[str] = []
    kept = tomllib.loads(FLOORS.read_text(encoding="utf-8")).get("retrieval", {})
    for name, way in ways.items():
        way("warm")
        for split in SPLITS:
            answers = [_answered(way, one) for one in questions if one.split == split]
            found = figures(answers)
            print(line(name, split, found))
            if split == "held":
                print(_by_kind(answers))
                failures += below(name, found, kept)
            elif misses:
                _show(answers)
    if floors and failures:
        raise SystemExit("\n".join(failures))


def _asked(engine: Engine, text: str, keep: dict[str, Found] | None = None) -> tuple[Sequence[str], bool]:
    found = engine.search(text)
    if keep is not None:
        keep[text] = found
    return [*found.ranked.scores], found.ranked.none_fits


def _by_meaning(found: Found) -> tuple[Sequence[str], bool]:
    """By the mean of the two nearest passages alone, which the fused order weighs in. Read from the fused search."""
    near = found.heard.meanings
    return sorted(near.runbooks, key=lambda slug: -near.runbooks[slug][1]) if near else [], False


def _answered(way: Way, question: Question) -> Answered:
    began, busy = time.perf_counter(), time.thread_time()
    order, none_fits = way(question.question)
    spent = time.thread_time() - busy
    return Answered(question, order, none_fits, 1000 * (time.perf_counter() - began), 1000 * spent)


def line(name: str, split: str, found: Figures) -> str:
    """One row of the table."""
    return (
        f"{name:8} {split:5} n={found.asked:<4} recall@1 {found.recall_1:.3f}  @3 {found.recall_3:.3f}  "
        f"@5 {found.recall_5:.3f}  mrr {found.mrr:.3f} | none n={found.none_asked} "
        f"recall {found.abstention_recall:.2f} "
        f"precision {found.abstention_precision:.2f} lost {found.lost:.3f} | said and right @1 {found.found_1:.3f} "
        f"@3 {found.found_3:.3f} | p50 {found.p50_ms:.1f} ms  p95 {found.p95_ms:.1f} ms "
        f"(CPU p50 {found.cpu_p50_ms:.1f} ms)"
    )


def below(name: str, found: Figures, kept: dict[str, dict[str, float]]) -> list[str]:
    """What is worse than the floors say. `lost` and times are ceilings."""
    worse: list[str] = []
    for figure, floor in kept.get(name, {}).items():
        value = getattr(found, figure)
        ceiling = figure in {"lost", "p50_ms", "p95_ms", "cpu_p50_ms"}
        if value > floor if ceiling else value < floor:
            bound = "most" if ceiling else "least"
            worse.append(f"{name}: {figure} of the split held is {value:.3f}, and may be {floor} at {bound}")
    return worse


def _by_kind(answers: Sequence[Answered]) -> str:
    kinds = sorted({one.question.kind for one in answers if one.question.runbooks})
    each = {kind: figures([one for one in answers if one.question.kind == kind]) for kind in kinds}
    return "         recall@1 by kind: " + ", ".join(f"{kind} {one.recall_1:.2f}" for kind, one in each.items())


def _show(answers: Sequence[Answered]) -> None:
    for one in answers:
        wrong = one.none_fits if one.question.runbooks else not one.none_fits
        if (one.question.runbooks and one.place != 0) or wrong:
            text = " / ".join(one.question.question.split("\n"))[:160]
            wanted = ",".join(sorted(one.question.runbooks)) or "none"
            print(f"   {'NONE ' if one.none_fits else ''}{one.place} {wanted} <- {list(one.order[:2])} | {text}")


if __name__ == "__main__":
    main()
