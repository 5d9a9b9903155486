"""A snapshot in a file or folder, opened once and shared by all tool calls.

`ClusterSet` makes a `SnapshotSource` for every configured file or folder; `open` gives the `SnapshotCluster` of one
tool call. Objects are parsed when a list is first asked for and kept for the next call, so that callers must not change
them. Must never write.
"""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.reads import Grant
from firstmate_tools.results import ClusterIdentity

from .archive import open_files
from .files import Limits
from .layouts import read
from .layouts.objects import read_objects
from .layouts.recording import Recording, Slice
from .recorded import SnapshotCluster

_CACHED_LISTS = 512
_CACHED_OBJECTS = 60_000


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
        self._parsed: OrderedDict[tuple[str, str], dict[str, Obj]] = OrderedDict()
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
        yield SnapshotCluster(self._objects, recording, identity, grant, time.monotonic() + deadline_s)

    def _load(self) -> Recording:
        with self._lock:
            if self._recording is None:
                recording = read(open_files(self._path, self._limits), self._path.name, self._limits)
                if self._whole:
                    recording.assume_whole()
                self._recording = recording
            return self._recording

    def _objects(self, recording: Recording, part: Slice, kind: Kind, namespace: str) -> dict[str, Obj]:
        if not part.file:
            return {}
        key = (kind.resource, part.file)
        with self._lock:
            if key in self._parsed:
                self._parsed.move_to_end(key)
                return self._parsed[key]
            found = read_objects(recording.files, part, kind, namespace)
            self._parsed[key] = found
            self._held += len(found)
            while len(self._parsed) > 1 and (self._held > _CACHED_OBJECTS or len(self._parsed) > _CACHED_LISTS):
                self._held -= len(self._parsed.popitem(last=False)[1])
            return found

    async def close(self) -> None:
        with self._lock:
            if self._recording is not None:
                self._recording.files.close()
            self._recording = None
            self._parsed.clear()
            self._held = 0
