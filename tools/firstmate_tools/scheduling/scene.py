"""A cluster's nodes and pods made ready once, so that many pods can be held against them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields, podstate
from firstmate_tools.fields import Obj
from firstmate_tools.scheduling.capacity import Host, hosts
from firstmate_tools.scheduling.volumes import NOTHING, Stores


@dataclass(frozen=True, slots=True)
class Scene:
    """Nodes, and the pods that count.

    Attributes:
        hosts: the nodes, by name.
        labels: the nodes' labels, by name.
        bound: pods on known nodes that have not ended.
        crowds: the same, those of one namespace and the same labels together.
        repelling: those of them whose spec tells of affinity, by namespace and what it tells: replicas tell the same.
        by_namespace: all pods, bound or not.
        stores: what is known of claims and volumes.
        places: the labels of namespaces by name, None where they are not known.
        now: the cluster's clock.
    """

    hosts: tuple[Host, ...]
    labels: dict[str, dict[str, str]]
    bound: list[Obj]
    crowds: list[list[Obj]]
    repelling: list[list[Obj]]
    by_namespace: dict[str, list[Obj]]
    now: datetime
    stores: Stores = NOTHING
    places: dict[str, dict[str, str]] | None = None

    @staticmethod
    def of(
        nodes: Iterable[Obj],
        pods: Iterable[Obj],
        now: datetime,
        stores: Stores = NOTHING,
        places: dict[str, dict[str, str]] | None = None,
    ) -> "Scene":
        """The scene of a cluster.

        Args:
            nodes: all of them.
            pods: of all namespaces, or as many as are known.
            now: by which a terminating pod is within its grace period or not.
            stores, places: see the attributes.
        """
        every = list(pods)
        ready = tuple(hosts(nodes, every, now))
        labels = {host.name: host.labels for host in ready}
        bound = [p for p in every if fields.text(p, "spec", "nodeName") in labels and not podstate.finished(p)]
        by_namespace: dict[str, list[Obj]] = defaultdict(list)
        for pod in every:
            by_namespace[fields.namespace_of(pod)].append(pod)
        repelling: dict[tuple[str, str], list[Obj]] = defaultdict(list)
        crowds: dict[tuple[str, frozenset[tuple[str, str]]], list[Obj]] = defaultdict(list)
        for pod in bound:
            crowds[fields.namespace_of(pod), frozenset(fields.labels_of(pod).items())].append(pod)
            affinity = fields.mapping(pod, "spec").get("affinity")
            if affinity:
                repelling[fields.namespace_of(pod), repr(affinity)].append(pod)
        return Scene(
            ready,
            labels,
            bound,
            list(crowds.values()),
            list(repelling.values()),
            dict(by_namespace),
            now,
            stores,
            places,
        )
