"""Runs the conformance suite against a server and says what each check came to.

The suite's own exit code counts failures of scored scenarios alone. Here every check counts that is not a success:
failures, warnings and checks that were skipped, scored or not; each has to be explained in `expected_failures.toml`.
"""

import json
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.install import node

EXPECTED = Path(__file__).parent / "expected_failures.toml"
_SCRIPT = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
_FINE = {"SUCCESS", "INFO"}
_DEADLINE_S = 90


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one scenario."""

    scenario: str
    name: str
    status: str
    words: str

    def __str__(self) -> str:
        return f"{self.scenario}: {self.name}: {self.status} {self.words[:300]}"


@dataclass(frozen=True, slots=True)
class Expected:
    """A failure that is known: of a check, or, where none is named, of all that a scenario does not pass."""

    run: str
    scenario: str
    check: str | None
    reason: str

    def explains(self, found: Check) -> bool:
        return self.scenario == found.scenario and self.check in {None, found.name}


def expected(run: str) -> list[Expected]:
    """What is known to fail in a run."""
    content: Any = tomllib.loads(EXPECTED.read_text())
    every = [
        Expected(one["run"], one["scenario"], one.get("check"), one["reason"]) for one in content.get("expected", [])
    ]
    return [one for one in every if one.run == run]


def run(installed: Path, url: str, *arguments: str) -> list[Check]:
    """All checks of a run.

    Args:
        installed: the folder of the suite.
        url: the server's address.
        arguments: which scenarios, as the suite's command line takes it.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [node(), installed / _SCRIPT, "server", "--url", url, *arguments, "-o", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DEADLINE_S)
        found = [check for path in sorted(Path(folder).iterdir()) for check in _checks(path)]
    assert found, f"the suite said nothing: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return found


def _checks(folder: Path) -> list[Check]:
    # server-SCENARIO-2026-11-21T18-30-19-432Z
    scenario = folder.name.removeprefix("server-").rsplit("-", 6)[0]
    content: Any = json.loads((folder / "checks.json").read_text())
    return [Check(scenario, one["id"], one["status"], one.get("errorMessage") or "") for one in content]


def unexplained(found: list[Check], known: list[Expected]) -> list[str]:
    """What failed although nothing says that it may, and what is said to fail but does not."""
    bad = [one for one in found if one.status not in _FINE]
    surprises = [str(one) for one in bad if not any(entry.explains(one) for entry in known)]
    stale = [
        f"{entry.scenario} {entry.check or ''}: does not fail any more; take it out of {EXPECTED.name}"
        for entry in known
        if not any(entry.explains(one) for one in bad)
    ]
    return surprises + stale
