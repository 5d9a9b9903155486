"""No tool raises over what a cluster may hold: objects of every kind with anything at all inside."""

import asyncio

from doubles import FakeCluster, ask, kind_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstmate_tools import kinds
from firstmate_tools.errors import FirstmateError
from firstmate_tools.events import events
from firstmate_tools.logs import logs
from firstmate_tools.nodes import node_status
from firstmate_tools.objects import get
from firstmate_tools.pods import pod_status
from firstmate_tools.template_diff import changes
from firstmate_tools.views.columns import status_columns
from firstmate_tools.workloads import workload_status

WORDS = st.sampled_from(
    ["name", "type", "status", "conditions", "containers", "containerStatuses", "state", "waiting", "reason", "message",
     "restartCount", "replicas", "template", "spec", "metadata", "labels", "env", "value", "items", "terminated",
     "lastState", "exitCode", "initContainers", "ready", "nodeName", "phase", "taints", "allocatable", "cpu", "http",
     "series", "count", "lastTimestamp", "selector", "matchLabels", "finalizers", "completions", "revision", "data"]
)  # fmt: skip
INTEGERS = st.integers(-(2**63), 2**64 - 1)  # the parser makes a float of any other
LEAVES = st.none() | st.booleans() | INTEGERS | st.floats() | st.text(max_size=6) | st.just("2026-01-01T00:00:00Z")
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)
LOOKED_AT = (
    kinds.POD,
    kinds.NODE,
    kinds.EVENT,
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.CONTROLLER_REVISION,
    kinds.JOB,
    kinds.CRON_JOB,
    kinds.SERVICE,
    kinds.INGRESS,
    kinds.HORIZONTAL_POD_AUTOSCALER,
)


@st.composite
def objects(draw):
    made = []
    for kind in draw(st.lists(st.sampled_from(LOOKED_AT), min_size=1, max_size=4)):
        body = draw(st.dictionaries(WORDS, ANYTHING, max_size=3))
        metadata = {"name": "a", **({"namespace": "shop"} if kind.namespaced else {})}
        metadata |= draw(st.fixed_dictionaries({}, optional={"labels": ANYTHING, "creationTimestamp": ANYTHING,
                                                            "ownerReferences": ANYTHING, "annotations": ANYTHING,
                                                            "deletionTimestamp": ANYTHING}))  # fmt: skip
        rest = draw(
            st.fixed_dictionaries({}, optional={"spec": ANYTHING, "status": ANYTHING, "involvedObject": ANYTHING})
        )
        made.append({**body, **rest, "metadata": metadata, "kind": kind.kind, "apiVersion": kind.api_version})
    return made


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(objects())
def test_absurd_objects_never_raise(found):
    async def every() -> None:
        for call, arguments in (
            (pod_status, {"detail": "detailed"}),
            (workload_status, {}),
            (events, {"type": "all"}),
            (node_status, {}),
            *((workload_status, {"scope": f"{kind}/a"}) for kind in ("deployment", "sts", "cronjob", "job", "ds")),
            (logs, {"scope": "pod/a"}),
            (logs, {"scope": "deployment/a"}),
            *((get, {"kind": one["kind"]}) for one in found),
            *((get, {"kind": one["kind"], "name": "a"}) for one in found),
        ):
            try:
                answer = await ask(call, FakeCluster(*found, logs={"a/app": "x"}), **arguments)
            except FirstmateError:
                continue
            answer.model_dump_json(exclude_none=True)

    asyncio.run(every())


@given(ANYTHING, ANYTHING)
def test_absurd_templates_never_raise(before, after):
    changes({"spec": before}, {"spec": after})


@given(objects())
def test_absurd_columns_never_raise(found):
    for one in found:
        status_columns(one, kind_of(one), one)
