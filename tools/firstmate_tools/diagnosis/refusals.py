"""Controllers that are refused the objects that they try to create. Pure; called by the admission rules.

A refusal leaves no object behind: all that shows it are the condition ReplicaFailure of a ReplicaSet and Warning events
of its controller. Both may be old (a ReplicaSet keeps the message of the first failure), so that a refusal counts only
while the controller still has fewer objects than it wants, and only the newest words about it count.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.admission.texts import Gate, Told, read
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.rule import GetWant
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, ref_of

CREATORS = (kinds.REPLICA_SET, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB, kinds.REPLICATION_CONTROLLER)
"""What creates pods from a template of its own."""
UNLISTED = (kinds.REPLICATION_CONTROLLER, kinds.CRON_JOB)
REASONS = ("FailedCreate", "ReplicaSetCreateError")
_CLAIM = re.compile(r"(?i)create claim \S+ for pod ")
SAME_MOMENT = timedelta(seconds=1)
"""Events are dated to the second; refusals so close together have no order."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A controller that is refused what it tries to create.

    Attributes:
        creator: the controller; `workload` is what a person edits.
        kind: what it tries to create: pods, or for Deployments and CronJobs their ReplicaSets and Jobs.
        template: of the pods.
        wanted, existing: how many objects it wants and has; `existing` is below `wanted`.
        told: who refused, by the newest words; `others` are those that spoke in the same moment.
        message, field: those words and where they stand; `at` is when.
        since: when refusals began.
    """

    creator: Ref
    workload: Ref
    kind: Kind
    template: Obj
    wanted: int
    existing: int
    told: Told
    others: tuple[Told, ...]
    message: str
    field: str
    at: datetime | None
    since: datetime | None

    @property
    def of_claims(self) -> bool:
        """Whether it is a StatefulSet that may not create its pods' claims (stateful_pod_control.go, v1.36)."""
        return self.creator.kind == "StatefulSet" and _CLAIM.match(self.message) is not None

    def by(self, gate: Gate) -> Told | None:
        """What this gate said, where it is among the newest words."""
        return next((told for told in (self.told, *self.others) if told.gate is gate), None)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A refusal of the past: its controller has all that it wants."""

    creator: Ref
    wanted: int
    told: Told


@dataclass(frozen=True, slots=True)
class _Words:
    message: str
    field: str
    first: datetime | None
    last: datetime | None


def refusals(facts: Facts) -> list[Refusal]:
    """The controllers in scope that are refused objects now, by kind and name."""
    return facts.derived(_refusals)


def resolved(facts: Facts) -> list[Resolved]:
    """Refusals that events still tell of, though their controllers have all that they want."""
    return facts.derived(_resolved)


def creators_wanted(facts: Facts) -> Iterator[GetWant]:
    """Creators that no question lists: only those whose events tell of a refusal."""
    for row in facts.every_event():
        kind = next((kind for kind in UNLISTED if kind.kind == row.about.kind), None)
        if kind is not None and row.reason in REASONS:
            yield GetWant(kind, row.about)


def of(facts: Facts, gate: Gate) -> Iterator[tuple[Refusal, Told]]:
    """The refusals of now that one gate spoke."""
    for refusal in refusals(facts):
        told = refusal.by(gate)
        if told is not None:
            yield refusal, told


def _refusals(facts: Facts) -> list[Refusal]:
    return [refusal for obj, kind in _spoken_of(facts) if (refusal := _refusal(facts, obj, kind)) is not None]


def _resolved(facts: Facts) -> list[Resolved]:
    found: list[Resolved] = []
    for obj, kind in _spoken_of(facts):
        wanted, existing = counts(facts, obj, kind)
        if existing >= wanted and not podstate.terminating(obj):
            ref = ref_of(obj, kind)
            gates = {told.gate: told for told in (read(words.message) for words in _words(facts, obj, kind, ref))}
            found += [Resolved(ref, wanted, told) for told in gates.values() if told.gate is not Gate.OTHER]
    return found


def _spoken_of(facts: Facts) -> Iterator[tuple[Obj, Kind]]:
    """Controllers whose condition or events tell of a refusal, old ones included."""
    for kind in (*CREATORS, kinds.DEPLOYMENT, kinds.CRON_JOB):
        for obj in facts.all(kind):
            if _failing(obj, kind) or facts.events(ref_of(obj, kind), *REASONS):
                yield obj, kind


def _failing(obj: Obj, kind: Kind) -> Obj:
    """The condition by which an object says itself that it cannot create what it wants, {} where it does not."""
    # A Deployment repeats its ReplicaSet's ReplicaFailure: its own trouble is only what it creates itself.
    name, status = ("Progressing", "False") if kind == kinds.DEPLOYMENT else ("ReplicaFailure", "True")
    found = fields.condition(obj, name)
    return found if found.get("status") == status and found.get("reason") in REASONS else {}


def _status(obj: Obj) -> Obj:
    return fields.mapping(obj, "status")


def counts(facts: Facts, obj: Obj, kind: Kind) -> tuple[int, int]:
    """How many objects a controller wants, and how many it has now."""
    ref = ref_of(obj, kind)
    if kind == kinds.DEPLOYMENT:
        # It wants one ReplicaSet of its newest template, and says itself whether it could create it.
        return (1, 0) if _failing(obj, kind) else (1, 1)
    if kind == kinds.CRON_JOB:
        return _count_jobs(facts, obj, kind, ref)
    return wanted_pods(obj, kind), _existing_pods(facts, obj, kind, ref)


def _count_jobs(facts: Facts, obj: Obj, kind: Kind, ref: Ref) -> tuple[int, int]:
    """A CronJob lacks a Job from a refusal until a later run was scheduled."""
    spoken = _words(facts, obj, kind, ref)
    scheduled = fields.time_at(obj, "status", "lastScheduleTime")
    later = scheduled is not None and all(words.last is None or words.last < scheduled for words in spoken)
    return (1, 1) if later or fields.flag(obj, "spec", "suspend") else (1, 0)


def wanted_pods(obj: Obj, kind: Kind) -> int:
    """How many pods a controller wants at once."""
    spec, status = fields.mapping(obj, "spec"), _status(obj)
    if kind == kinds.DAEMON_SET:
        return fields.number(status, "desiredNumberScheduled")
    if kind != kinds.JOB:
        return fields.number(spec, "replicas", default=1)
    over = any(c.get("type") in {"Complete", "Failed"} and c.get("status") == "True" for c in _conditions(status))
    if over or fields.flag(spec, "suspend"):
        return 0
    parallel = fields.number(spec, "parallelism", default=1)
    if fields.at(spec, "completions") is None:
        return 0 if fields.number(status, "succeeded") else parallel
    return min(parallel, max(0, fields.number(spec, "completions") - fields.number(status, "succeeded")))


def _conditions(status: Obj) -> list[Obj]:
    return fields.items(status, "conditions")


def _existing_pods(facts: Facts, obj: Obj, kind: Kind, ref: Ref) -> int:
    """The pods that a controller has, neither finished nor terminating; by its status where pods are not known."""
    if facts.knows(kinds.POD, ref.namespace):
        pods = [facts.get(pod) for pod in facts.graph.after(ref, "owns") if pod.kind == "Pod"]
        return sum(
            1 for pod in pods if pod is not None and not podstate.finished(pod) and not podstate.terminating(pod)
        )
    counter = {"DaemonSet": "currentNumberScheduled", "Job": "active"}.get(kind.kind, "replicas")
    return fields.number(_status(obj), counter)


def _refusal(facts: Facts, obj: Obj, kind: Kind) -> Refusal | None:
    wanted, existing = counts(facts, obj, kind)
    if existing >= wanted or podstate.terminating(obj):
        return None
    ref = ref_of(obj, kind)
    spoken = _words(facts, obj, kind, ref)
    newest = _newest(spoken)
    if not newest:
        return None
    told = [read(words.message) for words in newest]
    creates = {kinds.DEPLOYMENT: kinds.REPLICA_SET, kinds.CRON_JOB: kinds.JOB}.get(kind, kinds.POD)
    return Refusal(
        creator=ref,
        workload=facts.workload(ref),
        kind=creates,
        template=_template(obj),
        wanted=wanted,
        existing=existing,
        told=told[0],
        others=tuple(told[1:]),
        message=newest[0].message,
        field=newest[0].field,
        at=newest[0].last,
        since=min((words.first for words in spoken if words.first), default=None),
    )


def _template(obj: Obj) -> Obj:
    return fields.mapping(obj, "spec", "jobTemplate", "spec", "template") or fields.mapping(obj, "spec", "template")


def _words(facts: Facts, obj: Obj, kind: Kind, ref: Ref) -> list[_Words]:
    """What was said about a controller's refusals, newest first; its condition only where no event is left."""
    rows = [row for row in facts.events(ref, *REASONS) if _about(row, obj)]
    if rows:
        return [_Words(row.message, f"event {row.reason}", row.first, row.last) for row in rows]
    condition = _failing(obj, kind)
    if condition:
        moment = fields.time_at(condition, "lastTransitionTime")
        field = f"status.conditions[{fields.text(condition, 'type')}].message"
        return [_Words(fields.text(condition, "message"), field, moment, moment)]
    return []


def _about(row: EventRow, obj: Obj) -> bool:
    """Whether an event is about this object, and not about one of the same name before it."""
    return not row.about_uid or not fields.uid_of(obj) or row.about_uid == fields.uid_of(obj)


def _newest(spoken: Iterable[_Words]) -> list[_Words]:
    """The newest words and those of the same moment; of these, words that are understood come first."""
    words = list(spoken)
    if not words:
        return []
    latest = words[0].last
    near = [w for w in words if latest is None or (w.last is not None and latest - w.last <= SAME_MOMENT)]
    return sorted(near or words[:1], key=lambda w: read(w.message).gate is Gate.OTHER)
