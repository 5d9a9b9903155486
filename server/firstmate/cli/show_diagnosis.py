"""A diagnosis for a person at 2 a.m.: the verdict, then each root cause with its proof and the next commands.

`firstmate diagnose` and `firstmate demo` print with it, on a terminal or into a pipe (then without colour). Takes the
JSON of the answer. Cluster text is printed as text, never as markup.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from firstmate.answers import Tree
from firstmate.cli.words import ago, answered, command, counted, object_of, verdict

COLOURS = {"critical": "bold red", "warning": "bold yellow", "info": "bold blue"}
VERDICTS = {
    "problems_found": ("✗", "bold red"),
    "nothing_found": ("✓", "bold green"),
    "inconclusive": ("?", "bold yellow"),
}
_PIPE_WIDTH = 120
_MOST_EXPLAINED = 12


def console() -> Console:
    """stdout; in a pipe without colour and with a fixed width."""
    piped = not sys.stdout.isatty()
    return Console(width=_PIPE_WIDTH if piped else None, no_color=piped or None, highlight=False, emoji=False)


def show(tree: Tree, which: Sequence[str]) -> None:
    """Prints a diagnosis.

    Args:
        tree: the answer.
        which: the flags that name the cluster, for the commands that it suggests.
    """
    show_all(console(), parts(tree, which))


def show_all(out: Console, every: Iterable[RenderableType]) -> None:
    """Prints, without the blanks with which rich fills lines up."""
    with out.capture() as captured:
        for part in every:
            out.print(part)
    for line in captured.get().splitlines():
        out.file.write(line.rstrip() + "\n")


def parts(tree: Tree, which: Sequence[str]) -> Iterator[RenderableType]:
    """What is printed, in order."""
    sign, style = VERDICTS[tree["outcome"]]
    yield Text.assemble((f"{sign} {verdict(tree)}", style))
    yield Text(f"  {answered(tree)}", style="dim")
    for number, root in enumerate(tree.get("root_causes", []), 1):
        yield Text()
        yield root_cause(number, root, tree["observed_at"], which)
    yield from _rest(tree)


def root_cause(number: int, root: Mapping[str, Any], now: str, which: Sequence[str]) -> RenderableType:
    """One root cause."""
    style = COLOURS[root["severity"]]
    since = ago(root.get("since"), now)
    head = Text.assemble(
        (f"{number}. {root['severity'].upper()}", style),
        ("  " + root["cause"], "bold"),
        "  " + object_of(root["object"]),
    )
    summary = Text.assemble(root["summary"], ("  " + ", ".join(filter(None, [root["confidence"], since])), "dim"))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for label, cell in _facts(root, which):
        rows.add_row(label, cell)
    return Group(head, Padding(summary, (0, 0, 0, 3)), Padding(rows, (0, 0, 0, 3)))


def _facts(root: Mapping[str, Any], which: Sequence[str]) -> Iterator[tuple[str, RenderableType]]:
    for index, proof in enumerate(root["evidence"]):
        address = Text.assemble((object_of(proof["object"]), "cyan"), " " + proof["field"])
        yield ("evidence" if index == 0 else ""), Group(address, Padding(Text(str(proof["value"])), (0, 0, 0, 2)))
    explains = root.get("explains", [])
    if explains:
        yield "explains", _chain([f"{one['cause']}  {object_of(one['object'])}" for one in explains])
    if affects := root.get("affects", []):
        yield "affects", Text(", ".join(object_of(one) for one in affects))
    yield "runbook", Text.assemble((root["runbook"], "green"), ("  " + command("get_runbook", root, ()), "dim"))
    for index, step in enumerate(root.get("next", [])):
        why = Padding(Text(step["why"], style="dim"), (0, 0, 0, 2))
        yield ("next" if index == 0 else ""), Group(Text(command(step["tool"], step["arguments"], which)), why)


def _chain(lines: Sequence[str]) -> Text:
    shown = list(lines[:_MOST_EXPLAINED])
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more")
    signs = ["├─ "] * (len(shown) - 1) + ["└─ "]
    return Text("\n".join(sign + line for sign, line in zip(signs, shown, strict=True)))


def _rest(tree: Tree) -> Iterator[RenderableType]:
    """What no root cause accounts for, what was ruled out, what was not looked at."""
    coverage = tree["coverage"]
    if unexplained := tree.get("unexplained", []):
        yield from _list(
            "Unexplained", "bold yellow", [f"{object_of(u['object'])}: {u['symptom']}" for u in unexplained]
        )
    if ruled_out := tree.get("ruled_out", []):
        yield from _list("Ruled out", "bold", [f"{one['cause']}: {one['why']}" for one in ruled_out])
    if missing := coverage.get("not_checked", []):
        yield from _list("Not checked", "bold yellow", [_missing(one) for one in missing])
    if cut := coverage.get("cut", []):
        yield from _list("Left out", "bold", cut)
    if removed := coverage.get("redacted"):
        yield from _list("Redacted", "bold", [f"{counted(removed, 'secret')} taken out of this answer"])
    if suspicious := coverage.get("suspicious", []):
        yield from _list("Beware", "bold yellow", suspicious)


def _missing(one: Mapping[str, Any]) -> str:
    hint = f" — {one['how_to_enable']}" if one.get("how_to_enable") else ""
    return f"{one['what']} ({one['why'].replace('_', ' ')}){hint}"


def _list(title: str, style: str, lines: Sequence[str]) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style=style)
    for line in lines:
        yield Padding(Text(line), (0, 0, 0, 2))
