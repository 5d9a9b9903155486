"""Types of expressions: a JMESPath is walked over the shapes of what it reads, and what cannot be is told in words.

`checks.py` asks here for every expression of a step. Each kind of node says what shape it gives; a field that is not
there, a list that is read like an object and a function that is given what it does not take are faults. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from firstmate.nearest import nearest
from firstmate.runbooks.expressions import compiled
from firstmate.runbooks.shapes import (
    ANY,
    BOOLEAN,
    NUMBER,
    STRING,
    Shape,
    joined,
    list_of,
    object_of,
    of_value,
)

Node = Mapping[str, Any]
Causes = Callable[[str], str | None]
"""What is wrong with the slug of a cause, None where nothing is."""

_WORDS = {"object": "an object", "map": "a map", "list": "a list", "string": "a text", "null": "null"}
_GIVES: Mapping[str, Shape] = {
    "abs": NUMBER,
    "avg": NUMBER.or_null(),
    "ceil": NUMBER,
    "contains": BOOLEAN,
    "ends_with": BOOLEAN,
    "floor": NUMBER,
    "join": STRING,
    "keys": list_of(STRING),
    "length": NUMBER,
    "starts_with": BOOLEAN,
    "sum": NUMBER,
    "to_number": NUMBER.or_null(),
    "to_string": STRING,
    "type": STRING,
}


@dataclass(slots=True)
class Typing:
    """One expression on its way.

    Attributes:
        cause: judges the slugs that are compared with a field called `cause`.
        faults: what is wrong, in words.
    """

    cause: Causes
    faults: list[str] = field(default_factory=list[str])

    def walk(self, node: Node, here: Shape) -> Shape:
        """What a node gives where `here` is the current value."""
        visit = cast("Callable[[Node, Shape], Shape] | None", getattr(self, f"_{node['type']}", None))
        return visit(node, here) if visit is not None else ANY

    def _chain(self, node: Node, here: Shape) -> Shape:
        for child in node["children"]:
            here = self.walk(child, here)
        return here

    _subexpression = _index_expression = _pipe = _chain

    def _current(self, node: Node, here: Shape) -> Shape:
        return here

    _identity = _current

    def _field(self, node: Node, here: Shape) -> Shape:
        name = cast("str", node["value"])
        if here.kind == "any" or here.kind == "null":
            return here
        if here.kind == "map":
            return (here.item or ANY).or_null().called(name)
        if here.kind != "object":
            mend = "; take one of its entries with [0], or all with [*] or [?…]" if here.kind == "list" else ""
            self._fault(f"{here.about or 'this'} is {_word(here)}, which has no field `{name}`{mend}")
            return ANY
        known = here.fields()
        if name in known:
            return known[name].or_null(here.nullable or known[name].nullable)
        if name in here.why_absent:
            self._fault(here.why_absent[name])
            return ANY
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(known) or 'none'}"
        self._fault(f"{here.about or 'this'} has no `{name}`; {hint}")
        return ANY

    def _index(self, node: Node, here: Shape) -> Shape:
        return (self._entries(here, "[0]") or ANY).or_null()

    def _slice(self, node: Node, here: Shape) -> Shape:
        return list_of(self._entries(here, "a slice") or ANY).or_null(here.nullable)

    def _projection(self, node: Node, here: Shape) -> Shape:
        base = self.walk(node["children"][0], here)
        item = self._entries(base, "[*]") or ANY
        return list_of(self.walk(node["children"][1], item).or_null(False)).or_null(base.nullable)

    def _filter_projection(self, node: Node, here: Shape) -> Shape:
        base = self.walk(node["children"][0], here)
        item = (self._entries(base, "[?…]") or ANY).or_null(False)
        self.walk(node["children"][2], item)
        return list_of(self.walk(node["children"][1], item).or_null(False)).or_null(base.nullable)

    def _value_projection(self, node: Node, here: Shape) -> Shape:
        base = self.walk(node["children"][0], here)
        if base.kind not in ("any", "object", "map"):
            self._fault(f"{base.about or 'this'} is {_word(base)}, which has no values for .*")
        item = base.item if base.kind == "map" and base.item is not None else ANY
        return list_of(self.walk(node["children"][1], item).or_null(False)).or_null(base.nullable)

    def _flatten(self, node: Node, here: Shape) -> Shape:
        base = self.walk(node["children"][0], here)
        item = self._entries(base, "[]") or ANY
        inner = item.item if item.kind == "list" and item.item is not None else item
        return list_of(inner.or_null(False)).or_null(base.nullable)

    def _entries(self, base: Shape, how: str) -> Shape | None:
        if base.kind == "list":
            return base.item.called(f"an entry of {base.about}") if base.item is not None and base.about else base.item
        if base.kind not in ("any", "null"):
            self._fault(f"{base.about or 'this'} is {_word(base)}, not a list, as {how} needs")
        return None

    def _comparator(self, node: Node, here: Shape) -> Shape:
        sides = [self.walk(child, here) for child in node["children"]]
        kinds = {side.kind for side in sides} - {"any", "null"}
        if len(kinds) > 1:
            self._fault(f"compares {_word(sides[0])} with {_word(sides[1])}, which are never equal")
        if node["value"] not in ("eq", "ne"):
            if kinds - {"number", "string"}:
                self._fault(f"orders {_word(sides[0])}; only numbers and texts have an order")
            return BOOLEAN.or_null()
        for child, other in ((0, 1), (1, 0)):
            literal = node["children"][child]
            if literal["type"] == "literal" and isinstance(literal["value"], str):
                self._said(literal["value"], sides[other], node["children"][other])
        return BOOLEAN

    def _said(self, value: str, side: Shape, node: Node) -> None:
        if side.choices and value not in side.choices:
            near = nearest(value, side.choices)
            hint = f"did you mean '{near}'?" if near else f"it is one of {', '.join(side.choices)}"
            self._fault(f"`{side.about}` is never '{value}'; {hint}")
        if side.about == "cause" and side.kind == "string" and (wrong := self.cause(value)) is not None:
            self._fault(wrong)

    def _literal(self, node: Node, here: Shape) -> Shape:
        return of_value(node["value"])

    def _or_expression(self, node: Node, here: Shape) -> Shape:
        left, right = (self.walk(child, here) for child in node["children"])
        return joined([left.or_null(False), right])

    def _and_expression(self, node: Node, here: Shape) -> Shape:
        left, right = (self.walk(child, here) for child in node["children"])
        return right if left.kind == right.kind == "boolean" else ANY

    def _not_expression(self, node: Node, here: Shape) -> Shape:
        self.walk(node["children"][0], here)
        return BOOLEAN

    def _multi_select_list(self, node: Node, here: Shape) -> Shape:
        every = [self.walk(child, here) for child in node["children"]]
        return list_of(joined(every)).or_null(here.nullable)

    def _multi_select_dict(self, node: Node, here: Shape) -> Shape:
        entries = {child["value"]: self.walk(child["children"][0], here) for child in node["children"]}
        return object_of(entries).or_null(here.nullable)

    def _function_expression(self, node: Node, here: Shape) -> Shape:
        name, children = cast("str", node["value"]), cast("Sequence[Node]", node["children"])
        known = _functions()
        if name not in known:
            near = nearest(name, known)
            self._fault(f"JMESPath has no function {name}()" + (f"; did you mean {near}()?" if near else ""))
            return ANY
        plain = [self.walk(child, here) if child["type"] != "expref" else None for child in children]
        lists = [one for one in plain if one is not None and one.kind == "list"]
        item = lists[0].item if lists and lists[0].item is not None else ANY
        every = [
            shape if shape is not None else self.walk(child["children"][0], item.or_null(False))
            for child, shape in zip(children, plain, strict=True)
        ]
        self._taken(name, known[name], children, every)
        return _given(name, every, item)

    def _taken(self, name: str, wanted: Sequence[Any], children: Sequence[Node], every: Sequence[Shape]) -> None:
        variadic = bool(wanted) and bool(wanted[-1].get("variadic"))
        if len(every) < len(wanted) or (len(every) > len(wanted) and not variadic):
            self._fault(f"{name}() takes {len(wanted)} arguments, not {len(every)}")
            return
        for number, (child, shape) in enumerate(zip(children, every, strict=True)):
            types = [one.partition("-")[0] for one in wanted[min(number, len(wanted) - 1)]["types"]]
            if not types:
                continue
            if ("expref" in types) != (child["type"] == "expref"):
                self._fault(f"{name}() takes an expression such as &field" if "expref" in types else f"{name}(): &")
            elif "expref" not in types:
                self._fits(name, types, shape)

    def _fits(self, name: str, types: Sequence[str], shape: Shape) -> None:
        kind = {"list": "array", "map": "object"}.get(shape.kind, shape.kind)
        if shape.kind != "any" and kind not in types:
            self._fault(f"{name}() takes {' or '.join(types)}, not {_word(shape)}")
        elif shape.nullable and shape.kind != "any" and "null" not in types:
            empty = {"list": "`[]`", "object": "`{}`", "map": "`{}`", "number": "`0`"}.get(shape.kind, "''")
            self._fault(f"{name}() fails where `{shape.about or 'it'}` is absent; write {name}(… || {empty})")

    def _fault(self, words: str) -> None:
        if words not in self.faults:
            self.faults.append(words)


def _given(name: str, every: Sequence[Shape], item: Shape) -> Shape:
    if name in _GIVES:
        return _GIVES[name]
    if name in ("sort", "sort_by", "reverse") and every:
        return every[0]
    if name in ("max", "min", "max_by", "min_by"):
        return item.or_null()
    if name == "map" and every:
        return list_of(every[0])
    if name == "to_array" and every:
        return every[0] if every[0].kind == "list" else list_of(every[0])
    if name == "not_null":
        return joined(every).or_null(all(one.nullable for one in every))
    return list_of(ANY) if name == "values" else ANY


def _word(shape: Shape) -> str:
    return _WORDS.get(shape.kind, f"a {shape.kind}")


@cache
def _functions() -> Mapping[str, Sequence[Any]]:
    from jmespath.functions import Functions

    table = cast("Mapping[str, Mapping[str, Any]]", cast("Any", Functions).FUNCTION_TABLE)
    return {name: cast("Sequence[Any]", one["signature"]) for name, one in table.items()}


def type_of(expression: str, scope: Shape, cause: Causes = lambda slug: None) -> tuple[Shape, list[str]]:
    """The shape that an expression gives, and what is wrong with it.

    Args:
        expression: JMESPath that parses.
        scope: what it sees.
        cause: judges the slugs of causes in it.
    """
    typing = Typing(cause)
    shape = typing.walk(compiled(expression).parsed, scope)
    return shape, typing.faults
