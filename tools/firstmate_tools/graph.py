"""The object graph: who owns, selects, hosts and routes to whom.

Built from observed objects alone; an edge to an object that was not observed is kept by its address. Edges are stored
in the direction in which trouble travels, so that what a fault reaches is what can be walked to:

    owns       Deployment → ReplicaSet → Pod, CronJob → Job → Pod
    hosts      Node → Pod
    selects    Pod → Service, and workload → Service by its pod template (there may be no pod yet)
    routes     Service → Ingress
    mounts     ConfigMap, Secret, PersistentVolumeClaim, ServiceAccount → Pod (by what the pod's spec names)
    scales     HorizontalPodAutoscaler → workload
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from firstmate_tools import fields, kinds
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.selectors import matches_map

Edge = Literal["owns", "hosts", "selects", "routes", "mounts", "scales"]
EDGES: tuple[Edge, ...] = get_args(Edge)

TEMPLATED = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.REPLICA_SET, kinds.JOB)
"""Kinds with a pod template at spec.template."""
LINKED = frozenset({kinds.POD, kinds.SERVICE, kinds.INGRESS, kinds.HORIZONTAL_POD_AUTOSCALER, *TEMPLATED})
"""Kinds that a graph links by more than their owners."""
_HOLDS: dict[str, tuple[Edge, ...]] = {
    "PersistentVolumeClaim": ("mounts",),
    "ConfigMap": ("mounts",),
    "ServiceAccount": ("mounts",),
    "HorizontalPodAutoscaler": ("scales",),
}
"""Kinds whose users belong to a question about them."""
_ONE_OF_MANY = frozenset({"Node", "NodeClaim"})
"""Kinds whose owner (Karpenter's NodePool) has others of their kind, which are no concern of theirs."""


class Graph:
    """Typed edges between addresses, with the walks that rules and the engine need."""

    def __init__(self) -> None:
        # Plain lists: with sets, the edges of ten thousand pods take twice the time and four times the memory.
        self._out: dict[Edge, dict[Ref, list[Ref]]] = {edge: {} for edge in EDGES}
        self._in: dict[Edge, dict[Ref, list[Ref]]] = {edge: {} for edge in EDGES}

    def link(self, edge: Edge, source: Ref, target: Ref) -> None:
        self._out[edge].setdefault(source, []).append(target)
        self._in[edge].setdefault(target, []).append(source)

    def after(self, ref: Ref, *edges: Edge) -> list[Ref]:
        """Where edges lead from here, sorted."""
        return _ends(self._out, ref, edges)

    def before(self, ref: Ref, *edges: Edge) -> list[Ref]:
        """Whose edges lead here, sorted."""
        return _ends(self._in, ref, edges)

    def reach(self, starts: Iterable[Ref], *edges: Edge) -> set[Ref]:
        """Everything that can be walked to along these edges, the starts included."""
        seen = set(starts)
        queue = list(seen)
        while queue:
            for target in self.after(queue.pop(), *edges):
                if target not in seen:
                    seen.add(target)
                    queue.append(target)
        return seen

    def owners(self, ref: Ref) -> Iterator[Ref]:
        """The controllers above an object, nearest first."""
        seen = {ref}
        while above := [owner for owner in self.before(ref, "owns") if owner not in seen]:
            ref = above[0]
            seen.add(ref)
            yield ref

    def workload(self, ref: Ref) -> Ref:
        """The topmost controller above an object; the object itself where it has none. Nodes own no workload."""
        top = ref
        for owner in self.owners(ref):
            if owner.kind == "Node" or top.kind == "Node":
                break
            top = owner
        return top

    def related(self, ref: Ref) -> set[Ref]:
        """What belongs to a question about one object: its owners, what they own and claim, what selects and routes to
        those.

        A Service's or Ingress's backends belong to it, other Services of the same pods do not.
        """
        seeds = {ref}
        if ref.kind == "Ingress":
            seeds |= set(self.before(ref, "routes"))
        backends = {b for seed in seeds for b in self.before(seed, "selects")}
        hosted = set(self.after(ref, "hosts", *_HOLDS.get(ref.kind, ())))
        family = seeds | backends | hosted
        for member in [member for member in family if member.kind not in _ONE_OF_MANY]:
            family |= set(self.owners(member))
        family = self.reach(family, "owns")
        if ref.kind in _ONE_OF_MANY:
            family |= set(self.owners(ref))
        family |= {c for member in family for c in self.before(member, "mounts") if c.kind == "PersistentVolumeClaim"}
        return family | self.reach(seeds if ref.kind in {"Service", "Ingress"} else family, "selects", "routes")

    @staticmethod
    def over(objects: Mapping[str, Sequence[Obj]]) -> "Graph":
        """The graph of observed objects.

        Args:
            objects: by kind name.
        """
        graph = Graph()
        for kind, found in objects.items():
            for obj in found:
                owner = controller_of(obj)
                if owner is not None:
                    graph.link("owns", owner, ref_of(obj, kind))
        _link_services(graph, objects)
        _link_ingresses(graph, objects.get("Ingress", []))
        for autoscaler in objects.get("HorizontalPodAutoscaler", []):
            target = scale_target(autoscaler)
            if target is not None:
                graph.link("scales", ref_of(autoscaler, kinds.HORIZONTAL_POD_AUTOSCALER), target)
        for pod in objects.get("Pod", []):
            _link_pod(graph, pod)
        return graph


def _ends(links: dict[Edge, dict[Ref, list[Ref]]], ref: Ref, edges: tuple[Edge, ...]) -> list[Ref]:
    if len(edges) == 1:  # most pods have one owner, one node, one Service
        found = links[edges[0]].get(ref, ())
        return sorted(set(found)) if len(found) > 1 else list(found)
    return sorted({end for edge in edges for end in links[edge].get(ref, ())})


def scale_target(autoscaler: Obj) -> Ref | None:
    """What a HorizontalPodAutoscaler scales, None where it does not say."""
    named = fields.mapping(autoscaler, "spec", "scaleTargetRef")
    kind, name = fields.text(named, "kind"), fields.text(named, "name")
    return Ref(kind, fields.namespace_of(autoscaler), name) if kind and name else None


def template_labels(obj: Obj) -> dict[str, str]:
    """The labels that a workload's pods get."""
    return fields.string_map(obj, "spec", "template", "metadata", "labels")


def _link_services(graph: Graph, objects: Mapping[str, Sequence[Obj]]) -> None:
    """Indexed by one pair of each selector, so that a namespace of n pods and m Services is not n times m."""
    services = [(s, fields.string_map(s, "spec", "selector")) for s in objects.get("Service", [])]
    first = [(fields.namespace_of(service), *pair) for service, sel in services for pair in sorted(sel.items())[:1]]
    backends: dict[tuple[str, str, str], list[tuple[Ref, dict[str, str]]]] = {pair: [] for pair in first}
    keys: dict[str, set[str]] = defaultdict(set)
    for namespace, key, _ in first:
        keys[namespace].add(key)
    for kind, labels_of in ((kinds.POD, fields.labels_of), *((kind, template_labels) for kind in TEMPLATED)):
        for obj in objects.get(kind.kind, []):
            namespace = fields.namespace_of(obj)
            if namespace in keys:
                labels = labels_of(obj)
                for pair in {(namespace, key, labels.get(key, "")) for key in keys[namespace]} & backends.keys():
                    backends[pair].append((ref_of(obj, kind), labels))
    for service, selector in services:
        for pair in sorted(selector.items())[:1]:
            for ref, labels in backends[fields.namespace_of(service), *pair]:
                if matches_map(selector, labels):
                    graph.link("selects", ref, ref_of(service, "Service"))


def _link_ingresses(graph: Graph, ingresses: Sequence[Obj]) -> None:
    for ingress in ingresses:
        backends = [fields.mapping(ingress, "spec", "defaultBackend")]
        for rule in fields.items(ingress, "spec", "rules"):
            backends += [fields.mapping(path, "backend") for path in fields.items(rule, "http", "paths")]
        for name in {fields.text(backend, "service", "name") for backend in backends} - {""}:
            graph.link("routes", Ref("Service", fields.namespace_of(ingress), name), ref_of(ingress, "Ingress"))


def _link_pod(graph: Graph, pod: Obj) -> None:
    ref, namespace = ref_of(pod, "Pod"), fields.namespace_of(pod)
    node = fields.text(pod, "spec", "nodeName")
    if node:
        graph.link("hosts", Ref("Node", "", node), ref)
    account = fields.text(pod, "spec", "serviceAccountName")
    if account:
        graph.link("mounts", Ref("ServiceAccount", namespace, account), ref)
    for kind, name in referenced(pod):
        graph.link("mounts", Ref(kind, namespace, name), ref)


_VOLUME_SOURCES = (
    ("ConfigMap", "configMap", "name"),
    ("Secret", "secret", "secretName"),
    ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
)
_ENV_SOURCES = (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef"))
_ENV_FROM_SOURCES = (("ConfigMap", "configMapRef"), ("Secret", "secretRef"))


def referenced(pod: Obj) -> set[tuple[str, str]]:
    """Kind and name of what a pod's spec names: volumes (projected ones too), environment, pull secrets.

    Args:
        pod: a pod or a pod template.
    """
    found = {("Secret", fields.text(entry, "name")) for entry in fields.items(pod, "spec", "imagePullSecrets")}
    for volume in fields.items(pod, "spec", "volumes"):
        found |= {(kind, fields.text(volume, source, key)) for kind, source, key in _VOLUME_SOURCES}
        if fields.mapping(volume, "ephemeral") and fields.name_of(pod):
            found.add(("PersistentVolumeClaim", f"{fields.name_of(pod)}-{fields.text(volume, 'name')}"))
        for source in fields.items(volume, "projected", "sources"):
            found |= {("ConfigMap", fields.text(source, "configMap", "name"))}
            found |= {("Secret", fields.text(source, "secret", "name"))}
    for section in ("initContainers", "containers"):
        for container in fields.items(pod, "spec", section):
            for entry in fields.items(container, "env"):
                found |= {(kind, fields.text(entry, "valueFrom", source, "name")) for kind, source in _ENV_SOURCES}
            for entry in fields.items(container, "envFrom"):
                found |= {(kind, fields.text(entry, source, "name")) for kind, source in _ENV_FROM_SOURCES}
    return {(kind, name) for kind, name in found if name}
