"""Terse builders of Kubernetes objects for tests: `pod("cart", waiting="CrashLoopBackOff")`.

Each gives a plain JSON object as an API server would, with only what the test names beyond the necessary. `facts_of`
puts objects into facts as if every kind had been listed.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from firstmate_tools import kinds
from firstmate_tools.customkinds import CUSTOM
from firstmate_tools.diagnosis.facts import Facts, event_row
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.reads import PrometheusRead
from firstmate_tools.refs import Ref

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def obj(kind: str, name: str, namespace: str | None = "shop", *, api: str = "v1", **rest: Any) -> Obj:
    metadata: Obj = {"name": name, "uid": f"uid-{kind}-{name}".lower(), "creationTimestamp": ago(600)}
    if namespace:
        metadata["namespace"] = namespace
    metadata.update(rest.pop("metadata", {}))
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def owner(kind: str, name: str, api: str = "apps/v1") -> list[Obj]:
    return [{"apiVersion": api, "kind": kind, "name": name, "uid": f"uid-{kind}-{name}".lower(), "controller": True}]


def container(name: str = "app", image: str = "registry.shop.example/app:1", **rest: Any) -> Obj:
    return {"name": name, "image": image, **rest}


def pod(
    name: str,
    namespace: str = "shop",
    *,
    owned_by: tuple[str, str] | None = None,
    labels: dict[str, str] | None = None,
    node: str | None = "n1",
    phase: str = "Running",
    ready: bool | None = None,
    waiting: str = "",
    message: str = "",
    terminated: Obj | None = None,
    last: Obj | None = None,
    restarts: int = 0,
    containers: list[Obj] | None = None,
    statuses: list[Obj] | None = None,
    init: list[Obj] | None = None,
    init_statuses: list[Obj] | None = None,
    conditions: list[Obj] | None = None,
    spec: Obj | None = None,
    metadata: Obj | None = None,
    age: float = 600,
) -> Obj:
    """A pod of one container `app`, ready unless something about it says otherwise."""
    well = not waiting and terminated is None and phase == "Running" if ready is None else ready
    state: Obj = {"running": {"startedAt": ago(age - 2)}}
    if waiting:
        state = {"waiting": {"reason": waiting, "message": message}}
    elif terminated is not None:
        state = {"terminated": terminated}
    status_of_app: Obj = {
        "name": "app",
        "ready": well,
        "started": well,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
        "image": "registry.shop.example/app:1",
    }
    meta: Obj = {"labels": labels or {"app": name}, "creationTimestamp": ago(age), **(metadata or {})}
    if owned_by:
        api = "batch/v1" if owned_by[0] in {"Job", "CronJob"} else "apps/v1"
        meta["ownerReferences"] = owner(*owned_by, api=api)
    ready_condition = {"type": "Ready", "status": str(well), "lastTransitionTime": ago(age - 5)}
    return obj(
        "Pod",
        name,
        namespace,
        metadata=meta,
        spec={
            "containers": containers or [container()],
            "serviceAccountName": "default",
            **({"nodeName": node} if node else {}),
            **({"initContainers": init} if init else {}),
            **(spec or {}),
        },
        status={
            "phase": phase,
            "conditions": [ready_condition, {"type": "PodScheduled", "status": "True"}]
            if conditions is None
            else conditions,
            "containerStatuses": [status_of_app] if statuses is None else statuses,
            **({"initContainerStatuses": init_statuses} if init_statuses else {}),
        },
    )


def pending(name: str, message: str = "0/1 nodes are available: 1 Insufficient cpu.", **rest: Any) -> Obj:
    """A pod that the scheduler says no node takes."""
    unschedulable = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": ago(300),
    }
    return pod(name, node=None, phase="Pending", statuses=[], conditions=[unschedulable], **rest)


def deployment(
    name: str, namespace: str = "shop", *, replicas: int = 1, template: Obj | None = None, **rest: Any
) -> Obj:
    body = template or {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container()]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": body, **rest.pop("spec", {})}
    return obj("Deployment", name, namespace, api="apps/v1", spec=spec, status=rest.pop("status", {}), **rest)


def replica_set(
    name: str,
    namespace: str = "shop",
    *,
    of: str,
    replicas: int = 1,
    template: Obj | None = None,
    status: Obj | None = None,
) -> Obj:
    body = template or {"metadata": {"labels": {"app": of}}, "spec": {"containers": [container()]}}
    return obj(
        "ReplicaSet",
        name,
        namespace,
        api="apps/v1",
        metadata={"ownerReferences": owner("Deployment", of)},
        spec={"replicas": replicas, "selector": {"matchLabels": {"app": of}}, "template": body},
        status={"replicas": replicas} if status is None else status,
    )


def service(
    name: str,
    namespace: str = "shop",
    *,
    selector: dict[str, str] | None = None,
    ports: list[Obj] | None = None,
    **spec: Any,
) -> Obj:
    chosen = {"app": name} if selector is None else selector
    return obj(
        "Service",
        name,
        namespace,
        spec={"selector": chosen, "ports": ports or [{"port": 80, "targetPort": 8080, "protocol": "TCP"}], **spec},
    )


def node(
    name: str,
    *,
    labels: dict[str, str] | None = None,
    taints: list[Obj] | None = None,
    cordoned: bool = False,
    cpu: str = "8",
    memory: str = "32Gi",
    pods: str = "110",
    ready: str = "True",
) -> Obj:
    spec: Obj = {"taints": list(taints or [])}
    if cordoned:
        spec["unschedulable"] = True
        spec["taints"].append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    capacity = {"cpu": cpu, "memory": memory, "pods": pods}
    return obj(
        "Node",
        name,
        None,
        metadata={"labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        spec=spec,
        status={
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": ago(300)}],
        },
    )


def event(
    about: Obj,
    reason: str,
    message: str,
    *,
    type_: str = "Warning",
    seconds_ago: float = 60,
    count: int = 1,
    path: str = "",
) -> Obj:
    meta = about["metadata"]
    involved = {
        "kind": about["kind"],
        "name": meta["name"],
        "namespace": meta.get("namespace", ""),
        "uid": meta.get("uid", ""),
        "fieldPath": path,
    }
    return obj(
        "Event",
        f"{meta['name']}.{abs(hash((reason, message))) % 10**8:x}",
        meta.get("namespace", "default"),
        involvedObject=involved,
        reason=reason,
        message=message,
        type=type_,
        count=count,
        firstTimestamp=ago(seconds_ago + 30),
        lastTimestamp=ago(seconds_ago),
        source={"component": "kubelet"},
    )


def _foreign(one: Obj, kind: kinds.Kind) -> bool:
    """Whether an object of this kind's name belongs to another product's group."""
    group = str(one.get("apiVersion", "")).rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io") and group != kind.group


def facts_of(
    *objects: Obj,
    scope: Scope | None = None,
    logs: dict[tuple[str, str, str, bool], str] | None = None,
    unknown: tuple[kinds.Kind, ...] = (),
    server: str | None = None,
    series: dict[PrometheusRead, list[Series]] | None = None,
    absent: tuple[str, ...] = (),
) -> Facts:
    """Facts in which every known kind was listed everywhere and holds these objects; events go to their place.

    Secrets are never listed: those that are given were looked at one by one, and of others nobody knows.

    Args:
        unknown: kinds that could not be read.
        server: version of the API server.
        series: what Prometheus answered to questions.
        absent: names of Secrets of the namespace shop that were looked for in vain.
    """
    facts = Facts(scope or Scope(), NOW, server)
    by_kind: dict[str, list[Obj]] = {}
    for one in objects:
        by_kind.setdefault(one["kind"], []).append(one)
    for kind in kinds.KNOWN:
        if kind.kind not in ("Event", "Secret") and kind not in unknown:
            facts.put(kind, None, [o for o in by_kind.get(kind.kind, []) if not _foreign(o, kind)])
    for kind in CUSTOM:
        if kind not in unknown:
            facts.put(kind, None, [o for o in by_kind.get(kind.kind, []) if not _foreign(o, kind)])
    for name in by_kind.keys() - {kind.kind for kind in kinds.KNOWN}:  # custom resources
        facts.put(kinds.Kind(name, f"{name.lower()}s", "custom.example"), None, by_kind[name])
    for one in by_kind.get("Secret", []):
        facts.put_one(kinds.SECRET, Ref("Secret", one["metadata"]["namespace"], one["metadata"]["name"]), one)
    for name in absent:
        facts.put_one(kinds.SECRET, Ref("Secret", "shop", name), None)
    facts.put_events(event_row(one) for one in by_kind.get("Event", []))
    for key, content in (logs or {}).items():
        facts.put_log(key, content)
    for read, answer in (series or {}).items():
        facts.put_series(read, facts.scope.namespace if read.namespaced else None, answer)
    return facts
