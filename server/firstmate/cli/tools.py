"""`firstmate tools list|call`: every MCP tool from the shell, with the same result.

Prints the whole: token budgets and fences are for models. `call` prints JSON unless another format is asked for.
"""

from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer

from firstmate.cli.options import Config, Context, Kubeconfig, Namespace, Output, Runbooks, Snapshot, given
from firstmate_tools.errors import UsageError
from firstmate_tools.toolspec import ToolSpec


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="List the MCP tools, or call one.", no_args_is_help=True)
    group.command("list", help="All tools, with their arguments.")(list_)
    group.command("call", help="Call a tool: the same result as over MCP, whole.")(call)
    app.add_typer(group, name="tools")


def list_(
    ctx: typer.Context,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    format: Output = None,
    config: Config = None,
) -> None:
    from firstmate.answers import pretty
    from firstmate.arguments import input_schema
    from firstmate.catalogue import all_tools

    # Those that name a cluster are taken as everywhere, though none is asked.
    flags = given(ctx, context=context, kubeconfig=kubeconfig, snapshot=snapshot, format=format, config=config)
    chosen = flags.format
    if chosen == "json":
        rows = [
            {"name": s.name, "title": s.title, "description": _line(s.description), "input_schema": input_schema(s)}
            for s in all_tools()
        ]
        typer.echo(pretty(rows))
        return
    for spec in all_tools():
        head = f"**{spec.name}**" if chosen == "markdown" else spec.name
        typer.echo(f"{head}  {spec.title}\n  {_signature(spec)}\n")


def _line(text: str) -> str:
    return " ".join(text.split())


def _signature(spec: ToolSpec) -> str:
    from firstmate.arguments import input_schema

    schema = input_schema(spec)
    needed = set(cast("list[str]", schema.get("required", [])))
    words: list[str] = []
    for name, one in cast("dict[str, dict[str, Any]]", schema.get("properties", {})).items():
        kind = "|".join(map(str, one["enum"])) if "enum" in one else str(one.get("type", "any")).upper()
        words.append(f"{name}={kind}" if name in needed else f"[{name}={kind}]")
    return " ".join(words) or "no arguments"


def call(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The tool.")],
    pairs: Annotated[list[str] | None, typer.Argument(metavar="[ARGUMENT=VALUE]...", help="Its arguments.")] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="OBJECT", help="Arguments as a JSON object.")] = None,
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
    arguments = {**_parsed(json), **_pairs(pairs or [])}
    if flags.namespace is not None and _takes_namespace(name):
        arguments.setdefault("namespace", flags.namespace)
    from firstmate.cli.asking import ask

    found = ask(flags, name, arguments)
    if flags.format in (None, "json"):
        from firstmate.answers import pretty

        typer.echo(pretty(found))
    else:
        from firstmate.cli.show_any import markdown, text

        typer.echo(text(found) if flags.format == "text" else markdown(name, found))


def _takes_namespace(tool: str) -> bool:
    from firstmate.arguments import input_schema
    from firstmate.catalogue import all_tools

    return any("namespace" in input_schema(spec).get("properties", {}) for spec in all_tools() if spec.name == tool)


def _pairs(pairs: list[str]) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{pair[:100]!r} is no ARGUMENT=VALUE.", "Such as namespace=shop, or use --json.")
        found[name] = value
    return found


def _parsed(given: str | None) -> dict[str, object]:
    if given is None:
        return {}
    import orjson

    try:
        found: object = orjson.loads(given)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"--json is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError("--json takes an object.", """Such as --json '{"namespace": "shop"}'.""")
    return cast("dict[str, object]", found)
