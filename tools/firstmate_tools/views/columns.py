"""The status columns of a list, by kind: what tells how an object stands. Pure.

For built-in kinds the columns that kubectl's users know (pkg/printers/internalversion/printers.go, v1.36), fewer and
under names of our own; for custom resources those that their definition asks for; for all others phase, the usual
conditions and counts.
"""

from collections.abc import Callable, Iterator

from firstmate_tools import fields, kinds, nodestate, podstate, rollout
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.text import shorten
from firstmate_tools.views import jsonpath

Columns = Iterator[tuple[str, str]]
MOST_VALUE = 100
MOST_COLUMNS = 8
_TELLING_CONDITIONS = ("Ready", "Available", "Healthy", "Synced", "Established", "Accepted", "Complete", "Failed")


def status_columns(obj: Obj, kind: Kind, definition: Obj | None = None) -> dict[str, str]:
    """Columns by name, empty ones left out.

    Args:
        definition: the CustomResourceDefinition of the kind, where it has one and it could be read.
    """
    own = _BY_KIND.get((kind.group, kind.kind))
    if own is not None:
        pairs = own(obj)
    elif definition is not None and (paths := printer_columns(definition, kind.version)):
        pairs = ((name, jsonpath.column(obj, path)) for name, path in paths)
    else:
        pairs = _generic(obj)
    columns = {name: shorten(value, MOST_VALUE) for name, value in pairs if value}
    if fields.text(obj, "metadata", "deletionTimestamp"):
        waits = ", ".join(fields.strings(obj, "metadata", "finalizers"))
        columns["deleting"] = shorten(f"waits for {waits}" if waits else "yes", MOST_VALUE)
    return columns


def printer_columns(definition: Obj, version: str) -> list[tuple[str, str]]:
    """Names and JSONPaths of the columns that are always shown, without ages (every row has its own)."""
    versions = fields.items(definition, "spec", "versions")
    found = next((v for v in versions if v.get("name") == version), None)
    return [
        (fields.text(column, "name"), fields.text(column, "jsonPath"))
        for column in fields.items(found, "additionalPrinterColumns")
        if fields.number(column, "priority") == 0
        and fields.text(column, "jsonPath") != ".metadata.creationTimestamp"
        and fields.text(column, "name")
    ][:MOST_COLUMNS]


def _generic(obj: Obj) -> Columns:
    yield "phase", fields.text(obj, "status", "phase")
    yield "type", fields.text(obj, "spec", "type") or fields.text(obj, "type")
    if fields.at(obj, "spec", "replicas") is not None:
        yield "ready", f"{fields.number(obj, 'status', 'readyReplicas')}/{fields.number(obj, 'spec', 'replicas')}"
    for type_ in _TELLING_CONDITIONS:
        yield from _condition(obj, type_)


def _condition(obj: Obj, type_: str) -> Columns:
    found = fields.condition(obj, type_)
    shown, reason = fields.text(found, "status"), fields.text(found, "reason")
    yield type_, f"{shown} ({reason})" if reason and shown and shown != "True" else shown


def _pod(obj: Obj) -> Columns:
    ready, wanted = podstate.ready_counts(obj)
    yield "ready", f"{ready}/{wanted}"
    yield "status", podstate.status_text(obj)
    yield "restarts", str(podstate.restarts(obj))
    yield "node", fields.text(obj, "spec", "nodeName")


def _node(obj: Obj) -> Columns:
    ready = fields.condition(obj, "Ready").get("status") == "True"
    cordoned = ",SchedulingDisabled" if fields.flag(obj, "spec", "unschedulable") else ""
    yield "status", f"{'Ready' if ready else 'NotReady'}{cordoned}"
    yield "version", fields.text(obj, "status", "nodeInfo", "kubeletVersion")
    yield "problems", "; ".join(nodestate.problems(obj))


def _workload(kind: Kind) -> Callable[[Obj], Columns]:
    def columns(obj: Obj) -> Columns:
        standing = rollout.standing(kind, obj)
        if kind == kinds.CRON_JOB:
            yield "schedule", fields.text(obj, "spec", "schedule")
            yield "active", str(standing.ready)
            yield "last", fields.text(obj, "status", "lastScheduleTime")
        else:
            yield "ready", f"{standing.ready}/{standing.desired}"
        yield "state", standing.state

    return columns


