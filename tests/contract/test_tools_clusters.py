"""What `clusters` promises: which there are, which one answers, without asking any."""

import pytest

from firstmate_tools.clusters import clusters
from firstmate_tools.results import ClusterIdentity

pytestmark = pytest.mark.anyio


class Two:
    """Two configured clusters that nobody may ask."""

    def names(self):
        return ["prod", "then"]

    def default(self):
        return "prod"

    def describe(self):
        return [ClusterIdentity(name="prod", server="https://a"), ClusterIdentity(name="then", snapshot="then.tar.gz")]


async def test_which_there_are_and_which_one_answers():
    answer = await clusters(Two())
    assert answer.default == "prod"
    assert [(c.name, c.server, c.snapshot) for c in answer.clusters] == [
        ("prod", "https://a", None),
        ("then", None, "then.tar.gz"),
    ]
    assert (answer.coverage.returned, answer.coverage.checked) == (2, ["configuration"])
