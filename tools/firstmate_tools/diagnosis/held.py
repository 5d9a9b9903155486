"""Pods that have a node and wait for their volumes there, and what is said about each volume. Pure.

Called by the rules about attaching and mounting. A volume goes by the name that events give it: the PersistentVolume's
where a claim stands between, else the one in the pod's spec (GenerateMsg in pkg/volume/util/operationexecutor, v1.36).
Drivers and other controllers that write such events may name it as the pod does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import claims, lib
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.heard import lately
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

SAID = ("FailedAttachVolume", "FailedMount", "FailedMapVolume")
WRAPPER = "Unable to attach or mount volumes"
"""How the kubelet begins when it only says that it gave up (pkg/kubelet/volumemanager/volume_manager.go, v1.36)."""
SOON = timedelta(seconds=5)
"""How long a pod may wait in silence before somebody looks at how its claims' volumes are attached."""
SHARED = frozenset({"ReadWriteMany", "ReadOnlyMany"})


@dataclass(frozen=True, slots=True)
class Held:
    """One volume of one pod that waits.

    Attributes:
        name: what events call the volume.
        claim: whose volume it is, None where the pod's spec names it outright.
        spec: the entry in the pod's spec.
        said: what is said about it, newest first; `errors` are those of lately.
    """

    pod: Obj
    ref: Ref
    workload: Ref
    node: str
    name: str
    claim: Ref | None
    spec: Obj
    said: tuple[EventRow, ...]
    errors: tuple[EventRow, ...]

    @property
    def volume(self) -> Ref:
        return Ref("PersistentVolume", "", self.name)

    @property
    def target(self) -> Ref:
        """What a person mends where the volume itself is at fault."""
        return self.claim or self.workload


def held(facts: Facts) -> tuple[Held, ...]:
    """Every volume of every pod in scope that waits for its volumes, by pod."""
    return facts.derived(_held)


def waiting_pods(facts: Facts) -> Iterator[tuple[Ref, Obj, list[EventRow]]]:
    """The pods in scope that have a node and no sandbox yet, with what is said about their volumes."""
    for pod in lib.unsettled(facts):
        ref = ref_of(pod, kinds.POD)
        if not _before_sandbox(pod):
            continue
        rows = [row for row in facts.events(ref, *SAID) if row.about_uid in {"", fields.uid_of(pod)}]
        since = podstate.not_ready_since(pod)
        patience = (
            SOON if any(claims.claim_of(ref, v) for v in fields.items(pod, "spec", "volumes")) else podstate.START_UP
        )
        if rows or (since is not None and facts.now - since > patience):
            yield ref, pod, rows


def _before_sandbox(pod: Obj) -> bool:
    if podstate.finished(pod) or podstate.terminating(pod) or not fields.text(pod, "spec", "nodeName"):
        return False
    if podstate.ready(pod) or fields.condition(pod, "PodReadyToStartContainers").get("status") == "True":
        return False
    every = [c for c in podstate.containers(pod) if c.role != "ephemeral"]
    calm = {"", "ContainerCreating", "PodInitializing"}
    return bool(every) and not any(c.running or c.newest_end or c.waiting_reason not in calm for c in every)


def _held(facts: Facts) -> tuple[Held, ...]:
    found: list[Held] = []
    for ref, pod, rows in waiting_pods(facts):
        for spec in fields.items(pod, "spec", "volumes"):
            claim = claims.claim_of(ref, spec)
            name = claims.volume_of(facts.get(claim) or {}) if claim else fields.text(spec, "name")
            if not name:
                continue
            names = (f'"{name}"', f'"{fields.text(spec, "name")}"')
            said = tuple(row for row in rows if any(one in row.message for one in names))
            errors = tuple(row for row in said if lately(facts, row))
            node = fields.text(pod, "spec", "nodeName")
            found.append(Held(pod, ref, facts.workload(ref), node, name, claim, spec, said, errors))
    return tuple(found)


def attachments(facts: Facts, volume: str) -> list[Obj]:
    """The VolumeAttachments of a volume, by name."""
    every = facts.everywhere(kinds.VOLUME_ATTACHMENT)
    return [one for one in every if fields.text(one, "spec", "source", "persistentVolumeName") == volume]


def attached(one: Obj) -> bool:
    return fields.flag(one, "status", "attached")


def node_of(one: Obj) -> str:
    return fields.text(one, "spec", "nodeName")


def single_node(facts: Facts, one: Held) -> bool:
    """Whether a volume can be attached to one node at a time."""
    holder = facts.get(one.volume) or (facts.get(one.claim) if one.claim else None) or {}
    modes = fields.strings(holder, "spec", "accessModes")
    return bool(modes) and not SHARED & set(modes)


def others(facts: Facts, one: Held) -> list[Obj]:
    """The pods on other nodes that use the same claim, gone ones left out and those that are going not."""
    if one.claim is None:
        return []
    found = [facts.get(pod) for pod in facts.graph.after(one.claim, "mounts") if pod != one.ref]
    return [
        pod
        for pod in found
        if pod is not None and not podstate.finished(pod) and fields.text(pod, "spec", "nodeName") not in {"", one.node}
    ]
