"""Records a cluster into a snapshot: every declared list, the logs of what looks unwell, and what could not be had.

`firstmate snapshot create` calls `record` with the reads that the catalogue declares, so that whatever may be asked of
the live cluster can be asked of the recording. Secrets are taken out before anything is kept. Must never record a list
that failed as an empty one, and must never write but to the destination.
"""

import asyncio
import re
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from firstmate_tools.cluster.base import Cluster, LogRequest
from firstmate_tools.cluster.layouts import manifest as layout
from firstmate_tools.cluster.layouts.manifest import Manifest
from firstmate_tools.cluster.layouts.write import SnapshotWriter, check_destination
from firstmate_tools.cluster.unwell import WELL
from firstmate_tools.errors import ReadError, UsageError
from firstmate_tools.kinds import POD, SECRET, Kind
from firstmate_tools.reads import Declared, Read
from firstmate_tools.results import NotChecked

from .lists import Lists, reason_of
from .logs import LogReader, requests_once
from .paths import record_paths
from .questions import record_questions

__all__ = ["RecordReport", "record"]

MOST_CONTAINERS = 100
LOG_LINES = 500
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class RecordReport:
    """What was recorded.

    Attributes:
        path: the snapshot.
        size: its bytes.
        objects: how many it holds.
        logs: how many it holds.
        not_recorded: what was asked for and is not in it, or not whole, and why.
        manifest: what the snapshot says of itself.
    """

    path: Path
    size: int
    objects: int
    logs: int
    not_recorded: list[NotChecked]
    manifest: Manifest


