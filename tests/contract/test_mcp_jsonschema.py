"""Our JSON Schemas against those that pydantic writes, for every tool and for what tools may come to use."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, cast

import pytest
from pydantic import BaseModel, ConfigDict, Field

from firstmate.arguments import model_of
from firstmate.catalogue import all_tools
from firstmate.jsonschema import schema_of
from firstmate_tools.text import FreeText
from firstmate_tools.toolspec import ToolSpec

UNSPOKEN = {"title", "maxLength", "minLength", "maxItems", "minItems", "pattern"}


def lean(value: Any, *, names: bool = False) -> Any:
    """pydantic's schema without titles, docstrings, null unions, null defaults and lengths."""
    if isinstance(value, list):
        return [lean(one) for one in value]
    if not isinstance(value, dict):
        return value
    if names:
        return {key: lean(one) for key, one in value.items()}
    kept = {
        key: lean(one, names=key in {"properties", "$defs"})
        for key, one in value.items()
        if key not in UNSPOKEN
        and not (key == "default" and one is None)
        and not (key == "description" and "properties" in value)  # docstrings of models
    }
    some = [one for one in cast("list[Any]", kept.get("anyOf", [])) if one != {"type": "null"}]
    if len(some) == 1:
        del kept["anyOf"]
        kept = {**some[0], **kept}
    return kept


@pytest.mark.parametrize("spec", all_tools(), ids=lambda spec: spec.name)
def test_every_tools_schemas_are_those_of_pydantic(spec: ToolSpec) -> None:
    for model in (model_of(spec), spec.result()):
        assert schema_of(model) == lean(model.model_json_schema())


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: FreeText
    at: datetime | None = None
    day: date = date(2026, 1, 1)


class Everything(BaseModel):
    plain: str
    number: Annotated[float, Field(gt=0, lt=2.5)] = 1.0
    count: Annotated[int | None, Field(ge=1, le=9, description="How many")] = None
    one: Literal["a"] = "a"
    some: Literal["a", "b"] = "b"
    leaves: list[Leaf] = Field(default_factory=list, description="Leaves", max_length=5)
    leaf: Leaf | None = None
    either: int | str = 1
    by_name: dict[str, Leaf] = Field(default_factory=dict)
    anything: dict[str, Any] = Field(default_factory=dict)
    whatever: Any = None
    pair: tuple[str, ...] = ()
    flag: bool = False


def test_all_that_tools_may_use_is_known() -> None:
    ours, theirs = schema_of(Everything), lean(Everything.model_json_schema())
    for schema in (ours, theirs):
        schema["$defs"]["Leaf"]["properties"]["day"].pop("default")
        schema["properties"]["pair"].pop("default")
    assert ours == theirs


def test_what_is_not_known_is_an_error_and_not_a_guess() -> None:
    class Odd(BaseModel):
        what: complex

    with pytest.raises(TypeError, match="complex"):
        schema_of(Odd)


def test_two_models_of_one_name_are_an_error() -> None:
    def other() -> type[BaseModel]:
        class Leaf(BaseModel):
            x: int

        return Leaf

    class Both(BaseModel):
        a: Leaf
        b: other()  # type: ignore[valid-type]

    with pytest.raises(TypeError, match="two models are called Leaf"):
        schema_of(Both)
