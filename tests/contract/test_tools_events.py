"""What `events` promises: repeats folded, counts and series understood, both Event APIs, the newest first."""

import pytest
from builders import NOW, ago, event, node, obj, pod
from doubles import DENIED, FakeCluster, ask

from firstmate_tools.errors import DeniedError, UsageError
from firstmate_tools.events import events
from firstmate_tools.kinds import EVENT, EVENTS_V1
from firstmate_tools.views.descent import descends

pytestmark = pytest.mark.anyio


async def told(*objects, **arguments):
    return (await ask(events, FakeCluster(*objects), **arguments)).events


async def test_the_newest_come_first_and_only_warnings_unless_asked():
    a = pod("a")
    made = [
        event(a, "BackOff", "restarting", seconds_ago=300),
        event(a, "Unhealthy", "probe failed", seconds_ago=10),
        event(a, "Pulled", "image pulled", type_="Normal", seconds_ago=5),
    ]
    assert [e.reason for e in await told(*made)] == ["Unhealthy", "BackOff"]
    assert [e.reason for e in await told(*made, type="all")] == ["Pulled", "Unhealthy", "BackOff"]
    assert [e.reason for e in await told(*made, type="normal")] == ["Pulled"]
    assert [e.reason for e in await told(*made, reason="BackOff")] == ["BackOff"]
    assert [e.reason for e in await told(*made, since_minutes=1)] == ["Unhealthy"]


async def test_what_differs_only_in_names_numbers_and_times_is_one_line():
    made = []
    for n, end in enumerate(("x2x9z", "bbbbb", "ccccc"), start=1):
        name = f"cart-6d4f9b7c8d-{end}"
        made.append(event(pod(name), "Failed", f"sandbox 4f3a9c{n}b2e1d0 of {name}: 10.0.0.{n}", count=n))
    found = await told(*made)
    assert [(e.count, e.objects) for e in found] == [(6, 3)]
    replica_set = obj("ReplicaSet", "cart-1", api="apps/v1")
    created = [
        event(replica_set, "SuccessfulCreate", f"Created pod: cart-1-{end}", type_="Normal")
        for end in ("x2x9z", "bbbbb", "ccccc")
    ]
    assert len(await told(*created, type="all")) == 1


async def test_containers_are_told_apart():
    a = pod("a")
    made = [event(a, "Unhealthy", "probe failed", path=f"spec.containers{{{name}}}") for name in ("app", "proxy")]
    for number, one in enumerate(made):
        one["metadata"]["name"] += str(number)
    assert sorted(e.container for e in await told(*made)) == ["app", "proxy"]


async def test_series_count_and_last_sight_of_either_api():
    made = obj(
        "Event",
        "a.1",
        involvedObject={"kind": "Pod", "name": "a", "namespace": "shop"},
        reason="FailedScheduling",
        message="0/3 nodes",
        type="Warning",
        eventTime=ago(600),
        reportingComponent="default-scheduler",
        series={"count": 41, "lastObservedTime": ago(7)},
    )
    (found,) = await told(made)
    assert (found.count, found.source) == (41, "default-scheduler")
    assert (NOW - found.last).total_seconds() == 7
    assert (NOW - found.first).total_seconds() == 600
    newer = FakeCluster(made, event(pod("b"), "BackOff", "again", count=3), denied={EVENT: DENIED})
    answer = await ask(events, newer)
    assert [(e.reason, e.count) for e in answer.events] == [("FailedScheduling", 41), ("BackOff", 3)]
    assert answer.coverage.checked == ["events.events.k8s.io"]


async def test_refused_by_both_apis_is_an_error_never_an_empty_list():
    with pytest.raises(DeniedError):
        await ask(events, FakeCluster(denied={EVENT: DENIED, EVENTS_V1: DENIED}))


