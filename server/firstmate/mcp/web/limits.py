"""How much each caller may ask: a token bucket for the rate, slots for what runs at the same time.

The gate asks these before a request is read. Plain arithmetic, in this process alone: several replicas each allow as
much. Must never wait: who comes too often is told when to come again.
"""

from collections import Counter, OrderedDict
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass, field

_MOST_KEYS = 10_000


class TooManyError(Exception):
    """A limit is reached.

    Attributes:
        wait_s: seconds after which to ask again.
        everybody: whether the limit is that of all callers together.
    """

    def __init__(self, wait_s: float, *, everybody: bool = False) -> None:
        super().__init__(f"again in {wait_s} s")
        self.wait_s, self.everybody = wait_s, everybody


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Rate:
    """A token bucket for each key.

    Args:
        per_second: what flows back.
        burst: what each holds.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, burst
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, key: Hashable, now: float) -> None:
        """Takes one token.

        Args:
            key: whose.
            now: seconds on the monotonic clock.

        Raises:
            TooManyError: there is none.
        """
        bucket = self._buckets.setdefault(key, _Bucket(float(self._burst), now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(float(self._burst), bucket.tokens + (now - bucket.at) * self._per_second)
        bucket.at = now
        if bucket.tokens < 1:
            raise TooManyError((1 - bucket.tokens) / self._per_second)
        bucket.tokens -= 1


class Sessions:
    """How many sessions (of 2025-11-25 clients) each key has open: each costs memory until it is closed or forgotten.

    Args:
        each: the most for one key.
        idle_s: after so long without a request one is forgotten.
    """

    def __init__(self, each: int, idle_s: float) -> None:
        self._each, self._idle_s = each, idle_s
        self._used: dict[Hashable, dict[str, float]] = {}

    def check(self, key: Hashable, now: float) -> None:
        """Returns where the key may open one more; None always may.

        Raises:
            TooManyError: it has too many.
        """
        if key is None:
            return
        live = {one: at for one, at in self._used.get(key, {}).items() if now - at < self._idle_s}
        self._used[key] = live
        if len(live) >= self._each:
            raise TooManyError(self._idle_s - (now - min(live.values())))
        if not live:
            del self._used[key]

    def opened(self, key: Hashable, session: str, now: float) -> None:
        """The server has opened the session, or named it again."""
        if key is not None:
            self._used.setdefault(key, {})[session] = now

    def used(self, key: Hashable, session: str, now: float) -> None:
        """A request named the session. One that was never opened counts for nothing: requests of 2026-07-28 may name
        whatever they like."""
        if session in (known := self._used.get(key, {})):
            known[session] = now

    def closed(self, key: Hashable, session: str) -> None:
        """The session is no more."""
        known = self._used.get(key, {})
        if known.pop(session, None) is not None and not known:
            del self._used[key]


@dataclass(slots=True)
class Slots:
    """What runs at the same time, of each key and altogether.

    Attributes:
        each: the most for one key; the key None is bounded with all together alone.
        all: the most for all together.
    """

    each: int
    all: int
    _held: Counter[Hashable] = field(default_factory=Counter[Hashable])
    _total: int = 0

    @contextmanager
    def one(self, key: Hashable) -> Generator[None]:
        """Holds a slot.

        Raises:
            TooManyError: there is none.
        """
        if key is not None and self._held[key] >= self.each:
            raise TooManyError(1)
        if self._total >= self.all:
            raise TooManyError(1, everybody=True)
        self._held[key] += 1
        self._total += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            self._total -= 1
            if not self._held[key]:
                del self._held[key]
