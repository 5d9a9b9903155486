"""Small words for people, from the JSON of an answer: objects, times, counts, commands. Every `show_*` uses them."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from firstmate.answers import Tree


def object_of(ref: Mapping[str, Any]) -> str:
    """`Deployment shop/cart`, `Node worker-1`."""
    place = f"{ref['namespace']}/" if ref.get("namespace") else ""
    return f"{ref['kind']} {place}{ref['name']}"


def answered(tree: Tree) -> str:
    """`prod-eu (v1.34.2) at 2026-11-21 02:00:00 UTC`, so that a wrong cluster is seen."""
    cluster = tree["cluster"]
    version = f" ({cluster['version']})" if cluster.get("version") else ""
    where = f", recording {cluster['snapshot']}" if cluster.get("snapshot") else ""
    return f"{cluster['name']}{version}{where}, {moment(tree['observed_at'])}"


def moment(iso: str) -> str:
    """`2026-11-21 02:00:00 UTC`."""
    return iso[:19].replace("T", " ") + " UTC"


def ago(iso: str | None, now: str) -> str:
    """`since 01:46 (14 min)`, "" for None."""
    if iso is None:
        return ""
    then = datetime.fromisoformat(iso)
    passed = datetime.fromisoformat(now) - then
    day = "" if passed < timedelta(days=1) else f"{then:%Y-%m-%d} "
    return f"since {day}{then:%H:%M} ({span(passed)})"


def span(passed: timedelta) -> str:
    """`40 s`, `14 min`, `5 h`, `3 d`."""
    seconds = max(0, int(passed.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and unit != "min"):
            return f"{seconds // size} {unit}"
    return f"{seconds} s" if seconds < 60 else "1 min"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 problem`, `3 problems`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def command(tool: str, arguments: Mapping[str, Any], which: Sequence[str]) -> str:
    """The shell command that calls a tool.

    Args:
        tool: its name.
        arguments: of the call.
        which: the flags that name the cluster.
    """
    rest = {name: value for name, value in arguments.items() if value is not None}
    if tool == "get_runbook":
        words = ["runbooks", "show", str(rest.get("runbook", ""))]
        return shlex.join(["firstmate", *words])
    if tool == "diagnose" and set(rest) <= {"scope", "namespace"}:
        words = ["diagnose", *([str(rest["scope"])] if "scope" in rest else [])]
        words += ["-n", str(rest["namespace"])] if "namespace" in rest else []
    else:
        words = ["tools", "call", tool, *(f"{name}={_word(value)}" for name, value in rest.items())]
    return shlex.join(["firstmate", *words, *which])


def _word(value: object) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    from firstmate.answers import compact

    return compact(value)


def verdict(tree: Tree) -> str:
    """The first line of a diagnosis."""
    roots = tree.get("root_causes", [])
    serious = sum(1 for root in roots if root["severity"] != "info")
    where = _place(str(tree["scope"]))
    if tree["outcome"] == "problems_found":
        return f"{counted(serious, 'problem')} {where}"
    if tree["outcome"] == "nothing_found":
        return f"Nothing is wrong {where}, as far as was looked"
    return f"Inconclusive: not everything {where} could be looked at"


def _place(scope: str) -> str:
    if scope == "cluster":
        return "in the cluster"
    name = scope.removeprefix("namespace/")
    return f"for {scope}" if name == scope else f"in namespace {name}"
