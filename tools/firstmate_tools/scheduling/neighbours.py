"""Nodes that a pod may not share with the pods that are there: required pod affinity, anti-affinity, host ports.

Rules of kube-scheduler v1.36, plugins interpodaffinity (filtering.go) and nodeports (node_ports.go). A term with a
namespaceSelector is left out (taken to be satisfied) where the namespaces' labels are not known.
"""

from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields, podstate, selectors
from firstmate_tools.fields import Obj
from firstmate_tools.scheduling.capacity import Host
from firstmate_tools.scheduling.scene import Scene

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
APART, SHUNNED, ALONE, PORTS = "anti-affinity", "anti-affinity of others", "affinity", "host ports"
"""Why pods that are there keep one off a node: its own anti-affinity, theirs, no partner there, a host port taken."""
Domain = tuple[str, str]
"""A topology key and a node's value of it."""


@dataclass(frozen=True, slots=True)
class Port:
    """A host port; `address` is 0.0.0.0 for all of the node's."""

    address: str
    protocol: str
    number: int

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"

    def conflicts(self, other: "Port") -> bool:
        same = self.address == other.address or _ANY in (self.address, other.address)
        return same and (self.protocol, self.number) == (other.protocol, other.number)


_ANY = "0.0.0.0"  # noqa: S104 - what Kubernetes takes an absent hostIP for


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the pods of a cluster mean for one pod.

    Attributes:
        apart: domains that the pod's own anti-affinity closes, each with the pods that do.
        shunned: domains that anti-affinity against it closes, likewise.
        wanted: the affinity terms, `met` the domains in which some pod matches all of them, with those pods.
        first: whether the pod may be the first of those that it wants to be with.
        ports: the pod's host ports.
        used: the host ports of the nodes that have such pods, by node, each with its pod.
    """

    apart: dict[Domain, list[Obj]]
    shunned: dict[Domain, list[Obj]]
    wanted: tuple[Obj, ...]
    met: dict[Domain, list[Obj]]
    first: bool
    ports: tuple[Port, ...]
    used: dict[str, list[tuple[Port, Obj]]]

    def keep_off(self, host: Host) -> tuple[str, ...]:
        """What of the pods that are there keeps the pod off a node; () where they would have it."""
        found: list[str] = []
        if self.apart and any(domain in self.apart for domain in host.labels.items()):
            found.append(APART)
        if self.shunned and any(domain in self.shunned for domain in host.labels.items()):
            found.append(SHUNNED)
        if self.wanted and not self._accompanied(host):
            found.append(ALONE)
        if self.ports and self.taken(host):
            found.append(PORTS)
        return tuple(found)

    def _accompanied(self, host: Host) -> bool:
        keys = [key_of(term) for term in self.wanted]
        if any(key not in host.labels for key in keys):
            return False
        return all((key, host.labels[key]) in self.met for key in keys) or (self.first and not self.met)

    def taken(self, host: Host) -> list[tuple[Port, Obj]]:
        """The pod's host ports that others hold on a node, with who does."""
        theirs = self.used.get(host.name, [])
        return [(port, pod) for mine in self.ports for port, pod in theirs if mine.conflicts(port)]

    def leaving(self, host: Host, now: datetime) -> bool:
        """Whether all that keeps the pod off a node is pods that end within their grace period."""
        blockers = [*self.closing(host), *(pod for _, pod in self.taken(host))]
        ends = [fields.time_at(pod, "metadata", "deletionTimestamp") for pod in blockers]
        return bool(ends) and all(end is not None and end >= now for end in ends)

    def closing(self, host: Host) -> list[Obj]:
        """The pods whose presence, by anti-affinity of either side, closes a node."""
        domains = host.labels.items()
        return [pod for shut in (self.apart, self.shunned) for domain in domains for pod in shut.get(domain, ())]


NOBODY = Neighbours({}, {}, (), {}, False, (), {})


