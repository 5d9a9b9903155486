"""The `workload_status` tool: how a rollout stands and why it is stuck, its revisions, what the new one changed."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from operator import not_
from typing import Annotated, ClassVar

from pydantic import Field

from firstmate_tools import fields, kinds, rollout
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.scope import Scope, parse_scope
from firstmate_tools.diagnosis.slim import unmanaged
from firstmate_tools.errors import ReadError, UsageError
from firstmate_tools.family import STALLED, Family, read_family
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, NAMESPACE, POD, Kind
from firstmate_tools.paging import page
from firstmate_tools.places import no_such, refuse_unknown_namespace
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.results import Coverage, Cursor, Limit, Model, Namespace, NotChecked, ObjectRef, Result
from firstmate_tools.rollout import WORKLOADS, Standing
from firstmate_tools.template_diff import Change, changes
from firstmate_tools.text import FreeText, Told, Words, own, untrusted
from firstmate_tools.toolspec import tool

MOST_REVISIONS, FEW_REVISIONS = 5, 2
MOST_CHANGES, FEW_CHANGES = 40, 8
MOST_UNREADY, MOST_RUNS = 5, 3


class Revision(Model):
    """One revision of a workload's pod template."""

    revision: int
    name: str
    created: datetime | None = None
    images: list[Told] = Field(default_factory=list[str], exclude_if=not_)
    replicas: int | None = Field(default=None, description="Pods that it has now")
    ready: int | None = None
    change_cause: FreeText | None = None


class Run(Model):
    """One Job of a CronJob."""

    job: str
    state: Words
    started: datetime | None = None
    ended: datetime | None = None


class Workload(Model):
    """One workload and its rollout. Revisions are told where it is in trouble, on its way, or asked for by name."""

    object: ObjectRef
    healthy: bool
    state: Words = Field(
        description="complete, progressing, stuck, cannot create pods, unready pods, failed, paused, …"
    )
    desired: int = Field(description="Pods; of a Job completions")
    ready: int = Field(description="Pods; of a Job those that succeeded")
    updated: int | None = None
    available: int | None = None
    since: datetime | None = Field(default=None, description="In trouble since")
    why: list[FreeText] = Field(default_factory=list[FreeText], exclude_if=not_, description="Most telling first")
    pods: dict[str, int] = Field(default_factory=dict[str, int], exclude_if=not_, description="Its pods by STATUS")
    unready_pods: list[str] = Field(default_factory=list[str], exclude_if=not_)
    revisions: list[Revision] = Field(default_factory=list[Revision], exclude_if=not_, description="Newest first")
    changed: list[Change] = Field(
        default_factory=list[Change],
        exclude_if=not_,
        description="What the newest revision changed in the pod template",
    )
    schedule: str | None = None
    last_success: datetime | None = None
    runs: list[Run] = Field(default_factory=list[Run], exclude_if=not_, description="Newest first")


class WorkloadStatus(Result):
    """Workloads, those with trouble first."""

    lists: ClassVar[tuple[str, ...]] = ("workloads",)

    states: dict[str, int] = Field(
        default_factory=dict[str, int], description="How many workloads are in each state, listed or not"
    )
    workloads: list[Workload] = Field(default_factory=list[Workload])


_READS = (
    *(Read(kind) for kind in WORKLOADS),
    Read(kinds.REPLICA_SET, ("list",)),
    Read(kinds.CONTROLLER_REVISION, ("list",)),
    Read(POD, ("list",)),
    Read(EVENT, ("list",)),
    Read(NAMESPACE, ("get",)),
)
Found = tuple[Kind, Obj]


