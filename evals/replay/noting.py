"""A snapshot that notes what is read of it, so that a cut of it holds that and nothing else.

`cutting.py` plays cases over it. Answers as the snapshot itself does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

from firstmate_tools.cluster.layouts.recording import Logs, LogText, Recording, Slice
from firstmate_tools.cluster.recorded import SnapshotCluster
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.kinds import Kind
from firstmate_tools.reads import Grant


@dataclass(slots=True)
class Notes:
    """What was read.

    Attributes:
        lists: resource and namespace; None for the list across namespaces, or of a cluster-scoped kind.
        logs: namespace, pod, container, previous.
        texts: path, and the words by which lines were chosen; "" for all of them.
        questions: to Prometheus, by name.
    """

    lists: set[tuple[str, str | None]] = field(default_factory=set)
    logs: set[tuple[str, str, str, bool]] = field(default_factory=set)
    texts: dict[str, set[str]] = field(default_factory=dict)
    questions: set[str] = field(default_factory=set)


class _NotingLogs:
    def __init__(self, logs: Logs, notes: Notes) -> None:
        self._logs, self._notes = logs, notes

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> LogText | None:
        self._notes.logs.add((namespace, pod, container, previous))
        return self._logs.read(namespace, pod, container, previous=previous)

    def any_from(self, namespace: str | None) -> bool:
        return self._logs.any_from(namespace)


@dataclass(slots=True)
class _NotingRecording(Recording):
    notes: Notes = field(default_factory=Notes)

    def slices(self, kind: Kind, namespace: str | None) -> list[tuple[str, Slice]]:
        self.notes.lists.add((kind.resource, namespace if kind.namespaced else None))
        return Recording.slices(self, kind, namespace)

    def answer(self, question: str) -> object:
        self.notes.questions.add(question)
        return Recording.answer(self, question)


class _NotingCluster(SnapshotCluster):
    notes: Notes

    async def text(self, path: str, *, limit_bytes: int = 50_000_000, only: str = "") -> str:
        self.notes.texts.setdefault(path.partition("?")[0], set()).add(only)
        return await super().text(path, limit_bytes=limit_bytes, only=only)


class NotingSource(SnapshotSource):
    """A snapshot whose `notes` say what was read of it."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.notes = Notes()

    @asynccontextmanager
    async def open(self, grant: Grant, *, deadline_s: float = 30.0) -> AsyncGenerator[SnapshotCluster]:
        plain = await asyncio.to_thread(self._load)
        given = {one.name: getattr(plain, one.name) for one in fields(plain)}
        noting = _NotingRecording(**{**given, "logs": _NotingLogs(plain.logs, self.notes)}, notes=self.notes)
        until = time.monotonic() + deadline_s
        identity = self.identity.model_copy(update={"server": plain.server or None, "version": plain.version or None})
        cluster = _NotingCluster(partial(self._rows, noting), noting, identity, grant, until)
        cluster.notes = self.notes
        yield cluster
