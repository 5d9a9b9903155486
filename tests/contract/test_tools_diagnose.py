"""What `diagnose` costs a cluster: a few lists, whatever the number of pods, and only a little read twice."""

import pytest
from builders import NOW, deployment, event, facts_of, node, obj, owner, pending, pod, replica_set, service
from doubles import FakeCluster, ask

from firstmate_tools.diagnose import diagnose
from firstmate_tools.diagnosis import engine
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.errors import UsageError
from firstmate_tools.kinds import CONFIG_MAP, NODE, POD, SERVICE
from firstmate_tools.refs import Ref

pytestmark = pytest.mark.anyio


def inside(namespace: str, *objects):
    return [{**one, "metadata": {**one["metadata"], "namespace": namespace}} for one in objects]


def unplaced(namespace: str, replicas: int = 3):
    """A Deployment of which no pod finds a node."""
    owned = {"owned_by": ("ReplicaSet", "big-1"), "labels": {"app": "big"}}
    spec = {"containers": [{"name": "app", "image": "x", "resources": {"requests": {"cpu": "64"}}}]}
    message = "0/1 nodes are available: 1 Insufficient cpu."
    pods = [pending(f"big-1-{n}", message, spec=spec, **owned) for n in range(replicas)]
    template = {"metadata": {"labels": {"app": "big"}}, "spec": spec}
    sets = replica_set("big-1", of="big", replicas=replicas, template=template)
    return inside(namespace, deployment("big", replicas=replicas, template=template), sets, *pods)


async def test_requests_do_not_grow_with_pods_and_what_is_read_again_is_small():
    healthy = [pod(f"p{n}", namespace=f"ns{n % 30}") for n in range(900)]
    broken = [one for n in range(4) for one in unplaced(f"ns{n}", 20)]
    cluster = FakeCluster(node("n1"), *healthy, *broken)
    answer = await ask(diagnose, cluster)
    assert {root.cause for root in answer.root_causes} == {"pod-larger-than-any-node"}
    assert cluster.usage.requests <= 45
    assert sum(asked.startswith("list pods") and " in " not in asked for asked in cluster.asked) == 1


async def test_what_was_read_twice_and_is_the_same_is_not_judged_twice(monkeypatch):
    judged = []
    plain = engine.judge
    monkeypatch.setattr(engine, "judge", lambda facts, rules: judged.append(facts.version) or plain(facts, rules))
    answer = await ask(diagnose, FakeCluster(node("n1"), *unplaced("shop")), namespace="shop")
    assert answer.outcome == "problems_found"
    assert len(judged) == 1


async def test_what_was_read_twice_and_has_changed_is_judged_again():
    cluster = FakeCluster(node("n1"), *unplaced("shop"))
    plain = cluster.sweep

    async def sweep(kind, reduce, **more):
        listing = await plain(kind, reduce, **more)
        if kind == POD:  # by the next read all is well
            labels = {"app": "big"}
            cluster.shelves["", "pods"] = [pod("big-1-0", owned_by=("ReplicaSet", "big-1"), labels=labels)]
        return listing

    cluster.sweep = sweep
    answer = await ask(diagnose, cluster, namespace="shop")
    assert answer.root_causes == []


def test_facts_that_are_read_again_unchanged_keep_what_was_made_of_them():
    facts = facts_of(pod("a"), service("a"), node("n1"), obj("ConfigMap", "c"))
    graph, version = facts.graph, facts.version
    made = facts.derived(_count)
    facts.put(POD, None, [pod("a")])
    facts.put(SERVICE, "shop", [service("a")])
    assert (facts.version, facts.graph is graph, facts.derived(_count) is made) == (version, True, True)
    facts.put(CONFIG_MAP, None, [obj("ConfigMap", "c"), obj("ConfigMap", "d")])
    assert facts.graph is graph
    assert facts.version > version
    facts.put(NODE, None, [node("n1", cordoned=True)])
    assert facts.graph is graph
    facts.put(CONFIG_MAP, None, [obj("ConfigMap", "c", metadata={"ownerReferences": owner("Deployment", "x")})])
    assert facts.graph is not graph
    assert facts.workload(Ref("ConfigMap", "shop", "c")) == Ref("Deployment", "shop", "x")
    graph = facts.graph
    facts.put(POD, "shop", [pod("a", node="n2")])
    assert facts.graph is not graph


