"""Findings about Jobs that gave up or do not end, and about CronJobs that start nothing."""

from typing import Any

import pytest
from builders import NOW, ago, container, event, obj, owner, pod
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools import schedules
from firstmate_tools.fields import Obj

GAVE_UP, HELD, MISSED = "job-retries-or-deadline-exceeded", "job-blocked-by-sidecar", "cronjob-schedule-missed"


def job(name: str = "cart", *conditions: Obj, cron: str = "", age: float = 600, **spec: Any) -> Obj:
    owners = {"ownerReferences": owner("CronJob", cron, "batch/v1")} if cron else {}
    status = {"conditions": list(conditions), "failed": 7}
    return obj(
        "Job", name, api="batch/v1", metadata={"creationTimestamp": ago(age), **owners}, spec=spec, status=status
    )


def failed(reason: str, kind: str = "Failed") -> Obj:
    return {"type": kind, "status": "True", "reason": reason, "message": "m", "lastTransitionTime": ago(60)}


COMPLETE = {"type": "Complete", "status": "True"}


@pytest.mark.parametrize(
    ("reason", "spec", "words"),
    [
        ("BackoffLimitExceeded", {"backoffLimit": 6}, "failed 7 times, which is more than backoffLimit 6"),
        ("DeadlineExceeded", {"activeDeadlineSeconds": 30}, "activeDeadlineSeconds 30"),
        ("PodFailurePolicy", {}, "podFailurePolicy"),
        ("FailedIndexes", {}, "indexes failed"),
    ],
)
def test_a_job_that_gave_up_is_named_though_its_pods_are_gone(reason: str, spec: Obj, words: str) -> None:
    for kind in ("Failed", "FailureTarget"):
        found = finding(job("cart", failed(reason, kind), **spec))
        assert (found.cause, str(found.object), found.severity) == (GAVE_UP, "job/cart", "warning")
        assert words in found.summary


def test_the_programs_error_explains_that_the_job_gave_up() -> None:
    end = {"exitCode": 1, "reason": "Error", "startedAt": ago(12), "finishedAt": ago(10)}
    last = pod("cart-x", owned_by=("Job", "cart"), phase="Failed", ready=False, terminated=end)
    (root,) = linked(job("cart", failed("BackoffLimitExceeded")), last)
    assert (root.finding.cause, [e.cause for e in root.explained]) == ("application-exits-on-error", [GAVE_UP])


@pytest.mark.parametrize(
    "objects",
    [
        [job("cart", COMPLETE)],
        [job("cart")],
        [job("cart-1", failed("BackoffLimitExceeded"), cron="cart", age=9000), job("cart-2", COMPLETE, cron="cart")],
    ],
)
def test_a_job_that_succeeded_or_was_made_up_for_is_well(objects: list[Obj]) -> None:
    assert severe(*objects) == []


def test_the_newest_run_of_a_cron_job_counts() -> None:
    runs = [job("cart-1", COMPLETE, cron="cart", age=9000), job("cart-2", failed("DeadlineExceeded"), cron="cart")]
    assert roots(*runs) == [(GAVE_UP, "cronjob/cart")]


def done(name: str = "app", *, ago_s: float = 60, code: int = 0) -> Obj:
    end = {"exitCode": code, "reason": "Completed", "startedAt": ago(ago_s + 30), "finishedAt": ago(ago_s)}
    return {"name": name, "ready": False, "restartCount": 0, "state": {"terminated": end}}


def going(name: str) -> Obj:
    return {"name": name, "ready": True, "restartCount": 0, "state": {"running": {"startedAt": ago(500)}}}


def attempt(*statuses: Obj, specs: list[Obj] | None = None, **more: Any) -> Obj:
    every = specs or [container(s["name"]) for s in statuses]
    return pod("cart-x", owned_by=("Job", "cart"), ready=False, containers=every, statuses=list(statuses), **more)


