"""Calls the MCP Inspector's command line: a client with its own idea of the protocol, in another language."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.install import node

_SCRIPT = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
_CONNECT_MS = 60_000
"""Its own 15 s are too few to start a server on a machine with other work."""
_DEADLINE_S = 90


@dataclass(frozen=True, slots=True)
class Said:
    """What a call of the Inspector gave. 0 is well, 1 usage or protocol, 5 a tool's error, 6 schemas, 7-9 skills."""

    code: int
    out: str
    errors: str

    @property
    def result(self) -> Any:
        return json.loads(self.out)["result"]


def inspect(installed: Path, home: Path, target: Sequence[str], era: str, method: str, *arguments: str) -> Said:
    """One call.

    Args:
        installed: the folder of the Inspector.
        home: where it may keep its own files.
        target: the server's command, or its address.
        era: legacy or modern.
        method: of the protocol.
        arguments: the method's flags.
    """
    patient = ["--connect-timeout", str(_CONNECT_MS)]
    command = [node(), installed / _SCRIPT, "--cli", *target, "--protocol-era", era, *patient, "--format", "json"]
    environment = {**os.environ, "HOME": str(home), "MCP_CATALOG_PATH": str(home / "catalogue.json")}
    done = subprocess.run(
        [*command, "--method", method, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_DEADLINE_S,
    )
    return Said(done.returncode, done.stdout, done.stderr)
