"""Arguments: what a model sees of them, and what becomes of those that it sends."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from firstmate.arguments import input_schema, validate
from firstmate.catalogue import all_tools
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import UsageError
from firstmate_tools.results import Answer, Limit, Namespace
from firstmate_tools.toolspec import ToolSpec, spec_of, tool


@tool(title="For tests")
async def probe(
    cluster: Cluster,
    name: Annotated[str, Field(description="A name")],
    namespace: Namespace = None,
    deep: bool = False,
    kinds: list[str] | None = None,
    detail: Literal["concise", "detailed"] = "concise",
    limit: Limit = 50,
) -> Answer:
    """Probes."""
    return Answer()


def spec() -> ToolSpec:
    found = spec_of(probe)
    assert found is not None
    return found


def test_the_schema_has_no_titles_no_null_unions_and_is_closed() -> None:
    assert input_schema(spec()) == {
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "A name"},
            "namespace": {"type": "string"},
            "deep": {"type": "boolean", "default": False},
            "kinds": {"type": "array", "items": {"type": "string"}},
            "detail": {"type": "string", "enum": ["concise", "detailed"], "default": "concise"},
            "limit": {"type": "integer", "default": 50, "minimum": 1, "maximum": 500},
            "cluster": {"type": "string"},
        },
    }


@pytest.mark.parametrize("one", all_tools(), ids=lambda one: one.name)
def test_no_tool_has_titles_or_null_unions(one: ToolSpec) -> None:
    schema = input_schema(one)
    assert schema["additionalProperties"] is False

    def walk(value: Any, *, names: bool = False) -> None:
        if isinstance(value, dict):
            assert names or not {"title", "anyOf", "maxLength"} & set(value), value
            for key, inner in value.items():
                walk(inner, names=key == "properties")
        elif isinstance(value, list):
            assert {"type": "null"} not in value
            for inner in value:
                walk(inner)

    walk(schema)


def test_text_stands_for_numbers_switches_and_lists() -> None:
    taken = validate(spec(), {"name": "x", "deep": "true", "limit": "7", "kinds": '["a", "b"]'})
    assert (taken["deep"], taken["limit"], taken["kinds"]) == (True, 7, ["a", "b"])


def test_numbers_stand_for_text() -> None:
    assert validate(spec(), {"name": 42})["name"] == "42"


def test_null_means_left_out() -> None:
    taken = validate(spec(), {"name": "x", "namespace": None, "limit": None, "cluster": None})
    assert (taken["namespace"], taken["limit"], taken["cluster"]) == (None, 50, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "x", "namspace": "shop"}, "probe has no argument `namspace`; did you mean `namespace`?"),
        ({"name": "x", "Name-Space": "shop"}, "did you mean `namespace`?"),
        ({"name": "x", "zzz": 1}, "probe has no argument `zzz`."),
        ({}, "probe needs the argument `name`."),
        ({"name": None}, "probe needs the argument `name`."),
        ({"name": "x", "limit": 0}, "Argument `limit` of probe is wrong: Input should be greater than or equal to 1."),
        (
            {"name": "x", "detail": "all"},
            "Argument `detail` of probe is wrong: Input should be 'concise' or 'detailed'.",
        ),
        ({"name": "x", "kinds": "[1"}, "Argument `kinds` of probe is not JSON"),
        ({"name": {"a": 1}}, "Argument `name` of probe is wrong"),
    ],
)
def test_wrong_arguments_are_told_with_what_is_right(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        validate(spec(), given)
    assert words in caught.value.message


def test_what_is_taken_stands_in_the_hint() -> None:
    with pytest.raises(UsageError) as caught:
        validate(spec(), {"name": "x", "zzz": 1})
    assert caught.value.hint == "probe takes name, namespace, deep, kinds, detail, limit, cluster."


def test_a_rejected_value_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        validate(spec(), {"name": "x", "limit": "hunter2-secret"})
    assert "hunter2" not in str(caught.value)