@pytest.mark.parametrize(
    ("side", "age", "confidence"),
    [
        (container("istio-proxy"), 5, "certain"),
        (container("side", image="registry.shop.example/log-agent:1"), 5, "certain"),
        (container("side", ports=[{"containerPort": 9100}]), 5, "certain"),
        (container("second"), 200, "likely"),
    ],
)
def test_a_sidecar_that_outlives_the_work_holds_the_job(side: Obj, age: float, confidence: str) -> None:
    made = attempt(done(ago_s=age), going(side["name"]), specs=[container(), side])
    found = finding(job(), made)
    assert (found.cause, str(found.object), found.severity, found.confidence) == (
        HELD,
        "job/cart",
        "warning",
        confidence,
    )
    assert "container app has done its work" in found.summary and side["name"] in found.summary


NATIVE = [{**container("istio-proxy"), "restartPolicy": "Always"}]


@pytest.mark.parametrize(
    "made",
    [
        attempt(done(ago_s=20), going("second")),  # two that work, one is through
        attempt(going("app"), going("istio-proxy")),
        attempt(done(ago_s=1), going("istio-proxy")),  # on its way down
        attempt(done(code=1), going("istio-proxy")),
        attempt(going("app"), init=NATIVE, init_statuses=[going("istio-proxy")]),
        attempt(done(ago_s=60), going("istio-proxy"), metadata={"deletionTimestamp": ago(1)}),
    ],
)
def test_a_job_whose_work_goes_on_is_well(made: Obj) -> None:
    assert HELD not in {cause for cause, _ in roots(job(), made)}


def cron(schedule: str = "0 * * * *", *, last: float | None = None, age: float = 9000, **spec: Any) -> Obj:
    status = spec.pop("status", {}) | ({"lastScheduleTime": ago(last)} if last is not None else {})
    body = {
        "schedule": schedule,
        "jobTemplate": {"spec": {"template": {"spec": {"containers": [container()]}}}},
        **spec,
    }
    return obj("CronJob", "cart", api="batch/v1", metadata={"creationTimestamp": ago(age)}, spec=body, status=status)


@pytest.mark.parametrize(
    ("made", "confidence", "words"),
    [
        (cron("0 4 31 2 *"), "certain", "names a day that no month has"),
        (cron(timeZone="Mars/Olympus"), "likely", "there is no time zone 'Mars/Olympus'"),
        (cron("*/5 * * * *", last=3600), "likely", "11 runs did not start"),
        (cron("*/5 * * * *", last=3600, startingDeadlineSeconds=5), "likely", "leaves the controller no time"),
        (cron("* * * * *", last=86400, startingDeadlineSeconds=60), "likely", "more than 100 runs"),
        (cron("@hourly", age=9000), "likely", "1 run did not start"),
    ],
)
def test_runs_that_were_due_and_did_not_start(made: Obj, confidence: str, words: str) -> None:
    found = finding(made)
    assert (found.cause, str(found.object), found.severity) == (MISSED, "cronjob/cart", "warning")
    assert found.confidence == confidence and words in found.summary.replace("2 runs did", "1 run did")


def test_the_controllers_word_makes_it_certain_until_a_run_has_started() -> None:
    missed = event(cron(), "MissSchedule", "Missed scheduled time to start a job", seconds_ago=120)
    late = cron("*/5 * * * *", last=3600, startingDeadlineSeconds=60)
    assert finding(late, missed).confidence == "certain"
    assert finding(cron("0 0 1 1 *", age=300), missed).confidence == "likely"
    assert severe(cron("*/5 * * * *", last=30), missed) == []


@pytest.mark.parametrize(
    "made",
    [
        cron("* * * * *", last=86400, suspend=True),
        cron("*/5 * * * *", last=200),
        cron("0 0 1 1 *", last=10_000_000),
        cron("* * * * *", last=60),
        cron("*/5 * * * *", age=100),
        cron("no schedule at all"),
    ],
)
def test_a_cron_job_that_misses_nothing_is_well(made: Obj) -> None:
    old = event(made, "MissSchedule", "Missed scheduled time", seconds_ago=5000)
    assert severe(made, old) == []


