"""Shares one read under way among all callers who ask the same, as the same user, at the same moment.

The gateway sends every request through here. The answer's bytes go to each caller as they come, and each takes them in
its own task, so that one caller's error, deadline or cancellation is not another's. Who comes after the first byte gets
a flight of its own; when the last caller has left, the request is cancelled and its socket closed. Must never hold more
of an answer than a few chunks for each caller.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from firstmate_tools.errors import FailedReadError, TimedOutError

from .answers import Answer
from .impersonation import Impersonated
from .limits import Deadline

_CHUNKS_HELD = 4
LONGEST_BODY = 1_000_000_000

Pour = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two reads the same. As whom they are made is part of it: nobody is given another's answer."""

    acting: Impersonated | None
    target: str
    accept: str


class Sink(Protocol):
    """Takes the body of a good answer as it comes."""

    def feed(self, chunk: bytes) -> None:
        """Raises a ReadError to stop the transfer."""
        ...


class Whole:
    """Keeps the whole body, up to a size that only a broken or hostile server reaches."""

    def __init__(self, most: int = LONGEST_BODY) -> None:
        self._chunks: list[bytes] = []
        self._left = most

    def feed(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise FailedReadError("The answer is larger than this program takes.", "Ask for less at a time.")
        self._chunks.append(chunk)

    def body(self) -> bytes:
        return b"".join(self._chunks)


@dataclass(eq=False, slots=True)
class _Flight:
    deadline: Deadline
    taps: "list[asyncio.Queue[bytes | None]]" = field(default_factory=list["asyncio.Queue[bytes | None]"])
    started: bool = False
    task: "asyncio.Task[Answer] | None" = None

    async def pour(self, chunk: bytes) -> None:
        self.started = True
        for tap in list(self.taps):
            await tap.put(chunk)

    async def run(self, begin: Callable[[Deadline, Pour], Awaitable[Answer]]) -> Answer:
        try:
            return await begin(self.deadline, self.pour)
        finally:
            self.started = True
            for tap in list(self.taps):
                await tap.put(None)


class Flights:
    """The reads of one source that are under way."""

    def __init__(self) -> None:
        self._under_way: dict[Key, _Flight] = {}

    async def take(
        self,
        key: Key | None,
        what: str,
        deadline: Deadline,
        sink: Sink,
        begin: Callable[[Deadline, Pour], Awaitable[Answer]],
    ) -> Answer:
        """Joins a read or begins it, and feeds the sink to the end.

        Args:
            key: what makes two reads the same; None for one that is never shared.
            what: what is asked, for messages.
            deadline: until when this caller waits; the read goes on while anybody does.
            sink: takes the body of a good answer.
            begin: sends the request.

        Raises:
            TimedOutError: the deadline passed.
            ReadError: what `begin` or the sink raised.
        """
        flight = self._under_way.get(key) if key is not None else None
        if flight is None or flight.started:
            flight = _Flight(Deadline(deadline.at))
            if key is not None:
                self._under_way[key] = flight
            flight.task = asyncio.create_task(flight.run(begin))
            flight.task.add_done_callback(_seen)
        tap: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS_HELD)
        flight.taps.append(tap)
        flight.deadline.extend(deadline)
        try:
            async with _within(deadline, what):
                return await _drink(flight, tap, sink)
        finally:
            await self._leave(key, flight, tap)

    async def _leave(self, key: Key | None, flight: _Flight, tap: "asyncio.Queue[bytes | None]") -> None:
        flight.taps.remove(tap)
        while not tap.empty():
            tap.get_nowait()  # lets go of a flight that waits for room here
        if flight.taps:
            return
        if key is not None and self._under_way.get(key) is flight:
            del self._under_way[key]
        if flight.task is not None and not flight.task.done():
            flight.task.cancel()
            await asyncio.wait([flight.task])  # the socket is closed before the caller goes on

    def cancel(self) -> None:
        for flight in self._under_way.values():
            if flight.task is not None:
                flight.task.cancel()


async def _drink(flight: _Flight, tap: "asyncio.Queue[bytes | None]", sink: Sink) -> Answer:
    while (chunk := await tap.get()) is not None:
        sink.feed(chunk)
    assert flight.task is not None
    return await asyncio.shield(flight.task)


def _seen(task: "asyncio.Task[Answer]") -> None:
    if not task.cancelled():
        task.exception()  # taken, so that an answer that nobody waits for any more is not reported as lost


@asynccontextmanager
async def _within(deadline: Deadline, what: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(deadline.left()):
            yield
    except TimeoutError as error:
        raise TimedOutError(
            f"No answer to {what} before the deadline of this call.", "Ask for less, or allow more time."
        ) from error
