"""What belongs to workloads: their revisions, pods, Jobs and warnings, read by few lists and asked by address.

`workload_status` reads it for the workloads that it looks at closely. One list of a kind serves all workloads of a
namespace, and one over all namespaces serves many; nothing is read for one pod.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate, rollout
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.facts import EventRow, event_row, newest_first
from firstmate_tools.diagnosis.slim import slimmer
from firstmate_tools.errors import ReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, POD, Kind
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.results import NotChecked
from firstmate_tools.selectors import as_query
from firstmate_tools.views import podreasons

MANY_NAMESPACES = 3
MOST_EVENTS = 20_000
MOST_WHY = 5
STALLED = timedelta(minutes=10)
"""How long a rollout may stand still; the default of a Deployment's progressDeadlineSeconds."""
_REVISIONS = {
    "Deployment": kinds.REPLICA_SET,
    "StatefulSet": kinds.CONTROLLER_REVISION,
    "DaemonSet": kinds.CONTROLLER_REVISION,
}
_HASH = "controller-revision-hash"
_SAY_LITTLE = ("Available is", "Progressing is")
"""Conditions that only say that it does not go on; told last, where nothing else is known."""


@dataclass(slots=True)
class Family:
    """Revisions, pods, Jobs and warnings of some workloads.

    Attributes:
        now: the cluster's clock.
        checked: the lists that were read.
        owned: objects by their controller, then by kind name.
        warnings: newest first, by what they are about.
    """

    now: datetime
    checked: set[str] = field(default_factory=set[str])
    owned: dict[Ref, dict[str, list[Obj]]] = field(
        default_factory=lambda: defaultdict[Ref, dict[str, list[Obj]]](lambda: defaultdict(list))
    )
    warnings: dict[Ref, list[EventRow]] = field(default_factory=dict[Ref, list[EventRow]])

    def add(self, kind: Kind, objects: Iterable[Obj]) -> None:
        """Objects, each under its controller."""
        for obj in objects:
            owner = controller_of(obj)
            if owner is not None:
                self.owned[owner][kind.kind].append(obj)

    def _of(self, ref: Ref, kind: Kind) -> list[Obj]:
        return self.owned[ref][kind.kind] if ref in self.owned else []

    def revisions(self, ref: Ref) -> list[Obj]:
        """Newest first."""
        kind = _REVISIONS.get(ref.kind)
        found = self._of(ref, kind) if kind else []
        return sorted(found, key=lambda obj: (-rollout.revision_number(obj), fields.name_of(obj)))

    def jobs(self, ref: Ref) -> list[Obj]:
        """The Jobs of a CronJob, newest first."""
        return rollout.newest_first(self._of(ref, kinds.JOB))

    def pods(self, ref: Ref) -> list[Obj]:
        """Its own pods, and those of its ReplicaSets and Jobs."""
        below = [ref_of(obj, kinds.REPLICA_SET) for obj in self._of(ref, kinds.REPLICA_SET)]
        below += [ref_of(obj, kinds.JOB) for obj in self._of(ref, kinds.JOB)]
        found = [pod for one in (ref, *below) for pod in self._of(one, POD)]
        return sorted(found, key=fields.name_of)

    def statuses(self, ref: Ref) -> dict[str, int]:
        return dict(Counter(podstate.status_text(pod) for pod in self.pods(ref)).most_common())

    def unready(self, ref: Ref) -> list[Obj]:
        """The pods that should be ready and are not, the unwell first."""
        found = [p for p in self.pods(ref) if not podstate.ready(p) and not podstate.finished(p)]
        return sorted(found, key=lambda p: podstate.healthy(p, self.now))

    def unwell(self, ref: Ref) -> list[Obj]:
        """Pods that ask for attention; of a Job or CronJob also those that have failed."""
        failed_too = ref.kind in {"Job", "CronJob"}
        return [
            pod
            for pod in self.pods(ref)
            if not podstate.healthy(pod, self.now) and (failed_too or not podstate.finished(pod))
        ]

    def pods_of_revision(self, revision: Obj, owner: Ref) -> tuple[int | None, int | None]:
        """How many pods a revision has, and how many of them are ready; None where that is not known."""
        if "spec" in revision:
            return fields.number(revision, "status", "replicas"), fields.number(revision, "status", "readyReplicas")
        if POD.resource not in self.checked:
            return None, None
        names = {fields.name_of(revision), fields.labels_of(revision).get(_HASH, "")}
        pods = [p for p in self.pods(owner) if fields.labels_of(p).get(_HASH, "?") in names]
        return len(pods), sum(1 for p in pods if podstate.ready(p))

    def refusals(self, ref: Ref) -> list[EventRow]:
        """Warnings about it, its ReplicaSets or Jobs that are newer than its newest pod: why it cannot go on."""
        created = [fields.time_at(pod, "metadata", "creationTimestamp") for pod in self.pods(ref)]
        newest = max((moment for moment in created if moment), default=None)
        about = [ref, *(ref_of(one, kind) for kind in (kinds.REPLICA_SET, kinds.JOB) for one in self._of(ref, kind))]
        rows = [row for one in about for row in self.warnings.get(one, [])]
        fresh = [row for row in rows if newest is None or row.last is None or row.last >= newest]
        return sorted(fresh, key=newest_first)

    def idle(self, ref: Ref, obj: Obj) -> timedelta:
        """How long nothing of it has moved: itself, its conditions, revisions and pods."""
        below = [*self._of(ref, kinds.REPLICA_SET), *self._of(ref, kinds.CONTROLLER_REVISION), *self.pods(ref)]
        moments = [fields.time_at(one, "metadata", "creationTimestamp") for one in (obj, *below)]
        for entry in fields.items(obj, "status", "conditions"):
            moments += [fields.time_at(entry, name) for name in ("lastUpdateTime", "lastTransitionTime")]
        newest = max((moment for moment in moments if moment), default=None)
        return self.now - newest if newest else timedelta()

    def why(self, ref: Ref, obj: Obj) -> tuple[list[str], datetime | None]:
        """Why a workload is in trouble, the most telling first, and since when."""
        conditions = list(rollout.bad_conditions(obj))
        telling = [said for said, _ in conditions if not said.startswith(_SAY_LITTLE)]
        lines = [*telling, *self._pods_say(ref), *rollout.holds_itself_up(obj, self.unwell(ref))]
        seen: set[str] = set()
        for row in self.refusals(ref):
            if row.reason not in seen and not any(row.message[:100] in line for line in lines):
                seen.add(row.reason)
                lines.append(podreasons.event_text(row, self.now))
        lines += [said for said, _ in conditions if said.startswith("Progressing is")]
        if not lines:
            lines = [said for said, _ in conditions] or [
                f"nothing of it has moved for {podreasons.span(self.idle(ref, obj).total_seconds())}, "
                "and neither pods nor warnings say why"
            ]
        moments = [podreasons.unwell_since(pod) for pod in self.unwell(ref)] + [moment for _, moment in conditions]
        return lines[:MOST_WHY], min((moment for moment in moments if moment), default=None)

    def _pods_say(self, ref: Ref) -> list[str]:
        """Its unwell pods (where there is none, those that are not ready yet), of one status and reason as one line."""
        every = self.pods(ref)
        groups: dict[tuple[str, ...], list[tuple[Obj, list[str]]]] = defaultdict(list)
        for pod in self.unwell(ref) or self.unready(ref):
            said = podreasons.reasons(pod, self.warnings.get(ref_of(pod, POD), []), self.now)
            alike = podreasons.alike(said[:1], fields.name_of(pod))
            groups[podstate.status_text(pod), *alike].append((pod, said))
        lines: list[str] = []
        for (status, *_), members in sorted(groups.items(), key=lambda group: -len(group[1])):
            which = self._revision_of([pod for pod, _ in members], ref)
            lines.append(f"{len(members)} of {len(every)} pods {status}{which}: {'; '.join(members[0][1][:2])}")
        return lines

    def _revision_of(self, pods: Sequence[Obj], ref: Ref) -> str:
        """` (all of revision 4, the newest)`, where revisions exist and the pods are of one."""
        numbers = {fields.name_of(r): rollout.revision_number(r) for r in self.revisions(ref)}
        by_hash = {fields.labels_of(r).get(_HASH, ""): rollout.revision_number(r) for r in self.revisions(ref)}
        found: set[int | None] = set()
        for pod in pods:
            owner, mark = controller_of(pod), fields.labels_of(pod).get(_HASH, "")
            found.add(
                numbers.get(owner.name) if owner and owner.name in numbers else numbers.get(mark, by_hash.get(mark))
            )
        number = next(iter(found), None) if len(found) == 1 else None
        if number is None or len(numbers) < 2:
            return ""
        return f" (revision {number}{', the newest' if number == max(numbers.values()) else ', an old one'})"


