"""Stretches of time as people give them."""

from datetime import UTC, datetime, timedelta

import pytest

from firstmate.mcp.prompts.window import window
from firstmate_tools.errors import UsageError

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "began", "over", "minutes"),
    [
        ("2h", None, NOW - timedelta(hours=2), NOW, 120),
        ("90m", "30 min ago", NOW - timedelta(minutes=90), NOW - timedelta(minutes=30), 90),
        ("3d", "now", NOW - timedelta(days=3), NOW, 4320),
        (
            "2026-11-21T13:00:00Z",
            "2026-11-21T14:30:00+01:00",
            NOW - timedelta(hours=1),
            NOW - timedelta(minutes=30),
            60,
        ),
        ("2026-11-21T13:59:59Z", "2026-11-22T00:00:00Z", NOW - timedelta(seconds=1), NOW, 1),
    ],
)
def test_times_and_durations_are_understood(
    start: str, end: str | None, began: datetime, over: datetime, minutes: int
) -> None:
    found = window(start, end, NOW)
    assert (found.start, found.end, found.minutes_back) == (began, over, minutes)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("yesterday", None, "no time"),
        ("2h", "noon", "`end` 'noon' is no time"),
        ("2026-11-21T13:00:00", None, "no offset"),
        ("2026-11-21T15:00:00Z", None, "lies ahead"),
        ("1h", "2h", "does not come after"),
        ("200d", None, "more than 69 days"),
        ("99999999d", None, "no time"),
    ],
)
def test_what_is_no_stretch_of_time_is_told_with_what_would_be(start: str, end: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        window(start, end, NOW)
