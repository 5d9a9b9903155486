"""Pods that wait although no scheduler has refused them: gated, pinned, or never looked at. Pure.

Called by the rules in rules/unattended.py. What decides is what is absent: a running scheduler gives every pod without
a node a verdict (the condition PodScheduled) within moments.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.lib import earliest
from firstmate_tools.diagnosis.unplaced import DEFAULT_SCHEDULER, YOUNG, unplaced
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.scheduling.fit import Why

How = Literal["gated", "pinned", "unseen"]
LEASES = "kube-system"
STALE = timedelta(seconds=60)
"""A leader renews its Lease every two seconds (kube-scheduler's defaults, v1.36: --leader-elect-retry-period)."""
BUSY = timedelta(seconds=60)
"""How long a scheduler that runs may leave a pod without a verdict, in a queue of thousands."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pods of one workload that wait in the same way.

    Attributes:
        what: the gates, the node's name, or the scheduler's name.
        since: when the first of them was created.
    """

    workload: Ref
    how: How
    what: str
    pods: tuple[Ref, ...]
    pod: Obj
    since: datetime | None


def waiting(facts: Facts) -> list[Waiting]:
    """The pods in scope that wait without a scheduler's verdict, by workload."""
    groups: dict[tuple[Ref, How, str], list[Obj]] = defaultdict(list)
    for pod in lib.unsettled(facts):
        told = _how(facts, pod)
        if told is not None:
            groups[(facts.workload(ref_of(pod, kinds.POD)), *told)].append(pod)
    return [
        Waiting(
            workload=workload,
            how=how,
            what=what,
            pods=tuple(ref_of(pod, kinds.POD) for pod in group),
            pod=group[0],
            since=earliest(fields.time_at(pod, "metadata", "creationTimestamp") for pod in group),
        )
        for (workload, how, what), group in sorted(groups.items(), key=lambda entry: entry[0])
    ]


def _how(facts: Facts, pod: Obj) -> tuple[How, str] | None:
    if fields.text(pod, "status", "phase") not in {"Pending", ""} or podstate.terminating(pod):
        return None
    created = fields.time_at(pod, "metadata", "creationTimestamp")
    if created is not None and facts.now - created < YOUNG:
        return None
    scheduled, node = fields.condition(pod, "PodScheduled"), fields.text(pod, "spec", "nodeName")
    gates = ", ".join(fields.text(gate, "name") for gate in fields.items(pod, "spec", "schedulingGates"))
    if gates and not node:
        return "gated", gates
    if scheduled or fields.text(pod, "status", "startTime"):
        return None
    if node:
        absent = facts.exists(Ref("Node", "", node)) is False
        return ("pinned", node) if absent else None
    return "unseen", fields.text(pod, "spec", "schedulerName") or DEFAULT_SCHEDULER


def unseen(facts: Facts) -> list[Waiting]:
    """Those that no scheduler has looked at."""
    return [group for group in facts.derived(waiting) if group.how == "unseen"]


def since_creation(facts: Facts, group: Waiting) -> timedelta:
    """How long the first of some pods has waited."""
    return facts.now - group.since if group.since else timedelta(0)


@dataclass(frozen=True, slots=True)
class Leader:
    """A Lease by which a scheduler says that it runs.

    Attributes:
        idle: for how long nobody has renewed it; below zero where it claims a time to come; None where it says nothing.
    """

    ref: Ref
    holder: str
    renewed: datetime | None
    idle: timedelta | None

    @property
    def fresh(self) -> bool:
        return self.idle is not None and -STALE <= self.idle <= STALE

    @property
    def stale(self) -> bool:
        return self.idle is not None and self.idle > STALE


def leader(facts: Facts, names: Iterable[str]) -> Leader | None:
    """The Lease of the first of these names that is there, in kube-system or beside the scheduler's own pods."""
    for name in names:
        for lease in facts.everywhere(kinds.LEASE):
            if fields.name_of(lease) == name:
                renewed = fields.time_at(lease, "spec", "renewTime")
                holder = fields.text(lease, "spec", "holderIdentity")
                idle = facts.now - renewed if renewed else None
                return Leader(ref_of(lease, kinds.LEASE), holder, renewed, idle)
    return None


def unplaced_open(facts: Facts) -> tuple[Ref, ...]:
    """Pods that were refused once and that some node would take by now: a scheduler that runs would see to them."""
    open_cases = [case for case in facts.derived(unplaced) if case.verdict.why is Why.FITS]
    return tuple(ref for case in open_cases for ref in (case.workload, *case.pods))


def told(span: timedelta) -> str:
    """`45 s`, `12 min`, `3 h`, `2 days`."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
