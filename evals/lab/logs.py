"""Container logs of a scenario: which file answers for which container.

Called by `apply`. kwok takes ClusterLogs from a map, so when several match a container it answers with any of them.
The scenario's order decides here instead: where not exactly one matches, a Logs object for that very pod names the
file (kwok asks those first). Must never touch a log file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evals.lab import cluster
from evals.lab.client import LabClient, Object

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def read(path: Path, folder: Path) -> list[Object]:
    """The documents of a logs file, with the scenario's folder filled in."""
    text = path.read_text().replace("${SCENARIO_DIR}", str(folder.absolute()))
    return [document for document in yaml.safe_load_all(text) if document]


def catch_all(empty_log: Path) -> Object:
    return cluster.catch_all_logs(empty_log)


def pin(client: LabClient, given: list[Object], empty_log: Path) -> None:
    """Fixes the file for each container that none or several of the scenario's logs match."""
    cluster_wide = [document for document in given if document["kind"] == "ClusterLogs"]
    own = {(d["metadata"].get("namespace", "default"), d["metadata"]["name"]) for d in given if d["kind"] == "Logs"}
    for pod in client.list("Pod"):
        where = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        if where in own:
            continue
        found: dict[str, list[dict[str, Any]]] = {
            name: matching(cluster_wide, *where, name) for name in containers(pod)
        }
        if all(len(files) == 1 for files in found.values()):
            continue
        pinned: list[dict[str, Any]] = [
            {**(files[0] if files else {"logsFile": str(empty_log)}), "containers": [name]}
            for name, files in found.items()
        ]
        client.apply(
            {
                "apiVersion": "kwok.x-k8s.io/v1alpha1",
                "kind": "Logs",
                "metadata": {"namespace": where[0], "name": where[1]},
                "spec": {"logs": pinned},
            }
        )


def matching(cluster_wide: list[Object], namespace: str, pod: str, container: str) -> list[dict[str, Any]]:
    """The log entries for a container, one for each ClusterLogs that has one, in the scenario's order."""
    found: list[dict[str, Any]] = []
    for document in cluster_wide:
        selector: dict[str, list[str]] = document["spec"].get("selector") or {}
        if namespace not in (selector.get("matchNamespaces") or [namespace]):
            continue
        if pod not in (selector.get("matchNames") or [pod]):
            continue
        entries = document["spec"]["logs"]
        named = [entry for entry in entries if container in (entry.get("containers") or ())]
        unnamed = [entry for entry in entries if not entry.get("containers")]
        found += (named or unnamed)[:1]
    return found


def containers(pod: Object) -> list[str]:
    return [container["name"] for kind in _CONTAINER_LISTS for container in pod["spec"].get(kind) or ()]
