"""Tests of the extra `semantic`, which `make test-semantic` installs into an environment of its own."""

import os

import pytest

from firstmate.runbooks.search.encoders import installed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if installed() is not None or os.environ.get("FIRSTMATE_REQUIRE_SEMANTIC"):
        return
    for item in items:
        if "semantic" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason="needs the extra `semantic`: make test-semantic"))
