"""Figures of a benchmark: values of one kind, their middle and spread, and whether they meet their bar. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity.

    Attributes:
        row: the benchmark that it belongs to.
        what: in a few words.
        values: one a repeat.
        unit: s, ms, MB, tokens, requests or times.
        bar: the most that the middle may be; None for what is only told.
        note: what the values were taken from.
    """

    row: str
    what: str
    values: tuple[float, ...]
    unit: str
    bar: float | None = None
    note: str = ""

    @property
    def middle(self) -> float:
        return median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.values), max(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar."""
        return None if self.bar is None else self.middle <= self.bar

    def as_json(self) -> dict[str, object]:
        low, high = self.spread
        return {
            "row": self.row,
            "what": self.what,
            "unit": self.unit,
            "median": self.middle,
            "least": low,
            "most": high,
            "repeats": len(self.values),
            "bar": self.bar,
            "met": self.met,
            "note": self.note,
        }


def ratio(row: str, what: str, mine: Sequence[float], nothing: Sequence[float]) -> Figure:
    """How many times as long as doing nothing but the least, pair by pair of the same run."""
    pairs = zip(mine, nothing, strict=True)
    return Figure(row, what, tuple(own / max(least, 1e-6) for own, least in pairs), "times")


def shown(value: float, unit: str) -> str:
    """A value with as many digits as mean something."""
    if unit in {"requests", "tokens"}:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
