"""An answer as plain JSON: what MCP sends, after its egress filter, and what the command line prints.

Nulls are dropped. Free text was cleaned and redacted when it was made, and keeps its type (`Untrusted`), so that the
egress filter can fence it; all other strings are cleaned and redacted here, since names and images come from a cluster
as well. Must never shorten anything: token budgets are the MCP side's business.
"""

from typing import Any, cast

import orjson
from pydantic_core import to_jsonable_python

from firstmate_tools.results import Answer
from firstmate_tools.text import Untrusted, clean, redact_shapes

Tree = dict[str, Any]
"""A JSON object. Strings may be `Untrusted`."""


def tree_of(answer: Answer) -> Tree:
    """The JSON object of an answer: who answered first, what it rests on last."""
    tree = cast("Tree", plain(answer.model_dump(mode="python", exclude_none=True)))
    first = {name: tree.pop(name) for name in ("cluster", "observed_at") if name in tree}
    coverage = tree.pop("coverage")
    return {**first, **tree, "coverage": coverage}


def plain(value: object) -> object:
    """Any value as JSON, without nulls in objects, with every string fit to be shown."""
    if isinstance(value, str):
        return value if isinstance(value, Untrusted) else redact_shapes(clean(value))
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        every = cast("dict[object, object]", value).items()
        return {redact_shapes(clean(str(key))): plain(one) for key, one in every if one is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in cast("list[object]", value)]
    return to_jsonable_python(value)


def compact(tree: object) -> str:
    """JSON without blanks."""
    return orjson.dumps(tree, default=str).decode()


def pretty(tree: object) -> str:
    """JSON for files and people."""
    return orjson.dumps(tree, default=str, option=orjson.OPT_INDENT_2).decode()
