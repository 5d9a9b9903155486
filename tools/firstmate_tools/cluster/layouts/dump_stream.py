"""Divides `kubectl cluster-info dump` on one stream into the files that `--output-directory` would have made.

`layouts.read` calls `split_stream` where a snapshot is a single file that is no archive. The stream is JSON or YAML
lists and logs, one after the other; a log is what a container wrote, so that it may imitate anything that follows it.
It cannot do so unseen: to end its section early it must write the mark that ends it, which is then there twice. Such a
stream is refused, and so is one with anything between its parts. Must never take a log line for an object.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from firstmate_tools import fields
from firstmate_tools.cluster.files import Limits, MemoryFiles
from firstmate_tools.errors import FailedReadError, SnapshotError
from firstmate_tools.fields import Obj

from .dump import MARKER, NAMESPACED

_LISTS = {f"{kind.kind}List": name for name, kind in NAMESPACED.items()}
_JSON_END = re.compile(rb"^\}\n?", re.M)
_YAML_END = re.compile(rb"^(?:---\n|(?=====\ START\ logs\ for\ container\ ))", re.M | re.X)
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CLOSING = re.compile(rb"Cluster info dumped to [^\n]*\n?")
_AS_FOLDER = "Use `kubectl cluster-info dump --output-directory=FOLDER` instead."


@dataclass(slots=True)
class _Group:
    """The lists of one namespace, and the sections of its pods' logs."""

    lists: dict[str, bytes] = field(default_factory=dict[str, bytes])
    namespaces: set[str] = field(default_factory=set[str])
    logs: dict[str, bytes] = field(default_factory=dict[str, bytes])


def is_stream(content: bytes) -> bool:
    """Whether a file begins as a dump does: with the list of nodes."""
    start = content[:4096].lstrip()
    return (start.startswith(b"{") and b'"NodeList"' in start) or start.startswith(
        (b"apiVersion: v1\nitems:", b"---\n")
    )


def split_stream(content: bytes, limits: Limits, written_at: float | None) -> MemoryFiles:
    """The files of a dump.

    Raises:
        SnapshotError: it is no dump, is cut off, or a log in it imitates the dump's own marks.
    """
    ends = _marks(content)
    nodes: tuple[str, bytes] | None = None
    groups: list[_Group] = []
    at = 0
    while at < len(content):
        if content[at : at + 1].isspace():
            at += 1
        elif mark := MARKER.match(content, at):
            end = ends.get(mark.group()[10:]) if mark["edge"] == b"START" else None
            if end is None or not groups:
                raise SnapshotError(f"{_Place(content, at)}: the end of a log is missing.", _AS_FOLDER)
            pod = mark["pod"].decode()
            groups[-1].namespaces.add(mark["namespace"].decode())
            groups[-1].logs[pod] = groups[-1].logs.get(pod, b"") + content[at:end]
            at = end
        elif closing := _CLOSING.match(content, at):
            at = closing.end()
        else:
            document, form, at = _document(content, at)
            kind, namespaces = _about(document, form, _Place(content, at))
            if kind == "NodeList" and nodes is None and not groups:
                nodes = f"nodes.{form}", document
            else:
                _place(groups, kind, document, form, namespaces, _Place(content, at))
    if nodes is None:
        raise SnapshotError("The dump holds no list of nodes.", _AS_FOLDER)
    return _files(nodes, groups, limits, written_at)


def _marks(content: bytes) -> dict[bytes, int]:
    """Where each log ends."""
    marks = list(MARKER.finditer(content))
    for text, count in Counter(mark.group() for mark in marks).items():
        if count > 1:
            raise SnapshotError(f"The dump holds the line {text.decode().strip()!r} {count} times.", _AS_FOLDER)
    return {mark.group()[8:]: mark.end() for mark in marks if mark["edge"] == b"END"}


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the stream; its line is counted only when an error names it."""

    content: bytes
    at: int

    def __str__(self) -> str:
        return f"The dump, line {self.content.count(bytes([10]), 0, self.at) + 1}"


def _document(content: bytes, at: int) -> tuple[bytes, str, int]:
    """The list that begins here, how it is written, and where it ends."""
    if content.startswith(b"{", at):
        end = _JSON_END.search(content, at)
        if end is None:
            raise SnapshotError(f"{_Place(content, at)}: a list begins here and never ends.", "The dump is cut off.")
        return content[at : end.end()], "json", end.end()
    start = at + 4 if content.startswith(b"---\n", at) else at
    if not content.startswith((b"apiVersion:", b"items:", b"kind:"), start):
        raise SnapshotError(f"{_Place(content, at)}: neither a list nor a log of a dump.", _AS_FOLDER)
    end = _YAML_END.search(content, start)
    return content[start : end.start() if end else len(content)], "yaml", end.start() if end else len(content)


def _about(document: bytes, form: str, where: _Place) -> tuple[str, set[str]]:
    """What a list is of, and the namespaces of its items."""
    parsed = _parse(document, form, where)
    if not isinstance(parsed, dict):
        raise SnapshotError(f"{where}: not a list.", _AS_FOLDER)
    here = cast("Obj", parsed)
    return fields.text(here, "kind"), {fields.namespace_of(item) for item in fields.items(here, "items")}


def _parse(document: bytes, form: str, where: _Place) -> Any:
    if form == "yaml":
        from .yamls import read_yaml

        try:
            return read_yaml(document, str(where))
        except FailedReadError as error:
            raise SnapshotError(error.message) from error
    import orjson

    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise SnapshotError(f"{where}: not JSON: {str(error).partition(': line ')[0]}.") from error


def _place(groups: list[_Group], kind: str, document: bytes, form: str, namespaces: set[str], where: _Place) -> None:
    name = _LISTS.get(kind)
    if name is None:
        raise SnapshotError(f"{where}: a {kind[:80] or 'list of no kind'}, which no dump holds.", _AS_FOLDER)
    if not groups or name == "events":
        groups.append(_Group())
    if f"{name}.{form}" in groups[-1].lists:
        raise SnapshotError(f"{where}: a second {kind} of one namespace.", _AS_FOLDER)
    groups[-1].lists[f"{name}.{form}"] = document
    groups[-1].namespaces |= namespaces


def _files(nodes: tuple[str, bytes], groups: list[_Group], limits: Limits, written_at: float | None) -> MemoryFiles:
    files = MemoryFiles(limits)
    files.written_at = written_at
    files.add(*nodes)
    for group in groups:
        if not group.namespaces:
            continue  # a namespace without objects bears no name in a stream: it counts as not collected
        if len(group.namespaces) > 1:
            raise SnapshotError(f"The dump mixes namespaces: {', '.join(sorted(group.namespaces))[:200]}.", _AS_FOLDER)
        (namespace,) = group.namespaces
        if not _NAMESPACE.fullmatch(namespace):
            raise SnapshotError(f"The dump holds objects of no usable namespace, {namespace[:80]!r}.", _AS_FOLDER)
        for name, document in group.lists.items():
            files.add(f"{namespace}/{name}", document)
        for pod, text in group.logs.items():
            files.add(f"{namespace}/{pod}/logs.txt", text)
    return files
