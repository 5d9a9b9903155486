"""Tolerant access to Kubernetes objects, which are plain JSON dictionaries here.

Objects come from API servers of many versions, from custom controllers and from files: any field may be missing, null
or of an absurd type. These functions give a value of the type that the caller asked for, or an empty one; they never
raise. Rules and tools use them instead of indexing.

A diagnosis of ten thousand pods comes here millions of times: the commonest functions have their own loops, and no
`cast`, which is a call.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

Obj = dict[str, Any]
"""One Kubernetes object, or any JSON object inside one."""


def at(obj: object, *path: str) -> Any:
    """The value at a path of keys, or None."""
    here: Any = obj
    for key in path:
        if not isinstance(here, dict):
            return None
        here = here.get(key)
    return here


def text(obj: object, *path: str) -> str:
    """The string at a path, or ""."""
    here: Any = obj
    for key in path:
        if not isinstance(here, dict):
            return ""
        here = here.get(key)
    return here if isinstance(here, str) else ""


def number(obj: object, *path: str, default: int = 0) -> int:
    """The integer at a path, or the default (booleans are not numbers)."""
    value = at(obj, *path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return int(value) if value == value and abs(value) != float("inf") else default


def flag(obj: object, *path: str) -> bool:
    """True only where the value is the JSON literal true."""
    return at(obj, *path) is True


def items(obj: object, *path: str) -> list[Obj]:
    """The objects of the list at a path; entries that are not objects are left out."""
    here: Any = obj
    for key in path:
        if not isinstance(here, dict):
            return []
        here = here.get(key)
    return [entry for entry in here if isinstance(entry, dict)] if isinstance(here, list) else []


def strings(obj: object, *path: str) -> list[str]:
    """The strings of the list at a path."""
    value = at(obj, *path)
    if not isinstance(value, list):
        return []
    return [entry for entry in cast("list[object]", value) if isinstance(entry, str)]


def mapping(obj: object, *path: str) -> Obj:
    """The JSON object at a path, or {}."""
    here: Any = obj
    for key in path:
        if not isinstance(here, dict):
            return {}
        here = here.get(key)
    return here if isinstance(here, dict) else {}


def string_map(obj: object, *path: str) -> dict[str, str]:
    """The string-to-string entries of the object at a path: labels, annotations, selectors."""
    return {key: value for key, value in mapping(obj, *path).items() if isinstance(value, str)}


def name_of(obj: object) -> str:
    return _of_metadata(obj, "name")


def namespace_of(obj: object) -> str:
    return _of_metadata(obj, "namespace")


def uid_of(obj: object) -> str:
    return _of_metadata(obj, "uid")


def _of_metadata(obj: object, key: str) -> str:
    metadata: Any = obj.get("metadata") if isinstance(obj, dict) else None
    value: Any = metadata.get(key) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else ""


def labels_of(obj: object) -> dict[str, str]:
    return string_map(obj, "metadata", "labels")


def condition(obj: object, kind: str) -> Obj:
    """The status condition of a type, or {}."""
    status: Any = obj.get("status") if isinstance(obj, dict) else None
    every: Any = status.get("conditions") if isinstance(status, dict) else None
    if isinstance(every, list):
        for entry in every:
            if isinstance(entry, dict) and entry.get("type") == kind:
                return entry
    return {}


def time_at(obj: object, *path: str) -> datetime | None:
    """The RFC 3339 time at a path as an aware datetime in UTC, or None."""
    return parse_time(text(obj, *path))


def parse_time(value: str) -> datetime | None:
    """An RFC 3339 time in UTC, or None where the text is not one."""
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def without(obj: Mapping[str, Any], *keys: str) -> Obj:
    """A shallow copy without some keys."""
    return {key: value for key, value in obj.items() if key not in keys}
