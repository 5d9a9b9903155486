"""What is wrong with a container, decided in one place: each container in trouble has exactly one kind of trouble.

The rules about images, configuration, containers and probes start from `troubled` and take the kinds that are theirs;
`other` is trouble that no rule of today knows, kept so that nobody mistakes it for something that they do know. Pure.

What a kubelet writes is that of v1.36: reasons of pkg/kubelet/kuberuntime/kuberuntime_container.go and
pkg/kubelet/images/types.go, events of pkg/kubelet/events/event.go, kills of kuberuntime_manager.go (computePodActions).
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import probing, revisions, spent
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.heard import KILLED, failed_checks, failing_now, heard, killed_by, lately
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref, ref_of

Kind = Literal["image", "config", "mount", "init", "oom", "liveness", "exit", "readiness", "other"]

IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff"})
CALM_WAITING = frozenset({"", "ContainerCreating", "PodInitializing"})
NEVER_STARTED = frozenset({"StartError", "ContainerCannotRun", "RunContainerError"})
NO_COMMAND = frozenset({126, 127, 128})
"""Exit codes of a command that cannot be run, by shells and runtimes."""
STOPS_BEFORE_SANDBOX = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedSync")
LOOP_OVER = timedelta(minutes=10)
"""A run of this length ends a crash loop (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/)."""
KILLS_AGAIN = timedelta(hours=1)
"""How long a repeated kill at the memory limit counts although the container is ready again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One container in trouble.

    Attributes:
        workload: what a person edits.
        ref: the pod's address.
        kind: what is wrong.
        end: how the run ended that makes it trouble, {} where none did.
        previous: whether the log of that run is the previous log.
    """

    workload: Ref
    ref: Ref
    pod: Obj
    container: Container
    kind: Kind
    end: Obj
    previous: bool


def troubled(facts: Facts) -> tuple[Trouble, ...]:
    """Every container in trouble within the scope, by pod, without what a newer revision has replaced."""
    return facts.derived(_troubled)


def groups(facts: Facts, *wanted: Kind) -> Iterator[list[Trouble]]:
    """Those of some kinds, one group for each workload, container name and kind; pods by name."""
    found: dict[tuple[Ref, str, str], list[Trouble]] = defaultdict(list)
    for trouble in troubled(facts):
        if trouble.kind in wanted:
            found[trouble.workload, trouble.container.name, trouble.kind].append(trouble)
    for key in sorted(found):
        yield found[key]


def worst(group: list[Trouble]) -> Trouble:
    """The one to show for a group: of the pod that restarted most, the first by name among equals."""
    return min(group, key=lambda t: (-t.container.restarts, t.ref))


def affected(group: list[Trouble]) -> tuple[Ref, ...]:
    """Whom the trouble of a group hurts: its workload and its pods."""
    return (group[0].workload, *sorted({t.ref for t in group}))


def _troubled(facts: Facts) -> tuple[Trouble, ...]:
    found: list[Trouble] = []
    for pod in facts.all(kinds.POD):
        if podstate.terminating(pod) or (podstate.ready(pod) and not _restarted(pod)):
            continue
        ref = ref_of(pod, kinds.POD)
        if not podstate.finished(pod):
            found += _of_pod(facts, ref, pod)
        elif spent.counts(facts, ref, pod):
            found += _of_failed(facts, ref, pod)
    return tuple(_newest_revision(facts, found))


def _restarted(pod: Obj) -> bool:
    sections = ("containerStatuses", "initContainerStatuses")
    return any(s.get("restartCount") for section in sections for s in fields.items(pod, "status", section))


def _of_pod(facts: Facts, ref: Ref, pod: Obj) -> Iterator[Trouble]:
    workload = facts.workload(ref)
    every = [c for c in podstate.containers(pod) if c.role != "ephemeral"]
    if every and _mounting(facts, ref, pod, every):
        yield Trouble(workload, ref, pod, every[0], "mount", {}, False)
        return
    for container in every:
        kind, end, previous = _of_container(facts, ref, pod, container)
        if kind is not None:
            yield Trouble(workload, ref, pod, container, kind, end, previous)


def _of_failed(facts: Facts, ref: Ref, pod: Obj) -> Iterator[Trouble]:
    for container in podstate.containers(pod):
        end = container.terminated
        if container.role != "ephemeral" and end and fields.number(end, "exitCode"):
            kind = _of_end(facts, ref, pod, container, end, False)
            if kind is not None:
                yield Trouble(facts.workload(ref), ref, pod, container, kind, end, False)


def _mounting(facts: Facts, ref: Ref, pod: Obj, every: list[Container]) -> bool:
    """Whether the pod waits for its volumes, before its sandbox and so before any container."""
    begun = any(c.running or c.newest_end or c.waiting_reason not in CALM_WAITING for c in every)
    sandbox = fields.condition(pod, "PodReadyToStartContainers").get("status") == "True"
    if begun or sandbox or not fields.text(pod, "spec", "nodeName"):
        return False
    reasons = {row.reason for row in heard(facts, ref, pod, "", *STOPS_BEFORE_SANDBOX)}
    if reasons:
        return "FailedMount" in reasons
    since = podstate.not_ready_since(pod)
    return since is not None and facts.now - since > podstate.START_UP


Verdict = tuple[Kind | None, Obj, bool]


def _of_container(facts: Facts, ref: Ref, pod: Obj, container: Container) -> Verdict:
    waiting = container.waiting_reason
    if waiting in IMAGE_REASONS:
        return "image", {}, False
    if waiting == "CreateContainerConfigError":
        return "config", {}, False
    if waiting not in CALM_WAITING and waiting != "CrashLoopBackOff":
        return "other", {}, False
    end, previous = _failing_run(facts, ref, pod, container)
    if end:
        return _of_end(facts, ref, pod, container, end, previous), end, previous
    if waiting == "CrashLoopBackOff":
        return "other", {}, False
    if container.role != "init" and container.running and not container.ready:
        if not container.spec.get("readinessProbe") or (
            container.spec.get("startupProbe") and container.status.get("started") is False
        ):
            return "other", {}, False
        return "readiness", {}, False
    return None, {}, False


def _failing_run(facts: Facts, ref: Ref, pod: Obj, container: Container) -> tuple[Obj, bool]:
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


def _of_end(facts: Facts, ref: Ref, pod: Obj, container: Container, end: Obj, previous: bool) -> Kind | None:
    code, reason = fields.number(end, "exitCode"), fields.text(end, "reason")
    if reason == "OOMKilled":
        return "oom" if memory_limit(pod, container)[1] and not _node_ran_out(facts, pod, end) else "other"
    if reason in NEVER_STARTED or reason in {"ContainerStatusUnknown", "Unknown"}:
        return "other"
    killer = killed_by(facts, ref, pod, container, end)
    if killer:
        return "liveness" if killer == "liveness" else "other"
    if facts.scope.namespace is None and _probed_in_vain(facts, ref, pod, container, end):
        return "liveness"
    if code == 0:
        again = container.role != "init" and fields.text(pod, "spec", "restartPolicy") not in {"Never", "OnFailure"}
        return "other" if again and container.restarts else None
    if container.role == "init":
        return "init"
    if code in NO_COMMAND or _wrong_architecture(facts, ref, container, end, previous):
        return "other"
    unheard = code in KILLED and container.spec.get("livenessProbe") and not facts.events(ref)
    return "other" if unheard else "exit"


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


def _node_ran_out(facts: Facts, pod: Obj, end: Obj) -> bool:
    """Whether the kubelet says that the node itself was out of memory when the container was killed."""
    finished = fields.time_at(end, "finishedAt")
    rows = facts.events(Ref("Node", "", fields.text(pod, "spec", "nodeName")), "SystemOOM")
    return any(finished and row.last and abs(row.last - finished) < timedelta(minutes=2) for row in rows)


def log_of(facts: Facts, trouble: Trouble) -> str | None:
    """The log of the run that ended, None where it was not read."""
    return facts.log(trouble.ref.namespace, trouble.ref.name, trouble.container.name, previous=trouble.previous)


def _wrong_architecture(facts: Facts, ref: Ref, container: Container, end: Obj, previous: bool) -> bool:
    log = facts.log(ref.namespace, ref.name, container.name, previous=previous) or ""
    return "exec format error" in log or "exec format error" in fields.text(end, "message")


def _newest_revision(facts: Facts, found: list[Trouble]) -> Iterator[Trouble]:
    """Leaves out pods of an older ReplicaSet where the newest one of their Deployment is in trouble itself."""
    own = {trouble.ref: _revision(facts, revisions.owning(facts, trouble.ref)) for trouble in found}
    ailing: dict[Ref, set[int]] = defaultdict(set)
    for trouble in found:
        ailing[trouble.workload].add(own[trouble.ref])
    for trouble in found:
        newest = _newest(facts, trouble.ref) if len(ailing[trouble.workload]) > 1 else 0
        if newest not in ailing[trouble.workload] or own[trouble.ref] in {0, newest}:
            yield trouble


def _newest(facts: Facts, pod: Ref) -> int:
    """The newest revision of the Deployment above a pod, 0 where there is none."""
    deployment = next((ref for ref in facts.graph.owners(pod) if ref.kind == "Deployment"), None)
    siblings = facts.graph.after(deployment, "owns") if deployment else []
    return max((_revision(facts, ref) for ref in siblings), default=0)


def _revision(facts: Facts, replica_set: Ref | None) -> int:
    return revisions.revision(facts.get(replica_set) or {}) if replica_set else 0
