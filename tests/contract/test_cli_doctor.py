"""`firstmate doctor` where not everything is allowed, and the role that would mend it."""

import json
from collections.abc import Sequence

import pytest
import yaml
from contract.cli import Ran, run
from contract.server_doubles import Clusters, shop
from doubles import FakeCluster

from firstmate import rbac
from firstmate.catalogue import all_tools
from firstmate_tools.catalogue import declared_reads
from firstmate_tools.cluster.base import Access
from firstmate_tools.errors import UnreachableError
from firstmate_tools.kinds import NODE, POD
from firstmate_tools.reads import AnyKindButSecrets, Read


class Restricted(FakeCluster):
    """Nodes are denied, and of logs nobody knows."""

    async def access(self, reads: Sequence[Read], namespace: str | None) -> Sequence[Access]:
        known = {"nodes": False, "pods/log": None}
        return [Access(read, namespace or "", known.get(read.resource, True)) for read in reads]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Restricted()
    cluster.shelves = shop().shelves
    clusters = Clusters(prod=cluster)
    clusters.user = lambda name: "alice"  # type: ignore[attr-defined]
    monkeypatch.setattr("firstmate.clusters.ConfiguredClusters", lambda settings: clusters)


@pytest.mark.usefixtures("doctor")
def test_what_is_denied_is_told_with_what_it_costs_and_what_mends_it() -> None:
    told = json.loads(run("doctor", "--format", "json").out)
    assert (told["cluster"]["name"], told["user"]) == ("prod", "alice")
    assert "pods" in told["may_read"] and "nodes" not in told["may_read"]
    (denied,) = told["may_not_read"]
    assert denied["read"] == "get, list nodes"
    assert "node_status" in denied["tools"] and "insufficient-node-resources" in denied["causes_not_checked"]
    assert told["could_not_find_out"] == ["pods/log"]
    role = yaml.safe_load(told["mend"])
    assert role["kind"] == "ClusterRole"
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}]


@pytest.mark.usefixtures("doctor")
def test_a_person_reads_the_same() -> None:
    out = run("doctor", "-n", "shop").out
    assert "✓ prod answers" in out and "as the kubeconfig user alice" in out
    assert "✗ get, list nodes" in out and "in namespace shop" in out and "kind: ClusterRole" in out
    assert "? could not find out: pods/log" in out
    assert "```yaml\napiVersion:" in run("doctor", "--format", "markdown").out


def test_an_unreachable_cluster_exits_3(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = Clusters(prod=UnreachableError("No connection to prod."))
    monkeypatch.setattr("firstmate.clusters.ConfiguredClusters", lambda settings: clusters)
    ran: Ran = run("doctor")
    assert (ran.code, ran.out) == (3, "") and "No connection to prod." in ran.err


def test_the_role_holds_every_declared_read_once_and_no_more() -> None:
    reads = (Read(POD), Read(POD, ("get",), "log"), Read(NODE, ("list",)), Read(NODE, ("get",)), AnyKindButSecrets())
    assert rbac.rules(reads) == [
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list"]},
    ]
    whole = yaml.safe_load(rbac.cluster_role("x", rbac.rules(declared_reads(all_tools()))))
    assert not any("secrets" in rule["resources"] or "*" in str(rule) for rule in whole["rules"])


@pytest.mark.usefixtures("doctor")
def test_what_is_optional_is_told_apart_and_mends_nothing() -> None:
    told = json.loads(run("doctor", "--format", "json").out)
    assert told["optional"] == {"get secrets": True, "get /metrics": True}
    assert "secrets" not in told["may_read"] and "secrets" not in told["mend"]
    assert "✓ may get secrets" in run("doctor").out
