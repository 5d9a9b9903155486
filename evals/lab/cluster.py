"""What every lab holds before anybody applies anything: kwok's CRDs and stages, empty logs, and the default nodes.

Called by `lab.Lab` once the API server answers, and by the clean-up after a scenario, which puts the nodes back. Must
leave pods alone that carry the label key `sim.firstmate.dev/mode`: those belong to the stages of a scenario.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evals.lab.client import LabClient, Object
from evals.lab.components import HOST

MODE_LABEL = "sim.firstmate.dev/mode"
SCENARIO_LABEL = "sim.firstmate.dev/scenario"
DEFAULT_LABEL = "sim.firstmate.dev/default"
ZONES = ("a", "b", "c")
CATCH_ALL_LOGS = "lab-catch-all"
KUBELET_VERSION = "v1.36.2"
_NO_MODE = {"key": f'.metadata.labels["{MODE_LABEL}"]', "operator": "DoesNotExist"}


def documents(folder: Path) -> list[Object]:
    """Every YAML document below a folder, files in order of their names."""
    return [
        document
        for path in sorted(folder.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document
    ]


def crds(config: Path) -> list[Object]:
    return documents(config / "crd")


def default_stages(config: Path) -> list[Object]:
    """kwok's own fast stages; those for pods leave every pod with a mode alone."""
    stages = documents(config / "stage")
    for stage in stages:
        if stage["spec"]["resourceRef"]["kind"] == "Pod":
            stage["spec"]["selector"].setdefault("matchExpressions", []).append(dict(_NO_MODE))
    return stages


def catch_all_logs(empty_log: Path) -> Object:
    """An empty log for every container that has no other, or the kubelet's API would answer with an error."""
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": CATCH_ALL_LOGS},
        "spec": {"logs": [{"logsFile": str(empty_log)}]},
    }


def default_nodes(kubelet_port: int, count: int = 3) -> list[Object]:
    """Healthy nodes, as a kubelet would report them; kwok adds conditions and heartbeats."""
    return [_node(number, kubelet_port) for number in range(count)]


def _node(number: int, kubelet_port: int) -> Object:
    zone = ZONES[number % len(ZONES)]
    name = f"node-{zone}" if number < len(ZONES) else f"node-{zone}{number // len(ZONES) + 1}"
    room = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                DEFAULT_LABEL: "true",
                "kubernetes.io/hostname": name,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/region": "lab",
                "topology.kubernetes.io/zone": zone,
            },
        },
        "spec": {},
        "status": {
            "capacity": room,
            "allocatable": room,
            "addresses": node_addresses([{"type": "Hostname", "address": name}]),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023",
                "kernelVersion": "6.12.40",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": KUBELET_VERSION,
                "kubeProxyVersion": KUBELET_VERSION,
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


def node_addresses(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A node's addresses, with one that leads to kwok: whatever its InternalIP says, logs stay on 127.0.0.1."""
    kept = [address for address in given if address.get("type") != "InternalDNS"]
    if not any(address.get("type") == "InternalIP" for address in kept):
        kept.append({"type": "InternalIP", "address": HOST})
    return [*kept, {"type": "InternalDNS", "address": HOST}]


def node_settled(node: Object | None) -> bool:
    """Ready, and without the taints that a new or failing node carries."""
    if node is None:
        return False
    conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions", ())}
    taints = node.get("spec", {}).get("taints", ())
    return conditions.get("Ready") == "True" and not any(t["key"].startswith("node.kubernetes.io/") for t in taints)


def install_kwok(client: LabClient, config: Path, empty_log: Path) -> None:
    """CRDs, stages and the catch-all log: all there before kwok starts, so that it misses no pod."""
    definitions = crds(config)
    for definition in definitions:
        client.apply(definition)
    for definition in definitions:
        name = definition["metadata"]["name"]
        client.wait_until(f"{name} is established", lambda name=name: established(client, name), every_s=0.05)
    for stage in default_stages(config):
        client.apply(stage)
    client.apply(catch_all_logs(empty_log))


def established(client: LabClient, crd: str) -> bool:
    """Established, and discovery tells of it: that follows a moment later, longer on a busy machine."""
    found = client.get("customresourcedefinitions.apiextensions.k8s.io", crd) or {}
    conditions = found.get("status", {}).get("conditions") or ()
    if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
        return False
    spec = found["spec"]
    served = [f"{spec['group']}/{version['name']}" for version in spec["versions"] if version["served"]]
    return all(client.discovery.serves(spec["names"]["kind"], one) for one in served)
