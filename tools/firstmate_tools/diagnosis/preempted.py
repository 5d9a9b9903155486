"""Pods that were evicted for a pod of higher priority, and have found no room since. Pure.

The scheduler tells of it in an event of the evicted pod, which is gone then (pkg/scheduler/framework/preemption, v1.36:
`Preempted by pod <uid> on node <name>`; before v1.26 with namespace and name). An event alone is the past: it counts
while the pod that took the place is still there, and would leave room if it were not.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.refusals import CREATORS
from firstmate_tools.diagnosis.unplaced import Unplaced, unplaced
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, plus, pod_requests
from firstmate_tools.refs import Ref, ref_of

REASON = "Preempted"
SYSTEM_PRIORITY = 2_000_000_000
"""Priorities of the cluster's own pods begin here (system-cluster-critical)."""
_BY = re.compile(r"[Pp]reempted by (?:\S+ )?(?P<who>[^\s]+) on node (?P<node>\S+)")


@dataclass(frozen=True, slots=True)
class Eviction:
    """One workload's pods that were evicted for the pods of another.

    Attributes:
        victim: the workload of those who had to go; a pod where nothing owned it.
        cases: its pods that have no node now; () for a pod that nobody makes again.
        taker: the workload that came; `pods` those of its pods that still have the place.
        told: the events, newest first.
    """

    victim: Ref
    cases: tuple[Unplaced, ...]
    taker: Ref
    pods: tuple[Obj, ...]
    told: tuple[EventRow, ...]

    @property
    def since(self) -> datetime | None:
        return min((row.first for row in self.told if row.first), default=None)


def events(facts: Facts) -> list[EventRow]:
    """What events tell of evictions, newest first."""
    return facts.derived(_events)


def _events(facts: Facts) -> list[EventRow]:
    return [row for row in facts.every_event() if row.reason == REASON and row.about.kind == "Pod"]


def priority(pod: Obj) -> int:
    return fields.number(pod, "spec", "priority")


def may_have_been(facts: Facts) -> bool:
    """Whether pods wait, and others have a priority for which somebody may have been evicted."""
    if not facts.derived(unplaced):
        return False
    return any(0 < priority(pod) < SYSTEM_PRIORITY for pod in facts.everywhere(kinds.POD))


def evictions(facts: Facts) -> list[Eviction]:
    """The evictions that still hurt, by victim and taker."""
    return facts.derived(_evictions)


def _evictions(facts: Facts) -> list[Eviction]:
    rows = events(facts)
    if not rows:
        return []
    by_uid = {fields.uid_of(pod): pod for pod in facts.everywhere(kinds.POD)}
    by_name = {f"{fields.namespace_of(p)}/{fields.name_of(p)}": p for p in facts.everywhere(kinds.POD)}
    groups: dict[tuple[Ref, Ref], list[tuple[EventRow, Obj]]] = defaultdict(list)
    for row in rows:
        match = _BY.search(row.message)
        taker = (by_uid.get(match["who"]) or by_name.get(match["who"])) if match else None
        if taker is None or not fields.text(taker, "spec", "nodeName") or podstate.finished(taker):
            continue
        victim = _victim(facts, row)
        if victim is not None:
            groups[victim, facts.workload(ref_of(taker, kinds.POD))].append((row, taker))
    found = (_eviction(facts, victim, taker, told) for (victim, taker), told in sorted(groups.items(), key=_first))
    return [one for one in found if one is not None]


def _first(entry: tuple[tuple[Ref, Ref], object]) -> tuple[Ref, Ref]:
    return entry[0]


def _victim(facts: Facts, row: EventRow) -> Ref | None:
    """The workload of an evicted pod: by its owner, or by the name that its owner gave it.

    None where the pod itself is there as it was; the pod where nothing owns it.
    """
    pod = facts.get(row.about)
    if pod is not None:
        same = bool(row.about_uid) and fields.uid_of(pod) == row.about_uid
        return facts.workload(row.about) if not same or podstate.terminating(pod) else None
    owners: list[Ref] = []
    for kind in CREATORS:
        for obj in facts.all(kind, row.about.namespace):
            name = fields.name_of(obj)
            if row.about.name.startswith(f"{name}-"):
                owners.append(ref_of(obj, kind))
    return facts.workload(max(owners, key=lambda ref: (len(ref.name), ref))) if owners else row.about


def _eviction(facts: Facts, victim: Ref, taker: Ref, told: list[tuple[EventRow, Obj]]) -> Eviction | None:
    rows = tuple(row for row, _ in told)
    pods = tuple({fields.uid_of(pod): pod for _, pod in told}.values())
    if victim.kind == "Pod":
        gone = facts.exists(victim) is False
        return Eviction(victim, (), taker, pods, rows) if gone else None
    waiting = tuple(_would_fit(facts, victim, pods))
    return Eviction(victim, waiting, taker, pods, rows) if waiting else None


def _would_fit(facts: Facts, victim: Ref, takers: tuple[Obj, ...]) -> Iterator[Unplaced]:
    """The victim's pods that would have room where the takers are, were these not there."""
    back: dict[str, Amounts] = defaultdict(Amounts)
    for pod in takers:
        node = fields.text(pod, "spec", "nodeName")
        back[node] = plus(back[node], pod_requests(pod))
    for case in facts.derived(unplaced):
        if case.workload == victim and any(
            view.name in back
            and view.meant
            and set(view.fails) <= {"lacks", "crowded", "kept_off"}
            and all(lack.needs <= lack.free + back[view.name].get(lack.resource, 0) for lack in view.lacks)
            for view in case.verdict.views
        ):
            yield case
