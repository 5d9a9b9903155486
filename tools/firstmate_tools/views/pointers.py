"""What points at an object: who mounts, names, selects, routes to, scales, guards or is owned by it. Pure.

`readers_of` says which lists can hold such an object, so that only those are read; `points` decides of one of them.
"""

from firstmate_tools import fields, kinds
from firstmate_tools.fields import Obj
from firstmate_tools.graph import TEMPLATED, referenced
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.selectors import matches, matches_map

_PODS = (
    kinds.POD,
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.CRON_JOB,
)
_GUARDS = (kinds.SERVICE, kinds.POD_DISRUPTION_BUDGET, kinds.NETWORK_POLICY)
_SCALED = (*_GUARDS, kinds.HORIZONTAL_POD_AUTOSCALER)
_READERS: dict[str, tuple[Kind, ...]] = {
    "ConfigMap": _PODS,
    "PersistentVolumeClaim": _PODS,
    "ServiceAccount": (*_PODS, kinds.ROLE_BINDING, kinds.CLUSTER_ROLE_BINDING),
    "Service": (
        kinds.INGRESS,
        kinds.STATEFUL_SET,
        kinds.VALIDATING_WEBHOOK,
        kinds.MUTATING_WEBHOOK,
        kinds.API_SERVICE,
    ),
    "Deployment": _SCALED,
    "StatefulSet": _SCALED,
    "ReplicaSet": _SCALED,
    "DaemonSet": _GUARDS,
    "Pod": _GUARDS,
    "Role": (kinds.ROLE_BINDING,),
    "ClusterRole": (kinds.ROLE_BINDING, kinds.CLUSTER_ROLE_BINDING),
    "StorageClass": (kinds.PERSISTENT_VOLUME_CLAIM,),
    "IngressClass": (kinds.INGRESS,),
    "CronJob": (kinds.JOB,),
}
_OWNED = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.REPLICA_SET, kinds.JOB, kinds.POD)


def readers_of(kind: Kind) -> tuple[Kind, ...]:
    """The kinds among which something may point at an object of this kind."""
    if kinds.by_api_version(kind.api_version, kind.kind) is not None:
        return _READERS.get(kind.kind, ())
    return (*_OWNED, kinds.HORIZONTAL_POD_AUTOSCALER) if kind.namespaced else ()


def points(kind: Kind, other: Obj, asked: Obj, ref: Ref) -> bool:
    """Whether another object points at the one that was asked about.

    Args:
        kind: of the other.
        asked, ref: the object and its address.
    """
    if controller_of(other) == ref:
        return True
    if kind == kinds.POD or kind in TEMPLATED or kind == kinds.CRON_JOB:
        if ref.kind == "Service":
            return kind == kinds.STATEFUL_SET and fields.text(other, "spec", "serviceName") == ref.name
        return _names(_template(kind, other), ref)
    if kind == kinds.HORIZONTAL_POD_AUTOSCALER:
        target = fields.mapping(other, "spec", "scaleTargetRef")
        return (fields.text(target, "kind"), fields.text(target, "name")) == (ref.kind, ref.name)
    if kind in _GUARDS:
        return _selects(kind, other, _labels(asked, ref))
    if kind == kinds.INGRESS:
        return _routes(other, ref)
    if kind in {kinds.ROLE_BINDING, kinds.CLUSTER_ROLE_BINDING}:
        return _binds(other, ref)
    if kind == kinds.PERSISTENT_VOLUME_CLAIM:
        return fields.text(other, "spec", "storageClassName") == ref.name
    return _serves(other, ref)


def _template(kind: Kind, obj: Obj) -> Obj:
    if kind == kinds.POD:
        return obj
    if kind == kinds.CRON_JOB:
        return fields.mapping(obj, "spec", "jobTemplate", "spec", "template")
    return fields.mapping(obj, "spec", "template")


def _names(template: Obj, ref: Ref) -> bool:
    if ref.kind == "ServiceAccount":
        return (fields.text(template, "spec", "serviceAccountName") or "default") == ref.name
    return (ref.kind, ref.name) in referenced(template)


def _labels(asked: Obj, ref: Ref) -> dict[str, str]:
    """The labels of the pods that are meant: a pod's own, or those of a workload's template."""
    if ref.kind == "Pod":
        return fields.labels_of(asked)
    return fields.string_map(asked, "spec", "template", "metadata", "labels")


def _selects(kind: Kind, other: Obj, labels: dict[str, str]) -> bool:
    if kind == kinds.SERVICE:
        return matches_map(fields.string_map(other, "spec", "selector"), labels)
    path = "podSelector" if kind == kinds.NETWORK_POLICY else "selector"
    return matches(fields.at(other, "spec", path), labels)


def _routes(ingress: Obj, ref: Ref) -> bool:
    if ref.kind == "IngressClass":
        return fields.text(ingress, "spec", "ingressClassName") == ref.name
    backends = [fields.mapping(ingress, "spec", "defaultBackend")]
    for rule in fields.items(ingress, "spec", "rules"):
        backends += [fields.mapping(path, "backend") for path in fields.items(rule, "http", "paths")]
    return any(fields.text(backend, "service", "name") == ref.name for backend in backends)


def _binds(binding: Obj, ref: Ref) -> bool:
    if ref.kind == "ServiceAccount":
        return any(
            (fields.text(one, "kind"), fields.text(one, "namespace") or fields.namespace_of(binding))
            == ("ServiceAccount", ref.namespace)
            and fields.text(one, "name") == ref.name
            for one in fields.items(binding, "subjects")
        )
    return (fields.text(binding, "roleRef", "kind"), fields.text(binding, "roleRef", "name")) == (ref.kind, ref.name)


def _serves(other: Obj, ref: Ref) -> bool:
    """Whether a webhook configuration or an APIService sends its requests to a Service."""
    services = [fields.mapping(hook, "clientConfig", "service") for hook in fields.items(other, "webhooks")]
    services.append(fields.mapping(other, "spec", "service"))
    return any(
        (fields.text(one, "namespace"), fields.text(one, "name")) == (ref.namespace, ref.name) for one in services
    )


def users(found: list[tuple[Kind, Obj]]) -> list[Ref]:
    """The addresses of what points at something, sorted; a pod stands for its controller, which a person edits."""
    workloads = {ref_of(obj, kind) for kind, obj in found if kind != kinds.POD}
    refs = set(workloads)
    for kind, obj in found:
        if kind == kinds.POD:
            owner = controller_of(obj)
            # A ReplicaSet's or Job's pods are those of the Deployment or CronJob that was found by its template.
            above = next((w for w in workloads if owner and owner.name.startswith(f"{w.name}-")), None)
            refs.add(above or owner or ref_of(obj, kind))
    return sorted(refs)
