"""Asks `diagnose` of a live cluster some times, and the raw list of pods beside each; one JSON line a repeat.

A process of its own (`python -m evals.bench.asking KUBECONFIG REPEATS [NAMESPACE]`), so that its peak memory is that of
the question. Connections are up and the code is loaded before the first repeat; nothing of the cluster is kept between
repeats, because nothing of a cluster ever is.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.diagnose import diagnose
from firstmate_tools.kinds import POD
from firstmate_tools.reads import Grant, Read
from firstmate_tools.toolspec import ToolSpec, spec_of

_QUIET = "default"


async def ask(kubeconfig: Path, repeats: int, namespace: str | None) -> list[dict[str, Any]]:
    """The repeats, in order."""
    spec = spec_of(diagnose)
    assert spec is not None
    source = LiveSource("bench", kubeconfig, user_agent="firstmate-bench")
    try:
        async with source.open(Grant.of(spec.reads()), deadline_s=spec.deadline_s) as cluster:
            await diagnose(cluster, None, _QUIET)
        return [await _once(source, spec, namespace) for _ in range(repeats)]
    finally:
        await source.close()


async def _once(source: LiveSource, spec: ToolSpec, namespace: str | None) -> dict[str, Any]:
    begin, worked = time.perf_counter(), time.process_time()
    async with source.open(Grant.of(spec.reads()), deadline_s=spec.deadline_s) as cluster:
        answer = await diagnose(cluster, None, namespace)
        usage = cluster.usage
    ms, cpu_ms = (time.perf_counter() - begin) * 1000, (time.process_time() - worked) * 1000
    peak = _peak_mb()
    begin = time.perf_counter()
    async with source.open(Grant.of([Read(POD, ("list",))])) as cluster:
        seen = await cluster.sweep(POD, lambda pod: True, namespace=namespace)
        raw_bytes = cluster.usage.bytes
    raw_ms = (time.perf_counter() - begin) * 1000
    from firstmate.mcp import egress  # after the peak was taken: it is the server's, not the question's

    return {
        "ms": ms,
        "cpu_ms": cpu_ms,
        "requests": usage.requests,
        "bytes": usage.bytes,
        "by_resource": usage.by_resource,
        "peak_mb": peak,
        "raw_ms": raw_ms,
        "raw_bytes": raw_bytes,
        "pods": len(seen.items),
        "tokens": -(-len(egress.text(egress.answer(answer, spec))) // 4),
        "outcome": answer.outcome,
        "roots": [f"{root.cause} {root.object.kind.lower()}/{root.object.name}" for root in answer.root_causes],
        "unexplained": len(answer.unexplained),
        "not_checked": [entry.what for entry in answer.coverage.not_checked],
    }


def _peak_mb() -> float:
    """The most memory that this process has held.

    On Linux not by getrusage: its peak begins with that of the process that started this one, which holds a list of
    all pods of the lab.
    """
    if sys.platform == "linux":
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(status["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    found = asyncio.run(ask(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
    print("\n".join(json.dumps(one) for one in found))
