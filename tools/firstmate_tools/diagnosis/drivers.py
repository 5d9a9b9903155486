"""Whether whoever makes, attaches and grows volumes of a class runs in the cluster. Pure; called by the storage rules.

A provisioner is looked for among workloads: by its full name in a container's arguments or environment, else by what
its name and theirs have in common. That finds too much rather than too little: a driver that seems to run is no fault.
Drivers that clouds run on their own machines leave no workload behind, and are never said to be missing.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.lib import count
from firstmate_tools.diagnosis.rule import ListWant, Want
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

HOME = "kube-system"
RUNS_AS = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET)
READS = (Read(kinds.CSI_DRIVER, ("list",)), *(Read(kind, ("list",)) for kind in RUNS_AS))
ELSEWHERE = frozenset(
    {
        "blob.csi.azure.com",
        "disk.csi.azure.com",
        "dobs.csi.digitalocean.com",
        "docker.io/hostpath",
        "ebs.csi.eks.amazonaws.com",
        "file.csi.azure.com",
        "filestore.csi.storage.gke.io",
        "k8s.io/minikube-hostpath",
        "pd.csi.storage.gke.io",
    }
)
"""Drivers whose controllers are no workload of the cluster (EKS Auto Mode, GKE, AKS, DigitalOcean), or a bare pod."""
IN_CLUSTER = frozenset({"ebs.csi.aws.com", "efs.csi.aws.com", "fsx.csi.aws.com"})
"""Drivers that always run as workloads of the cluster: without one, their CSIDriver object is what an add-on left."""
_EVERYWHERE = frozenset(
    {
        *("amazonaws", "aws", "cloud", "cluster", "com", "csi", "dev", "driver", "eks", "external", "k8s"),
        *("kubernetes", "net", "org", "plugin", "provisioner", "storage", "subdir", "system"),
    }
)
"""Parts of drivers' names that tell none from another."""
_OF_STORAGE = re.compile(r"csi|provision|storage|nfs|hostpath")

State = Literal["runs", "down", "absent", "unknown"]


@dataclass(frozen=True, slots=True)
class Driver:
    """What is known of a driver.

    Attributes:
        workloads: what seems to run its controller, by address.
        registered: whether there is a CSIDriver object of its name; None where nobody looked.
    """

    name: str
    state: State
    workloads: tuple[tuple[Ref, Obj], ...]
    registered: bool | None


def wanted(facts: Facts, names: Iterable[str]) -> Iterator[Want]:
    """What has to be read to find these drivers: first where add-ons live, then everywhere."""
    sought = [name for name in names if name and name not in ELSEWHERE]
    if not sought:
        return
    yield ListWant(kinds.CSI_DRIVER)
    yield ListWant(kinds.DEPLOYMENT, HOME)
    if facts.knows(kinds.DEPLOYMENT, HOME) and not all(_found(facts, name) for name in sought):
        for kind in RUNS_AS:
            yield ListWant(kind)


def driver(facts: Facts, name: str) -> Driver:
    """What is known of the driver of a name."""
    found = tuple(_found(facts, name))
    looked = facts.knows(kinds.CSI_DRIVER)
    registered = facts.get(Ref("CSIDriver", "", name)) is not None if looked else None
    return Driver(name, _state(facts, name, found, registered), found, registered)


def _state(facts: Facts, name: str, found: tuple[tuple[Ref, Obj], ...], registered: bool | None) -> State:
    if name in ELSEWHERE or not name:
        return "unknown"
    if any(_ready(obj) for _, obj in found):
        return "runs"
    if found:
        return "down"
    whole = all(facts.knows(kind) for kind in RUNS_AS)
    return "absent" if whole and registered is not None else "unknown"


def _ready(workload: Obj) -> int:
    status = fields.mapping(workload, "status")
    return fields.number(status, "readyReplicas") or fields.number(status, "numberReady")


def _found(facts: Facts, name: str) -> list[tuple[Ref, Obj]]:
    """The workloads that seem to run a driver's controller: those that say so, else those of a like name."""
    every = [(ref_of(obj, kind), obj) for kind in RUNS_AS for obj in facts.everywhere(kind)]
    every = [(ref, obj) for ref, obj in every if ref.kind != "DaemonSet" or "provisioner" in _words(ref, obj)]
    telling = [(ref, obj) for ref, obj in every if name in _settings(obj)]
    return telling or [(ref, obj) for ref, obj in every if _is_like(name, ref, obj)]


def _is_like(name: str, ref: Ref, obj: Obj) -> bool:
    words = _words(ref, obj)
    return bool(_OF_STORAGE.search(words)) and any(token in words for token in _tokens(name))


def _tokens(name: str) -> set[str]:
    """What is peculiar in a driver's name: `ebs` of ebs.csi.aws.com."""
    parts = re.split(r"[^a-z0-9]+", name.lower().removeprefix("cluster.local/"))
    return {part for part in parts if len(part) > 2} - _EVERYWHERE


def _words(ref: Ref, obj: Obj) -> str:
    parts = [ref.namespace, ref.name]
    for container in _containers(obj):
        parts += [fields.text(container, "name"), _image(container)]
    return " ".join(parts).lower()


def _image(container: Obj) -> str:
    """An image without its registry, which may be called after a cloud or a storage product."""
    return fields.text(container, "image").partition("/")[2] or fields.text(container, "image")


def _settings(obj: Obj) -> set[str]:
    """Words that a workload's containers are given, split where a flag's value begins."""
    given: set[str] = set()
    for container in _containers(obj):
        words = [*fields.strings(container, "command"), *fields.strings(container, "args")]
        words += [fields.text(variable, "value") for variable in fields.items(container, "env")]
        given |= {part for word in words for part in (word, word.partition("=")[2])}
    return given - {""}


def _containers(obj: Obj) -> list[Obj]:
    return fields.items(obj, "spec", "template", "spec", "containers")


def may_run_elsewhere(driver: Driver) -> bool:
    """Whether a driver without a workload is registered, so that a cloud may run its controller on its own machines."""
    return driver.state == "absent" and bool(driver.registered) and driver.name not in IN_CLUSTER


def how_it_is(driver: Driver) -> str:
    """`deployment/ebs-csi-controller in kube-system has 0 of 2 pods ready`, "nothing in the cluster runs it"."""
    if driver.workloads:
        ref, obj = driver.workloads[0]
        wants = fields.number(obj, "spec", "replicas", default=1)
        if ref.kind == "DaemonSet":
            wants = fields.number(obj, "status", "desiredNumberScheduled")
        if not wants:
            return f"{ref} in {ref.namespace} is scaled to 0"
        return f"{ref} in {ref.namespace} has {_ready(obj)} of {count(wants, 'pod')} ready"
    known = "" if driver.registered else " and no CSIDriver object has its name"
    return f"no workload in the cluster runs it{known}"
