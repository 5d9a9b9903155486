"""How much a cluster is asked at once: pace and deadline. Plain arithmetic over a clock that the caller reads.

The gateway alone uses these. Must never sleep: they say how long to wait, the gateway waits.
"""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """What one source may do to its cluster.

    Attributes:
        in_flight: requests at the same moment.
        per_second: requests a second over time.
        burst: requests that may go at once before that rate holds.
        connect_s: seconds for a connection with its TLS handshake.
    """

    in_flight: int = 8
    per_second: float = 50.0
    burst: int = 100
    connect_s: float = 10.0


@dataclass(slots=True)
class Pace:
    """A token bucket, and a pause that a server asked for (429). First come, first served."""

    per_second: float
    burst: int
    _tokens: float = field(init=False)
    _at: float = field(init=False)
    _not_before: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)
        self._at = time.monotonic()

    def reserve(self, now: float) -> float:
        """Takes one token and says how many seconds to wait before using it.

        Args:
            now: seconds on the monotonic clock.
        """
        self._tokens = min(float(self.burst), self._tokens + (now - self._at) * self.per_second) - 1
        self._at = now
        return max(0.0, -self._tokens / self.per_second, self._not_before - now)

    def pause(self, until: float) -> None:
        """Lets nothing go before this moment of the monotonic clock; a longer pause stands."""
        self._not_before = max(self._not_before, until)


@dataclass(slots=True)
class Deadline:
    """A moment of the monotonic clock after which nobody waits any more."""

    at: float

    @staticmethod
    def after(seconds: float) -> "Deadline":
        return Deadline(time.monotonic() + seconds)

    def left(self) -> float:
        """Seconds until then, never below zero."""
        return max(0.0, self.at - time.monotonic())

    def extend(self, other: "Deadline") -> None:
        """A second caller waits for the same answer, perhaps longer."""
        self.at = max(self.at, other.at)
