"""From nothing to `tools/list`: spawns `firstmate serve` and speaks MCP over its pipes, as an IDE does.

Wall time until the answer is there, and at that moment the process's CPU time and resident memory (Linux tells them in
/proc; elsewhere they are the process's totals, read when it has ended).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evals.bench.figures import Figure, ratio

ROW = "start"
REPEATS = 7
WALL_S, CPU_S, RSS_MB, TOKENS = 0.8, 0.6, 90.0, 250
_PROTOCOL = "2025-06-18"


@dataclass(frozen=True, slots=True)
class Started:
    """One spawn."""

    wall_s: float
    cpu_s: float
    rss_mb: float
    tools: list[dict[str, Any]]


def command(*arguments: str) -> list[str]:
    """The program as it was installed beside this Python, else as a module."""
    script = Path(sys.executable).parent / "firstmate"
    return [str(script), *arguments] if script.is_file() else [sys.executable, "-m", "firstmate", *arguments]


def spawn(*more: str) -> Started:
    """One server over the bundled snapshot, from its start to its tools.

    Args:
        more: further flags of `serve`.
    """
    begin = time.perf_counter()
    with subprocess.Popen(
        command("serve", "--snapshot", "demo", *more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        client = {"name": "firstmate-bench", "version": "1"}
        hello = {"protocolVersion": _PROTOCOL, "capabilities": {}, "clientInfo": client}
        _ask(process.stdin, process.stdout, 1, "initialize", hello)
        _send(process.stdin, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        answer = _ask(process.stdin, process.stdout, 2, "tools/list", {})
        wall = time.perf_counter() - begin
        seen = _proc(process.pid)
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1024 if sys.platform == "linux" else 1024 * 1024
    cpu, rss = seen or (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)
    return Started(wall, cpu, rss, answer["tools"])


def _send(pipe: IO[bytes], message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message).encode() + b"\n")
    pipe.flush()


def _ask(stdin: IO[bytes], stdout: IO[bytes], number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    _send(stdin, {"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    while line := stdout.readline():
        message = json.loads(line)
        if message.get("id") == number:
            return message["result"]
    raise SystemExit(f"firstmate serve ended before it answered {method}")


def _proc(pid: int) -> tuple[float, float] | None:
    """CPU seconds and resident megabytes of a process, where the system tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return ticks / os.sysconf("SC_CLK_TCK"), int(resident.split()[1]) / 1024


def _bare() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - begin


def tokens(tool: dict[str, Any]) -> int:
    """What a model reads of a tool: name, description and input schema, as compact JSON; 4 characters a token."""
    seen = {key: tool[key] for key in ("name", "description", "inputSchema")}
    return -(-len(json.dumps(seen, separators=(",", ":"), ensure_ascii=False)) // 4)


def measure(repeats: int | None = None) -> list[Figure]:
    """Spawns a few times, after one that fills the caches of the disk."""
    spawn()
    bare, runs, every = list[float](), list[Started](), list[Started]()
    for _ in range(repeats or REPEATS):
        bare.append(_bare())
        runs.append(spawn())
        every.append(spawn("--toolsets", "all"))
    costs = {tool["name"]: tokens(tool) for tool in runs[0].tools}
    mean = sum(costs.values()) / len(costs)
    walls = [run.wall_s for run in runs]
    return [
        Figure(ROW, "spawn to tools/list, wall", tuple(walls), "s", WALL_S),
        Figure(ROW, "CPU until then", tuple(run.cpu_s for run in runs), "s", CPU_S),
        Figure(ROW, "resident memory then", tuple(run.rss_mb for run in runs), "MB", RSS_MB),
        ratio(ROW, "wall, against a bare Python", walls, bare),
        Figure(
            ROW, f"wall, every toolset ({len(every[0].tools)} tools)", tuple(run.wall_s for run in every), "s", WALL_S
        ),
        Figure(ROW, "CPU, every toolset", tuple(run.cpu_s for run in every), "s", CPU_S),
        Figure(ROW, "memory, every toolset", tuple(run.rss_mb for run in every), "MB", RSS_MB),
        Figure(ROW, f"tools/list, a tool ({len(costs)} tools)", (mean,), "tokens", TOKENS, _by_cost(costs)),
        Figure(ROW, "tools/list, its largest tool", (max(costs.values()),), "tokens"),
    ]


def _by_cost(costs: dict[str, int]) -> str:
    return ", ".join(f"{name} {cost}" for name, cost in sorted(costs.items(), key=lambda item: -item[1]))
