"""/healthz and /readyz, for whoever decides where requests go: does the process live, can it answer.

Neither asks who calls, and neither says more than yes or no: no cluster's name, no reason. Ready means that a cluster
answers, asked at most every few seconds whoever asks. Must never be slower than a probe's patience.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from firstmate_tools.cluster.base import ClusterSet, ClusterSource
from firstmate_tools.errors import FirstmateError

HEALTHZ = "/healthz"
READYZ = "/readyz"

KEPT_S = 5.0
_PATIENCE_S = 2.0
_MOST_ASKED = 5
_NO_STORE = {"Cache-Control": "no-store"}

Answer = Callable[[Request], Awaitable[Response]]


async def healthz(request: Request) -> Response:
    """The process lives."""
    return JSONResponse({"status": "ok"}, headers=_NO_STORE)


class Readiness:
    """Whether a cluster answers: the default one, or else one of the first few.

    Args:
        clusters: those that are served.
        clock: seconds, never going back.
    """

    def __init__(self, clusters: ClusterSet, clock: Callable[[], float] = time.monotonic) -> None:
        self._clusters, self._clock = clusters, clock
        self._ready, self._asked_at = False, float("-inf")
        self._lock = asyncio.Lock()
        self.leaving = False
        """Set when the server was told to end: from then on it is not ready, so that nobody is sent here any more."""

    async def readyz(self, request: Request) -> Response:
        """200 where it is ready, 503 where not."""
        if self.leaving:
            return JSONResponse({"status": "shutting down"}, 503, _NO_STORE)
        if await self.ready():
            return JSONResponse({"status": "ok"}, headers=_NO_STORE)
        return JSONResponse({"status": "no cluster to answer from"}, 503, _NO_STORE)

    async def ready(self) -> bool:
        """Whether a cluster answered within the last few seconds."""
        async with self._lock:
            if self._clock() - self._asked_at > KEPT_S:
                self._ready = await self._ask()
                self._asked_at = self._clock()
            return self._ready

    async def _ask(self) -> bool:
        tasks = {asyncio.create_task(_answers(source)) for source in self._sources()}
        try:
            async with asyncio.timeout(_PATIENCE_S):
                for done in asyncio.as_completed(tasks):
                    if await done:
                        return True
        except TimeoutError:
            return False
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return False

    def _sources(self) -> list[ClusterSource]:
        names: list[str] = []
        with suppress(FirstmateError):  # none is chosen: any of them will do
            names.append(self._clusters.default())
        with suppress(FirstmateError):
            names += self._clusters.names()
        found: list[ClusterSource] = []
        for name in list(dict.fromkeys(names))[:_MOST_ASKED]:
            with suppress(FirstmateError):
                found.append(self._clusters.source(name))
        return found


async def _answers(source: ClusterSource) -> bool:
    try:
        await source.answers(deadline_s=_PATIENCE_S)
    except FirstmateError:
        return False
    return True
