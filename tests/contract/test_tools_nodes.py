"""What `node_status` promises: what is known to be wrong, how full each node is, and who fills it."""

import pytest
from builders import ago, container, node, pod
from doubles import DENIED, FakeCluster, ask

from firstmate_tools.errors import DeniedError, UsageError
from firstmate_tools.kinds import NODE, POD
from firstmate_tools.nodes import node_status

pytestmark = pytest.mark.anyio


def with_conditions(name, *conditions, **more):
    made = node(name, **more)
    made["status"]["conditions"] += [
        {"type": type_, "status": status, "reason": "R", "message": "m"} for type_, status in conditions
    ]
    return made


def sized(name, cpu="1", memory="1Gi", on="n1", **more):
    return pod(name, node=on, containers=[container(resources={"requests": {"cpu": cpu, "memory": memory}})], **more)


async def rows(*objects, **arguments):
    return (await ask(node_status, FakeCluster(*objects), **arguments)).nodes


async def test_not_ready_before_pressure_before_cordoned_before_full():
    cluster = FakeCluster(
        node("idle"),
        node("full"),
        node("cordoned", cordoned=True),
        with_conditions("pressed", ("DiskPressure", "True")),
        node("dead", ready="Unknown"),
        sized("big", cpu="7", on="full"),
    )
    answer = await ask(node_status, cluster)
    assert [row.name for row in answer.nodes] == ["dead", "pressed", "cordoned", "full", "idle"]
    assert (answer.ready, answer.not_ready, answer.cordoned) == (4, 1, 1)
    assert answer.nodes[0].problems == ["Ready is Unknown: no reason given"]
    assert answer.nodes[0].since is not None
    assert answer.nodes[1].problems == ["DiskPressure is True: R m"]
    assert answer.nodes[2].taints == ["node.kubernetes.io/unschedulable:NoSchedule"]


@pytest.mark.parametrize(
    ("type_", "status", "problem"),
    [
        ("MemoryPressure", "False", False),
        ("NetworkUnavailable", "True", True),
        ("KernelReady", "True", False),
        ("StorageReady", "False", True),
        ("ContainerRuntimeReady", "Unknown", False),
        ("KernelDeadlock", "True", True),
        ("KernelDeadlock", "False", False),
        ("SomethingReady", "False", False),
        ("VendorSaysSo", "True", False),
    ],
)
async def test_a_condition_is_judged_only_where_its_polarity_is_known(type_, status, problem):
    (row,) = await rows(with_conditions("n1", (type_, status)), name="n1")
    assert bool(row.problems) is problem
    unjudged = type_ in {"SomethingReady", "VendorSaysSo"}
    assert row.other_conditions == ([f"{type_}={status}: R m"] if unjudged else [])


async def test_room_counts_what_is_bound_and_runs():
    pods = [
        sized("a", cpu="1500m", memory="2Gi"),
        sized("b", cpu="500m", memory="1Gi"),
        sized("done", cpu="4", phase="Succeeded"),
        sized("failed", cpu="4", phase="Failed"),
        sized("elsewhere", on="n2"),
        sized("waits", on=None),
    ]
    (row,) = await rows(node("n1"), *pods, name="n1")
    assert row.share == {"cpu": 25, "memory": 9, "pods": 2}
    assert row.room["cpu"].model_dump() == {"allocatable": "8", "requested": "2", "free": "6"}
    assert row.room["memory"].free == "29Gi"
    assert [(t.name, t.requests) for t in row.largest] == [
        ("a", {"cpu": "1500m", "memory": "2Gi"}),
        ("b", {"cpu": "500m", "memory": "1Gi"}),
    ]


async def test_in_a_list_only_full_nodes_name_who_fills_them():
    cluster = FakeCluster(node("n1"), node("n2"), *(sized(f"p{n}", cpu="1900m") for n in range(4)), sized("q", on="n2"))
    answer = await ask(node_status, cluster)
    assert [(row.name, row.share["cpu"], len(row.largest)) for row in answer.nodes] == [("n1", 95, 3), ("n2", 12, 0)]
    assert answer.nodes[1].room == {}


async def test_other_resources_are_told_where_somebody_asks_for_them():
    gpu = node("n1")
    gpu["status"]["allocatable"] = {"cpu": "8", "nvidia.com/gpu": "4", "hugepages-2Mi": "0", "odd": "what"}
    asks = pod("a", containers=[container(resources={"limits": {"nvidia.com/gpu": "3"}})])
    (row,) = await rows(gpu, asks, name="n1")
    assert row.share == {"cpu": 0, "nvidia.com/gpu": 75}


async def test_labels_of_eks_and_karpenter():
    labels = {
        "topology.kubernetes.io/zone": "eu-west-1a",
        "node.kubernetes.io/instance-type": "m7g.large",
        "karpenter.sh/capacity-type": "spot",
        "karpenter.sh/nodepool": "general",
    }
    (row,) = await rows(node("n1", labels=labels))
    assert (row.zone, row.instance_type, row.capacity_type, row.pool) == ("eu-west-1a", "m7g.large", "spot", "general")
    (managed,) = await rows(
        node("n1", labels={"eks.amazonaws.com/nodegroup": "ng", "eks.amazonaws.com/capacityType": "SPOT"})
    )
    assert (managed.pool, managed.capacity_type) == ("ng", "SPOT")


async def test_a_node_that_is_being_deleted_says_what_it_waits_for():
    made = node("n1")
    made["metadata"] |= {"deletionTimestamp": ago(60), "finalizers": ["karpenter.sh/termination"]}
    (row,) = await rows(made)
    assert row.problems == ["is being deleted, waits for finalizers karpenter.sh/termination"]


async def test_without_the_right_to_pods_the_room_is_not_checked():
    answer = await ask(node_status, FakeCluster(node("n1"), denied={POD: DENIED}), name="n1")
    assert [n.what for n in answer.coverage.not_checked] == ["pods"]
    (row,) = answer.nodes
    assert row.share == {}
    assert row.room["cpu"].model_dump() == {"allocatable": "8", "requested": None, "free": None}
    with pytest.raises(DeniedError):
        await ask(node_status, FakeCluster(denied={NODE: DENIED}))


async def test_two_lists_whatever_the_number_and_the_server_chooses_for_one_node():
    cluster = FakeCluster(*(node(f"n{n}") for n in range(60)), *(sized(f"p{n}", on=f"n{n % 60}") for n in range(300)))
    answer = await ask(node_status, cluster)
    assert cluster.usage.by_resource == {"nodes": 1, "pods": 1}
    assert (answer.coverage.returned, answer.coverage.total) == (25, 60)
    following = await ask(node_status, cluster, cursor=answer.coverage.cursor)
    assert not {r.name for r in answer.nodes} & {r.name for r in following.nodes}
    with pytest.raises(UsageError, match="another question"):
        await ask(node_status, cluster, selector="a=b", cursor=answer.coverage.cursor)
    one = FakeCluster(node("n1"), sized("p"))
    await ask(node_status, one, name="n1")
    assert any("spec.nodeName=n1" in asked for asked in one.asked)


@pytest.mark.parametrize("name", ["--all", "n1;reboot", "../n1", "n 1", "n1,spec.unschedulable=true"])
async def test_names_are_only_names(name):
    with pytest.raises(UsageError):
        await ask(node_status, FakeCluster(node("n1")), name=name)


async def test_a_node_without_status():
    bare = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "bare"}}
    (row,) = await rows(bare)
    assert (row.ready, row.problems) == (False, ["Ready is not reported: no reason given"])
