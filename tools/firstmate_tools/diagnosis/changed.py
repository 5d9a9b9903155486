"""Who changed what of an object, and when, by its managed fields. Pure.

An API server notes for each manager which fields it set last, and when it last changed any of them; of that the few
fields are kept whose change breaks things (`cluster/ownership`). A manager is the name that a client gives itself: the
program's, where it says nothing else.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from firstmate_tools import fields
from firstmate_tools.fields import Obj

CONTROLLERS = frozenset({"kube-controller-manager", "kubelet", "kube-scheduler", "kube-apiserver"})
"""Managers that are Kubernetes itself."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one manager set last.

    Attributes:
        manager: its name for itself.
        subresource: `scale` or `status`, "" for the object itself.
        at: when it last changed anything of what it owns.
        paths: `spec.replicas`, `containers[app].resources.limits.memory`, `data.KEY`; sorted.
    """

    manager: str
    subresource: str
    at: datetime | None
    paths: tuple[str, ...]


def changes(obj: Obj) -> list[Change]:
    """What is known of who changed an object, newest first."""
    found = [
        Change(
            fields.text(entry, "manager"),
            fields.text(entry, "subresource"),
            fields.time_at(entry, "time"),
            tuple(sorted(set(_paths(fields.mapping(entry, "fieldsV1"), "", 0)))),
        )
        for entry in fields.items(obj, "metadata", "managedFields")
    ]
    return sorted(
        (change for change in found if change.paths),
        key=lambda c: (-c.at.timestamp() if c.at else 0.0, c.manager, c.subresource, c.paths),
    )


_DEEPEST = 12


def _paths(owned: Obj, before: str, depth: int) -> Iterator[str]:
    for key, inner in owned.items():
        path = _joined(before, key)
        inside = cast("Obj", inner) if isinstance(inner, dict) else {}
        if inside and depth < _DEEPEST:
            yield from _paths(inside, path, depth + 1)
        elif path:
            yield path


_SILENT = frozenset({"f:spec", "f:template", "f:jobTemplate", "f:metadata"})


def _joined(before: str, key: str) -> str:
    if key in _SILENT:
        return before
    if key.startswith("k:"):
        return f"{before}[{_name(key[2:])}]"
    name = key.removeprefix("f:")
    return f"{before}.{name}" if before else name


def _name(text: str) -> str:
    try:
        return fields.text(json.loads(text), "name")
    except ValueError:
        return ""


_DATA = ("data.", "binaryData.", "stringData.")


def data_changed_at(holder: Obj) -> datetime | None:
    """When the data of a ConfigMap or Secret last changed, None where that is not known to be after it was made."""
    times = [c.at for c in changes(holder) if c.at and any(path.startswith(_DATA) for path in c.paths)]
    made = fields.time_at(holder, "metadata", "creationTimestamp")
    newest = max(times, default=None)
    return newest if newest is not None and (made is None or newest > made) else None


def annotated_at(obj: Obj, annotation: str) -> datetime | None:
    """When the manager that set an annotation last changed what it owns, None where nobody knows."""
    return next((c.at for c in changes(obj) if f"annotations.{annotation}" in c.paths), None)
