"""The `get` tool: any kind, custom resources too, as one object or as a list with its status columns."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field

from firstmate_tools import fields, kinds
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import ReadError, UsageError
from firstmate_tools.fields import Obj
from firstmate_tools.graph import Graph
from firstmate_tools.kinds import Kind
from firstmate_tools.paging import pack, unpack
from firstmate_tools.reads import AnyKindButSecrets
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Coverage, Cursor, Limit, Model, Namespace, NotChecked, ObjectRef, Result
from firstmate_tools.text import FreeText, redact, untrusted
from firstmate_tools.toolspec import tool

_POINTERS = (
    kinds.POD,
    kinds.SERVICE,
    kinds.INGRESS,
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.CRON_JOB,
    kinds.HORIZONTAL_POD_AUTOSCALER,
)
MOST_POINTERS = 20
_TELLING_CONDITIONS = ("Ready", "Available", "Healthy", "Synced", "Established", "Accepted", "Complete", "Failed")


class Row(Model):
    """One object of a list: its name and status columns."""

    namespace: str | None = None
    name: str
    age_s: int | None = None
    status: dict[str, FreeText] = Field(default_factory=dict[str, FreeText])


class Got(Result):
    """One object, or a list."""

    lists: ClassVar[tuple[str, ...]] = ("pointed_at_by", "items")

    kind: str
    api_version: str
    object: dict[str, Any] | None = Field(default=None, description="Without managed fields; secrets redacted")
    owner: ObjectRef | None = None
    pointed_at_by: list[ObjectRef] = Field(default_factory=list[ObjectRef], description="What uses it")
    items: list[Row] = Field(default_factory=list[Row])


@tool(title="Read any object", reads=(AnyKindButSecrets(),))
async def get(
    cluster: Cluster,
    kind: Annotated[
        str, Field(description="As kubectl takes it: deploy, ingress, nodepools.karpenter.sh", max_length=253)
    ],
    name: Annotated[str | None, Field(description="One object; left out: a list", max_length=253)] = None,
    namespace: Namespace = None,
    selector: Annotated[str | None, Field(description="Label selector of a list", max_length=1000)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Got:
    """Any Kubernetes object, custom resources included: one by name (whole, with its owner and what uses it), or a
    list with status columns. Secrets are never read. Use the other tools first where they fit: they say why, not only
    what."""
    found = await _kind(cluster, kind)
    if (found.group, found.plural) == ("", "secrets"):
        raise UsageError("Secrets are not read.", "Look at the pod that needs it: pod_status names what is missing.")
    place = (namespace or (cluster.default_namespace if name else None)) if found.namespaced else None
    if name is None:
        return await _listed(cluster, found, place, selector, limit, cursor)
    obj = await cluster.get(found, name, place)
    if obj is None:
        where = f" in namespace {place}" if place else ""
        raise UsageError(f"No {found.kind} {name!r}{where}.", "Leave out name to see which there are.")
    ref = ref_of(obj, found)
    pointers, missing = await _pointers(cluster, ref)
    owner = next(iter(fields.items(obj, "metadata", "ownerReferences")), None)
    above = Ref(fields.text(owner, "kind"), ref.namespace, fields.text(owner, "name")) if owner else None
    return Got(
        cluster=cluster.identity,
        observed_at=cluster.now,
        kind=found.kind,
        api_version=found.api_version,
        object=presentable(obj),
        owner=ObjectRef.of(above) if above else None,
        pointed_at_by=[ObjectRef.of(p) for p in pointers[:MOST_POINTERS]],
        coverage=Coverage(checked=[found.resource], not_checked=missing, returned=1, total=1),
    )


async def _kind(cluster: Cluster, name: str) -> Kind:
    """The kind that is meant: known by heart, else found by discovery."""
    known = kinds.known(name)
    if known is not None:
        return known
    wanted = name.strip().lower()
    served = await cluster.kinds()
    match = next((kind for kind in served if wanted in kind.names()), None)
    if match is None:
        near = sorted({k.resource for k in served if wanted[:4] in k.resource})[:5]
        raise UsageError(
            f"This cluster serves no kind {name!r}.", f"Near: {', '.join(near)}." if near else "Look at its spelling."
        )
    return match


async def _listed(
    cluster: Cluster, kind: Kind, namespace: str | None, selector: str | None, limit: int, cursor: str | None
) -> Got:
    more = fields.text(unpack(cursor), "more") if cursor else ""
    listing = await cluster.list(kind, namespace=namespace, labels=selector or "", limit=limit, more=more)
    rows = [_row(obj, cluster) for obj in listing.items]
    total = len(rows) + listing.remaining if listing.remaining is not None and not more else None
    return Got(
        cluster=cluster.identity,
        observed_at=cluster.now,
        kind=kind.kind,
        api_version=kind.api_version,
        items=rows,
        coverage=Coverage(
            checked=[kind.resource],
            returned=len(rows),
            total=len(rows) if not listing.more and not more else total,
            cursor=pack({"more": listing.more}) if listing.more else None,
        ),
    )


def _row(obj: Obj, cluster: Cluster) -> Row:
    created = fields.time_at(obj, "metadata", "creationTimestamp")
    return Row(
        namespace=fields.namespace_of(obj) or None,
        name=fields.name_of(obj),
        age_s=int((cluster.now - created).total_seconds()) if created else None,
        status={key: untrusted(value) for key, value in status_columns(obj).items()},
    )


def status_columns(obj: Obj) -> dict[str, str]:
    """What tells how an object of any kind stands: phase, replicas, the usual conditions, type and addresses."""
    columns: dict[str, str] = {}
    for name, path in (("phase", ("status", "phase")), ("type", ("spec", "type")), ("type", ("type",))):
        if found := fields.text(obj, *path):
            columns.setdefault(name, found)
    if fields.at(obj, "spec", "replicas") is not None:
        ready = fields.number(obj, "status", "readyReplicas")
        columns["ready"] = f"{ready}/{fields.number(obj, 'spec', 'replicas')}"
    for type_ in _TELLING_CONDITIONS:
        found = fields.condition(obj, type_)
        if found:
            reason = fields.text(found, "reason")
            shown = fields.text(found, "status")
            columns[type_] = f"{shown} ({reason})" if reason and shown != "True" else shown
    for name, path in (("clusterIP", ("spec", "clusterIP")), ("class", ("spec", "ingressClassName"))):
        if found := fields.text(obj, *path):
            columns[name] = found
    hard, used = fields.string_map(obj, "status", "hard"), fields.string_map(obj, "status", "used")
    columns.update({resource: f"{used.get(resource, '?')}/{limit}" for resource, limit in sorted(hard.items())})
    if fields.text(obj, "metadata", "deletionTimestamp"):
        columns["deleting"] = ", ".join(fields.strings(obj, "metadata", "finalizers")) or "yes"
    return columns


def presentable(obj: Obj) -> Obj:
    """An object as it may leave: without managed fields and applied copies, every text cleaned and redacted."""
    metadata = fields.without(fields.mapping(obj, "metadata"), "managedFields", "selfLink")
    return cast("Obj", _safe({**obj, "metadata": metadata}, ""))


def _safe(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        entry = cast("Obj", value)
        # A name beside a value (environment variables, headers, parameters) tells what the value is.
        name = fields.text(entry, "name") or fields.text(entry, "key")
        return {k: _safe(v, name if k == "value" and name else k) for k, v in entry.items()}
    if isinstance(value, list):
        return [_safe(inner, key) for inner in cast("list[Any]", value)]
    if isinstance(value, str):
        named = redact(f"{key}={value}") if key else value
        return untrusted(named.removeprefix(f"{key}=") if key else named)
    return value


async def _pointers(cluster: Cluster, ref: Ref) -> tuple[list[Ref], list[NotChecked]]:
    """What uses an object, as far as specs say: workloads that mount or name it, Services and Ingresses that route."""
    read = await asyncio.gather(*(_try_list(cluster, kind, ref.namespace or None) for kind in _POINTERS))
    objects = {
        kind.kind: found for kind, found in zip(_POINTERS, read, strict=True) if not isinstance(found, NotChecked)
    }
    graph = Graph.over(objects)
    users = {graph.workload(user) for user in graph.after(ref, "mounts", "selects", "routes")}
    users |= {
        ref_of(hpa, kinds.HORIZONTAL_POD_AUTOSCALER)
        for hpa in objects.get("HorizontalPodAutoscaler", [])
        if _target(hpa) == (ref.kind, ref.namespace, ref.name)
    }
    return sorted(users - {ref}), [entry for entry in read if isinstance(entry, NotChecked)]


def _target(hpa: Obj) -> tuple[str, str, str]:
    target = fields.mapping(hpa, "spec", "scaleTargetRef")
    return fields.text(target, "kind"), fields.namespace_of(hpa), fields.text(target, "name")


async def _try_list(cluster: Cluster, kind: Kind, namespace: str | None) -> Sequence[Obj] | NotChecked:
    if namespace is None:
        return []
    try:
        return (await cluster.list(kind, namespace=namespace)).items
    except ReadError as error:
        return NotChecked.of(kind.resource, error)
