"""From the bytes that an API server sent to objects that may be seen.

The gateway's only way to objects: what comes out of here has been through `scrub`. Must never hand out an object, or a
part of one, by another way; must never take anything but a list for a list.
"""

import contextlib
import gc
import json
from collections.abc import Generator
from typing import Any, cast

import orjson

from firstmate_tools.errors import FailedReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import SECRET, Kind
from firstmate_tools.text import redact_shapes

from .scrub import scrub


@contextlib.contextmanager
def without_collector() -> Generator[None]:
    """Parsing makes hundreds of thousands of objects and no cycle: the cyclic collector, left on, takes 3 s of every
    4 s (89 MB of pods, measured with CPython 3.11). Never await inside: it holds for the whole process."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def parse(raw: bytes, what: str) -> Any:
    """JSON as Python values; invalid UTF-8 and lone surrogates become replacement characters.

    Args:
        raw: the body of an answer, decompressed.
        what: what was asked, for the message.

    Raises:
        FailedReadError: it is not JSON, or torn.
    """
    try:
        with without_collector():
            return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        # Rare enough to be slow: the standard library takes lone surrogates, the round trip replaces them.
        value = json.loads(raw.decode("utf-8", "replace"))
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        kind = "HTML" if raw.lstrip()[:1] == b"<" else "torn or no JSON"
        raise FailedReadError(
            f"The answer to {what} is {kind} ({len(raw)} bytes).",
            "Something between here and the API server may answer in its place: check proxies and the server address.",
        ) from error


def parse_object(raw: bytes, what: str) -> Obj:
    """As `parse`, where one JSON object must come.

    Raises:
        FailedReadError: something else came.
    """
    value = parse(raw, what)
    if not isinstance(value, dict):
        raise FailedReadError(f"The answer to {what} is no JSON object.")
    return cast("Obj", value)


def parse_item(raw: bytes, kind: Kind, what: str) -> Obj:
    """One object, scrubbed.

    Raises:
        FailedReadError: none came.
    """
    return cleaned(parse_object(raw, what), kind, deep=may_hold_secrets(raw, kind))


_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})


def plain_text(value: str) -> str:
    """Text that is no log (metrics, health checks), without control characters and without what is a secret by its
    shape. Names are left alone: `token` and `secret` are words of metrics."""
    return redact_shapes(value.translate(_CONTROLS))


def lines_with(word: str, text: str) -> str:
    """The lines of a text that hold a word; all of it where the word is ""."""
    return "\n".join(line for line in text.split("\n") if word in line) if word else text


def objects_of(value: Obj, what: str) -> list[Obj]:
    """The items of a list, not yet scrubbed: `itemstream` scrubs them one by one.

    Raises:
        FailedReadError: it is no list.
    """
    found: object = value.get("items")
    if found is None and "items" in value:  # Go writes null for an empty list that was never filled
        found = []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in cast("list[object]", found)):
        raise FailedReadError(f"The answer to {what} is no list of objects.")
    return cast("list[Obj]", found)


def may_hold_secrets(raw: bytes, kind: Kind) -> bool:
    """Whether whole Secrets may stand inside objects of another kind, as in some custom resources.

    Such an object says `"kind": "Secret"` in whatever spacing; hardly any answer holds that word.
    """
    return not _is_secret(kind) and b'"Secret"' in raw


def cleaned(obj: Obj, kind: Kind, *, deep: bool) -> Obj:
    """The same object, scrubbed.

    Args:
        obj: as parsed.
        kind: its kind; items of a list do not say it.
        deep: also looks for Secrets inside it.
    """
    scrub(obj, kind)
    if deep:
        _scrub_inside(obj)
    return obj


def _is_secret(kind: Kind) -> bool:
    return (kind.group, kind.plural) == (SECRET.group, SECRET.plural)


def _scrub_inside(root: Obj) -> None:
    """Scrubs every Secret anywhere inside, without recursion: the depth is the sender's choice."""
    left: list[object] = list(root.values())
    while left:
        here = left.pop()
        if isinstance(here, dict):
            inner = cast("Obj", here)
            if inner.get("kind") == SECRET.kind and ("data" in inner or "stringData" in inner):
                scrub(inner, SECRET)
            left.extend(inner.values())
        elif isinstance(here, list):
            left.extend(cast("list[object]", here))
