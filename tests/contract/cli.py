"""Runs the command line in this process: `run("diagnose", "--snapshot", "x").code`."""

import contextlib
import io
import os
from dataclasses import dataclass
from unittest.mock import patch

from firstmate.cli import main


@dataclass
class Ran:
    code: int
    out: str
    err: str


def run(*arguments: str, **environment: str) -> Ran:
    """What a command printed, and its exit code. The user's own configuration and kubeconfig are out of sight."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    hidden = {"HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTMATE_")}
    with (
        patch.dict(os.environ, {**kept, **hidden, **environment}, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(list(arguments))
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 1
    return Ran(code, out.getvalue(), err.getvalue())
