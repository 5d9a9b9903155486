"""CronJobs that do not start their Jobs when they are due.

What is due is worked out from the schedule; what the controller says of it counts only while no run has started since.
A suspended CronJob misses nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate, schedules
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.results import Confidence

CAUSE = "cronjob-schedule-missed"
LATE = timedelta(seconds=90)
"""How late the controller may be without anybody calling a run missed."""
KEPT_OUT = timedelta(seconds=15)
"""As `LATE`, where the run before is still active and the policy forbids a second one."""
AT_ONCE = timedelta(seconds=2)
"""The controller speaks of missed runs in the same moment in which it starts the newest of them."""
SHORT = 10
"""Seconds below which a starting deadline may be over before the controller looks
(https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#starting-deadline)."""
MISSES = (
    "MissSchedule",
    "TooManyMissedTimes",
    "UnknownTimeZone",
    "UnparseableSchedule",
    "InvalidSchedule",
    "FailedCreate",
)
_NEVER = frozenset({"UnknownTimeZone", "UnparseableSchedule", "InvalidSchedule"})
_DONE = ("Complete", "Failed")


@dataclass(frozen=True, slots=True)
class Miss:
    """Why runs did not start."""

    why: str
    confidence: Confidence
    evidence: tuple[Evidence, ...] = ()
    since: datetime | None = None


@rule(causes=(CAUSE,), observes=(kinds.CRON_JOB, kinds.JOB, kinds.EVENT))
def missed_schedule(facts: Facts) -> Verdicts:
    """pkg/controller/cronjob/cronjob_controllerv2.go (syncCronJob) and utils.go (mostRecentScheduleTime), v1.36."""
    for cron in facts.all(kinds.CRON_JOB):
        ref = ref_of(cron, kinds.CRON_JOB)
        rows = [row for row in facts.events(ref, *MISSES, "JobAlreadyActive") if _of_this(cron, row)]
        if fields.flag(cron, "spec", "suspend") or podstate.terminating(cron):
            if rows:
                yield RuledOut(CAUSE, f"{ref} is suspended: it is to start nothing")
            continue
        started = _last_start(facts, ref, cron)
        rows = [row for row in rows if _unmet(facts, row, started)]
        miss = _never(cron, rows) or _kept_out(facts, ref, cron, rows) or _missed(facts, cron, rows)
        if miss is not None:
            yield _finding(ref, cron, miss)
        elif facts.events(ref, *MISSES):
            yield RuledOut(CAUSE, f"{ref} missed runs before, and has started one since, or none is due")


def _of_this(cron: Obj, row: EventRow) -> bool:
    return row.about_uid in {"", fields.uid_of(cron)}


def _unmet(facts: Facts, row: EventRow, started: datetime | None) -> bool:
    """Whether an event still says something: it is recent, or for ever true, and no run has started since."""
    if row.reason in _NEVER:
        return True
    return lately(facts, row) and (started is None or row.last is None or row.last > started + AT_ONCE)


def _last_start(facts: Facts, ref: Ref, cron: Obj) -> datetime | None:
    """When the last run started: the newest of its Jobs, which comes a little after the moment that it was due at."""
    made = [
        fields.time_at(job, "metadata", "creationTimestamp")
        for job in facts.all(kinds.JOB, ref.namespace)
        if controller_of(job) == ref
    ]
    return max((moment for moment in (*made, _last_due(cron)) if moment is not None), default=None)


def _last_due(cron: Obj) -> datetime | None:
    return fields.time_at(cron, "status", "lastScheduleTime")


def _zone(cron: Obj) -> str:
    return fields.text(cron, "spec", "timeZone")


def _never(cron: Obj, rows: list[EventRow]) -> Miss | None:
    """A schedule or a time zone by which no run is ever due."""
    schedule, zone = fields.text(cron, "spec", "schedule"), _zone(cron)
    words = tuple(said(row) for row in rows if row.reason in _NEVER)[:1]
    try:
        schedules.due(schedule, zone, datetime.fromisoformat("2026-01-01T00:00:00+00:00"), _EPOCH)
    except schedules.ScheduleError as error:
        if "time zone" in str(error):
            known = schedules.knows_zones() or bool(words)
            return Miss(f"there is no time zone {zone!r}", "certain" if words else "likely", words) if known else None
        if "day-of-month" in str(error):
            return Miss(f"its schedule {schedule!r} names a day that no month has", "certain", words)
        return Miss(f"its schedule {schedule!r} cannot be read", "likely", words) if words else None
    zone_row = next((row for row in rows if row.reason == "UnknownTimeZone"), None)
    if zone_row is not None and zone and f'"{zone}"' in zone_row.message:
        return Miss(f"its controller does not know the time zone {zone!r}", "certain", (said(zone_row),))
    return None


_EPOCH = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def _due(facts: Facts, cron: Obj, late: timedelta) -> list[datetime]:
    """The runs that are due since the last one started, or since the CronJob was made, the newest first."""
    since = _last_due(cron) or fields.time_at(cron, "metadata", "creationTimestamp")
    if since is None:
        return []
    try:
        return schedules.due(fields.text(cron, "spec", "schedule"), _zone(cron), since, facts.now - late)
    except schedules.ScheduleError:
        return []


def _kept_out(facts: Facts, ref: Ref, cron: Obj, rows: list[EventRow]) -> Miss | None:
    """Runs that `concurrencyPolicy: Forbid` keeps out because an earlier one has not ended."""
    if fields.text(cron, "spec", "concurrencyPolicy") != "Forbid":
        return None
    active = [job for job in _jobs(facts, ref, cron) if not any(_true(job, kind) for kind in _DONE)]
    said_so = [row for row in rows if row.reason == "JobAlreadyActive"]
    due = _due(facts, cron, KEPT_OUT)
    if not active or not (due or said_so):
        return None
    oldest = min(active, key=lambda job: fields.text(job, "metadata", "creationTimestamp"))
    made = fields.time_at(oldest, "metadata", "creationTimestamp")
    job = ref_of(oldest, kinds.JOB)
    count = max(len(due), max((row.count for row in said_so), default=0))
    return Miss(
        f"{lib.count(count, 'run')} did not start: job {job.name} has not ended, and concurrencyPolicy is Forbid",
        "certain",
        (
            fact(job, "metadata.creationTimestamp", fields.text(oldest, "metadata", "creationTimestamp"), made),
            *(said(row) for row in said_so[:1]),
            fact(ref, "spec.concurrencyPolicy", "Forbid"),
        ),
        due[-1] if due else None,
    )


def _jobs(facts: Facts, ref: Ref, cron: Obj) -> list[Obj]:
    """The Jobs that the status calls active, where they are there."""
    names = {fields.text(entry, "name") for entry in fields.items(cron, "status", "active")}
    found = [facts.get(Ref("Job", ref.namespace, name)) for name in sorted(names)]
    return [job for job in found if job is not None]


def _true(obj: Obj, kind: str) -> bool:
    return fields.condition(obj, kind).get("status") == "True"


def _missed(facts: Facts, cron: Obj, rows: list[EventRow]) -> Miss | None:
    due = _due(facts, cron, LATE)
    words = [row for row in rows if row.reason != "JobAlreadyActive" and row.reason not in _NEVER]
    refused = next((row for row in words if row.reason == "FailedCreate"), None)
    if refused is not None:
        return Miss("its Job cannot be created", "certain", (said(refused),), refused.first)
    if not due and not words:
        return None
    spec = fields.mapping(cron, "spec")
    deadline = fields.number(spec, "startingDeadlineSeconds", default=-1)
    number = (
        f"more than {schedules.MOST - 1} runs" if len(due) >= schedules.MOST else lib.count(max(len(due), 1), "run")
    )
    why = f"{number} did not start when due"
    if 0 <= deadline < SHORT:
        why += f", and startingDeadlineSeconds {deadline} leaves the controller no time to start one late"
    elif deadline >= 0:
        why += f", and after startingDeadlineSeconds {deadline} none is started any more"
    else:
        why += ", though none is too late to start"
    sure: Confidence = "certain" if words and due else "likely"
    started = fact(
        ref_of(cron, kinds.CRON_JOB), "status.lastScheduleTime", fields.text(cron, "status", "lastScheduleTime") or None
    )
    return Miss(why, sure, (*(said(row) for row in words[:1]), started), due[-1] if due else words[0].first)


def _finding(ref: Ref, cron: Obj, miss: Miss) -> Finding:
    schedule = fields.text(cron, "spec", "schedule")
    zone = f" ({_zone(cron)})" if _zone(cron) else ""
    return Finding(
        cause=CAUSE,
        object=ref,
        severity="warning",
        confidence=miss.confidence,
        summary=f"{ref} does not start its Jobs when it should: {miss.why}.",
        evidence=(*miss.evidence, fact(ref, "spec.schedule", f"{schedule}{zone}")),
        affects=(ref,),
        since=miss.since,
        next=(
            lib.ask("events", "what its controller says", scope=str(ref), namespace=ref.namespace),
            lib.ask("get", "schedule, deadline and policy", kind="CronJob", name=ref.name, namespace=ref.namespace),
        ),
    )
