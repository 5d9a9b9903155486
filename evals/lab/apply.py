"""Sets a scenario up on a lab: stages, logs, files and waits in order, then patience until nothing moves any more.

Called by the runner. Writes everything that it is about to change into the ledger first; must never leave a change that
the clean-up could not find.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from evals.lab import cluster, inventory, logs, metricsapi, waits
from evals.lab.client import LabClient, Object
from evals.lab.discovery import UnknownKindError
from evals.lab.errors import ApiError, LabError, SetupError
from evals.lab.inventory import Ledger
from evals.lab.lab import Lab
from evals.lab.scenario import Scenario, Wait, WaitStep

T = TypeVar("T")
SETTLE_S = 3.0
_STAGES_LOAD_S = 1.0
_PATIENCE_S = 10.0
_ROUNDS = 3
METRICS = Wait(kind="APIService", name="v1beta1.metrics.k8s.io", condition="Available=True", timeout_s=20)
_NUDGE = "sim.firstmate.dev/nudge"


def begin(lab: Lab) -> Ledger:
    """Writes down what is there before the scenario."""
    return Ledger(before={entry.path: entry.uid for entry in inventory.take(lab.client)})


def set_up(lab: Lab, scenario: Scenario, ledger: Ledger) -> None:
    """Applies a scenario and returns when the question can be asked.

    Raises:
        SetupError: a file was refused, or a wait did not hold; names the file or the wait.
    """
    work = _Setup(lab, scenario, ledger)
    for name in scenario.stages:
        work.apply_file(name)
    if scenario.stages:
        time.sleep(_STAGES_LOAD_S)  # kwok picks a stage for an object from those that it knows at that moment
        _nudge_nodes(lab.client)
    given = [document for name in scenario.logs for document in logs.read(scenario.file(name), scenario.folder)]
    if given:
        # Of several that match, kwok takes any: the lab's own must be out of the way.
        work.remember(logs.catch_all(lab.layout.empty_log))
        lab.client.delete("ClusterLogs", cluster.CATCH_ALL_LOGS)
        for document in given:
            if document["kind"] == "ClusterLogs":
                work.apply(document)
    if scenario.metrics_api:
        for document in metricsapi.manifests(lab.metrics_api().port):
            work.apply(document)
        waits.until(lab.client, METRICS, scenario.home)
    for step in scenario.apply:
        if isinstance(step, WaitStep):
            waits.until(lab.client, step.wait, scenario.home)
        else:
            work.apply_file(step)
    for document in given:
        if document["kind"] != "ClusterLogs":  # of one pod: its namespace is there now
            work.apply(document)
    _settle(lab, scenario, given)


def _settle(lab: Lab, scenario: Scenario, given: list[Object]) -> None:
    """Waits for all waits, lets events catch up with the status that they describe, and looks again."""
    for _ in range(_ROUNDS):
        for wait in scenario.wait:
            waits.until(lab.client, wait, scenario.home)
        if given:
            logs.pin(lab.client, given, lab.layout.empty_log)
        time.sleep(SETTLE_S)
        if all(waits.holds(wait, waits.matches(lab.client, wait, scenario.home)) for wait in scenario.wait):
            return
    for wait in scenario.wait:  # it swings; this is one of the moments that it was written for, or it is none
        waits.until(lab.client, wait, scenario.home)


def _nudge_nodes(client: LabClient) -> None:
    """Lets kwok choose again for the nodes that are there already; leaves no trace on them."""
    for mark in ("now", None):
        for node in client.list("Node"):
            client.patch("Node", node["metadata"]["name"], {"metadata": {"annotations": {_NUDGE: mark}}})


class _Setup:
    """Applies documents, with the small waits that a real cluster needs in between."""

    def __init__(self, lab: Lab, scenario: Scenario, ledger: Ledger) -> None:
        self._client: LabClient = lab.client
        self._server = lab.server
        self._kubelet_port = lab.ports.kwok
        self._scenario = scenario
        self._ledger = ledger
        self._new_nodes: list[str] = []

    def apply_file(self, name: str) -> None:
        for document in documents(self._scenario.file(name), self._server):
            try:
                self.apply(document)
            except LabError as error:
                which = f"{document['kind']} {document['metadata'].get('name', '')}"
                raise SetupError(f"{name}: {which}: {error}") from error

    def apply(self, document: Object) -> None:
        if document["kind"] != "Node":
            self._wait_for_new_nodes()
        existing = self._patiently(lambda: self.remember(document))
        if document["kind"] == "Node" and (existing is None or document.get("status")):
            document = _reachable(document, self._kubelet_port)
        self._patiently(lambda: self._send(document, existing is None))
        if existing is None:
            self._after_creation(document)

    def remember(self, document: Object) -> Object | None:
        """The object as it is now, noted in the ledger if it was there before the scenario."""
        if "name" not in document["metadata"]:
            return None
        path = self._client.path(document)
        try:
            existing: Object | None = self._client.request("GET", path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        if existing is not None and path in self._ledger.before:
            self._ledger.originals.setdefault(path, existing)
        return existing

    def _send(self, document: Object, new: bool) -> None:
        if "name" not in document["metadata"]:
            self._client.create(document)
            return
        try:
            self._client.apply(document)
        except ApiError as error:
            # What kubectl creates, a server-side apply may refuse: lists whose entries have one key twice.
            if not new or "duplicate entries for key" not in error.message:
                raise
            self._client.create(document)
        # The main resource takes no status, except for a Node at its creation. In a CRD status is no observation.
        if document.get("status") and document["kind"] != "CustomResourceDefinition":
            kind = self._client.kind(document["kind"], document["apiVersion"])
            if "status" in kind.subresources and not (new and document["kind"] == "Node"):
                self._client.apply(document, subresource="status")

    def _after_creation(self, document: Object) -> None:
        name, namespace = document["metadata"].get("name", ""), document["metadata"].get("namespace")
        match document["kind"]:
            case "Namespace":  # pods are refused until its service account is there
                self._shortly(lambda: self._client.get("ServiceAccount", "default", name) is not None)
            case "ResourceQuota":  # pods slip past until its status is filled
                hard = set(document.get("spec", {}).get("hard", {}))
                self._shortly(lambda: hard <= set(self._status("ResourceQuota", name, namespace).get("hard", {})))
            case "CustomResourceDefinition":
                self._shortly(lambda: cluster.established(self._client, name))
            case "Node" if _starts_ready(document):
                self._new_nodes.append(name)
            case _:
                pass

    def _status(self, kind: str, name: str, namespace: str | None) -> dict[str, Any]:
        return (self._client.get(kind, name, namespace) or {}).get("status", {})

    def _wait_for_new_nodes(self) -> None:
        """Pods that come while a new node still has its not-ready taint collect FailedScheduling events."""
        for name in self._new_nodes:
            self._shortly(lambda name=name: not _fresh_taints(self._client.get("Node", name)))
        self._new_nodes.clear()

    def _shortly(self, done: Callable[[], bool]) -> None:
        """Waits a while for something that usually comes; a scenario may be about its not coming."""
        deadline = time.monotonic() + _PATIENCE_S
        while not done() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _patiently(self, action: Callable[[], T]) -> T:
        """Repeats what fails only because the cluster has not caught up."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return action()
            except (ApiError, UnknownKindError) as error:
                if not _may_pass(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)


