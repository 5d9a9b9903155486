"""The JSONPath of a CustomResourceDefinition's printer columns, over plain objects. Pure.

What additionalPrinterColumns take (k8s.io/apiextensions-apiserver pkg/registry/customresource/tableconvertor, v0.36,
over k8s.io/client-go util/jsonpath): keys, quoted keys, indexes, `[*]`, and filters of the form
`[?(@.type=="Ready")]`. An expression outside of that gives nothing: a column is missing, never wrong.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, cast

from firstmate_tools import fields
from firstmate_tools.fields import Obj

Step = Callable[[Any], Iterable[Any]]

_STEP = re.compile(
    r"""\.?(?:
        (?P<key>(?:\\.|[^.\[\]\\'"(){}?@*\s])+)
      | \[(?P<quote>['"])(?P<quoted>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\]
      | \[(?P<index>-?\d{1,6})\]
      | (?P<every>\[\*\]|\*)
      | \[\?\(\s*@\.(?P<field>[\w.-]+)\s*(?P<op>==|!=)\s*(?P<vquote>['"])(?P<value>[^'"]*)(?P=vquote)\s*\)\]
    )""",
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[Step, ...] | None:
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$")
    steps: list[Step] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or match.end() == at:
            return None
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return _index(int(match["index"]))
    if match["every"]:
        return _every
    if match["field"] is not None:
        return _filter(match["field"].split("."), match["op"] == "==", match["value"])
    key = match["key"] if match["key"] is not None else match["quoted"]
    return _key(re.sub(r"\\(.)", r"\1", key))


def _key(key: str) -> Step:
    return lambda here: [cast("Obj", here)[key]] if isinstance(here, dict) and key in here else []


def _index(index: int) -> Step:
    def step(here: Any) -> Iterable[Any]:
        entries = cast("list[Any]", here) if isinstance(here, list) else []
        return [entries[index]] if -len(entries) <= index < len(entries) else []

    return step


def _every(here: Any) -> Iterable[Any]:
    if isinstance(here, dict):
        return list(cast("Obj", here).values())
    return cast("list[Any]", here) if isinstance(here, list) else []


def _filter(path: list[str], equal: bool, value: str) -> Step:
    def step(here: Any) -> Iterable[Any]:
        return [entry for entry in _every(here) if (plain(fields.at(entry, *path)) == value) is equal]

    return step


def plain(value: Any) -> str:
    """A JSON value as kubectl prints it in a column; objects and lists by their size."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return f"({len(cast('list[Any]', value))})"
    return str(value)


def column(obj: Obj, path: str) -> str:
    """The value of a printer column, of several the first, as the server prints it; "" where there is none."""
    steps = _steps(path)
    if steps is None:
        return ""
    here: list[Any] = [obj]
    for step in steps:
        here = [found for one in here for found in step(one)]
    return plain(here[0]) if here else ""
