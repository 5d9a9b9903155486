"""The lab's server of metrics.k8s.io: what it answers for pods and nodes, and whom it leaves out."""

from typing import Any

import pytest

from evals.lab.metricsapi import BASE, GROUP, UNSCRAPED, answer, manifests
from firstmate_tools.quantity import milli

Object = dict[str, Any]
CPU, MEMORY = "kwok.x-k8s.io/usage-cpu", "kwok.x-k8s.io/usage-memory"


def pod(
    name: str, node: str, namespace: str = "shop", containers: int = 1, phase: str = "Running", **usage: str
) -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}, "annotations": usage},
        "spec": {"nodeName": node, "containers": [{"name": f"c{i}"} for i in range(containers)]},
        "status": {"phase": phase},
    }


def node(name: str, **annotations: str) -> Object:
    return {"metadata": {"name": name, "annotations": annotations}}


PODS = [
    pod("cart", "n1", containers=2, **{CPU: "250m", MEMORY: "64Mi"}),
    pod("pay", "n2", "pay", **{CPU: "1"}),
    pod("idle", "n1"),
    pod("waiting", "n1", phase="Pending"),
]
NODES = [node("n1"), node("n2", **{UNSCRAPED: "true"})]


def asked(path: str) -> Any:
    return answer(path, lambda: PODS, lambda: NODES)


def test_discovery_names_both_kinds() -> None:
    assert asked(f"/apis/{GROUP}")["preferredVersion"]["version"] == "v1beta1"
    kinds = {one["name"]: (one["kind"], one["namespaced"]) for one in asked(f"{BASE}?timeout=32s")["resources"]}
    assert kinds == {"nodes": ("NodeMetrics", False), "pods": ("PodMetrics", True)}


def test_pods_use_what_their_annotations_say_and_those_of_a_node_that_cannot_be_read_are_left_out() -> None:
    found = {one["metadata"]["name"]: one["containers"] for one in asked(f"{BASE}/pods")["items"]}
    assert set(found) == {"cart", "idle"}
    assert [milli(c["usage"]["cpu"]) for c in found["cart"]] == [250, 250]
    assert milli(found["cart"][0]["usage"]["memory"]) == 64 * 1024**2 * 1000
    assert milli(found["idle"][0]["usage"]["cpu"]) == 1


def test_a_node_uses_what_its_pods_use_and_a_little_more() -> None:
    (one,) = asked(f"{BASE}/nodes")["items"]
    assert (one["metadata"]["name"], milli(one["usage"]["cpu"])) == ("n1", 521)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (f"{BASE}/namespaces/shop/pods", ["cart", "idle"]),
        (f"{BASE}/namespaces/shop/pods?labelSelector=app%3Dcart", ["cart"]),
        (f"{BASE}/namespaces/pay/pods", []),
    ],
)
def test_lists_are_of_a_namespace_and_of_a_selector(path: str, names: list[str]) -> None:
    assert [one["metadata"]["name"] for one in asked(path)["items"]] == names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{BASE}/namespaces/shop/pods/cart", "cart"),
        (f"{BASE}/nodes/n1", "n1"),
        (f"{BASE}/nodes/n2", None),
        (f"{BASE}/namespaces/shop/pods/waiting", None),
        (f"{BASE}/services", None),
        (f"{BASE}/pods/cart/log/x", None),
        ("/openapi/v2", None),
    ],
)
def test_one_object_or_none(path: str, name: str | None) -> None:
    found = asked(path)
    assert (found["metadata"]["name"] if found else None) == name


def test_it_is_registered_at_this_machine_alone() -> None:
    (found,) = [one for one in manifests(12345) if one["kind"] == "EndpointSlice"]
    assert (found["endpoints"][0]["addresses"], found["ports"][0]["port"]) == (["127.0.0.1"], 12345)
