"""Records the declared paths that are no resources: health, metrics, dumps.

`recorder.record` calls it once. Must never keep a text as it came: it is cleaned as a live cluster's answer is.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from firstmate_tools.cluster.base import Access, Cluster
from firstmate_tools.cluster.layouts.manifest import PathEntry, path_file
from firstmate_tools.cluster.layouts.write import SnapshotWriter
from firstmate_tools.cluster.parse import plain_text
from firstmate_tools.cluster.policy import recordable
from firstmate_tools.errors import ReadError
from firstmate_tools.reads import Declared, NonResource

from .lists import reason_of


async def record_paths(cluster: Cluster, writer: SnapshotWriter, reads: Iterable[Declared]) -> dict[str, PathEntry]:
    """What became of each declared path, by path without query, in order.

    An optional one, which the least role leaves out, is asked for only where a review allows it.
    """
    declared = list(reads)
    asked = sorted({target for read in declared for target in recordable(read)})
    denied = await _denied(cluster, [r for r in declared if isinstance(r, NonResource) and r.optional])
    entries = await asyncio.gather(*(_one(cluster, writer, target, denied) for target in asked))
    return {target.partition("?")[0]: entry for target, entry in zip(asked, entries, strict=True)}


async def _denied(cluster: Cluster, optional: list[NonResource]) -> set[str]:
    """The optional paths that the caller may not read, or of which nobody says whether he may."""
    answers: Sequence[Access] = ()
    if optional:
        with suppress(ReadError):
            answers = await cluster.access(optional, None)
    allowed = {one.read.path for one in answers if one.allowed and isinstance(one.read, NonResource)}
    return {read.path for read in optional} - allowed


async def _one(cluster: Cluster, writer: SnapshotWriter, target: str, denied: set[str]) -> PathEntry:
    if target.partition("?")[0] in denied:
        return PathEntry(outcome="not_asked", reason="`firstmate rbac --secrets` prints a role that allows it.")
    try:
        text = await cluster.text(target)
    except ReadError as error:
        return PathEntry(outcome=error.why, reason=reason_of(error))
    writer.add(path_file(target.partition("?")[0]), plain_text(text).encode("utf-8", "replace"))
    return PathEntry(outcome="collected")
