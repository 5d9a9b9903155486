"""How the rollout of a workload stands, from its own spec and status. Pure.

The words follow `kubectl rollout status` (k8s.io/kubectl pkg/polymorphichelpers/rollout_status.go, v0.36), and go on
where it only waits: a paused or a partitioned rollout, one that waits for somebody to delete pods, a Job, a CronJob.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields, kinds
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

WORKLOADS = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB, kinds.CRON_JOB)
SETTLED = frozenset(
    {"complete", "scaled to zero", "suspended", "running", "succeeded", "scheduled", "paused", "up to its partition"}
)
"""States that ask for nobody's attention by themselves."""
PROGRESSING = "progressing"
STARTING = "starting"
ON_THE_WAY = frozenset({PROGRESSING, STARTING, "running"})
"""States that are well as long as none of the pods says otherwise."""
_BAD_WHERE_TRUE = frozenset({"ReplicaFailure", "Failed", "FailureTarget"})
_NO_TROUBLE = frozenset({"Suspended", "Complete", "SuccessCriteriaMet"})


@dataclass(frozen=True, slots=True)
class Standing:
    """One workload's rollout in numbers and a word.

    Attributes:
        state: see `SETTLED` and `ON_THE_WAY`; else stuck, cannot create pods, unready pods, failed, retrying, last
            run failed, waits for its pods to be deleted.
        desired, ready: pods; completions of a Job, active Jobs of a CronJob.
    """

    state: str
    desired: int
    ready: int
    updated: int | None = None
    available: int | None = None

    @property
    def settled(self) -> bool:
        return self.state in SETTLED


def standing(kind: Kind, obj: Obj, jobs: list[Obj] | None = None) -> Standing:
    """How a workload stands.

    Args:
        jobs: for a CronJob, its Jobs, where they are known.
    """
    if kind == kinds.DEPLOYMENT:
        return _deployment(obj)
    if kind == kinds.STATEFUL_SET:
        return _stateful_set(obj)
    if kind == kinds.DAEMON_SET:
        return _daemon_set(obj)
    if kind == kinds.JOB:
        return _job(obj)
    return _cron_job(obj, jobs or [])


def _seen(obj: Obj) -> bool:
    """Whether the controller has looked at the newest spec."""
    return fields.number(obj, "status", "observedGeneration") >= fields.number(obj, "metadata", "generation")


def _status(obj: Obj, name: str) -> int:
    return fields.number(obj, "status", name)


def _deployment(obj: Obj) -> Standing:
    desired = fields.number(obj, "spec", "replicas", default=1)
    updated, available = _status(obj, "updatedReplicas"), _status(obj, "availableReplicas")
    progressing = fields.condition(obj, "Progressing")
    state = "complete"
    if not _seen(obj):
        state = PROGRESSING
    elif fields.condition(obj, "ReplicaFailure").get("status") == "True":
        state = "cannot create pods"
    elif progressing.get("reason") == "ProgressDeadlineExceeded":
        state = "stuck"
    elif fields.flag(obj, "spec", "paused"):
        state = "paused"
    elif desired == 0 and _status(obj, "replicas") == 0:
        state = "scaled to zero"
    elif updated < desired or _status(obj, "replicas") > updated:
        state = PROGRESSING
    elif available < updated:
        state = "unready pods" if progressing.get("reason") == "NewReplicaSetAvailable" else PROGRESSING
    return Standing(state, desired, _status(obj, "readyReplicas"), updated, available)


def _stateful_set(obj: Obj) -> Standing:
    desired, ready = fields.number(obj, "spec", "replicas", default=1), _status(obj, "readyReplicas")
    updated = _status(obj, "updatedReplicas")
    strategy = fields.mapping(obj, "spec", "updateStrategy")
    partition = fields.number(strategy, "rollingUpdate", "partition")
    current, newest = fields.text(obj, "status", "currentRevision"), fields.text(obj, "status", "updateRevision")
    changing = current != newest
    state = "complete"
    if not _seen(obj):
        state = PROGRESSING
    elif desired == 0 and _status(obj, "replicas") == 0:
        state = "scaled to zero"
    elif fields.text(strategy, "type") == "OnDelete" and changing:
        state = "waits for its pods to be deleted"
    elif ready < desired:
        state = PROGRESSING if changing or _status(obj, "replicas") < desired else "unready pods"
    elif changing and partition > 0 and updated >= desired - partition:
        state = "up to its partition"
    elif changing:
        state = PROGRESSING
    return Standing(state, desired, ready, updated, _status(obj, "availableReplicas"))