async def read_family(
    cluster: Cluster, workloads: Sequence[tuple[Kind, Obj]], missing: dict[str, NotChecked]
) -> Family:
    """Reads what belongs to some workloads, at the same time.

    Args:
        workloads: a few, all looked at closely.
        missing: takes what could not be read.
    """
    family = Family(cluster.now)
    namespaces = sorted({fields.namespace_of(obj) for _, obj in workloads})
    places: list[str | None] = [None] if len(namespaces) > MANY_NAMESPACES else [*namespaces]
    labels = as_query(fields.mapping(workloads[0][1], "spec", "selector")) if len(workloads) == 1 else ""
    wanted = {_REVISIONS[kind.kind] for kind, _ in workloads if kind.kind in _REVISIONS} | {POD}

    async def objects(kind: Kind, namespace: str | None) -> None:
        reduce = slimmer(POD, cluster.now) if kind == POD else _without_owners_of_fields
        try:
            listing = await cluster.sweep(kind, reduce, namespace=namespace, labels=labels)
        except ReadError as error:
            missing[kind.resource] = NotChecked.of(kind.resource, error)
        else:
            family.checked.add(kind.resource)
            family.add(kind, listing.items)

    async def warnings(namespace: str | None) -> None:
        try:
            listing = await cluster.sweep(
                EVENT, event_row, namespace=namespace, fields="type!=Normal", most=MOST_EVENTS
            )
        except ReadError as error:
            missing[EVENT.resource] = NotChecked.of(EVENT.resource, error)
        else:
            family.checked.add(EVENT.resource)
            for row in sorted(listing.items, key=newest_first):
                family.warnings.setdefault(row.about, []).append(row)

    lists = [objects(kind, place) for kind in sorted(wanted, key=lambda k: k.resource) for place in places]
    await asyncio.gather(*lists, *(warnings(place) for place in places))
    return family


def _without_owners_of_fields(obj: Obj) -> Obj:
    """A revision with its annotations (its number, its change cause), without managed fields."""
    return {**obj, "metadata": fields.without(fields.mapping(obj, "metadata"), "managedFields")}
