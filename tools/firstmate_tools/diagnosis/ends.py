"""How a run of a container ended, and whether that is trouble now. Pure.

Used by `trouble`, which decides for each container; nothing else judges ends. What ended a run is asked in this order:
the kernel, the runtime, the kubelet's own checks, then the program's exit code and its last lines.
"""

from datetime import datetime, timedelta
from typing import Literal

from firstmate_tools import fields
from firstmate_tools.diagnosis import logsigns, probing, starting
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.heard import KILLED, failed_checks, failing_now, killed_by, lately
from firstmate_tools.diagnosis.logsigns import Sign, Told
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref

Kind = Literal["oom", "nodeoom", "liveness", "startup", "hook", "completes", "init", "exit"] | starting.Kind | Sign

NO_COMMAND = frozenset({126, 127})
"""Exit codes by which a shell says that a command is not executable, or not there."""
LOOP_OVER = timedelta(minutes=10)
"""A run of this length ends a crash loop (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/)."""
KILLS_AGAIN = timedelta(hours=1)
"""How long a repeated kill at the memory limit counts although the container is ready again."""
OOM_NEAR = timedelta(minutes=2)
"""How far a node's SystemOOM may be from the end that it explains."""


def failing_run(facts: Facts, ref: Ref, pod: Obj, container: Container) -> tuple[Obj, bool]:
    """The end of the run that makes trouble now, and whether its log is the previous one; {} where all is well."""
    last = container.last_terminated
    if container.terminated:
        oom_before = fields.text(last, "reason") == "OOMKilled" and container.restarts > 0
        if oom_before and fields.number(container.terminated, "exitCode"):
            return last, True
        return container.terminated, False
    if container.waiting_reason == "CrashLoopBackOff":
        return last, True
    if not (container.running and last and container.restarts):
        return {}, False
    again = _killed_again(facts, ref, pod, container) or not recovered(container, facts.now)
    return (last, True) if again else ({}, False)


def _killed_again(facts: Facts, ref: Ref, pod: Obj, container: Container) -> bool:
    """Whether a liveness probe that has killed before is about to do it again, although the container may be ready."""
    if container.restarts < 2:
        return False
    if failing_now(facts, ref, pod, container, "liveness"):
        return True
    running = _running_for(container, facts.now)
    young = running is None or running < LOOP_OVER
    return (
        container.restarts > 2
        and young
        and killed_by(facts, ref, pod, container, container.last_terminated) == "liveness"
    )


def _running_for(container: Container, now: datetime) -> timedelta | None:
    started = fields.time_at(container.status, "state", "running", "startedAt")
    return now - started if started else None


def recovered(container: Container, now: datetime) -> bool:
    """Whether a container that runs again after a failure has got over it.

    One that is ready again after one or two failures has, and one that has outlived its last run or the time that ends
    a crash loop. A kill at the memory limit is expected again for an hour.
    """
    last, running = container.last_terminated, _running_for(container, now)
    finished = fields.time_at(last, "finishedAt")
    if fields.text(last, "reason") == "OOMKilled":
        return finished is not None and now - finished > KILLS_AGAIN
    if running is None:
        return container.ready
    if running >= LOOP_OVER:
        return True
    if not container.ready:
        return False
    begun = fields.time_at(last, "startedAt")
    outlived = running > 2 * (finished - begun) if begun and finished else True
    return container.restarts < 3 or outlived


def kind_of(facts: Facts, ref: Ref, pod: Obj, container: Container, end: Obj, previous: bool) -> Kind | None:
    """What an end means; None for one that is no trouble (exit 0 of what may end)."""
    code, reason = fields.number(end, "exitCode"), fields.text(end, "reason")
    if reason == "OOMKilled":
        return "oom" if memory_limit(pod, container)[1] and not system_ooms(facts, pod, end) else "nodeoom"
    if reason in starting.NEVER_STARTED:
        return starting.of_start(starting.words_of_start(facts, ref, pod, container, fields.text(end, "message")))
    if reason in {"ContainerStatusUnknown", "Unknown"}:
        return "other"
    killer = killed_by(facts, ref, pod, container, end)
    if killer:
        return killer
    if facts.scope.namespace is None and _probed_in_vain(facts, ref, pod, container, end):
        return "liveness"
    if code == 0:
        again = container.role != "init" and fields.text(pod, "spec", "restartPolicy") not in {"Never", "OnFailure"}
        return "completes" if again and container.restarts else None
    return _by_itself(facts, ref, pod, container, end, previous)


def _by_itself(facts: Facts, ref: Ref, pod: Obj, container: Container, end: Obj, previous: bool) -> Kind:
    """What a program that ended with an error, and that nobody was seen to end, says of itself."""
    code = fields.number(end, "exitCode")
    told = last_words(facts, ref, container, end, previous)
    if told is not None and not (told.sign == "port" and container.role == "init"):
        return told.sign
    if container.role == "init":
        return "init"
    if code in NO_COMMAND:
        return "command"
    if code == 137 and system_ooms(facts, pod, end):
        return "nodeoom"
    unheard = code in KILLED and container.spec.get("livenessProbe") and not facts.events(ref)
    return "other" if unheard or code == 128 else "exit"


def last_words(facts: Facts, ref: Ref, container: Container, end: Obj, previous: bool) -> Told | None:
    """What the log of a run, or the message that it left, proves; None where it was not read or proves nothing."""
    log = facts.log(ref.namespace, ref.name, container.name, previous=previous) or ""
    return logsigns.told(log.splitlines() or fields.text(end, "message").splitlines(), container)


def _probed_in_vain(facts: Facts, ref: Ref, pod: Obj, container: Container, end: Obj) -> bool:
    """Whether a liveness probe that nobody can answer had the time to kill, whatever exit code the program made of it.

    For questions about the whole cluster, which do not read the Killing events that would say so.
    """
    began, finished = fields.time_at(end, "startedAt"), fields.time_at(end, "finishedAt")
    if began is None or finished is None or finished - began < probing.patience(container, "liveness"):
        return False
    failed = any(lately(facts, row) for row in failed_checks(facts, ref, pod, container, "liveness"))
    return failed and probing.asks_nobody(pod, container, "liveness")


def memory_limit(pod: Obj, container: Container) -> tuple[str, str]:
    """The memory limit that holds for a container: its own, or the pod's; path in the pod and value; ("", "") for none.

    Pod-level limits: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
    """
    section = "containers" if container.role == "app" else "initContainers"
    for path, holder in ((f"spec.{section}[{container.name}]", container.spec), ("spec", fields.mapping(pod, "spec"))):
        limit = fields.at(holder, "resources", "limits", "memory")
        if isinstance(limit, str | int) and not isinstance(limit, bool) and limit:
            return f"{path}.resources.limits.memory", str(limit)
    return "", ""


def system_ooms(facts: Facts, pod: Obj, end: Obj) -> list[EventRow]:
    """The kubelet's words that the pod's node itself was out of memory when a run ended, newest first."""
    finished = fields.time_at(end, "finishedAt")
    rows = facts.events(Ref("Node", "", fields.text(pod, "spec", "nodeName")), "SystemOOM")
    return [row for row in rows if finished and row.last and abs(row.last - finished) < OOM_NEAR]
