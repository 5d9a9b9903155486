"""The two ends of a connection, as a NetworkPolicy sees them. Pure."""

from dataclasses import dataclass, field

from firstmate_tools import fields, podstate
from firstmate_tools.fields import Obj

NAME_LABEL = "kubernetes.io/metadata.name"
"""The label that every namespace bears (https://kubernetes.io/docs/reference/labels-annotations-taints/)."""


def _none() -> dict[tuple[str, str], int]:
    return {}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod, a pod that a template would make, or an address outside the cluster.

    Attributes:
        namespace: "" for what lies outside the cluster.
        labels: of the pod.
        namespace_labels: None where they were not read; the name label is then still known.
        address: an IP address, "" where it is not known.
        ports: numbers of the container ports by name and protocol.
        host_network: such a pod has its node's address: no policy selects it, and no selector finds it.
        partial: whether it may have labels beside those that are given, so that a missing one proves nothing.
    """

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    namespace_labels: dict[str, str] | None = None
    address: str = ""
    ports: dict[tuple[str, str], int] = field(default_factory=_none)
    host_network: bool = False
    partial: bool = False

    @property
    def is_pod(self) -> bool:
        return bool(self.namespace)


def of_pod(pod: Obj, namespace: str, namespace_labels: dict[str, str] | None = None) -> Endpoint:
    """The endpoint of a pod, or of a pod template.

    Args:
        pod: a pod or a template: something with `metadata.labels` and `spec`.
        namespace: where it stands; templates do not say it.
        namespace_labels: None where they were not read.
    """
    ports = {
        (fields.text(port, "name"), fields.text(port, "protocol") or "TCP"): fields.number(port, "containerPort")
        for container in podstate.containers(pod)
        if container.role in {"app", "sidecar"}
        for port in fields.items(container.spec, "ports")
        if fields.text(port, "name")
    }
    return Endpoint(
        namespace=namespace,
        labels=fields.labels_of(pod),
        namespace_labels=namespace_labels,
        address=fields.text(pod, "status", "podIP"),
        ports=ports,
        host_network=fields.flag(pod, "spec", "hostNetwork"),
    )
