"""uvicorn, with what it lacks: a limit for slow headers, and an end that lets probes and calls know.

`mcp/http.py` runs it. On SIGTERM, and on SIGINT: /readyz says 503 at once; for `drain_s` everything is still answered,
until nobody sends requests here any more; then no connection is taken, event streams are closed, and calls have
`grace_s` to end before they are cancelled. A second signal ends all of it. Must never leave a process that waits for a
client.
"""

import asyncio
import signal
import time
from types import FrameType
from typing import Any, cast

import uvicorn
from sse_starlette.sse import AppStatus
from uvicorn.protocols.http.h11_impl import H11Protocol

from firstmate.mcp.web.gate import Gate
from firstmate.mcp.web.probes import Readiness

_BACKSTOP_S = 3
"""Seconds that cancelled calls have before uvicorn cancels what is left."""


class Server(uvicorn.Server):
    """The server.

    Args:
        config: of uvicorn.
        gate: in front of everything.
        readiness: behind /readyz.
        drain_s, grace_s: see the module's text.
    """

    def __init__(
        self, config: uvicorn.Config, gate: Gate, readiness: Readiness, *, drain_s: float, grace_s: float
    ) -> None:
        config.timeout_graceful_shutdown = int(grace_s) + _BACKSTOP_S
        super().__init__(config)
        self._gate, self._readiness = gate, readiness
        self._drain_s, self._grace_s = drain_s, grace_s
        self._leave_at: float | None = None
        # It would cut every event stream at the signal, and with it the answers of calls under way.
        AppStatus.disable_automatic_graceful_drain()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by a signal, whose default action does not follow: a server that was told to end ends well."""
        if self._leave_at is not None:
            self._leave_at, self._grace_s = time.monotonic(), 0.0
            return
        self._readiness.leaving = True
        self._leave_at = time.monotonic() + self._drain_s
        if sig == signal.SIGINT:
            self._captured_signals.append(sig)  # raised again at the end, so that the shell knows

    async def on_tick(self, counter: int) -> bool:
        """Asked ten times a second whether to end."""
        if self._leave_at is not None and time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        """Ends: new connections, event streams, and after the grace whatever is left."""
        self._gate.end_streams()
        late = asyncio.create_task(self._end_late())
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    async def _end_late(self) -> None:
        began = time.monotonic()
        # A second signal shortens it, and a signal handler must not touch the loop.
        while time.monotonic() - began < self._grace_s:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.1)
        self._gate.end_all()


def protocol(header_s: float) -> type[H11Protocol]:
    """uvicorn's HTTP/1.1, which closes connections whose headers do not come.

    Args:
        header_s: seconds from the connection until its first request's headers are there. Between requests uvicorn's
            keep-alive limit holds, until the first byte of the next, and then this one again.
    """

    class Impatient(H11Protocol):
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            before, cycle = self.scope, cast("Any", self.cycle)  # None before the first request
            if self._waiting is None and (cycle is None or cycle.response_complete):
                self._wait()
            super().data_received(data)
            if self.scope is not before:
                self._stop_waiting()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._waiting = self.loop.call_later(header_s, self._too_late)

        def _stop_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _too_late(self) -> None:
            self._waiting = None
            if not self.transport.is_closing():
                self.transport.close()

    return Impatient
