"""Leaves a lab as it was before a scenario.

Called by the runner after every scenario, applied wholly, in part or not at all. Works from what is there (the
difference to the inventory in the ledger), not from the manifests: controllers make objects too. Order matters: what
guards admission goes first, because it may refuse every later step. Must never delete an object that was there before.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from evals.lab import cluster, inventory
from evals.lab.client import LabClient, Object
from evals.lab.components import NODE_LEASE_S
from evals.lab.errors import ApiError, SetupError
from evals.lab.inventory import Entry, Ledger
from evals.lab.lab import Lab

_TIMEOUT_S = 60.0
_EVERY_S = 0.3
_STRIP_AFTER_S = 1.5  # a finalizer whose owner is at work is gone by then

# The order of one round. A namespace that is terminating takes nothing new, so that no controller refills it.
_ORDER = (
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "APIService",
    "Namespace",
    "CronJob",
    "Deployment",
    "",  # everything else
    "Pod",
    "CustomResourceDefinition",
    "Node",
)
_LAST = ("Stage", "ClusterLogs")  # kwok may still be needed while pods end


def clean_up(lab: Lab, ledger: Ledger) -> None:
    """Undoes a scenario.

    Raises:
        SetupError: something would not go; the lab must not be used for another scenario.
    """
    client = lab.client
    begin = time.monotonic()
    while left := [entry for entry in inventory.take(client) if ledger.is_new(entry)]:
        passed = time.monotonic() - begin
        if passed > _TIMEOUT_S:
            raise SetupError(f"the clean-up could not remove {', '.join(entry.path for entry in left[:5])}")
        _one_round(client, left, strip=passed > _STRIP_AFTER_S)
        time.sleep(_EVERY_S)
    for path, original in ledger.originals.items():
        if original["kind"] not in {"Node", "Lease"}:
            _restore(client, path, original)
    _delete_events(client)
    _restore_nodes(lab)
    if not lab.running:  # a scheduler that loses its lease ends itself, and a scenario may have taken it
        raise SetupError("a component of the lab has ended")


def _one_round(client: LabClient, left: list[Entry], *, strip: bool) -> None:
    """One pass over what is left, in order; what is refused now is tried again in the next."""
    filled = {entry.namespace for entry in left}
    only_last = all(entry.kind.kind in _LAST for entry in left)
    for entry in sorted(left, key=_rank):
        kind = entry.kind.kind
        if kind in _LAST and not only_last:
            continue
        with contextlib.suppress(ApiError):
            if kind == "Pod":
                client.delete_path(entry.path, grace_s=0)  # no kubelet would end it
            elif not entry.deleting:
                client.delete_path(entry.path)
            elif kind == "Namespace" and entry.name not in filled:
                _finalize(client, entry)
            if strip and entry.deleting and entry.finalizers:
                body = {"metadata": {"finalizers": None}}
                client.request("PATCH", entry.path, body=body, content_type="application/merge-patch+json")


def _finalize(client: LabClient, namespace: Entry) -> None:
    """Lets an empty namespace go at once; the namespace controller would look at it after five seconds."""
    current = client.request("GET", namespace.path)
    client.request("PUT", f"{namespace.path}/finalize", body={**current, "spec": {"finalizers": []}})


def _rank(entry: Entry) -> int:
    kind = entry.kind.kind
    return len(_ORDER) if kind in _LAST else _ORDER.index(kind if kind in _ORDER else "")


def _restore(client: LabClient, path: str, original: Object) -> None:
    """Puts an object back that was there before and that the scenario applied over or deleted."""
    current = _get(client, path)
    if current is None:
        client.create(_without(original, "resourceVersion", "uid", "managedFields"))
        return
    if _essence(current) == _essence(original):
        return
    content = _without(original, "resourceVersion")
    try:
        client.request("PUT", path, body=content)
    except ApiError as error:
        if error.status not in {409, 422}:
            raise
        client.delete_path(path)  # an immutable field has changed
        client.wait_until(f"{path} is gone", lambda: _get(client, path) is None, timeout_s=10)
        client.create(_without(original, "resourceVersion", "uid", "managedFields"))
    if "status" in original and "status" in client.kind(original["kind"], original["apiVersion"]).subresources:
        client.request("PUT", f"{path}/status", body=content)


def _delete_events(client: LabClient) -> None:
    """Old events would be evidence in the next scenario; some arrive after their namespace has gone."""
    for namespace in sorted({event["metadata"]["namespace"] for event in client.list("Event")}):
        client.request("DELETE", f"/api/v1/namespaces/{namespace}/events")


def _restore_nodes(lab: Lab) -> None:
    """A default node that differs from a fresh one in anything that matters is made anew, and its lease with it."""
    client = lab.client
    wanted = lab.default_nodes()
    spoilt = [node for node in wanted if not _as_new(client, node)]
    for node in spoilt:
        name = node["metadata"]["name"]
        client.delete("Node", name)
        client.delete("Lease", name, "kube-node-lease")
        client.wait_until(f"node {name} is gone", lambda name=name: client.get("Node", name) is None, timeout_s=10)
        lab.setup_client.apply(node)
    for node in spoilt:
        name = node["metadata"]["name"]
        ready = f"node {name} is ready again"
        client.wait_until(ready, lambda name=name: cluster.node_settled(client.get("Node", name)), timeout_s=30)


def _as_new(client: LabClient, wanted: Object) -> bool:
    name = wanted["metadata"]["name"]
    node, lease = client.get("Node", name), client.get("Lease", name, "kube-node-lease")
    if node is None or lease is None or not cluster.node_settled(node):
        return False
    others = {key for key in node["metadata"]["labels"] if not key.startswith("beta.kubernetes.io/")}
    spec = {key: value for key, value in node.get("spec", {}).items() if key not in {"podCIDR", "podCIDRs"}}
    annotations = {key for key in node["metadata"].get("annotations", {}) if not key.startswith("node.alpha.")}
    pressed = [c["type"] for c in node["status"]["conditions"] if c["type"] != "Ready" and c["status"] != "False"]
    return (
        others == set(wanted["metadata"]["labels"])
        and wanted["metadata"]["labels"].items() <= node["metadata"]["labels"].items()
        and not (spec or annotations or pressed)
        and all(node["status"].get(key) == value for key, value in wanted["status"].items())
        and lease["spec"].get("leaseDurationSeconds") == NODE_LEASE_S
        and any(owner["uid"] == node["metadata"]["uid"] for owner in lease["metadata"].get("ownerReferences", ()))
    )


def _get(client: LabClient, path: str) -> Object | None:
    try:
        return client.request("GET", path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _without(document: Object, *fields: str) -> Object:
    return {**document, "metadata": {k: v for k, v in document["metadata"].items() if k not in fields}}


def _essence(document: Object) -> dict[str, Any]:
    return _without(document, "resourceVersion", "managedFields", "generation")
