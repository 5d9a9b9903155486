"""Pages of lists: a cursor carries its own state, so that any replica can go on.

A cursor says how many entries came before and of which question (the cluster is part of it); a changed question
refuses an old cursor.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import TypeVar

import orjson

from firstmate_tools import fields
from firstmate_tools.errors import UsageError
from firstmate_tools.fields import Obj

T = TypeVar("T")
_FURTHEST = 10**9
"""No list is longer; a forged cursor may say otherwise."""


def page(entries: Sequence[T], limit: int, cursor: str | None, *question: object) -> tuple[list[T], str | None]:
    """One page and the cursor of the next, None where nothing follows.

    Args:
        entries: the whole list, in its final order.
        limit: entries a page.
        cursor: of the page before.
        question: the arguments that made the list; a cursor is only good for the same ones.

    Raises:
        UsageError: the cursor is damaged or belongs to another question.
    """
    start = fields.number(_state(cursor, question), "at") if cursor else 0
    shown = list(entries[start : start + limit])
    end = start + len(shown)
    return shown, (pack({"q": _mark(question), "at": end}) if end < len(entries) else None)


def resume(cursor: str | None, *question: object) -> tuple[int, str]:
    """Where to go on in a list that the API server pages: how many came before, and its token ("" at the start).

    Raises:
        UsageError: the cursor is damaged or belongs to another question.
    """
    if not cursor:
        return 0, ""
    state = _state(cursor, question)
    return fields.number(state, "at"), fields.text(state, "more")


def onward(more: str, seen: int, *question: object) -> str | None:
    """The cursor of the next page of a list that the API server pages, None where nothing follows."""
    return pack({"q": _mark(question), "at": seen, "more": more}) if more else None


def _mark(question: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(question).encode("utf-8", "replace")).hexdigest()[:12]


def _state(cursor: str, question: tuple[object, ...]) -> Obj:
    state = unpack(cursor)
    at = state.get("at")
    if state.get("q") != _mark(question) or not isinstance(at, int) or not 0 <= at <= _FURTHEST:
        raise UsageError("This cursor belongs to another question.", "Ask without cursor to start again.")
    return state


def pack(state: Obj) -> str:
    """A cursor of some state."""
    return base64.urlsafe_b64encode(orjson.dumps(state)).decode().rstrip("=")


def unpack(cursor: str) -> Obj:
    """The state of a cursor.

    Raises:
        UsageError: it is none of ours.
    """
    state: object
    try:
        state = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        state = None
    found = fields.mapping({"state": state}, "state")
    if not found:
        raise UsageError("This is no cursor of this server.", "Pass on coverage.cursor as it came.")
    return found
