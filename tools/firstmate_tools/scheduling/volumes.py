"""Where a pod may go because of its volumes: where they are, how many a node can attach, and claims for a single pod.

Rules of kube-scheduler v1.36: plugins volumebinding (the volume's node affinity, a class's allowed topologies),
volumezone (zone labels of a volume), nodevolumelimits (csi.go) and volumerestrictions (ReadWriteOncePod). NOT
evaluated: which free volume an unbound claim would get, and inline volumes of cloud disks.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from firstmate_tools import fields, podstate
from firstmate_tools.fields import Obj
from firstmate_tools.scheduling import predicates
from firstmate_tools.scheduling.capacity import Host
from firstmate_tools.text import plain_word

ONE_POD = "ReadWriteOncePod"
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
_BETA = {
    "failure-domain.beta.kubernetes.io/zone": ZONE,
    "failure-domain.beta.kubernetes.io/region": REGION,
}
_MIGRATED = (
    ("awsElasticBlockStore", "volumeID", "ebs.csi.aws.com"),
    ("gcePersistentDisk", "pdName", "pd.csi.storage.gke.io"),
)
"""In-tree volumes that a CSI driver has taken over; they count as the driver's."""
_IN_TREE = {"kubernetes.io/aws-ebs": "ebs.csi.aws.com", "kubernetes.io/gce-pd": "pd.csi.storage.gke.io"}


@dataclass(frozen=True, slots=True)
class Stores:
    """What is known of storage; nothing where nobody asked.

    Attributes:
        claims: by namespace and name.
        volumes, classes, csi_nodes: by name.
        attachments: the VolumeAttachments.
    """

    claims: dict[tuple[str, str], Obj] = field(default_factory=dict[tuple[str, str], Obj])
    volumes: dict[str, Obj] = field(default_factory=dict[str, Obj])
    classes: dict[str, Obj] = field(default_factory=dict[str, Obj])
    csi_nodes: dict[str, Obj] = field(default_factory=dict[str, Obj])
    attachments: tuple[Obj, ...] = ()


NOTHING = Stores()


@dataclass(frozen=True, slots=True)
class Pin:
    """A volume (or, before there is one, a storage class) that may only be used on some nodes.

    Attributes:
        claim: the claim's name; `volume` the volume's, "" where the class pins.
        storage_class: the class, where it is what pins.
        terms: node selector terms, one of which has to match.
        zones: label values of which a node has to have one, by key.
    """

    claim: str
    volume: str
    storage_class: str
    terms: Obj | None
    zones: dict[str, frozenset[str]]

    def lets(self, labels: dict[str, str], name: str) -> bool:
        if not predicates.satisfies(self.terms, labels, name):
            return False
        if not self.zones or not any(key in labels for key in (ZONE, REGION, *_BETA)):
            return True
        return all((labels.get(key) or labels.get(_BETA.get(key, key))) in values for key, values in self.zones.items())

    def told(self) -> str:
        """`topology.kubernetes.io/zone in eu-west-1a`."""
        parts = [f"{key} in {', '.join(sorted(values))}" for key, values in sorted(self.zones.items())]
        parts += [_told_term(term) for term in fields.items(self.terms, "nodeSelectorTerms")]
        return " or ".join(dict.fromkeys(part for part in parts if part))


@dataclass(frozen=True, slots=True)
class Slots:
    """A node that can attach no more volumes of a driver."""

    driver: str
    limit: int
    used: int
    new: int


@dataclass(frozen=True, slots=True)
class Volumes:
    """What a pod's volumes ask of nodes.

    Attributes:
        pins: those that bind it to some nodes.
        mounts: driver by the volume's unique name, of volumes that a driver attaches.
        attached: the volumes on each node by driver, only of the pod's drivers.
        limits: how many volumes of a driver a node can attach.
        holders: running pods that have a claim of this pod's which only one pod may use.
    """

    pins: tuple[Pin, ...] = ()
    mounts: dict[str, str] = field(default_factory=dict[str, str])
    attached: dict[str, dict[str, set[str]]] = field(default_factory=dict[str, dict[str, set[str]]])
    limits: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    holders: tuple[tuple[str, Obj], ...] = ()

    def elsewhere(self, host: Host) -> tuple[Pin, ...]:
        """The volumes that cannot be used on a node."""
        return tuple(pin for pin in self.pins if not pin.lets(host.labels, host.name))

    def over(self, host: Host) -> Slots | None:
        """The first driver that cannot attach as many more volumes to a node as the pod has."""
        for driver, limit in sorted(self.limits.get(host.name, {}).items()):
            there = self.attached.get(host.name, {}).get(driver, set())
            new = {name for name, its in self.mounts.items() if its == driver} - there
            if new and len(there) + len(new) > limit:
                return Slots(driver, limit, len(there), len(new))
        return None


NO_VOLUMES = Volumes()


def claim_names(pod: Obj) -> list[str]:
    """The claims that a pod mounts, those of its ephemeral volumes included."""
    names: list[str] = []
    for volume in fields.items(pod, "spec", "volumes"):
        name = fields.text(volume, "persistentVolumeClaim", "claimName")
        if not name and fields.at(volume, "ephemeral") is not None:
            name = f"{fields.name_of(pod)}-{fields.text(volume, 'name')}"
        if name:
            names.append(name)
    return names


