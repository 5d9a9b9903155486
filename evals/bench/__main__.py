"""`python -m evals.bench`: measures what firstmate has to be quick, small and light at, and prints it beside the bars.

Rows: `start` (spawn to tools/list, and what a model reads there), `namespace` (diagnose 20 pods), `load` (200 callers
of pod_status over HTTP for a minute), `cluster` (diagnose 10,000 pods). Exits 1 where a bar is missed. Figures of a
busy machine say more about the machine.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from evals.bench import fleet, load, question, start
from evals.bench.figures import Figure, shown
from evals.lab.errors import LabError
from evals.lab.lab import Lab

ROWS = ("start", "namespace", "load", "cluster")
app = typer.Typer(add_completion=False)


@app.command()
def bench(
    row: Annotated[list[str] | None, typer.Option(help=f"Only this row ({', '.join(ROWS)}). Repeatable.")] = None,
    repeat: Annotated[int | None, typer.Option(min=1, help="Repeats of each measurement.")] = None,
    pods: Annotated[int, typer.Option(min=100, help="Pods of the large cluster.")] = 10_000,
    lab: Annotated[
        str | None, typer.Option(help="Ask a lab that is up and was filled before, and leave it (row cluster).")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Leave the large lab running, for --lab.")] = False,
    file: Annotated[Path | None, typer.Option("--json", help="Write the figures there as well.")] = None,
) -> None:
    """Measure, and print a table with bars."""
    chosen = tuple(row or ROWS)
    if unknown := [name for name in chosen if name not in ROWS]:
        raise typer.BadParameter(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    figures: list[Figure] = []
    try:
        for name in chosen:
            figures += _measured(name, repeat, pods, lab, keep=keep)
    except LabError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    _print(figures)
    if file is not None:
        file.write_text(json.dumps([figure.as_json() for figure in figures], indent=1) + "\n")
    if any(figure.met is False for figure in figures):
        raise typer.Exit(1)


def _measured(name: str, repeat: int | None, pods: int, lab: str | None, *, keep: bool) -> list[Figure]:
    if name == "start":
        return start.measure(repeat)
    if name == "cluster" and lab is not None:
        return question.measure(name, Lab(lab).kubeconfig, None, repeat)
    nodes = 3 if name in ("namespace", "load") else -(-pods // fleet.PODS_A_NODE)
    with Lab(f"bench-{name}-{os.getpid()}", nodes=nodes, survives=keep) as mine:
        if name in ("namespace", "load"):
            fleet.shop(mine.client, mine.root / _LOGS)
            time.sleep(_SETTLE_S)
            if name == "load":
                return load.measure(mine)
            return question.measure(name, mine.kubeconfig, "shop", repeat)
        _say(f"filling a lab with {pods:,} pods; a minute or two where nothing else runs")
        fleet.cluster(mine.client, mine.root / _LOGS, pods, _say)
        time.sleep(_SETTLE_S)
        found = question.measure(name, mine.kubeconfig, None, repeat)
        if keep:
            _say(f"lab {mine.name} goes on: --lab {mine.name}; `python -m evals.lab down --name {mine.name}` ends it")
    return found


_LOGS = "bench-logs"
_SETTLE_S = 5.0
"""Controllers write the last events and counts a moment after the pods are as they should be."""


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _print(figures: list[Figure]) -> None:
    table = Table(title="firstmate benchmarks", title_justify="left")
    for column in ("row", "what"):
        table.add_column(column)
    for column in ("median", "least - most", "bar", ""):
        table.add_column(column, justify="right")
    for figure in figures:
        low, high = figure.spread
        table.add_row(
            figure.row,
            figure.what,
            f"{shown(figure.middle, figure.unit)} {figure.unit}",
            f"{shown(low, figure.unit)} - {shown(high, figure.unit)}" if low != high else "",
            "" if figure.bar is None else f"≤ {shown(figure.bar, figure.unit)}",
            {None: "", True: "[green]met[/]", False: "[red]MISSED[/]"}[figure.met],
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for figure in figures:
        if figure.note:
            console.print(f"{figure.row}, {figure.what}: {figure.note}", highlight=False, markup=False)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    console.print(f"{os.cpu_count()} cores{load}, Python {platform.python_version()}, {platform.system()}")


if __name__ == "__main__":
    app()
