"""The `get` tool: any kind, custom resources too, as one object or as a list with its status columns."""

import asyncio
import difflib
from operator import not_
from typing import Annotated, Any, ClassVar

from pydantic import Field

from firstmate_tools import fields, kinds
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import ReadError, UnknownKindError, UsageError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import CUSTOM_RESOURCE_DEFINITION, SECRET, Kind
from firstmate_tools.paging import onward, resume
from firstmate_tools.places import no_such, refuse_unknown_namespace
from firstmate_tools.reads import AnyKindButSecrets
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Coverage, Cursor, Detail, Limit, Model, Namespace, NotChecked, ObjectRef, Result
from firstmate_tools.text import Told
from firstmate_tools.toolspec import tool
from firstmate_tools.views.columns import status_columns
from firstmate_tools.views.pointers import points, readers_of, users
from firstmate_tools.views.presentable import presentable

MOST_POINTERS = 20


class Row(Model):
    """One object of a list: its name and status columns."""

    namespace: str | None = None
    name: str
    age_s: int | None = None
    status: dict[str, Told] = Field(default_factory=dict[str, Told], exclude_if=not_)


class Got(Result):
    """One object, or a list."""

    lists: ClassVar[tuple[str, ...]] = ("pointed_at_by", "items")
    shapeless: ClassVar[tuple[str, ...]] = ("object",)

    kind: str
    api_version: str
    object: dict[str, Any] | None = Field(default=None, description="Without managed fields; secrets redacted")
    owner: ObjectRef | None = None
    pointed_at_by: list[ObjectRef] | None = Field(
        default=None, description="What mounts, names, selects, routes to, scales or belongs to the object"
    )
    items: list[Row] | None = None


