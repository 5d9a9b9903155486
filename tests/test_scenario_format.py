"""Scenario folders: what is accepted, and that what is refused is refused by file and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from evals.lab import logs, waits
from evals.lab.apply import documents
from evals.lab.errors import ScenarioError, SetupError
from evals.lab.scenario import ObjectRef, Wait, WaitStep, folders, load

SCENARIOS = Path(__file__).parents[1] / "evals" / "scenarios"
MINIMAL: dict[str, Any] = {
    "id": "one",
    "summary": "nothing is wrong",
    "scope": "namespace/shop",
    "apply": ["manifests/a.yaml"],
    "expect": {"healthy": True},
}
FAULT = {"root_causes": ["quota-exceeded"], "object": "ResourceQuota/shop/q"}


def folder(tmp_path: Path, **fields: Any) -> Path:
    here = tmp_path / "one"
    (here / "manifests").mkdir(parents=True)
    (here / "manifests" / "a.yaml").write_text("")
    (here / "scenario.yaml").write_text(yaml.safe_dump(MINIMAL | fields))
    return here


def test_everything_that_the_format_has(tmp_path: Path) -> None:
    wait = {
        "kind": "Pod",
        "namespace": "shop",
        "selector": "app=cart",
        "jsonpath": "{.status.phase}",
        "value": "Failed",
    }
    here = folder(
        tmp_path,
        scope="deployment/cart",
        namespace="shop",
        apply=["manifests/a.yaml", {"wait": {"kind": "Node", "name": "n1", "condition": "Ready=False"}}],
        wait=[wait | {"timeout_s": 90}],
        expect=FAULT
        | {
            "root_causes": ["quota-exceeded", "image-not-found"],
            "objects": ["ResourceQuota/shop/q", "Deployment/shop/web"],
            "also_objects": ["Deployment/shop/cart"],
            "also_acceptable": ["rollout-new-revision-failing"],
            "must_not": ["service-selector-mismatch"],
        },
    )
    one = load(here)
    assert isinstance(one.apply[1], WaitStep)
    assert one.wait[0].timeout_s == 90
    assert one.expect.objects[1] == ObjectRef("Deployment", "shop", "web")
    assert (one.home, one.folder) == ("shop", here)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"expects": {}}, "unknown field expects"),
        ({"expect": {"healthy": True, "mustnot": ["x"]}}, "unknown field expect.mustnot"),
        ({"expect": {}}, "either healthy: true, or root_causes"),
        ({"expect": FAULT | {"healthy": True}}, "a healthy scenario has no root causes"),
        ({"expect": FAULT | {"must_not": ["quota-exceeded"]}}, "must_not and right at the same time: quota-exceeded"),
        ({"expect": FAULT | {"object": "ResourceQuota/q"}}, "expect.object"),
        ({"expect": FAULT | {"objects": ["Node//a", "Node//b"]}}, "one for each of 1 root causes"),
        ({"expect": {"root_causes": ["Quota Exceeded"], "object": "Node//a"}}, "expect.root_causes.0"),
        ({"apply": ["manifests/b.yaml"]}, "there is no file manifests/b.yaml"),
        ({"stages": ["../elsewhere.yaml"]}, "lies outside"),
        ({"wait": [{"kind": "Pod", "condition": "Ready=True"}]}, "one of name and selector"),
        ({"wait": [{"kind": "Pod", "name": "a", "selector": "b=c", "condition": "Ready"}]}, "one of name and selector"),
        ({"wait": [{"kind": "Pod", "name": "a"}]}, "one of condition and jsonpath"),
        ({"wait": [{"kind": "Pod", "name": "a", "jsonpath": "{.a}"}]}, "jsonpath needs one"),
        ({"wait": [{"kind": "Pod", "name": "a", "jsonpath": "{.a[?(}", "value": "1"}]}, "wait.0.jsonpath"),
        (
            {"apply": [{"wait": {"kind": "Pod", "name": "a", "condition": "Ready", "timeout": 3}}]},
            "unknown field apply.0",
        ),
    ],
)
def test_what_is_refused_and_why(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    here = folder(tmp_path, **fields)
    with pytest.raises(ScenarioError) as refused:
        load(here)
    assert problem in str(refused.value)
    assert str(here / "scenario.yaml") in str(refused.value)


@pytest.mark.parametrize("text", ["- a list", "id: [", ""])
def test_a_file_that_is_no_scenario(tmp_path: Path, text: str) -> None:
    (tmp_path / "scenario.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=r"scenario\.yaml"):
        load(tmp_path)


def pod(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": fields}


READY = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("wait", "objects", "holds"),
    [
        ({"condition": "Ready=True"}, [pod(**READY)], True),
        ({"condition": "Ready"}, [pod(**READY)], True),
        ({"condition": "Ready=False"}, [pod(**READY)], False),
        ({"condition": "Ready=True"}, [], False),
        ({"condition": "Ready=True"}, [pod(**READY), pod(conditions=None)], False),
        ({"jsonpath": "{.status.phase}", "value": "Running"}, [pod(phase="Running")], True),
        ({"jsonpath": "{.status.phase}", "value": "Running"}, [pod(phase="Running"), pod(phase="Pending")], False),
        ({"jsonpath": "{.status.restarts}", "value": 3}, [pod(restarts=3)], True),
        ({"jsonpath": "{.status.ok}", "value": True}, [pod(ok=True)], True),
        ({"jsonpath": "{.status.ok}", "value": ""}, [pod()], True),
    ],
)
def test_a_wait_needs_one_object_and_all_that_match(wait: dict[str, Any], objects: list[Any], holds: bool) -> None:
    assert waits.holds(Wait.model_validate({"kind": "Pod", "selector": "a=b", **wait}), objects) is holds


def test_a_workload_whose_controller_lags_behind_does_not_satisfy() -> None:
    wait = Wait(kind="Deployment", name="cart", condition="Available=True")
    status = {"observedGeneration": 1, "conditions": [{"type": "Available", "status": "True"}]}
    stale = {"apiVersion": "apps/v1", "metadata": {"name": "cart", "generation": 2}, "status": status}
    assert not waits.holds(wait, [stale])
    assert waits.holds(wait, [stale | {"status": status | {"observedGeneration": 2}}])


def test_manifests_lose_what_only_a_server_writes_and_lists_are_taken_apart(tmp_path: Path) -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "1", "creationTimestamp": None}}
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump_all([None, {"apiVersion": "v1", "kind": "List", "items": [one]}, one]))
    assert [document["metadata"] for document in documents(path)] == [{"name": "a"}, {"name": "a"}]
    path.write_text("kind: ConfigMap")
    with pytest.raises(SetupError, match=r"a\.yaml: a document lacks apiVersion, kind or metadata"):
        documents(path)


def cluster_logs(file: str, containers: list[str] | None = None, **selector: list[str]) -> dict[str, Any]:
    entry = {"logsFile": file} | ({"containers": containers} if containers else {})
    return {"kind": "ClusterLogs", "metadata": {"name": file}, "spec": {"selector": selector, "logs": [entry]}}


def test_the_first_cluster_logs_that_match_win_in_the_scenarios_order() -> None:
    given = [
        cluster_logs("app.log", ["app"], matchNamespaces=["shop"], matchNames=["cart"]),
        cluster_logs("all.log"),
    ]
    assert logs.matching(given, "shop", "cart", "app")[0]["logsFile"] == "app.log"
    assert [entry["logsFile"] for entry in logs.matching(given, "shop", "cart", "sidecar")] == ["all.log"]
    assert [entry["logsFile"] for entry in logs.matching(given, "dev", "cart", "app")] == ["all.log"]


def test_logs_files_know_their_scenarios_folder(tmp_path: Path) -> None:
    path = tmp_path / "clusterlogs.yaml"
    path.write_text(yaml.safe_dump(cluster_logs("${SCENARIO_DIR}/logs/a.log")))
    assert logs.read(path, tmp_path)[0]["spec"]["logs"][0]["logsFile"] == f"{tmp_path}/logs/a.log"


@pytest.mark.skipif(not SCENARIOS.is_dir(), reason="no scenarios in this tree")
def test_every_scenario_of_ours_is_valid_and_bears_its_folders_name() -> None:
    for here in folders(SCENARIOS):
        one = load(here)
        assert one.id == here.name
        assert one.expect.healthy or one.expect.object or one.expect.objects, f"{one.id} expects no object"
