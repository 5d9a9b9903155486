"""Many callers at once: `pod_status` over HTTP, again and again, from as many callers as are asked for.

The server is a process of its own (`firstmate serve --transport http`) over a lab that `fleet.shop` has filled; the
callers are tasks of this one and speak plain JSON-RPC, because two hundred MCP clients would measure themselves. Told
are the calls that went wrong, how long one takes, what the server's memory does over time, and how many requests
reached the API server: identical reads that are under way are shared, so that there are far fewer of them than calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import aiohttp

from evals.bench.figures import Figure
from evals.lab.errors import LabError
from evals.lab.lab import Lab

ROW = "load"
CALLERS, SECONDS = 200, 60.0
GROWTH, SHARED = 1.05, 0.5
"""Bars: memory of the last third against the middle third; requests to the API server a call."""
_PLACE = "shop"
_SAMPLE_S = 0.25
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
_HEADERS = {
    **JSON,
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "pod_status",
}


@dataclass(slots=True)
class Load:
    """What came of one run."""

    callers: int
    seconds: float
    latencies: list[float] = field(default_factory=list[float])
    errors: Counter[str] = field(default_factory=Counter[str])
    memory_mb: list[float] = field(default_factory=list[float])
    requests: int = 0
    cpu_s: float = 0.0

    @property
    def calls(self) -> int:
        return len(self.latencies)

    @property
    def growth(self) -> float:
        """The last third's memory against the middle third's: 1 where it has reached its plateau."""
        third = len(self.memory_mb) // 3
        return median(self.memory_mb[-third:]) / median(self.memory_mb[third:-third]) if third else 1.0

    @property
    def shared(self) -> float:
        """Requests to the API server a call."""
        return self.requests / max(1, self.calls)

    def quantile(self, percent: int) -> float:
        """Seconds within which so many percent of the calls were answered."""
        return quantiles(self.latencies, n=100)[percent - 1] if len(self.latencies) > 1 else 0.0


def measure(lab: Lab, callers: int = CALLERS, seconds: float = SECONDS) -> list[Figure]:
    """The figures of one run against a lab that has been filled."""
    return figures(run(lab, callers, seconds))


def run(lab: Lab, callers: int, seconds: float) -> Load:
    """One run.

    Raises:
        LabError: the server did not start.
    """
    with serving(lab.kubeconfig) as (url, pid):
        asyncio.run(_storm(url, pid, Load(1, 1.0)))  # connections are up and the code is loaded
        before = lab.audit_log.stat().st_size
        found = Load(callers, seconds)
        asyncio.run(_storm(url, pid, found))
    found.requests = _asked(lab.audit_log, before)
    return found


def figures(found: Load) -> list[Figure]:
    """The figures of a run."""
    whole = [second * 1000 for second in found.latencies]
    wrong = sum(found.errors.values())
    told = "; ".join(f"{count} x {what}" for what, count in found.errors.most_common(3))
    return [
        Figure(ROW, f"{found.callers} callers, {found.seconds:.0f} s: failed", (wrong,), "requests", 0, told),
        Figure(ROW, "calls answered", (found.calls,), "requests", None, f"{found.calls / found.seconds:.0f} a second"),
        Figure(ROW, "a call", tuple(whole) or (0.0,), "ms"),
        Figure(ROW, "a call, 99 of 100 within", (found.quantile(99) * 1000,), "ms"),
        Figure(ROW, "API server requests a call", (found.shared,), "times", SHARED, f"{found.requests:,} in all"),
        Figure(ROW, "memory of the server, at most", (max(found.memory_mb, default=0.0),), "MB"),
        Figure(ROW, "memory, last third against middle third", (found.growth,), "times", GROWTH),
        Figure(ROW, "CPU of the server a call", (found.cpu_s * 1000 / max(1, found.calls),), "ms"),
    ]


# --- the server


@contextmanager
def serving(kubeconfig: Path) -> Generator[tuple[str, int]]:
    """A server over HTTP whose limits are out of the way: its address and its process id.

    Raises:
        LabError: it did not start.
    """
    raised = {"OVERALL": "1000", "PER_CALLER": "1000", "CONNECTIONS": "2000", "PER_SECOND": "100000", "BURST": "100000"}
    limits = {f"FIRSTMATE_HTTP__LIMITS__{name}": value for name, value in raised.items()}
    command = [sys.executable, "-m", "firstmate", "serve", "--transport", "http", "--port", "0"]
    with (
        tempfile.TemporaryFile("w+") as stderr,
        subprocess.Popen(
            [*command, "--kubeconfig", str(kubeconfig)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **limits},
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            told = process.stdout.readline()
            if not told:
                stderr.seek(0)
                raise LabError(f"firstmate serve ended before it listened:\n{stderr.read()[-2000:]}")
            yield json.loads(told)["url"], process.pid
        finally:
            process.terminate()
            process.wait(30)


def _proc(pid: int) -> tuple[float, float]:
    """Resident megabytes and CPU seconds of a process; zeros where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(resident.split()[1]) / 1024, (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


# --- the callers


async def _storm(url: str, pid: int, found: Load) -> None:
    begin = time.monotonic()
    cpu = _proc(pid)[1]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=_HEADERS) as session, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_watch(pid, found))
        callers = [tasks.create_task(_caller(session, url, found, begin, one)) for one in _numbers(found.callers)]
        await asyncio.wait(callers)
        watching.cancel()
    found.cpu_s = _proc(pid)[1] - cpu


def _numbers(callers: int) -> Iterator[Iterator[int]]:
    for caller in range(callers):
        yield iter(range(caller, 10**9, callers))


async def _caller(session: aiohttp.ClientSession, url: str, found: Load, begin: float, ids: Iterator[int]) -> None:
    while (now := time.monotonic()) - begin < found.seconds:
        message = {
            "jsonrpc": "2.0",
            "id": next(ids),
            "method": "tools/call",
            "params": {"name": "pod_status", "arguments": {"namespace": _PLACE}, "_meta": META},
        }
        try:
            async with session.post(url, data=json.dumps(message)) as response:
                body = await response.read()
                wrong = _wrong(response.status, body)
        except aiohttp.ClientError as error:
            wrong = type(error).__name__
        if wrong:
            found.errors[wrong] += 1
            await asyncio.sleep(0.1)
        else:
            found.latencies.append(time.monotonic() - now)


def _wrong(status: int, body: bytes) -> str:
    """What is wrong with an answer; "" where it is one."""
    if status != 200:
        return f"HTTP {status}"
    if b'"structuredContent"' not in body or b'"pods"' not in body:
        return f"no answer: {body[:200]!r}"
    return "" if b'"not_checked":[]' in body else "not everything was checked"


async def _watch(pid: int, found: Load) -> None:
    while True:
        found.memory_mb.append(_proc(pid)[0])
        await asyncio.sleep(_SAMPLE_S)


def _asked(log: Path, since: int) -> int:
    """Requests of ours that the API server wrote down."""
    with log.open("rb") as file:
        file.seek(since)
        return sum(b'"userAgent":"firstmate/' in line for line in file)
