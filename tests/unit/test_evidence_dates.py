"""Evidence carries when its fact was seen or began, wherever the object tells; nothing is dated by guessing."""

import copy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOW, ago, container, event, facts_of, obj, pod
from dated import DATED
from hypothesis import given
from hypothesis import strategies as st
from verdicts import app, damaged, linked

from evals.lab.ask import ask_recorded
from firstmate_tools import kinds
from firstmate_tools.diagnosis import dates
from firstmate_tools.diagnosis.findings import fact
from firstmate_tools.diagnosis.slim import slimmer
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

DEMO = Path(__file__).parents[2] / "server" / "firstmate" / "data" / "demo.tar.gz"
END = {"exitCode": 1, "reason": "Error", "startedAt": ago(90), "finishedAt": ago(60)}


def when(one: Obj, field: str, value: str = "x", *others: Obj) -> datetime | None:
    kind = kinds.POD if one["kind"] == "Pod" else None
    meta = one["metadata"]
    ref = ref_of(one, kind) if kind else Ref(one["kind"], meta.get("namespace", ""), meta["name"])
    return dates.moment(fact(ref, field, value), facts_of(one, *others))


def seconds_ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def stateful(state: Obj, last: Obj | None = None, **rest: Any) -> Obj:
    statuses = [{"name": "app", "restartCount": 1, "state": state, **({"lastState": last} if last else {})}]
    conditions = [{"type": "ContainersReady", "status": "False", "lastTransitionTime": ago(300)}]
    return pod("cart", statuses=statuses, conditions=conditions, **rest)


@pytest.mark.parametrize(
    ("state", "last", "field", "seconds"),
    [
        ({"terminated": END}, None, "state.terminated", 60),
        ({"terminated": END}, None, "state", 60),
        ({"running": {"startedAt": ago(30)}}, {"terminated": END}, "state.running", 30),
        ({"running": {"startedAt": ago(30)}}, {"terminated": END}, "lastState.terminated.message", 60),
        ({"running": {"startedAt": ago(30)}}, {"terminated": END}, "restartCount", 60),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, {"terminated": END}, "state.waiting.message", 60),
        ({"waiting": {"reason": "ImagePullBackOff"}}, None, "state.waiting.message", 300),
    ],
)
def test_container_state_is_dated_by_its_start_its_end_or_since_the_pod_is_unready(
    state: Obj, last: Obj | None, field: str, seconds: float
) -> None:
    assert when(stateful(state, last), f"status.containerStatuses[app].{field}") == seconds_ago(seconds)


@pytest.mark.parametrize("field", ["status.conditions[ContainersReady]", "status.conditions[ContainersReady].message"])
def test_condition_is_dated_by_its_transition(field: str) -> None:
    assert when(stateful({}), field) == seconds_ago(300)
    assert when(stateful({}), "status.conditions[PodScheduled]") is None


@pytest.mark.parametrize("field", ["event BackOff", "events[BackOff]", "events[BackOff].message"])
def test_event_is_dated_by_the_last_time_that_it_was_seen(field: str) -> None:
    one = pod("cart")
    about = event(one, "BackOff", "Back-off restarting", seconds_ago=40)
    assert when(one, field, "Back-off restarting", about) == seconds_ago(40)


def test_deleted_object_is_dated_by_its_deletion_not_by_the_end_of_its_grace() -> None:
    gone = pod("cart", metadata={"deletionTimestamp": ago(20)})
    leaving = pod("cart", metadata={"deletionTimestamp": ago(-20), "deletionGracePeriodSeconds": 30})
    assert when(gone, "metadata.deletionTimestamp") == when(gone, "metadata.finalizers") == seconds_ago(20)
    assert when(leaving, "metadata.deletionTimestamp") == seconds_ago(10)


def workload(generation: int, *entries: Obj) -> Obj:
    return obj("Deployment", "cart", metadata={"generation": generation, "managedFields": list(entries)}, spec={})


def set_by(fields_v1: Obj, at: str, **rest: str) -> Obj:
    return {"manager": "kubectl", "operation": "Update", "time": at, "fieldsV1": fields_v1, **rest}


def test_spec_that_nobody_changed_holds_since_the_object_was_made() -> None:
    assert when(workload(1), "spec.replicas") == seconds_ago(600)


def test_changed_spec_is_dated_by_who_owns_the_field_or_not_at_all() -> None:
    image = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:image": {}}}}}}}
    one = workload(3, set_by(image, ago(100)), set_by({"f:spec": {"f:replicas": {}}}, ago(50), subresource="scale"))
    assert when(one, "spec.template.spec.containers[app].image") == seconds_ago(100)
    assert when(one, "spec.replicas") == seconds_ago(50)
    assert when(one, "spec.template.spec.containers[app].env[A]") is None
    assert when(one, "metadata.labels") is None
    assert when(workload(3), "spec.replicas") is None


