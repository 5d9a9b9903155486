"""What a diagnosis says of causes that it could not look for, and of custom resources that a cluster may not serve."""

from collections.abc import Iterator

import pytest
from builders import node, obj, pod
from doubles import DENIED, FakeCluster

from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.engine import diagnose
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.metrics import needing
from firstmate_tools.diagnosis.rule import Rule, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.kinds import POD, Kind
from firstmate_tools.reads import NonResource, PrometheusRead, Read
from firstmate_tools.refs import Ref
from firstmate_tools.results import NotChecked

pytestmark = pytest.mark.anyio
POOL = Kind("NodePool", "nodepools", "karpenter.sh", namespaced=False)
LIMITED = "karpenter-nodepool-limit-reached"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def limited(facts: Facts) -> Iterator[Finding]:
    for pool in facts.everywhere(POOL):
        ref = Ref("NodePool", "", pool["metadata"]["name"])
        yield Finding(LIMITED, ref, "warning", "certain", "full", (fact(ref, "spec", pool["spec"]),))


RULE = Rule("limited", (LIMITED,), limited, (POOL, POD), (), None, (), ())


def words(entries: list[NotChecked]) -> dict[str, str]:
    return {entry.what: entry.why for entry in entries}


async def test_custom_resources_are_read_in_the_version_that_the_cluster_serves() -> None:
    pool = {"apiVersion": "karpenter.sh/v1beta1", "kind": "NodePool", "metadata": {"name": "spot"}, "spec": {}}
    cluster = FakeCluster(node("n1"), pool)
    answer = await diagnose(cluster, Scope(), (RULE,))
    assert [(root.cause, root.object.name) for root in answer.root_causes] == [(LIMITED, "spot")]
    assert "Karpenter" not in str(answer.coverage)
    assert cluster.usage.by_resource["nodepools.karpenter.sh"] == 1


async def test_a_product_that_is_not_there_costs_no_request_and_is_told_once() -> None:
    cluster = FakeCluster(node("n1"), pod("a"))
    answer = await diagnose(cluster, Scope(), (RULE,))
    assert words(answer.coverage.not_checked)["Karpenter: 1 cause"] == "not_installed"
    assert "nodepools.karpenter.sh" not in cluster.usage.by_resource
    assert answer.outcome == "nothing_found"


async def test_a_discovery_that_fails_makes_the_answer_inconclusive() -> None:
    cluster = FakeCluster(node("n1"), pod("a"), denied={"discovery": DENIED})
    answer = await diagnose(cluster, Scope(), (RULE,))
    assert words(answer.coverage.not_checked)["custom resources"] == "denied"
    assert answer.outcome == "inconclusive"


async def test_every_cause_without_a_rule_is_counted_by_its_source() -> None:
    answer = await diagnose(FakeCluster(node("n1"), obj("Namespace", "shop", None)), Scope())
    entries = words(answer.coverage.not_checked)
    told = {cause for rule in all_rules() for cause in rule.causes} - needing(all_rules()).keys()
    missing = len(CAUSES) - len(told)
    assert missing == sum(int(what.split()[-2]) for what, why in entries.items() if why == "not_configured")
    assert all(isinstance(read, Read | NonResource | PrometheusRead) for rule in all_rules() for read in rule.reads())