def volumes_of(pod: Obj, bound: Iterable[Obj], stores: Stores) -> Volumes:
    """What a pod's volumes ask of nodes.

    Args:
        bound: the pods that have nodes and have not ended.
    """
    names = claim_names(pod)
    if not names or not stores.claims:
        return NO_VOLUMES
    namespace = fields.namespace_of(pod)
    claims = {name: stores.claims[namespace, name] for name in names if (namespace, name) in stores.claims}
    mounts = _mounts(pod, stores)
    drivers = set(mounts.values())
    pods = list(bound)
    return Volumes(
        pins=tuple(pin for name, claim in sorted(claims.items()) if (pin := _pin(name, claim, stores)) is not None),
        mounts=mounts,
        attached=_attached(pods, drivers, stores) if drivers and stores.csi_nodes else {},
        limits=_limits(stores, drivers),
        holders=tuple(_holders(pod, claims, pods)),
    )


def _pin(name: str, claim: Obj, stores: Stores) -> Pin | None:
    volume = stores.volumes.get(fields.text(claim, "spec", "volumeName"))
    if volume is not None:
        required = fields.at(volume, "spec", "nodeAffinity", "required")
        terms = fields.mapping(volume, "spec", "nodeAffinity", "required") if isinstance(required, dict) else None
        labels = fields.labels_of(volume)
        zones = {key: frozenset(labels[key].split("__")) for key in (*_BETA, ZONE, REGION) if key in labels}
        return Pin(name, fields.name_of(volume), "", terms, zones) if terms is not None or zones else None
    if fields.text(claim, "spec", "volumeName"):
        return None
    return _pinned_by_class(name, claim, stores)


def _pinned_by_class(name: str, claim: Obj, stores: Stores) -> Pin | None:
    """Where a volume that is still to be made may be, unless a free one of the class stands ready."""
    class_name = class_of(claim)
    storage_class = stores.classes.get(class_name, {})
    allowed = fields.items(storage_class, "allowedTopologies")
    if not allowed or fields.text(storage_class, "volumeBindingMode") != "WaitForFirstConsumer":
        return None
    ready = (v for v in stores.volumes.values() if fields.text(v, "status", "phase") == "Available")
    if any(fields.text(volume, "spec", "storageClassName") == class_name for volume in ready):
        return None
    terms = [
        {"matchExpressions": [{**one, "operator": "In"} for one in fields.items(term, "matchLabelExpressions")]}
        for term in allowed
    ]
    return Pin(name, "", class_name, {"nodeSelectorTerms": terms}, {})


def class_of(claim: Obj) -> str:
    """The storage class that a claim names, in its spec or the way of old."""
    beta = fields.string_map(claim, "metadata", "annotations").get("volume.beta.kubernetes.io/storage-class", "")
    return beta or fields.text(claim, "spec", "storageClassName")


def _told_term(term: Obj) -> str:
    parts: list[str] = []
    for expression in (*fields.items(term, "matchExpressions"), *fields.items(term, "matchFields")):
        operator = fields.text(expression, "operator")
        values = ", ".join(filter(plain_word, fields.strings(expression, "values")))
        parts.append(f"{fields.text(expression, 'key')} {operator.lower()} {values}".strip())
    return " and ".join(parts)


def _mounts(pod: Obj, stores: Stores) -> dict[str, str]:
    """The driver of each of a pod's volumes that one attaches, by the volume's unique name."""
    found: dict[str, str] = {}
    namespace = fields.namespace_of(pod)
    for name in claim_names(pod):
        claim = stores.claims.get((namespace, name))
        if claim is None:
            continue
        driver, handle = _driver(claim, stores)
        if driver and handle:
            found[f"{driver}/{handle}"] = driver
    return found


def _driver(claim: Obj, stores: Stores) -> tuple[str, str]:
    volume = stores.volumes.get(fields.text(claim, "spec", "volumeName"))
    if volume is not None:
        return _driver_of_volume(volume)
    provisioner = fields.text(stores.classes.get(class_of(claim), {}), "provisioner")
    return _IN_TREE.get(provisioner, provisioner), f"{fields.namespace_of(claim)}/{fields.name_of(claim)}"


def _driver_of_volume(volume: Obj) -> tuple[str, str]:
    driver = fields.text(volume, "spec", "csi", "driver")
    if driver:
        return driver, fields.text(volume, "spec", "csi", "volumeHandle")
    for source, key, its in _MIGRATED:
        handle = fields.text(volume, "spec", source, key)
        if handle:
            return its, handle.rpartition("/")[2]
    return "", ""


def _attached(bound: list[Obj], drivers: set[str], stores: Stores) -> dict[str, dict[str, set[str]]]:
    """The volumes that pods on each node use, and those that are attached although no pod there does."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for pod in bound:
        for name, driver in _mounts(pod, stores).items():
            if driver in drivers:
                found[fields.text(pod, "spec", "nodeName")][driver].add(name)
    for attachment in stores.attachments:
        driver, node = fields.text(attachment, "spec", "attacher"), fields.text(attachment, "spec", "nodeName")
        volume = stores.volumes.get(fields.text(attachment, "spec", "source", "persistentVolumeName"))
        if driver in drivers and node and volume is not None:
            found[node][driver].add(f"{driver}/{_driver_of_volume(volume)[1]}")
    return found


def _limits(stores: Stores, drivers: set[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, node in stores.csi_nodes.items():
        for driver in fields.items(node, "spec", "drivers"):
            count = fields.at(driver, "allocatable", "count")
            if isinstance(count, int) and not isinstance(count, bool) and fields.text(driver, "name") in drivers:
                found.setdefault(name, {})[fields.text(driver, "name")] = count
    return found


def _holders(pod: Obj, claims: dict[str, Obj], bound: list[Obj]) -> Iterable[tuple[str, Obj]]:
    single = {name for name, claim in claims.items() if ONE_POD in fields.strings(claim, "spec", "accessModes")}
    namespace = fields.namespace_of(pod)
    for other in bound if single else ():
        if fields.namespace_of(other) == namespace and not podstate.finished(other):
            yield from ((name, other) for name in sorted(single & set(claim_names(other))))