@tool(title="Rollouts and what they changed", reads=_READS)
async def workload_status(
    cluster: Cluster,
    scope: Annotated[
        str | None, Field(description="deployment/NAME, sts/NAME, cronjob/NAME, …; without: all", max_length=400)
    ] = None,
    namespace: Namespace = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> WorkloadStatus:
    """How rollouts of Deployments, StatefulSets, DaemonSets, Jobs and CronJobs stand and why one is stuck: pods
    desired, updated and ready, revisions, and what the new revision changed in the pod template (image, environment,
    resources, probes, mounts). Those in trouble first."""
    asked = parse_scope(scope, namespace, cluster.default_namespace)
    missing: dict[str, NotChecked] = {}
    found = await _found(cluster, asked, missing)
    ranked = sorted(_standings(found), key=_worst_first)
    shown, following = page(ranked, limit, cursor, "workloads", cluster.identity.name, scope, namespace)
    whole = asked.object is not None
    closer = [(kind, obj) for standing, kind, obj in shown if whole or not standing.settled]
    family = await read_family(cluster, closer, missing) if closer else Family(cluster.now)
    family.add(kinds.JOB, [obj for kind, obj in found if kind == kinds.JOB])
    looked = {ref_of(obj, kind) for kind, obj in closer}
    rows = [
        _closely(standing, kind, obj, family, whole=whole)
        if ref_of(obj, kind) in looked
        else _briefly(standing, kind, obj)
        for standing, kind, obj in shown
    ]
    states = Counter(standing.state for standing, _, _ in ranked)
    states.subtract(standing.state for standing, _, _ in shown)
    states.update(row.state for row in rows)
    return WorkloadStatus(
        cluster=cluster.identity,
        observed_at=cluster.now,
        states={state: count for state, count in states.most_common() if count},
        workloads=sorted(rows, key=lambda row: row.healthy),
        coverage=Coverage(
            checked=sorted(({kind.resource for kind, _ in found} | family.checked) - missing.keys()),
            not_checked=[missing[what] for what in sorted(missing)],
            returned=len(shown),
            total=len(ranked),
            cursor=following,
        ),
    )


async def _found(cluster: Cluster, asked: Scope, missing: dict[str, NotChecked]) -> list[Found]:
    """The workloads that are asked about; a CronJob with the Jobs beside it."""
    if asked.object is None:
        return await _every(cluster, WORKLOADS, asked.namespace, missing)
    ref = asked.object
    kind = kinds.known_or_refused(ref.kind)
    if kind not in WORKLOADS:
        raise UsageError(
            f"{ref} is no workload that rolls out.", "Use a Deployment, StatefulSet, DaemonSet, Job or CronJob."
        )
    obj = await cluster.get(kind, ref.name, ref.namespace)
    if obj is None:
        raise await no_such(cluster, kind, ref.name, ref.namespace)
    if kind != kinds.CRON_JOB:
        return [(kind, obj)]
    jobs = await _every(cluster, (kinds.JOB,), ref.namespace, missing)
    return [(kind, obj), *(found for found in jobs if controller_of(found[1]) == ref)]


async def _every(
    cluster: Cluster, wanted: Sequence[Kind], namespace: str | None, missing: dict[str, NotChecked]
) -> list[Found]:
    """All objects of some kinds, by one list each at the same time.

    Raises:
        ReadError: none of them could be read.
    """
    failures: list[ReadError] = []

    async def one(kind: Kind) -> list[Found]:
        try:
            listing = await cluster.sweep(kind, unmanaged, namespace=namespace)
        except ReadError as error:
            missing[kind.resource] = NotChecked.of(kind.resource, error)
            failures.append(error)
            return []
        return [(kind, obj) for obj in listing.items]

    found = [row for rows in await asyncio.gather(*map(one, wanted)) for row in rows]
    if len(failures) == len(WORKLOADS):
        raise failures[0]
    if not found and not failures and namespace is not None:
        for left in await refuse_unknown_namespace(cluster, namespace):
            missing["namespaces"] = left
    return found


def _standings(found: Sequence[Found]) -> list[tuple[Standing, Kind, Obj]]:
    """How each stands. A CronJob answers for its Jobs, which are no rows of their own."""
    jobs: dict[Ref, list[Obj]] = {}
    cron_jobs = {ref_of(obj, kind) for kind, obj in found if kind == kinds.CRON_JOB}
    rows: list[Found] = []
    for kind, obj in found:
        owner = controller_of(obj) if kind == kinds.JOB else None
        if owner is not None and owner in cron_jobs:
            jobs.setdefault(owner, []).append(obj)
        else:
            rows.append((kind, obj))
    return [(rollout.standing(kind, obj, jobs.get(ref_of(obj, kind))), kind, obj) for kind, obj in rows]


def _worst_first(row: tuple[Standing, Kind, Obj]) -> tuple[int, str, str, str]:
    standing, kind, obj = row
    rank = 2 if standing.settled else 1 if standing.state in rollout.ON_THE_WAY else 0
    return (rank, fields.namespace_of(obj), kind.kind, fields.name_of(obj))


def _briefly(standing: Standing, kind: Kind, obj: Obj) -> Workload:
    """A workload in a few words; numbers that say no more than `desired` are left out."""
    return Workload(
        object=ObjectRef.of(ref_of(obj, kind)),
        healthy=standing.settled,
        state=standing.state,
        desired=standing.desired,
        ready=standing.ready,
        updated=standing.updated if standing.updated != standing.desired else None,
        available=standing.available if standing.available != standing.ready else None,
        schedule=fields.text(obj, "spec", "schedule") or None,
        last_success=fields.time_at(obj, "status", "lastSuccessfulTime"),
    )


def _closely(standing: Standing, kind: Kind, obj: Obj, family: Family, *, whole: bool) -> Workload:
    """A workload with its pods, its revisions, and why it is in trouble."""
    ref = ref_of(obj, kind)
    on_its_way = standing.state in rollout.ON_THE_WAY
    idle = standing.state != "running" and family.idle(ref, obj) > STALLED
    held_up = bool(family.unwell(ref) or (on_its_way and (idle or family.refusals(ref))))
    calm = (standing.settled or on_its_way) and not held_up
    why, since = ([], None) if calm else family.why(ref, obj)
    revisions = family.revisions(ref)
    templates = [rollout.revision_template(one) for one in revisions[:2]]
    return _briefly(standing, kind, obj).model_copy(
        update={
            "healthy": calm,
            "state": own("held up" if on_its_way and held_up else standing.state),
            "since": since,
            "why": [untrusted(line) for line in why],
            "pods": family.statuses(ref),
            "unready_pods": [fields.name_of(pod) for pod in family.unready(ref)[:MOST_UNREADY]],
            "revisions": [
                _revision(one, family, ref) for one in revisions[: MOST_REVISIONS if whole else FEW_REVISIONS]
            ],
            "changed": changes(*reversed(templates))[: MOST_CHANGES if whole else FEW_CHANGES]
            if len(templates) == 2
            else [],
            "runs": [_run(job) for job in family.jobs(ref)[:MOST_RUNS]],
        }
    )


def _revision(obj: Obj, family: Family, owner: Ref) -> Revision:
    replicas, ready = family.pods_of_revision(obj, owner)
    cause = fields.string_map(obj, "metadata", "annotations").get("kubernetes.io/change-cause")
    return Revision(
        revision=rollout.revision_number(obj),
        name=fields.name_of(obj),
        created=fields.time_at(obj, "metadata", "creationTimestamp"),
        images=[fields.text(c, "image") for c in fields.items(rollout.revision_template(obj), "spec", "containers")],
        replicas=replicas,
        ready=ready,
        change_cause=untrusted(cause[:200]) if cause else None,
    )


def _run(job: Obj) -> Run:
    ended = [
        fields.time_at(fields.condition(job, type_), "lastTransitionTime")
        for type_ in ("Complete", "Failed")
        if fields.condition(job, type_).get("status") == "True"
    ]
    return Run(
        job=fields.name_of(job),
        state=rollout.standing(kinds.JOB, job).state,
        started=fields.time_at(job, "status", "startTime"),
        ended=next((end for end in ended if end), None),
    )
