"""Fills a lab for the benchmarks: namespaces of workloads, most of them well, some failing in the usual ways.

Healthy pods run by kwok's own stages. Failing ones carry a label that no stage selects; their status and events are
written here as a kubelet would. For the large cluster pods are made first and adopted by their ReplicaSets: one
request a pod, where the Deployment controller and the scheduler would need several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from evals.lab.client import LabClient, Object

AT_A_TIME = 16
PODS_A_NODE = 100
TEAMS = 20
_HASH = "6d4f9b7c8d"
_UNTOUCHED = {"sim.firstmate.dev/mode": "bench"}
_GRACE = {"terminationGracePeriodSeconds": 0}
Say = Callable[[str], None]


def namespace(client: LabClient, name: str) -> None:
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    client.wait_until(f"the account of {name}", lambda: client.get("ServiceAccount", "default", name) is not None)


def _container(image: str, **more: Any) -> Object:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    return {
        "name": "app",
        "image": image,
        "ports": [{"containerPort": 8080}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "API", "value": "http://gateway.edge.svc"}],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "readinessProbe": probe,
        **more,
    }


def deployment(name: str, place: str, replicas: int, *, broken: bool = False, **spec: Any) -> Object:
    """A Deployment; `broken` ones are left alone by the stages."""
    labels = {"app": name}
    container = _container(f"registry.example/{name}:1", **spec.pop("container", {}))
    template = {
        "metadata": {"labels": labels | (_UNTOUCHED if broken else {})},
        "spec": {**_GRACE, "containers": [container], **spec},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": place},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def service(name: str, place: str) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": place}, "spec": spec}


# --- what fails, as a kubelet reports it


def _ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(state: Object, *, restarts: int = 0, last: Object | None = None) -> Object:
    since = _ago(600)
    unready = {"status": "False", "reason": "ContainersNotReady", "lastTransitionTime": since}
    container = {
        "name": "app",
        "image": "x",
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }
    return {
        "phase": "Running" if restarts else "Pending",
        "startTime": since,
        "conditions": [
            {"type": "Initialized", "status": "True", "lastTransitionTime": since},
            {"type": "Ready", **unready},
            {"type": "ContainersReady", **unready},
        ],
        "containerStatuses": [container],
    }


def _ended(reason: str, code: int) -> Object:
    return {"reason": reason, "exitCode": code, "startedAt": _ago(90), "finishedAt": _ago(85), "containerID": "c://x"}


def failures(image: str) -> dict[str, tuple[Object, str, str]]:
    """Status, reason and message of an event, by what fails."""
    pull = f'Failed to pull image "{image}": rpc error: code = NotFound desc = failed to resolve reference "{image}"'
    gone = f"{pull}: {image}: not found"
    back = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}": ErrImagePull: {gone}'}
    crash = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container=app"}
    config = {"reason": "CreateContainerConfigError", "message": 'configmap "settings" not found'}
    return {
        "image": (_status({"waiting": back}), "Failed", gone),
        "crash": (
            _status({"waiting": crash}, restarts=9, last=_ended("Error", 1)),
            "BackOff",
            "Back-off restarting failed container app",
        ),
        "memory": (
            _status({"waiting": crash}, restarts=6, last=_ended("OOMKilled", 137)),
            "BackOff",
            "Back-off restarting failed container app",
        ),
        "config": (_status({"waiting": config}), "Failed", 'Error: configmap "settings" not found'),
    }


def broken(client: LabClient, kind: str, place: str, replicas: int, folder: Path) -> None:
    """A Deployment whose pods fail in one way: image, crash, memory, config or room.

    Args:
        folder: where the logs of those that have run are kept, for as long as the lab lives.
    """
    name = f"broken-{kind}"
    more: Object = {}
    if kind == "room":
        more = {"nodeSelector": {"example.com/pool": "none-has-this"}}
    if kind == "config":
        more = {"container": {"envFrom": [{"configMapRef": {"name": "settings"}}]}}
    client.apply(deployment(name, place, replicas, broken=True, **more))
    client.apply(service(name, place))
    if kind == "room":
        return

    def placed() -> list[Object]:
        return [pod for pod in client.list("Pod", place, selector=f"app={name}") if pod["spec"].get("nodeName")]

    client.wait_until(f"the pods of {name}", lambda: len(placed()) == replicas, timeout_s=120)
    status, reason, message = failures(f"registry.example/{name}:1")[kind]
    for pod in placed():
        pod_name = pod["metadata"]["name"]
        client.patch("Pod", pod_name, {"status": status}, place, subresource="status")
        client.create(_event(pod, reason, message))
        if kind in {"crash", "memory"}:
            client.apply(_log(pod, folder))


def _log(pod: Object, folder: Path) -> Object:
    """What a pod's containers have written, now and before; every kubelet holds both."""
    folder.mkdir(exist_ok=True)
    path = folder / "app.log"
    stamp = "2026-01-02T03:04:05.000000000Z stdout F"
    lines = [f"{stamp} INFO served request {n} in {n % 90} ms" for n in range(300)]
    path.write_text("\n".join([*lines, f"{stamp} FATAL cannot read /etc/app/app.yaml: no such file"]) + "\n")
    files = {"logsFile": str(path), "previousLogsFile": str(path)}
    name, place = pod["metadata"]["name"], pod["metadata"]["namespace"]
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Logs",
        "metadata": {"name": name, "namespace": place},
        "spec": {"logs": [{"containers": ["app"], **files}]},
    }


