"""A short run of the load benchmark: fifty callers at once, none of whom is let down."""

import pytest

from evals.bench import fleet, load
from evals.lab.lab import Lab


@pytest.fixture(scope="module")
def filled(own_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    fleet.shop(own_lab.client, tmp_path_factory.mktemp("logs"))
    return own_lab


def test_fifty_callers_get_their_answers_and_share_what_is_read(filled: Lab) -> None:
    found = load.run(filled, callers=50, seconds=6)
    assert not found.errors
    assert found.calls >= 2 * found.callers
    assert found.shared < load.SHARED, f"{found.requests} requests for {found.calls} calls"
    assert found.growth < 1.2, found.memory_mb
