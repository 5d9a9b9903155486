"""Stops a lab when the process that started it has gone, however it went.

Started by `lab.Lab` with a pipe as standard input, which closes when the starter ends, by SIGKILL too. (Linux's
parent-death signal would not do: it follows the thread that started the child.) Must never do anything while the pipe
is open, nor stop anything but the processes in the lab's record.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from evals.lab import processes


def main(root: Path) -> None:
    sys.stdin.buffer.read()
    try:
        record = json.loads((root / "lab.json").read_text())
    except FileNotFoundError:
        return  # stopped in good order
    started = [processes.Process(**one) for one in record["processes"]]
    if processes.stop(started[::-1]):
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
