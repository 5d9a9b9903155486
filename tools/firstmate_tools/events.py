"""The `events` tool: what happened, repeats folded, with counts, newest first."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.facts import EventRow, event_row
from firstmate_tools.diagnosis.scope import Scope, parse_scope
from firstmate_tools.errors import DeniedError, NotCollectedError
from firstmate_tools.kinds import EVENT, EVENTS_V1, NAMESPACE, Kind
from firstmate_tools.loglines import template_of
from firstmate_tools.paging import page
from firstmate_tools.places import refuse_unknown_namespace
from firstmate_tools.reads import Read
from firstmate_tools.results import Coverage, Cursor, Limit, Model, Namespace, NotChecked, ObjectRef, Result
from firstmate_tools.text import FreeText, Told, clipped
from firstmate_tools.toolspec import tool
from firstmate_tools.views.descent import descends

MOST_MESSAGE = 400
MOST_EVENTS = 50_000
_PLAIN = re.compile(r"[A-Za-z0-9]{1,128}")
_GENERATED = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b")
"""The end of a generated name (see `views.descent`)."""
_IN_CONTAINER = re.compile(r"spec\.\w*[cC]ontainers\{(.+)\}")
_LONE = frozenset({"Pod", "Node", "Service", "Ingress", "PersistentVolumeClaim"})
"""Kinds that make nothing of which events would be asked along."""


class EventEntry(Model):
    """Events of one reason and message about objects of one kind, folded into one."""

    type: Told
    reason: Told
    message: FreeText = Field(description="The newest")
    object: ObjectRef = Field(description="The newest object that it is about")
    container: str | None = None
    objects: int | None = Field(default=None, description="How many objects it is about, where it is several")
    count: int = Field(description="How often, series included")
    first: datetime | None = Field(default=None, description="Where it was seen more than once")
    last: datetime | None = None
    source: Told | None = None


class Events(Result):
    """Events, newest first, warnings before the rest of the same second."""

    lists: ClassVar[tuple[str, ...]] = ("events",)

    events: list[EventEntry] = Field(default_factory=list[EventEntry])


@tool(
    title="What happened",
    reads=(Read(EVENT, ("list",)), Read(EVENTS_V1, ("list",)), Read(NAMESPACE, ("get",))),
)
async def events(
    cluster: Cluster,
    scope: Annotated[
        str | None, Field(description="cluster, namespace/NAME or KIND/NAME (its pods included)", max_length=400)
    ] = None,
    namespace: Namespace = None,
    type: Annotated[Literal["all", "warning", "normal"], Field(description="Which events")] = "warning",
    reason: Annotated[str | None, Field(description="Only this reason", max_length=128)] = None,
    since_minutes: Annotated[int | None, Field(ge=1, le=100_000, description="Only those seen so lately")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Events:
    """Kubernetes events, repeats folded into one line with counts, newest first: scheduling, image pulls, probes,
    mounts, refused pods, node trouble. Events are hearsay and expire after an hour or so: none does not mean
    healthy."""
    asked = parse_scope(scope, namespace, cluster.default_namespace)
    rows, kind, cut = await _rows(cluster, asked, type, reason)
    unknown: list[NotChecked] = []
    if not rows and asked.namespace is not None:
        unknown = await refuse_unknown_namespace(cluster, asked.namespace)
    concerns = _concerns(asked)
    start = cluster.now - timedelta(minutes=since_minutes) if since_minutes is not None else None
    chosen = (
        row
        for row in rows
        if concerns(row)
        and (not reason or row.reason == reason)
        and (start is None or (row.last and row.last >= start))
    )
    entries = fold(chosen)
    question = ("events", cluster.identity.name, scope, namespace, type, reason, since_minutes)
    shown, following = page(entries, limit, cursor, *question)
    return Events(
        cluster=cluster.identity,
        observed_at=cluster.now,
        events=shown,
        coverage=Coverage(
            checked=[kind.resource],
            not_checked=unknown,
            returned=len(shown),
            total=len(entries),
            cursor=following,
            cut=cut,
        ),
    )


async def _rows(
    cluster: Cluster, asked: Scope, type_: str, reason: str | None
) -> tuple[list[EventRow], Kind, list[str]]:
    """The events that the server can choose, the API that gave them (the newer where the older may not be read), and
    what was cut."""

    async def sweep(kind: Kind) -> tuple[list[EventRow], Kind, list[str]]:
        chosen = _selector(kind, asked, type_, reason)
        listing = await cluster.sweep(kind, event_row, namespace=asked.namespace, fields=chosen, most=MOST_EVENTS)
        cut = [f"events after the first {MOST_EVENTS}; ask about one namespace"] if listing.more else []
        return listing.items, kind, cut

    try:
        return await sweep(EVENT)
    except (DeniedError, NotCollectedError) as error:
        try:
            return await sweep(EVENTS_V1)
        except (DeniedError, NotCollectedError):
            raise error from None


def _selector(kind: Kind, asked: Scope, type_: str, reason: str | None) -> str:
    """What the server chooses by. A reason or a name that would need escapes is compared here instead."""
    terms = {"warning": ["type!=Normal"], "normal": ["type=Normal"]}.get(type_, [])
    if reason and _PLAIN.fullmatch(reason):
        terms.append(f"reason={reason}")
    ref = asked.object
    if ref is not None and ref.kind in _LONE and not set(ref.name) & set(",=\\"):
        about = "involvedObject" if kind == EVENT else "regarding"
        terms += [f"{about}.kind={ref.kind}", f"{about}.name={ref.name}"]
    return ",".join(terms)


def _concerns(asked: Scope) -> Callable[[EventRow], bool]:
    """Whether an event is about the object itself, or about what it made, gone or not."""
    if asked.object is None:
        return lambda row: True
    test = descends(asked.object.kind, asked.object.name)
    return lambda row: test(row.about.kind, row.about.name)


def fold(rows: Iterable[EventRow]) -> list[EventEntry]:
    """Events of one type, reason and message about objects of one kind and namespace, as one entry each.

    Messages are alike where they differ in the object's name, times, numbers and identifiers only.
    """
    groups: dict[tuple[str, ...], list[EventRow]] = defaultdict(list)
    for row in rows:
        message = row.message.replace(row.about.name, "…") if row.about.name else row.message
        shape = template_of(_GENERATED.sub("-…", message))
        about = (row.about.kind, row.about.namespace, _container(row))
        groups[row.type, row.reason, shape, *about].append(row)
    entries = [_entry(group) for group in groups.values()]
    return sorted(entries, key=lambda e: (-_stamp(e.last), e.type == "Normal", e.reason, str(e.object), e.message))


def _stamp(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0


def _container(row: EventRow) -> str:
    found = _IN_CONTAINER.fullmatch(row.field)
    return found.group(1) if found else ""


def _entry(group: list[EventRow]) -> EventEntry:
    newest = max(group, key=lambda row: (_stamp(row.last), row.about, row.message))
    objects = len({row.about for row in group})
    first = min((row.first for row in group if row.first), default=None)
    return EventEntry(
        type=newest.type or "Normal",
        reason=newest.reason,
        message=clipped(newest.message, MOST_MESSAGE),
        object=ObjectRef.of(newest.about),
        container=_container(newest) or None,
        objects=objects if objects > 1 else None,
        count=sum(row.count for row in group),
        first=first if first != newest.last else None,
        last=newest.last,
        source=newest.source or None,
    )
