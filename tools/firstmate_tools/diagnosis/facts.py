"""What a diagnosis has observed, as pure data: rules read from here and nowhere else.

The engine fills it; rules ask. A kind that could not be read is not "empty": `knows` tells the difference.

What is made of facts (`derived`, `each`) is kept until something that it was made of changes: every question that is
put to the facts meanwhile is written down, so that a further round of reads costs only what depends on its news.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar, cast

from firstmate_tools import fields
from firstmate_tools.cluster.parse import without_collector
from firstmate_tools.customkinds import address_of
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.graph import LINKED, Graph
from firstmate_tools.kinds import Kind
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.reads import PrometheusRead
from firstmate_tools.refs import Ref, involved

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event, reduced; series and counts of both Event APIs folded in.

    Attributes:
        count: how often it was seen.
        first, last: when, None where the event does not say.
    """

    about: Ref
    about_uid: str
    field: str
    reason: str
    message: str
    type: str
    count: int
    first: datetime | None
    last: datetime | None
    source: str


_SOURCES = (
    ("source", "component"),
    ("deprecatedSource", "component"),
    ("reportingComponent",),
    ("reportingController",),
)
"""Where either Event API says who saw it, the older way first."""


def event_row(event: Obj) -> EventRow:
    """The row of an Event of either API."""
    about = event.get("involvedObject") or event.get("regarding")
    series = fields.mapping(event, "series")
    count = max(
        fields.number(event, "count"), fields.number(event, "deprecatedCount"), fields.number(series, "count"), 1
    )
    first = fields.time_at(event, "firstTimestamp") or fields.time_at(event, "deprecatedFirstTimestamp")
    last = fields.time_at(event, "lastTimestamp") or fields.time_at(event, "deprecatedLastTimestamp")
    moment = fields.time_at(event, "eventTime") or fields.time_at(event, "metadata", "creationTimestamp")
    return EventRow(
        about=involved(event),
        about_uid=fields.text(about, "uid"),
        field=fields.text(about, "fieldPath"),
        reason=fields.text(event, "reason"),
        message=fields.text(event, "message") or fields.text(event, "note"),
        type=fields.text(event, "type"),
        count=count,
        first=first or moment,
        last=fields.time_at(series, "lastObservedTime") or last or moment,
        source=next(filter(None, (fields.text(event, *path) for path in _SOURCES)), ""),
    )


Shelf = dict[tuple[str, str], Obj]
"""Objects of one kind, by namespace and name."""
LogKey = tuple[str, str, str, bool]
"""namespace, pod, container, previous."""
_GRAPH, _EVENTS, _LOGS, _TEXTS, _SERIES, _PLACES = "(graph)", "(events)", "(logs)", "(texts)", "(series)", "(places)"
"""What else than the objects of a kind may be asked for; no kind is called so."""


