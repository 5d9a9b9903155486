"""What an expression of a step may find: the shapes of tools' results, of parameters and of answers.

`typed.py` walks expressions over them. Made from the pydantic models that tools answer with, as those leave: what is
null, and what a model leaves out when it is empty, may be absent. Pure.
"""

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Kind = Literal["any", "object", "map", "list", "string", "number", "boolean", "null"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What may stand somewhere.

    Attributes:
        kind: `object` has known fields, `map` has keys of the cluster's choosing, of `any` nothing is known.
        item: of a list or map.
        model: of an object that a tool answers with.
        entries: of an object of our making.
        why_absent: of such an object: what is not there, and why.
        choices: the only values of a string; empty for any.
        nullable: whether nothing may stand there.
        about: what it is called in words, such as the field.
    """

    kind: Kind
    item: "Shape | None" = None
    model: type[BaseModel] | None = None
    entries: Mapping[str, "Shape"] = field(default_factory=dict[str, "Shape"])
    why_absent: Mapping[str, str] = field(default_factory=dict[str, str])
    choices: tuple[str, ...] = ()
    nullable: bool = False
    about: str = ""

    def fields(self) -> Mapping[str, "Shape"]:
        """The fields of an object."""
        return _fields_of(self.model) if self.model is not None else self.entries

    def or_null(self, nullable: bool = True) -> "Shape":
        """The same, where perhaps nothing stands."""
        return replace(self, nullable=nullable) if nullable != self.nullable else self

    def called(self, about: str) -> "Shape":
        return replace(self, about=about)


ANY = Shape("any", nullable=True)
STRING = Shape("string")
NUMBER = Shape("number")
BOOLEAN = Shape("boolean")
NULL = Shape("null", nullable=True)
PARAMETERS: Mapping[str, Shape] = {"string": STRING, "integer": NUMBER, "number": NUMBER, "boolean": BOOLEAN}
"""By the types that parameters and answers may have."""


def list_of(item: Shape) -> Shape:
    return Shape("list", item=item)


def object_of(entries: Mapping[str, Shape], why_absent: Mapping[str, str] | None = None, about: str = "") -> Shape:
    """An object of our making."""
    return Shape("object", entries=entries, why_absent=why_absent or {}, about=about)


@cache
def shape_of(model: type[BaseModel]) -> Shape:
    """What a tool's answer looks like."""
    return Shape("object", model=model, about="the result")


@cache
def _fields_of(model: type[BaseModel]) -> Mapping[str, Shape]:
    return {name: _field(info).called(name) for name, info in model.model_fields.items()}


def _field(info: FieldInfo) -> Shape:
    shape = of_annotation(info.annotation)
    return shape.or_null(shape.nullable or getattr(info, "exclude_if", None) is not None)


def of_annotation(annotation: Any) -> Shape:
    """The shape of what a type says; `any` for a type that this does not know."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return of_annotation(parts[0])
    if origin is Literal:
        return joined(Shape("string", choices=(one,)) if isinstance(one, str) else of_value(one) for one in parts)
    if origin in (Union, types.UnionType):
        return joined(of_annotation(part) for part in parts)
    if origin in (list, set, frozenset, tuple):
        return list_of(of_annotation(parts[0]))
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return Shape("map", item=of_annotation(parts[1]))
    return _of_class(annotation)


def _of_class(annotation: Any) -> Shape:
    if annotation is None or annotation is type(None):
        return NULL
    if not isinstance(annotation, type):
        return ANY
    if issubclass(annotation, BaseModel):
        return Shape("object", model=annotation, about=annotation.__name__)
    if issubclass(annotation, bool):
        return BOOLEAN
    if issubclass(annotation, int | float):
        return NUMBER
    return STRING if issubclass(annotation, str | datetime | date | Enum) else ANY


def of_value(value: object) -> Shape:
    """The shape of a literal."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int | float):
        return NUMBER
    if isinstance(value, str):
        return STRING
    return list_of(ANY) if isinstance(value, list) else replace(ANY, nullable=False)


def joined(shapes: Iterable[Shape]) -> Shape:
    """What stands where one of several may."""
    every = list(shapes)
    nullable = any(one.nullable for one in every)
    found = [one for one in every if one.kind != "null"]
    if not found:
        return NULL
    first = found[0]
    if all(one.kind == "string" for one in found):
        closed = all(one.choices for one in found)
        choices = tuple(dict.fromkeys(choice for one in found for choice in one.choices)) if closed else ()
        return replace(first, choices=choices, nullable=nullable)
    if all((one.kind, one.model, one.item) == (first.kind, first.model, first.item) for one in found):
        same = first.kind != "object" or first.model is not None or all(one.entries == first.entries for one in found)
        return first.or_null(nullable) if same else ANY.or_null(nullable)
    if all(one.kind == "list" for one in found):
        known = [one.item for one in found if one.item is not None and one.item.kind != "any"]
        return list_of(joined(known) if len(known) == len(found) or len(known) == 1 else ANY).or_null(nullable)
    return ANY.or_null(nullable)
