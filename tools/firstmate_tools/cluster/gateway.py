"""The only code that sends HTTP requests to a Kubernetes API server.

`LiveCluster` and its helpers hand it requests built by `wire.py`; it asks `policy.py` whether they may leave, keeps
the pace and the deadline, renews credentials, waits where the server says 429, counts what it costs, and gives back the
body or raises. Must never send what the policy has not seen, nor answer for the server: a refusal is an error, never
an empty list.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from firstmate_tools.errors import FailedReadError, TimedOutError
from firstmate_tools.reads import Grant

from . import policy
from .answers import Answer, error_of
from .auth import Connection, Presented
from .base import Usage
from .limits import Deadline, Limits, Pace
from .transport import Sink, Transport, Whole
from .wire import Request

_RETRY_AFTER_S = 1.0
_RETRIED = (500, 502, 503, 504)
_RETRY_PAUSE_S = 0.2
_MOST_BUSY = 8
_OK = (200, 201)


@dataclass(slots=True)
class Call:
    """What one tool call may do, until when, and what it has cost so far."""

    grant: Grant
    deadline: Deadline
    usage: Usage = field(default_factory=Usage)


@dataclass(slots=True)
class _Flight:
    """A read under way that several callers may wait for."""

    deadline: Deadline
    task: "asyncio.Task[Answer]"
    waiting: int = 0


class Clock:
    """The API server's clock, from its Date headers and our monotonic clock."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def heard(self, date: str, at: float) -> None:
        """Takes a Date header that came at this moment of the monotonic clock.

        It is cut to whole seconds, so that the latest estimate is the best one, until the server's clock is set back.
        """
        try:
            seconds = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return
        offset = seconds - at
        if self._offset is None or offset > self._offset or offset < self._offset - 2:
            self._offset = offset

    def now(self) -> datetime:
        """In UTC; this machine's time where no answer has come yet."""
        if self._offset is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=self._offset + time.monotonic())


class Gateway:
    """The way out to one API server, shared by all calls of a source. Bound to one event loop."""

    def __init__(self, connection: Connection, user_agent: str, limits: Limits) -> None:
        self.connection = connection
        self.clock = Clock()
        self.loop = asyncio.get_running_loop()
        self._transport = Transport(connection, user_agent, limits.in_flight, limits.connect_s)
        self._slots = asyncio.Semaphore(limits.in_flight)
        self._pace = Pace(limits.per_second, limits.burst)
        self._flights: dict[tuple[str, str], _Flight] = {}

    async def close(self) -> None:
        for flight in list(self._flights.values()):
            flight.task.cancel()
        await self._transport.close()

    async def fetch(self, request: Request, call: Call, sink: Sink | None = None) -> bytes:
        """Sends a request and returns the body of the answer.

        Args:
            request: what to ask.
            call: on whose behalf; identical reads of several calls at the same moment are sent once.
            sink: takes the body instead, as it comes; such a read is not shared.

        Raises:
            RefusedError: the policy or the grant forbids it; nothing was sent.
            ReadError: no answer.
            ObjectNotFoundError: the object, or its log, does not exist.
            UsageError: the API server finds the question malformed.
            ConfigurationError: no credentials to be had.
        """
        policy.check(request.method, request.target, request.body, call.grant)
        if sink is None and request.method == "GET":
            answer = await self._shared(request, call)
        else:
            async with _within(call.deadline, request):
                answer = await self._send(request, call.deadline, call.usage, lambda: sink or Whole())
        if answer.status not in _OK:
            raise error_of(request, answer)
        if answer.is_html and not request.resource.endswith("/log"):
            raise FailedReadError(
                f"The answer to {request.about} is HTML, not from a Kubernetes API server.",
                "A proxy or login page answers in its place: check the server address, the proxy and the network.",
            )
        return answer.body

    async def _shared(self, request: Request, call: Call) -> Answer:
        key = (request.target, request.accept)
        flight = self._flights.get(key)
        if flight is None:
            deadline = Deadline(call.deadline.at)
            work = self._send(request, deadline, call.usage, Whole)
            flight = self._flights[key] = _Flight(deadline, asyncio.create_task(work))
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        flight.deadline.extend(call.deadline)
        flight.waiting += 1
        try:
            async with _within(call.deadline, request):
                return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                self._flights.pop(key, None)
                flight.task.cancel()
                await asyncio.wait([flight.task])  # the socket is closed before the caller goes on

    def _landed(self, key: tuple[str, str], task: "asyncio.Task[Answer]") -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # taken, so that an answer that nobody waits for any more is not reported as lost

    async def _send(self, request: Request, deadline: Deadline, usage: Usage, sink: Callable[[], Sink]) -> Answer:
        """Exchanges until there is an answer that waiting or renewing would not change."""
        credentials = self.connection.credentials
        retried = renewed = False
        busy = 0
        while True:
            async with self._slots:
                await self._wait_turn(request, deadline)
                presented = await credentials.present()
                answer = await self._exchange(request, presented, usage, sink())
            if answer.status == 401 and not renewed and credentials.refused(presented):
                renewed = True
            elif answer.status == 429 and busy < _MOST_BUSY:
                busy += 1
                wait = answer.retry_after_s
                self._pace.pause(time.monotonic() + (_RETRY_AFTER_S if wait is None else wait))
            elif answer.status in _RETRIED and request.method == "GET" and not retried:
                retried = True
                await asyncio.sleep(_RETRY_PAUSE_S)
            else:
                return answer

    async def _exchange(self, request: Request, presented: Presented, usage: Usage, sink: Sink) -> Answer:
        def count(wire_bytes: int) -> None:
            usage.bytes += wire_bytes

        began = time.monotonic()
        usage.requests += 1
        usage.by_resource[request.resource] = usage.by_resource.get(request.resource, 0) + 1
        try:
            answer = await self._transport.exchange(request, presented, sink, count)
        finally:
            usage.seconds += time.monotonic() - began
        self.clock.heard(answer.headers.get("date", ""), answer.at)
        return answer

    async def _wait_turn(self, request: Request, deadline: Deadline) -> None:
        wait = self._pace.reserve(time.monotonic())
        if wait > deadline.left():
            raise TimedOutError(
                f"The API server is too busy for {request.about} (429): it asks to wait {wait:.0f} s more.",
                "Ask again later, or allow more time.",
            )
        if wait > 0:
            await asyncio.sleep(wait)


@asynccontextmanager
async def _within(deadline: Deadline, request: Request) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(deadline.left()):
            yield
    except TimeoutError as error:
        raise TimedOutError(
            f"No answer to {request.about} before the deadline of this call.", "Ask for less, or allow more time."
        ) from error
