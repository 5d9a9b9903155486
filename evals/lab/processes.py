"""Starts the lab's processes and stops exactly those, never others.

Called by `lab.Lab` and by the watchdog. A process is known by its id and the moment of its start, and its command line
must still name the lab's own folder: ids are reused, and must never lead to the death of a stranger. Nothing here looks
for processes by name.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Below the range that Linux and macOS give to outgoing connections, so that none of those takes a port that we chose.
_PORTS = range(20_000, 32_000)
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """A process that we started. `started` is the kernel's word for when: no second process with this id shares it."""

    name: str
    pid: int
    started: str
    mark: str  # a text in its command line: the lab's folder

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def alive(self) -> bool:
        """Whether the process with this id is still the one that we started."""
        return _started(self.pid) == self.started and self.mark in _command_line(self.pid)


def spawn(name: str, command: list[str], *, mark: Path, log: Path) -> Process:
    """Starts a process in a session of its own (it survives the shell), both outputs into a log file."""
    with log.open("ab") as out:
        child = subprocess.Popen(
            command,
            cwd=mark,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = Process(name, child.pid, _started(child.pid), str(mark))
    _children[child.pid] = child
    return process


def exit_code(process: Process) -> int | None:
    """The exit code of a child that has ended; None while it runs, or when it is no child of ours."""
    child = _children.get(process.pid)
    return child.poll() if child else None


def stop(processes: list[Process], *, grace_s: float = 0.5) -> list[Process]:
    """Ends the processes that are still ours, politely first; gives those that it ended. No data is worth a wait."""
    ours = [process for process in processes if process.alive()]
    for process in ours:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    left = ours
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = [process for process in left if _runs(process)]
    for process in left:
        _signal(process, signal.SIGKILL)
    while left := [process for process in left if _runs(process)]:
        time.sleep(_POLL_S)
    return ours


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on now. Held open together, so that they differ."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            candidate = socket.socket()
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", random.choice(_PORTS)))
            except OSError:
                candidate.close()
                continue
            held.append(candidate)
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


_children: dict[int, subprocess.Popen[bytes]] = {}


def _runs(process: Process) -> bool:
    exit_code(process)  # a child that has ended stays a zombie until its parent asks
    return process.alive()


def _signal(process: Process, number: signal.Signals) -> None:
    if process.alive():
        with contextlib.suppress(ProcessLookupError):  # it ended in between
            os.kill(process.pid, number)


def _started(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]  # starttime, in ticks since boot
    return _ps(pid, "lstart=")


def _command_line(pid: int) -> str:
    if Path("/proc/self/stat").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    return _ps(pid, "command=")


def _ps(pid: int, what: str) -> str:
    """For systems without /proc, macOS among them."""
    command = ["ps", "-ww", "-o", what, "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
