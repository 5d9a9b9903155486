"""When each quoted fact was seen or began, by what the object itself tells. Pure.

Called by the engine for the evidence of root causes to which its rule gave no time. The field that a piece of evidence
names is looked up in the observed object: a condition has its transition, an ended container its end, an event its last
time; a spec holds since the object was made where nobody has changed it, or since its manager last set it. Must never
guess: what no object dates stays undated, and a rule's own time stays as it is.

Of generations and managed fields: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from firstmate_tools import fields
from firstmate_tools.cluster.ownership import SHAPES
from firstmate_tools.diagnosis import changed
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence
from firstmate_tools.diagnosis.link import Root
from firstmate_tools.fields import Obj
from firstmate_tools.refs import controller_of
from firstmate_tools.text import clean, without_quotes

_STEP = re.compile(r"([^.\[\]]+)(?:\[([^\]]*)\])?")
_EVENT = re.compile(r"events?[ \[]([^\]]+?)(?:\].*)?$")
_STAMP = re.compile(
    r"""(?:^.{0,30}?|"(?:ts|time|@?timestamp)" ?: ?")"""
    r"""(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:\d\d))"""
)
"""The time that a log line begins with, or gives as its own; other times in it may be of anything."""
_LINE_NUMBER = re.compile(r":\d+$")
_OF_THEIR_OWN = ("lastTransitionTime", "finishedAt", "startedAt", "timeAdded", "lastUpdateTime")
"""What dates the mapping that it stands in, the most telling first."""
_TIMES = ("Time", "Timestamp", "At")
"""How the names of fields end that hold a time."""
_OTHERWISE = {
    ("Pod", "requests in all"): "spec.containers",
    **{(kind, "image and ports"): "spec.template" for kind in ("Deployment", "StatefulSet", "DaemonSet")},
    **{(kind, "labels of its pods"): "spec.template" for kind in ("Deployment", "StatefulSet", "DaemonSet")},
}
"""What rules make of one field of a pod or a workload."""
_COUNTED = {
    ("Job", "failed"): ("Failed", "True"),
    ("Deployment", "readyReplicas"): ("Available", "False"),
    ("Deployment", "availableReplicas"): ("Available", "False"),
    ("PodDisruptionBudget", "disruptionsAllowed"): ("DisruptionAllowed", "False"),
}
"""Numbers of which a condition, when it has this status, says since when they are bad."""
_MENDABLE = ("image", "resources", "tolerations", "schedulingGates", "activeDeadlineSeconds")
"""What may be changed in the spec of a pod that is there."""
_FIXED = {
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "PriorityClass": ("value",),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.volumeMode"),
    "CertificateSigningRequest": ("spec",),
}
"""Fields that nobody can change once the object is there."""
_CORDONED = "node.kubernetes.io/unschedulable"
_TOGETHER = timedelta(seconds=1)
"""Times are whole seconds: what was written while an object was made may be one later."""


def dated(root: Root, facts: Facts) -> Root:
    """The same root cause, each piece of its evidence with its time where an object gives one."""
    evidence = tuple(e if e.at else replace(e, at=moment(e, facts)) for e in root.finding.evidence)
    return replace(root, finding=replace(root.finding, evidence=evidence))


def moment(evidence: Evidence, facts: Facts) -> datetime | None:
    """When a fact was seen or began, None where nothing that was observed tells."""
    field = without_quotes(evidence.field)
    if field.startswith("event"):
        return _event(evidence, field, facts)
    obj = facts.get(evidence.object) or {}
    if field.startswith("log"):
        return _line(obj, field, evidence.value, facts.now)
    return of_field(obj, evidence.object.kind, field, facts.now)


