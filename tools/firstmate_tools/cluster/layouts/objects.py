"""Parses the object files of a snapshot, one list at a time.

`SnapshotCluster` asks `read_objects` when a list is first needed; layouts ask `read_json` for their small files. What
comes back is scrubbed, in an API server's order, and checked: a file that breaks the rules fails as a whole, because
half a list read as a list would be a lie. Must never return an object that was not scrubbed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from firstmate_tools import fields
from firstmate_tools.cluster.files import Files
from firstmate_tools.cluster.parse import without_collector
from firstmate_tools.cluster.scrub import scrub
from firstmate_tools.errors import FailedReadError, NotCollectedError, SnapshotError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

from .recording import Slice


def order_key(namespace: str, name: str) -> str:
    """By this an API server orders a list: the object's key in etcd (`shop/cart` after `shop-eu/cart`)."""
    return f"{namespace}/{name}" if namespace else name


def read_json(files: Files, name: str) -> Any:
    """A small JSON file of a snapshot.

    Raises:
        SnapshotError: there is no such file, or it is no JSON; names file and line.
    """
    import orjson

    try:
        content = files.read(name)
    except KeyError as error:
        raise SnapshotError(f"The snapshot holds no {name}.") from error
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SnapshotError(f"{name}, line {error.lineno}: {_said(error)}.") from error


def read_objects(files: Files, part: Slice, kind: Kind, namespace: str) -> dict[str, Obj]:
    """The objects of one list by `order_key`, in that order.

    Args:
        namespace: the namespace that all of them must be in; "" for a cluster-scoped kind.

    Raises:
        FailedReadError: the file is missing, damaged, or holds what does not belong there; names file and line.
        NotCollectedError: it holds another version of the kind.
    """
    if not part.file:
        return {}
    try:
        content = files.read(part.file)
    except KeyError as error:
        raise FailedReadError(f"{part.file} is missing from the snapshot.") from error
    except SnapshotError as error:
        raise FailedReadError(error.message, error.hint) from error
    with without_collector():
        return _read(content, part, kind, namespace)


def _read(content: bytes, part: Slice, kind: Kind, namespace: str) -> dict[str, Obj]:
    found: dict[str, Obj] = {}
    for place, item in _parsed(content, part):
        obj = _checked(item, f"{part.file}, {place}", kind, namespace if kind.namespaced else "")
        key = order_key(fields.namespace_of(obj) if kind.namespaced else "", fields.name_of(obj))
        if key in found:
            raise FailedReadError(f"{part.file} holds {kind.resource} {key!r} twice.")
        found[key] = scrub(obj, kind)
    if part.count is not None and len(found) != part.count:
        raise FailedReadError(f"{part.file} holds {len(found)} objects, and its manifest says {part.count}.")
    return dict(sorted(found.items()))


def joined(parts: Iterable[Mapping[str, Obj]]) -> dict[str, Obj]:
    """Lists of single namespaces as one list across them, in an API server's order."""
    with without_collector():
        found: dict[str, Obj] = {}
        for part in parts:
            found.update(part)
        return {key: found[key] for key in sorted(found)}


def _checked(item: object, place: str, kind: Kind, namespace: str) -> Obj:
    if not isinstance(item, dict):
        raise FailedReadError(f"{place}: not an object.")
    obj = cast("Obj", item)
    if not fields.name_of(obj):
        raise FailedReadError(f"{place}: an object without metadata.name.")
    if namespace and fields.namespace_of(obj) != namespace:
        raise FailedReadError(f"{place}: an object of another namespace, {fields.namespace_of(obj)[:80]!r}.")
    version = fields.text(obj, "apiVersion")
    if version and version != kind.api_version:
        raise NotCollectedError(f"{place}: {kind.kind} of {version[:80]}, not of {kind.api_version}.")
    return obj


def _parsed(content: bytes, part: Slice) -> Iterator[tuple[str, object]]:
    """Each object with its place in the file."""
    if part.form == "lines":
        yield from _lines(content, part.file)
        return
    if part.form == "yaml":
        from .yamls import read_yaml

        whole: object = read_yaml(content, part.file)
    else:
        whole = _json(content, part.file)
    for number, item in enumerate(_items(whole, part.file), start=1):
        yield f"item {number}", item


def _items(whole: object, file: str) -> list[object]:
    """A list object's items, a bare array's, or one object by itself; support bundles have all three."""
    if whole is None:
        return []
    if isinstance(whole, list):
        return cast("list[object]", whole)
    if isinstance(whole, dict):
        here = cast("Obj", whole)
        listed = here.get("items", here)
        if listed is None or isinstance(listed, list):
            return cast("list[object]", listed or [])
        if "metadata" in here:
            return [here]
    raise FailedReadError(f"{file}: neither a list of objects nor an object.")


def _lines(content: bytes, file: str) -> Iterator[tuple[str, object]]:
    import orjson

    for number, line in enumerate(content.split(b"\n"), start=1):
        if line:
            try:
                yield f"line {number}", orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise FailedReadError(f"{file}, line {number}: {_said(error)}.") from error


def _json(content: bytes, file: str) -> object:
    import orjson

    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise FailedReadError(f"{file}, line {error.lineno}: {_said(error)}.") from error


def _said(error: ValueError) -> str:
    return str(error).partition(": line ")[0].rstrip(".") or "not JSON"
