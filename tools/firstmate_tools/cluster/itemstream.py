"""Takes a list apart while it streams in, so that a page of 10,000 objects needs the memory of a few hundred.

`paging` feeds it the body of one page. It cuts the bytes where one item ends and the next begins, parses what lies
between, scrubs each object, gives it to the caller's function and lets it go. Where the bytes are not laid out as an
API server lays them out, it waits for the end and parses the whole. Must never guess a boundary: a batch counts only
when it parses as JSON, which it does not when it was cut inside an object.
"""

import re
from collections.abc import Callable
from typing import Generic, TypeVar

import orjson

from firstmate_tools import fields
from firstmate_tools.errors import FailedReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

from .flights import LONGEST_BODY
from .parse import cleaned, may_hold_secrets, objects_of, parse_object, without_collector

T = TypeVar("T")

_ITEMS = b'"items":['
_LONGEST_HEAD = 1 << 16
_FIRST_KEY = re.compile(rb'\{"[A-Za-z]{1,40}":')
_BATCH = 1 << 18
_CUTS_TRIED = 4
_FAILURES_BORNE = 8


class ItemStream(Generic[T]):
    """A sink for the transport that makes rows of a list's items as they come.

    Args:
        kind: the kind of the items.
        what: what was asked, for messages.
        take: makes a row of a scrubbed object, None to leave it out.
        rows: where the rows go.
    """

    def __init__(self, kind: Kind, what: str, take: Callable[[Obj], T | None], rows: list[T]) -> None:
        self.count = 0
        self._kind = kind
        self._what = what
        self._take = take
        self._rows = rows
        self._buffer = bytearray()
        self._head: Obj | None = None
        self._joint = b""
        self._tried = 0
        self._failures = 0
        self._waiting = False

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes.

        Raises:
            FailedReadError: what comes is larger than any list.
        """
        self._buffer += chunk
        if len(self._buffer) > LONGEST_BODY:
            raise FailedReadError(f"The answer to {self._what} is larger than this program takes.", "Ask for less.")
        if self._waiting or len(self._buffer) - self._tried < _BATCH:
            return
        if self._head is None and not self._found_head():
            self._tried = len(self._buffer)
            self._waiting = self._tried > 2 * _LONGEST_HEAD
            return
        self._reduce_what_is_whole()

    def finish(self) -> Obj:
        """Takes the rest, and gives the list's own metadata.

        Raises:
            FailedReadError: the body was no list, or torn.
        """
        begin = b"" if self._head is None else b"{" + _ITEMS
        rest = begin + bytes(self._buffer)
        self._buffer.clear()
        with without_collector():
            value = parse_object(rest, self._what)
            self._hand_out(objects_of(value, self._what), rest)
        return fields.mapping(self._head, "metadata") or fields.mapping(value, "metadata")

    def _found_head(self) -> bool:
        """Whether the beginning is that of a list: all that stands before the items closes as JSON behind them."""
        end = self._buffer.find(_ITEMS, 0, _LONGEST_HEAD)
        if end < 0:
            return False
        end += len(_ITEMS)
        first = _FIRST_KEY.match(self._buffer, end)
        if first is None:
            return False
        try:
            head: object = orjson.loads(bytes(self._buffer[:end]) + b"]}")
        except orjson.JSONDecodeError:
            return False
        self._head = fields.mapping({"head": head}, "head")
        self._joint = b"," + first.group()
        del self._buffer[:end]
        return True

    def _reduce_what_is_whole(self) -> None:
        """Takes all items that lie in the buffer to their end.

        What looks like a joint of two items may lie inside one; then the batch before it does not parse, and the joint
        before that is tried.
        """
        cut = len(self._buffer)
        for _ in range(_CUTS_TRIED):
            cut = self._buffer.rfind(self._joint, 0, cut)
            if cut <= 0:
                break
            batch = b"[" + self._buffer[:cut] + b"]"
            with without_collector():
                try:
                    items: list[Obj] = orjson.loads(batch)
                except orjson.JSONDecodeError:
                    continue
                self._hand_out(items, batch)
                del items
            del self._buffer[: cut + 1]
            self._tried = self._failures = 0
            return
        # Invalid UTF-8 and huge objects end here too: the tolerant parser takes them at the end.
        self._tried = len(self._buffer)
        self._failures += 1
        self._waiting = self._failures > _FAILURES_BORNE

    def _hand_out(self, items: list[Obj], raw: bytes) -> None:
        deep = may_hold_secrets(raw, self._kind)
        self.count += len(items)
        items.reverse()
        while items:
            row = self._take(cleaned(items.pop(), self._kind, deep=deep))
            if row is not None:
                self._rows.append(row)
