"""Arguments to fuzz tools with, made from the JSON Schema that a tool announces: valid, nearly valid, and neither.

`tests/contract/test_fuzz_*.py` draw from it. Words that lead somewhere in the doubles' shop are mixed in by argument
name, or nothing would get past "there is no such pod"; a name that is not known here is fuzzed as any other text. Our
schemas use a dozen keywords: these few lines take the place of hypothesis-jsonschema, whose last release is of 2024.

The same examples come in every run. FIRSTMATE_FUZZ=20 tries twenty times as many, other ones each time.
"""

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Schema = dict[str, Any]

_TIMES = int(os.environ.get("FIRSTMATE_FUZZ", "0"))

HINTS: dict[str, list[Any]] = {
    "scope": [
        "cluster", "namespace/shop", "ns/shop", "pod/web", "deployment/cart", "deploy/cart", "rs/cart-7d",
        "service/cart", "node/n1", "pod/cart-7d-x", "pods", "/", "pod/", "/web", "pod/web/log", "deployment/*",
        "pod/..", "namespace/",
    ],
    "kind": ["pods", "po", "Deployment", "deploy.apps", "nodes", "services", "secrets", "secret", "x.y.z", "*"],
    "name": ["web", "cart", "cart-7d-x", "n1", "default", "..", ".", "a/b", "%2e%2e", "web?watch=1"],
    "namespace": ["shop", "default", "*", "all", "..", "shop/pods", "SHOP"],
    "selector": [
        "app=web", "app!=web", "app in (web, cart)", "app notin (web)", "!app", "app", "app==web,tier", "(", "app in (",
        "app=web&fieldSelector=x", "=", ",,", "a=b=c", "app in ()",
    ],
    "cluster": ["prod", "shop", "other", "PROD", ""],
    "runbook": ["oomkilled", "image-not-found", "../README", "oomkilled/../oomkilled"],
    "reason": ["Failed", "BackOff"],
    "container": ["app", "sidecar"],
    "matching": ["GET", "(", ".*", "\\"],
    "cursor": ["", "e30", "bnVsbA", "eyJhdCI6LTF9", "eyJxIjoieCIsImF0IjoxfQ", "====", "\x00", "é"],
}  # fmt: skip
"""Words for arguments by name: some that lead somewhere in the shop, some that only look as if they did."""

ODD = [
    "", " ", "\x00", "\n", "\t", "\x1b[31mred", "\u202ereversed", "\ufeff", "\u200b", "💥", "İ", "ﬀ", "\ud800", "null",
    "None", "true", "NaN", "-0", "1e400", "0x10", "[]", "{}", '["a"]', '{"a": 1}', "[", "{", "[[[[", '{"a":' * 50,
    "../../etc/passwd", "..%2f..%2f", "%00", "${jndi:ldap://127.0.0.1/x}", "{{7*7}}", "'; DROP TABLE pods; --",
    "a" * 64, "a" * 254, "x" * 5_000, "\u0300" * 300, "/" * 300, "=" * 300, "<script>alert(1)</script>", "http://127.0.0.1:1/",
]  # fmt: skip


def bounded(examples: int) -> settings:
    """Settings of a test: so many examples, the same in every run, without a clock."""
    return settings(
        max_examples=examples * max(1, _TIMES),
        derandomize=not _TIMES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


TEXT = st.sampled_from(ODD) | st.text(max_size=30) | st.text(st.characters(codec=None), max_size=8)
INTEGERS = st.sampled_from([0, 1, -1, 2**31, 2**63, -(2**63), 10**40]) | st.integers()
LEAVES = st.none() | st.booleans() | INTEGERS | st.floats() | TEXT
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)
"""Any JSON value, nested, with numbers that JSON has no room for."""


def deep(levels: int) -> Any:
    """A value nested so many levels deep."""
    made: Any = "bottom"
    for level in range(levels):
        made = [made] if level % 2 else {"a": made}
    return made


def valid(schema: Schema) -> SearchStrategy[dict[str, Any]]:
    """Arguments that the schema allows."""
    fields: Schema = schema.get("properties", {})
    every = {name: _of(name, one) for name, one in fields.items()}
    required = {name: every.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=every)


def nearly(schema: Schema) -> SearchStrategy[dict[str, Any]]:
    """Valid arguments with one thing wrong: a wrong type, a missing or unknown argument, a misspelt name."""
    names = sorted(schema.get("properties", {}))

    @st.composite
    def broken(draw: Any) -> dict[str, Any]:
        made = dict(draw(valid(schema)))
        how = draw(st.sampled_from(["type", "unknown", "misspelt", "missing", "deep", "huge"]))
        name = draw(st.sampled_from(names)) if names else "nothing"
        if how == "type":
            made[name] = draw(ANYTHING)
        elif how == "unknown":
            made[draw(TEXT)] = draw(LEAVES)
        elif how == "misspelt":
            made[name[:-1] + draw(st.sampled_from(["", "z", "_", name[-1:] * 2, name[-1:].upper()]))] = made.pop(
                name, "x"
            )
        elif how == "missing":
            made.pop(name, None)
        elif how == "deep":
            made[name] = deep(draw(st.sampled_from([50, 150])))
        else:
            made[name] = draw(
                st.sampled_from(["x" * 200_000, "\u00e9" * 100_000, ["x"] * 10_000, {"x": "y" * 100_000}])
            )
        return made

    return broken()


def arguments(schema: Schema) -> SearchStrategy[dict[str, Any]]:
    """Valid ones, nearly valid ones, and objects that have nothing to do with the schema."""
    return valid(schema) | nearly(schema) | st.dictionaries(TEXT, ANYTHING, max_size=5)


def _of(name: str, schema: Schema) -> SearchStrategy[Any]:
    hinted = HINTS.get(name)
    values = _typed(schema)
    if hinted is None or schema.get("type") != "string" or "enum" in schema or "const" in schema:
        return values
    return st.sampled_from(hinted) | st.sampled_from(hinted) | values


def _typed(schema: Schema) -> SearchStrategy[Any]:
    if "anyOf" in schema:
        return st.one_of([_typed(one) for one in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "string":
            return TEXT
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(_typed(schema.get("items", {})), max_size=4)
        case "object":
            inner = schema.get("additionalProperties")
            return st.dictionaries(
                st.text(max_size=6), _typed(inner) if isinstance(inner, dict) else ANYTHING, max_size=3
            )
        case _:
            return ANYTHING
