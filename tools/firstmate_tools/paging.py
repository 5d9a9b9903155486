"""Pages of a list that was made here, worst first: a cursor carries its own state, so that any replica can go on.

A cursor says how many entries came before and of which question; a changed question refuses an old cursor.
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
    start = 0
    mark = hashlib.sha256(repr(question).encode()).hexdigest()[:12]
    if cursor:
        state = unpack(cursor)
        start = fields.number(state, "at", default=-1)
        if state.get("q") != mark or start < 0:
            raise UsageError("This cursor belongs to another question.", "Ask without cursor to start again.")
    shown = list(entries[start : start + limit])
    end = start + len(shown)
    return shown, (pack({"q": mark, "at": end}) if end < len(entries) else None)


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
