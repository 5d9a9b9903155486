"""What a question costs: `diagnose` of a namespace of 20 pods, and of a cluster of ten thousand.

The question is put in a process of its own (see `asking`), against a lab that `fleet` has filled.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from evals.bench.figures import Figure, ratio
from evals.lab.errors import LabError

REPEATS = {"namespace": 15, "cluster": 5}
BARS = {
    "namespace": {"ms": 150.0, "requests": 30.0},
    "cluster": {"ms": 4_000.0, "requests": 60.0, "tokens": 2_500.0, "peak_mb": 400.0},
}
_ROOT = Path(__file__).parents[2]


def measure(row: str, kubeconfig: Path, place: str | None, repeats: int | None = None) -> list[Figure]:
    """The figures of one question.

    Args:
        row: `namespace` or `cluster`.
        place: the namespace that is asked about, None for the cluster.

    Raises:
        LabError: the question got no answer.
    """
    arguments = [str(kubeconfig), str(repeats or REPEATS[row]), *([place] if place else [])]
    asked = subprocess.run(
        [sys.executable, "-m", "evals.bench.asking", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        raise LabError(f"diagnose gave no answer:\n{asked.stderr[-2000:]}")
    return figures(row, [json.loads(line) for line in asked.stdout.splitlines()])


def figures(row: str, runs: list[dict[str, Any]]) -> list[Figure]:
    """The figures of some runs of one question."""
    bars, last = BARS[row], runs[-1]

    def of(key: str, what: str, unit: str, note: str = "", scale: float = 1) -> Figure:
        return Figure(row, what, tuple(run[key] * scale for run in runs), unit, bars.get(key), note)

    mine, raw = [run["ms"] for run in runs], [run["raw_ms"] for run in runs]
    counts = ", ".join(f"{name} {count}" for name, count in sorted(last["by_resource"].items()) if count > 1)
    return [
        of("ms", f"diagnose {row}, {last['pods']:,} pods", "ms", f"{last['outcome']}: {'; '.join(last['roots'])}"),
        of("cpu_ms", "CPU of it, ours alone", "ms"),
        of("requests", "requests to the API server", "requests", f"more than one: {counts}" if counts else ""),
        of("tokens", "answer as MCP gives it", "tokens", _left_open(last)),
        of("peak_mb", "peak memory of its process", "MB"),
        of("bytes", "bytes received, compressed", "MB", scale=1e-6),
        Figure(row, "the raw list of pods alone", tuple(raw), "ms"),
        ratio(row, "time, against that list", mine, raw),
        ratio(row, "bytes, against that list", [run["bytes"] for run in runs], [run["raw_bytes"] for run in runs]),
    ]


def _left_open(run: dict[str, Any]) -> str:
    words = [f"{run['unexplained']} unexplained"] if run["unexplained"] else []
    return "; ".join(words + ([f"not checked: {', '.join(run['not_checked'])}"] if run["not_checked"] else []))
