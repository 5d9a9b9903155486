"""What the HTTP API answers with, as plain data; the same form is what a snapshot keeps. Pure.

https://prometheus.io/docs/prometheus/latest/querying/api/#expression-query-result-formats
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from firstmate_tools import fields
from firstmate_tools.errors import FailedReadError
from firstmate_tools.fields import Obj
from firstmate_tools.text import shorten, untrusted

MOST_SERIES = 20_000
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LONGEST_VALUE = 1024
_ABOUT_THE_QUERY = "PromQL "
"""How warnings begin that are about the words of a question. Others tell that a store gave no answer: what Thanos and
remote reads then give is a part, and its emptiness no news."""


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One series: its labels, sorted, and its points, the oldest first (one, where a moment was asked for).

    Values that are no numbers are left out.
    """

    labels: tuple[tuple[str, str], ...]
    points: tuple[tuple[datetime, float], ...]

    def label(self, name: str) -> str:
        """The value of a label, "" where the series does not bear it."""
        return next((value for key, value in self.labels if key == name), "")

    @property
    def value(self) -> float:
        """The newest."""
        return self.points[-1][1]

    @property
    def at(self) -> datetime:
        """When the newest was seen."""
        return self.points[-1][0]


def parsed(body: bytes) -> list[Series]:
    """The series of a good answer, sorted.

    Raises:
        FailedReadError: it is none, or says itself that a part is missing, or has more series than anybody needs.
    """
    try:
        answer: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise FailedReadError("Prometheus answered with something that is no JSON.", "Check its url.") from error
    if fields.text(answer, "status") != "success":
        raise failed(body)
    if not isinstance(fields.at(answer, "data", "result"), list):
        raise FailedReadError("Prometheus answered without a result.", "Check its url.")
    if partly := [one for one in fields.strings(answer, "warnings") if not one.startswith(_ABOUT_THE_QUERY)]:
        said = shorten(untrusted(partly[0]), 300)
        error = FailedReadError(f"Prometheus answered in part: {said}")
        error.said = said
        raise error
    return series_of(fields.items(answer, "data", "result"))


def series_of(results: Iterable[Obj]) -> list[Series]:
    """The series of the API's `result`; those without a number are left out.

    Raises:
        FailedReadError: there are more than anybody needs.
    """
    found = [Series(_labels(one), points) for one in results if (points := _points(one))]
    if len(found) > MOST_SERIES:
        raise FailedReadError(f"Prometheus answered with more than {MOST_SERIES} series.", "Ask about one namespace.")
    return sorted(found)


def plain(series: Iterable[Series]) -> list[Obj]:
    """The API's `result` again, for a recording."""
    return [
        {"metric": dict(one.labels), "values": [[at.timestamp(), repr(value)] for at, value in one.points]}
        for one in series
    ]


def failed(body: bytes) -> FailedReadError:
    """The error that an answer tells of; what Prometheus says is quoted."""
    try:
        answer: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    said = shorten(untrusted(fields.text(answer, "error")), 300)
    error = FailedReadError(f"Prometheus could not answer: {said}" if said else "Prometheus gave no answer.")
    error.said = said
    return error


def _labels(one: Obj) -> tuple[tuple[str, str], ...]:
    metric = fields.string_map(one, "metric")
    return tuple(
        (name, value[:_LONGEST_VALUE])
        for name, value in sorted(metric.items())
        if _LABEL.fullmatch(name) and value.isprintable()
    )


def _points(one: Obj) -> tuple[tuple[datetime, float], ...]:
    single, many = one.get("value"), one.get("values")
    pairs = cast("list[Any]", many) if isinstance(many, list) else [single] if single is not None else []
    return tuple(point for pair in pairs if (point := _point(pair)) is not None)


def _point(pair: Any) -> tuple[datetime, float] | None:
    try:
        at, value = datetime.fromtimestamp(float(pair[0]), UTC), float(pair[1])
    except (TypeError, ValueError, OverflowError, OSError, LookupError):
        return None
    return (at, value) if math.isfinite(value) else None
