"""ResourceQuotas against a pod: which count it, what they demand of it, and whether there is room.

Source: pkg/quota/v1/evaluator/core/pods.go and plugin/pkg/admission/resourcequota (k8s.io/apiserver
admission/plugin/resourcequota/controller.go), v1.36. Only what concerns pods; quotas of other objects are left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.admission.defaults import containers
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, amounts, plus, pod_limits, pod_requests
from firstmate_tools.selectors import expression_holds

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_DEMANDED = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
"""What a quota demands of every container, by the resource that it limits; others are not demanded."""


@dataclass(frozen=True, slots=True)
class Over:
    """One resource of a quota that has no room for a pod; amounts in thousandths."""

    resource: str
    requested: int
    used: int
    hard: int


def usage(pod: Obj) -> Amounts:
    """What a pod counts for in quotas, by the quotas' resource names."""
    requests, limits = pod_requests(pod), pod_limits(pod)
    found: Amounts = {"pods": 1000, "count/pods": 1000}
    for name, amount in requests.items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            found[name] = amount
        found[f"requests.{name}"] = amount
    for name, amount in limits.items():
        if name in _COMPUTE:
            found[f"limits.{name}"] = amount
    return found


def of_pods(resource: str) -> bool:
    """Whether a quota's resource counts pods or what pods ask for, and not other objects or storage."""
    storage = resource == "requests.storage" or ".storageclass." in resource
    return not storage and (
        resource in {"pods", "count/pods", "cpu", "memory", "ephemeral-storage"}
        or resource.startswith(("requests.", "limits.", "hugepages-"))
    )


def hard(quota: Obj) -> Amounts:
    """What a quota allows: as the controller has taken it over, else as it is written."""
    return amounts(quota, "status", "hard") or amounts(quota, "spec", "hard")


def counts(quota: Obj, pod: Obj) -> bool:
    """Whether a quota's scopes take a pod in."""
    expressions = fields.items(quota, "spec", "scopeSelector", "matchExpressions")
    plain: list[Obj] = [{"scopeName": s, "operator": "Exists"} for s in fields.strings(quota, "spec", "scopes")]
    return all(_in_scope(scope, pod) for scope in (*plain, *expressions))


def _in_scope(scope: Obj, pod: Obj) -> bool:
    name = fields.text(scope, "scopeName")
    ends = fields.at(pod, "spec", "activeDeadlineSeconds")
    if name in {"Terminating", "NotTerminating"}:
        return (ends is not None) == (name == "Terminating")
    if name in {"BestEffort", "NotBestEffort"}:
        return best_effort(pod) == (name == "BestEffort")
    if name == "PriorityClass":
        priority = fields.text(pod, "spec", "priorityClassName")
        return expression_holds({**scope, "key": name}, {name: priority} if priority else {})
    return name == "CrossNamespacePodAffinity" and _crosses_namespaces(pod)


def best_effort(pod: Obj) -> bool:
    """Whether no container asks for CPU or memory, which makes the pod's quality of service BestEffort."""
    every = [*containers(pod), fields.mapping(pod, "spec")]
    stated = [amounts(one, "resources", part) for one in every for part in ("requests", "limits")]
    return not any(stated_of.get(name) for stated_of in stated for name in ("cpu", "memory"))


def _crosses_namespaces(pod: Obj) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = fields.mapping(pod, "spec", "affinity", kind)
        terms = fields.items(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
        preferred = fields.items(affinity, "preferredDuringSchedulingIgnoredDuringExecution")
        terms += [fields.mapping(term, "podAffinityTerm") for term in preferred]
        if any(fields.strings(t, "namespaces") or fields.at(t, "namespaceSelector") is not None for t in terms):
            return True
    return False


def exceeded(quota: Obj, asks: Amounts) -> list[Over]:
    """The resources in which a quota has no room for what is asked.

    Args:
        asks: `usage` of a pod, or amounts by the quota's resource names.
    """
    allowed, used = hard(quota), amounts(quota, "status", "used")
    total = plus(used, asks)
    return [
        Over(name, asks[name], used.get(name, 0), allowed[name])
        for name in sorted(allowed)
        if name in asks and total[name] > allowed[name]
    ]


def undemanded(quota: Obj, pod: Obj) -> dict[str, list[str]]:
    """What a quota demands and a pod's containers do not state: container names by the quota's resource name.

    A pod with resources of its own (pod-level) meets every demand.
    """
    own = fields.mapping(pod, "spec", "resources")
    if any(fields.mapping(own, part).get(name) for part in ("requests", "limits") for name in ("cpu", "memory")):
        return {}
    missing: dict[str, list[str]] = {}
    for resource in sorted(hard(quota)):
        if resource in _DEMANDED:
            part, name = _DEMANDED[resource]
            lacking = [c for c in containers(pod) if name not in fields.mapping(c, "resources", part)]
            if lacking:
                missing[resource] = sorted(fields.text(c, "name") for c in lacking)
    return missing


def first(quotas: Iterable[Obj], name: str) -> list[Obj]:
    """The quotas by name, the one that a refusal names first."""
    return sorted(quotas, key=lambda quota: (fields.name_of(quota) != name, fields.name_of(quota)))
