"""The `workload_status` tool: how a rollout stands, which revisions there are, what the new one changed."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.scope import parse_scope
from firstmate_tools.errors import ReadError, UsageError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import POD, Kind
from firstmate_tools.paging import page
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.results import Coverage, Cursor, Limit, Model, Namespace, NotChecked, ObjectRef, Result
from firstmate_tools.template_diff import Change, changes
from firstmate_tools.text import FreeText, shorten, untrusted
from firstmate_tools.toolspec import tool

WORKLOADS = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB, kinds.CRON_JOB)
_REVISIONED = {
    "Deployment": kinds.REPLICA_SET,
    "StatefulSet": kinds.CONTROLLER_REVISION,
    "DaemonSet": kinds.CONTROLLER_REVISION,
}
MOST_REVISIONS = 5


class Revision(Model):
    """One revision of a workload's pod template."""

    revision: int
    name: str
    created: datetime | None = None
    images: list[str] = Field(default_factory=list[str])
    replicas: int | None = Field(default=None, description="Pods that it has now (Deployments)")
    ready: int | None = None


class WorkloadCondition(Model):
    """A condition that says something is wrong."""

    type: str
    status: str
    reason: str | None = None
    message: FreeText | None = None
    since: datetime | None = None


class Workload(Model):
    """One workload and its rollout."""

    object: ObjectRef
    healthy: bool
    state: str = Field(description="complete, progressing, stuck, scaled to zero, paused, failed, suspended, …")
    desired: int
    ready: int
    updated: int | None = None
    available: int | None = None
    conditions: list[WorkloadCondition] = Field(default_factory=list[WorkloadCondition])
    revisions: list[Revision] = Field(default_factory=list[Revision], description="Newest first")
    changed: list[Change] = Field(default_factory=list[Change], description="What the newest revision changed")
    unready_pods: list[str] = Field(default_factory=list[str])


class WorkloadStatus(Result):
    """Workloads, those with trouble first."""

    lists: ClassVar[tuple[str, ...]] = ("workloads",)

    workloads: list[Workload] = Field(default_factory=list[Workload])


_READS = (
    *(Read(kind) for kind in WORKLOADS),
    Read(kinds.REPLICA_SET, ("list",)),
    Read(kinds.CONTROLLER_REVISION, ("list",)),
    Read(POD, ("list",)),
)


