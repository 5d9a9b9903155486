"""Why a pod is unwell, in one line each: what its own status says, then what warnings about it add. Pure.

Used by the tools that show pods and workloads. Where status and events tell the same, it is said once; an event about
a stage that the pod has passed since is left out.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from firstmate_tools import fields, podstate
from firstmate_tools.diagnosis.facts import EventRow
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.text import clipped, inline, shorten, untrusted

MOST_MESSAGE = 300
MOST_REASONS = 4
_MOST_OF_ONE = 200
_BEFORE_START = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume"})
_ON_THE_WAY = frozenset({"PodInitializing", "ContainerCreating"})
_TELLING_END = 60
_NUMBERS = re.compile(r"\d+")


def span(seconds: float) -> str:
    """A length of time as kubectl writes ages, in its largest unit: `40s`, `5m`, `3h`, `2d`."""
    whole = max(0, int(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if whole >= 2 * size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def state_text(container: Container) -> str:
    """`waiting (CrashLoopBackOff)`, `running`, `terminated (OOMKilled, exit 137, ran 3s)`, `not reported`."""
    if container.waiting:
        return f"waiting ({inline(container.waiting_reason) or 'no reason'})"
    if container.terminated:
        return f"terminated ({exit_text(container.terminated)})"
    return "running" if container.running else "not reported"


def exit_text(ended: Obj) -> str:
    """`Error, exit 1, ran 3s`, "" where nothing ended."""
    if not ended:
        return ""
    signal = fields.number(ended, "signal")
    words = [
        inline(fields.text(ended, "reason")) or "ended",
        f"signal {signal}" if signal else f"exit {fields.number(ended, 'exitCode')}",
    ]
    began, end = fields.time_at(ended, "startedAt"), fields.time_at(ended, "finishedAt")
    if began and end and began <= end and began.year > 1970:
        words.append(f"ran {span((end - began).total_seconds())}")
    return ", ".join(words)


def unwell_since(pod: Obj) -> datetime | None:
    """Since when an unwell pod is so, as far as it tells."""
    if podstate.unschedulable(pod):
        return fields.time_at(fields.condition(pod, "PodScheduled"), "lastTransitionTime") or _created(pod)
    if podstate.finished(pod):
        ends = [fields.time_at(c.terminated, "finishedAt") for c in podstate.containers(pod)]
        return max((end for end in ends if end), default=None) or podstate.not_ready_since(pod)
    if podstate.terminating(pod):
        return fields.time_at(pod, "metadata", "deletionTimestamp")
    if podstate.ready(pod):
        ends = [fields.time_at(c.newest_end, "finishedAt") for c in podstate.containers(pod)]
        return max((end for end in ends if end), default=None)
    return podstate.not_ready_since(pod)


def _created(pod: Obj) -> datetime | None:
    return fields.time_at(pod, "metadata", "creationTimestamp")


def reasons(pod: Obj, events: Iterable[EventRow], now: datetime) -> list[str]:
    """Why a pod is unwell, the most telling first; at least one line.

    Args:
        pod: a pod that is unwell.
        events: the warnings about it, newest first.
        now: the cluster's clock.
    """
    said = list(_own(pod, now))
    found: list[str] = [clipped(line, MOST_MESSAGE) for line in said]
    seen: set[str] = set()
    for row in events:
        if len(found) >= MOST_REASONS:
            break
        if row.reason not in seen and _adds(row, pod, said):
            seen.add(row.reason)
            said.append(row.message)
            found.append(event_text(row, now))
    return found[:MOST_REASONS] or [_ready_says(pod)]


def alike(lines: Sequence[str], name: str) -> tuple[str, ...]:
    """Reasons without what differs between pods that share them: the pod's own name, and numbers."""
    return tuple(_NUMBERS.sub("#", line.replace(name, "…") if name else line) for line in lines)


def _adds(row: EventRow, pod: Obj, said: Sequence[str]) -> bool:
    """Whether an event tells something that is still so, and that has not been said."""
    if row.type == "Normal" or not row.message:
        return False
    if row.reason == "FailedScheduling" and fields.text(pod, "spec", "nodeName"):
        return False
    containers = podstate.containers(pod)
    if row.reason in _BEFORE_START and any(c.running or c.newest_end for c in containers):
        return False
    waits = {c.waiting_reason for c in containers if c.waiting_reason}
    if row.reason == "BackOff" and any(reason.endswith("BackOff") for reason in waits):
        return False
    bare = row.message.removeprefix("Error: ").strip()
    # A pull error stands in the event and, after other first words, in the container's state.
    ends = {bare, bare[-_TELLING_END:]} if len(bare) > _TELLING_END else {bare}
    return bare not in waits and not any(end in line for end in ends for line in said)


def event_text(row: EventRow, now: datetime) -> str:
    """`FailedMount: … (12 times, last 40s ago)`."""
    words = [f"{row.count} times"] if row.count > 1 else []
    if row.last is not None:
        words.append(f"last {span((now - row.last).total_seconds())} ago")
    how = f" ({', '.join(words)})" if words else ""
    return f"{clipped(f'{row.reason}: {row.message}', MOST_MESSAGE)}{how}"