async def record(
    cluster: Cluster,
    destination: Path,
    *,
    reads: Iterable[Declared],
    namespaces: Sequence[str] | None = None,
    secrets: bool = False,
    most_containers: int = MOST_CONTAINERS,
    log_lines: int = LOG_LINES,
    logs: Iterable[LogRequest] = (),
    sources: Mapping[str, Mapping[str, bytes]] | None = None,
    force: bool = False,
    recorded_by: str = "firstmate",
) -> RecordReport:
    """Records what a cluster gives now.

    Args:
        cluster: opened with at least these reads, and time for all of them; its own limits bound how much is asked at
            once.
        destination: a name ending in .tar.gz or .tgz makes an archive, another one a folder.
        reads: what the catalogue declares. Lists are recorded where `list` is declared, logs where `pods/log` is.
        namespaces: of namespaced kinds, those of these namespaces alone; None records all.
        secrets: records Secrets too, without their values (they are left out otherwise).
        most_containers: logs of so many containers at most, the worst first.
        log_lines: of each log the last lines; 0 records no logs.
        logs: logs to record beside those; their limits of time and bytes do not count.
        sources: what other sources gave, by folder (`metrics`, `audit`, `flows`, `aws`) and file name.
        force: replaces a snapshot that is there already.
        recorded_by: name and version of the program, for the manifest.

    Raises:
        UsageError: the destination cannot be written to, or a namespace cannot exist.
        ConfigurationError: it could not be written.
        ReadError: nothing at all could be read; nothing is written then.
    """
    check_destination(destination, force=force)
    declared = list(reads)
    wanted = sorted({read for read in declared if isinstance(read, Read)}, key=lambda read: read.resource)
    scope = None if namespaces is None else tuple(_checked(name) for name in namespaces)
    started, writer = cluster.now, SnapshotWriter()
    beside = _sources(writer, sources or {})
    lists = Lists(cluster, writer, scope)
    await _together(lists.record(kind, skip=_why_not(kind, wanted, secrets=secrets)) for kind in _kinds(wanted))
    lists.check_any()
    discovery = await _discovery(cluster)
    paths = await record_paths(cluster, writer, declared)
    questions = await record_questions(cluster, writer, declared, scope)
    reader, left_out = LogReader(cluster, writer, log_lines), 0
    if log_lines > 0 and any(read.subresource == "log" and read.kind == POD for read in wanted):
        due = sorted(lists.due)
        left_out = sum(1 for one in due[most_containers:] if one.rank < WELL)
        requests = [request for one in due[:most_containers] for request in one.requests()]
        await _together(reader.record(request) for request in requests_once([*requests, *logs]))
    manifest = Manifest(
        recorded_by=recorded_by,
        started_at=started,
        recorded_at=cluster.now,
        cluster=_cluster_entry(cluster),
        namespaces=scope,
        every_namespace=lists.every_namespace,
        discovery=discovery,
        resources=dict(sorted(lists.resources.items())),
        logs=tuple(sorted(reader.entries, key=lambda e: (e.namespace, e.pod, e.container, e.previous))),
        logs_left_out=left_out,
        paths=paths,
        questions=questions,
        sources=beside,
    )
    content = orjson.dumps(manifest.model_dump(mode="json"), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    size = await asyncio.to_thread(writer.write, destination, content, manifest.recorded_at, force=force)
    return _report(destination, size, manifest)


def _checked(namespace: str) -> str:
    if not _LABEL.fullmatch(namespace):
        raise UsageError(
            f"{namespace[:80]!r} is not a namespace.", "Namespaces are lower-case letters, digits and '-'."
        )
    return namespace


def _kinds(reads: Sequence[Read]) -> list[Kind]:
    """Each kind once; where versions differ, the first one declared."""
    kinds: dict[str, Kind] = {}
    for read in reads:
        if not read.subresource and (read.kind == SECRET or not read.optional):
            kinds.setdefault(read.kind.resource, read.kind)
    return list(kinds.values())


def _why_not(kind: Kind, reads: Sequence[Read], *, secrets: bool) -> str:
    """Why a kind is not even asked for, "" where it is."""
    if kind == SECRET and not secrets:
        return "Secrets were not asked for."
    listed = any(read.kind == kind and not read.subresource and "list" in read.verbs for read in reads)
    return "" if listed else "It is read one by one, never listed."


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All at once; the cluster's gateway bounds how many requests that means. The first error ends the rest."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _discovery(cluster: Cluster) -> layout.Discovery:
    try:
        kinds = await cluster.kinds()
    except ReadError as error:
        return layout.Discovery(outcome=error.why, reason=reason_of(error))
    return layout.Discovery(outcome="collected", kinds=tuple(layout.KindEntry.of(kind) for kind in kinds))


def _cluster_entry(cluster: Cluster) -> layout.ClusterEntry:
    identity = cluster.identity
    address = urlsplit(identity.server or "")
    return layout.ClusterEntry(
        name=identity.name,
        server=address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl(),
        version=identity.version or "",
        default_namespace=cluster.default_namespace,
    )


def _sources(writer: SnapshotWriter, sources: Mapping[str, Mapping[str, bytes]]) -> dict[str, layout.SourceEntry]:
    entries: dict[str, layout.SourceEntry] = {}
    for folder, files in sorted(sources.items()):
        if folder not in layout.SOURCES or not all(re.fullmatch(r"\w[\w.-]*", name) for name in files):
            known = ", ".join(layout.SOURCES)
            raise UsageError(f"A snapshot has no place for {folder[:80]!r}.", f"There are {known}, without folders.")
        for name, content in sorted(files.items()):
            writer.add(f"{folder}/{name}", content)
        entries[folder] = layout.SourceEntry(outcome="collected", files=tuple(sorted(files)))
    return entries


def _report(destination: Path, size: int, manifest: Manifest) -> RecordReport:
    missing: list[NotChecked] = []
    for resource, entry in manifest.resources.items():
        for inside, part in [("", entry.all), *entry.namespaces.items()]:
            if part is not None and part.outcome != "collected":
                where = f" in namespace {inside}" if inside else ""
                missing.append(NotChecked(what=resource + where, why=part.outcome, how_to_enable=part.reason or None))
    missing += [
        NotChecked(what=path, why=entry.outcome, how_to_enable=entry.reason or None)
        for path, entry in manifest.paths.items()
        if entry.outcome != "collected"
    ]
    missing += [
        NotChecked(what=f"prometheus/{name}", why=entry.outcome, how_to_enable=entry.reason or None)
        for name, entry in manifest.questions.items()
        if entry.outcome != "collected"
    ]
    missing += [
        NotChecked(
            what=f"log of {log.namespace}/{log.pod}/{log.container}",
            why=log.outcome,
            how_to_enable=log.reason or None,
        )
        for log in manifest.logs
        if log.outcome != "collected" and log.outcome != "absent"
    ]
    if manifest.logs_left_out:
        missing.append(NotChecked(what=f"logs of {manifest.logs_left_out} more containers", why="not_asked"))
    lists = [part for entry in manifest.resources.values() for part in (entry.all, *entry.namespaces.values())]
    whole = [entry.all for entry in manifest.resources.values() if entry.all and entry.namespaces]
    objects = sum(part.objects or 0 for part in lists if part) - sum(part.objects or 0 for part in whole)
    collected = sum(1 for log in manifest.logs if log.outcome == "collected")
    return RecordReport(destination, size, objects, collected, missing, manifest)
