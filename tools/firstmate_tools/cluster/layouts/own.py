"""Reads our own layout, as `recorder.py` writes it and docs/snapshots.md describes it.

`layouts.read` calls it where a `snapshot.json` is found. The manifest alone says what the snapshot holds: a file that
it does not name is not read, and a file that it names and that is missing makes that list a failed one.
"""

import re
from datetime import UTC

from pydantic import ValidationError

from firstmate_tools.cluster.files import Files
from firstmate_tools.errors import ObjectNotFoundError, SnapshotError

from .manifest import (
    NAME,
    VERSION,
    ListEntry,
    LogEntry,
    Manifest,
    ResourceEntry,
    log_file,
    objects_file,
    path_file,
    question_file,
)
from .objects import read_json
from .recording import LogText, Recording, ResourceKey, Shelf, Slice, unanswered

_HOW = "Record it again with `firstmate snapshot create`."
_HOW_NAMESPACES = "Record it again with `firstmate snapshot create` and that namespace, or all."
_HOW_LOGS = "Logs are recorded of containers that look unwell alone."
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def read_manifest(files: Files) -> Manifest:
    """The manifest, checked.

    Raises:
        SnapshotError: it is damaged, of another format or of a later version.
    """
    raw: object = read_json(files, NAME)
    version: object = raw.get("version") if isinstance(raw, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if isinstance(version, int) and version > VERSION:
        raise SnapshotError(
            f"The snapshot has format version {version}; this firstmate reads up to {VERSION}.", "Update firstmate."
        )
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise SnapshotError(f"{NAME} is not a manifest: {where}: {first['msg']}.") from error


def read_own(files: Files) -> Recording:
    """The recording in a snapshot of our own.

    Raises:
        SnapshotError: its manifest is damaged.
    """
    manifest = read_manifest(files)
    shelves: dict[ResourceKey, Shelf] = {}
    for resource, entry in manifest.resources.items():
        shelf = _shelf(resource, entry)
        shelves[shelf.kind.group, shelf.kind.plural] = shelf
    known = manifest.discovery.outcome == "collected"
    return Recording(
        layout="snapshot",
        files=files,
        now=manifest.recorded_at if manifest.recorded_at.tzinfo else manifest.recorded_at.replace(tzinfo=UTC),
        server=manifest.cluster.server,
        version=manifest.cluster.version,
        default_namespace=manifest.cluster.default_namespace,
        namespaces=manifest.namespaces,
        every_namespace=None if manifest.every_namespace is None else frozenset(manifest.every_namespace),
        shelves=shelves,
        logs=OwnLogs(files, manifest),
        kinds=tuple(kind.as_kind() for kind in manifest.discovery.kinds) if known else None,
        how=_HOW,
        how_namespaces=_HOW_NAMESPACES,
        how_logs=_HOW_LOGS,
        paths={path: Slice(entry.outcome, entry.reason, path_file(path)) for path, entry in manifest.paths.items()},
        questions={
            name: Slice(entry.outcome, entry.reason, question_file(name))
            for name, entry in manifest.questions.items()
            if _WORD.fullmatch(name)
        },
    )


def _shelf(resource: str, entry: ResourceEntry) -> Shelf:
    kind = entry.kind.as_kind()
    if kind.resource != resource or not _WORD.fullmatch(resource):
        raise SnapshotError(f"{NAME} is not a manifest: {resource[:80]!r} is no resource.")
    shelf = Shelf(kind)
    if entry.all is not None:
        shelf.whole = _slice(entry.all, "")
        if not kind.namespaced:
            shelf.parts[""] = _slice(entry.all, objects_file(resource, ""))
    for namespace, listed in entry.namespaces.items():
        if not _WORD.fullmatch(namespace):
            raise SnapshotError(f"{NAME} is not a manifest: {namespace[:80]!r} is no namespace.")
        shelf.parts[namespace] = _slice(listed, objects_file(resource, namespace))
    return shelf


def _slice(entry: ListEntry, file: str) -> Slice:
    if entry.outcome != "collected":
        return Slice(entry.outcome, entry.reason)
    return Slice(file=file if entry.objects != 0 else "", form="lines", count=entry.objects)


class OwnLogs:
    """The logs that a manifest names."""

    def __init__(self, files: Files, manifest: Manifest) -> None:
        self._files = files
        self._entries = {(e.namespace, e.pod, e.container, e.previous): e for e in manifest.logs}

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> LogText | None:
        entry = self._entries.get((namespace, pod, container, previous))
        if entry is None:
            return None
        if entry.outcome == "absent":
            raise ObjectNotFoundError(
                f'Container "{container}" of pod "{pod}" in namespace "{namespace}" has no previous run.'
                if previous
                else f'Container "{container}" of pod "{pod}" in namespace "{namespace}" has no log.'
            )
        if entry.outcome != "collected":
            raise unanswered(entry.outcome, f"{_named(entry)} was not recorded: {entry.reason.rstrip('.')}.")
        name = log_file(namespace, pod, container, previous=previous)
        try:
            content = self._files.read(name)
        except KeyError as error:
            raise unanswered("failed", f"{name} is missing from the snapshot.") from error
        except SnapshotError as error:
            raise unanswered("failed", error.message, error.hint) from error
        return LogText(content.decode("utf-8", "replace"), entry.stamped)

    def any_from(self, namespace: str | None) -> bool:
        return any(
            entry.outcome in ("collected", "absent") and namespace in (None, entry.namespace)
            for entry in self._entries.values()
        )


def _named(entry: LogEntry) -> str:
    return f'The log of container "{entry.container}" of pod "{entry.pod}" in namespace "{entry.namespace}"'
