"""Recorded log text, cut as the kubelet would cut it.

`SnapshotCluster.logs` calls `cut_log`; the recorder calls `split_stamps`, so that lines are redacted without their
times. Logs are recorded with the time of each line where the cluster gives it, because `since_seconds` needs it; a
reader sees lines without it, as a live cluster gives them. Must never return lines that were not asked for as if they
were.
"""

import re
from datetime import datetime, timedelta

from firstmate_tools.errors import NotCollectedError
from firstmate_tools.fields import parse_time

from .base import LogRequest
from .layouts.recording import LogText

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d) ?")


def split_stamps(text: str) -> tuple[list[str], list[str]] | None:
    """The times and the texts of lines, where every line begins with a time as the kubelet writes it; else None."""
    stamps: list[str] = []
    rest: list[str] = []
    for line in _lines(text):
        match = _STAMP.match(line)
        if match is None:
            return None
        stamps.append(match[0].rstrip(" "))
        rest.append(line[match.end() :])
    return (stamps, rest) if stamps else None


def _lines(text: str) -> list[str]:
    """Lines without their ends; only `\\n` ends one, as in the kubelet."""
    return text.removesuffix("\n").split("\n") if text else []


def _moment(stamp: str) -> datetime | None:
    match = _STAMP.match(stamp)
    # Nanoseconds are more than datetime takes.
    return parse_time(f"{match[1]}{(match[2] or '')[:7]}{match[3]}") if match else None


def cut_log(log: LogText, request: LogRequest, now: datetime) -> str:
    """The text that a request asks for: the last lines, of the last seconds, of at most so many bytes at its end.

    Args:
        log: as recorded.
        request: what to keep of it.
        now: the moment of recording, from which `since_seconds` counts back.

    Raises:
        NotCollectedError: seconds are asked for, and the times of the lines were not recorded.
    """
    if not log.text:
        return ""
    if not log.stamped and (request.timestamps or request.since_seconds is not None):
        raise NotCollectedError(
            f'The times of the log lines of pod "{request.pod}" were not recorded.', "Ask for the last lines instead."
        )
    ended = log.text.endswith("\n")
    stamped = split_stamps(log.text) if log.stamped else None
    stamps, lines = stamped if stamped else ([], _lines(log.text))
    first = max(0, len(lines) - max(0, request.tail_lines)) if request.tail_lines is not None else 0
    if request.since_seconds is not None:
        since = now - timedelta(seconds=max(1, request.since_seconds))
        while first < len(stamps) and ((at := _moment(stamps[first])) is None or at < since):
            first += 1
    lines = lines[first:]
    if request.timestamps:
        lines = [f"{stamp} {line}" for stamp, line in zip(stamps[first:], lines, strict=True)]
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    return _last_bytes(text, request.limit_bytes)


def _last_bytes(text: str, most: int) -> str:
    """The end of a text, from the start of a line where lines are shorter than the limit, as `LogTail` keeps it."""
    if len(text) * 4 <= most:
        return text
    content = text.encode("utf-8", "replace")
    if len(content) <= most:
        return text
    kept = content[len(content) - max(1, most) :]
    newline = kept.find(b"\n", 0, len(kept) - 1)
    return kept[newline + 1 :].decode("utf-8", "ignore")
