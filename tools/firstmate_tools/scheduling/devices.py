"""Devices that plugins advertise on nodes (GPUs and others): which nodes should offer one, and do not. Pure.

Names of resources and labels: the device plugins of NVIDIA, AMD, Intel and AWS Neuron, GPU feature discovery, EKS,
Karpenter and GKE.
"""

import re

from firstmate_tools import fields
from firstmate_tools.podresources import amounts
from firstmate_tools.scheduling.capacity import Host

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
_LABELS = (
    "nvidia.com/gpu.present",
    "nvidia.com/gpu.count",
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "k8s.amazonaws.com/accelerator",
    "eks.amazonaws.com/instance-gpu-count",
    "eks.amazonaws.com/instance-gpu-name",
    "karpenter.k8s.aws/instance-gpu-count",
    "karpenter.k8s.aws/instance-gpu-name",
    "karpenter.k8s.aws/instance-accelerator-count",
    "cloud.google.com/gke-accelerator",
)
_AWS_GPU = re.compile(r"(p\d|g\d|gr\d|trn\d|inf\d)[a-z0-9-]*\.")
"""Instance types of EC2 that have GPUs or Neuron devices."""


def is_extended(resource: str) -> bool:
    """Whether a resource is one that a device plugin or an operator advertises, such as `nvidia.com/gpu`."""
    return "/" in resource and not resource.startswith("kubernetes.io/")


def is_accelerator(resource: str) -> bool:
    """Whether a resource is a GPU, a slice of one, or another accelerator."""
    domain, _, name = resource.partition("/")
    return "gpu" in name or domain == "nvidia.com" or "neuron" in name or domain == "habana.ai"


def ill_devices(host: Host, resource: str) -> int:
    """How much of a device a node counts as its capacity and does not offer, because it is unhealthy (in thousandths).

    Source: the kubelet's device manager, v1.36 (pkg/kubelet/cm/devicemanager/manager.go, GetCapacity).
    """
    return max(0, amounts(host.node, "status", "capacity").get(resource, 0) - host.offer(resource))


def promise(host: Host, resource: str, offering: frozenset[str]) -> str:
    """What about a node that offers none of a device says that it has some; "" where nothing does.

    Args:
        offering: instance types of nodes that do offer it.
    """
    if host.offer(resource) > 0:
        return ""
    if resource in fields.mapping(host.node, "status", "capacity"):
        shown = fields.at(host.node, "status", "capacity", resource)
        return f"status.capacity[{resource}]: {shown}"
    kind = host.labels.get(INSTANCE_TYPE, "")
    if kind and kind in offering:
        return f"instance type {kind}, as nodes that do offer it"
    if is_accelerator(resource):
        for label in _LABELS:
            if host.labels.get(label, "false") not in {"false", "0"}:
                return f"label {label}={host.labels[label]}"
        if _AWS_GPU.match(kind):
            return f"instance type {kind}"
    return ""
