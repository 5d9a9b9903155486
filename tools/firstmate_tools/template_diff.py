"""What changed between two pod templates, field by field, in the words of the manifest. Pure.

Secret-looking values do not leave: values of environment variables pass the same redaction as all free text.
"""

from collections.abc import Iterator
from typing import Any, cast

import orjson
from pydantic import Field

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.results import Model
from firstmate_tools.text import FreeText, redact, shorten, untrusted

MOST_VALUE = 200
_NOISE = frozenset({"pod-template-hash", "creationTimestamp"})


class Change(Model):
    """One field that differs between two revisions."""

    field: str = Field(description="Path in the pod template; list entries by their name")
    before: FreeText | None = None
    after: FreeText | None = None


def changes(before: Obj, after: Obj) -> list[Change]:
    """The differences of two pod templates, by path.

    Args:
        before, after: `spec.template` of two revisions.
    """
    if not before or not after:
        return []
    old, new = dict(_flat(before, "")), dict(_flat(after, ""))
    return [
        Change(field=path, before=_shown(path, old.get(path)), after=_shown(path, new.get(path)))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _flat(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Leaves by path. Lists of named objects (containers, env, volumes, ports) are walked by name, others whole."""
    if isinstance(value, dict):
        for key, inner in cast("Obj", value).items():
            if key not in _NOISE:
                yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        entries = cast("list[Any]", value)
        names = [_name(entry) for entry in entries]
        if entries and all(names) and len(set(names)) == len(names):
            for name, inner in zip(names, entries, strict=True):
                yield from _flat(inner, f"{path}[{name}]")
        else:
            yield path, entries
    else:
        yield path, value


def _name(entry: object) -> str:
    return next((found for key in ("name", "mountPath", "key") if (found := fields.text(entry, key))), "")


def _shown(path: str, value: object) -> FreeText | None:
    if value is None:
        return None
    plain = value if isinstance(value, str) else orjson.dumps(value).decode()
    if path.endswith(".value") and ".env[" in path:
        name = path.rpartition(".env[")[2].removesuffix("].value")
        plain = redact(f"{name}={plain}").removeprefix(f"{name}=")
    return untrusted(shorten(plain, MOST_VALUE))
