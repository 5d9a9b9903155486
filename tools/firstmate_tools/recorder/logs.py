"""Records container logs, with the times of their lines and without secrets.

`recorder.record` makes one `LogReader` for a recording. Must never keep a line that was not masked.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from firstmate_tools.cluster.base import Cluster, LogRequest
from firstmate_tools.cluster.layouts.manifest import LogEntry, log_file
from firstmate_tools.cluster.layouts.write import SnapshotWriter
from firstmate_tools.cluster.logtext import split_stamps
from firstmate_tools.cluster.masking import masked_log, masked_text
from firstmate_tools.errors import NotCollectedError, ObjectNotFoundError, ReadError, UsageError

from .lists import reason_of

_POD = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def requests_once(requests: Iterable[LogRequest]) -> list[LogRequest]:
    """Each log once, without those of containers whose names no file can have."""
    found = {(r.namespace, r.pod, r.container, r.previous): r for r in requests}
    return [
        r
        for r in found.values()
        if _LABEL.fullmatch(r.container) and _LABEL.fullmatch(r.namespace) and _POD.fullmatch(r.pod)
    ]


class LogReader:
    """What became of the logs.

    Args:
        cluster: where they are read.
        writer: where they go.
        lines: of each the last ones.

    Attributes:
        entries: for the manifest.
    """

    def __init__(self, cluster: Cluster, writer: SnapshotWriter, lines: int) -> None:
        self._cluster, self._writer, self._lines = cluster, writer, lines
        self.entries: list[LogEntry] = []

    async def record(self, asked: LogRequest) -> None:
        """Records a container's log."""
        place = asked.namespace, asked.pod, asked.container
        request = LogRequest(*place, previous=asked.previous, tail_lines=self._lines, timestamps=True)
        entry = LogEntry(
            namespace=request.namespace,
            pod=request.pod,
            container=request.container,
            previous=request.previous,
            outcome="collected",
        )
        try:
            text, stamped = await self._read(request)
        except (ObjectNotFoundError, UsageError) as error:
            # A UsageError: the container is gone from the pod since the pod was read.
            self.entries.append(entry.model_copy(update={"outcome": "absent", "reason": masked_text(error.message)}))
            return
        except ReadError as error:
            self.entries.append(entry.model_copy(update={"outcome": error.why, "reason": reason_of(error)}))
            return
        kept, stamped = masked_log(text, stamped=stamped)
        name = log_file(request.namespace, request.pod, request.container, previous=request.previous)
        self._writer.add(name, kept.encode("utf-8", "replace"))
        lines = text.count("\n") + bool(text and not text.endswith("\n"))
        cut = request.tail_lines is not None and lines >= request.tail_lines
        self.entries.append(entry.model_copy(update={"stamped": stamped, "lines": lines, "cut": cut}))

    async def _read(self, request: LogRequest) -> tuple[str, bool]:
        try:
            text = await self._cluster.logs(request)
        except NotCollectedError:
            # A recording without times, which is being recorded again.
            return await self._cluster.logs(replace(request, timestamps=False)), False
        return text, not text or split_stamps(text) is not None
