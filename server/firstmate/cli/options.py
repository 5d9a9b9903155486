"""The flags that commands share, and the root of the command line.

They are taken after the command and, as well, before it; what stands after wins. Every command declares those that it
understands and calls `given` with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from firstmate import version
from firstmate.settings import Settings, load

if TYPE_CHECKING:
    from firstmate.runbooks.library import Library

Format = Literal["text", "json", "markdown"]

Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Kubeconfig context, or a configured cluster.")
]
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", metavar="FILE", help="Kubeconfig in place of the usual one.")
]
Snapshot = Annotated[
    str | None, typer.Option("--snapshot", metavar="FILE", help="Ask a recording instead; `demo` is bundled.")
]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", metavar="NAME", help="Namespace.")]
Output = Annotated[Format | None, typer.Option("--format", help="What to print.", show_default="text")]
# Only the root's take the environment: so a flag before the command wins over it, as does one after the command.
_RootNamespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Namespace.", envvar="FIRSTMATE_NAMESPACE"),
]
_RootOutput = Annotated[
    Format | None,
    typer.Option("--format", help="What to print.", show_default="text", envvar="FIRSTMATE_FORMAT"),
]
Runbooks = Annotated[
    list[str] | None,
    typer.Option("--runbooks", metavar="DIR", help="A folder of further runbooks; repeatable, later ones win."),
]
Config = Annotated[str | None, typer.Option("--config", metavar="FILE", help="Configuration file (TOML).")]


@dataclass(frozen=True, slots=True)
class Flags:
    """What the shared flags say. None where neither place gave one."""

    context: str | None = None
    kubeconfig: str | None = None
    snapshot: str | None = None
    namespace: str | None = None
    format: Format | None = None
    config: str | None = None
    runbooks: Sequence[str] | None = None

    def settings(self, **more: Any) -> Settings:
        """The settings under these flags.

        Args:
            more: settings that flags of one command gave; None means not given.

        Raises:
            ConfigurationError: see `firstmate.settings.load`.
        """
        more = {"runbooks": tuple(self.runbooks) if self.runbooks else None, **more}
        return load(self.config, context=self.context, kubeconfig=self.kubeconfig, snapshot=self.snapshot, **more)

    def library(self) -> "Library":
        """The runbooks under these flags.

        Raises:
            ConfigurationError: see `settings`; or a folder holds none.
        """
        from firstmate.runbooks.library import library_with

        return library_with(self.settings().runbooks)

    def which_cluster(self) -> list[str]:
        """These flags again, for a command that is to ask the same cluster."""
        named = {
            "--context": self.context,
            "--kubeconfig": self.kubeconfig,
            "--snapshot": self.snapshot,
            "--config": self.config,
        }
        return [word for flag, value in named.items() if value is not None for word in (flag, value)]


def given(ctx: typer.Context, **after: Any) -> Flags:
    """The shared flags: those after the command over those before it."""
    before = cast("Mapping[str, Any]", ctx.find_root().obj or {})
    return Flags(**{**before, **{name: value for name, value in after.items() if value is not None}})


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"firstmate {version()}")
        raise typer.Exit


def root() -> typer.Typer:
    """The program, without its commands."""
    app = typer.Typer(
        name="firstmate",
        help="Finds the root cause of trouble in a Kubernetes or Amazon EKS cluster, with evidence and a runbook.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def shared(
        ctx: typer.Context,
        context: Context = None,
        kubeconfig: Kubeconfig = None,
        snapshot: Snapshot = None,
        namespace: _RootNamespace = None,
        format: _RootOutput = None,
        config: Config = None,
        version: Annotated[
            bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
        ] = False,
    ) -> None:
        every: dict[str, object] = {
            "context": context,
            "kubeconfig": kubeconfig,
            "snapshot": snapshot,
            "namespace": namespace,
            "format": format,
            "config": config,
        }
        ctx.obj = {name: value for name, value in every.items() if value is not None}

    del shared
    return app
