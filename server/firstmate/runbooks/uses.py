"""What expressions use of the data that they see, so that a run need carry no more than that from call to call.

`handle.py` keeps of a step's result what later steps use (`kept`). Walks JMESPath without evaluating it: a use is a
path of fields, in which lists do not count. Pure.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

from firstmate.runbooks.expressions import compiled

Path = tuple[str, ...]
Node = Mapping[str, Any]
_EVERY = "*"
"""In a path: whatever the keys are."""


@lru_cache(maxsize=4096)
def uses(expression: str) -> frozenset[Path]:
    """The paths that an expression uses, each down to what it uses whole."""
    found: set[Path] = set()
    ends = _walk(compiled(expression).parsed, frozenset({()}), found)
    return frozenset(found | ends)


def steps_read(expression: str) -> frozenset[str]:
    """The ids of the steps whose results an expression reads."""
    return frozenset(path[1] for path in uses(expression) if len(path) > 1 and path[0] == "steps")


def _walk(node: Node, here: frozenset[Path], found: set[Path]) -> frozenset[Path]:
    """Where a node leads from some places. What is used on the way, such as in a condition, goes to `found`."""
    children = cast("list[Node]", node["children"])
    match node["type"]:
        case "field":
            return frozenset((*path, node["value"]) for path in here)
        case "subexpression" | "index_expression" | "pipe":
            for child in children:
                here = _walk(child, here, found)
            return here
        case "projection":
            return _walk(children[1], _walk(children[0], here, found), found)
        case "value_projection":
            inner = frozenset((*path, _EVERY) for path in _walk(children[0], here, found))
            return _walk(children[1], inner, found)
        case "filter_projection":
            base = _walk(children[0], here, found)
            found |= _walk(children[2], base, found)
            return _walk(children[1], base, found)
        case "flatten" | "expref" | "key_val_pair":
            return _walk(children[0], here, found)
        case "or_expression":
            return _walk(children[0], here, found) | _walk(children[1], here, found)
        case "function_expression":
            return _function(node, here, found)
        case "comparator" | "and_expression" | "not_expression" | "multi_select_list" | "multi_select_dict":
            ends = [_walk(child, here, found) for child in children]
            # What is made of them is new; where it leads from there is whole already.
            found |= frozenset[Path]().union(*ends)
            return frozenset[Path]().union(*ends) if node["type"].startswith(("and", "multi")) else frozenset()
        case "literal":
            return frozenset()
        case _:  # current, identity, index, slice
            return here


def _function(node: Node, here: frozenset[Path], found: set[Path]) -> frozenset[Path]:
    children = cast("list[Node]", node["children"])
    plain = [_walk(child, here, found) for child in children if child["type"] != "expref"]
    given = frozenset[Path]().union(*plain)
    for child in children:
        if child["type"] == "expref":
            found |= _walk(child, given, found)
    found |= given
    return given


def kept(value: object, paths: Iterable[Path]) -> Any:
    """Of a JSON value what stands at these paths, and everything below; lists stay as long as they are.

    An object of which nothing is used stays true to JMESPath: it keeps one key.
    """
    wanted = set(paths)
    if () in wanted:
        return value
    if isinstance(value, list):
        return [kept(one, wanted) for one in cast("list[object]", value)]
    if not isinstance(value, Mapping):
        return value
    here = cast("Mapping[str, object]", value)
    inner: dict[str, Any] = {}
    for key, one in here.items():
        below = {path[1:] for path in wanted if path[0] in (key, _EVERY)}
        if below:
            inner[key] = kept(one, below)
    if not inner and here:
        return {next(iter(here)): True}
    return inner
