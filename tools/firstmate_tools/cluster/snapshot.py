"""A snapshot in a file or folder, opened once and shared by all tool calls.

`ClusterSet` makes a `SnapshotSource` for every configured file or folder; `open` gives the `SnapshotCluster` of one
tool call. Objects are parsed when a list is first asked for and kept for the next call, so that callers must not change
them. Must never write.
"""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.reads import Grant
from firstmate_tools.results import ClusterIdentity

from .archive import open_files
from .files import Limits
from .layouts import read
from .layouts.objects import joined, read_objects
from .layouts.recording import Recording, Slice
from .recorded import SnapshotCluster

_CACHED_LISTS = 2_000
_CACHED_OBJECTS = 100_000
"""Of parsed objects; a pod takes some 30 KB, so that a snapshot of 10,000 pods stays below 1 GB. A list across
namespaces counts twice, although it shares its objects with theirs."""
_Place = tuple[str, str | None]
"""Resource and namespace; None for a list across namespaces."""


class SnapshotSource:
    """A snapshot in a file or folder.

    Args:
        name: what it is called in the configuration.
        path: a folder, .tar.gz or .tar in one of the layouts of docs/snapshots.md, or the output of `kubectl
            cluster-info dump` in one file.
        whole: somebody says that it holds all namespaces, where its layout cannot tell (`kubectl cluster-info dump
            --all-namespaces`).
        limits: what it may ask of this machine.
    """

    def __init__(self, name: str, path: Path, *, whole: bool = False, limits: Limits | None = None) -> None:
        self.name = name
        self._path, self._whole, self._limits = path, whole, limits or Limits()
        self._recording: Recording | None = None
        self._parsed: OrderedDict[_Place, Mapping[str, Obj]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    @property
    def identity(self) -> ClusterIdentity:
        """Who it is, from configuration alone."""
        return ClusterIdentity(name=self.name, snapshot=self._path.name)

    @asynccontextmanager
    async def open(self, grant: Grant, *, deadline_s: float = 30.0) -> AsyncGenerator["SnapshotCluster"]:
        """The snapshot as one tool call sees it; the file is opened by the first call and kept.

        Raises:
            SnapshotError: it is damaged, hostile or in no known layout.
        """
        recording = await asyncio.to_thread(self._load)
        identity = self.identity.model_copy(
            update={"server": recording.server or None, "version": recording.version or None}
        )
        yield SnapshotCluster(partial(self._rows, recording), recording, identity, grant, time.monotonic() + deadline_s)

    async def answers(self, *, deadline_s: float) -> None:
        """Opens the file, if that has not been done.

        Raises:
            SnapshotError: it is damaged, hostile or in no known layout.
        """
        await asyncio.to_thread(self._load)

    def _load(self) -> Recording:
        with self._lock:
            if self._recording is None:
                recording = read(open_files(self._path, self._limits), self._path.name, self._limits)
                if self._whole:
                    recording.assume_whole()
                self._recording = recording
            return self._recording

    def _rows(self, recording: Recording, kind: Kind, namespace: str | None) -> Mapping[str, Obj]:
        """The objects of a list by `order_key`, in that order, from memory where it was asked for before."""
        parts = recording.slices(kind, namespace)
        with self._lock:
            if namespace is not None or not kind.namespaced:
                inside, part = parts[0]
                return self._part(recording, part, kind, inside)
            place = (kind.resource, None)
            if (known := self._known(place)) is None:
                known = joined(self._part(recording, part, kind, inside) for inside, part in parts)
                self._keep(place, known)
            return known

    def _part(self, recording: Recording, part: Slice, kind: Kind, namespace: str) -> Mapping[str, Obj]:
        place = (kind.resource, namespace)
        if (known := self._known(place)) is None:
            known = read_objects(recording.files, part, kind, namespace)
            self._keep(place, known)
        return known

    def _known(self, place: _Place) -> Mapping[str, Obj] | None:
        if place in self._parsed:
            self._parsed.move_to_end(place)
        return self._parsed.get(place)

    def _keep(self, place: _Place, objects: Mapping[str, Obj]) -> None:
        self._parsed[place] = objects
        self._held += len(objects)
        while len(self._parsed) > 1 and (self._held > _CACHED_OBJECTS or len(self._parsed) > _CACHED_LISTS):
            self._held -= len(self._parsed.popitem(last=False)[1])

    async def close(self) -> None:
        with self._lock:
            if self._recording is not None:
                self._recording.files.close()
            self._recording = None
            self._parsed.clear()
            self._held = 0
