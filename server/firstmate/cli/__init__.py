"""The command line: one module per command, imported only when the arguments name it, or for help.

`main` is the program's entry. It is where the process ends: errors become a sentence on stderr and an exit code, never
a traceback. Exit codes: 0 answered, 2 usage or configuration, 3 unreachable or no answer, 130 interrupted; `diagnose`
adds 1 for problems found, and says 3 for inconclusive. Nothing here may import the MCP SDK, except to serve or to
demonstrate it, or to seal the handle of a run.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

COMMANDS = ("demo", "diagnose", "serve", "token", "tools", "runbooks", "snapshot", "doctor", "rbac", "config")
"""In the order of `firstmate --help`. Each is a module of this package with `register(app)`."""

_WITH_VALUE = ("--context", "--kubeconfig", "--snapshot", "--namespace", "-n", "--format", "--config")
"""The options of the root that take the next word."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits.

    Args:
        arguments: of the command line, the process's own when left out.
    """
    from firstmate.cli.failure import code_of, tell
    from firstmate_tools.errors import FirstmateError

    _keep_quiet()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _app(given)(args=given, prog_name="firstmate")
    except FirstmateError as error:
        tell(error)
        sys.exit(code_of(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _let_go_of_stdout()
        sys.exit(141)
    except Exception as error:  # noqa: BLE001 - where the process ends: a person gets a sentence, not a traceback
        from firstmate.calls import masked

        tell(masked(error, "firstmate"))
        sys.exit(3)


def _keep_quiet() -> None:
    """Details of internal errors are for those who ask for them; `serve` logs them always."""
    import logging
    import os

    log = logging.getLogger("firstmate")
    if not os.environ.get("FIRSTMATE_DEBUG") and not log.handlers:
        log.addHandler(logging.NullHandler())


def _app(given: Sequence[str]) -> "typer.Typer":
    """The one command that the arguments name, or all."""
    from importlib import import_module

    from firstmate.cli.options import root

    app, named = root(), _named(given)
    for name in [named] if named in COMMANDS else COMMANDS:
        import_module(f"firstmate.cli.{name}").register(app)
    return app


def app_of() -> "typer.Typer":
    """All commands: for who asks which there are."""
    return _app(())


def _named(given: Sequence[str]) -> str:
    """The first word that is neither an option of the root nor its value: the command, "" where there is none."""
    words = iter(given)
    for word in words:
        if not word.startswith("-"):
            return word
        if word in _WITH_VALUE:
            next(words, None)
        elif not any(word.startswith(f"{flag}=") for flag in _WITH_VALUE) and not word.startswith("-n"):
            return ""  # --help, --version, or what is unknown: to be told with all commands in sight
    return ""


def _let_go_of_stdout() -> None:
    """Whoever read our output has gone: writing what is left must not fail once more at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
