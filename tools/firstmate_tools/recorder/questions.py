"""Records what Prometheus answers to the declared questions: each asked once, for all that is recorded.

`recorder.record` calls it once. Must never keep a label as it came: values are masked as texts are.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson

from firstmate_tools.cluster.base import Cluster
from firstmate_tools.cluster.layouts.manifest import PathEntry, question_file
from firstmate_tools.cluster.layouts.write import SnapshotWriter
from firstmate_tools.cluster.masking import masked_text
from firstmate_tools.errors import NotConfiguredError, ReadError
from firstmate_tools.prometheus.answers import Series, plain
from firstmate_tools.reads import Declared, PrometheusRead

from .lists import reason_of


async def record_questions(
    cluster: Cluster, writer: SnapshotWriter, reads: Iterable[Declared], namespaces: Sequence[str] | None
) -> dict[str, PathEntry]:
    """What became of each declared question, by name, in order; none where there is no Prometheus to ask.

    Args:
        namespaces: of questions about namespaces, those of these alone; None asks about all at once.
    """
    asked = sorted({read for read in reads if isinstance(read, PrometheusRead)}, key=lambda read: read.name)
    if not asked:
        return {}
    try:
        first = await _one(cluster, writer, asked[0], namespaces)
    except NotConfiguredError:
        return {}
    rest = await asyncio.gather(*(_one(cluster, writer, read, namespaces) for read in asked[1:]))
    return {read.name: entry for read, entry in zip(asked, [first, *rest], strict=True)}


async def _one(
    cluster: Cluster, writer: SnapshotWriter, read: PrometheusRead, namespaces: Sequence[str] | None
) -> PathEntry:
    places = [None] if namespaces is None or not read.namespaced else namespaces
    try:
        found = [one for place in places for one in await cluster.measure(read, place)]
    except NotConfiguredError:
        raise
    except ReadError as error:
        return PathEntry(outcome=error.why, reason=reason_of(error))
    kept = {"query": read.query, "window_s": read.window_s, "result": plain(map(_masked, found))}
    writer.add(question_file(read.name), orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE))
    return PathEntry(outcome="collected")


def _masked(one: Series) -> Series:
    return replace(one, labels=tuple((name, masked_text(value)) for name, value in one.labels))
