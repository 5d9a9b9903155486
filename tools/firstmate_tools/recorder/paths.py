"""Records the declared paths that are no resources: health, metrics, dumps.

`recorder.record` calls it once. Must never keep a text as it came: it is cleaned as a live cluster's answer is.
"""

import asyncio
from collections.abc import Iterable

from firstmate_tools.cluster.base import Cluster
from firstmate_tools.cluster.layouts.manifest import PathEntry, path_file
from firstmate_tools.cluster.layouts.write import SnapshotWriter
from firstmate_tools.cluster.parse import plain_text
from firstmate_tools.cluster.policy import recordable
from firstmate_tools.errors import ReadError
from firstmate_tools.reads import Declared

from .lists import reason_of


async def record_paths(cluster: Cluster, writer: SnapshotWriter, reads: Iterable[Declared]) -> dict[str, PathEntry]:
    """What became of each declared path, by path without query, in order."""
    asked = sorted({target for read in reads for target in recordable(read)})
    entries = await asyncio.gather(*(_one(cluster, writer, target) for target in asked))
    return {target.partition("?")[0]: entry for target, entry in zip(asked, entries, strict=True)}


async def _one(cluster: Cluster, writer: SnapshotWriter, target: str) -> PathEntry:
    try:
        text = await cluster.text(target)
    except ReadError as error:
        return PathEntry(outcome=error.why, reason=reason_of(error))
    writer.add(path_file(target.partition("?")[0]), plain_text(text).encode("utf-8", "replace"))
    return PathEntry(outcome="collected")
