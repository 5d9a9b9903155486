"""What `pod_status` promises: the columns of kubectl, why and since when, worst first, in few words and requests."""

import pytest
from builders import NOW, ago, container, event, obj, owner, pending, pod
from doubles import DENIED, FakeCluster, ask

from firstmate_tools.errors import DeniedError, UsageError
from firstmate_tools.kinds import EVENT, NAMESPACE, POD
from firstmate_tools.pods import pod_status

pytestmark = pytest.mark.anyio
ERROR = {"reason": "Error", "exitCode": 1, "startedAt": ago(40), "finishedAt": ago(37)}
SHOP = obj("Namespace", "shop", None)


def crashing(name: str, **more):
    return pod(name, waiting="CrashLoopBackOff", restarts=7, last=ERROR, **more)


async def one_row(*objects, **arguments):
    answer = await ask(pod_status, FakeCluster(*objects), **arguments)
    return answer.pods[0]


async def test_the_worst_come_first_and_healthy_ones_cost_few_words():
    cluster = FakeCluster(pod("well"), pending("waits"), crashing("crashes"), pod("slow", ready=False))
    answer = await ask(pod_status, cluster)
    assert [row.name for row in answer.pods] == ["crashes", "slow", "waits", "well"]
    assert (answer.healthy, answer.unhealthy) == (1, 3)
    assert answer.statuses == {"Running": 2, "Pending": 1, "CrashLoopBackOff": 1}
    well = answer.pods[-1].model_dump(exclude_none=True, exclude_defaults=True)
    assert well == {
        "namespace": "shop",
        "name": "well",
        "ready": "1/1",
        "status": "Running",
        "restarts": 0,
        "age_s": 600,
        "healthy": True,
    }


async def test_a_crash_tells_its_exit_how_long_it_ran_and_its_last_words():
    row = await one_row(crashing("a", metadata={"ownerReferences": owner("ReplicaSet", "a-1")}))
    assert row.why == ["app container app waits: CrashLoopBackOff, 7 restarts, last run: Error, exit 1, ran 3s"]
    assert row.owner == "replicaset/a-1"
    assert row.since is not None
    said = await one_row(pod("a", waiting="CrashLoopBackOff", restarts=1, last={**ERROR, "message": "no config"}))
    assert said.why[0].endswith("it said: no config")


async def test_pods_of_one_owner_say_the_same_only_once():
    mine = {"metadata": {"ownerReferences": owner("ReplicaSet", "cart-1")}}
    cluster = FakeCluster(*(crashing(f"cart-{n}", **mine) for n in range(30)), crashing("other"))
    answer = await ask(pod_status, cluster)
    assert [row.same_as for row in answer.pods] == [None, *["cart-0"] * 29, None]
    assert [bool(row.why) for row in answer.pods] == [True, *[False] * 29, True]
    detailed = await ask(pod_status, cluster, detail="detailed")
    assert all(row.why and row.same_as is None for row in detailed.pods)