class Facts:
    """Everything that was observed for one question."""

    def __init__(self, scope: Scope, now: datetime, server_version: str | None = None) -> None:
        self.scope = scope
        self.now = now
        self.server_version = server_version
        self._places = frozenset({scope.namespace} if scope.namespace is not None else ())
        self._objects: dict[str, Shelf] = defaultdict(dict)
        self._sorted: dict[str, list[Obj]] = {}
        self._whole: set[tuple[str, str | None]] = set()
        self._absent: set[Ref] = set()
        self._events: dict[Ref, list[EventRow]] = defaultdict(list)
        self._event_lists: dict[str | None, list[EventRow]] = {}
        self._logs: dict[LogKey, str] = {}
        self._texts: dict[str, str] = {}
        self._series: dict[tuple[str, str | None], tuple[Series, ...]] = {}
        self._graph: Graph | None = None
        self._derived: dict[object, tuple[object, set[str]]] = {}
        self._asked: list[set[str]] = []
        """What those that are being derived have asked for so far, the innermost last."""
        self.version = 0
        """Grows whenever something is observed that was not known before."""

    # Filled by the engine.

    def put(self, kind: Kind, namespace: str | None, objects: Iterable[Obj]) -> None:
        """The whole list of a kind in a namespace (None: in all, or cluster-scoped). Replaces what was known of it."""
        shelf = self._objects[address_of(kind)]
        before = {key: obj for key, obj in shelf.items() if namespace is None or key[0] == namespace}
        after = {(fields.namespace_of(obj), fields.name_of(obj)): obj for obj in objects}
        news = not self.knows(kind, namespace)
        self._whole.add((address_of(kind), namespace))
        if after != before:
            for key in before:
                del shelf[key]
            shelf.update(after)
            self._changed(kind, (before, after))
        elif news:
            self._turn(address_of(kind))  # that there is nothing else, or nothing at all

    def put_one(self, kind: Kind, ref: Ref, obj: Obj | None) -> None:
        """One object, or the knowledge that it does not exist."""
        shelf, key = self._objects[address_of(kind)], (ref.namespace, ref.name)
        before = {key: shelf[key]} if key in shelf else {}
        if obj is None:
            self._absent.add(ref)
            shelf.pop(key, None)
        else:
            shelf[key] = obj
        self._changed(kind, (before, {key: obj} if obj is not None else {}))

    def put_events(self, rows: Iterable[EventRow], namespace: str | None = None) -> None:
        """The events of a namespace (None: those that the question began with). Replaces what was known of them.

        Args:
            namespace: or another name for what was read aside, such as the events of one reason.
        """
        self._event_lists[namespace] = list(rows)
        self._events.clear()
        for row in dict.fromkeys(row for found in self._event_lists.values() for row in found):
            self._events[row.about].append(row)
        for found in self._events.values():
            found.sort(key=newest_first)
        self._turn(_EVENTS)

    def put_log(self, key: LogKey, content: str) -> None:
        if self._logs.get(key) != content:
            self._logs[key] = content
            self._turn(_LOGS)

    def put_text(self, path: str, content: str) -> None:
        if self._texts.get(path) != content:
            self._texts[path] = content
            self._turn(_TEXTS)

    def put_series(self, read: PrometheusRead, namespace: str | None, series: Iterable[Series]) -> None:
        self._series[read.name, namespace] = tuple(series)
        self._turn(_SERIES)

    def visit(self, namespace: str) -> None:
        """From here on another namespace is looked at wholly too."""
        self._places |= {namespace}
        self._turn(_PLACES)

    def _changed(self, kind: Kind, sides: tuple[Shelf, Shelf]) -> None:
        """Lets go of what was made of other facts; the graph stays where nothing that it links has changed."""
        name = address_of(kind)
        self._sorted.pop(name, None)
        every = (obj for side in sides for obj in side.values())
        if kind in LINKED or any("ownerReferences" in fields.mapping(obj, "metadata") for obj in every):
            self._graph = None
            self._turn(name, _GRAPH)
        else:
            self._turn(name)

    def _turn(self, *changed: str) -> None:
        for key in [key for key, (_, asked) in self._derived.items() if not asked.isdisjoint(changed)]:
            del self._derived[key]
        self.version += 1

    def _ask(self, what: str) -> None:
        if self._asked:
            self._asked[-1].add(what)

    def beside(self, namespace: str) -> "Facts":
        """The same observations, asked about from another namespace. Nothing may be put into what this gives."""
        other = copy.copy(self)
        other.scope = Scope(namespace=namespace)
        other._derived, other._asked = {}, []
        return other

    # Asked by rules. Whatever is asked for is written down.

    @property
    def places(self) -> frozenset[str]:
        """Namespaces that are looked at wholly: the scope's, and where a cause was followed to. Empty: all of them."""
        self._ask(_PLACES)
        return self._places

    def knows(self, kind: Kind, namespace: str | None = None) -> bool:
        """Whether the list of this kind in this namespace was read, so that absence means absence."""
        name = address_of(kind)
        self._ask(name)
        return (name, None) in self._whole or (namespace is not None and (name, namespace) in self._whole)

    def all(self, kind: Kind, namespace: str | None = None) -> list[Obj]:
        """The observed objects of a kind within the scope's namespace (or the one given), by namespace and name."""
        place = namespace if namespace is not None else self.scope.namespace
        if place is None or not kind.namespaced:
            return self.everywhere(kind)
        return [obj for obj in self.everywhere(kind) if fields.namespace_of(obj) == place]

    def everywhere(self, kind: Kind) -> list[Obj]:
        """The observed objects of a kind, beyond the scope too where a rule asked for them, by namespace and name."""
        name = address_of(kind)
        self._ask(name)
        found = self._sorted.get(name)
        if found is None:
            shelf = self._objects.get(name, {})
            found = self._sorted[name] = [shelf[key] for key in sorted(shelf)]
        return list(found)

    def get(self, ref: Ref) -> Obj | None:
        """An observed object, or None (see `exists` for whether that means anything)."""
        if self._asked:  # a million times for ten thousand pods
            self._asked[-1].add(ref.kind)
        return self._objects.get(ref.kind, {}).get((ref.namespace, ref.name))

    def exists(self, ref: Ref) -> bool | None:
        """True or False where it was observed, None where nobody looked."""
        if self.get(ref) is not None:
            return True
        if ref in self._absent or not self._whole.isdisjoint({(ref.kind, None), (ref.kind, ref.namespace)}):
            return False
        return None

    def events(self, about: Ref, *reasons: str) -> list[EventRow]:
        """Events about an object, newest first; of these reasons, where some are given."""
        self._ask(_EVENTS)
        rows = self._events.get(about, [])
        return [row for row in rows if row.reason in reasons] if reasons else list(rows)

    def every_event(self) -> list[EventRow]:
        """All events, newest first; for causes that show at objects of any kind. Not those of another place."""
        self._ask(_EVENTS)
        elsewhere = self.places - {self.scope.namespace}
        found = (row for about, rows in self._events.items() if about.namespace not in elsewhere for row in rows)
        return sorted(found, key=newest_first)

    def log(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> str | None:
        """The end of a container's log, None where it was not read or does not exist."""
        self._ask(_LOGS)
        return self._logs.get((namespace, pod, container, previous))

    def text(self, path: str) -> str | None:
        """What was read of a path that is no resource, None where it was not."""
        self._ask(_TEXTS)
        return self._texts.get(path)

    def series(self, read: PrometheusRead) -> tuple[Series, ...]:
        """What Prometheus said, of the scope's namespace where the question is about one; nothing where not asked."""
        self._ask(_SERIES)
        return self._series.get((read.name, self.scope.namespace if read.namespaced else None), ())

    def asked(self, read: PrometheusRead) -> bool:
        """Whether Prometheus has answered this question, if only with nothing."""
        self._ask(_SERIES)
        return (read.name, self.scope.namespace if read.namespaced else None) in self._series

    def logs(self) -> list[tuple[LogKey, str]]:
        """Every log that was read, by its key: for what any program may say."""
        self._ask(_LOGS)
        return sorted(self._logs.items())

    def derived(self, make: Callable[["Facts"], T]) -> T:
        """What a function makes of these facts, made once until they change: for what several rules start from.

        Args:
            make: a module's own function (it is the key), pure; nobody may change what it gives, and it may not keep
                the facts in order to ask them later.
        """
        return self._kept(make, make)

    def each(self, make: Callable[["Facts"], Iterable[T]]) -> tuple[T, ...]:
        """As `derived`, for a function that gives one thing after the other."""
        return self._kept((tuple, make), lambda facts: tuple(make(facts)))

    def _kept(self, key: object, make: Callable[["Facts"], T]) -> T:
        if key in self._derived:
            made, asked = self._derived[key]
        else:
            asked: set[str] = set()
            self._asked.append(asked)
            try:
                made = make(self)
            finally:
                self._asked.pop()
            self._derived[key] = made, asked
        if self._asked:
            self._asked[-1] |= asked
        return cast("T", made)

    @property
    def graph(self) -> Graph:
        """The object graph over everything observed so far."""
        self._ask(_GRAPH)
        if self._graph is None:
            with without_collector():
                self._graph = Graph.over({kind: list(shelf.values()) for kind, shelf in sorted(self._objects.items())})
        return self._graph

    def workload(self, ref: Ref) -> Ref:
        """What a person edits: the topmost controller above an object, the object itself where it has none."""
        return self.graph.workload(ref)


def newest_first(row: EventRow) -> tuple[float, str, str]:
    """The order in which events are shown and read."""
    return (-row.last.timestamp() if row.last else 0.0, row.reason, row.message)
