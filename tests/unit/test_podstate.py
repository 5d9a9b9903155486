"""The STATUS column and the health of a pod, against what kubectl prints."""

from datetime import timedelta

import pytest
from builders import NOW, ago, container, obj, pending, pod
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools import podstate

ERROR = {"reason": "Error", "exitCode": 1}
DONE = {"reason": "Completed", "exitCode": 0}
INIT = [container("migrate")]
SIDECAR = [container("proxy", restartPolicy="Always")]


def init_status(**state):
    return [{"name": "migrate", "ready": False, "restartCount": 0, **state}]


@pytest.mark.parametrize(
    ("made", "status", "well"),
    [
        (pod("a"), "Running", True),
        (pod("a", waiting="CrashLoopBackOff", restarts=4, last=ERROR), "CrashLoopBackOff", False),
        (pod("a", waiting="ImagePullBackOff", phase="Pending"), "ImagePullBackOff", False),
        (pending("a"), "Pending", False),
        (pod("a", phase="Succeeded", terminated=DONE), "Completed", True),
        (pod("a", phase="Failed", terminated=ERROR), "Error", False),
        (pod("a", ready=False), "Running", False),
        (pod("a", ready=False, age=10), "Running", True),
        (pod("a", waiting="ContainerCreating", phase="Pending", age=10), "ContainerCreating", True),
        (pod("a", waiting="ContainerCreating", phase="Pending", age=500), "ContainerCreating", False),
        (pod("a", metadata={"deletionTimestamp": ago(5)}), "Terminating", True),
        (
            pod(
                "a",
                phase="Pending",
                waiting="PodInitializing",
                init=INIT,
                init_statuses=init_status(state={"running": {}}),
            ),
            "Init:0/1",
            False,
        ),
        (
            pod(
                "a",
                phase="Pending",
                waiting="PodInitializing",
                init=INIT,
                init_statuses=init_status(state={"waiting": {"reason": "CrashLoopBackOff"}}),
            ),
            "Init:CrashLoopBackOff",
            False,
        ),
        (
            pod(
                "a",
                init=SIDECAR,
                init_statuses=[
                    {"name": "proxy", "ready": True, "started": True, "restartCount": 0, "state": {"running": {}}}
                ],
            ),
            "Running",
            True,
        ),
    ],
)
def test_status_column_and_health(made, status, well):
    assert podstate.status_text(made) == status
    assert podstate.healthy(made, NOW) is well


def test_native_sidecar_counts_as_a_container_of_the_ready_column():
    made = pod(
        "a",
        init=SIDECAR,
        init_statuses=[{"name": "proxy", "ready": True, "started": True, "state": {"running": {}}}],
    )
    assert podstate.ready_counts(made) == (2, 2)


def test_a_crash_long_ago_is_no_fault_while_the_pod_is_ready():
    assert podstate.healthy(pod("a", restarts=3, last={**ERROR, "finishedAt": ago(90_000)}), NOW)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON, _JSON, _JSON)
def test_absurd_objects_never_raise(spec, status, statuses):
    made = obj("Pod", "a", spec=spec, status=status)
    other = pod("a", statuses=None, spec={"initContainers": statuses, "containers": statuses})
    other["status"]["containerStatuses"] = statuses
    for one in (made, other):
        podstate.status_text(one)
        podstate.healthy(one, NOW + timedelta(hours=1))
        podstate.ready_counts(one)