@pytest.mark.parametrize(("written", "expected"), [(599, 600), (30, None), (None, None)])
def test_quota_without_a_generation_is_dated_where_nobody_has_written_to_it_since(
    written: float | None, expected: float | None
) -> None:
    quota = obj("ResourceQuota", "team", spec={"hard": {"pods": "1"}})
    status = {"manager": "c", "subresource": "status", "time": ago(5), "fieldsV1": {"f:status": {}}}
    if written is not None:
        quota["metadata"]["managedFields"] = [{"manager": "kubectl", "time": ago(written)}, status]
    slim = slimmer(kinds.RESOURCE_QUOTA, NOW)(quota)
    assert when(slim, "spec.hard") == (seconds_ago(expected) if expected else None)


def test_log_line_is_dated_by_its_own_time_unless_its_clock_is_wrong() -> None:
    running = stateful({"running": {"startedAt": ago(400)}})
    assert when(running, "log[app]", f"{ago(33)} ERROR no route") == seconds_ago(33)
    assert when(running, "log[app]", f'{{"level":"error","msg":"x","ts":"{ago(33)}"}}') == seconds_ago(33)
    assert when(running, "log[app]", f"{ago(90000)} ERROR before it was made") is None
    assert when(running, "log[app]", f"x509: certificate of the server has expired at {ago(33)}") is None
    assert when(running, "log[app]", "ERROR no route") is None
    assert when(stateful({}, {"terminated": END}), "log[app]", "ERROR no route") == seconds_ago(60)


def test_nothing_is_dated_that_is_not_there_or_only_summed_up() -> None:
    one = obj("Service", "cart", spec={"selector": {"app": "cart"}})
    for field in (
        "ready endpoints",
        "metadata.name",
        "spec.selector",
        "status.loadBalancer.ingress",
        "",
        "[",
        "a[0].b",
    ):
        assert when(one, field) is None
    assert dates.moment(fact(Ref("Service", "shop", "gone"), "spec.selector", ""), facts_of(one)) is None


def test_time_that_is_yet_to_come_dates_nothing() -> None:
    one = obj("Certificate", "tls", status={"renewalTime": ago(-9000), "failedAt": ago(10)})
    assert dates.of_field(one, "Certificate", "status.renewalTime", NOW) is None
    assert dates.of_field(one, "Certificate", "status.failedAt", NOW) == seconds_ago(10)


def test_time_that_a_rule_gave_stays_and_nothing_else_of_a_root_cause_changes() -> None:
    objects = app(terminated=None, waiting="CrashLoopBackOff", last=END, restarts=3)
    facts = facts_of(*objects)
    for root in linked(*objects):
        later = dates.dated(root, facts)
        for before, after in zip(root.finding.evidence, later.finding.evidence, strict=True):
            assert (before.object, before.field, before.value) == (after.object, after.field, after.value)
            assert before.at in {None, after.at}
        assert later.explained == root.explained
        assert later.finding.summary == root.finding.summary


@pytest.mark.anyio
async def test_demo_recording_dates_every_condition_event_state_and_deletion() -> None:
    answer = await ask_recorded(DEMO, "cluster", None)
    named = [one for root in answer["root_causes"] for one in root["evidence"] if DATED.search(one["field"])]
    assert len(named) > 5
    assert [one["field"] for one in named if not one.get("at")] == []


CRASHING = [
    *app(spec=container(), waiting="CrashLoopBackOff", last=END, restarts=3),
    obj("ResourceQuota", "team", spec={"hard": {"pods": "1"}}, metadata={"managedFields": [{"time": ago(600)}]}),
]
FIELDS = [
    *("status.containerStatuses[app].state.waiting", "status.containerStatuses[0].lastState.terminated", "status"),
    *(
        "status.conditions[Ready]",
        "spec.template.spec.containers[app].image",
        "spec.hard",
        "metadata.deletionTimestamp",
    ),
    *("log[app]", "event BackOff", "spec.replicas", "metadata.labels", "status.phase", "spec.unschedulable"),
]


@given(damaged(CRASHING), st.sampled_from(FIELDS))
def test_absurd_objects_do_not_stop_it(objects: list[Obj], field: str) -> None:
    facts = facts_of(*copy.deepcopy(objects))
    for one in objects:
        ref = Ref(one["kind"], "shop", one["metadata"]["name"])
        found = dates.moment(fact(ref, field, "x"), facts)
        assert found is None or found.tzinfo is not None
