"""Changes to a recording that must not matter: that they are real, that no answer hangs on one, and that one that did
would be caught."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.lab import altered
from evals.lab.ask import ask_recorded
from evals.lab.held import Held, load, save
from evals.lab.invariance import Shuffled, variances
from firstmate_tools.kinds import POD
from firstmate_tools.reads import Grant, Read

pytestmark = pytest.mark.anyio
DEMO = Path(__file__).parents[1] / "server" / "firstmate" / "data" / "demo.tar.gz"
PLACE = "payments"


@pytest.fixture(scope="module")
def demo() -> Held:
    return load(DEMO)


def words(held: Held, resource: str) -> set[str]:
    return {str(one["metadata"]["name"]) for one in held.of(resource)}


async def test_the_demo_has_the_same_root_causes_however_it_is_altered() -> None:
    assert await variances(DEMO, f"namespace/{PLACE}", None, ask_recorded) == []


def test_new_names_stand_wherever_the_old_ones_did(demo: Held) -> None:
    names = altered.new_names(demo)
    new = altered.renamed(demo, names)
    assert PLACE in names and len(names) > 5
    assert words(new, "deployments.apps") == {altered.renamer(names)(one) for one in words(demo, "deployments.apps")}
    assert words(new, "deployments.apps") & words(demo, "deployments.apps") <= {"gateway"}
    text = json.dumps([one["spec"] for one in new.of("services")] + [one.get("message") for one in new.of("events")])
    assert altered.renamer(names)(text) == text  # none of the old ones is left
    assert {one["kind"]["kind"] for one in new.manifest["resources"].values()} == {
        one["kind"]["kind"] for one in demo.manifest["resources"].values()
    }
    assert words(new, "namespaces") >= {"kube-system", "default", names[PLACE]}


@pytest.mark.parametrize("name", ["kube-dns", "aws-node", "redis", "app", "db", "A_b"])
def test_well_known_names_stay(name: str) -> None:
    held = Held({"every_namespace": ["x1y"]}, {("services", "x1y"): [{"metadata": {"name": name}}]}, {}, {})
    assert name not in altered.new_names(held)


def test_names_are_replaced_whole_or_where_generated_names_begin() -> None:
    new = altered.renamer({"cart": "cqart", "cart-db": "cqart-db"})
    given = "cart cart-7d9f-x2b cart-db.shop.svc cartoon my-cart shop_cart_apps cart/cart"
    assert new(given) == "cqart cqart-7d9f-x2b cqart-db.shop.svc cartoon my-cart shop_cqart_apps cqart/cqart"


def test_company_is_a_workload_at_home_and_one_elsewhere(demo: Held) -> None:
    more = altered.accompanied(demo, PLACE)
    places = {place for (resource, place), rows in more.objects.items() if "zz-bystander" in json.dumps(rows)}
    assert places == {PLACE, "zz-elsewhere"}
    assert len(list(more.of("pods"))) == len(list(demo.of("pods"))) + 4
    assert "zz-elsewhere" not in words(demo, "namespaces")


def test_a_split_doubles_pods_and_what_counts_them() -> None:
    owner = [{"kind": "ReplicaSet", "name": "cart-1", "controller": True}]
    pod: dict[str, Any] = {"metadata": {"name": "cart-1-a", "uid": "1", "ownerReferences": owner}}
    pod |= {"spec": {"nodeName": "n1"}, "status": {}}
    sets = {"metadata": {"name": "cart-1"}, "spec": {"replicas": 1}, "status": {"replicas": 1, "readyReplicas": 0}}
    node = {"metadata": {"name": "n1"}, "status": {"allocatable": {"pods": "110", "memory": "32Gi"}}}
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "cart-1-a", "uid": "1"}}
    objects = {("pods", PLACE): [pod], ("replicasets.apps", PLACE): [sets], ("nodes", "_cluster"): [node]}
    held = Held({"every_namespace": [PLACE], "logs": []}, objects | {("events", PLACE): [event]}, {}, {})
    more = altered.split(held)
    assert more is not None
    assert words(more, "pods") == {"cart-1-a", "cart-1-az"}
    (doubled,) = more.of("replicasets.apps")
    assert (doubled["spec"], doubled["status"]) == ({"replicas": 2}, {"replicas": 2, "readyReplicas": 0})
    assert {e["involvedObject"]["name"] for e in more.of("events")} == {"cart-1-a", "cart-1-az"}
    assert next(more.of("nodes"))["status"]["allocatable"] == {"pods": "220", "memory": "64Gi"}
    pod["spec"]["volumes"] = [{"persistentVolumeClaim": {"claimName": "data"}}]
    assert altered.split(held) is None


async def test_shuffled_lists_hold_the_same_in_another_order(tmp_path: Path, demo: Held) -> None:
    from firstmate_tools.cluster.snapshot import SnapshotSource

    save(demo, tmp_path)
    source = SnapshotSource("x", tmp_path)
    async with source.open(Grant.of([Read(POD, ("list",))])) as cluster:
        plain = (await cluster.list(POD)).items
        mixed = (await Shuffled(cluster).list(POD)).items
        swept = (await Shuffled(cluster).sweep(POD, lambda pod: pod["metadata"]["name"])).items
    names = [pod["metadata"]["name"] for pod in plain]
    assert sorted(pod["metadata"]["name"] for pod in mixed) == sorted(swept) == sorted(names)
    assert swept != names


def pods_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in folder.glob("objects/pods/*") for line in file.read_text().splitlines()]


@pytest.mark.parametrize("hangs_on", ["order", "name", "company", "number"])
async def test_an_answer_that_hangs_on_what_must_not_matter_is_caught(hangs_on: str) -> None:
    async def ask(folder: Path, scope: str, namespace: str | None, around: Any = None) -> dict[str, Any]:
        pods = pods_in(folder)
        first = {
            "order": around is None,
            "name": PLACE in {pod["metadata"]["namespace"] for pod in pods},
            "company": not any("bystander" in pod["metadata"]["name"] for pod in pods),
            "number": not any(pod["metadata"]["name"].endswith("z") for pod in pods),
        }[hangs_on]
        place = {"kind": "Node", "name": "one"}
        return {"root_causes": [{"cause": "a" if first else "b", "object": place, "severity": "warning"}]}

    said = await variances(DEMO, f"namespace/{PLACE}", None, ask)
    if hangs_on == "number" and altered.split(load(DEMO)) is None:
        assert said == []
    else:
        assert len(said) == 2
        assert "no longer a (warning) at Node//one" in said[0] and "now b" in said[1]