def _daemon_set(obj: Obj) -> Standing:
    desired, ready = _status(obj, "desiredNumberScheduled"), _status(obj, "numberReady")
    updated, available = _status(obj, "updatedNumberScheduled"), _status(obj, "numberAvailable")
    state = "complete"
    if not _seen(obj):
        state = PROGRESSING
    elif desired == 0:
        state = "scaled to zero"
    elif fields.text(obj, "spec", "updateStrategy", "type") == "OnDelete" and updated < desired:
        state = "waits for its pods to be deleted"
    elif updated < desired:
        state = PROGRESSING
    elif available < desired:
        state = "unready pods"
    return Standing(state, desired, ready, updated, available)


def _job(obj: Obj) -> Standing:
    """A Job runs where every pod that it wants now is there and ready; `status.ready` counts those."""
    desired = fields.number(obj, "spec", "completions", default=1)
    active = _status(obj, "active")
    state = "running" if active and _status(obj, "ready") >= active else STARTING
    state = "retrying" if _status(obj, "failed") else state
    for condition, word in (("Complete", "succeeded"), ("Failed", "failed"), ("Suspended", "suspended")):
        if fields.condition(obj, condition).get("status") == "True":
            state = word
            break
    return Standing(state, desired, _status(obj, "succeeded"))


def _cron_job(obj: Obj, jobs: list[Obj]) -> Standing:
    active = len(fields.items(obj, "status", "active"))
    ended = [state for job in newest_first(jobs) if (state := _job(job).state) in {"succeeded", "failed"}]
    state = "running" if active else "scheduled"
    if fields.flag(obj, "spec", "suspend"):
        state = "suspended"
    elif ended and ended[0] == "failed":
        state = "last run failed"
    return Standing(state, 0, active)


def newest_first(objects: list[Obj]) -> list[Obj]:
    """By creation, then by name."""
    return sorted(
        objects,
        key=lambda one: (fields.text(one, "metadata", "creationTimestamp"), fields.name_of(one)),
        reverse=True,
    )


def bad_conditions(obj: Obj) -> Iterator[tuple[str, datetime | None]]:
    """What conditions say is wrong, in words, each with since when."""
    for entry in fields.items(obj, "status", "conditions"):
        type_, status = fields.text(entry, "type"), fields.text(entry, "status")
        good = "False" if type_ in _BAD_WHERE_TRUE else "True"
        if not status or status == good or type_ in _NO_TROUBLE:
            continue
        said = ": ".join(filter(None, (fields.text(entry, "reason"), fields.text(entry, "message"))))
        yield f"{type_} is {status}: {said or 'no reason given'}", fields.time_at(entry, "lastTransitionTime")


def revision_number(obj: Obj) -> int:
    """The number of a revision: of a ReplicaSet by its annotation, of a ControllerRevision by its field."""
    stated = fields.string_map(obj, "metadata", "annotations").get("deployment.kubernetes.io/revision", "")
    return int(stated) if stated.isdecimal() and len(stated) < 19 else fields.number(obj, "revision")


def revision_template(obj: Obj) -> Obj:
    """The pod template of a revision: of a ReplicaSet, or of a ControllerRevision's patch."""
    return fields.mapping(obj, "spec", "template") or fields.mapping(obj, "data", "spec", "template")


def holds_itself_up(obj: Obj, unwell: list[Obj]) -> Iterator[str]:
    """Where the way in which a StatefulSet works keeps it from going on.

    Pods come one after another unless podManagementPolicy is Parallel, and a broken pod of an old revision is not
    replaced (kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback).
    """
    if not unwell or "podManagementPolicy" not in fields.mapping(obj, "spec"):
        return
    names = ", ".join(sorted(fields.name_of(pod) for pod in unwell)[:3])
    newest = fields.text(obj, "status", "updateRevision")
    old = [p for p in unwell if fields.labels_of(p).get("controller-revision-hash") not in {newest, None}]
    ordered = fields.text(obj, "spec", "podManagementPolicy") != "Parallel"
    if ordered and old and fields.text(obj, "status", "currentRevision") != newest:
        yield f"{names}: of an old revision and broken, which a StatefulSet waits for and does not replace: delete it"
    elif ordered and fields.number(obj, "status", "replicas") < fields.number(obj, "spec", "replicas", default=1):
        yield f"its pods are created in order: the next one waits until {names} is ready"
