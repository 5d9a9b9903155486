"""Nodes that a pod may not share with the pods that are there: required pod affinity, anti-affinity, host ports.

Rules of kube-scheduler v1.36, plugins interpodaffinity (filtering.go) and nodeports (node_ports.go). Terms with a
namespaceSelector of their own are taken to be satisfied, because namespaces' labels are not known here, and so are
anti-affinity terms of running pods whose spec was not kept whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from firstmate_tools import fields, podstate, selectors
from firstmate_tools.fields import Obj
from firstmate_tools.scheduling.capacity import Host
from firstmate_tools.scheduling.scene import Scene

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
Domain = tuple[str, str]
"""A topology key and a node's value of it."""
Port = tuple[str, str, int]
"""Address, protocol, number."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the pods of a cluster mean for one pod.

    Attributes:
        shunned: domains that anti-affinity, of the pod or against it, closes.
        wanted: for each affinity term its topology key.
        met: domains in which some pod matches all affinity terms.
        first: whether the pod may be the first of those that it wants to be with.
        ports: the pod's host ports.
        used: the host ports of the nodes that have such pods, by node.
    """

    shunned: frozenset[Domain]
    wanted: tuple[str, ...]
    met: frozenset[Domain]
    first: bool
    ports: tuple[Port, ...]
    used: dict[str, list[Port]]

    def keep_off(self, host: Host) -> bool:
        """Whether the pods that are there keep the pod off a node."""
        if self.shunned and any(domain in self.shunned for domain in host.labels.items()):
            return True
        if any(key not in host.labels for key in self.wanted):
            return True
        alone = any((key, host.labels[key]) not in self.met for key in self.wanted)
        if alone and not (self.first and not self.met):
            return True
        return any(_conflict(mine, theirs) for mine in self.ports for theirs in self.used.get(host.name, []))


NOBODY = Neighbours(frozenset(), (), frozenset(), False, (), {})


def neighbours(pod: Obj, scene: Scene) -> Neighbours:
    """What bound pods mean for a pod that has no node."""
    apart, together = _terms(pod, "podAntiAffinity"), _terms(pod, "podAffinity")
    ports = tuple(_host_ports(pod))
    shunned: set[Domain] = set()
    met: set[Domain] = set()
    used: dict[str, list[Port]] = {}
    for other in scene.bound if apart or together or ports else ():
        node = fields.text(other, "spec", "nodeName")
        labels = scene.labels[node]
        shunned |= _domains(apart, pod, other, labels)
        if together and all(_matches(term, pod, other) for term in together):
            met |= {(key, labels[key]) for key in map(_key, together) if key in labels}
        if ports:
            used.setdefault(node, []).extend(_host_ports(other))
    for other in scene.repelling:
        labels = scene.labels[fields.text(other, "spec", "nodeName")]
        shunned |= _domains(_terms(other, "podAntiAffinity"), other, pod, labels)
    return Neighbours(
        shunned=frozenset(shunned),
        wanted=tuple(_key(term) for term in together),
        met=frozenset(met),
        first=all(_matches(term, pod, pod) for term in together),
        ports=ports,
        used=used,
    )


def _terms(pod: Obj, kind: str) -> list[Obj]:
    """The required terms of a kind that can be evaluated here."""
    found = fields.items(pod, "spec", "affinity", kind, _REQUIRED)
    return [term for term in found if not fields.mapping(term, "namespaceSelector") and _key(term)]


def _key(term: Obj) -> str:
    return fields.text(term, "topologyKey")


def _matches(term: Obj, owner: Obj, other: Obj) -> bool:
    """Whether a term of one pod speaks of another. Without namespaces it speaks of its own, with `{}` of all."""
    everywhere = fields.at(term, "namespaceSelector") is not None
    named = fields.strings(term, "namespaces")
    places = named or [fields.namespace_of(owner)]
    if not everywhere and fields.namespace_of(other) not in places:
        return False
    return selectors.matches(fields.at(term, "labelSelector"), fields.labels_of(other))


def _domains(terms: list[Obj], owner: Obj, other: Obj, labels: dict[str, str]) -> set[Domain]:
    """The domains around a node of these labels that one pod's anti-affinity against another closes."""
    return {(_key(t), labels[_key(t)]) for t in terms if _key(t) in labels and _matches(t, owner, other)}


def _host_ports(pod: Obj) -> Iterable[Port]:
    for container in podstate.containers(pod):
        if container.role in {"app", "sidecar"}:
            for port in fields.items(container.spec, "ports"):
                number = fields.number(port, "hostPort")
                if number > 0:
                    address = fields.text(port, "hostIP") or "0.0.0.0"  # noqa: S104 - what Kubernetes takes it for
                    yield address, fields.text(port, "protocol") or "TCP", number


def _conflict(mine: Port, theirs: Port) -> bool:
    return mine[1:] == theirs[1:] and (mine[0] == theirs[0] or "0.0.0.0" in (mine[0], theirs[0]))  # noqa: S104
