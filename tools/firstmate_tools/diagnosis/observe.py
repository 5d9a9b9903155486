"""Reads what a question needs, in parallel, and notes what could not be read. The engine's only I/O.

Lists are shared between rules; a want of one object where the list is known costs nothing; wants for the same kind in
many namespaces become one list over all. Custom resources are read where discovery names them, in the version that the
cluster serves; where it does not, there are none. Nothing here judges.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from firstmate_tools import fields
from firstmate_tools.cluster.base import Cluster, LogRequest
from firstmate_tools.customkinds import CUSTOM, address_of
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import EventRow, Facts, event_row
from firstmate_tools.diagnosis.rule import GetWant, ListWant, LogWant, MetricWant, ReasonWant, TextWant, Want
from firstmate_tools.diagnosis.slim import slimmer
from firstmate_tools.diagnosis.stored import stored
from firstmate_tools.errors import DeniedError, NotConfiguredError, ObjectNotFoundError, ReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, Kind, custom, known
from firstmate_tools.reads import NonResource, Read
from firstmate_tools.results import Coverage, NotChecked

MOST_LOGS = 10
MOST_GETS = 10
MOST_OPTIONAL = 20
MOST_EVENTS = 20_000
MANY_NAMESPACES = 4
MOST_REQUESTS = 40
"""What a question about a namespace may ask of the API server."""
MANY_PRODUCTS = 12
"""Kinds of products that are listed without a look at which of them have objects; the most of one namespace."""
FEW_PRODUCTS = 6
"""The most of one namespace where nobody says which have objects."""
_RANK = {kind: rank for rank, kind in enumerate(CUSTOM)}
LOG_LINES = 100
ASIDE_LOGS = "logs of containers that look well"
TELLING_NORMAL_EVENTS = frozenset(
    {
        "DisruptionBlocked",
        "DisruptionTerminating",
        "ExternalExpanding",
        "FailedBinding",
        "JobAlreadyActive",
        "Killing",
        "NodeNotReady",
        "NotTriggerScaleUp",
        "Preempted",
        "SuccessfulRescale",
        "SuccessfullyReconciled",
        "TriggeredScaleUp",
    }
)
"""Normal events that rules read; all other Normal events are let go."""


@dataclass(slots=True)
class Observer:
    """Fills `facts` from `cluster` and keeps the record of what was and was not read."""

    cluster: Cluster
    facts: Facts
    checked: set[str] = field(default_factory=set[str])
    missing: dict[str, NotChecked] = field(default_factory=dict[str, NotChecked])
    cut: list[str] = field(default_factory=list[str])
    absent: set[Kind] = field(default_factory=set[Kind])
    """Custom kinds that rules wanted and the cluster does not serve."""
    no_metrics: NotConfiguredError | None = None
    """Why Prometheus was not asked, where nobody said how."""
    _done: set[Want] = field(default_factory=set[Want])
    _served: dict[tuple[str, str], Kind] | None = None
    _counts: dict[tuple[str, str], int] | None = None
    _before: int = 0

    def __post_init__(self) -> None:
        self._before = self.cluster.usage.requests

    async def lists(self, wants: Iterable[ListWant], *, again: bool = False) -> None:
        """Reads lists at the same time; those that were read before only where `again`.

        What is read again is read of the few namespaces that it is wanted of: one list over all of a large cluster
        would cost more than all of them.
        """
        joined = _joined(wants, most=sys.maxsize if again else MANY_NAMESPACES)
        fresh = [want for want in joined if again or want not in self._done]
        self._done.update(fresh)
        await self._discover(fresh)
        await asyncio.gather(*(self._list(want) for want in await self._worthwhile(fresh)))

    async def dig(self, wants: Iterable[Want]) -> bool:
        """Reads what rules want beyond the base lists. Returns False where nothing new was wanted."""
        fresh = sorted({want for want in wants if want not in self._done}, key=repr)
        lists = [want for want in fresh if isinstance(want, ListWant) and not self._covered(want)]
        gets = [want for want in fresh if isinstance(want, GetWant) and self.facts.exists(want.ref) is None]
        asides = [want for want in gets if want.optional]
        gets = [want for want in gets if not want.optional]
        logs = sorted((want for want in fresh if isinstance(want, LogWant)), key=lambda want: want.aside)
        reasons = [want for want in fresh if isinstance(want, ReasonWant)]
        texts = [want for want in fresh if isinstance(want, TextWant)]
        metrics = [want for want in fresh if isinstance(want, MetricWant)]
        self._done.update(fresh)
        if not (lists or gets or asides or logs or reasons or texts or metrics):
            return False
        self._note_cut(len(gets) - MOST_GETS, "objects that the evidence names")
        self._note_cut(len(logs) - MOST_LOGS, "logs of failing containers")
        await self._discover([*lists, *gets])
        lists = sorted(await self._worthwhile(_joined(lists)), key=lambda want: self._as_served(want.kind) is not None)
        room = self.room() + sum(1 for want in lists if self._as_served(want.kind) is None)  # those cost nothing
        logs = logs[:MOST_LOGS]
        over = len(lists) + len(gets[:MOST_GETS]) + len(logs) + len(reasons) - room
        if over > 0:  # what says nothing of an object in sight goes first
            reasons = reasons[: max(room - len(lists) - len(gets[:MOST_GETS]) - len(logs), 0)]
            logs = logs[: max(room - len(lists) - len(gets[:MOST_GETS]), 0)]
            gets, lists = gets[: max(room - len(lists), 0)], lists[:room]
            self._note_cut(over, f"lists, objects and logs than {MOST_REQUESTS} requests hold")
        await asyncio.gather(
            *(self._list(want) for want in lists),
            *(self._get(want) for want in gets[:MOST_GETS]),
            *(self._log(want) for want in logs),
            *(self._reason(want) for want in reasons),
            *(self._text(want) for want in texts),
            *(self._metric(want) for want in metrics),
            self._asides(asides),
        )
        return True

    def visit(self, namespace: str) -> None:
        """From here on another namespace is looked at wholly too, with all of its events."""
        self.facts.visit(namespace)
        self._done.discard(ListWant(EVENT, namespace))

    def coverage(self) -> Coverage:
        """The record, in a stable order. What was read once and failed once counts as not checked."""
        return Coverage(
            checked=sorted({_short(what) for what in self.checked - set(self.missing)}),
            not_checked=[self.missing[what] for what in sorted(self.missing)],
            cut=list(self.cut),
        )

    def room(self) -> int:
        """How many requests more this question may make."""
        if self.facts.scope.namespace is None or not self.cluster.is_live:
            return sys.maxsize
        return max(MOST_REQUESTS - self.cluster.usage.requests + self._before, 0)

    def _covered(self, want: ListWant) -> bool:
        return self.facts.knows(want.kind, want.namespace)

    def _note_cut(self, over: int, what: str) -> None:
        if over > 0:
            self.cut.append(f"{over} more {what} were not read; ask about one namespace or workload to read them")

    async def _discover(self, wants: Iterable[ListWant | GetWant]) -> None:
        """Asks once which kinds the cluster serves, where somebody wants one that it may not."""
        if self._served is not None or not any(custom(want.kind) for want in wants):
            return
        self._served = {}
        try:
            self._served = {(kind.group, kind.plural): kind for kind in await self.cluster.kinds()}
        except ReadError as error:
            self.missing["custom resources"] = NotChecked.of("custom resources", error)

    async def _worthwhile(self, wants: list[ListWant]) -> list[ListWant]:
        """Leaves out kinds of products that have no objects, or that are too many for one namespace's question.

        Where many are served the API server is asked first how many objects it holds of each, which is one request.
        """
        if not self.cluster.is_live:
            return wants
        products = [want for want in wants if custom(want.kind) and self._as_served(want.kind) is not None]
        if self._counts is None and len(products) > MANY_PRODUCTS:
            self._counts = await stored(self.cluster)
        empty = [want for want in products if (self._counts or {}).get((want.kind.group, want.kind.plural)) == 0]
        for want in empty:
            self.facts.put(want.kind, want.namespace, [])
            self.checked.add(want.kind.resource)
        left = [want for want in products if want not in empty] if self.facts.scope.namespace is not None else []
        asked = self.facts.scope.object
        left.sort(key=lambda want: (asked is None or address_of(want.kind) != asked.kind, _RANK.get(want.kind, 0)))
        over = left[MANY_PRODUCTS if self._counts else FEW_PRODUCTS :]
        if over:
            what = f"custom resources of {lib.count(len(over), 'more kind')}: {lib.some(w.kind.resource for w in over)}"
            how = "Ask about one of them (KIND/NAME), or about the cluster."
            self.missing[what] = NotChecked(what=what, why="not_asked", how_to_enable=how)
            self.cut.append(what)
        return [want for want in wants if want not in empty and want not in over]

    def _as_served(self, kind: Kind) -> Kind | None:
        """A kind in the version that the cluster serves; None for a custom one that it does not serve."""
        if not custom(kind):
            return kind
        found = (self._served or {}).get((kind.group, kind.plural))
        return replace(kind, version=found.version) if found is not None else None

    async def _list(self, want: ListWant) -> None:
        kind, served = want.kind, self._as_served(want.kind)
        if served is None:
            if "custom resources" not in self.missing:
                self.absent.add(kind)
                self.facts.put(kind, want.namespace, [])
            return
        try:
            if kind == EVENT:
                await self._events(want.namespace)
            else:
                listing = await self.cluster.sweep(served, slimmer(kind, self.facts.now), namespace=want.namespace)
                self.facts.put(kind, want.namespace, listing.items)
        except ReadError as error:
            what = kind.resource
            if kind == EVENT and self._aside(want.namespace):
                what = "events of nodes"
            elif want.namespace in self.facts.places - {self.facts.scope.namespace}:
                what = f"{kind.resource} in namespace {want.namespace}"
            self.missing[what] = NotChecked.of(what, error)
        else:
            self.checked.add(kind.resource)

    async def _events(self, namespace: str | None) -> None:
        aside = self._aside(namespace)
        only = "involvedObject.kind=Node,type!=Normal" if aside else "" if namespace else "type!=Normal"
        listing = await self.cluster.sweep(EVENT, _telling, namespace=namespace, fields=only, most=MOST_EVENTS)
        if listing.more:
            self.cut.append(f"events after the first {MOST_EVENTS}; ask about one namespace to read all of its events")
        self.facts.put_events(listing.items, namespace if namespace != self.facts.scope.namespace else None)

    async def _reason(self, want: ReasonWant) -> None:
        only = f"reason={want.reason}"
        try:
            listing = await self.cluster.sweep(EVENT, event_row, namespace=None, fields=only, most=MOST_EVENTS)
        except ReadError as error:
            self.missing[EVENT.resource] = NotChecked.of(EVENT.resource, error)
        else:
            self.facts.put_events(listing.items, only)

    async def _text(self, want: TextWant) -> None:
        try:
            (access,) = await self.cluster.access([NonResource(want.path, optional=True)], None)
            if not access.allowed:
                how = f"`firstmate rbac --secrets` prints a role that allows {want.path} too."
                self.missing[want.path] = NotChecked(what=want.path, why="not_configured", how_to_enable=how)
                return
            content = await self.cluster.text(want.path, only=want.only)
        except ReadError as error:
            self.missing[want.path] = NotChecked(what=want.path, why="not_asked", how_to_enable=error.hint or None)
        else:
            self.facts.put_text(want.path, content)
            self.checked.add(want.path)

    async def _metric(self, want: MetricWant) -> None:
        try:
            found = await self.cluster.measure(want.read, want.namespace)
        except NotConfiguredError as error:
            self.no_metrics = error
        except ReadError as error:
            self.missing["Prometheus"] = NotChecked.of("Prometheus", error)
        else:
            self.facts.put_series(want.read, want.namespace, found)
            self.checked.add("Prometheus")

    def _aside(self, namespace: str | None) -> bool:
        """Whether events of this namespace are read only for what kubelets say of their nodes there."""
        return namespace is not None and namespace not in self.facts.places

    async def _get(self, want: GetWant) -> None:
        kind, served = want.kind, self._as_served(want.kind)
        if served is None:
            if "custom resources" not in self.missing:
                self.absent.add(kind)
                self.facts.put_one(kind, want.ref, None)
            return
        try:
            obj = await self.cluster.get(served, want.ref.name, want.ref.namespace or None)
        except DeniedError as error:
            denied = NotChecked.of(kind.resource, error)
            self.missing[kind.resource] = self._not_enabled(kind) if want.optional else denied
        except ReadError as error:
            self.missing[kind.resource] = NotChecked.of(kind.resource, error)
        else:
            self.facts.put_one(kind, want.ref, obj)
            self.checked.add(kind.resource)

    async def _asides(self, wants: list[GetWant]) -> None:
        """Reads that the least role leaves out: asked for by a review first, so that no refusal is ever provoked."""
        place = self.facts.scope.namespace
        allowed: list[GetWant] = []
        for kind in dict.fromkeys(want.kind for want in wants):
            if place is None:
                self.missing[kind.resource] = NotChecked(
                    what=kind.resource, why="not_asked", how_to_enable="Ask about one namespace."
                )
                continue
            try:
                (access,) = await self.cluster.access([Read(kind, ("get",), optional=True)], place)
            except ReadError as error:
                self.missing[kind.resource] = NotChecked.of(kind.resource, error)
                continue
            if access.allowed:
                allowed += [want for want in wants if want.kind == kind]
            else:
                self.missing[kind.resource] = self._not_enabled(kind)
        self._note_cut(len(allowed) - MOST_OPTIONAL, "Secrets")
        await asyncio.gather(*(self._get(want) for want in allowed[:MOST_OPTIONAL]))

    def _not_enabled(self, kind: Kind) -> NotChecked:
        if not self.cluster.is_live:
            how = "Record it again with `firstmate snapshot create --secrets`."
            return NotChecked(what=kind.resource, why="not_asked", how_to_enable=how)
        how = "`firstmate rbac --secrets` prints a role that allows to look at their keys."
        return NotChecked(what=kind.resource, why="not_configured", how_to_enable=how)

    async def _log(self, want: LogWant) -> None:
        request = LogRequest(want.namespace, want.pod, want.container, want.previous, tail_lines=LOG_LINES)
        try:
            content = await self.cluster.logs(request)
        except ObjectNotFoundError:
            self.checked.add("pods/log")
        except ReadError as error:
            if want.aside:
                self.missing.setdefault(ASIDE_LOGS, NotChecked(what=ASIDE_LOGS, why="not_asked"))
            else:
                self.missing["pods/log"] = NotChecked.of("pods/log", error)
        else:
            self.facts.put_log((want.namespace, want.pod, want.container, want.previous), content)
            self.checked.add("pods/log")


def _short(resource: str) -> str:
    """A built-in resource without its group, as people name it: there are many, and every answer lists them."""
    plural = resource.partition(".")[0]
    return plural if known(resource) is not None else resource


def _telling(event: Obj) -> EventRow | None:
    if fields.text(event, "type") == "Normal" and fields.text(event, "reason") not in TELLING_NORMAL_EVENTS:
        return None
    return event_row(event)


def _joined(wants: Iterable[ListWant], most: int = MANY_NAMESPACES) -> list[ListWant]:
    """The lists to read: one over all namespaces in place of more than so many."""
    wanted = set(wants)
    everywhere = {want.kind for want in wanted if want.namespace is None}
    counts = Counter(want.kind for want in wanted)
    everywhere |= {kind for kind, count in counts.items() if count > most}
    lists = {ListWant(w.kind, None if w.kind in everywhere else w.namespace) for w in wanted}
    return sorted(lists, key=lambda want: (want.kind.resource, want.namespace or ""))
