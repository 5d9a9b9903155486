"""JSON Schemas of the models of arguments and results, as a model sees them: no titles, no null unions, no
lengths, no docstrings.

pydantic can write schemas as well, but takes milliseconds for each, which every start of the server would pay for every
tool. This knows only what arguments and results are made of, and raises on anything else; a test holds it against what
pydantic writes. Must give the same bytes in every process.
"""

import types
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

Schema = dict[str, Any]
Found = dict[str, tuple[type, Schema]]

_PLAIN: Mapping[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    Any: {},
    object: {},
}
_BOUNDS = {Ge: ("minimum", "ge"), Gt: ("exclusiveMinimum", "gt"), Le: ("maximum", "le"), Lt: ("exclusiveMaximum", "lt")}


def schema_of(model: type[BaseModel]) -> Schema:
    """The schema of a model; models that it holds stand under `$defs`.

    Raises:
        TypeError: a field is of a type that this does not know.
    """
    found: Found = {}
    schema = _object(model, found)
    return {"$defs": {name: found[name][1] for name in sorted(found)}, **schema} if found else schema


def _object(model: type[BaseModel], found: Found) -> Schema:
    schema: Schema = {"type": "object", "properties": {}}
    for name, field in model.model_fields.items():
        schema["properties"][name] = _field(field, found)
    if required := [name for name, field in model.model_fields.items() if field.is_required()]:
        schema["required"] = required
    if model.model_config.get("extra") == "forbid":
        schema["additionalProperties"] = False
    return schema


def _field(field: FieldInfo, found: Found) -> Schema:
    schema = {**_type(field.annotation, found), **_bounds(field.metadata)}
    if field.description:
        schema["description"] = field.description
    if field.default is not PydanticUndefined and field.default is not None:
        schema["default"] = field.default.value if isinstance(field.default, Enum) else field.default
    return schema


def _bounds(metadata: list[Any]) -> Schema:
    bounds: Schema = {}
    for one in metadata:
        if type(one) in _BOUNDS:
            word, attribute = _BOUNDS[type(one)]
            bounds[word] = getattr(one, attribute)
        elif isinstance(one, MaxLen | MinLen | str):
            continue  # lengths of texts are held by validation; words are for people
    return bounds


def _type(annotation: Any, found: Found) -> Schema:
    if isinstance(annotation, type) and not get_args(annotation):
        return _class(annotation, found)
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        return dict(_PLAIN[annotation])
    if origin is Annotated:
        return {**_type(parts[0], found), **_bounds(list(parts[1:]))}
    if origin is Literal:
        return {"type": "string", "const": parts[0]} if len(parts) == 1 else {"type": "string", "enum": list(parts)}
    if origin in (Union, types.UnionType):
        return _union([part for part in parts if part is not type(None)], found)
    if origin in (list, set, frozenset) or (origin is tuple and parts[1:] == (...,)):
        return {"type": "array", "items": _type(parts[0], found)}
    if origin is dict:
        values = _type(parts[1], found)
        return {"type": "object", "additionalProperties": values or True}
    raise TypeError(f"no JSON Schema is known for {annotation!r}")


def _union(parts: list[Any], found: Found) -> Schema:
    if len(parts) == 1:
        return _type(parts[0], found)
    return {"anyOf": [_type(part, found) for part in parts]}


def _class(annotation: type, found: Found) -> Schema:
    if issubclass(annotation, BaseModel):
        name = annotation.__name__
        if name not in found:
            found[name] = (annotation, {})
            found[name][1].update(_object(annotation, found))
        elif found[name][0] is not annotation:
            raise TypeError(f"two models are called {name}")
        return {"$ref": f"#/$defs/{name}"}
    for base in annotation.__mro__:
        if base in _PLAIN and base is not object:
            return dict(_PLAIN[base])
    if annotation in _PLAIN:
        return dict(_PLAIN[annotation])
    raise TypeError(f"no JSON Schema is known for {cast('object', annotation)!r}")
