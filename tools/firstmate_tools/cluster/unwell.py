"""Which container logs are worth keeping: a pure choice over pods as they were read.

The recorder asks it for every pod. Must never choose by what a log says: nothing has been read yet.
"""

from dataclasses import dataclass

from firstmate_tools import fields, podstate
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container

from .base import LogRequest

WELL = 4
"""The rank of what runs well."""


@dataclass(frozen=True, slots=True, order=True)
class DueLog:
    """A container whose log should be read; the worst sort first.

    Attributes:
        rank: 0 for a container that failed or keeps failing, 1 for one that does not get ready, 2 for one that was
            restarted and is well now, 3 for one of a control plane that runs as pods, or of the cluster's DNS, 4 for
            one that runs well: what it says of others may tell, where there is room for it.
        runs: -1 times its restarts, so that more restarts come first.
        previous: whether it has an earlier run to read, too.
    """

    rank: int
    runs: int
    namespace: str
    pod: str
    container: str
    previous: bool = False

    def requests(self) -> list[LogRequest]:
        """What to read: its log, and that of its run before."""
        runs = (False, True) if self.previous else (False,)
        return [LogRequest(self.namespace, self.pod, self.container, previous=run) for run in runs]


def due_logs(pod: Obj) -> list[DueLog]:
    """The containers of a pod that have a log worth keeping, those that look unwell before those that run well.

    Unwell is what was restarted, waits, is not ready, or ended with an error. A finished pod's containers that ended
    well, and those that wait without ever having run, are left out.
    """
    due: list[DueLog] = []
    for container in podstate.containers(pod):
        rank = _rank(pod, container)
        if rank is None:
            continue
        ran_before = bool(container.restarts or container.last_terminated)
        runs_now = bool(container.running or container.terminated)
        if ran_before or runs_now:
            due.append(
                DueLog(
                    rank,
                    -container.restarts,
                    fields.namespace_of(pod),
                    fields.name_of(pod),
                    container.name,
                    previous=ran_before,
                )
            )
    return due


def _rank(pod: Obj, container: Container) -> int | None:
    ended_well = bool(container.terminated) and fields.number(container.terminated, "exitCode") == 0
    if container.terminated and not ended_well:
        return 0
    if container.waiting:
        return 0 if container.restarts or container.last_terminated else 1
    if container.last_terminated and fields.number(container.last_terminated, "exitCode") != 0:
        return 0 if not container.ready else 2
    if not ended_well and not container.ready and container.role in ("app", "sidecar") and not podstate.finished(pod):
        return 1
    if container.restarts:
        return 2
    return 3 if _serves_the_cluster(pod) else WELL if container.running and container.ready else None


def _serves_the_cluster(pod: Obj) -> bool:
    """Whether a pod is an API server or etcd, as kubeadm labels them, or cluster DNS: only logs tell what fails."""
    labels = fields.labels_of(pod)
    own = labels.get("tier") == "control-plane" and labels.get("component") in {"kube-apiserver", "etcd"}
    return (own or labels.get("k8s-app") == "kube-dns") and fields.namespace_of(pod) == "kube-system"
