"""`explain`: an error's causes, and which of them the cluster shows."""

import pytest
from contract.server_doubles import shop
from doubles import DENIED, ask

from firstmate_tools.explain import explain
from firstmate_tools.kinds import POD

pytestmark = pytest.mark.anyio
PULL = 'Failed to pull image "registry.shop.example/cart:2": registry.shop.example/cart:2: not found'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_cause_that_the_cluster_shows_comes_first_with_its_proof() -> None:
    answer = await ask(explain, shop(), error="ImagePullBackOff", namespace="shop")
    assert answer.known
    assert (answer.causes[0].cause, answer.causes[0].now) == ("image-not-found", "found")
    assert [one.now for one in answer.causes if one.cause == "image-pull-unauthorized"] == ["not_found"]
    assert [root.cause for root in answer.root_causes] == ["image-not-found"]
    assert answer.root_causes[0].evidence


async def test_an_error_that_names_a_namespace_is_looked_for_there() -> None:
    error = 'User "system:serviceaccount:shop:cart" cannot list resource "pods" in API group ""'
    assert (await ask(explain, shop(), error=error)).scope == "namespace/shop"
    elsewhere = error.replace("shop", "elsewhere")
    assert (await ask(explain, shop(), error=elsewhere)).scope == "cluster"


async def test_an_unknown_text_says_so_and_shows_what_is_wrong_there_anyway() -> None:
    answer = await ask(explain, shop(), error="the flux capacitor is not charged", namespace="shop")
    assert (answer.known, answer.causes) == (False, [])
    assert [root.cause for root in answer.root_causes] == ["image-not-found"]


async def test_what_could_not_be_looked_at_is_not_called_absent() -> None:
    cluster = shop()
    cluster.denied = {POD: DENIED}
    answer = await ask(explain, cluster, error="Liveness probe failed: connection refused", namespace="shop")
    states = {one.cause: one.now for one in answer.causes}
    assert states["liveness-probe-misconfigured"] == "not_checked"
    assert answer.outcome == "inconclusive"


async def test_a_cause_that_no_rule_tells_is_not_checked() -> None:
    answer = await ask(explain, shop(), error="mvcc: database space exceeded", namespace="shop")
    assert [(one.cause, one.now) for one in answer.causes] == [("etcd-space-exceeded", "not_checked")]
