"""Expressions of steps: JMESPath (https://jmespath.org/specification.html), and `${…}` in texts.

`steps.py` checks with it what can be checked of one expression alone, `runner.py` evaluates. Pure: data in, value out.
Imports `jmespath` when first used. Must never reach for anything but the data that it is given.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from firstmate_tools.text import clipped, inline

T = TypeVar("T")
OPENING = "${"
ESCAPED = "$${"
MOST_QUOTED = 1500
"""Characters of one value within a sentence."""
LONGEST = 2000
"""Characters of one expression: what is longer is none that anybody could review."""
MOST_GROWTH = 100
"""How often what an expression reads may stand in what it gives."""
UNKNOWN = "(not known)"
"""What stands in a text for a value that nobody knows."""

Scope = Mapping[str, Any]
"""What expressions see: params, answers, steps, and result of the check itself."""


class ExpressionError(ValueError):
    """An expression is none, or cannot be evaluated over these data."""


@lru_cache(maxsize=4096)
def compiled(expression: str) -> Any:
    """The parsed expression.

    Raises:
        ExpressionError: it is no JMESPath.
    """
    import jmespath
    from jmespath.exceptions import JMESPathError

    if len(expression) > LONGEST:
        raise ExpressionError(f"an expression of more than {LONGEST} characters: {clipped(expression, 100)}")
    try:
        found = jmespath.compile(expression)
        grows = _growth(found.parsed)
    except JMESPathError as error:
        raise ExpressionError(f"no JMESPath: {_first_line(error)}: {expression}") from error
    except RecursionError as error:
        raise ExpressionError(f"no JMESPath: nested too deeply: {clipped(expression, 100)}") from error
    if grows > MOST_GROWTH:
        raise ExpressionError(f"its result may be more than {MOST_GROWTH} times what it reads: {expression}")
    return found


def _growth(node: Mapping[str, Any]) -> int:
    """How often what an expression reads may stand in its result: `[@,@]|[@,@]` gives four of it, and so on."""
    if node["type"] == "slice":  # whose children are numbers
        return 1
    every = [_growth(child) for child in node["children"]]
    match node["type"]:
        case "multi_select_list" | "multi_select_dict":
            return max(1, sum(every))
        case "or_expression" | "and_expression" | "comparator" | "not_expression":
            return max(every)
        case "function_expression":
            inner = [one for one, child in zip(every, node["children"], strict=True) if child["type"] == "expref"]
            return max(1, sum(every) - sum(inner)) * math.prod(inner)
        case _:
            return math.prod(every)


def evaluate(expression: str, scope: Scope) -> Any:
    """The value of an expression.

    Raises:
        ExpressionError: a function in it was given what it does not take, such as the length of null.
    """
    from jmespath.exceptions import JMESPathError

    try:
        return compiled(expression).search(scope)
    except (JMESPathError, TypeError, ArithmeticError, ValueError) as error:
        # Its functions let Python's own errors out, such as that of contains('text', `1`).
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"{_first_line(error)}, in {expression}") from error


def holds(expression: str, scope: Scope) -> bool:
    """Whether an expression is true, as JMESPath has it: null, false, '', [] and {} are not.

    Raises:
        ExpressionError: see `evaluate`.
    """
    value = evaluate(expression, scope)
    return not (value is None or value is False or value == "" or value == [] or value == {})


def emptied(value: object) -> Any:
    """A JSON value of the same form in which nothing was found: what still holds of it holds by absence."""
    if isinstance(value, Mapping):
        return {key: emptied(one) for key, one in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list):
        return []
    if isinstance(value, bool) or value is None:
        return False if value is not None else None
    return "" if isinstance(value, str) else 0


def pieces(text: str) -> list[str | tuple[str]]:
    """A text in its pieces: plain ones as they are, expressions in a tuple of one.

    Raises:
        ExpressionError: a `${` is never closed, or is empty.
    """
    found: list[str | tuple[str]] = []
    plain, at = "", 0
    while at < len(text):
        if text.startswith(ESCAPED, at):
            plain, at = plain + OPENING, at + len(ESCAPED)
        elif text.startswith(OPENING, at):
            end = _end(text, at + len(OPENING))
            inner = text[at + len(OPENING) : end].strip()
            if not inner:
                raise ExpressionError(f"an empty ${{}} in {text!r}")
            found += [plain] if plain else []
            found.append((inner,))
            plain, at = "", end + 1
        else:
            plain, at = plain + text[at], at + 1
    return [*found, plain] if plain else found


def _end(text: str, at: int) -> int:
    """Where the brace stands that closes an expression: outside its quotes, and not one of its own."""
    depth, quote = 0, ""
    while at < len(text):
        here = text[at]
        if quote:
            if here == "\\":
                at += 1
            elif here == quote:
                quote = ""
        elif here in "'\"`":
            quote = here
        elif here == "{":
            depth += 1
        elif here == "}":
            if not depth:
                return at
            depth -= 1
        at += 1
    raise ExpressionError(f"a ${{ that is never closed in {text!r}")


def expressions_in(value: object) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Every expression in the texts of a JSON value, with the path of the text."""
    if isinstance(value, str):
        for piece in pieces(value):
            if isinstance(piece, tuple):
                yield piece[0], ()
    elif isinstance(value, Mapping):
        for key, one in cast("Mapping[str, object]", value).items():
            for found, path in expressions_in(one):
                yield found, (key, *path)
    elif isinstance(value, Sequence):
        for number, one in enumerate(cast("Sequence[object]", value)):
            for found, path in expressions_in(one):
                yield found, (number, *path)


