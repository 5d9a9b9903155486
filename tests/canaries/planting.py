"""Writes the canaries into a lab, and the kubeconfig of a caller who has secrets of his own.

The lab must be one that nobody else uses: some of what is planted is cluster-wide.
"""

import base64
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from canaries import objects
from canaries.clusterwide import cluster_wide
from canaries.objects import NS
from canaries.table import Bystanders, Canary
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from evals.lab.cluster import established
from evals.lab.lab import Lab

_STAMP = "2026-01-02T03:04:05.000000000Z stderr F "


def plant(lab: Lab, canaries: dict[str, Canary], known: Bystanders, folder: Path) -> None:
    """Puts every canary but those of the kubeconfig into its place, and waits until it can be read there."""
    text, client = objects.texts(canaries), lab.client
    client.apply(objects.namespace(text))
    client.wait_until("the service account", lambda: client.get("ServiceAccount", "default", NS) is not None)
    client.apply(objects.definition())
    client.wait_until("the definition", lambda: established(client, objects.CRD))
    vault = client.apply(objects.vault(text, known))
    client.apply({**objects.vault(text, known), "metadata": _named(vault)}, subresource="status")
    for one in (
        *objects.secrets(text),
        *objects.config_maps(text),
        *objects.pods(text, known),
        *objects.workloads(text),
        *cluster_wide(text, _csr()),
        *objects.others(text),
    ):
        client.apply(one)
    for name, status in objects.statuses(text, known).items():
        client.patch("Pod", name, {"status": status}, NS, subresource="status")
    client.patch("Node", "node-b", {"metadata": {"annotations": {"example.com/agent": text["annotation-node"]}}})
    _node_condition(lab, text["node-condition"])
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for one in objects.events(text):
        client.create({**one, "lastTimestamp": now})
    _log(lab, folder, objects.log_lines(text, known), text["log-previous"])

    def settled() -> bool:
        sets = client.list("ReplicaSet", NS)
        revisions = client.list("ControllerRevision", NS)
        return bool(sets and revisions and client.logs(NS, "leaky", "app"))

    client.wait_until("the controllers have copied the templates, and logs can be read", settled, timeout_s=30)


def _named(found: dict[str, Any]) -> dict[str, str]:
    return {key: found["metadata"][key] for key in ("name", "namespace")}


def _node_condition(lab: Lab, message: str) -> None:
    """A condition that its own agent reports; those of the kubelet stay."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mine = {
        "type": "AgentProblem",
        "status": "True",
        "reason": "LoginFailed",
        "message": message,
        "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }
    node = lab.client.get("Node", "node-b")
    assert node is not None
    conditions = [*node["status"]["conditions"], mine]
    lab.client.patch("Node", "node-b", {"status": {"conditions": conditions}}, subresource="status")


def _log(lab: Lab, folder: Path, lines: list[str], previous: str) -> None:
    (folder / "app.log").write_text("".join(f"{_STAMP}{line}\n" for line in lines))
    (folder / "previous.log").write_text(f"{_STAMP}{previous}\n")
    files = {"logsFile": str(folder / "app.log"), "previousLogsFile": str(folder / "previous.log")}
    logs = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": {"name": "leaky", "namespace": NS}}
    lab.client.apply({**logs, "spec": {"logs": [{"containers": ["app"], **files}]}})


def _csr() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "canary")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


# --- the caller's kubeconfig

CONTEXTS = ("lab", "dead", "silent", "userinfo", "proxied", "exec", "denied")
"""Contexts of the kubeconfig: the lab, five that fail in different ways, and a user who may do nothing."""


def kubeconfig(lab: Lab, canaries: dict[str, Canary], silent_port: int, folder: Path) -> tuple[Path, Canary]:
    """A kubeconfig with secrets in every place that has room for one; and the client key in it, as a canary."""
    secret = {name: one.core for name, one in canaries.items() if name.startswith("kubeconfig-")}
    mine = yaml.safe_load(lab.kubeconfig.read_text())
    denied = yaml.safe_load(lab.kubeconfig_for("nobody").read_text())
    user = mine["users"][0]["user"]
    ca = mine["clusters"][0]["cluster"]["certificate-authority-data"]
    clusters: dict[str, dict[str, Any]] = {
        "lab": mine["clusters"][0]["cluster"],
        "dead": {"server": "https://127.0.0.1:1"},
        "silent": {"server": f"http://127.0.0.1:{silent_port}"},
        "userinfo": {"server": f"https://svc:{secret['kubeconfig-server-url']}@127.0.0.1:1"},
        "proxied": {"server": lab.server, "proxy-url": f"http://p:{secret['kubeconfig-proxy-url']}@127.0.0.1:1"},
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", _PLUGIN, "--token", secret["kubeconfig-exec-argument"]],
        "env": [
            {"name": "LOGIN_PASSWORD", "value": secret["kubeconfig-exec-environment"]},
            {"name": "LOGIN_SAYS", "value": canaries["kubeconfig-exec-stderr"].text},
        ],
        "interactiveMode": "Never",
    }
    users: dict[str, dict[str, Any]] = {
        "lab": user,
        "denied": denied["users"][0]["user"],
        "token": {"token": secret["kubeconfig-token"]},
        "basic": {"username": "svc", "password": secret["kubeconfig-password"]},
        "exec": {"exec": plugin},
    }
    pairs = {
        "lab": ("lab", "lab"),
        "dead": ("dead", "token"),
        "silent": ("silent", "basic"),
        "userinfo": ("userinfo", "token"),
        "proxied": ("proxied", "token"),
        "exec": ("lab", "exec"),
        "denied": ("lab", "denied"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": name, "cluster": one} for name, one in clusters.items()],
        "users": [{"name": name, "user": one} for name, one in users.items()],
        "contexts": [
            {"name": name, "context": {"cluster": cluster, "user": who, "namespace": NS}}
            for name, (cluster, who) in pairs.items()
        ],
    }
    assert ca and set(pairs) == set(CONTEXTS)
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path, Canary("kubeconfig-client-key", _body(user["client-key-data"]), user["client-key-data"])


def _body(key: str) -> str:
    """A piece of a P-256 key in PEM in base64 that is the private number's; around it all keys are alike."""
    return base64.b64decode(key).decode().splitlines()[2][:24]


_PLUGIN = "import os, sys; print(os.environ['LOGIN_SAYS'], sys.argv, file=sys.stderr); sys.exit(1)"
"""A credential plugin that fails as some do: it prints what it was given."""


@contextmanager
def silence() -> Iterator[int]:
    """A port on which something listens that never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]
