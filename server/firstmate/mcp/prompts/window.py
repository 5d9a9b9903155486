"""A stretch of time as people give it: `2h`, `90m`, `3d`, or times with their offset from UTC (RFC 3339)."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools.errors import UsageError
from firstmate_tools.text import clipped

_AGO = re.compile(r"(\d{1,4})\s*(m|min|h|d)(?:\s+ago)?")
_UNITS = {"m": timedelta(minutes=1), "min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(minutes=100_000)
_HINT = "Give a time with its offset such as 2026-11-21T14:00:00Z, or how long ago, such as 90m, 2h or 3d."


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end`; `minutes_back` is how long before now it began, as tools take it."""

    start: datetime
    end: datetime
    minutes_back: int


def window(start: str, end: str | None, now: datetime) -> Window:
    """A stretch of time.

    Args:
        start: when it began, or how long ago.
        end: the same; None for now.
        now: the time from which durations count.

    Raises:
        UsageError: a time cannot be read, lies ahead or is longer ago than tools look back; or the end comes first.
    """
    began, over = _time("start", start, now), now if end is None else _time("end", end, now)
    if began > now:
        raise UsageError(
            f"The start {began.isoformat()} lies ahead of now ({now.isoformat(timespec='seconds')}).", _HINT
        )
    if over <= began:
        raise UsageError("The end does not come after the start.", _HINT)
    if now - began > _LONGEST:
        raise UsageError(f"The start is more than {_LONGEST.days} days ago.", "The cluster keeps nothing for so long.")
    return Window(began, min(over, now), -(-int((now - began).total_seconds()) // 60) or 1)


def _time(name: str, text: str, now: datetime) -> datetime:
    words = text.strip().lower()
    if words == "now":
        return now
    if ago := _AGO.fullmatch(words):
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"`{name}` {clipped(text, 60)!r} is no time.", _HINT) from None
    if time.tzinfo is None:
        raise UsageError(f"`{name}` {clipped(text, 60)!r} has no offset from UTC.", _HINT)
    return time
