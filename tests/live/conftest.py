"""The live tests' control plane: one fresh lab for the whole test session, gone when the session ends.

Must never be quiet about a missing lab: without one every live test is skipped with the reason, and where
`FIRSTMATE_REQUIRE_LAB=1` is set (as CI does) it fails instead.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evals.lab.errors import LabError
from evals.lab.lab import Lab

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)


@contextmanager
def started(name: str) -> Generator[Lab]:
    """A lab of one process, or a loud skip (a failure where a lab is required)."""
    mine = Lab(f"{name}-{os.getpid()}")
    try:
        mine.start()
    except (LabError, OSError) as error:
        if os.environ.get("FIRSTMATE_REQUIRE_LAB") == "1":
            pytest.fail(f"the lab did not start: {error}", pytrace=False)
        pytest.skip(f"NO LIVE TESTS: the lab did not start: {error}")
    yield mine
    mine.stop()


@pytest.fixture(scope="session")
def lab() -> Generator[Lab]:
    """A running lab with three nodes. Tests share it: use a namespace of your own, clean up what is cluster-wide."""
    with started("test") as mine:
        yield mine


@pytest.fixture(scope="module")
def own_lab(request: pytest.FixtureRequest) -> Generator[Lab]:
    """A lab of one module's own, for tests that fill the nodes or leave pods that nothing ends."""
    with started(request.module.__name__.rpartition(".")[2].replace("test_", "").replace("_", "-")) as mine:
        yield mine
