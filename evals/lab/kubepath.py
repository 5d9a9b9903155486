"""kubectl's JSONPath dialect, for the waits of scenarios.

Called by `waits`. Rewrites the dialect (braces, a leading dot or none, `\\.` for a dot inside a name, names such as
`app-name` without quotes) into RFC 9535 and leaves the evaluation to python-jsonpath. Templates with `range` or several
expressions are refused, as `kubectl wait` refuses them. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonpath

_NAME_ENDS = ".["
_FILTER_NAME_ENDS = _NAME_ENDS + "=!<>&|() \t"
_QUOTES = "'\""


class KubePathError(ValueError):
    """The expression is no JSONPath that kubectl would take."""


def text_at(document: Any, expression: str) -> str | None:
    """The text that `kubectl get -o jsonpath` would print; None where nothing matches.

    Raises:
        KubePathError: the expression is malformed.
    """
    found = [_text(match.obj) for match in compile_path(expression).finditer(document)]
    return " ".join(found) if found else None


@lru_cache(maxsize=512)
def compile_path(expression: str) -> jsonpath.JSONPath | jsonpath.CompoundJSONPath:
    """The compiled expression.

    Raises:
        KubePathError: the expression is malformed.
    """
    rewritten = to_rfc9535(expression)
    try:
        return _ENVIRONMENT.compile(rewritten)
    except (jsonpath.JSONPathError, IndexError) as error:
        raise KubePathError(f"{expression}: {error} (read as {rewritten})") from error


_ENVIRONMENT = jsonpath.JSONPathEnvironment(strict=True)


def to_rfc9535(expression: str) -> str:
    """The same path in RFC 9535: `{.metadata.labels.a\\.b/c}` becomes `$["metadata"]["labels"]["a.b/c"]`.

    Raises:
        KubePathError: not one path, or unbalanced brackets.
    """
    text = expression.strip()
    if text.startswith("{"):
        if not text.endswith("}") or "{" in text[1:]:
            raise KubePathError(f"{expression}: one expression in one pair of braces is wanted")
        text = text[1:-1].strip()
    if text.startswith(("$", "@")):
        text = text[1:]
    if text and text[0] not in _NAME_ENDS:
        text = f".{text}"
    try:
        segments, rest = _segments(text, _NAME_ENDS)
    except (StopIteration, IndexError):
        raise KubePathError(f"{expression}: ends in the middle") from None
    if rest:
        raise KubePathError(f"{expression}: cannot read {rest!r}")
    return f"${segments}"


def _segments(text: str, ends: str) -> tuple[str, str]:
    """The rewritten segments at the start of the text, and what comes after them."""
    out = ""
    while text and text[0] in _NAME_ENDS:
        if text[0] == "[":
            inside, text = _bracket(text)
            out += f"[{_selector(inside.strip())}]"
            continue
        deep = text.startswith("..")
        name, text = _name(text[2 if deep else 1 :], ends)
        if deep:
            out += ".."
            if not name:  # `..[...]`
                continue
        if name:
            out += "[*]" if name == "*" else f"[{json.dumps(name)}]"
    return out, text


def _name(text: str, ends: str) -> tuple[str, str]:
    name, at = "", 0
    while at < len(text) and text[at] not in ends:
        if text[at] == "\\":
            at += 1
        name += text[at]
        at += 1
    return name, text[at:]


def _bracket(text: str) -> tuple[str, str]:
    """The inside of the bracket that the text starts with, and what comes after it."""
    depth, characters = 0, enumerate(text)
    for at, character in characters:
        if character in _QUOTES:
            _skip_string(characters, character)
        depth += (character == "[") - (character == "]")
        if depth == 0:
            return text[1:at], text[at + 1 :]
    raise StopIteration


def _skip_string(characters: Iterator[tuple[int, str]], quote: str) -> None:
    while (character := next(characters)[1]) != quote:
        if character == "\\":
            next(characters)


def _selector(inside: str) -> str:
    if inside.startswith("?"):
        return f"?{_filter(inside[1:])}"
    if inside[:1] in _QUOTES:  # a name, or several; a dot needs no backslash here, but kubectl wants one
        return inside.replace("\\.", ".")
    return inside  # *, indexes, slices


def _filter(text: str) -> str:
    out = ""
    while text:
        if text[0] in _QUOTES:
            characters = enumerate(text[1:], 1)
            _skip_string(characters, text[0])
            end = next(characters, (len(text), ""))[0]
            out, text = out + text[:end], text[end:]
        elif text[0] == "@":
            segments, text = _segments(text[1:], _FILTER_NAME_ENDS)
            out += f"@{segments}"
        else:
            out, text = out + text[0], text[1:]
    return out


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, separators=(",", ":"))
