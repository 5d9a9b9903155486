"""A slim pod says of itself what the whole one says."""

from builders import NOW, ago, container, node, pod
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools import podstate
from firstmate_tools.diagnosis.slim import slim_node, slim_pod
from firstmate_tools.podresources import pod_requests

ENDS = st.sampled_from([{"exitCode": 0, "reason": "Completed"}, {"exitCode": 1, "reason": "Error"}, {"exitCode": 137}])
STATES = st.one_of(
    st.just({"running": {"startedAt": ago(60)}}),
    st.sampled_from(["CrashLoopBackOff", "ContainerCreating", "PodInitializing", ""]).map(
        lambda reason: {"waiting": {"reason": reason} if reason else {}}
    ),
    ENDS.map(lambda end: {"terminated": end}),
    st.sampled_from([{}, {"running": None}, {"running": {}, "waiting": {"reason": "Odd"}}]),
)


@st.composite
def statuses(draw, name):
    last = draw(st.one_of(st.just({}), ENDS.map(lambda end: {"terminated": end})))
    return {
        "name": name,
        "ready": draw(st.booleans()),
        "started": draw(st.booleans()),
        "restartCount": draw(st.sampled_from([0, 0, 0, 3, None])),
        "state": draw(STATES),
        "lastState": last,
    }


@st.composite
def pods(draw):
    asks = {"resources": {"requests": {"cpu": "100m"}}}
    inits = [container("one", **asks), container("two", restartPolicy="Always")][: draw(st.integers(0, 2))]
    names = ["app", "side"][: draw(st.integers(1, 2))]
    made = pod(
        "a",
        phase=draw(st.sampled_from(["Running", "Running", "Running", "Pending", "Succeeded", "Failed"])),
        containers=[container(name, **asks) for name in names],
        statuses=[draw(statuses(name)) for name in names],
        init=inits,
        init_statuses=[draw(statuses(one["name"])) for one in inits],
        conditions=[
            {"type": type_, "status": draw(st.sampled_from(["True", "True", "False"])), "lastTransitionTime": ago(300)}
            for type_ in ("Ready", "Initialized", "PodScheduled")
        ],
        metadata=draw(st.sampled_from([{}, {}, {"deletionTimestamp": ago(5)}, {"deletionTimestamp": ago(500)}])),
        age=draw(st.sampled_from([5.0, 600.0])),
    )
    if draw(st.integers(0, 5)) == 0:
        made["status"]["reason"] = "NodeLost"
    return made


@given(pods())
def test_a_slim_pod_has_the_columns_health_and_requests_of_the_whole_one(made):
    slim = slim_pod(made, NOW)
    assert podstate.status_text(slim) == podstate.status_text(made)
    assert podstate.ready_counts(slim) == podstate.ready_counts(made)
    assert podstate.restarts(slim) == podstate.restarts(made)
    assert podstate.healthy(slim, NOW) == podstate.healthy(made, NOW)
    assert pod_requests(slim) == pod_requests(made)


def test_a_pod_that_is_well_gets_small():
    whole = pod("a", spec={"volumes": [{"name": "v"}]})
    whole["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    slim = slim_pod(whole, NOW)
    assert "volumes" not in slim["spec"]
    assert "managedFields" not in slim["metadata"]


def test_a_node_reads_the_same_after_a_heartbeat():
    before, after = node("n1"), node("n1")
    after["metadata"]["resourceVersion"] = "7"
    after["status"]["conditions"][0]["lastHeartbeatTime"] = ago(1)
    after["status"]["images"] = [{"names": ["app"]}]
    assert slim_node(before) == slim_node(after)
    after["status"]["conditions"][0]["status"] = "Unknown"
    assert slim_node(before) != slim_node(after)
    assert slim_node({"metadata": {"name": "bare"}}) == {"metadata": {"name": "bare"}}