@tool(title="Rollouts and what they changed", reads=_READS)
async def workload_status(
    cluster: Cluster,
    scope: Annotated[
        str | None, Field(description="deployment/NAME, sts/NAME, …; left out: every workload there", max_length=400)
    ] = None,
    namespace: Namespace = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> WorkloadStatus:
    """How rollouts stand: desired, updated, ready and available pods, revisions, and what the new revision changed in
    the pod template (image, environment, resources, probes, mounts). For one workload, or all of a namespace with
    troubled ones first. Without namespace and scope: the whole cluster."""
    asked = parse_scope(scope, namespace, cluster.default_namespace)
    missing: list[NotChecked] = []
    if asked.object is not None:
        found = [await _one(cluster, asked.object)]
    else:
        found = await _every(cluster, asked.namespace, missing)
    rows = sorted(
        ((_standing(kind, obj), kind, obj) for kind, obj in found),
        key=lambda row: (row[0].healthy, row[2]["metadata"].get("namespace", ""), row[1].kind, fields.name_of(row[2])),
    )
    shown, following = page(rows, limit, cursor, scope, namespace)
    workloads = await _with_revisions(cluster, shown, missing)
    return WorkloadStatus(
        cluster=cluster.identity,
        observed_at=cluster.now,
        workloads=workloads,
        coverage=Coverage(
            checked=sorted({kind.resource for kind, _ in found}),
            not_checked=sorted(missing, key=lambda m: m.what),
            returned=len(shown),
            total=len(rows),
            cursor=following,
        ),
    )


async def _one(cluster: Cluster, ref: Ref) -> tuple[Kind, Obj]:
    kind = kinds.known_or_refused(ref.kind)
    if kind not in WORKLOADS:
        raise UsageError(
            f"{ref} is no workload that rolls out.", "Use a Deployment, StatefulSet, DaemonSet, Job or CronJob."
        )
    obj = await cluster.get(kind, ref.name, ref.namespace)
    if obj is None:
        raise UsageError(f"No {ref.kind.lower()} {ref.name!r} in namespace {ref.namespace}.", "Look at the name.")
    return kind, obj


async def _every(cluster: Cluster, namespace: str | None, missing: list[NotChecked]) -> list[tuple[Kind, Obj]]:
    found: list[tuple[Kind, Obj]] = []
    for kind in WORKLOADS:
        try:
            found += [(kind, obj) for obj in (await cluster.list(kind, namespace=namespace)).items]
        except ReadError as error:
            missing.append(NotChecked.of(kind.resource, error))
    return found


def _standing(kind: Kind, obj: Obj) -> Workload:
    desired, ready = _counts(kind, obj)
    state = _state(kind, obj, desired, ready)
    return Workload(
        object=ObjectRef.of(ref_of(obj, kind)),
        healthy=state in {"complete", "scaled to zero", "suspended", "running", "succeeded", "scheduled"},
        state=state,
        desired=desired,
        ready=ready,
        updated=_optional(obj, "updatedReplicas", "updatedNumberScheduled"),
        available=_optional(obj, "availableReplicas", "numberAvailable"),
        conditions=list(_bad_conditions(obj)),
    )


def _counts(kind: Kind, obj: Obj) -> tuple[int, int]:
    status = fields.mapping(obj, "status")
    if kind == kinds.DAEMON_SET:
        return fields.number(status, "desiredNumberScheduled"), fields.number(status, "numberReady")
    if kind == kinds.JOB:
        return fields.number(obj, "spec", "completions", default=1), fields.number(status, "succeeded")
    if kind == kinds.CRON_JOB:
        return 0, len(fields.items(status, "active"))
    return fields.number(obj, "spec", "replicas", default=1), fields.number(status, "readyReplicas")


def _optional(obj: Obj, *names: str) -> int | None:
    found = [fields.number(obj, "status", name) for name in names if fields.at(obj, "status", name) is not None]
    return found[0] if found else None


def _state(kind: Kind, obj: Obj, desired: int, ready: int) -> str:
    """The rollout in one word, as `kubectl rollout status` reads it (k8s.io/kubectl pkg/polymorphichelpers, v1.36)."""
    if kind == kinds.CRON_JOB:
        return "suspended" if fields.flag(obj, "spec", "suspend") else "scheduled"
    if kind == kinds.JOB:
        return _job_state(obj)
    progressing = fields.condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return "stuck"
    if fields.condition(obj, "ReplicaFailure").get("status") == "True":
        return "cannot create pods"
    if fields.flag(obj, "spec", "paused"):
        return "paused"
    if desired == 0:
        return "scaled to zero"
    observed = fields.number(obj, "status", "observedGeneration") >= fields.number(obj, "metadata", "generation")
    updated = _optional(obj, "updatedReplicas", "updatedNumberScheduled") or 0
    if not observed or updated < desired:
        return "progressing"
    return "complete" if ready >= desired else "unready pods"


def _job_state(obj: Obj) -> str:
    for type_, state in (("Complete", "succeeded"), ("Failed", "failed"), ("Suspended", "suspended")):
        if fields.condition(obj, type_).get("status") == "True":
            return state
    return "running" if not fields.number(obj, "status", "failed") else "retrying"


def _bad_conditions(obj: Obj) -> Iterator[WorkloadCondition]:
    for entry in fields.items(obj, "status", "conditions"):
        type_, status = fields.text(entry, "type"), fields.text(entry, "status")
        good = "False" if type_ in {"ReplicaFailure", "Failed", "FailureTarget"} else "True"
        if status == good or type_ in {"Suspended", "Complete", "SuccessCriteriaMet"}:
            continue
        message = fields.text(entry, "message")
        yield WorkloadCondition(
            type=type_,
            status=status,
            reason=fields.text(entry, "reason") or None,
            message=untrusted(shorten(message, 400)) if message else None,
            since=fields.time_at(entry, "lastTransitionTime"),
        )


async def _with_revisions(
    cluster: Cluster, rows: list[tuple[Workload, Kind, Obj]], missing: list[NotChecked]
) -> list[Workload]:
    """Adds revisions, changes and unready pods, by one list a namespace and kind."""
    wanted = {(_REVISIONED[kind.kind], fields.namespace_of(obj)) for _, kind, obj in rows if kind.kind in _REVISIONED}
    wanted |= {(POD, fields.namespace_of(obj)) for row, _, obj in rows if not row.healthy}
    owned: dict[Ref, list[tuple[Kind, Obj]]] = {}
    for kind, namespace in sorted(wanted, key=lambda w: (w[0].resource, w[1])):
        try:
            listing = await cluster.list(kind, namespace=namespace)
        except ReadError as error:
            missing.append(NotChecked.of(kind.resource, error))
            continue
        for obj in listing.items:
            owner = controller_of(obj)
            if owner is not None:
                owned.setdefault(owner, []).append((kind, obj))
    return [_completed(row, ref_of(obj, kind), owned) for row, kind, obj in rows]


def _completed(row: Workload, ref: Ref, owned: dict[Ref, list[tuple[Kind, Obj]]]) -> Workload:
    below = owned.get(ref, [])
    revisions = sorted((obj for kind, obj in below if kind != POD), key=_number, reverse=True)
    pods = [obj for kind, obj in below if kind == POD]
    for _, replica_set in below:
        pods += [obj for kind, obj in owned.get(ref_of(replica_set, kinds.REPLICA_SET), []) if kind == POD]
    changed = changes(_template(revisions[1]), _template(revisions[0])) if len(revisions) > 1 else []
    return row.model_copy(
        update={
            "revisions": [_revision(obj) for obj in revisions[:MOST_REVISIONS]],
            "changed": changed,
            "unready_pods": sorted(
                fields.name_of(p) for p in pods if not podstate.ready(p) and not podstate.finished(p)
            )[:10],
        }
    )


def _number(obj: Obj) -> int:
    stated = fields.string_map(obj, "metadata", "annotations").get("deployment.kubernetes.io/revision", "")
    return int(stated) if stated.isdigit() else fields.number(obj, "revision")


def _template(obj: Obj) -> Obj:
    """The pod template of a revision: of a ReplicaSet, or of a ControllerRevision's patch."""
    return fields.mapping(obj, "spec", "template") or fields.mapping(obj, "data", "spec", "template")


def _revision(obj: Obj) -> Revision:
    is_set = "spec" in obj
    template: Any = _template(obj)
    return Revision(
        revision=_number(obj),
        name=fields.name_of(obj),
        created=fields.time_at(obj, "metadata", "creationTimestamp"),
        images=[fields.text(c, "image") for c in fields.items(template, "spec", "containers")],
        replicas=fields.number(obj, "status", "replicas") if is_set else None,
        ready=fields.number(obj, "status", "readyReplicas") if is_set else None,
    )
