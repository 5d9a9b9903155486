"""What a handle keeps of a result is enough: expressions give the same over it as over the whole."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstmate.runbooks.expressions import evaluate
from firstmate.runbooks.library import library
from firstmate.runbooks.uses import kept, steps_read, uses

NAMES = ("root_causes", "cause", "object", "kind", "name", "evidence", "field", "value", "summary", "pods", "why")
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["", "a", "b", "Deployment", "x.image"])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=25,
)
EXPRESSIONS = (
    "steps.a.root_causes[?cause=='a'] | [0].object.name",
    "steps.a.root_causes[?cause=='a'] | [0].evidence[?ends_with(field || '', '.image')].value",
    "steps.a.pods[*].name",
    "steps.a.pods[].why[] | [0]",
    "steps.a.root_causes[?object.kind=='Deployment' && evidence[1]]",
    "length(steps.a.pods || `[]`) > `1`",
    "steps.a.object.*.name",
    "{who: steps.a.name, why: steps.a.why}.who.name",
    "[steps.a.name, steps.b.name][0]",
    "sort_by(steps.a.pods[?type(name)=='string'] || `[]`, &name)[-1].value",
    "!steps.a.root_causes && steps.a.object",
    "steps.a.pods[0:2].name",
    "steps.a",
    "not_null(steps.b.name, steps.a.name)",
    "keys(steps.a.object.kind || `{}`)",
    "steps.a.pods | length(@ || `[]`)",
)


def value(expression: str, data: Any) -> Any:
    try:
        return evaluate(expression, data)
    except ValueError:
        return "cannot be evaluated"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(expression=st.sampled_from(EXPRESSIONS), first=TREES, second=TREES)
def test_an_expression_gives_the_same_over_what_is_kept(expression: str, first: Any, second: Any) -> None:
    whole = {"steps": {"a": first, "b": second}}
    assert value(expression, kept(whole, uses(expression))) == value(expression, whole)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("steps.a.b[?c=='x'] | [0].d", {("steps", "a", "b", "c"), ("steps", "a", "b", "d")}),
        ("steps.a && params.b", {("steps", "a"), ("params", "b")}),
        ("steps.a.b.*.c", {("steps", "a", "b", "*", "c")}),
        ("`5`", set[tuple[str, ...]]()),
    ],
)
def test_uses_are_paths_of_fields(expression: str, found: set[tuple[str, ...]]) -> None:
    assert uses(expression) == found
    assert steps_read(expression) == ({"a"} if "steps.a" in expression else set())


def test_little_is_kept_of_much() -> None:
    much = {
        "root_causes": [{"cause": "a", "object": {"name": "web"}, "evidence": ["x" * 1000] * 5}] * 3,
        "more": "y" * 999,
    }
    small = kept(much, {("root_causes", "cause"), ("root_causes", "object", "name")})
    assert small == {"root_causes": [{"cause": "a", "object": {"name": "web"}}] * 3}
    assert len(json.dumps(small)) < 200


def test_no_runbook_keeps_whole_results_but_where_it_reads_them_whole() -> None:
    from firstmate.runbooks.flow import expressions_of

    for runbook in library().every():
        for placed in runbook.steps:
            for expression in expressions_of(placed.step):
                assert all(len(path) > 2 for path in uses(expression) if path[:1] == ("steps",)), expression
