"""What is wrong with a container, decided in one place: each container in trouble has exactly one kind of trouble.

The rules about images, configuration, containers and probes start from `troubled` and take the kinds that are theirs;
`other` is trouble that no rule of today knows, kept so that nobody mistakes it for something that they do know. What a
reason for waiting means stands in `starting`, what an end means in `ends`. Pure.

What a kubelet writes is that of v1.36: reasons of pkg/kubelet/kuberuntime/kuberuntime_container.go and
pkg/kubelet/images/types.go, events of pkg/kubelet/events/event.go, kills of kuberuntime_manager.go (computePodActions).
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import ends, lib, logsigns, revisions, spent, starting
from firstmate_tools.diagnosis.ends import memory_limit as memory_limit
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.heard import heard, lately
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref, ref_of

Kind = Literal["mount", "readiness"] | ends.Kind

LOGGED: frozenset[Kind] = frozenset({"arch", "command", "port", "volume", "shm", "files"})
"""Kinds that a log may show."""
UNTOLD: frozenset[Kind] = frozenset({"exit", "init", "readiness", "other"})
"""Kinds that a log, once it is read, may turn into one of those."""
STOPS_BEFORE_SANDBOX = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedSync")
RUNS_ON = 3
"""Lines of one sign from which a program that runs, and is not ready, is believed."""


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


def has_run(facts: Facts) -> bool:
    """Whether a container that ran, or runs, is in trouble of a kind that another program's absence may explain."""
    return any(one.kind in UNTOLD and (one.end or one.container.running) for one in troubled(facts))


def _troubled(facts: Facts) -> tuple[Trouble, ...]:
    found: list[Trouble] = []
    for pod in lib.unsettled(facts):
        if podstate.terminating(pod) or (podstate.ready(pod) and not _restarted(pod)):
            continue
        ref = ref_of(pod, kinds.POD)
        if not podstate.finished(pod):
            found += _of_pod(facts, ref, pod)
        elif spent.counts(facts, ref, pod):
            found += _of_failed(facts, ref, pod)
    return tuple(_newest_revision(facts, _shared(facts, found)))


def _restarted(pod: Obj) -> bool:
    sections = ("containerStatuses", "initContainerStatuses")
    return any(s.get("restartCount") for section in sections for s in fields.items(pod, "status", section))


def _of_pod(facts: Facts, ref: Ref, pod: Obj) -> Iterator[Trouble]:
    workload = facts.workload(ref)
    every = [c for c in podstate.containers(pod) if c.role != "ephemeral"]
    whole = _before_any(facts, ref, pod, every) if every else None
    if whole is not None:
        yield Trouble(workload, ref, pod, every[0], whole, {}, False)
        return
    for container in every:
        kind, end, previous = _of_container(facts, ref, pod, container)
        if kind is not None:
            yield Trouble(workload, ref, pod, container, kind, end, previous)


def _of_failed(facts: Facts, ref: Ref, pod: Obj) -> Iterator[Trouble]:
    for container in podstate.containers(pod):
        end = container.terminated
        if container.role != "ephemeral" and end and fields.number(end, "exitCode"):
            kind = ends.kind_of(facts, ref, pod, container, end, False)
            if kind is not None:
                yield Trouble(facts.workload(ref), ref, pod, container, kind, end, False)


def _before_any(facts: Facts, ref: Ref, pod: Obj, every: list[Container]) -> Kind | None:
    """What stops a pod before its sandbox, and so before any container; None where nothing does."""
    begun = any(c.running or c.newest_end or c.waiting_reason not in starting.CALM_WAITING for c in every)
    sandbox = fields.condition(pod, "PodReadyToStartContainers").get("status") == "True"
    if begun or sandbox or not fields.text(pod, "spec", "nodeName"):
        return None
    rows = heard(facts, ref, pod, "", *STOPS_BEFORE_SANDBOX)
    sandboxes = [row for row in rows if row.reason == "FailedCreatePodSandBox" and lately(facts, row)]
    if any(starting.low_memory(row.message) for row in sandboxes) and any(memory_limit(pod, c)[1] for c in every):
        return "lowmem"
    if rows and rows[0].reason == "FailedCreatePodSandBox":
        return None
    if rows:
        return "mount" if any(row.reason == "FailedMount" for row in rows) else None
    since = podstate.not_ready_since(pod)
    return "mount" if since is not None and facts.now - since > podstate.START_UP else None


Verdict = tuple[Kind | None, Obj, bool]


def _of_container(facts: Facts, ref: Ref, pod: Obj, container: Container) -> Verdict:
    stopped = starting.of_waiting(facts, ref, pod, container)
    if stopped is not None:
        return stopped, {}, False
    end, previous = ends.failing_run(facts, ref, pod, container)
    if end:
        return ends.kind_of(facts, ref, pod, container, end, previous), end, previous
    if container.waiting_reason == "CrashLoopBackOff":
        return "other", {}, False
    if container.role != "init" and container.running and not container.ready:
        return _of_running(facts, ref, container), {}, False
    return None, {}, False


def _of_running(facts: Facts, ref: Ref, container: Container) -> Kind:
    """What is wrong with a container that runs and is not ready."""
    log = facts.log(ref.namespace, ref.name, container.name) or ""
    told = logsigns.repeated(log.splitlines(), container, RUNS_ON) if log else None
    if told is not None and told.sign not in {"arch", "command"}:
        return told.sign
    starts = container.spec.get("startupProbe") and container.status.get("started") is False
    return "other" if starts or not container.spec.get("readinessProbe") else "readiness"


def _shared(facts: Facts, found: list[Trouble]) -> list[Trouble]:
    """The same with what the log of one pod shows said of its siblings too, whose logs nobody read."""
    shown: dict[tuple[Ref, str, int], Kind] = {}
    for one in found:
        if one.kind in LOGGED and log_of(facts, one) is not None:
            shown.setdefault(_alike(one), one.kind)
    return [
        replace(one, kind=shown[_alike(one)])
        if one.kind in UNTOLD and _alike(one) in shown and log_of(facts, one) is None
        else one
        for one in found
    ]


def _alike(one: Trouble) -> tuple[Ref, str, int]:
    return one.workload, one.container.name, fields.number(one.end, "exitCode")


def log_of(facts: Facts, trouble: Trouble) -> str | None:
    """The log of the run that ended, None where it was not read."""
    return facts.log(trouble.ref.namespace, trouble.ref.name, trouble.container.name, previous=trouble.previous)


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