def documents(path: Path, server: str = "") -> list[Object]:
    """The objects of a manifest file; Lists taken apart, fields that only a server writes left out.

    Args:
        server: what `${LAB_SERVER}` stands for: the address of the lab's API server, the one TLS server that is sure
            to answer, for a webhook that is there and not trusted.

    Raises:
        SetupError: no valid YAML, or a document that is no object.
    """
    try:
        found = [
            document for document in yaml.safe_load_all(path.read_text().replace("${LAB_SERVER}", server)) if document
        ]
    except yaml.YAMLError as error:
        raise SetupError(f"{path.name}: no valid YAML: {error}") from error
    flat: list[Object] = []
    for document in found:
        flat += document["items"] if str(document.get("kind", "")).endswith("List") else [document]
    for document in flat:
        if not (document.get("apiVersion") and document.get("kind") and isinstance(document.get("metadata"), dict)):
            raise SetupError(f"{path.name}: a document lacks apiVersion, kind or metadata")
        for written_by_server in ("managedFields", "resourceVersion", "uid", "creationTimestamp"):
            document["metadata"].pop(written_by_server, None)
    return flat


def _reachable(node: Object, kubelet_port: int) -> Object:
    """A node whose logs come from kwok, whatever address the scenario gives it.

    It is given its name as its host name: where there is none, kwok's own stage writes the addresses anew.
    """
    status = dict(node.get("status") or {})
    given = list(status.get("addresses") or [])
    if not any(address.get("type") == "Hostname" for address in given):
        given.append({"type": "Hostname", "address": node["metadata"]["name"]})
    status["addresses"] = cluster.node_addresses(given)
    status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": kubelet_port}}
    return {**node, "status": status}


def _starts_ready(node: Object) -> bool:
    status: Object = node.get("status") or {}
    conditions: list[Object] = status.get("conditions") or []
    return all(c.get("status") == "True" for c in conditions if c.get("type") == "Ready")


def _fresh_taints(node: Object | None) -> bool:
    taints = (node or {}).get("spec", {}).get("taints", ())
    return any(taint["key"] == "node.kubernetes.io/not-ready" for taint in taints)


def _may_pass(error: Exception) -> bool:
    if not isinstance(error, ApiError):
        return True  # a kind whose definition has only just been applied
    late = error.status == 403 and "serviceaccount" in error.message.lower() and "not found" in error.message
    return late or error.status in {409, 503, 504}
