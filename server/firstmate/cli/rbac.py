"""`firstmate rbac`: the least rights that the enabled tools need, as RBAC objects, or as an IAM policy with `--aws`.

Prints; asks no cluster, no AWS, and changes nothing.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from firstmate.cli.options import Config, Namespace, given
from firstmate_tools.cluster.wire import checked_name, checked_namespace
from firstmate_tools.errors import UsageError
from firstmate_tools.toolspec import ToolSpec

Form = Literal["yaml", "json"]


def register(app: typer.Typer) -> None:
    app.command("rbac", help="Print the least role that the enabled tools need.")(rbac)


def rbac(
    ctx: typer.Context,
    toolsets: Annotated[
        str | None, typer.Option("--toolsets", metavar="NAME,...", help="The toolsets that are served.")
    ] = None,
    tools: Annotated[
        list[str] | None, typer.Option("--tool", metavar="NAME", help="Only this tool. Repeatable.")
    ] = None,
    namespace: Namespace = None,
    secrets: Annotated[bool, typer.Option("--secrets", help="With the right to look at keys of Secrets.")] = False,
    account: Annotated[
        str | None,
        typer.Option("--service-account", metavar="NAMESPACE/NAME", help="Add this service account and bind the role."),
    ] = None,
    aws: Annotated[bool, typer.Option("--aws", help="Print the least IAM policy instead (JSON).")] = False,
    format: Annotated[Form, typer.Option("--format", help="How to print it.")] = "yaml",
    config: Config = None,
) -> None:
    from firstmate.answers import pretty
    from firstmate.rbac import Wanted, documents, manifest

    flags = given(ctx, namespace=namespace, config=config)
    chosen = _chosen(flags.settings(toolsets=toolsets).toolsets, tools or [])
    if aws:
        from firstmate_tools.aws.iam import policy
        from firstmate_tools.catalogue import declared_reads

        if flags.namespace or account or secrets:
            raise UsageError("--aws prints an IAM policy, which knows no namespace, service account or Secret.")
        typer.echo(pretty(policy(declared_reads(chosen))))
        return
    wanted = Wanted(chosen, checked_namespace(flags.namespace) if flags.namespace else None, secrets, _account(account))
    if format == "json":
        every = documents(wanted)
        typer.echo(pretty(every[0] if len(every) == 1 else {"apiVersion": "v1", "kind": "List", "items": every}))
    else:
        typer.echo(manifest(wanted), nl=False)


def _chosen(toolsets: Sequence[str], names: Sequence[str]) -> Sequence[ToolSpec]:
    """The tools that are served, or of all tools those that are named."""
    from firstmate.catalogue import all_tools
    from firstmate.nearest import nearest
    from firstmate.toolsets import chosen

    if not names:
        return chosen(all_tools(), toolsets)
    known = {spec.name: spec for spec in all_tools()}
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean `{near}`?" if near else f"There are: {', '.join(known)}."
            raise UsageError(f"There is no tool {name[:100]!r}.", hint)
    return [known[name] for name in dict.fromkeys(names)]


def _account(named: str | None) -> tuple[str, str] | None:
    if named is None:
        return None
    namespace, slash, name = named.partition("/")
    if not slash:
        raise UsageError(f"{named[:80]!r} is no service account.", "Write NAMESPACE/NAME.")
    return checked_namespace(namespace), checked_name(name)