def filled(value: object, scope: Scope) -> Any:
    """Arguments or parameters with their expressions replaced.

    A text that is one expression becomes its value, whatever its type. What became null is left out, and so is a text
    of which a part is null: `pod/${params.pod}` names nothing where no pod is given.

    Raises:
        ExpressionError: see `evaluate`.
    """
    if isinstance(value, str):
        return _filled_text(value, scope)
    if isinstance(value, Mapping):
        inner = {key: filled(one, scope) for key, one in cast("Mapping[str, object]", value).items()}
        return {key: one for key, one in inner.items() if one is not None}
    if isinstance(value, Sequence):
        every = [filled(one, scope) for one in cast("Sequence[object]", value)]
        return [one for one in every if one is not None]
    return value


def _filled_text(text: str, scope: Scope) -> Any:
    parts = pieces(text)
    if len(parts) == 1 and isinstance(parts[0], tuple):
        return evaluate(parts[0][0], scope)
    values = [one if isinstance(one, str) else evaluate(one[0], scope) for one in parts]
    return None if any(one is None for one in values) else "".join(as_text(one) for one in values)


def told(text: str, scope: Scope) -> str:
    """A sentence with its expressions replaced, as words of ours that quote what comes from the cluster.

    Raises:
        ExpressionError: see `evaluate`.
    """
    words = ""
    for piece in pieces(text):
        if isinstance(piece, str):
            words += piece
        else:
            value = evaluate(piece[0], scope)
            words += UNKNOWN if value is None or value == [] else inline(clipped(as_text(value), MOST_QUOTED))
    return words


def as_text(value: object) -> str:
    """A value within a text: words as they are, lists of words with commas, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        every = cast("list[object]", value)
        if all(isinstance(one, str | int | float) for one in every):
            return ", ".join(as_text(one) for one in every)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def checked_expression(expression: str) -> str:
    """An expression that parses, with one message for pydantic where it does not."""
    compiled(expression)
    return expression


def checked_template(value: T) -> T:
    """A text, or a JSON value of texts, whose expressions parse."""
    for expression, _ in expressions_in(value):
        compiled(expression)
    return value


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(":. ")
