"""`python -m evals.lab`: starts and stops labs by hand, and runs the scenarios.

For people and for CI. Holds no logic of its own: options in, one call, text out. Must never print a key or a
certificate; the kubeconfig is named by its path.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from evals.lab.binaries import resolve
from evals.lab.errors import LabError
from evals.lab.lab import Lab

app = typer.Typer(help="A real Kubernetes control plane on 127.0.0.1, without containers.", no_args_is_help=True)
SCENARIOS = Path(__file__).parents[1] / "scenarios"
Name = Annotated[str, typer.Option(help="Which lab; labs of different names run side by side.")]


@app.command()
def build() -> None:
    """Build what is missing, and start nothing."""
    for binary in resolve().programs.values():
        typer.echo(f"{binary.name} {binary.version} ({binary.origin}): {binary.path}")


@app.command()
def up(name: Name = "default", nodes: Annotated[int, typer.Option(help="How many default nodes.", min=1)] = 3) -> None:
    """Start a lab, or find it running. It goes on until `down`."""
    lab = Lab(name, survives=True, nodes=nodes)
    already, begin = lab.running, time.monotonic()
    lab.start()
    how = "is up already" if already else f"is up after {time.monotonic() - begin:.1f} s"
    typer.echo(f"lab {name} {how}: {lab.server}", err=True)
    typer.echo(f"export KUBECONFIG={lab.kubeconfig}")


@app.command()
def down(name: Name = "default") -> None:
    """Stop a lab and remove its folder."""
    ended = Lab(name).stop()
    what = f"stopped {', '.join(one.name for one in ended)}" if ended else "was not running"
    typer.echo(f"lab {name}: {what}", err=True)


@app.command()
def kubeconfig(name: Name = "default") -> None:
    """Print the path of the administrator's kubeconfig."""
    lab = Lab(name)
    lab.record()
    typer.echo(lab.kubeconfig)


@app.command()
def status(name: Name = "default") -> None:
    """Show what runs, from which binaries, and where everything lies. Exits 1 unless all of it runs."""
    lab = Lab(name)
    record = lab.record()
    ports = lab.ports.as_json()
    origins = {one["name"]: one for one in record["binaries"]}
    table = Table("component", "version", "origin", "pid", "state", "port", box=None)
    for process in lab.processes():
        origin = origins[process.name]
        port = ports[process.name.removeprefix("kube-").replace("-", "_")]
        state = "running" if process.alive() else "gone"
        table.add_row(process.name, origin["version"], origin["origin"], str(process.pid), state, str(port))
    out = Console(width=None if sys.stdout.isatty() else 160)
    out.print(f"lab {name}: {'running' if lab.running else 'not complete'}")
    out.print(table)
    for what, where in (
        ("server", lab.server),
        ("kubeconfig", lab.kubeconfig),
        ("audit log", lab.audit_log),
        ("logs", lab.root / "logs"),
        *((f"{one['name']}", one["path"]) for one in origins.values()),
    ):
        typer.echo(f"{what}: {where}")
    if not lab.running:
        raise typer.Exit(1)


@app.command()
def run(
    scenarios: Annotated[Path, typer.Option(help="A folder of scenario folders.")] = SCENARIOS,
    only: Annotated[list[str] | None, typer.Option(help="Only this scenario; may be repeated.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write answers and scores.")] = None,
    labs: Annotated[int, typer.Option(help="How many labs share the list.", min=1)] = 2,
    floors: Annotated[Path | None, typer.Option(help="TOML of floors; exit 1 when one is missed.")] = None,
    check_snapshot: Annotated[bool, typer.Option(help="Ask a snapshot of each cluster too, and compare.")] = False,
    check_invariance: Annotated[
        bool, typer.Option(help="Ask it again shuffled, renamed, with company, with more replicas, and compare.")
    ] = False,
    check_runbooks: Annotated[
        bool, typer.Option(help="Run the runbooks of its faults, and of what it imitates, over a snapshot.")
    ] = False,
) -> None:
    """Run scenarios and print a scorecard. Exits 2 when a scenario could not be set up or asked."""
    from evals.lab import report  # the lab itself starts without what only scenarios need
    from evals.lab.run import Checks
    from evals.lab.run import run as run_scenarios
    from evals.lab.scenario import folders

    wanted = report.read_floors(floors) if floors else {}
    if json_file and not json_file.absolute().parent.is_dir():
        raise LabError(f"{json_file}: there is no such folder to write to")
    chosen = [folder for folder in folders(scenarios) if not only or folder.name in only]
    if unknown := set(only or ()) - {folder.name for folder in chosen}:
        raise LabError(f"no scenario {', '.join(sorted(unknown))} below {scenarios}")
    checks = Checks(check_snapshot, check_invariance, check_runbooks)
    results = run_scenarios(chosen, labs=labs, checks=checks, say=lambda text: typer.echo(text, err=True))
    found = report.as_json(results)
    if json_file:
        json_file.write_text(json.dumps(found, indent=1))
    report.print_scorecard(Console(width=None if sys.stdout.isatty() else 160), results)
    low = report.missed(wanted, found["totals"])
    for line in low:
        typer.echo(f"floor missed: {line}", err=True)
    if found["totals"]["errors"]:
        raise typer.Exit(2)
    if low or found["totals"]["snapshot_differs"] or found["totals"]["varies"]:
        raise typer.Exit(1)


def _end(number: int, _: FrameType | None) -> None:
    """Turns a signal into an exception, so that a build or a run ends what it has started."""
    sys.exit(128 + number)


@app.command(name="record")
def record_scenario(
    scenario: Annotated[Path, typer.Argument(help="A scenario's folder.")],
    file: Annotated[Path, typer.Argument(help="Where to: a .tar.gz; replaced if it is there.")],
) -> None:
    """Set a scenario up in a lab of its own and record it as a snapshot (this is how the demo is made)."""
    from evals.lab.run import record_one

    record_one(scenario, file)
    typer.echo(f"{file}: {file.stat().st_size} bytes", err=True)


def main() -> None:
    signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except LabError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
