"""Static tokens for small set-ups: a TOML file with digests, read again when it changes.

    [[tokens]]
    name = "chat-ops"
    sha256 = "…64 hex digits…"
    scopes = ["firstmate:read", "firstmate:logs"]
    groups = ["sre"]              # optional, for http.impersonate
    expires = 2027-06-30          # optional: a day, or a time with its zone

The HTTP gate asks it who a token is; `firstmate token` makes tokens and entries. A token is 256 random bits, so that a
plain SHA-256 of it cannot be guessed back. Must never hold a token, nor take one from a file that everybody can read.
"""

import hashlib
import hmac
import logging
import os
import secrets
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from firstmate.caller import Caller
from firstmate_tools.errors import ConfigurationError
from firstmate_tools.toolspec import Family

PREFIX = "firstmate_"
"""By which scanners of repositories find a token that was committed."""
ISSUER = "token-file"
_LONGEST_TOKEN = 512
_log = logging.getLogger("firstmate.tokens")

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}$")]
Group = Annotated[str, StringConstraints(pattern=r"^[!-~](?:[ -~]{0,254}[!-~])?$")]


class Entry(BaseModel):
    """One token of the file.

    Attributes:
        name: whose it is; in audit trail and access log, and the user under impersonation.
        sha256: of the token.
        scopes: as `http.scopes` calls them.
        groups: for impersonation.
        expires: from then on it is refused; a day means its beginning in UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[str, ...]
    groups: tuple[Group, ...] = ()
    expires: datetime | date | None = None

    @field_validator("expires")
    @classmethod
    def _zoned(cls, value: datetime | date | None) -> datetime | None:
        if value is None:
            return None
        if not isinstance(value, datetime):
            return datetime.combine(value, time(), UTC)
        if value.tzinfo is None:
            raise ValueError("a time needs its zone, such as 2027-06-30T12:00:00Z")
        return value


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: tuple[Entry, ...] = Field(default=())


def new_token() -> str:
    """A token that nobody can guess."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What stands of a token in the file."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def read(path: Path, scopes: Mapping[str, Family]) -> tuple[Entry, ...]:
    """The entries of a file.

    Args:
        path: the file.
        scopes: the family of each scope.

    Raises:
        ConfigurationError: others can read it, or it cannot be used.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        raise ConfigurationError(f"The token file {path} cannot be read: {error.strerror}.") from error
    if os.name == "posix" and mode & stat.S_IRWXO:
        raise ConfigurationError(
            f"The token file {path} is open to every user of this machine.",
            "chmod 600 it (in Kubernetes: defaultMode: 0440 with an fsGroup).",
        )
    try:
        entries = _File.model_validate(tomllib.loads(content.decode())).tokens
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The token file {path} is not TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigurationError(f"`{where}` in the token file {path} is wrong: {first['msg']}.") from error
    _check(entries, path, scopes)
    return entries


def _check(entries: tuple[Entry, ...], path: Path, scopes: Mapping[str, Family]) -> None:
    for what, values in (("name", [one.name for one in entries]), ("sha256", [one.sha256 for one in entries])):
        if len(set(values)) != len(values):
            raise ConfigurationError(f"Two tokens in {path} have the same {what}.")
    for one in entries:
        unknown = [scope for scope in one.scopes if scope not in scopes]
        if unknown:
            raise ConfigurationError(
                f"Token {one.name} in {path} has the unknown scope {unknown[0]!r}.", f"Known: {', '.join(scopes)}."
            )


@dataclass(frozen=True, slots=True)
class _Stamp:
    inode: int
    size: int
    changed_ns: int
    mode: int


class TokenFile:
    """The tokens of a file, as it stands now.

    Args:
        path: the file.
        scopes: the family of each scope.

    Raises:
        ConfigurationError: see `read`.
    """

    def __init__(self, path: Path, scopes: Mapping[str, Family]) -> None:
        self._path, self._scopes = path, scopes
        self._stamp = self._now()
        self._entries = read(path, scopes)

    def caller(self, token: str) -> Caller | None:
        """Whose token it is, None where it is nobody's or has expired."""
        self._refresh()
        if len(token) > _LONGEST_TOKEN:
            return None
        given, found = digest(token), None
        for one in self._entries:  # all of them, so that the time taken says nothing
            if hmac.compare_digest(one.sha256, given):
                found = one
        if found is None or (isinstance(found.expires, datetime) and datetime.now(UTC) >= found.expires):
            return None
        families = frozenset[Family](self._scopes[scope] for scope in found.scopes)
        return Caller("token", found.name, found.name, found.name, ISSUER, families, found.groups)

    def _refresh(self) -> None:
        """Reads the file again where it has changed. One that cannot be used lets nobody in: it may revoke somebody."""
        stamp = self._now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._entries = read(self._path, self._scopes)
        except ConfigurationError as error:
            self._entries = ()
            _log.error("no static token is accepted: %s %s", error.message, error.hint)

    def _now(self) -> _Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return _Stamp(found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)
