"""A diagnosis as Markdown, for a ticket or a chat. Takes the JSON of the answer; cluster text stands in code."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from firstmate.answers import Tree
from firstmate.cli.words import ago, answered, command, counted, object_of, verdict


def diagnosis(tree: Tree, which: Sequence[str]) -> str:
    """The whole diagnosis.

    Args:
        tree: the answer.
        which: the flags that name the cluster, for the commands that it suggests.
    """
    return "\n".join(_lines(tree, which))


def _lines(tree: Tree, which: Sequence[str]) -> Iterator[str]:
    yield f"# {verdict(tree)}"
    yield ""
    yield answered(tree)
    for number, root in enumerate(tree.get("root_causes", []), 1):
        yield from _root_cause(number, root, tree["observed_at"], which)
    coverage = tree["coverage"]
    yield from _section(
        "Unexplained", [f"{object_of(one['object'])}: {code(one['symptom'])}" for one in tree.get("unexplained", [])]
    )
    yield from _section("Ruled out", [f"`{one['cause']}`: {one['why']}" for one in tree.get("ruled_out", [])])
    missing = [
        f"{one['what']} ({one['why'].replace('_', ' ')})"
        + (f": {one['how_to_enable']}" if one.get("how_to_enable") else "")
        for one in coverage.get("not_checked", [])
    ]
    yield from _section("Not checked", missing)
    if removed := coverage.get("redacted"):
        yield from _section("Redacted", [f"{counted(removed, 'secret')} taken out of this answer"])
    yield from _section("Beware", coverage.get("suspicious", []))


def _root_cause(number: int, root: Mapping[str, Any], now: str, which: Sequence[str]) -> Iterator[str]:
    since = ago(root.get("since"), now)
    yield ""
    yield f"## {number}. {root['severity'].upper()}: `{root['cause']}` at {object_of(root['object'])}"
    yield ""
    yield root["summary"] + f" ({', '.join(filter(None, [root['confidence'], since]))})"
    yield ""
    yield "Evidence:"
    for proof in root["evidence"]:
        yield f"- {object_of(proof['object'])} `{proof['field']}`: {code(proof['value'])}"
    if explains := root.get("explains", []):
        yield ""
        yield "Explains:"
        for one in explains:
            yield f"- `{one['cause']}` at {object_of(one['object'])}"
    if affects := root.get("affects", []):
        yield ""
        yield f"Affects: {', '.join(object_of(one) for one in affects)}"
    yield ""
    yield f"Runbook: `{root['runbook']}`"
    if steps := root.get("next", []):
        yield ""
        yield "Next:"
        for step in steps:
            yield f"- `{command(step['tool'], step['arguments'], which)}`: {step['why']}"


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"## {title}"
        yield ""
        for line in lines:
            yield f"- {line}"


def code(value: str) -> str:
    """Text in a code span that it cannot leave (CommonMark: the span's backticks outnumber those inside)."""
    line = " ".join(str(value).split())
    longest = max((len(run) for run in _runs(line)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _runs(line: str) -> Iterator[str]:
    run = ""
    for character in line:
        if character == "`":
            run += character
        elif run:
            yield run
            run = ""
    if run:
        yield run
