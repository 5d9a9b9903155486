"""`firstmate snapshot create|info`: records a live cluster into a file, and says what such a file holds."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from firstmate.cli.options import Config, Context, Flags, Kubeconfig, Output, Snapshot, given
from firstmate_tools.errors import UsageError

_DEADLINE_S = 600.0


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Record a cluster, or look into a recording.", no_args_is_help=True)
    group.command("create", help="Record a live cluster; Secrets never with their values.")(create)
    group.command("info", help="What a recording holds: its own layout, a support bundle, a cluster-info dump.")(info)
    app.add_typer(group, name="snapshot")


def create(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to: a .tar.gz, or else a folder.")],
    namespaces: Annotated[
        list[str] | None,
        typer.Option("--namespace", "-n", metavar="NAME", help="Only these namespaces. Repeatable; default: all."),
    ] = None,
    secrets: Annotated[bool, typer.Option("--secrets", help="Secrets too: names and keys, no values.")] = False,
    log_lines: Annotated[int, typer.Option("--log-lines", min=0, help="Last lines of each log.")] = 500,
    force: Annotated[bool, typer.Option("--force", help="Replace a recording that is there.")] = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    format: Output = None,
    config: Config = None,
) -> None:
    flags = given(ctx, context=context, kubeconfig=kubeconfig, format=format, config=config)
    wanted = namespaces or ([flags.namespace] if flags.namespace else None)
    report = asyncio.run(_record(flags, file, wanted, secrets=secrets, log_lines=log_lines, force=force))
    _print(report, flags)


async def _record(
    flags: Flags, file: Path, namespaces: list[str] | None, *, secrets: bool, log_lines: int, force: bool
) -> dict[str, Any]:
    from firstmate import version
    from firstmate.catalogue import all_tools
    from firstmate.cli.asking import waiting
    from firstmate.clusters import ConfiguredClusters
    from firstmate_tools.catalogue import declared_reads
    from firstmate_tools.kinds import SECRET
    from firstmate_tools.reads import Grant, Read
    from firstmate_tools.recorder import record

    reads = [*declared_reads(all_tools()), *([Read(SECRET, ("list",))] if secrets else [])]
    clusters = ConfiguredClusters(flags.settings())
    try:
        with waiting(f"recording into {file} …"):
            async with clusters.source().open(Grant.of(reads), deadline_s=_DEADLINE_S) as cluster:
                report = await record(
                    cluster,
                    file,
                    reads=reads,
                    namespaces=namespaces,
                    secrets=secrets,
                    log_lines=log_lines,
                    force=force,
                    recorded_by=f"firstmate {version()}",
                )
                name = cluster.identity.name
    finally:
        await clusters.close()
    missing = [one.model_dump(mode="json", exclude_none=True) for one in report.not_recorded]
    return {
        "file": str(report.path),
        "cluster": name,
        "bytes": report.size,
        "objects": report.objects,
        "logs": report.logs,
        "not_recorded": missing,
    }


def info(
    ctx: typer.Context,
    file: Annotated[str | None, typer.Argument(help="The recording; `demo` is the bundled one.")] = None,
    snapshot: Snapshot = None,
    format: Output = None,
) -> None:
    from firstmate.clusters import snapshot_path
    from firstmate_tools.cluster.archive import open_files
    from firstmate_tools.cluster.files import Limits
    from firstmate_tools.cluster.layouts import read

    flags = given(ctx, snapshot=snapshot, format=format)
    named = file or flags.snapshot
    if named is None:
        raise UsageError("No recording is named.", "Such as `firstmate snapshot info demo`.")
    path = snapshot_path(named)
    limits = Limits()
    files = open_files(path, limits)
    try:
        found = read(files, path.name, limits)
        kinds = {
            shelf.kind.resource: shelf.whole.outcome
            if shelf.whole is not None
            else "only of some namespaces"
            if shelf.parts
            else "not_collected"
            for shelf in found.shelves.values()
        }
    finally:
        files.close()
    namespaces = "all" if found.namespaces is None else sorted(found.namespaces)
    report = {
        "file": str(path),
        "layout": found.layout,
        "recorded_at": found.now.isoformat().replace("+00:00", "Z"),
        "server": found.server or None,
        "version": found.version or None,
        "namespaces": namespaces,
        "collected": sorted(name for name, outcome in kinds.items() if outcome == "collected"),
        "not_collected": {name: outcome for name, outcome in sorted(kinds.items()) if outcome != "collected"},
    }
    _print(report, flags)


def _print(report: dict[str, Any], flags: Flags) -> None:
    from firstmate.answers import Tree, plain, pretty
    from firstmate.cli.show_any import markdown, text

    report = cast("Tree", plain(report))
    if flags.format == "json":
        typer.echo(pretty(report))
    elif flags.format == "markdown":
        typer.echo(markdown("Snapshot", report))
    else:
        typer.echo(text(report))
