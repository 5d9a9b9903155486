"""The arguments of a tool: what its signature says, as a JSON Schema for models and as validation for calls.

`calls.py` validates with it, for MCP and command line alike; the MCP side publishes the schema. A tool over one
cluster gets the argument `cluster` beside its own. Schemas have no titles, no null unions and no words on what many
tools share: the server's instructions explain that once.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from firstmate.jsonschema import schema_of
from firstmate.nearest import nearest
from firstmate_tools.errors import UsageError
from firstmate_tools.text import clipped
from firstmate_tools.toolspec import ToolSpec

CLUSTER = "cluster"
SHARED = frozenset({CLUSTER, "namespace", "detail", "limit", "cursor"})
"""Arguments whose meaning is the same everywhere."""

_MOST_ERRORS = 3


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, defer_build=True)


@cache
def model_of(spec: ToolSpec) -> type[BaseModel]:
    """The pydantic model of a tool's arguments."""
    fields: dict[str, Any] = {
        one.name: (one.annotation, ... if one.default is one.empty else one.default) for one in spec.parameters()
    }
    if spec.given == "cluster":
        fields[CLUSTER] = (Annotated[str | None, Field(max_length=1000)], None)
    return create_model(f"{spec.name}_arguments", __base__=_Arguments, **fields)


@cache
def input_schema(spec: ToolSpec) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments, as a model sees it."""
    schema = schema_of(model_of(spec))
    for name, one in cast("dict[str, dict[str, Any]]", schema.get("properties", {})).items():
        if name in SHARED:
            one.pop("description", None)
    return schema


def validate(spec: ToolSpec, given: Mapping[str, object]) -> dict[str, Any]:
    """The arguments as the tool takes them, defaults filled in.

    Lenient where the meaning is clear: numbers and switches may come as text, lists and objects as JSON text, and null
    stands for "left out".

    Raises:
        UsageError: an argument is unknown (the hint names the nearest), missing or wrong.
    """
    model = model_of(spec)
    known = model.model_fields
    taken = {n: _unpacked(spec, n, value) for n, value in given.items() if value is not None or n not in known}
    try:
        valid = model.model_validate(taken)
    except ValidationError as error:
        raise _explained(spec, error.errors(include_input=False, include_url=False)) from None
    return {name: getattr(valid, name) for name in model.model_fields}


def _unpacked(spec: ToolSpec, name: str, value: object) -> object:
    """A list or object that came as JSON text, as some clients and every shell send it."""
    if not isinstance(value, str) or value[:1] not in {"[", "{"}:
        return value
    wanted = cast("dict[str, dict[str, Any]]", input_schema(spec).get("properties", {})).get(name, {})
    if wanted.get("type") not in {"array", "object"}:
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"Argument `{name}` of {spec.name} is not JSON: {error}.") from error


def _explained(spec: ToolSpec, errors: Iterable[ErrorDetails]) -> UsageError:
    known = list(model_of(spec).model_fields)
    words: list[str] = []
    hint = f"{spec.name} takes {', '.join(known) or 'no arguments'}."
    for error in list(errors)[:_MOST_ERRORS]:
        name = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            near = nearest(name, known)
            words.append(
                f"{spec.name} has no argument `{clipped(name, 100)}`" + (f"; did you mean `{near}`?" if near else ".")
            )
        elif error["type"] == "missing":
            words.append(f"{spec.name} needs the argument `{name}`.")
        else:
            words.append(f"Argument `{name}` of {spec.name} is wrong: {error['msg']}.")
    return UsageError(" ".join(words), hint)