async def test_of_a_workload_come_the_events_of_what_it_made_even_when_that_is_gone():
    theirs = [
        event(obj("Deployment", "cart", api="apps/v1"), "A", "a"),
        event(obj("ReplicaSet", "cart-6d4f9b7c8d", api="apps/v1"), "B", "b"),
        event(pod("cart-6d4f9b7c8d-x2x9z"), "C", "c"),
    ]
    others = [
        event(obj("Deployment", "cart-db", api="apps/v1"), "X", "x"),
        event(pod("cart-db-6d4f9b7c8d-x2x9z"), "Y", "y"),
        event(pod("cart"), "Z", "z"),
    ]
    found = await told(*theirs, *others, scope="deployment/cart", namespace="shop")
    assert sorted(e.reason for e in found) == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("kind", "name", "other", "related"),
    [
        ("StatefulSet", "web", ("Pod", "web-0"), True),
        ("StatefulSet", "web", ("PersistentVolumeClaim", "data-web-11"), True),
        ("StatefulSet", "web", ("Pod", "web-api-0"), False),
        ("DaemonSet", "agent", ("Pod", "agent-4q9zk"), True),
        ("DaemonSet", "agent", ("Pod", "agent-cloud-4q9zk"), False),
        ("Job", "import", ("Pod", "import-2-4q9zk"), True),
        ("CronJob", "nightly", ("Job", "nightly-29385120"), True),
        ("CronJob", "nightly", ("Pod", "nightly-29385120-4q9zk"), True),
        ("Deployment", "n" * 55, ("Pod", ("n" * 55 + "-66")[:58] + "4q9zk"), True),
        ("Node", "n1", ("Pod", "n1-4q9zk"), False),
        ("Pod", "a", ("Pod", "a"), True),
        ("Deployment", "a.b", ("Pod", "aXb-6d4f9b7c8d-x2x9z"), False),
    ],
)
def test_descent_by_name(kind, name, other, related):
    assert descends(kind, name)(*other) is related


async def test_of_one_object_the_server_chooses():
    cluster = FakeCluster(event(node("n1"), "NodeNotReady", "gone"), event(node("n2"), "NodeNotReady", "gone"))
    answer = await ask(events, cluster, scope="node/n1")
    assert [e.object.name for e in answer.events] == ["n1"]
    assert "list events where type!=Normal,involvedObject.kind=Node,involvedObject.name=n1" in cluster.asked
    assert cluster.usage.requests == 1
    newer = FakeCluster(event(node("n1"), "NodeNotReady", "gone"), denied={EVENT: DENIED})
    assert len((await ask(events, newer, scope="node/n1")).events) == 1


@pytest.mark.parametrize("reason", ["BackOff,type=Normal", "a=b", "--all", "$(id)", "\\"])
async def test_a_reason_is_compared_never_pasted_into_a_selector(reason):
    assert await told(event(pod("a"), "BackOff", "x"), reason=reason) == []


async def test_names_with_selector_characters_are_only_names():
    assert await told(event(pod("a"), "BackOff", "x"), scope="pod/a,involvedObject.name=b", namespace="shop") == []


async def test_pages_and_their_cursors():
    cluster = FakeCluster(*(event(pod(f"p{n}"), f"Reason{'abcdefgh'[n]}", "x", seconds_ago=n) for n in range(8)))
    first = await ask(events, cluster, limit=5)
    second = await ask(events, cluster, limit=5, cursor=first.coverage.cursor)
    assert [e.reason for e in first.events + second.events] == [f"Reason{letter}" for letter in "abcdefgh"]
    assert second.coverage.cursor is None
    with pytest.raises(UsageError, match="another question"):
        await ask(events, cluster, type="all", cursor=first.coverage.cursor)


async def test_a_namespace_that_does_not_exist_is_not_a_quiet_one():
    shop = obj("Namespace", "shop", None)
    with pytest.raises(UsageError, match="no namespace"):
        await ask(events, FakeCluster(shop), namespace="shpo")
    assert await told(shop, namespace="shop") == []


async def test_an_event_without_anything_is_shown_as_it_is():
    (found,) = await told(obj("Event", "bare", metadata={"creationTimestamp": None}))
    assert (found.type, found.count, found.last) == ("Normal", 1, None)


async def test_messages_are_cleaned_redacted_and_keep_their_end():
    (found,) = await told(event(pod("a"), "Failed", "\x1b[1mtoken=abcdefgh12345" + "x" * 5000 + "the end"))
    assert "abcdefgh12345" not in found.message
    assert len(found.message) <= 410
    (long,) = await told(event(pod("a"), "Failed", "y " * 5000 + "the end"))
    assert long.message.endswith("the end")