def _replica_set(obj: Obj) -> Columns:
    yield "ready", f"{fields.number(obj, 'status', 'readyReplicas')}/{fields.number(obj, 'spec', 'replicas')}"
    number = rollout.revision_number(obj)
    yield "revision", str(number) if number else ""
    failure = fields.condition(obj, "ReplicaFailure")
    yield "failure", fields.text(failure, "message") if failure.get("status") == "True" else ""


def _service(obj: Obj) -> Columns:
    yield "type", fields.text(obj, "spec", "type")
    yield "clusterIP", fields.text(obj, "spec", "clusterIP") or fields.text(obj, "spec", "externalName")
    ingress = fields.items(obj, "status", "loadBalancer", "ingress")
    addresses = [fields.text(one, "hostname") or fields.text(one, "ip") for one in ingress]
    pending = fields.text(obj, "spec", "type") == "LoadBalancer" and not addresses
    yield "external", "pending" if pending else ",".join(addresses)
    yield "ports", ",".join(_port(port) for port in fields.items(obj, "spec", "ports"))
    selector = fields.string_map(obj, "spec", "selector")
    yield "selector", ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or "none"


def _port(port: Obj) -> str:
    target = port.get("targetPort")
    shown = f"{port.get('port', '')}"
    return f"{shown}→{target}" if target not in {None, port.get("port")} and isinstance(target, int | str) else shown


def _ingress(obj: Obj) -> Columns:
    yield "class", fields.text(obj, "spec", "ingressClassName")
    yield "hosts", ",".join(fields.text(rule, "host") or "*" for rule in fields.items(obj, "spec", "rules"))
    ingress = fields.items(obj, "status", "loadBalancer", "ingress")
    yield "address", ",".join(fields.text(one, "hostname") or fields.text(one, "ip") for one in ingress) or "none"


def _slice(obj: Obj) -> Columns:
    endpoints = fields.items(obj, "endpoints")
    ready = sum(1 for one in endpoints if fields.at(one, "conditions", "ready") is not False)
    yield "service", fields.labels_of(obj).get("kubernetes.io/service-name", "")
    yield "ready", f"{ready}/{len(endpoints)}"
    yield "ports", ",".join(str(port.get("port", "")) for port in fields.items(obj, "ports")) or "none"


def _config_map(obj: Obj) -> Columns:
    yield "keys", ", ".join(sorted({*fields.mapping(obj, "data"), *fields.mapping(obj, "binaryData")})) or "none"


def _claim(obj: Obj) -> Columns:
    yield "status", fields.text(obj, "status", "phase")
    yield "volume", fields.text(obj, "spec", "volumeName")
    capacity = fields.text(obj, "status", "capacity", "storage")
    yield "capacity", capacity or fields.text(obj, "spec", "resources", "requests", "storage")
    yield "class", fields.text(obj, "spec", "storageClassName")


def _volume(obj: Obj) -> Columns:
    yield "status", fields.text(obj, "status", "phase")
    yield "capacity", fields.text(obj, "spec", "capacity", "storage")
    claim = fields.mapping(obj, "spec", "claimRef")
    yield "claim", f"{fields.text(claim, 'namespace')}/{fields.text(claim, 'name')}" if claim else ""
    yield "class", fields.text(obj, "spec", "storageClassName")


def _autoscaler(obj: Obj) -> Columns:
    target = fields.mapping(obj, "spec", "scaleTargetRef")
    yield "target", f"{fields.text(target, 'kind')}/{fields.text(target, 'name')}"
    yield "replicas", f"{fields.number(obj, 'status', 'currentReplicas')}→{_number(obj, 'status', 'desiredReplicas')}"
    yield "bounds", f"{_number(obj, 'spec', 'minReplicas') or 1}-{_number(obj, 'spec', 'maxReplicas')}"
    for type_ in ("AbleToScale", "ScalingActive"):
        if fields.condition(obj, type_).get("status") == "False":
            yield from _condition(obj, type_)
    limited = fields.condition(obj, "ScalingLimited")
    yield "limited", fields.text(limited, "reason") if limited.get("status") == "True" else ""


def _number(obj: Obj, *path: str) -> str:
    value = fields.at(obj, *path)
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""


def _budget(obj: Obj) -> Columns:
    yield "minAvailable", _number(obj, "spec", "minAvailable")
    yield "maxUnavailable", _number(obj, "spec", "maxUnavailable")
    yield "allowedDisruptions", _number(obj, "status", "disruptionsAllowed")
    yield "healthy", f"{_number(obj, 'status', 'currentHealthy')}/{_number(obj, 'status', 'desiredHealthy')}"