def test_a_run_that_does_not_end_keeps_the_next_ones_out() -> None:
    made = cron("*/5 * * * *", last=1800, concurrencyPolicy="Forbid", status={"active": [{"name": "cart-1"}]})
    found = finding(made, job("cart-1", cron="cart", age=1800))
    assert (found.cause, found.confidence) == (MISSED, "certain")
    assert "job cart-1 has not ended" in found.summary
    early = cron("*/5 * * * *", last=100, concurrencyPolicy="Forbid", status={"active": [{"name": "cart-1"}]})
    assert severe(early, job("cart-1", cron="cart", age=100)) == []
    assert severe(cron("*/5 * * * *", last=100, concurrencyPolicy="Forbid"), job("cart-1", COMPLETE, cron="cart")) == []


def test_a_controller_that_has_caught_up_has_missed_nothing() -> None:
    many = event(cron(), "TooManyMissedTimes", "too many missed start times", seconds_ago=100)
    caught_up = cron("0 0 1 1 *", last=120)
    assert severe(caught_up, job("cart-1", cron="cart", age=100), many) == []
    assert roots(cron("0 0 1 1 *", last=9000), many) == [(MISSED, "cronjob/cart")]


def test_what_holds_the_run_explains_the_missed_ones() -> None:
    made = cron("*/5 * * * *", last=1800, concurrencyPolicy="Forbid", status={"active": [{"name": "cart"}]})
    held = attempt(done(), going("istio-proxy"))
    (root,) = linked(made, job("cart", cron="cart", age=1800), held)
    assert (root.finding.cause, str(root.finding.object)) == (HELD, "cronjob/cart")
    assert [e.cause for e in root.explained] == [MISSED]


def test_a_job_that_cannot_be_created_is_told_by_the_controller() -> None:
    words = 'Error creating job: jobs.batch "cart-1" is forbidden: exceeded quota: jobs'
    assert "cannot be created" in finding(cron(last=100), event(cron(), "FailedCreate", words, seconds_ago=30)).summary


def test_schedules_as_kubernetes_reads_them() -> None:
    def count(schedule: str, zone: str = "", hours: float = 24) -> int:
        from datetime import timedelta

        return len(schedules.due(schedule, zone, NOW - timedelta(hours=hours), NOW))

    assert [count(s) for s in ("@daily", "@hourly", "@every 6h", "0 */6 * * ?", "0 9 * * SUN-SAT")] == [1, 24, 4, 4, 1]
    assert count("30 3 * * *", "Asia/Tokyo", 8) == 1 and count("30 3 * * *", "", 8) == 0
    assert count("TZ=Asia/Tokyo 30 3 * * *", "", 8) == 1
    assert count("* * * * *", hours=1000) == schedules.MOST
    for wrong in ("0 4 31 2 *", "x", "* * * *", "@every x", "0 4 * * mond"):
        with pytest.raises(schedules.ScheduleError):
            count(wrong)


@given(st.text(max_size=30), st.text(max_size=20))
def test_any_schedule_is_read_or_refused(schedule: str, zone: str) -> None:
    from datetime import timedelta

    try:
        found = schedules.due(schedule, zone, NOW - timedelta(days=2), NOW)
    except schedules.ScheduleError:
        return
    assert found == sorted(found, reverse=True)


CASES = [
    [job("cart", failed("DeadlineExceeded"))],
    [job(), attempt(done(), going("istio-proxy"))],
    [cron("*/5 * * * *", last=3600)],
    [cron("0 4 31 2 *")],
]


@settings(max_examples=15, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects in CASES:
        assert roots(*shuffled([*objects, *(bystanders() if crowded else [])], seed)) == roots(*objects)


@settings(max_examples=10, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects in CASES:
        found = [(cause, ref.replace(name, "cart")) for cause, ref in roots(*renamed(objects, name))]
        assert found == roots(*objects)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects)
