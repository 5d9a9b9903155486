"""The only code that sends HTTP requests to a Kubernetes API server.

`LiveCluster` and its helpers hand it requests built by `wire.py`; it asks `policy.py` whether they may leave, keeps
the pace and the deadline, renews credentials, waits where the server says 429, counts what it costs, and gives back the
body or raises. Must never send what the policy has not seen, nor answer for the server: a refusal is an error, never
an empty list.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from firstmate_tools.errors import TimedOutError
from firstmate_tools.reads import Grant

from . import policy
from .answers import OK, Answer, error_of
from .auth import Connection, Presented
from .base import Usage
from .flights import Flights, Key, Pour, Sink, Whole
from .impersonation import Impersonated
from .limits import Deadline, Limits, Pace
from .transport import Transport
from .wire import Request

_RETRY_AFTER_S = 1.0
_RETRIED = (500, 502, 503, 504)
_RETRY_PAUSE_S = 0.2
_MOST_BUSY = 8


@dataclass(slots=True)
class Call:
    """What one tool call may do, until when, as whom (None: as firstmate itself), and what it has cost so far."""

    grant: Grant
    deadline: Deadline
    usage: Usage = field(default_factory=Usage)
    acting: Impersonated | None = None


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
        self._flights = Flights()

    async def close(self) -> None:
        self._flights.cancel()
        await self._transport.close()

    async def fetch(self, request: Request, call: Call) -> bytes:
        """Sends a request and returns the body of the answer; see `stream`."""
        whole = Whole()
        await self.stream(request, call, whole)
        return whole.body()

    async def stream(self, request: Request, call: Call, sink: Sink) -> None:
        """Sends a request and gives the body of a good answer to the sink as it comes.

        Args:
            request: what to ask.
            call: on whose behalf; identical reads of several calls as one user at the same moment are sent once.
            sink: takes the body.

        Raises:
            RefusedError: the policy or the grant forbids it; nothing was sent.
            ReadError: no answer.
            ObjectNotFoundError: the object, or its log, does not exist.
            UsageError: the API server finds the question malformed.
            ConfigurationError: no credentials to be had.
        """
        policy.check(request.method, request.target, request.body, call.grant)
        key = Key(call.acting, request.target, request.accept) if request.method == "GET" else None

        def begin(deadline: Deadline, pour: Pour) -> Awaitable[Answer]:
            return self._send(request, deadline, call, pour)

        answer = await self._flights.take(key, request.about, call.deadline, sink, begin)
        if answer.status not in OK:
            raise error_of(request, answer)

    async def _send(self, request: Request, deadline: Deadline, call: Call, pour: Pour) -> Answer:
        """Exchanges until there is an answer that waiting or renewing would not change."""
        credentials = self.connection.credentials
        retried = renewed = False
        busy = 0
        while True:
            async with self._slots:
                await self._wait_turn(request, deadline)
                presented = await credentials.present()
                answer = await self._exchange(request, presented, call, pour)
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

    async def _exchange(self, request: Request, presented: Presented, call: Call, pour: Pour) -> Answer:
        usage = call.usage

        def count(wire_bytes: int) -> None:
            usage.bytes += wire_bytes

        began = time.monotonic()
        usage.requests += 1
        usage.by_resource[request.resource] = usage.by_resource.get(request.resource, 0) + 1
        try:
            answer = await self._transport.exchange(request, presented, call.acting, call.grant, pour, count)
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