def _quota(obj: Obj) -> Columns:
    used = fields.string_map(obj, "status", "used")
    for resource, limit in sorted(fields.string_map(obj, "status", "hard").items()):
        yield resource, f"{used.get(resource, '?')}/{limit}"


def _event(obj: Obj) -> Columns:
    about = fields.mapping(obj, "involvedObject") or fields.mapping(obj, "regarding")
    yield "type", fields.text(obj, "type")
    yield "reason", fields.text(obj, "reason")
    yield "object", f"{fields.text(about, 'kind')}/{fields.text(about, 'name')}"
    yield "message", fields.text(obj, "message") or fields.text(obj, "note")


def _webhooks(obj: Obj) -> Columns:
    hooks = fields.items(obj, "webhooks")
    yield "webhooks", str(len(hooks))
    policies = {fields.text(hook, "failurePolicy") for hook in hooks}
    yield "failurePolicy", ",".join(sorted(policies - {""}))
    services = [fields.mapping(hook, "clientConfig", "service") for hook in hooks]
    named = {f"{fields.text(one, 'namespace')}/{fields.text(one, 'name')}" for one in services if one}
    yield "services", ",".join(sorted(named))


def _definition(obj: Obj) -> Columns:
    yield "group", fields.text(obj, "spec", "group")
    versions = [fields.text(v, "name") for v in fields.items(obj, "spec", "versions") if v.get("served") is True]
    yield "versions", ",".join(versions)
    yield from _condition(obj, "Established")


def _policy(obj: Obj) -> Columns:
    labels = fields.string_map(obj, "spec", "podSelector", "matchLabels")
    yield "pods", ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "all or by expression"
    yield "types", ",".join(fields.strings(obj, "spec", "policyTypes"))


def _binding(obj: Obj) -> Columns:
    yield "role", f"{fields.text(obj, 'roleRef', 'kind')}/{fields.text(obj, 'roleRef', 'name')}"
    yield "subjects", ", ".join(fields.text(one, "name") for one in fields.items(obj, "subjects"))


def _class(obj: Obj) -> Columns:
    yield "provisioner", fields.text(obj, "provisioner") or fields.text(obj, "spec", "controller")
    default = fields.string_map(obj, "metadata", "annotations")
    yield "default", "yes" if any(k.endswith("/is-default-class") and v == "true" for k, v in default.items()) else ""
    yield "binding", fields.text(obj, "volumeBindingMode")


def _priority(obj: Obj) -> Columns:
    yield "value", _number(obj, "value")
    yield "default", "yes" if fields.flag(obj, "globalDefault") else ""


def _lease(obj: Obj) -> Columns:
    yield "holder", fields.text(obj, "spec", "holderIdentity")
    yield "renewed", fields.text(obj, "spec", "renewTime")


_BY_KIND: dict[tuple[str, str], Callable[[Obj], Columns]] = {
    (kind.group, kind.kind): columns
    for kind, columns in (
        (kinds.POD, _pod),
        (kinds.NODE, _node),
        *((kind, _workload(kind)) for kind in rollout.WORKLOADS),
        (kinds.REPLICA_SET, _replica_set),
        (kinds.SERVICE, _service),
        (kinds.INGRESS, _ingress),
        (kinds.ENDPOINT_SLICE, _slice),
        (kinds.CONFIG_MAP, _config_map),
        (kinds.PERSISTENT_VOLUME_CLAIM, _claim),
        (kinds.PERSISTENT_VOLUME, _volume),
        (kinds.HORIZONTAL_POD_AUTOSCALER, _autoscaler),
        (kinds.POD_DISRUPTION_BUDGET, _budget),
        (kinds.RESOURCE_QUOTA, _quota),
        (kinds.EVENT, _event),
        (kinds.EVENTS_V1, _event),
        (kinds.VALIDATING_WEBHOOK, _webhooks),
        (kinds.MUTATING_WEBHOOK, _webhooks),
        (kinds.CUSTOM_RESOURCE_DEFINITION, _definition),
        (kinds.NETWORK_POLICY, _policy),
        (kinds.ROLE_BINDING, _binding),
        (kinds.CLUSTER_ROLE_BINDING, _binding),
        (kinds.STORAGE_CLASS, _class),
        (kinds.INGRESS_CLASS, _class),
        (kinds.PRIORITY_CLASS, _priority),
        (kinds.LEASE, _lease),
    )
}
