"""`firstmate doctor`: can I reach the cluster, who am I, what may I read, what will be `not_checked`, what mends it.

Asks access reviews, which store nothing. Exits 0 when the cluster answered, whatever it allows.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import typer

from firstmate.answers import Tree, plain
from firstmate.cli.options import Config, Context, Flags, Kubeconfig, Namespace, Output, Snapshot, given

_MOST_CAUSES = 4


def register(app: typer.Typer) -> None:
    app.command("doctor", help="Can I reach the cluster, what may I read, and what would mend it?")(doctor)


def doctor(
    ctx: typer.Context,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    namespace: Namespace = None,
    format: Output = None,
    config: Config = None,
) -> None:
    flags = given(
        ctx,
        context=context,
        kubeconfig=kubeconfig,
        snapshot=snapshot,
        namespace=namespace,
        format=format,
        config=config,
    )
    found = asyncio.run(_examine(flags))
    if flags.format == "json":
        from firstmate.answers import pretty

        typer.echo(pretty(found))
    else:
        _show(found, markdown=flags.format == "markdown")


async def _examine(flags: Flags) -> Tree:
    from firstmate.catalogue import all_tools
    from firstmate.cli.asking import waiting
    from firstmate.clusters import ConfiguredClusters
    from firstmate_tools.catalogue import declared_reads
    from firstmate_tools.reads import Grant, NonResource, PrometheusRead, Read

    settings = flags.settings()
    clusters = ConfiguredClusters(settings)
    declared = declared_reads(all_tools())
    reads = [read for read in declared if isinstance(read, Read | NonResource)]
    metrics = [read for read in declared if isinstance(read, PrometheusRead)]
    try:
        source, started = clusters.source(), time.monotonic()
        with waiting(f"asking {source.name} …"):
            async with source.open(Grant.of([*reads, *metrics])) as cluster:
                answered_ms = int((time.monotonic() - started) * 1000)
                access = await cluster.access(reads, flags.namespace)
                prometheus = await _prometheus(cluster, metrics)
                identity = cluster.identity.model_dump(mode="json", exclude_none=True)
        user = clusters.user(source.name)
    finally:
        await clusters.close()
    needed = [one for one in access if not one.read.optional]
    denied = [one.read for one in needed if one.allowed is False]
    unknown = [one.read for one in needed if one.allowed is None]
    report: dict[str, Any] = {
        "configuration": str(settings.config) if settings.config else None,
        "cluster": identity,
        "answered_ms": answered_ms,
        "user": user or None,
        "namespace": flags.namespace,
        "may_read": sorted(one.read.resource for one in needed if one.allowed),
        "may_not_read": _consequences(denied),
        "could_not_find_out": sorted({read.resource for read in unknown}),
        "optional": {
            f"{_verbs(one.read)} {one.read.resource}": bool(one.allowed) for one in access if one.read.optional
        },
        "prometheus": prometheus,
        "mend": _role(denied) if denied and "snapshot" not in identity else None,
    }
    return cast("Tree", plain(report))


async def _prometheus(cluster: Any, metrics: Sequence[Any]) -> dict[str, Any]:
    """Whether Prometheus answers, which metrics it has of those that rules need, and which causes go without."""
    from firstmate_tools.diagnosis.metrics import needing
    from firstmate_tools.diagnosis.questions import METRICS_KNOWN
    from firstmate_tools.diagnosis.rule import all_rules
    from firstmate_tools.errors import NotConfiguredError, ReadError

    needed = needing(all_rules())
    try:
        known = {one.label("__name__") for one in await cluster.measure(METRICS_KNOWN)}
    except ReadError as error:
        configured = not isinstance(error, NotConfiguredError)
        return {
            "configured": configured,
            "answers": False,
            "why": error.message if configured else error.hint or error.message,
            "causes_not_checked": sorted(needed),
        }
    names = {read.metrics[0]: read for read in metrics if read.metrics}
    lacking = {name for name, read in names.items() if known.isdisjoint(read.metrics)}
    blind = [cause for cause, reads in needed.items() if all(read.metrics[0] in lacking for read in reads)]
    return {
        "configured": True,
        "answers": True,
        "has": sorted(names.keys() - lacking),
        "lacks": sorted(lacking),
        "causes_not_checked": sorted(blind),
    }


def _consequences(denied: Sequence[Any]) -> list[dict[str, Any]]:
    """For each read that is denied: the tools and the causes of `diagnose` that go without it."""
    from firstmate.catalogue import all_tools
    from firstmate_tools.diagnosis.rule import all_rules
    from firstmate_tools.reads import NonResource, Read

    def needs(declared: Any, read: Read | NonResource) -> bool:
        return any(isinstance(one, type(read)) and one.resource == read.resource for one in declared)

    return [
        {
            "read": f"{_verbs(read)} {read.resource}",
            "tools": [spec.name for spec in all_tools() if needs(spec.reads(), read)],
            "causes_not_checked": sorted({c for rule in all_rules() if needs(rule.reads(), read) for c in rule.causes}),
        }
        for read in denied
    ]


def _verbs(read: Any) -> str:
    """A path that is no resource is only ever got."""
    return ", ".join(getattr(read, "verbs", ("get",)))


def _role(denied: Sequence[Any]) -> str:
    from firstmate.rbac import NAME, cluster_role, rules

    return cluster_role(NAME, rules(denied))


def _show(found: Tree, *, markdown: bool) -> None:
    cluster = found["cluster"]
    where = cluster.get("server") or cluster.get("snapshot") or ""
    version = f", Kubernetes {cluster['version']}" if cluster.get("version") else ""
    typer.echo(f"✓ {cluster['name']} answers ({where}{version}, {found['answered_ms']} ms)")
    typer.echo(f"  configuration: {found.get('configuration', 'kubeconfig alone')}")
    if "user" in found:
        typer.echo(f"  as the kubeconfig user {found['user']}")
    place = f"in namespace {found['namespace']}" if "namespace" in found else "in all namespaces"
    total = len(found["may_read"]) + len(found["may_not_read"]) + len(found["could_not_find_out"])
    sign = "✓" if len(found["may_read"]) == total else "✗"
    typer.echo(f"{sign} may read {len(found['may_read'])} of {total} kinds {place}")
    for one in found["may_not_read"]:
        typer.echo(f"  ✗ {one['read']}")
        typer.echo(f"    tools: {', '.join(one['tools'])}")
        if causes := one["causes_not_checked"]:
            more = f" and {len(causes) - _MOST_CAUSES} more" if len(causes) > _MOST_CAUSES else ""
            typer.echo(f"    not_checked: {', '.join(causes[:_MOST_CAUSES])}{more}")
    if found["may_not_read"] and "namespace" not in found:
        typer.echo("  A single namespace may allow more: firstmate doctor -n NAMESPACE")
    if unknown := found["could_not_find_out"]:
        typer.echo(f"? could not find out: {', '.join(unknown)}")
    for read, allowed in found.get("optional", {}).items():
        by = (
            "snapshot create --secrets` records it"
            if "snapshot" in cluster
            else "rbac --secrets` prints a role with it"
        )
        how = "" if allowed else f" (optional; `firstmate {by})"
        typer.echo(f"{'✓' if allowed else '·'} {'may' if allowed else 'may not'} {read}{how}")
    _show_prometheus(found["prometheus"])
    if "mend" in found:
        typer.echo("\nWhat would mend it, to be bound to this user by somebody who may:\n")
        typer.echo(f"```yaml\n{found['mend']}```" if markdown else found["mend"], nl=markdown)


def _show_prometheus(found: Tree) -> None:
    blind = found.get("causes_not_checked", [])
    causes = f" ({len(blind)} cause{'' if len(blind) == 1 else 's'} not_checked)" if blind else ""
    if not found["answers"]:
        sign, words = ("✗", "does not answer") if found["configured"] else ("·", "is not configured")
        typer.echo(f"{sign} Prometheus {words}{causes}: {found['why']}")
        return
    total = len(found.get("has", [])) + len(found.get("lacks", []))
    typer.echo(f"✓ Prometheus answers, and has {len(found.get('has', []))} of {total} metrics that rules need{causes}")
    for name in found.get("lacks", []):
        typer.echo(f"  · lacks {name}")
