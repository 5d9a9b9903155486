"""Any answer for people: an outline as text, or Markdown. For tools that have no display of their own."""

from collections.abc import Iterator
from typing import cast

from firstmate.answers import Tree


def text(tree: Tree) -> str:
    """An outline: names, values, lists by dashes. Reads like YAML; not meant to be parsed."""
    return "\n".join(_lines(tree, ""))


def markdown(title: str, tree: Tree) -> str:
    """The outline under a heading, in a code block that it cannot leave."""
    body = text(tree)
    fence = "```"
    while fence in body:
        fence += "`"
    return f"## {title}\n\n{fence}\n{body}\n{fence}"


def _lines(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in cast("dict[str, object]", value).items():
            yield from _entry(f"{indent}{key}:", one, indent + "  ")
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            yield from _item(one, indent)
    else:
        yield from (f"{indent}{line}" for line in _scalar(value).splitlines() or [""])


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, dict | list):
        if not value:
            yield f"{head} none"
            return
        yield head
        yield from _lines(cast("object", value), indent)
        return
    words = _scalar(value)
    if "\n" in words:
        yield head
        yield from _lines(words, indent)
    else:
        yield f"{head} {words}"


def _item(value: object, indent: str) -> Iterator[str]:
    inner = list(_lines(value, indent + "  ")) or [indent + "  "]
    yield f"{indent}- {inner[0].removeprefix(indent + '  ')}"
    yield from inner[1:]


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
