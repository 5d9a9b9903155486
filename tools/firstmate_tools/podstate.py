"""What `kubectl get pods` would show of a pod, and whether the pod is well; pure functions over one object.

Used by the pod tool and by rules. The STATUS column follows printPod of Kubernetes v1.36
(pkg/printers/internalversion/printers.go); native sidecars are init containers with restartPolicy Always
(https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from firstmate_tools import fields
from firstmate_tools.fields import Obj

Role = Literal["app", "init", "sidecar", "ephemeral"]
START_UP = timedelta(seconds=30)
"""How long a pod may be on its way up before waiting alone counts as unwell; failures count at once."""
SHUT_DOWN = timedelta(seconds=60)
"""How long after its grace period a deleted pod may still be there: its node reports, the API server removes it."""


class Container(NamedTuple):
    """One container of a pod: what was asked for beside what is.

    `spec` and `status` are the entries of the pod's spec and status; `status` is {} before the kubelet reports.
    """

    name: str
    role: Role
    spec: Obj
    status: Obj

    @property
    def restarts(self) -> int:
        return fields.number(self.status, "restartCount")

    @property
    def ready(self) -> bool:
        return fields.flag(self.status, "ready")

    @property
    def waiting(self) -> Obj:
        """`state.waiting`, {} when it is not waiting."""
        return fields.mapping(self.status, "state", "waiting")

    @property
    def waiting_reason(self) -> str:
        return fields.text(self.status, "state", "waiting", "reason")

    @property
    def terminated(self) -> Obj:
        """`state.terminated`, {} when it has not ended."""
        return fields.mapping(self.status, "state", "terminated")

    @property
    def last_terminated(self) -> Obj:
        """`lastState.terminated`: how the run before ended."""
        return fields.mapping(self.status, "lastState", "terminated")

    @property
    def running(self) -> bool:
        return fields.at(self.status, "state", "running") is not None

    @property
    def newest_end(self) -> Obj:
        """How its newest finished run ended: of this state or the last one; {} where none has ended."""
        return self.terminated or self.last_terminated


def is_sidecar(spec: Obj) -> bool:
    """Whether an entry of `initContainers` is a native sidecar."""
    return spec.get("restartPolicy") == "Always"


def containers(pod: Obj) -> list[Container]:
    """Init containers and sidecars in their order of start, then the app containers, then ephemeral ones."""
    return list(_containers(pod))


_SECTIONS: tuple[tuple[str, str, Role], ...] = (
    ("initContainers", "initContainerStatuses", "init"),
    ("containers", "containerStatuses", "app"),
    ("ephemeralContainers", "ephemeralContainerStatuses", "ephemeral"),
)


def _containers(pod: Obj) -> Iterator[Container]:
    whole_spec, whole_status = fields.mapping(pod, "spec"), fields.mapping(pod, "status")
    for section, statuses, role in _SECTIONS:
        specs = fields.items(whole_spec, section)
        if not specs:
            continue
        by_name = {fields.text(s, "name"): s for s in fields.items(whole_status, statuses)}
        for spec in specs:
            name = fields.text(spec, "name")
            yield Container(
                name, "sidecar" if role == "init" and is_sidecar(spec) else role, spec, by_name.get(name, {})
            )


def finished(pod: Obj) -> bool:
    """Whether the pod has run to its end (Succeeded or Failed)."""
    return fields.text(pod, "status", "phase") in {"Succeeded", "Failed"}


def ready(pod: Obj) -> bool:
    return fields.condition(pod, "Ready").get("status") == "True"


def terminating(pod: Obj) -> bool:
    return bool(fields.text(pod, "metadata", "deletionTimestamp"))


def overdue(pod: Obj, now: datetime) -> bool:
    """Whether a deleted pod is still there though its grace period is over.

    `deletionTimestamp` is the moment at which the grace period ends (BeforeDelete, k8s.io/apiserver
    pkg/registry/rest/delete.go, v1.36).
    """
    ends = fields.time_at(pod, "metadata", "deletionTimestamp")
    return ends is not None and now - ends > SHUT_DOWN


def unschedulable(pod: Obj) -> bool:
    """Whether the scheduler said that no node takes it."""
    scheduled = fields.condition(pod, "PodScheduled")
    return scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"


def status_text(pod: Obj) -> str:
    """The STATUS column of `kubectl get pods`."""
    reason = fields.text(pod, "status", "reason") or fields.text(pod, "status", "phase") or "Unknown"
    if any(c.get("reason") == "SchedulingGated" for c in fields.items(pod, "status", "conditions")):
        reason = "SchedulingGated"
    every = containers(pod)
    inits = [c for c in every if c.role in {"init", "sidecar"}]
    initializing = False
    for position, container in enumerate(inits):
        ended = container.terminated
        if ended and fields.number(ended, "exitCode") == 0:
            continue
        if container.role == "sidecar" and fields.flag(container.status, "started"):
            continue
        if ended:
            number = fields.number(ended, "signal") or fields.number(ended, "exitCode")
            word = "Signal" if fields.number(ended, "signal") else "ExitCode"
            reason = f"Init:{fields.text(ended, 'reason') or f'{word}:{number}'}"
        elif container.waiting_reason and container.waiting_reason != "PodInitializing":
            reason = f"Init:{container.waiting_reason}"
        elif container.status:
            reason = f"Init:{position}/{len(inits)}"
        else:
            continue
        initializing = True
        break
    if not initializing or fields.condition(pod, "Initialized").get("status") == "True":
        reason = _app_reason(pod, every, reason)
    if terminating(pod):
        return "Unknown" if fields.text(pod, "status", "reason") == "NodeLost" else "Terminating"
    return reason


def _app_reason(pod: Obj, every: list[Container], reason: str) -> str:
    has_running = False
    for container in reversed([c for c in every if c.role == "app"]):
        if container.waiting_reason:
            reason = container.waiting_reason
        elif container.terminated:
            ended = container.terminated
            signal = fields.number(ended, "signal")
            reason = fields.text(ended, "reason") or (
                f"Signal:{signal}" if signal else f"ExitCode:{fields.number(ended, 'exitCode')}"
            )
        elif container.ready and container.running:
            has_running = True
    if reason == "Completed" and has_running:
        return "Running" if ready(pod) else "NotReady"
    return reason


def ready_counts(pod: Obj) -> tuple[int, int]:
    """The READY column: containers that are ready, and all that should be (app containers and native sidecars)."""
    counted = [c for c in containers(pod) if c.role in {"app", "sidecar"}]
    return sum(1 for c in counted if c.ready and c.running), len(counted)


def restarts(pod: Obj) -> int:
    """The RESTARTS column."""
    return sum(c.restarts for c in containers(pod) if c.role != "ephemeral")


def runs_well(pod: Obj) -> bool:
    """Whether a pod is plainly as it should be: ready, every container running for the first time, nobody deletes it.

    Says of most pods in a moment what `healthy` says after a closer look; False means only: look closer.
    """
    status = fields.mapping(pod, "status")
    if status.get("phase") != "Running" or "deletionTimestamp" in fields.mapping(pod, "metadata"):
        return False
    if not ready(pod) or status.get("initContainerStatuses") or status.get("ephemeralContainerStatuses"):
        return False
    return all(
        c.get("ready") is True and c.get("restartCount") == 0 and fields.mapping(c, "state").keys() == {"running"}
        for c in fields.items(status, "containerStatuses")
    )


def healthy(pod: Obj, now: datetime) -> bool:
    """Whether nothing about this pod asks for attention.

    A finished, scaled-down or terminating pod within its grace period is well, and so is one that has just been
    created and is on its way up. Failures (crash loops, image errors, unschedulable) count at once.
    """
    phase = fields.text(pod, "status", "phase")
    if terminating(pod):
        return not overdue(pod, now)
    if phase == "Succeeded":
        return True
    if phase == "Failed":
        return False
    if ready(pod):
        return not any(c.waiting_reason or _failed(c.terminated) for c in containers(pod) if c.role != "ephemeral")
    if unschedulable(pod):
        return False
    troubled = any(
        c.waiting_reason not in {"", "ContainerCreating", "PodInitializing"}
        or _failed(c.terminated)
        or (c.restarts and _failed(c.last_terminated))
        for c in containers(pod)
        if c.role != "ephemeral"
    )
    if troubled:
        return False
    since = not_ready_since(pod)
    return since is not None and now - since < START_UP


def _failed(ended: Obj) -> bool:
    return bool(ended) and (fields.number(ended, "exitCode") != 0 or fields.text(ended, "reason") == "OOMKilled")


def not_ready_since(pod: Obj) -> datetime | None:
    """Since when the pod is not ready: the condition's transition, else its creation."""
    return fields.time_at(fields.condition(pod, "Ready"), "lastTransitionTime") or fields.time_at(
        pod, "metadata", "creationTimestamp"
    )
