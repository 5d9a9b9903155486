"""What a run of scenarios found: one result each, the totals, the scorecard, the floors.

Called by `run`. Data in, data and text out; must never start or ask anything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.lab.errors import LabError
from evals.lab.score import WRONG, Score

_AT_LEAST = ("first", "in_three", "runbook_right")
_AT_MOST = ("false_alarms", "noise", "varies", "runbook_wrong", "median_ms", "most_requests")


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario, asked or failed. `expect` is as scenario.yaml has it, `answer` the whole of what came back."""

    id: str
    scope: str | None
    namespace: str | None
    expect: dict[str, Any]
    answer: dict[str, Any] | None = None
    score: Score = WRONG
    ms: float | None = None
    requests: int | None = None
    bytes: int | None = None
    error: str | None = None
    snapshot_differs: list[str] = field(default_factory=list[str])
    varies: list[str] = field(default_factory=list[str])
    runbooks_asked: int = 0
    runbooks_missed: list[str] = field(default_factory=list[str])
    runbooks_wrong: list[str] = field(default_factory=list[str])

    @property
    def healthy(self) -> bool:
        return self.expect.get("healthy") is True

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "scope": self.scope,
            "namespace": self.namespace,
            "expect": self.expect,
            "answer": self.answer,
            "first": self.score.first,
            "in_three": self.score.in_three,
            "false_alarms": self.score.false_alarms,
            "noise": self.score.noise,
            "ms": self.ms,
            "requests": self.requests,
            "bytes": self.bytes,
            "error": self.error,
            **({"snapshot_differs": self.snapshot_differs} if self.snapshot_differs else {}),
            **({"varies": self.varies} if self.varies else {}),
            **({"runbooks_asked": self.runbooks_asked} if self.runbooks_asked else {}),
            **({"runbooks_missed": self.runbooks_missed} if self.runbooks_missed else {}),
            **({"runbooks_wrong": self.runbooks_wrong} if self.runbooks_wrong else {}),
        }


def totals(results: Sequence[Result]) -> dict[str, Any]:
    """Shares of right answers over the broken scenarios, counts of false alarms and noise over all.

    `first` and `in_three` are shares of all scenarios with a fault (a failed one is wrong), `healthy_silent` the share
    of healthy ones that raised no alarm. `median_ms`, `requests` and `bytes` are medians over what was asked,
    `most_requests` is the most of one question. `runbook_right` is the share of runs that ended in the fault whose
    runbook it is (None where none was run), `runbook_wrong` counts those that ended in one that is not there.
    `dated` is the share of evidence that says when.
    """
    faulty = [result for result in results if not result.healthy]
    healthy = [result for result in results if result.healthy]
    asked = [result for result in results if result.error is None]
    return {
        "scenarios": len(results),
        "faulty": len(faulty),
        "healthy": len(healthy),
        "errors": len(results) - len(asked),
        "first": _share([result.score.first for result in faulty]),
        "in_three": _share([result.score.in_three for result in faulty]),
        "healthy_silent": _share([result.score.first for result in healthy]),
        "false_alarms": sum(result.score.false_alarms for result in results),
        "noise": sum(result.score.noise for result in results),
        "median_ms": _median([result.ms for result in asked]),
        "requests": _median([result.requests for result in asked]),
        "most_requests": max((result.requests or 0 for result in asked), default=0),
        "bytes": _median([result.bytes for result in asked]),
        "snapshot_differs": sum(bool(result.snapshot_differs) for result in results),
        "varies": sum(bool(result.varies) for result in results),
        "runbooks_asked": (runs := sum(result.runbooks_asked for result in results)),
        "runbook_right": 1 - sum(len(result.runbooks_missed) for result in results) / runs if runs else None,
        "runbook_wrong": sum(len(result.runbooks_wrong) for result in results),
        "dated": _share([entry.get("at") is not None for result in asked for entry in _evidence(result.answer)]),
    }


