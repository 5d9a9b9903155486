"""One object as it may leave: without secrets and without what nobody reads, and small where a model reads it. Pure."""

from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from firstmate_tools import fields, kinds
from firstmate_tools.cluster.masking import masked
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.text import inline, squeeze, told

MOST_CONCISE = 9_000
"""Characters of JSON that a concise object takes at most, as far as cutting texts and lists gets it there."""
_NEVER = ("managedFields", "selfLink")
_SELDOM = ("uid", "resourceVersion", "generateName")
_MOST_NOTES = 6


@dataclass(slots=True)
class _Cutter:
    """Cuts texts longer than `text`, lists longer than `entries`, and what lies deeper than `levels`."""

    text: int
    entries: int
    levels: int
    notes: list[str] = field(default_factory=list[str])

    def cut(self, value: Any, path: str, level: int = 0) -> Any:
        if isinstance(value, str):
            if len(value) <= self.text:
                return value
            self.notes.append(f"{path}: {len(value)} characters")
            return squeeze(value, self.text)
        if isinstance(value, list):
            entries = cast("list[Any]", value)
            if len(entries) > self.entries:
                self.notes.append(f"{path}: {len(entries)} entries, {self.entries} shown")
            return [self.cut(one, f"{path}[{at}]", level + 1) for at, one in enumerate(entries[: self.entries])]
        if isinstance(value, dict):
            inner = cast("Obj", value)
            if level >= self.levels:
                self.notes.append(f"{path}: left out")
                return f"({len(inner)} fields)"
            return {
                key: self.cut(one, f"{path}.{inline(key)}" if path else inline(key), level + 1)
                for key, one in inner.items()
            }
        return value


_STEPS = ((1_500, 100, 40), (500, 30, 12), (200, 10, 8), (100, 5, 5))


def presentable(obj: Obj, kind: Kind, *, concise: bool) -> tuple[Obj, list[str]]:
    """An object without secrets, managed fields and applied copies, its free text marked as the cluster's.

    Args:
        concise: leaves out what is seldom read and cuts what is long.

    Returns:
        The object, and what was cut, in words.

    Raises:
        FailedReadError: it is nested deeper than anything that is not an attack.
    """
    safe = masked(obj, kind)
    metadata = fields.without(fields.mapping(safe, "metadata"), *_NEVER, *(_SELDOM if concise else ()))
    safe = {**safe, "metadata": metadata}
    notes: list[str] = []
    if concise:
        if kind == kinds.CUSTOM_RESOURCE_DEFINITION:
            safe = _without_schemas(safe)
            notes.append("the schemas of its versions")
        safe, cut = _small(safe)
        notes += cut
    return cast("Obj", _marked(safe)), notes


def _small(obj: Obj) -> tuple[Obj, list[str]]:
    made, cutter = obj, _Cutter(0, 0, 0)
    for step in _STEPS:
        cutter = _Cutter(*step)
        made = cast("Obj", cutter.cut(obj, ""))
        if len(orjson.dumps(made, default=str)) <= MOST_CONCISE:
            break
    more = len(cutter.notes) - _MOST_NOTES
    return made, cutter.notes[:_MOST_NOTES] + ([f"and {more} more places"] if more > 0 else [])


def _without_schemas(definition: Obj) -> Obj:
    versions = [fields.without(v, "schema") for v in fields.items(definition, "spec", "versions")]
    return {**definition, "spec": {**fields.mapping(definition, "spec"), "versions": versions}}


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        return told(value)
    if isinstance(value, dict):
        return {key: _marked(one) for key, one in cast("Obj", value).items()}
    if isinstance(value, list):
        return [_marked(one) for one in cast("list[Any]", value)]
    return value
