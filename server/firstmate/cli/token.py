"""`firstmate token`: static tokens for callers over HTTP. See `firstmate.tokenfile` and docs/http.md.

A token is shown once, on stdout, and kept nowhere. Must never overwrite or reorder what stands in a token file.
"""

import os
import re
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from firstmate import tokenfile
from firstmate.cli.options import Config, given
from firstmate.httpsettings import ScopeSettings
from firstmate.tokenfile import Entry
from firstmate_tools.errors import ConfigurationError, UsageError
from firstmate_tools.toolspec import FAMILIES, Family

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is; no two tokens have the same.")]
Scopes = Annotated[
    str, typer.Option("--scopes", metavar="NAMES", help="read, logs, plan, apply, or their scopes; with commas.")
]
Groups = Annotated[str, typer.Option("--groups", metavar="NAMES", help="For impersonation; with commas.")]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="WHEN", help="A day such as 2027-06-30, or days from now such as 90d."),
]
File = Annotated[
    str | None, typer.Option("--file", metavar="FILE", help="Add the entry to this token file, made when absent.")
]


def register(app: typer.Typer) -> None:
    commands = typer.Typer(help="Make static tokens for callers over HTTP.", no_args_is_help=True)
    commands.command("new", help="Make a token: it is shown once; the file holds its digest.")(new)
    app.add_typer(commands, name="token")


def new(
    ctx: typer.Context,
    name: Name,
    scopes: Scopes = "read,logs",
    groups: Groups = "",
    expires: Expires = None,
    file: File = None,
    config: Config = None,
) -> None:
    known = given(ctx, config=config).settings().http.scopes
    token = tokenfile.new_token()
    entry = entry_of(
        name, tokenfile.digest(token), _scopes(scopes, known), [one for one in groups.split(",") if one], _day(expires)
    )
    if file is None:
        sys.stdout.write(f"{token}\n\n{entry}")
        sys.stderr.write("The token is shown this once. Add the entry to the file that http.tokens_file names.\n")
        return
    add(Path(file).expanduser(), name, entry, known)
    sys.stdout.write(f"{token}\n")
    sys.stderr.write(f"The token is shown this once. {file} holds its digest; a server that reads it knows it now.\n")


def entry_of(name: str, sha256: str, scopes: list[str], groups: list[str], expires: date | None) -> str:
    """An entry of a token file, as TOML.

    Raises:
        UsageError: nobody may be called so, or no group.
    """
    try:
        Entry(name=name, sha256=sha256, scopes=tuple(scopes), groups=tuple(groups))
    except ValueError as error:
        raise UsageError(
            f"{name[:100]!r} with the groups {groups} is no name for a token.",
            "Take letters, digits and . _ @ : - (100 at most); groups are printable ASCII.",
        ) from error
    lines = ["[[tokens]]", f'name = "{name}"', f'sha256 = "{sha256}"', f"scopes = {_listed(scopes)}"]
    lines += [f"groups = {_listed(groups)}"] if groups else []
    lines += [f"expires = {expires.isoformat()}"] if expires is not None else []
    return "\n".join(lines) + "\n"


def add(path: Path, name: str, entry: str, scopes: ScopeSettings) -> None:
    """Appends an entry to a token file.

    Raises:
        ConfigurationError: the file cannot be used, or has a token of this name.
    """
    if path.exists():
        if name in {one.name for one in tokenfile.read(path, scopes.families)}:
            raise ConfigurationError(f"{path} has a token named {name} already.", "Choose another name, or delete it.")
        entry = "\n" + entry
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(entry)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


def _scopes(words: str, known: ScopeSettings) -> list[str]:
    """Scopes, from families or scopes."""
    found: list[str] = []
    for word in (one.strip() for one in words.split(",") if one.strip()):
        family: Family | None = next((one for one in FAMILIES if one == word), None)
        if family is None and word not in known.families:
            raise UsageError(f"There is no scope {word[:100]!r}.", f"There are: {', '.join(FAMILIES)}.")
        found.append(known.of(family) if family is not None else word)
    if not found:
        raise UsageError("A token without scopes opens nothing.", f"Give --scopes; there are: {', '.join(FAMILIES)}.")
    return list(dict.fromkeys(found))


def _day(when: str | None) -> date | None:
    if when is None:
        return None
    today = datetime.now(UTC).date()
    try:
        if days := re.fullmatch(r"([0-9]{1,5})d", when):
            return today + timedelta(days=int(days[1]))
        day = date.fromisoformat(when)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{when[:40]!r} is no day.", "Give one such as 2027-06-30, or days such as 90d.") from error
    if day <= today:
        raise UsageError(f"{when} has passed: the token would never be accepted.")
    return day


def _listed(words: list[str]) -> str:
    quoted = ", ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return f"[{quoted}]"
