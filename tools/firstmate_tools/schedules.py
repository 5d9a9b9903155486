"""When a CronJob is due: the schedules of Kubernetes, worked out with cronsim. Pure.

Kubernetes reads schedules as github.com/robfig/cron v3 does (ParseStandard): five fields, names of months and days, `?`
for `*`, and the descriptors below. Where a time zone is not given, that of the controller manager counts, which is UTC
everywhere that one is run for you (https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#time-zones).
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from zoneinfo import ZoneInfo

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = re.compile(r"@every\s+((?:\d+(?:\.\d+)?(?:h|ms|m|s))+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNIT = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_ZONE = re.compile(r"^(?:CRON_)?TZ=(\S+)\s+(.*)$")
MOST = 101
"""Runs that are counted at most: the controller speaks of more than 100 missed ones as too many."""


class ScheduleError(ValueError):
    """A schedule that cannot be read, or that names a day that no month has."""


def zone(name: str) -> tzinfo | None:
    """The time zone of a name, UTC for "", None where this machine's time zone data have none of that name."""
    if not name or name in {"UTC", "Etc/UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # no such name; a name that is a path; data that cannot be read
        return None


def knows_zones() -> bool:
    """Whether this machine has time zone data at all, so that an unknown name means something."""
    return zone("Europe/London") is not None


def due(schedule: str, zone_name: str, after: datetime, until: datetime) -> list[datetime]:
    """The times in (after, until] at which a run is due, the newest first, at most `MOST` of them.

    Raises:
        ScheduleError: the schedule or the time zone cannot be read, or the schedule is never due.
    """
    if inline := _ZONE.match(schedule.strip()):
        zone_name, schedule = inline.group(1), inline.group(2)
    here = zone(zone_name)
    if here is None:
        raise ScheduleError(f"unknown time zone {zone_name[:60]!r}")
    if every := _EVERY.fullmatch(schedule.strip()):
        return _every(every.group(1), after, until)
    from cronsim import CronSim, CronSimError

    words = _DESCRIPTORS.get(schedule.strip().lower(), schedule).replace("?", "*")
    try:
        times = CronSim(words, (until + timedelta(minutes=1)).astimezone(here), reverse=True)
    except CronSimError as error:
        raise ScheduleError(str(error)) from error
    found: list[datetime] = []
    for moment in takewhile(lambda moment: moment > after, times):
        if moment <= until:
            found.append(moment.astimezone(UTC))
        if len(found) >= MOST:
            break
    return found


def _every(text: str, after: datetime, until: datetime) -> list[datetime]:
    step = timedelta(seconds=max(1.0, sum(float(n) * _UNIT[unit] for n, unit in _PART.findall(text))))
    count = min(int((until - after) / step), MOST) if until > after else 0
    last = int((until - after) / step)
    return [after + step * (last - back) for back in range(count)]
