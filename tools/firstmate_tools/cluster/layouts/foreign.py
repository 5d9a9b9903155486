"""What the layouts of other tools have in common: the moment of recording, and what their error texts mean.

`bundle.py` and `dump.py` use it. Neither tool writes down when it ran, so that the newest time in the objects stands
for it: the API server's and the controllers' clocks, not the machine's that happens to read the file.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from firstmate_tools.cluster.files import Files
from firstmate_tools.errors import SnapshotError
from firstmate_tools.fields import parse_time

from .recording import Outcome

_KEYS = (
    b"time|creationTimestamp|eventTime|renewTime|acquireTime|startTime|completionTime|startedAt|finishedAt"
    b"|firstTimestamp|lastTimestamp|last(?:Observed|Transition|Heartbeat|Probe|Update|Schedule)Time"
)
# Inside a JSON string a quote has a backslash before it, so that a text that quotes a time is no match.
_JSON_KEY, _YAML_KEY = rb'"(?:' + _KEYS + rb')"', rb"^[ -]*(?:" + _KEYS + rb")"
_TIME = re.compile(
    rb"(?:" + _JSON_KEY + rb"|" + _YAML_KEY + rb"""):\s*["']?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)""", re.MULTILINE
)
_YEAR_2015 = 1_420_070_400.0
_SKEW = timedelta(days=1)


def newest_time(files: Files, names: Iterable[str]) -> datetime:
    """The newest time in these files that is not of the future, in UTC.

    Times may be forged or of a clock that is wrong: one that is a day later than the newest file is left out.

    Raises:
        SnapshotError: a file cannot be read.
    """
    written = files.written_at
    known = written is not None and _YEAR_2015 < written < 1e11
    latest = (
        (datetime.fromtimestamp(written, UTC) + _SKEW).strftime("%Y-%m-%dT%H:%M:%S").encode()
        if written and known
        else b"9"
    )
    newest = b""
    for name in names:
        times = set(_TIME.findall(files.read(name)))
        newest = max([newest, *(time for time in times if time <= latest)])
    if (moment := parse_time(newest.decode())) is not None:
        return moment
    if written and known:
        return datetime.fromtimestamp(written, UTC)
    raise SnapshotError("Nothing in the snapshot says when it was made: no object in it bears a time.")


def outcome_of(message: str) -> Outcome:
    """What an error text of client-go means for a list."""
    words = message.lower()
    if "forbidden" in words or "unauthorized" in words:
        return "denied"
    if "could not find the requested resource" in words or "no matches for kind" in words:
        return "not_installed"
    if "deadline exceeded" in words or "timed out" in words or "timeout" in words:
        return "timed_out"
    return "failed"