def test_an_empty_list_is_news_where_nobody_had_looked():
    facts = Facts(Scope(), NOW)
    version = facts.version
    facts.put(POD, None, [])
    assert facts.version > version
    version = facts.version
    facts.put(POD, "shop", [])
    assert facts.version == version
    assert facts.exists(Ref("Pod", "shop", "a")) is False


def test_what_was_made_of_facts_is_made_anew_only_where_what_it_asked_for_has_changed():
    facts = facts_of(pod("a"), node("n1"))
    pods, outer, each = facts.derived(_count), facts.derived(_outer), facts.each(_names)
    facts.put(NODE, None, [node("n2")])
    facts.put_log(("shop", "a", "app", False), "said")
    kept = (facts.derived(_count) is pods, facts.derived(_outer) is outer, facts.each(_names) is each)
    assert kept == (True, True, False)
    assert facts.each(_names) == ("n2",)
    facts.put(POD, None, [pod("a"), pod("b")])
    assert (facts.derived(_count), facts.derived(_outer)) == ([2], [2, 0])
    facts.put_log(("shop", "b", "app", False), "said")
    assert facts.derived(_outer) == [2, 0]
    facts.put(SERVICE, None, [service("a")])
    assert facts.derived(_outer) == [2, 1]


def _outer(facts: Facts) -> list[int]:
    return [*facts.derived(_count), len(facts.graph.after(Ref("Pod", "shop", "a"), "selects"))]


def _names(facts: Facts):
    yield from (one["metadata"]["name"] for one in facts.everywhere(NODE))


def _count(facts: Facts) -> list[int]:
    return [len(facts.everywhere(POD))]


async def test_root_causes_come_in_pages_and_every_page_says_how_many_there_are():
    cluster = FakeCluster(node("n1"), *(one for n in range(5) for one in unplaced(f"ns{n}", 1)))
    whole = await ask(diagnose, cluster)
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        answer = await ask(diagnose, cluster, limit=2, cursor=cursor)
        assert (answer.outcome, answer.coverage.total) == ("problems_found", 5)
        seen += [root.object.namespace for root in answer.root_causes]
        cursor, pages = answer.coverage.cursor, pages + 1
    assert seen == [root.object.namespace for root in whole.root_causes]
    assert (len(set(seen)), pages) == (5, 3)


async def test_a_cursor_of_another_scope_is_refused():
    cluster = FakeCluster(node("n1"), *(one for n in range(3) for one in unplaced(f"ns{n}", 1)))
    first = await ask(diagnose, cluster, limit=1)
    with pytest.raises(UsageError, match="another question"):
        await ask(diagnose, cluster, namespace="ns1", limit=1, cursor=first.coverage.cursor)


async def test_only_detailed_answers_name_every_workload_that_suffers():
    full = obj(
        "ResourceQuota", "pods", spec={"hard": {"pods": "0"}}, status={"hard": {"pods": "0"}, "used": {"pods": "0"}}
    )
    apps = [f"app-{n:02}" for n in range(14)]
    made = [one for name in apps for one in refused(name)]
    cluster = FakeCluster(node("n1"), full, *made)
    concise = await ask(diagnose, cluster, namespace="shop")
    detailed = await ask(diagnose, cluster, namespace="shop", detail="detailed")
    assert [len(answer.root_causes[0].affects) for answer in (concise, detailed)] == [10, 14]
    assert any("detail=detailed" in cut for cut in concise.coverage.cut)
    assert not detailed.coverage.cut


def refused(name: str):
    """A Deployment whose ReplicaSet may not create pods."""
    why = "exceeded quota: pods, requested: pods=1, used: pods=0, limited: pods=0"
    message = f'Error creating: pods "{name}-1-x" is forbidden: {why}'
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    sets = replica_set(f"{name}-1", of=name, status={"replicas": 0, "conditions": [condition]})
    return (
        deployment(name, status={"replicas": 0, "unavailableReplicas": 1}),
        sets,
        event(sets, "FailedCreate", message),
    )
