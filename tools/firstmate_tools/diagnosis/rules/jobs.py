"""Jobs that gave up, and Jobs that do not end because a container goes on when the work is done."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, spent
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, explains, rule
from firstmate_tools.diagnosis.targets import HELPERS
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref, controller_of, ref_of

OBSERVED = (kinds.POD, kinds.JOB)
GAVE_UP = "job-retries-or-deadline-exceeded"
_ENDED = ("Failed", "FailureTarget")
"""Conditions of a Job that gave up, or is about to (https://kubernetes.io/docs/concepts/workloads/controllers/job/)."""
_WHY = {
    "BackoffLimitExceeded": "its pods failed {failed}, which is more than backoffLimit {limit} allows",
    "DeadlineExceeded": "it ran longer than its activeDeadlineSeconds {deadline} allow",
    "PodFailurePolicy": "its podFailurePolicy ends it at the first failure of this kind",
    "FailedIndexes": "some of its indexes failed ({indexes})",
    "MaxFailedIndexesExceeded": "more of its indexes failed than maxFailedIndexes allows ({indexes})",
}


@rule(causes=(GAVE_UP,), observes=OBSERVED, explains=explains("cronjob-schedule-missed", along=("owns",)))
def job_gave_up(facts: Facts) -> Verdicts:
    """A Job that failed for good, and no later run of its CronJob has made up for it."""
    for job in facts.all(kinds.JOB):
        condition = next((c for kind in _ENDED if (c := fields.condition(job, kind)).get("status") == "True"), None)
        if condition is None:
            continue
        ref = ref_of(job, kinds.JOB)
        if spent.overcome(facts, ref, job):
            yield RuledOut(GAVE_UP, f"{ref} failed, and a later run of {facts.workload(ref)} went well")
            continue
        yield _gave_up(facts, ref, job, condition)


def _gave_up(facts: Facts, ref: Ref, job: Obj, condition: Obj) -> Finding:
    workload, reason = facts.workload(ref), fields.text(condition, "reason")
    spec = fields.mapping(job, "spec")
    why = _WHY.get(reason, "it says no more than that").format(
        failed=_times(fields.number(job, "status", "failed")),
        limit=fields.number(spec, "backoffLimit", default=6),
        deadline=fields.number(spec, "activeDeadlineSeconds"),
        indexes=fields.text(job, "status", "failedIndexes")[:80] or "unnamed",
    )
    of = f" of {workload}" if workload != ref else ""
    key = "activeDeadlineSeconds" if reason == "DeadlineExceeded" else "backoffLimit"
    return Finding(
        cause=GAVE_UP,
        object=workload,
        severity="warning",
        confidence="certain",
        summary=f"Job {ref.name}{of} has given up: {why}.",
        evidence=(
            fact(
                ref,
                f"status.conditions[{fields.text(condition, 'type')}]",
                f"{reason}: {fields.text(condition, 'message')}",
                fields.time_at(condition, "lastTransitionTime"),
            ),
            fact(ref, f"spec.{key}", spec.get(key)),
            fact(ref, "status.failed", fields.at(job, "status", "failed")),
        ),
        affects=(ref,),
        since=fields.time_at(condition, "lastTransitionTime"),
        culprit=f"{workload.kind} {workload.namespace}/{workload.name}",
        next=(
            lib.ask("events", "what its pods and the controller said", scope=str(ref), namespace=ref.namespace),
            lib.ask("get", "its limits", kind="Job", name=ref.name, namespace=ref.namespace),
        ),
    )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times" if number else "again and again"


LINGERS = timedelta(minutes=2)
"""How long a container that nothing marks as a helper may go on after another one has done its work."""
WINDS_DOWN = timedelta(seconds=3)
"""How long a helper takes to notice that the work is done."""
_HELPING = (
    "proxy", "sidecar", "envoy", "agent", "exporter", "collector", "fluent", "filebeat", "vector", "vault", "otel",
    "shipper", "forwarder", "logger", "watcher", "refresher", "dapr", "tunnel", "metrics", "xray", "statsd",
)  # fmt: skip
"""Words in the names of containers and images that stand beside the work."""


@dataclass(frozen=True, slots=True)
class Held:
    """A Job's pod whose work is done and whose other containers go on.

    Attributes:
        done: the container that ended well, the last of them.
        going: those that run on.
        since: when the last work ended.
    """

    ref: Ref
    done: Container
    going: list[Container]
    since: datetime | None


@rule(causes=("job-blocked-by-sidecar",), observes=OBSERVED, explains=BACKENDS)
def sidecar_outlives_job(facts: Facts) -> Verdicts:
    """A pod ends when all its containers have; a sidecar that is no native one keeps the Job from completing.

    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#sidecar-containers-and-jobs
    """
    for pod in lib.unsettled(facts):
        if podstate.ready(pod):
            continue  # a container that is done makes its pod unready
        owner = controller_of(pod)
        if owner is None or owner.kind != "Job" or podstate.finished(pod) or podstate.terminating(pod):
            continue
        held = _held(facts, pod)
        if held is not None:
            yield _blocked(facts, owner, held)


def _held(facts: Facts, pod: Obj) -> Held | None:
    apps = [c for c in podstate.containers(pod) if c.role == "app"]
    done = [c for c in apps if c.terminated and not fields.number(c.terminated, "exitCode")]
    going = [c for c in apps if c.running]
    if not done or not going or len(done) + len(going) < len(apps):
        return None
    last = max(done, key=lambda c: (fields.text(c.terminated, "finishedAt"), c.name))
    since = fields.time_at(last.terminated, "finishedAt")
    idle = facts.now - since if since else LINGERS
    needed = WINDS_DOWN if all(_helps(c) for c in going) and not all(_helps(c) for c in done) else LINGERS
    return Held(ref_of(pod, kinds.POD), last, going, since) if idle >= needed else None


def _helps(container: Container) -> bool:
    """Whether a container looks like one that serves the work: by name, by image, or because it is probed."""
    words = f"{container.name} {fields.text(container.spec, 'image').rpartition('/')[2]}".lower()
    probed = any(container.spec.get(probe) for probe in ("readinessProbe", "livenessProbe", "startupProbe"))
    listens = bool(fields.items(container.spec, "ports"))
    return container.name in HELPERS or probed or listens or any(word in words for word in _HELPING)


def _blocked(facts: Facts, job: Ref, held: Held) -> Finding:
    workload = facts.workload(job)
    names = lib.some(c.name for c in held.going)
    sure = all(_helps(c) for c in held.going)
    return Finding(
        cause="job-blocked-by-sidecar",
        object=workload,
        severity="warning",
        confidence="certain" if sure else "likely",
        summary=(
            f"Job {job.name} does not end: container {held.done.name} has done its work (exit code 0), but {names} "
            "goes on and is no native sidecar (an init container with restartPolicy Always)."
        ),
        evidence=tuple(_evidence(held)),
        affects=(job, held.ref),
        since=held.since,
        culprit=f"{workload.kind} {workload.namespace}/{workload.name}",
        next=(
            lib.ask("get", "its containers", kind="Job", name=job.name, namespace=job.namespace),
            lib.ask_logs(held.ref, held.going[0].name, "what it still does", previous=False),
        ),
    )


def _evidence(held: Held) -> Iterator[Evidence]:
    path = f"status.containerStatuses[{held.done.name}].state.terminated"
    yield fact(held.ref, path, fields.text(held.done.terminated, "reason") or "exit code 0", held.since)
    for container in held.going[:2]:
        began = fields.time_at(container.status, "state", "running", "startedAt")
        yield fact(held.ref, f"status.containerStatuses[{container.name}].state.running", "running", began)
