"""A recording of ours held in memory, so that it can be changed and asked again.

Called by `altered` (which changes it) and `invariance` (which asks it). Knows the layout of docs/snapshots.md as the
recorder writes it; must never read any other.
"""

from __future__ import annotations

import copy
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Obj = dict[str, Any]
Place = tuple[str, str]
"""Resource and namespace, `_cluster` for what has none."""
CLUSTER = "_cluster"


@dataclass(slots=True)
class Held:
    """Everything in a recording.

    Attributes:
        manifest: snapshot.json.
        objects: by resource and namespace.
        logs: by namespace, pod and file name (`app.log`, `app.previous.log`).
        rest: other files, by path.
    """

    manifest: Obj
    objects: dict[Place, list[Obj]]
    logs: dict[tuple[str, str, str], str]
    rest: dict[str, bytes]

    def of(self, resource: str) -> Iterator[Obj]:
        """The objects of a resource in all namespaces."""
        for (name, _), found in self.objects.items():
            if name == resource:
                yield from found

    def put(self, resource: str, namespace: str, *objects: Obj) -> None:
        """Adds objects, and to the manifest what a list of them needs; only to a resource that was recorded whole."""
        entry = self.manifest["resources"].get(resource)
        if entry is not None and (entry.get("all") or {}).get("outcome") == "collected":
            self.objects.setdefault((resource, namespace), []).extend(objects)

    def copied(self) -> Held:
        return copy.deepcopy(self)


def load(path: Path) -> Held:
    """Reads a recording (.tar.gz)."""
    held = Held({}, {}, {}, {})
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            content, parts = stream.read(), member.name.removeprefix("./").split("/")
            if parts == ["snapshot.json"]:
                held.manifest = json.loads(content)
            elif parts[0] == "objects":
                rows = [json.loads(line) for line in content.splitlines()]
                held.objects[parts[1], parts[2].removesuffix(".jsonl")] = rows
            elif parts[0] == "logs":
                held.logs[parts[1], parts[2], parts[3]] = content.decode("utf-8", "replace")
            else:
                held.rest["/".join(parts)] = content
    return held


def save(held: Held, folder: Path) -> None:
    """Writes it as a folder that `SnapshotSource` opens, with the counts that the manifest must give."""
    manifest = copy.deepcopy(held.manifest)
    for resource, entry in manifest["resources"].items():
        places = {place: len(rows) for (name, place), rows in held.objects.items() if name == resource}
        if (entry.get("all") or {}).get("outcome") == "collected":
            entry["all"]["objects"] = sum(places.values())
        for place, slice_ in entry.get("namespaces", {}).items():
            if slice_.get("outcome") == "collected":
                slice_["objects"] = places.get(place, 0)
    for (resource, place), rows in held.objects.items():
        file = folder / "objects" / resource / f"{place}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for (namespace, pod, name), text in held.logs.items():
        file = folder / "logs" / namespace / pod / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for name, content in held.rest.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (folder / "snapshot.json").write_text(json.dumps(manifest))
