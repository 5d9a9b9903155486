"""`firstmate diagnose`: the root cause, for a person at a terminal or for a script.

Exit codes: 0 nothing found, 1 problems found, 2 usage or configuration, 3 inconclusive or unreachable.
"""

import sys
from typing import Annotated

import typer

from firstmate.cli.options import Config, Context, Kubeconfig, Namespace, Output, Runbooks, Snapshot, given

MOST = 500
"""Root causes that a person or a script is shown at once."""
CODES = {"nothing_found": 0, "problems_found": 1, "inconclusive": 3}


def register(app: typer.Typer) -> None:
    app.command("diagnose", help="Find the root causes of what is broken.")(diagnose)


def diagnose(
    ctx: typer.Context,
    scope: Annotated[
        str | None,
        typer.Argument(help="cluster, namespace/NAME or KIND/NAME. Default: the namespace of -n, else the cluster."),
    ] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    namespace: Namespace = None,
    format: Output = None,
    config: Config = None,
    runbooks: Runbooks = None,
) -> None:
    flags = given(
        ctx,
        context=context,
        kubeconfig=kubeconfig,
        snapshot=snapshot,
        namespace=namespace,
        format=format,
        config=config,
        runbooks=runbooks,
    )
    from firstmate.cli.asking import ask

    found = ask(flags, "diagnose", {"scope": scope, "namespace": flags.namespace, "detail": "detailed", "limit": MOST})
    if flags.format == "json":
        from firstmate.answers import pretty

        typer.echo(pretty(found))
    elif flags.format == "markdown":
        from firstmate.cli.show_markdown import diagnosis

        typer.echo(diagnosis(found, flags.which_cluster()))
    else:
        from firstmate.cli.show_diagnosis import show

        show(found, flags.which_cluster())
    sys.exit(CODES.get(found["outcome"], 3))
