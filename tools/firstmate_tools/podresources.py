"""What a pod asks for in all: requests and limits added up as Kubernetes adds them; pure functions over plain objects.

Used by the scheduling and admission evaluators. Amounts are thousandths of a unit by resource name. The sums follow
k8s.io/component-helpers resource/helpers.go (v0.36, PodRequests and PodLimits): init containers run one after another
beside the native sidecars that started before them, so that the largest moment counts; resources set for the pod as a
whole replace the sums of its containers; the runtime's overhead comes on top.
"""

from collections.abc import Iterable

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import is_sidecar
from firstmate_tools.quantity import milli

Amounts = dict[str, int]
"""Thousandths of a unit, by resource name."""


def amounts(obj: object, *path: str) -> Amounts:
    """The quantities of the object at a path; entries that are no quantities are left out."""
    found: Amounts = {}
    for name, text in fields.mapping(obj, *path).items():
        value = milli(text)
        if value is not None:
            found[name] = value
    return found


def container_requests(container: Obj) -> Amounts:
    """A container's requests; where it only has limits, those, as the API server fills them in for pods.

    Source: SetDefaults_Pod, pkg/apis/core/v1/defaults.go (v1.36).
    """
    return {**amounts(container, "resources", "limits"), **amounts(container, "resources", "requests")}


def container_limits(container: Obj) -> Amounts:
    return amounts(container, "resources", "limits")


def pod_requests(pod: Obj, *, overhead: bool = True) -> Amounts:
    """What a node has to have free for the pod.

    Args:
        pod: a pod, or a pod template.
        overhead: whether to count the overhead of its runtime class.
    """
    spec = fields.mapping(pod, "spec")
    total = _summed(
        [(container_requests(c), False) for c in fields.items(spec, "containers")],
        [(container_requests(c), is_sidecar(c)) for c in fields.items(spec, "initContainers")],
    )
    if "resources" in spec:
        total.update(_pod_level_requests(spec, total))
    return plus(total, amounts(spec, "overhead")) if overhead and "overhead" in spec else total


def pod_limits(pod: Obj) -> Amounts:
    """The limits of a pod or pod template in all, without overhead."""
    spec = fields.mapping(pod, "spec")
    total = _summed(
        [(container_limits(c), False) for c in fields.items(spec, "containers")],
        [(container_limits(c), is_sidecar(c)) for c in fields.items(spec, "initContainers")],
    )
    return {**total, **_pod_level(amounts(spec, "resources", "limits"))}


def plus(left: Amounts, right: Amounts) -> Amounts:
    """The sum, resource by resource."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def _summed(apps: list[tuple[Amounts, bool]], inits: list[tuple[Amounts, bool]]) -> Amounts:
    """Adds up containers (what each asks for, whether it is a sidecar); init containers in their order of start."""
    running = _total(amount for amount, _ in apps)
    if not inits:
        return running
    sidecars: Amounts = {}
    peak: Amounts = {}
    for amount, sidecar in inits:
        moment = plus(sidecars, amount)
        if sidecar:
            running, sidecars = plus(running, amount), moment
        peak = _larger(peak, moment)
    return _larger(running, peak)


def _total(every: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for amount in every:
        for name, value in amount.items():
            total[name] = total.get(name, 0) + value
    return total


def _larger(left: Amounts, right: Amounts) -> Amounts:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {**left, **right}}


def _pod_level(found: Amounts) -> Amounts:
    """Only what may be set for a pod as a whole: CPU, memory and huge pages."""
    return {name: value for name, value in found.items() if name in {"cpu", "memory"} or name.startswith("hugepages-")}


def _pod_level_requests(spec: Obj, containers: Amounts) -> Amounts:
    """Pod-level requests; a pod-level limit stands in where neither the pod nor a container requests the resource."""
    limits = _pod_level(amounts(spec, "resources", "limits"))
    filled = {name: value for name, value in limits.items() if name not in containers}
    return {**filled, **_pod_level(amounts(spec, "resources", "requests"))}