def _own(pod: Obj, now: datetime) -> Iterator[str]:
    """What the pod's spec and status say, in the order in which a pod comes up."""
    if fields.text(pod, "status", "reason"):
        yield f"{fields.text(pod, 'status', 'reason')}: {fields.text(pod, 'status', 'message')}".rstrip(": ")
    if podstate.terminating(pod):
        yield _overdue(pod, now)
    gates = [fields.text(gate, "name") for gate in fields.items(pod, "spec", "schedulingGates")]
    if gates:
        yield f"waits for its scheduling gates: {', '.join(gates)}"
    elif podstate.unschedulable(pod):
        yield f"Unschedulable: {fields.text(fields.condition(pod, 'PodScheduled'), 'message')}"
    elif not fields.text(pod, "spec", "nodeName") and not podstate.finished(pod):
        yield "no scheduler has looked at it: it has no node and no PodScheduled condition that says why"
    failing = [c for c in podstate.containers(pod) if c.role != "ephemeral" and unwell(c)]
    # What fails before what only waits its turn.
    for container in sorted(failing, key=lambda c: (not c.waiting_reason and c.running, c.waiting_reason == "")):
        line = _container_says(container)
        if line:
            yield f"{container.role} container {container.name} {line}"


def unwell(container: Container) -> bool:
    """Whether a container is one to look at: not ready, and not an init container that has done its work."""
    return not container.ready and not (container.role == "init" and container.terminated.get("exitCode") == 0)


def _container_says(container: Container) -> str:
    if container.waiting_reason in _ON_THE_WAY and not container.restarts:
        return ""
    if container.waiting_reason:
        ended = exit_text(container.last_terminated)
        message = fields.text(container.waiting, "message")
        if not ended:
            return f"waits: {container.waiting_reason} {message}".rstrip()
        last_words = fields.text(container.last_terminated, "message").strip()
        said = f"; it said: {shorten(untrusted(last_words), _MOST_OF_ONE)}" if last_words else ""
        return f"waits: {container.waiting_reason}, {container.restarts} restarts, last run: {ended}{said}"
    if container.terminated:
        if container.terminated.get("exitCode") == 0 and container.role == "app":
            return "has ended by itself (exit 0)"
        last_words = fields.text(container.terminated, "message").strip()
        said = f"; it said: {shorten(untrusted(last_words), _MOST_OF_ONE)}" if last_words else ""
        return f"ended: {exit_text(container.terminated)}{said}"
    if container.running:
        return _running_says(container)
    return ""


def _running_says(container: Container) -> str:
    if container.role == "init":
        return "is still running"
    again = f", {container.restarts} restarts" if container.restarts else ""
    ended = exit_text(container.last_terminated)
    again += f", last run: {ended}" if again and ended else ""
    which = "startup" if container.status.get("started") is False and "startupProbe" in container.spec else "readiness"
    probe = probe_text(fields.mapping(container.spec, f"{which}Probe"))
    return f"runs but is not ready{f': its {which} probe ({probe}) has not passed' if probe else ''}{again}"


def probe_text(probe: Obj) -> str:
    """`GET :8080/healthz`, `TCP :5432`, `gRPC :9000`, `exec cat /ready`; "" where there is none."""
    if http := fields.mapping(probe, "httpGet"):
        return f"GET :{http.get('port', '')}{fields.text(http, 'path')}"
    if tcp := fields.mapping(probe, "tcpSocket"):
        return f"TCP :{tcp.get('port', '')}"
    if grpc := fields.mapping(probe, "grpc"):
        return f"gRPC :{grpc.get('port', '')}"
    command = fields.strings(probe, "exec", "command")
    return shorten(untrusted(f"exec {' '.join(command)}"), 80) if command else ""


def _overdue(pod: Obj, now: datetime) -> str:
    asked = fields.time_at(pod, "metadata", "deletionTimestamp")
    late = f", {span((now - asked).total_seconds())} past its grace period" if asked and asked < now else ""
    finalizers = fields.strings(pod, "metadata", "finalizers")
    if finalizers:
        return f"is being deleted{late}: waits for finalizers {', '.join(finalizers)}"
    return f"is being deleted{late}: its node has not confirmed that it stopped"


def _ready_says(pod: Obj) -> str:
    """Where nothing else tells: what it waits for, or the conditions (readiness gates speak there)."""
    on_the_way = [c for c in podstate.containers(pod) if c.role == "app" and c.waiting_reason in _ON_THE_WAY]
    if on_the_way and not podstate.finished(pod):
        return f"waits: {on_the_way[0].waiting_reason}, and no event says why"
    for name in ("Ready", "ContainersReady", "Initialized", "PodReadyToStartContainers"):
        entry = fields.condition(pod, name)
        words = " ".join(filter(None, (fields.text(entry, "reason"), fields.text(entry, "message"))))
        if entry.get("status") == "False" and words:
            return shorten(f"{name} is False: {words}", MOST_MESSAGE)
    if not fields.mapping(pod, "status").get("containerStatuses") and fields.text(pod, "spec", "nodeName"):
        return f"node {fields.text(pod, 'spec', 'nodeName')} has reported nothing of it yet"
    return "not ready, and neither its status nor events say why"
