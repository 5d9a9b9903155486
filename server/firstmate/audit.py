"""The audit trail: one line of JSON for each tool call, also for those that were refused.

    {"event":"tool_call","at":"2026-11-21T10:00:00.123Z","request":"9f2c41d0","caller":{"kind":"token","user":"bot",…},
     "tool":"diagnose","cluster":"prod","arguments":["namespace"],"arguments_sha256":"…","outcome":"problems_found",…}

`Calls` tells it of each call that ended (an observer), the HTTP gate of those that never began. Lines are only ever
appended. Must never hold what an argument says, nor anything that came out of a cluster: names of arguments, and a
digest by which two calls can be compared.
"""

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from firstmate.arguments import CLUSTER
from firstmate.caller import Caller, current, request
from firstmate.calls import CallRecord
from firstmate.httpsettings import AuditSettings
from firstmate_tools.errors import ConfigurationError
from firstmate_tools.toolspec import ToolSpec

UNKNOWN = "(unknown)"
"""In place of the name of a tool or argument that does not exist: it might say anything."""
_MOST_GROUPS = 50
_LONGEST = 256
_log = logging.getLogger("firstmate.audit")

Out = Callable[[bytes], None]


def to_stderr(line: bytes) -> None:
    """Writes a line whole."""
    sys.stderr.write(line.decode())
    sys.stderr.flush()


class AppendedFile:
    """A file that lines are appended to. Made for nobody else to read; opened anew where it was moved away.

    Args:
        path: the file.
        fsync: whether each line is on the disk before `write` returns.

    Raises:
        ConfigurationError: it cannot be appended to.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self._path, self._fsync = path, fsync
        try:
            self._open()
        except OSError as error:
            raise ConfigurationError(f"The audit file {path} cannot be appended to: {error.strerror}.") from error

    def write(self, line: bytes) -> None:
        """Appends a line. Where that fails, the line and the reason go to stderr: no call is lost to the trail."""
        try:
            if self._moved():
                os.close(self._descriptor)
                self._open()
            if os.write(self._descriptor, line) != len(line):
                raise OSError("the disk took a part of the line")
            if self._fsync:
                os.fsync(self._descriptor)
        except OSError as error:
            _log.error("the audit file %s cannot be written: %s", self._path, error)
            to_stderr(line)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _moved(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return True
        mine = os.fstat(self._descriptor)
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev)


def trail_of(settings: AuditSettings, tools: Iterable[ToolSpec], otherwise: Out | None = None) -> "Trail | None":
    """The trail that is configured, None where none is kept.

    Args:
        settings: where it goes.
        tools: those that can be called.
        otherwise: where it goes when no file is named.

    Raises:
        ConfigurationError: the file cannot be appended to.
    """
    out = AppendedFile(Path(settings.file), fsync=settings.fsync).write if settings.file is not None else otherwise
    return Trail(out, {spec.name: spec for spec in tools}) if out is not None else None


class Trail:
    """Writes the lines.

    Args:
        out: takes each line, with its end.
        tools: whose names, and whose arguments' names, may be written down.
    """

    def __init__(self, out: Out, tools: Mapping[str, ToolSpec]) -> None:
        self._out, self._tools = out, tools
        self._names: dict[str, frozenset[str]] = {}

    def observe(self, record: CallRecord) -> None:
        """Writes down a call that has ended, whoever called it."""
        self._write(
            current(),
            record.tool,
            record.arguments,
            {
                "cluster": record.cluster,
                "outcome": record.outcome,
                "ms": round(record.seconds * 1000),
                "requests": record.requests,
                "bytes": record.bytes,
            },
        )

    def refused(self, caller: Caller, tool: str, arguments: Mapping[str, object], why: str) -> None:
        """Writes down a call that was not let in."""
        self._write(caller, tool, arguments, {"outcome": why})

    def _write(self, caller: Caller, tool: str, arguments: Mapping[str, object], rest: dict[str, Any]) -> None:
        known = self._arguments_of(tool)
        line = {
            "event": "tool_call",
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "request": request() or None,
            "caller": told(caller),
            "tool": tool if tool in self._tools else UNKNOWN,
            "arguments": sorted({name if name in known else UNKNOWN for name in arguments}),
            "arguments_sha256": digest(arguments),
            **rest,
        }
        self._out(orjson.dumps({key: value for key, value in line.items() if value is not None}) + b"\n")

    def _arguments_of(self, tool: str) -> frozenset[str]:
        if tool not in self._names and (spec := self._tools.get(tool)) is not None:
            self._names[tool] = frozenset([CLUSTER, *(one.name for one in spec.parameters())])
        return self._names.get(tool, frozenset())


def told(caller: Caller) -> dict[str, Any]:
    """A caller as the trail names them."""
    names = {"user": caller.user, "subject": caller.subject, "client": caller.client, "issuer": caller.issuer}
    groups = [group[:_LONGEST] for group in caller.groups[:_MOST_GROUPS]]
    return {
        "kind": caller.kind,
        **{key: value[:_LONGEST] for key, value in names.items() if value},
        **({"groups": groups} if groups else {}),
    }


def digest(arguments: Mapping[str, object]) -> str:
    """The same for the same arguments, whatever their order. Of few possible values it can be guessed back."""
    try:
        canonical = orjson.dumps(dict(arguments), option=orjson.OPT_SORT_KEYS, default=repr)
    except (TypeError, orjson.JSONEncodeError):  # keys or text that JSON has no form for
        canonical = repr(arguments).encode("utf-8", "backslashreplace")
    return hashlib.sha256(canonical).hexdigest()
