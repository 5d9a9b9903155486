"""The `events` tool: what happened, deduplicated, with counts, newest first."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.facts import EventRow, event_row
from firstmate_tools.diagnosis.scope import parse_scope
from firstmate_tools.errors import DeniedError, NotCollectedError
from firstmate_tools.kinds import EVENT, EVENTS_V1, Kind
from firstmate_tools.paging import page
from firstmate_tools.reads import Read
from firstmate_tools.results import Coverage, Cursor, Limit, Model, Namespace, ObjectRef, Result
from firstmate_tools.text import FreeText, shorten, untrusted
from firstmate_tools.toolspec import tool

MOST_MESSAGE = 400
MOST_EVENTS = 50_000


class EventEntry(Model):
    """Events of one reason and message about objects of one kind, folded into one."""

    type: str
    reason: str
    message: FreeText
    object: ObjectRef = Field(description="The newest object that it is about")
    objects: int = Field(description="How many objects it is about")
    count: int = Field(description="How often, series included")
    first: datetime | None = None
    last: datetime | None = None
    source: str | None = None


class Events(Result):
    """Events, newest first, warnings before the rest of the same second."""

    lists: ClassVar[tuple[str, ...]] = ("events",)

    events: list[EventEntry] = Field(default_factory=list[EventEntry])


@tool(title="What happened", reads=(Read(EVENT, ("list",)), Read(EVENTS_V1, ("list",))))
async def events(
    cluster: Cluster,
    scope: Annotated[
        str | None, Field(description="cluster, namespace/NAME, KIND/NAME; its pods' events included", max_length=400)
    ] = None,
    namespace: Namespace = None,
    type: Annotated[Literal["all", "warning", "normal"], Field(description="Which events")] = "warning",
    reason: Annotated[str | None, Field(description="Only this reason", max_length=128)] = None,
    since_minutes: Annotated[int | None, Field(ge=1, le=100_000, description="Only those seen so lately")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Events:
    """Kubernetes events, repeats folded into one line with counts, newest first: scheduling, image pulls, probes,
    mounts, refused pods. Both Event APIs. Events are hearsay and expire after an hour or so: none does not mean
    healthy."""
    asked = parse_scope(scope, namespace, cluster.default_namespace)
    place = asked.namespace
    chosen = {"warning": "type!=Normal", "normal": "type=Normal"}.get(type, "")
    rows, cut = await _rows(cluster, place, chosen)
    if asked.object is not None:
        rows = [row for row in rows if _concerns(row, asked.object.kind, asked.object.name)]
    if reason:
        rows = [row for row in rows if row.reason == reason]
    if since_minutes is not None:
        start = cluster.now - timedelta(minutes=since_minutes)
        rows = [row for row in rows if row.last and row.last >= start]
    entries = fold(rows)
    shown, following = page(entries, limit, cursor, scope, namespace, type, reason, since_minutes)
    return Events(
        cluster=cluster.identity,
        observed_at=cluster.now,
        events=shown,
        coverage=Coverage(checked=["events"], returned=len(shown), total=len(entries), cursor=following, cut=cut),
    )


async def _rows(cluster: Cluster, namespace: str | None, chosen: str) -> tuple[list[EventRow], list[str]]:
    """All events; by the newer API where the older one may not be read."""

    async def sweep(kind: Kind) -> tuple[list[EventRow], list[str]]:
        listing = await cluster.sweep(kind, event_row, namespace=namespace, fields=chosen, most=MOST_EVENTS)
        cut = [f"events after the first {MOST_EVENTS}; ask about one namespace"] if listing.more else []
        return listing.items, cut

    try:
        return await sweep(EVENT)
    except (DeniedError, NotCollectedError):
        try:
            return await sweep(EVENTS_V1)
        except (DeniedError, NotCollectedError):
            pass
        raise


def _concerns(row: EventRow, kind: str, name: str) -> bool:
    """About the object itself, or about what it owns (whose names begin with its own)."""
    if (row.about.kind, row.about.name) == (kind, name):
        return True
    return kind not in {"Pod", "Node", "Service", "Ingress"} and row.about.name.startswith(f"{name}-")


def fold(rows: Iterable[EventRow]) -> list[EventEntry]:
    """Events of one type, reason and message about objects of one kind and namespace, as one entry each."""
    groups: dict[tuple[str, str, str, str, str], list[EventRow]] = defaultdict(list)
    for row in rows:
        message = row.message.replace(row.about.name, "…") if row.about.name else row.message
        groups[row.type, row.reason, message, row.about.kind, row.about.namespace].append(row)
    entries = [_entry(group) for group in groups.values()]
    return sorted(entries, key=lambda e: (-_stamp(e.last), e.type == "Normal", e.reason, str(e.object), e.message))


def _stamp(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0


def _entry(group: list[EventRow]) -> EventEntry:
    newest = max(group, key=lambda row: (_stamp(row.last), row.about, row.message))
    return EventEntry(
        type=newest.type or "Normal",
        reason=newest.reason,
        message=untrusted(shorten(newest.message, MOST_MESSAGE)),
        object=ObjectRef.of(newest.about),
        objects=len({row.about for row in group}),
        count=sum(row.count for row in group),
        first=min((row.first for row in group if row.first), default=None),
        last=newest.last,
        source=newest.source or None,
    )