def of_field(obj: Obj, kind: str, field: str, now: datetime) -> datetime | None:
    """When a field of an object became as it is, None where the object does not tell.

    Args:
        field: as evidence names it: `status.conditions[Ready].message`, `spec.replicas`. What follows a space explains.
    """
    if kind == "Pod" and field == "status":
        ready = fields.condition(obj, "Ready") or fields.condition(obj, "PodScheduled")
        return _deleted(obj, now) or fields.time_at(ready, "lastTransitionTime")
    plain = _LINE_NUMBER.sub(
        "", _OTHERWISE.get((kind, field), field).removeprefix("template ").split(" ")[0].rstrip(",")
    )
    steps = [(name, inner) for name, inner in _STEP.findall(plain)]
    if not steps or (steps[0][0] not in obj and steps[0][0] not in {"spec", "data"}):
        return None
    top, last = steps[0][0], steps[-1][0]
    if plain in {"metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds", "metadata.finalizers"}:
        return _deleted(obj, now)
    if last.endswith(_TIMES) and (told := _told(obj, steps)) and told <= now:  # a renewal's may be yet to come
        return told
    if top == "status":
        return _status(obj, kind, steps)
    own = next((found for here in reversed(list(_along(obj, steps[:-1]))) if (found := _own(here))), None)
    return own or _since(obj, kind, plain)


def _event(evidence: Evidence, field: str, facts: Facts) -> datetime | None:
    named = _EVENT.match(field)
    rows = facts.events(evidence.object, named[1]) if named else []
    said = evidence.value.rstrip("…")[:80]
    return next((row.last for row in rows if said and said in clean(row.message)), rows[0].last if rows else None)


def _line(obj: Obj, field: str, line: str, now: datetime) -> datetime | None:
    """The time that a log line bears, with its zone; else the end of the container that said it, where it has ended."""
    stamp = _STAMP.search(line)
    at = fields.parse_time(stamp[1].replace(",", ".")) if stamp else None
    made = fields.time_at(obj, "metadata", "creationTimestamp")
    if at is not None and made is not None and made <= at <= now:  # not by a clock that is wrong
        return at
    _, inner = _STEP.findall(field)[0]
    for section in ("containerStatuses", "initContainerStatuses"):
        for entry in fields.items(obj, "status", section):
            if fields.text(entry, "name") == inner and not fields.mapping(entry, "state", "running"):
                return _ended(entry)
    return None


def _status(obj: Obj, kind: str, steps: list[tuple[str, str]]) -> datetime | None:
    names = [name for name, _ in steps]
    if len(names) > 1 and names[1].endswith("ontainerStatuses"):
        return _container(obj, steps)
    if names == ["status", "phase"]:
        gone = fields.time_at(obj, "metadata", "deletionTimestamp") if kind == "Namespace" else None
        return gone or fields.time_at(obj, "status", "lastPhaseTransitionTime") or _phase(obj, kind)
    for here in reversed(list(_along(obj, steps))[1:]):  # not by the times of the status as a whole
        if found := _own(here):
            return found
    if names[1:2] == ["sync"]:
        return fields.time_at(obj, "status", "reconciledAt")  # when Argo CD last compared
    if names == ["status", "hard"]:
        return _since(obj, kind, "spec.hard")
    condition, status = _COUNTED.get((kind, names[-1]), ("", ""))
    found = fields.condition(obj, condition)
    return fields.time_at(found, "lastTransitionTime") if condition and found.get("status") == status else None


def _phase(obj: Obj, kind: str) -> datetime | None:
    """A claim or pod that is still pending has been so since it was made."""
    waits = kind in {"Pod", "PersistentVolumeClaim"} and fields.text(obj, "status", "phase") == "Pending"
    return fields.time_at(obj, "metadata", "creationTimestamp") if waits else None


def _container(pod: Obj, steps: list[tuple[str, str]]) -> datetime | None:
    """Of a container's state: its end or start; one that waits does so since its last run, or since it is unready."""
    path = list(_along(pod, steps))
    for here in reversed(path):
        if (found := _own(here)) or (found := _own(fields.mapping(here, "terminated"))):
            return found
    entry = next((here for here in path if "name" in here and ("state" in here or "lastState" in here)), None)
    if entry is None:
        return None
    names = {name for name, _ in steps}
    if "waiting" not in names and names & {"state", "lastState"} and (run := fields.mapping(entry, "state", "running")):
        return _own(run)
    if ended := _ended(entry):
        return ended
    kind = "Initialized" if steps[1][0].startswith("init") else "ContainersReady"
    unready = fields.condition(pod, kind) or fields.condition(pod, "Ready")
    return fields.time_at(unready, "lastTransitionTime") if unready.get("status") == "False" else None


def _ended(entry: Obj) -> datetime | None:
    states = (fields.mapping(entry, state, "terminated") for state in ("state", "lastState"))
    return next((at for state in states if (at := fields.time_at(state, "finishedAt"))), None)


