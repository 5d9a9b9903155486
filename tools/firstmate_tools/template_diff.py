"""What changed between two pod templates, field by field, in the words of the manifest. Pure.

Values are compared as they are and shown without secrets: a password that changed is named, neither of its values is.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import orjson
from pydantic import Field

from firstmate_tools import fields
from firstmate_tools.cluster.masking import masked, masked_named
from firstmate_tools.errors import FailedReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import POD
from firstmate_tools.results import Model
from firstmate_tools.text import FreeText, shorten, untrusted

MOST_VALUE = 200
_DEEPEST = 40
_NOISE = frozenset(
    {"pod-template-hash", "controller-revision-hash", "pod-template-generation", "creationTimestamp", "$patch"}
)
"""What controllers write into templates, and the patch directive of a ControllerRevision (StatefulSet, DaemonSet)."""
_ORDERED = "initContainers"


class Change(Model):
    """One field that differs between two revisions."""

    field: str = Field(description="Path in the pod template; list entries by their name")
    before: FreeText | None = None
    after: FreeText | None = None


def changes(before: Obj, after: Obj) -> list[Change]:
    """The differences of two pod templates, by path; what was added or taken away whole is one change.

    Args:
        before, after: `spec.template` of two revisions; {} where one is not known.
    """
    if not before or not after:
        return []
    root = _Place("", "", "")
    found = [
        Change(field=place.path, before=_shown(place, old), after=_shown(place, new))
        for place, old, new in _differences(before, after, root, 0)
    ]
    return sorted(found, key=lambda change: change.field)


class _Place(NamedTuple):
    """Where in a template: its path, the manifest's word for it, and the name of the list entry around it."""

    path: str
    word: str
    entry: str

    def inside(self, key: str, *, of_list: bool) -> "_Place":
        if of_list:
            return _Place(f"{self.path}[{key}]", self.word, key)
        word = self.word if self.word == "annotations" else key
        return _Place(f"{self.path}.{key}" if self.path else key, word, self.entry)


def _differences(old: object, new: object, place: _Place, depth: int) -> Iterator[tuple[_Place, object, object]]:
    """Where two values differ. Lists of named objects (containers, env, volumes, ports) are walked by name."""
    before, after = _entries(old), _entries(new)
    if depth >= _DEEPEST or before is None or after is None or not _same_shape(old, new):
        if old != new:
            yield place, old, new
        return
    of_list = isinstance(old, list)
    for key in sorted(before.keys() | after.keys()):
        if key not in _NOISE:
            yield from _differences(before.get(key), after.get(key), place.inside(key, of_list=of_list), depth + 1)
    if place.word == _ORDERED and of_list and before.keys() == after.keys() and list(before) != list(after):
        yield place._replace(path=f"{place.path} (order)"), list(before), list(after)


def _same_shape(old: object, new: object) -> bool:
    return isinstance(old, dict) == isinstance(new, dict)


def _entries(value: object) -> Obj | None:
    """What stands inside: by key, or by name in a list of named objects; None where the value is to be taken whole."""
    if isinstance(value, dict):
        return cast("Obj", value)
    if not isinstance(value, list):
        return None
    entries = cast("list[Any]", value)
    names = [_name(entry) for entry in entries]
    if not entries or not all(names) or len(set(names)) != len(names):
        return None
    return dict(zip(names, entries, strict=True))


def _name(entry: object) -> str:
    named = next((found for key in ("name", "mountPath", "key") if (found := fields.text(entry, key))), "")
    port = fields.number(entry, "containerPort")
    return named or (str(port) if port else "")


def _shown(place: _Place, value: object) -> FreeText | None:
    if value is None:
        return None
    if isinstance(value, str) and place.word == "value" and place.entry:
        return untrusted(shorten(masked_named(place.entry, value), MOST_VALUE))
    try:
        safe = masked({place.word: value}, POD)[place.word]
    except FailedReadError:
        return untrusted("(nested too deep to be shown)")
    plain = safe if isinstance(safe, str) else orjson.dumps(safe, default=str).decode()
    return untrusted(shorten(plain, MOST_VALUE))