@pytest.mark.parametrize(
    ("made", "status", "why"),
    [
        (pending("a"), "Pending", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."),
        (
            pod("a", waiting="ImagePullBackOff", message='Back-off pulling image "x": not found', phase="Pending"),
            "ImagePullBackOff",
            'app container app waits: ImagePullBackOff Back-off pulling image "x": not found',
        ),
        (
            pod("a", ready=False, containers=[container(readinessProbe={"httpGet": {"path": "/up", "port": 80}})]),
            "Running",
            "app container app runs but is not ready: its readiness probe (GET :80/up) has not passed",
        ),
        (
            {**pod("a", statuses=[]), "status": {"phase": "Failed", "reason": "Evicted", "message": "low"}},
            "Evicted",
            "Evicted: low",
        ),
        (
            pod("a", phase="Failed", terminated={"reason": "OOMKilled", "exitCode": 137}),
            "OOMKilled",
            "app container app ended: OOMKilled, exit 137",
        ),
        (
            pod("a", node=None, phase="Pending", statuses=[], conditions=[], spec={"schedulingGates": [{"name": "g"}]}),
            "Pending",
            "waits for its scheduling gates: g",
        ),
        (
            pod("a", node=None, phase="Pending", statuses=[], conditions=[]),
            "Pending",
            "no scheduler has looked at it: it has no node and no PodScheduled condition that says why",
        ),
        (
            pod("a", metadata={"deletionTimestamp": ago(300), "finalizers": ["x.io/keep"]}),
            "Terminating",
            "is being deleted, 5m past its grace period: waits for finalizers x.io/keep",
        ),
        (
            pod("a", ready=False, statuses=[{"name": "app", "ready": True, "state": {"running": {}}}], conditions=[
                {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": "gate lb"},
            ]),
            "Running",
            "Ready is False: ReadinessGatesNotReady gate lb",
        ),
    ],
)  # fmt: skip
async def test_why_in_the_words_of_the_pod(made, status, why):
    row = await one_row(made)
    assert (row.status, row.healthy) == (status, False)
    assert row.why[0] == why


async def test_init_containers_and_native_sidecars_are_told_apart():
    init = [container("migrate"), container("proxy", restartPolicy="Always")]
    statuses = [
        {"name": "migrate", "ready": False, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
         "lastState": {"terminated": ERROR}},
        {"name": "proxy", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}},
    ]  # fmt: skip
    made = pod("a", phase="Pending", waiting="PodInitializing", init=init, init_statuses=statuses)
    row = await one_row(made, name="a")
    assert (row.status, row.ready) == ("Init:CrashLoopBackOff", "0/2")
    assert row.why[0].startswith("init container migrate waits: CrashLoopBackOff, 3 restarts, last run: Error")
    assert [(c.name, c.role) for c in row.containers] == [("migrate", "init"), ("proxy", "sidecar"), ("app", "app")]
    up = pod(
        "b",
        init=init[1:],
        init_statuses=[{"name": "proxy", "ready": True, "started": True, "state": {"running": {}}}],
    )
    assert ((await one_row(up)).status, (await one_row(up)).ready) == ("Running", "2/2")


async def test_events_add_what_the_status_does_not_say_once_and_fresh():
    made = pod("a", ready=False, metadata={"uid": "u"})
    probe = event(made, "Unhealthy", "Readiness probe failed: 503", count=12, seconds_ago=40)
    stale = event(made, "FailedScheduling", "0/3 nodes", seconds_ago=500)
    other = event({**made, "metadata": {**made["metadata"], "uid": "old"}}, "BackOff", "of a pod before this one")
    row = await one_row(made, probe, stale, other)
    assert row.why[1:] == ["Unhealthy: Readiness probe failed: 503 (12 times, last 40s ago)"]
    pull = "rpc error: code = NotFound desc = failed to resolve reference registry.example/app:9: not found"
    image = pod("b", phase="Pending", waiting="ImagePullBackOff", message=f'Back-off pulling image "x": {pull}')
    again = event(image, "Failed", f"Failed to pull image: {pull}")
    assert len((await one_row(image, again)).why) == 1


async def test_long_messages_keep_their_end():
    row = await one_row(pod("a", phase="Pending", waiting="ErrImagePull", message="x" * 5000 + ": not found"))
    assert len(row.why[0]) <= 300
    assert row.why[0].endswith(": not found")


async def test_one_list_of_pods_and_one_of_events_whatever_the_number():
    cluster = FakeCluster(*(crashing(f"p{n}", namespace=f"ns{n % 40}") for n in range(200)))
    answer = await ask(pod_status, cluster, limit=100)
    assert cluster.usage.by_resource == {"pods": 1, "events": 1}
    assert answer.coverage.returned == 100
    calm = FakeCluster(*(pod(f"p{n}") for n in range(50)))
    await ask(pod_status, calm)
    assert calm.usage.by_resource == {"pods": 1}


async def test_pages_go_on_where_they_stopped_and_refuse_another_question():
    cluster = FakeCluster(SHOP, *(pod(f"p{n:02}") for n in range(25)))
    names, cursor = [], None
    while True:
        answer = await ask(pod_status, cluster, namespace="shop", limit=10, cursor=cursor)
        names += [row.name for row in answer.pods]
        assert answer.coverage.total == 25
        cursor = answer.coverage.cursor
        if cursor is None:
            break
        with pytest.raises(UsageError, match="another question"):
            await ask(pod_status, cluster, namespace="shop", selector="a=b", limit=10, cursor=cursor)
    assert names == sorted({f"p{n:02}" for n in range(25)})
    with pytest.raises(UsageError, match="no cursor"):
        await ask(pod_status, cluster, cursor="%%%")


async def test_unhealthy_only_and_selectors():
    cluster = FakeCluster(pod("a", labels={"app": "a"}), crashing("b", labels={"app": "b"}), pod("c"))
    assert [r.name for r in (await ask(pod_status, cluster, unhealthy_only=True)).pods] == ["b"]
    assert [r.name for r in (await ask(pod_status, cluster, selector="app=a")).pods] == ["a"]
    with pytest.raises(UsageError):
        await ask(pod_status, cluster, selector="app=(")


async def test_refused_events_are_not_checked_and_refused_pods_are_an_error():
    answer = await ask(pod_status, FakeCluster(crashing("a"), denied={EVENT: DENIED}))
    assert [(n.what, n.why) for n in answer.coverage.not_checked] == [("events", "denied")]
    assert answer.coverage.checked == ["pods"]
    assert answer.pods[0].why
    with pytest.raises(DeniedError):
        await ask(pod_status, FakeCluster(denied={POD: DENIED}))


async def test_a_namespace_that_does_not_exist_is_not_an_empty_one():
    with pytest.raises(UsageError, match="no namespace 'shpo'"):
        await ask(pod_status, FakeCluster(SHOP), namespace="shpo")
    assert (await ask(pod_status, FakeCluster(SHOP), namespace="shop")).pods == []
    assert (await ask(pod_status, FakeCluster(denied={NAMESPACE: DENIED}), namespace="any")).pods == []


async def test_a_pod_that_does_not_exist_names_its_neighbours():
    with pytest.raises(UsageError, match=r"no pod 'cart-1x'.*Near: cart-1"):
        await ask(pod_status, FakeCluster(pod("cart-1")), name="cart-1x")


@pytest.mark.parametrize("name", ["a; rm -rf /", "--all", "../../secrets/x", "a b", "$(id)", "%2e%2e", "", "ä\x00"])
async def test_names_with_shell_or_flag_characters_are_only_names(name):
    with pytest.raises(UsageError):
        await ask(pod_status, FakeCluster(pod("a"), SHOP), name=name)
    with pytest.raises(UsageError):
        await ask(pod_status, FakeCluster(pod("a"), SHOP), namespace=name or "-")


async def test_an_object_without_status_is_shown_as_it_is():
    bare = obj("Pod", "bare", spec={"containers": [container()]})
    row = await one_row(bare)
    assert (row.status, row.healthy, row.ready) == ("Unknown", False, "0/1")
    empty = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "shop"}}
    assert (await one_row(empty)).age_s is None


async def test_text_of_the_cluster_is_cleaned_and_redacted():
    made = pod("a", waiting="CreateContainerError", message="\x1b[31mpassword=hunter22x\u202e")
    row = await one_row(made, name="a")
    assert "hunter22x" not in row.model_dump_json()
    assert "\x1b" not in row.why[0]


async def test_observed_at_is_the_clusters_clock():
    assert (await ask(pod_status, FakeCluster())).observed_at == NOW
