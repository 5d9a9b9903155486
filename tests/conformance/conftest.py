"""The conformance suite for the tests here: skipped loudly where it is not installed, a failure where it has to be."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.conformance import servers
from tests.conformance.install import MissingError
from tests.conformance.install import installed as find
from tests.conformance.tree import WrongTreeError


@pytest.fixture(scope="session")
def installed() -> Path:
    """The folder of the suite and the Inspector."""
    try:
        return find()
    except (MissingError, WrongTreeError) as error:
        if os.environ.get("FIRSTMATE_REQUIRE_LAB") == "1":
            pytest.fail(f"no conformance suite: {error}", pytrace=False)
        pytest.skip(f"NO CONFORMANCE TESTS: {error}")


@pytest.fixture(scope="session")
def demo_url(installed: Path) -> Generator[str]:
    with servers.demo() as url:
        yield url


@pytest.fixture(scope="session")
def fixtures_url(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with servers.with_fixtures(servers.runbook_with_folder(tmp_path_factory.mktemp("runbooks"))) as url:
        yield url
