"""A small metrics server: the API group metrics.k8s.io, behind a lab's API server as an aggregated API is.

Called when a scenario says `metrics_api: true`; runs in threads of the lab's own process and ends with the lab. What
pods use stands in the annotations that kwok's own resource usage goes by (`kwok.x-k8s.io/usage-cpu`, `usage-memory`: of
each container; 1m and 1Mi where they are missing); a node uses what its pods use, and a little for its own programs.
Nodes with the annotation `sim.firstmate.dev/unscraped` give no metrics, and neither do their pods, as when a kubelet
cannot be read. Must never listen elsewhere than on 127.0.0.1, and never write to the cluster.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from evals.lab.certs import Pair
from evals.lab.client import LabClient, Object
from evals.lab.components import HOST
from firstmate_tools.quantity import milli

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
BASE = f"/apis/{GROUP}/{VERSION}"
UNSCRAPED = "sim.firstmate.dev/unscraped"
USAGE = {"cpu": ("kwok.x-k8s.io/usage-cpu", "1m"), "memory": ("kwok.x-k8s.io/usage-memory", "1Mi")}
OVERHEAD = {"cpu": 20, "memory": 100 * 1024**2 * 1000}
"""What a node's own programs use, in thousandths."""
WINDOW = "1s"
"""Autoscalers leave out a pod whose metrics are of a time before it was ready; the real window is 15 s and more."""
_KINDS = (("nodes", "NodeMetrics", False), ("pods", "PodMetrics", True))


class MetricsApi:
    """The server of one lab.

    Args:
        client: reads pods and nodes.
        pair: its certificate.
    """

    def __init__(self, client: LabClient, pair: Pair) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        self._server = ThreadingHTTPServer((HOST, 0), _handler(client))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics-api", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(path: str, pods: Callable[[], list[Object]], nodes: Callable[[], list[Object]]) -> Object | None:
    """What the API answers to a GET; None where there is nothing of that name."""
    parts = urlsplit(path)
    if parts.path == f"/apis/{GROUP}":
        version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
        return {
            "kind": "APIGroup",
            "apiVersion": "v1",
            "name": GROUP,
            "versions": [version],
            "preferredVersion": version,
        }
    if parts.path == BASE:
        resources = [
            {"name": name, "singularName": "", "namespaced": inside, "kind": kind, "verbs": ["get", "list"]}
            for name, kind, inside in _KINDS
        ]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{GROUP}/{VERSION}",
            "resources": resources,
        }
    if not parts.path.startswith(f"{BASE}/"):
        return None
    words = parts.path.removeprefix(f"{BASE}/").split("/")
    namespace = ""
    if words[0] == "namespaces" and len(words) > 2:
        namespace, words = words[1], words[2:]
    if len(words) > 2 or words[0] not in {"nodes", "pods"}:
        return None
    every_node = nodes()
    scraped = {node["metadata"]["name"] for node in every_node if _scraped(node)}
    running = [pod for pod in pods() if pod["spec"].get("nodeName") in scraped and _running(pod)]
    if words[0] == "nodes":
        found = [_of_node(node, running) for node in every_node if node["metadata"]["name"] in scraped]
        kind = "NodeMetrics"
    else:
        found = [_of_pod(pod) for pod in running if not namespace or pod["metadata"]["namespace"] == namespace]
        kind = "PodMetrics"
    if len(words) == 2:
        return next((one for one in found if one["metadata"]["name"] == words[1]), None)
    selector = parse_qs(parts.query).get("labelSelector", [""])[0]
    items = [one for one in found if _selected(one, selector)]
    return {"kind": f"{kind}List", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}


def _handler(client: LabClient) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            found = answer(self.path, lambda: client.list("Pod"), lambda: client.list("Node"))
            status = 200 if found is not None else 404
            body = json.dumps(found if found is not None else _not_found()).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler


def _not_found() -> Object:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


def _scraped(node: Object) -> bool:
    return UNSCRAPED not in (node["metadata"].get("annotations") or {})


def _running(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") == "Running"


def _of_pod(pod: Object) -> Object:
    usage = {resource: _shown(resource, amount) for resource, amount in _usage(pod).items()}
    containers = [{"name": c["name"], "usage": usage} for c in pod["spec"]["containers"]]
    meta = pod["metadata"]
    about = {"name": meta["name"], "namespace": meta["namespace"], "labels": meta.get("labels") or {}}
    return {**_stamped("PodMetrics", about), "containers": containers}


def _of_node(node: Object, running: Iterable[Object]) -> Object:
    name = node["metadata"]["name"]
    total = dict(OVERHEAD)
    for pod in running:
        if pod["spec"].get("nodeName") == name:
            for resource, amount in _usage(pod).items():
                total[resource] += amount * len(pod["spec"]["containers"])
    usage = {resource: _shown(resource, amount) for resource, amount in total.items()}
    return {**_stamped("NodeMetrics", {"name": name, "labels": node["metadata"].get("labels") or {}}), "usage": usage}


def _usage(pod: Object) -> dict[str, int]:
    """What each container of a pod uses, in thousandths."""
    given = pod["metadata"].get("annotations") or {}
    return {resource: milli(given.get(key, default)) or 0 for resource, (key, default) in USAGE.items()}


def _shown(resource: str, amount: int) -> str:
    """As metrics-server writes it: nanocores, kibibytes."""
    return f"{amount * 1_000_000}n" if resource == "cpu" else f"{amount // 1_024_000}Ki"


def _stamped(kind: str, metadata: Object) -> Object:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {**metadata, "creationTimestamp": now}
    return {"kind": kind, "apiVersion": f"{GROUP}/{VERSION}", "metadata": about, "timestamp": now, "window": WINDOW}


def _selected(one: Object, selector: str) -> bool:
    """Equality alone: what autoscalers make of a Deployment's matchLabels."""
    labels = one["metadata"]["labels"]
    pairs = [term.replace("==", "=").partition("=") for term in selector.split(",") if term]
    return all(labels.get(key) == value for key, _, value in pairs)


def manifests(port: int) -> list[Object]:
    """What registers it: a metrics-server as it is usually installed, whose endpoint is this process.

    An address of a slice may not be a loopback one. As a name of type FQDN 127.0.0.1 is taken, and the API server dials
    whatever address a slice of the Service holds (k8s.io/apiserver v0.36, pkg/util/proxy, ResolveEndpoint); for the
    same reason the Service has no selector.
    """
    meta: Object = {"name": "metrics-server", "namespace": "kube-system", "labels": {"k8s-app": "metrics-server"}}
    labels: Object = {"k8s-app": "metrics-server"}
    container: Object = {
        "name": "metrics-server",
        "image": "registry.k8s.io/metrics-server/metrics-server:v0.8.0",
        "args": ["--secure-port=10250", "--kubelet-use-node-status-port", "--metric-resolution=10s"],
        "ports": [{"name": "https", "containerPort": 10250}],
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}},
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {**labels, "kubernetes.io/service-name": "metrics-server"}},
            "addressType": "FQDN",
            "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{VERSION}.{GROUP}", "labels": labels},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443},
            },
        },
    ]
