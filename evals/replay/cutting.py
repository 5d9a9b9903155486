"""Cuts a recording down to what the runs of its cases read, and makes sure that they run the same.

`python -m evals.replay` calls `cut`. Objects that the control plane makes for itself (`system:` roles and bindings and
the like) go as well, where no answer changes without them. What is cut away is "not collected" then, never "empty".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from evals.replay.noting import Notes
from firstmate_tools.cluster.archive import open_files
from firstmate_tools.cluster.files import Files, Limits
from firstmate_tools.cluster.layouts.manifest import (
    ListEntry,
    Manifest,
    log_file,
    objects_file,
    path_file,
    question_file,
)
from firstmate_tools.cluster.layouts.own import read_manifest
from firstmate_tools.cluster.layouts.write import SnapshotWriter

MOST_BYTES = 100_000
_SYSTEM = ("system:", "kubeadm:")
_RBAC = frozenset(
    {
        "clusterroles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
        "roles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
    }
)
Keeps = Callable[[str, str], bool]
"""Whether an object of a resource with this name stays."""


def everything(resource: str, name: str) -> bool:
    return True


def without_system(resource: str, name: str) -> bool:
    return resource not in _RBAC or not name.startswith(_SYSTEM)


def cut(whole: Path, to: Path, notes: Notes, keeps: Keeps = everything) -> int:
    """Writes of a recording what was read of it.

    Args:
        whole: the recording.
        to: where to; replaced if it is there.
        notes: what was read.
        keeps: which objects of those lists.

    Returns:
        The bytes written.
    """
    files = open_files(whole, Limits())
    try:
        manifest, writer = read_manifest(files), SnapshotWriter()
        small = _manifest(files, manifest, notes, writer, keeps)
        content = orjson.dumps(small.model_dump(mode="json", exclude_defaults=True), option=orjson.OPT_SORT_KEYS)
        content = orjson.dumps({"format": small.format, "version": small.version, **orjson.loads(content)})
        written = writer.write(to, content, small.recorded_at, force=True)
    finally:
        files.close()
    to.chmod(0o644)
    return written


def _manifest(files: Files, manifest: Manifest, notes: Notes, writer: SnapshotWriter, keeps: Keeps) -> Manifest:
    resources = {}
    for resource, entry in manifest.resources.items():
        read = {namespace for name, namespace in notes.lists if name == resource}
        if not read:
            continue
        whole, parts = entry.all, dict(entry.namespaces)
        if None not in read:
            # A list across namespaces that nobody asked for: what is said of single ones is all that is known.
            parts = {name: one for name, one in parts.items() if name in read}
            if whole is not None and whole.outcome == "collected":
                parts |= {name: ListEntry(outcome="collected", objects=0) for name in read - parts.keys() if name}
                whole = None
        places = {"": whole} if not entry.kind.namespaced and whole is not None else parts
        for namespace, listed in places.items():
            if listed.outcome == "collected" and listed.objects:
                name = objects_file(resource, namespace)
                kept = [line for line in files.read(name).splitlines(keepends=True) if keeps(resource, _name(line))]
                if kept:
                    writer.add(name, b"".join(kept))
                changed = listed.model_copy(update={"objects": len(kept)})
                if namespace:
                    parts[namespace] = changed
                else:
                    whole = changed
        resources[resource] = entry.model_copy(update={"all": whole, "namespaces": parts})
    logs = [one for one in manifest.logs if (one.namespace, one.pod, one.container, one.previous) in notes.logs]
    for one in logs:
        if one.outcome == "collected":
            name = log_file(one.namespace, one.pod, one.container, previous=one.previous)
            writer.add(name, files.read(name))
    paths = {path: one for path, one in manifest.paths.items() if path in notes.texts}
    for path, one in paths.items():
        if one.outcome == "collected":
            writer.add(path_file(path), _lines(files.read(path_file(path)), notes.texts[path]))
    questions = {name: one for name, one in manifest.questions.items() if name in notes.questions}
    for name, one in questions.items():
        if one.outcome == "collected":
            writer.add(question_file(name), files.read(question_file(name)))
    changes = {"resources": resources, "logs": tuple(logs), "paths": paths, "questions": questions, "sources": {}}
    return manifest.model_copy(update=changes)


def _name(line: bytes) -> str:
    return str(orjson.loads(line)["metadata"]["name"])


def _lines(text: bytes, words: set[str]) -> bytes:
    if "" in words:
        return text
    wanted = [word.encode() for word in words]
    return b"\n".join(line for line in text.split(b"\n") if any(word in line for word in wanted))
