"""Tools that ask others: they reach what reads, and nothing else."""

from dataclasses import replace

import pytest
from contract.server_doubles import Clusters, shop

from firstmate.calls import Asking, Calls
from firstmate.catalogue import all_tools
from firstmate_tools.errors import UsageError

pytestmark = pytest.mark.anyio


async def test_a_tool_that_changes_something_cannot_be_asked_by_another() -> None:
    tools = [replace(spec, family="apply") if spec.name == "diagnose" else spec for spec in all_tools()]
    asking = Asking(Calls(Clusters(prod=shop()), tools))
    with pytest.raises(UsageError, match="diagnose does not only read"):
        await asking.ask("diagnose", {}, "prod")
    assert (await asking.ask("pod_status", {}, "prod"))["cluster"]["name"] == "prod"
