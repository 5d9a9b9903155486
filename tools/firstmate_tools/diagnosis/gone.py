"""Pods that a kubelet refused or evicted, also where only an event of them is left. Pure.

Failed pods of a ReplicaSet or a Job stay; a StatefulSet or DaemonSet deletes them and makes new ones, so that the event
is all there is. Whose they were is told by the name that the controller gave them, checked against what is there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib, spent
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, controller_of, ref_of

RECENT = timedelta(hours=1)
"""How long a pod that has been replaced since counts."""
_NUMBERED = re.compile(r"(.+)-\d+")
_RANDOM = re.compile(r"(.+)-[a-z0-9]{5}")


@dataclass(frozen=True, slots=True)
class Gone:
    """One pod that was ended before or against its will.

    Attributes:
        spec: the pod, or the pod template of its workload where it is no longer there.
        message: what the kubelet said.
        at: when, None where nothing tells.
    """

    workload: Ref
    ref: Ref
    spec: Obj
    message: str
    words: Evidence
    at: datetime | None


def gone(facts: Facts, reason: str) -> Iterator[Gone]:
    """Pods that failed for a reason, by status, and by recent events about pods that are no longer there."""
    seen: set[Ref] = set()
    for pod in lib.unsettled(facts):
        if fields.text(pod, "status", "phase") == "Failed" and fields.text(pod, "status", "reason") == reason:
            ref, message = ref_of(pod, kinds.POD), fields.text(pod, "status", "message")
            if _made_up_for(facts, pod):
                continue
            at = _ended(facts, ref, pod, reason)
            seen.add(ref)
            yield Gone(facts.workload(ref), ref, pod, message, fact(ref, "status.message", message, at), at)
    for row in facts.every_event():
        if row.reason != reason or row.about.kind != "Pod" or row.about in seen:
            continue
        there = facts.get(row.about)
        if there is not None and row.about_uid in {"", fields.uid_of(there)}:
            continue  # the pod itself says what it is
        owner = _owner(facts, row.about)
        in_scope = facts.scope.namespace in {None, row.about.namespace}
        if owner is not None and in_scope and row.last is not None and facts.now - row.last < RECENT:
            seen.add(row.about)
            template = lib.named_template(facts, owner)
            yield Gone(owner, row.about, template, row.message, said(row), row.last)


def _made_up_for(facts: Facts, pod: Obj) -> bool:
    """Whether the Job of a pod has got over its failure."""
    owner = controller_of(pod)
    job = facts.get(owner) if owner is not None and owner.kind == "Job" else None
    return owner is not None and job is not None and spent.overcome(facts, owner, job)


def _ended(facts: Facts, ref: Ref, pod: Obj, reason: str) -> datetime | None:
    rows = facts.events(ref, reason)
    if rows and rows[0].last:
        return rows[0].last
    ready = fields.time_at(fields.condition(pod, "Ready"), "lastTransitionTime")
    return ready or fields.time_at(pod, "status", "startTime") or fields.time_at(pod, "metadata", "creationTimestamp")


def _owner(facts: Facts, pod: Ref) -> Ref | None:
    """The workload whose controller gave a pod its name."""
    for kind, pattern in (
        (kinds.STATEFUL_SET, _NUMBERED),
        (kinds.DAEMON_SET, _RANDOM),
        (kinds.REPLICA_SET, _RANDOM),
        (kinds.JOB, _RANDOM),
    ):
        match = pattern.fullmatch(pod.name)
        ref = Ref(kind.kind, pod.namespace, match.group(1)) if match else None
        if ref is not None and facts.get(ref) is not None:
            return facts.workload(ref)
    return None
