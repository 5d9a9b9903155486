"""What one tool call sees of Prometheus: `LivePrometheus` asks it, `RecordedPrometheus` answers from a snapshot.

    series = await prometheus.ask(READ, namespace="shop")

Both refuse what the call did not declare. A recording holds each question's answer for the whole cluster, out of which
those for a namespace are taken; so a namespaced question has to keep the label `namespace`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from firstmate_tools.errors import RefusedError, TimedOutError
from firstmate_tools.reads import Grant, PrometheusRead

from .answers import Series, parsed
from .client import INSTANT, RANGE, Client
from .place import PrometheusPlace
from .queries import filled

IN_FLIGHT = 8


class Prometheus(Protocol):
    """The seam: what diagnoses and recordings are given."""

    async def ask(self, read: PrometheusRead, namespace: str | None = None) -> list[Series]:
        """The series that a question gives, sorted.

        Args:
            read: as declared.
            namespace: the one that is asked about, None for all.

        Raises:
            ReadError: no answer.
            RefusedError: nobody declared the question.
        """
        ...


def check(read: PrometheusRead, grant: Grant) -> None:
    """Lets a declared question pass, or raises a RefusedError."""
    if not grant.allows_prometheus(read):
        raise RefusedError(
            f"The request was not sent: nobody declared {read.resource}.",
            "Add the PrometheusRead to the declaration of the tool or rule that asks it.",
        )


class LivePrometheus:
    """Prometheus during one tool call.

    Args:
        place: where it is.
        grant: the questions that the call declared.
        left_s: gives the seconds that the call has left.
        user_agent: what requests call themselves.
    """

    def __init__(self, place: PrometheusPlace, grant: Grant, left_s: Callable[[], float], user_agent: str) -> None:
        self._place, self._grant, self._left_s = place, grant, left_s
        self._client = Client(place, user_agent)
        self._free = asyncio.Semaphore(IN_FLIGHT)

    async def close(self) -> None:
        await self._client.close()

    async def ask(self, read: PrometheusRead, namespace: str | None = None) -> list[Series]:
        """See `Prometheus.ask`."""
        check(read, self._grant)
        async with self._free:
            wait = min(self._place.timeout_s, self._left_s())
            if wait <= 0:
                raise TimedOutError("The time for this call was over before Prometheus was asked.")
            query = {"query": filled(read, self._place.labels, namespace), "timeout": f"{max(1, int(wait))}s"}
            if read.window_s:
                end = time.time()
                query |= {"start": f"{end - read.window_s:.3f}", "end": f"{end:.3f}", "step": str(read.step_s)}
            body = await self._client.get(RANGE if read.window_s else INSTANT, query, wait)
        return await asyncio.to_thread(parsed, body)


def within(series: list[Series], read: PrometheusRead, namespace: str | None) -> list[Series]:
    """Those of a recorded answer that the same question about a namespace would have given."""
    if namespace is None or not read.namespaced:
        return series
    return [one for one in series if one.label("namespace") == namespace]