def _event(pod: Object, reason: str, message: str) -> Object:
    metadata = pod["metadata"]
    about = {"kind": "Pod", "apiVersion": "v1", **{key: metadata[key] for key in ("name", "namespace", "uid")}}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.bench", "namespace": metadata["namespace"]},
        "involvedObject": {**about, "fieldPath": "spec.containers{app}"},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": 12,
        "firstTimestamp": _ago(600),
        "lastTimestamp": _ago(20),
        "source": {"component": "kubelet", "host": pod["spec"]["nodeName"]},
    }


# --- the two places that are asked about


def shop(client: LabClient, folder: Path, place: str = "shop") -> None:
    """A namespace with 20 pods, three of them failing."""
    namespace(client, place)
    for name, replicas in (("cart", 6), ("web", 6), ("search", 5)):
        client.apply(deployment(name, place, replicas))
        client.apply(service(name, place))
    broken(client, "image", place, 2, folder)
    broken(client, "crash", place, 1, folder)

    def well() -> bool:
        return sum(pod["status"].get("phase") == "Running" for pod in client.list("Pod", place)) == 18

    client.wait_until("the healthy pods run", well, timeout_s=120)


UNHEALTHY = ("image", "crash", "memory", "config", "room")


def cluster(client: LabClient, folder: Path, pods: int, say: Say, *, each: int = 10) -> None:
    """A cluster with so many pods in twenty namespaces, 50 of them failing in five ways, ten pods each."""
    for team in range(TEAMS):
        namespace(client, f"team-{team:02}")
    begin = time.monotonic()
    healthy = pods - each * len(UNHEALTHY)
    apps = max(1, healthy // 100)
    nodes = [node["metadata"]["name"] for node in client.list("Node")]
    _many(lambda number: client.create(_pod(number, apps, nodes)), range(healthy), say, "pods made")
    counts = [len(range(app, healthy, apps)) for app in range(apps)]
    _many(lambda app: client.create(_replica_set(app, counts[app])), range(apps), say, "ReplicaSets made")
    _many(lambda app: client.apply(service(f"app-{app:03}", _team(app))), range(apps), say, "Services made")
    for team, kind in enumerate(UNHEALTHY):
        broken(client, kind, f"team-{team:02}", each, folder)
    _settle(client, pods, say)
    say(f"{pods} pods are there after {time.monotonic() - begin:.0f} s")


def _many(work: Callable[[int], object], numbers: Iterable[int], say: Say, what: str) -> None:
    done, told = 0, time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for _ in pool.map(work, numbers):
            done += 1
            if time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"{done} {what}")
    say(f"{done} {what}")


def _team(app: int) -> str:
    return f"team-{app % TEAMS:02}"


def _template(app: int) -> tuple[dict[str, str], Object]:
    labels = {"app": f"app-{app:03}", "pod-template-hash": _HASH}
    return labels, {**_GRACE, "containers": [_container("registry.example/app:1")]}


def _pod(number: int, apps: int, nodes: list[str]) -> Object:
    app = number % apps
    labels, spec = _template(app)
    metadata = {"generateName": f"app-{app:03}-{_HASH}-", "namespace": _team(app), "labels": labels}
    placed = {**spec, "nodeName": nodes[number % len(nodes)]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": placed}


def _replica_set(app: int, replicas: int) -> Object:
    labels, spec = _template(app)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": f"app-{app:03}-{_HASH}", "namespace": _team(app), "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _settle(client: LabClient, pods: int, say: Say) -> None:
    """Waits until every pod that should run does, and is owned."""
    told = time.monotonic()
    while True:
        found = client.list("Pod")
        running = sum(pod["status"].get("phase") == "Running" for pod in found)
        owned = sum(bool(pod["metadata"].get("ownerReferences")) for pod in found)
        if owned >= pods and running >= pods - 3 * 10:  # those without image, settings or room are Pending
            return
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"{running} pods run, {owned} are owned")
        time.sleep(3)