def neighbours(pod: Obj, scene: Scene) -> Neighbours:
    """What bound pods mean for a pod that has no node."""
    apart, together = _terms(pod, "podAntiAffinity", scene), _terms(pod, "podAffinity", scene)
    ports = host_ports(pod)
    closed: dict[Domain, list[Obj]] = {}
    shunned: dict[Domain, list[Obj]] = {}
    met: dict[Domain, list[Obj]] = {}
    used: dict[str, list[tuple[Port, Obj]]] = {}
    for alike in scene.crowds if apart or together else ():
        _add(closed, {key_of(t) for t in apart if speaks_of(t, pod, alike[0], scene)}, alike, scene)
        if together and all(speaks_of(term, pod, alike[0], scene) for term in together):
            _add(met, {key_of(term) for term in together}, alike, scene)
    for other in scene.bound if ports else ():
        held = host_ports(other)
        if held:
            used.setdefault(_node(other), []).extend((port, other) for port in held)
    for alike in scene.repelling:
        terms = _terms(alike[0], "podAntiAffinity", scene)
        _add(shunned, {key_of(t) for t in terms if speaks_of(t, alike[0], pod, scene)}, alike, scene)
    return Neighbours(
        apart=closed,
        shunned=shunned,
        wanted=tuple(together),
        met=met,
        first=all(speaks_of(term, pod, pod, scene) for term in together),
        ports=tuple(ports),
        used=used,
    )


def required_terms(pod: Obj, kind: str) -> list[Obj]:
    """The required terms of `podAffinity` or `podAntiAffinity` that name a topology key."""
    return [term for term in fields.items(pod, "spec", "affinity", kind, _REQUIRED) if key_of(term)]


def selects_places(pod: Obj) -> bool:
    """Whether a required term of a pod chooses namespaces by their labels."""
    kinds = ("podAffinity", "podAntiAffinity")
    return any(fields.mapping(term, "namespaceSelector") for kind in kinds for term in required_terms(pod, kind))


def _terms(pod: Obj, kind: str, scene: Scene) -> list[Obj]:
    """The required terms of a kind that can be evaluated here."""
    known = scene.places is not None
    return [term for term in required_terms(pod, kind) if known or not fields.mapping(term, "namespaceSelector")]


def key_of(term: Obj) -> str:
    return fields.text(term, "topologyKey")


def speaks_of(term: Obj, owner: Obj, other: Obj, scene: Scene) -> bool:
    """Whether a term of one pod speaks of another. Without namespaces it speaks of its own, with `{}` of all."""
    place = fields.namespace_of(other)
    chosen = fields.at(term, "namespaceSelector")
    named = fields.strings(term, "namespaces")
    if chosen is None:
        inside = place in (named or [fields.namespace_of(owner)])
    elif chosen == {}:
        inside = True
    else:
        inside = place in named or selectors.matches(chosen, (scene.places or {}).get(place, {}))
    return inside and selectors.matches(fields.at(term, "labelSelector"), fields.labels_of(other))


def _node(pod: Obj) -> str:
    return fields.text(pod, "spec", "nodeName")


def _add(domains: dict[Domain, list[Obj]], keys: set[str], pods: list[Obj], scene: Scene) -> None:
    """Notes pods under the domains of these topology keys that they are in."""
    for pod in pods if keys else ():
        labels = scene.labels[_node(pod)]
        for key in keys:
            if key in labels:
                domains.setdefault((key, labels[key]), []).append(pod)


def host_ports(pod: Obj) -> list[Port]:
    """The host ports of a pod's containers and native sidecars."""
    found: list[Port] = []
    sidecars = filter(podstate.is_sidecar, fields.items(pod, "spec", "initContainers"))
    for container in (*sidecars, *fields.items(pod, "spec", "containers")):
        for port in fields.items(container, "ports"):
            number = fields.number(port, "hostPort")
            if number > 0:
                protocol = fields.text(port, "protocol") or "TCP"
                found.append(Port(fields.text(port, "hostIP") or _ANY, protocol, number))
    return found