def _own(here: Obj) -> datetime | None:
    return next((at for key in _OF_THEIR_OWN if (at := fields.time_at(here, key))), None)


def _along(obj: Obj, steps: list[tuple[str, str]]) -> Iterator[Obj]:
    """The mappings that a path leads through, the outermost first, as far as they are there."""
    here: Any = obj
    for name, inner in steps:
        here = here.get(name)
        if isinstance(here, list):
            here = _entry([cast("Obj", e) for e in cast("list[object]", here) if isinstance(e, dict)], inner)
        elif inner and isinstance(here, dict):
            yield cast("Obj", here)
            here = cast("Obj", here).get(inner)
        if not isinstance(here, dict):
            return
        here = cast("Obj", here)
        yield here


def _entry(entries: list[Obj], inner: str) -> Obj | None:
    if inner.isdecimal():
        return entries[int(inner)] if int(inner) < len(entries) else None
    return next((e for e in entries if inner and any(e.get(key) == inner for key in ("name", "type", "key"))), None)


def _deleted(obj: Obj, now: datetime) -> datetime | None:
    """When an object was deleted: what it bears is the end of the time that it is given, which may be yet to come."""
    ends = fields.time_at(obj, "metadata", "deletionTimestamp")
    grace = min(fields.number(obj, "metadata", "deletionGracePeriodSeconds"), 10**6)
    return ends - timedelta(seconds=grace) if ends is not None and ends > now else ends


def _told(obj: Obj, steps: list[tuple[str, str]]) -> datetime | None:
    holder = list(_along(obj, steps[:-1]))
    return fields.time_at(holder[-1], steps[-1][0]) if holder else None


def _since(obj: Obj, kind: str, path: str) -> datetime | None:
    """Since when what a person has written holds."""
    made = fields.time_at(obj, "metadata", "creationTimestamp")
    generation = fields.number(obj, "metadata", "generation")
    if kind == "Pod":
        return _of_pod(obj, path, made, generation)
    if kind == "Node" and path == "spec.unschedulable":
        taints = fields.items(obj, "spec", "taints")
        return next((fields.time_at(t, "timeAdded") for t in taints if t.get("key") == _CORDONED), None)
    if kind in {"NodeMetrics", "PodMetrics"}:
        return fields.time_at(obj, "timestamp")
    if kind == "ReplicaSet" and path.startswith("spec.template") and controller_of(obj):
        return made  # its Deployment never changes it
    if not path.startswith("metadata") and (generation == 1 or path.startswith(_FIXED.get(kind, ()))):
        return made
    if owner := _owner(obj, path):
        return owner
    known = kind not in SHAPES and kind != "Node" and path != "metadata.name"
    return made if known and _untouched(obj, made) else None


def _of_pod(pod: Obj, path: str, made: datetime | None, generation: int) -> datetime | None:
    if path.startswith("metadata"):
        return None
    if path == "spec.nodeName":
        scheduled = fields.condition(pod, "PodScheduled")
        return fields.time_at(scheduled, "lastTransitionTime") if scheduled else made
    return None if generation > 1 and any(part in path for part in _MENDABLE) else made


def _owner(obj: Obj, path: str) -> datetime | None:
    """When the manager of a field last set what it owns; the newest, where several own it or what is in it."""
    asked = re.sub(r"^(spec\.)?(jobTemplate\.spec\.)?(template\.)?(spec\.)?", "", path)
    inside = (f"{asked}.", f"{asked}[")
    return next(
        (
            change.at
            for change in changed.changes(obj)
            if asked
            and any(p == asked or p.startswith(inside) or asked.startswith((f"{p}.", f"{p}[")) for p in change.paths)
        ),
        None,
    )


def _untouched(obj: Obj, made: datetime | None) -> bool:
    """Whether nobody has written to an object since it was made, its status aside; False where that is not known.

    Only for kinds of which `slim` keeps when they were written to.
    """
    entries = [e for e in fields.items(obj, "metadata", "managedFields") if fields.text(e, "subresource") != "status"]
    times = [fields.time_at(entry, "time") for entry in entries]
    return made is not None and bool(times) and all(at is not None and at <= made + _TOGETHER for at in times)