@tool(title="Read any object", reads=(AnyKindButSecrets(),))
async def get(
    cluster: Cluster,
    kind: Annotated[
        str, Field(description="As kubectl takes it: deploy, ingress, nodepools.karpenter.sh", max_length=253)
    ],
    name: Annotated[str | None, Field(description="One object; left out: a list", max_length=253)] = None,
    namespace: Namespace = None,
    selector: Annotated[str | None, Field(description="Label selector of a list", max_length=1000)] = None,
    detail: Detail = "concise",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Got:
    """Any Kubernetes object, custom resources included: one by name (with its owner and what points at it), or a list
    with status columns. Secrets are never read. Use the other tools first where they fit: they say why, not only
    what."""
    found = await _kind(cluster, kind)
    if (found.group, found.plural) == (SECRET.group, SECRET.plural):
        raise UsageError("Secrets are not read.", "Look at the pod that needs it: pod_status names what is missing.")
    if name is None:
        place = namespace if found.namespaced else None
        return await _listed(cluster, found, place, selector, limit, cursor)
    place = (namespace or cluster.default_namespace) if found.namespaced else None
    obj = await cluster.get(found, name, place)
    if obj is None:
        raise await no_such(cluster, found, name, place)
    ref = ref_of(obj, found)
    pointers, missing = await _pointers(cluster, found, obj, ref)
    shown, cut = presentable(obj, found, concise=detail == "concise")
    more = len(pointers) - MOST_POINTERS
    return Got(
        cluster=cluster.identity,
        observed_at=cluster.now,
        kind=found.kind,
        api_version=found.api_version,
        object=shown,
        owner=_owner(obj, ref),
        pointed_at_by=[ObjectRef.of(p) for p in pointers[:MOST_POINTERS]],
        coverage=Coverage(
            checked=sorted({found.resource, *(k.resource for k in readers_of(found))} - {m.what for m in missing}),
            not_checked=missing,
            returned=1,
            total=1,
            cut=[*([f"object.{', '.join(cut)}; detail=detailed shows more"] if cut else [])]
            + ([f"{more} more that point at it"] if more > 0 else []),
        ),
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
        every = {near for kind in served for near in (kind.plural, kind.kind.lower(), kind.resource)}
        near = difflib.get_close_matches(wanted, sorted(every), 4, 0.6)
        raise UnknownKindError(
            f"Cluster {cluster.identity.name} serves no kind {name!r}.",
            f"Near: {', '.join(near)}." if near else "Is what defines it installed? Look at its spelling.",
        )
    return match


def _owner(obj: Obj, ref: Ref) -> ObjectRef | None:
    """The controller, or the first owner; in the object's own namespace unless its kind is known to have none."""
    owners = fields.items(obj, "metadata", "ownerReferences")
    owner = next((one for one in owners if one.get("controller") is True), owners[0] if owners else None)
    if owner is None:
        return None
    kind = fields.text(owner, "kind")
    known = kinds.by_api_version(fields.text(owner, "apiVersion"), kind)
    namespaced = known.namespaced if known else bool(ref.namespace)
    return ObjectRef.of(Ref(kind, ref.namespace if namespaced else "", fields.text(owner, "name")))


async def _listed(
    cluster: Cluster, kind: Kind, namespace: str | None, selector: str | None, limit: int, cursor: str | None
) -> Got:
    question = ("get", cluster.identity.name, kind.resource, namespace, selector)
    before, more = resume(cursor, *question)
    listing = await cluster.list(kind, namespace=namespace, labels=selector or "", limit=limit, more=more)
    unknown: list[NotChecked] = []
    if not listing.items and namespace is not None and not more:
        unknown = await refuse_unknown_namespace(cluster, namespace)
    definition = await _definition(cluster, kind) if listing.items else None
    rows = [_row(obj, kind, definition, cluster) for obj in listing.items]
    seen = before + len(rows)
    total = seen if not listing.more else seen + listing.remaining if listing.remaining is not None else None
    return Got(
        cluster=cluster.identity,
        observed_at=cluster.now,
        kind=kind.kind,
        api_version=kind.api_version,
        items=rows,
        coverage=Coverage(
            checked=[kind.resource],
            not_checked=unknown,
            returned=len(rows),
            total=total,
            cursor=onward(listing.more, seen, *question),
        ),
    )


async def _definition(cluster: Cluster, kind: Kind) -> Obj | None:
    """The definition of a custom resource, which names its columns; None where there is none, or nobody may know."""
    if kinds.by_api_version(kind.api_version, kind.kind) is not None or "." not in kind.group:
        return None
    try:
        return await cluster.get(CUSTOM_RESOURCE_DEFINITION, f"{kind.plural}.{kind.group}")
    except ReadError:
        return None


def _row(obj: Obj, kind: Kind, definition: Obj | None, cluster: Cluster) -> Row:
    created = fields.time_at(obj, "metadata", "creationTimestamp")
    columns = status_columns(obj, kind, definition)
    return Row(
        namespace=fields.namespace_of(obj) or None,
        name=fields.name_of(obj),
        age_s=int((cluster.now - created).total_seconds()) if created else None,
        status=columns,
    )


async def _pointers(cluster: Cluster, kind: Kind, asked: Obj, ref: Ref) -> tuple[list[Ref], list[NotChecked]]:
    """What points at an object: one list of each kind that may, at the same time; of those only what does is kept."""
    missing: list[NotChecked] = []

    async def one(other: Kind) -> list[tuple[Kind, Obj]]:
        def pointing(obj: Obj) -> Obj | None:
            return obj if points(other, obj, asked, ref) else None

        try:
            place = ref.namespace or None if other.namespaced else None
            return [(other, obj) for obj in (await cluster.sweep(other, pointing, namespace=place)).items]
        except ReadError as error:
            missing.append(NotChecked.of(other.resource, error))
            return []

    read = await asyncio.gather(*map(one, readers_of(kind)))
    found = [pair for pairs in read for pair in pairs]
    return [user for user in users(found) if user != ref], sorted(missing, key=lambda entry: entry.what)