def _evidence(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [entry for root in (answer or {}).get("root_causes") or () for entry in root.get("evidence") or ()]


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    return {"scenarios": [result.as_json() for result in results], "totals": totals(results)}


def read_floors(path: Path) -> dict[str, float]:
    """Floors from TOML: `first` and `in_three` as least shares, the others as the highest that may be.

    Raises:
        LabError: not readable, or a name that is no floor.
    """
    try:
        read: dict[str, Any] = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise LabError(f"{path}: {error}") from error
    floors = {name: value for name, value in read.items() if not isinstance(value, dict)}  # tables are of other evals
    known = (*_AT_LEAST, *_AT_MOST)
    for name, value in floors.items():
        if name not in known or isinstance(value, bool) or not isinstance(value, int | float):
            raise LabError(f"{path}: {name} = {value!r}: a floor is one of {', '.join(known)}, and a number")
    return floors


def missed(floors: dict[str, float], sums: dict[str, Any]) -> list[str]:
    """The floors that the totals miss, each as a sentence. What was not measured misses none."""
    known = [name for name in _AT_LEAST if name in floors and sums.get(name) is not None]
    low = [f"{n} is {sums[n]:.3f}, the floor is {floors[n]}" for n in known if sums[n] < floors[n]]
    high = [f"{n}: {sums[n]}, at most {floors[n]} allowed" for n in _AT_MOST if (sums.get(n) or 0) > floors.get(n, inf)]
    return low + high


def print_scorecard(console: Console, results: Sequence[Result]) -> None:
    table = Table("scenario", "first", "in three", "false alarms", "noise", "ms", "requests", "kB", box=None)
    for result in results:
        if result.error is not None:
            table.add_row(result.id, "error", "", "", "", "", "", "", style="red")
            continue
        mark = result.score
        table.add_row(
            result.id,
            _mark(mark.first),
            _mark(mark.in_three),
            str(mark.false_alarms or ""),
            str(mark.noise or ""),
            f"{result.ms:.0f}",
            str(result.requests),
            f"{(result.bytes or 0) / 1000:.0f}",
        )
    console.print(table)
    for line in _explained(results):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(_summary(totals(results)), style="bold"), soft_wrap=True)


def _explained(results: Sequence[Result]) -> list[str]:
    """For everything that is not perfect: what was wanted, and what came."""
    lines: list[str] = []
    for result in results:
        if result.error is not None:
            lines.append(f"{result.id}: {result.error}")
        elif not (result.score.first and result.score.in_three) or result.score.false_alarms or result.score.noise:
            lines.append(f"{result.id}: wanted {_wanted(result.expect)}; got {_got(result.answer)}")
        lines += [f"{result.id}: snapshot and cluster differ: {one}" for one in result.snapshot_differs]
        lines += [f"{result.id}: {one}" for one in result.varies]
        lines += [f"{result.id}: runbook {one}" for one in (*result.runbooks_missed, *result.runbooks_wrong)]
    return lines


def _wanted(expect: dict[str, Any]) -> str:
    if expect.get("healthy"):
        return "silence"
    objects = expect.get("objects") or [expect.get("object")]
    return f"{', '.join(expect.get('root_causes', ()))} at {', '.join(map(str, objects))}"


def _got(answer: dict[str, Any] | None) -> str:
    return ", ".join(root_causes(answer)[:5]) or f"nothing ({(answer or {}).get('outcome')})"


def root_causes(answer: dict[str, Any] | None) -> list[str]:
    """Each root cause as `slug at Kind/namespace/name`, in the answer's order."""
    found: list[str] = []
    for root in (answer or {}).get("root_causes") or ():
        where: dict[str, str] = root.get("object") or {}
        found.append(f"{root['cause']} at {where.get('kind')}/{where.get('namespace') or ''}/{where.get('name')}")
    return found


def _summary(sums: dict[str, Any]) -> str:
    line = f"{sums['scenarios']} scenarios: first {sums['first']:.1%}, in three {sums['in_three']:.1%} of"
    line += f" {sums['faulty']} faults; {sums['healthy_silent']:.1%} of {sums['healthy']} healthy ones left in peace;"
    line += f" {sums['false_alarms']} false alarms, {sums['noise']} noise, {sums['errors']} errors"
    if sums["median_ms"] is not None:
        line += f"; median {sums['median_ms']:.0f} ms, {sums['requests']:.0f} requests (most {sums['most_requests']}),"
        line += f" {sums['bytes'] / 1000:.0f} kB; {sums['dated']:.0%} of evidence dated"
    if sums["runbook_right"] is not None:
        line += f"; {sums['runbook_right']:.1%} of {sums['runbooks_asked']} runbooks right,"
        line += f" {sums['runbook_wrong']} wrong"
    return line


def _mark(right: bool) -> str:
    return "yes" if right else "NO"


def _share(marks: list[bool]) -> float:
    return sum(marks) / len(marks) if marks else 1.0


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
