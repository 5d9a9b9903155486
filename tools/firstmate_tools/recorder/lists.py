"""Records the declared lists: swept page by page, each object masked and written as a line, and let go.

`recorder.record` makes one `Lists` for a recording. Must never hold more of an object than its line.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

import orjson

from firstmate_tools import fields
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.cluster.layouts.manifest import KindEntry, ListEntry, ResourceEntry, objects_file
from firstmate_tools.cluster.layouts.objects import order_key
from firstmate_tools.cluster.layouts.write import SnapshotWriter
from firstmate_tools.cluster.masking import masked, masked_text
from firstmate_tools.cluster.scrub import scrub
from firstmate_tools.cluster.unwell import DueLog, due_logs
from firstmate_tools.errors import FailedReadError, ReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import NAMESPACE, POD, Kind
from firstmate_tools.text import shorten

_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def reason_of(error: ReadError) -> str:
    """The words of an error, fit for a file that goes round."""
    return shorten(masked_text(error.message), 500)


@dataclass(frozen=True, slots=True)
class _Row:
    """One object on its way into a file."""

    key: str
    namespace: str
    name: str
    line: bytes
    due: tuple[DueLog, ...]


class Lists:
    """What became of the lists.

    Args:
        cluster: where they are read.
        writer: where they go.
        namespaces: those to record; None for all.

    Attributes:
        resources: for the manifest, by resource.
        every_namespace: the names of all namespaces, where that list was had.
        due: the containers whose logs should be read.
    """

    def __init__(self, cluster: Cluster, writer: SnapshotWriter, namespaces: tuple[str, ...] | None) -> None:
        self._cluster, self._writer, self._namespaces = cluster, writer, namespaces
        self.resources: dict[str, ResourceEntry] = {}
        self.every_namespace: tuple[str, ...] | None = None
        self.due: list[DueLog] = []

    async def record(self, kind: Kind, *, skip: str) -> None:
        """Records the lists of one kind.

        Args:
            skip: why it is not to be asked for; "" asks.
        """
        whole: ListEntry | None = None
        parts: dict[str, ListEntry] = {}
        if skip:
            whole = ListEntry(outcome="not_asked", reason=skip)
        elif self._namespaces is None or not kind.namespaced:
            whole, parts = await self._across(kind)
        else:
            for namespace in self._namespaces:
                parts[namespace] = await self._within(kind, namespace)
        self.resources[kind.resource] = ResourceEntry(kind=KindEntry.of(kind), all=whole, namespaces=parts)

    def check_any(self) -> None:
        """Raises a FailedReadError where nothing at all was had: a snapshot of nothing helps nobody."""
        entries = [e for r in self.resources.values() for e in (r.all, *r.namespaces.values()) if e is not None]
        asked = [entry for entry in entries if entry.outcome != "not_asked"]
        if asked and all(entry.outcome != "collected" for entry in asked):
            raise FailedReadError(f"Nothing could be recorded: {asked[0].reason}")

    async def _across(self, kind: Kind) -> tuple[ListEntry, dict[str, ListEntry]]:
        """The list across namespaces, or of a cluster-scoped kind, and its parts by namespace."""
        try:
            rows = await self._rows(kind, None)
        except ReadError as error:
            return ListEntry(outcome=error.why, reason=reason_of(error)), {}
        by_namespace: dict[str, list[_Row]] = defaultdict(list)
        for row in rows:
            by_namespace[row.namespace].append(row)
        parts = {inside: self._write(kind, inside, by_namespace[inside]) for inside in sorted(by_namespace)}
        if kind == NAMESPACE:
            self.every_namespace = tuple(row.name for row in rows)
        return ListEntry(outcome="collected", objects=len(rows)), parts if kind.namespaced else {}

    async def _within(self, kind: Kind, namespace: str) -> ListEntry:
        try:
            rows = await self._rows(kind, namespace)
        except ReadError as error:
            return ListEntry(outcome=error.why, reason=reason_of(error))
        if any(row.namespace != namespace for row in rows):
            return ListEntry(outcome="failed", reason="The list holds objects of another namespace.")
        return self._write(kind, namespace, rows)

    async def _rows(self, kind: Kind, namespace: str | None) -> list[_Row]:
        listing = await self._cluster.sweep(kind, lambda obj: _row(obj, kind), namespace=namespace)
        return listing.items

    def _write(self, kind: Kind, namespace: str, rows: list[_Row]) -> ListEntry:
        rows.sort(key=lambda row: row.key)
        if rows:
            self._writer.add(objects_file(kind.resource, namespace), b"".join(row.line for row in rows))
        self.due.extend(due for row in rows for due in row.due)
        return ListEntry(outcome="collected", objects=len(rows))


def _row(obj: Obj, kind: Kind) -> _Row:
    namespace = fields.namespace_of(obj) if kind.namespaced else ""
    name = fields.name_of(obj)
    if not name or (kind.namespaced and not _NAMESPACE.fullmatch(namespace)):
        raise FailedReadError(f"An object among {kind.resource} has no usable name or namespace.")
    try:
        line = orjson.dumps(scrub(masked(obj, kind), kind), option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:
        raise FailedReadError(f"{kind.kind} {name[:80]!r} cannot be written as JSON: {error}.") from error
    due = tuple(due_logs(obj)) if kind == POD else ()
    return _Row(order_key(namespace, name), namespace, name, line, due)
