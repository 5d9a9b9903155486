"""What the kubelet said about one container of one pod, and which of its checks ended a run. Pure.

Events are stale evidence: they are matched by the pod's uid, by the container that they name, and by the time of the
run in question. Texts are those of Kubernetes v1.36 (pkg/kubelet/prober/prober.go,
pkg/kubelet/kuberuntime/kuberuntime_manager.go); none is relied on alone.
"""

import re
from datetime import timedelta
from typing import Literal

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref
from firstmate_tools.text import inline

KILLED = frozenset({137, 143})
"""128 plus SIGKILL or SIGTERM: somebody else ended it."""
SLACK = timedelta(seconds=30)
"""Events come a little before or after the status that they describe."""
LATELY = timedelta(minutes=10)
"""A kubelet repeats itself at least every five minutes while a trouble lasts; older words are history."""

_FIELD_PATH = re.compile(r"\{([^{}]+)\}$")
_KILLED_NAME = re.compile(r"^(?:Init c|C)ontainer (\S+) failed ")

Check = Literal["liveness", "readiness", "startup"]


def heard(facts: Facts, ref: Ref, pod: Obj, container: str, *reasons: str) -> list[EventRow]:
    """Events about a container of this very pod (not of an earlier one of its name), newest first.

    Events that do not say which container they mean are given too.
    """
    uid = fields.uid_of(pod)
    rows = facts.events(ref, *reasons)
    return [row for row in rows if row.about_uid in {"", uid} and _meant(row) in {"", container}]


def lately(facts: Facts, row: EventRow) -> bool:
    """Whether an event is recent enough to be about now."""
    return row.last is None or facts.now - row.last <= LATELY


def said(row: EventRow) -> Evidence:
    """An event as evidence."""
    return fact(row.about, f"events[{inline(row.reason)}].message", row.message, row.last)


def failed_checks(facts: Facts, ref: Ref, pod: Obj, container: Container, check: Check) -> list[EventRow]:
    """Events of a probe that failed or could not be made, newest first."""
    word = f"{check.capitalize()} probe "
    rows = heard(facts, ref, pod, container.name, "Unhealthy")
    return [row for row in rows if row.message.startswith(word) and container.spec.get(f"{check}Probe")]


def failing_now(facts: Facts, ref: Ref, pod: Obj, container: Container, check: Check) -> bool:
    """Whether a probe has failed since the present run began."""
    began = fields.time_at(container.status, "state", "running", "startedAt")
    rows = failed_checks(facts, ref, pod, container, check)
    return any(began is not None and row.last is not None and row.last >= began for row in rows)


Killer = Literal["", "liveness", "startup", "hook"]


def killed_by(facts: Facts, ref: Ref, pod: Obj, container: Container, end: Obj) -> Killer:
    """Which of the kubelet's own checks ended a run, "" where none did.

    Killing says it outright. Where such events were not read (they are Normal), a probe that failed during that run
    tells, if the exit code is that of a signal or of an orderly stop.
    """
    began = fields.time_at(end, "startedAt") or fields.time_at(pod, "metadata", "creationTimestamp")
    rows = [
        row
        for row in heard(facts, ref, pod, container.name, "Killing", "Unhealthy", "FailedPostStartHook")
        if began is None or row.last is None or row.last >= began - SLACK
    ]
    for row in rows:
        if row.reason == "FailedPostStartHook":
            return "hook"
        if row.reason == "Killing" and "failed startup probe" in row.message:
            return "startup"
        if row.reason == "Killing" and "failed liveness probe" in row.message:
            return "liveness"
    if fields.number(end, "exitCode") not in {0, *KILLED}:
        return ""
    for row in rows:
        if row.message.startswith("Startup probe failed") and container.spec.get("startupProbe"):
            return "startup"
        if row.message.startswith("Liveness probe failed") and container.spec.get("livenessProbe"):
            return "liveness"
    return ""


def _meant(row: EventRow) -> str:
    match = _FIELD_PATH.search(row.field) or _KILLED_NAME.search(row.message)
    return match.group(1) if match else ""
