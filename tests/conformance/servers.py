"""The two servers that the suite and the Inspector are run against, as processes on 127.0.0.1."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "firstmate", "serve", "--snapshot", "demo"]
# The suite asks as quickly as it can: hundreds of requests in a second, more than one caller is otherwise given.
_UNHURRIED = {"FIRSTMATE_HTTP__LIMITS__BURST": "100000", "FIRSTMATE_HTTP__LIMITS__PER_SECOND": "10000"}


@contextmanager
def demo() -> Generator[str]:
    """`firstmate serve` over the bundled demo: the server that people run. Gives its address."""
    with _running([*SERVE, "--transport", "http", "--port", "0"]) as url:
        yield url


@contextmanager
def with_fixtures(folder: Path) -> Generator[str]:
    """The same application with the suite's fixtures. Gives its address.

    Args:
        folder: of the runbooks that it serves.
    """
    with _running([sys.executable, "-W", "ignore", "-m", "tests.conformance.fixture_server", str(folder)]) as url:
        yield url


@contextmanager
def _running(command: list[str]) -> Generator[str]:
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **_UNHURRIED},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.terminate()
            server.wait(20)


def runbook_with_folder(folder: Path) -> Path:
    """A folder with one runbook that has a folder of its own, which none of the bundled ones has."""
    book = folder / "with-references"
    (book / "references").mkdir(parents=True)
    source = (ROOT / "runbooks" / "oomkilled" / "SKILL.md").read_text()
    (book / "SKILL.md").write_text(source.replace("name: oomkilled", "name: with-references", 1))
    (book / "references" / "more.md").write_text("# More\n")
    return folder
