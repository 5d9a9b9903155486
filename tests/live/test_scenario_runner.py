"""The runner keeps its word: a scenario is applied in order, asked when it is settled, and leaves nothing behind."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from evals.lab import apply, cleanup, inventory, run, scenario
from evals.lab.ask import Asked
from evals.lab.lab import Lab

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"


def deployment(replicas: int, mode: str = "") -> str:
    label = f", sim.firstmate.dev/mode: {mode}" if mode else ""
    return textwrap.dedent(f"""
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: cart, namespace: shop, annotations: {{replicas: "{replicas}"}}}}
        spec:
          replicas: {replicas}
          selector: {{matchLabels: {{app: cart}}}}
          template:
            metadata: {{labels: {{app: cart{label}}}}}
            spec: {{containers: [{{name: app, image: x}}, {{name: side, image: y}}]}}
        """)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def left_behind(lab: Lab, before: set[str]) -> set[str]:
    return {entry.path for entry in inventory.take(lab.client)} ^ before


def paths(lab: Lab) -> set[str]:
    """What is there, once whatever other tests are deleting has gone."""
    lab.client.wait_until("namespaces that other tests deleted are gone", lambda: not terminating(lab))
    return {entry.path for entry in inventory.take(lab.client)}


def terminating(lab: Lab) -> bool:
    return any("deletionTimestamp" in one["metadata"] for one in lab.client.list("Namespace"))


CRASH_STAGE = """
    apiVersion: kwok.x-k8s.io/v1alpha1
    kind: Stage
    metadata: {name: sim-crash}
    spec:
      resourceRef: {apiGroup: v1, kind: Pod}
      selector:
        matchLabels: {sim.firstmate.dev/mode: crash}
        matchExpressions:
        - {key: .status.phase, operator: In, values: [Pending]}
      next:
        event: {type: Warning, reason: BackOff, message: Back-off restarting failed container}
        statusTemplate: |
          phase: Running
          containerStatuses:
          - name: app
            image: x
            imageID: ""
            ready: false
            restartCount: 4
            state: {waiting: {reason: CrashLoopBackOff}}
    """
CRASH_LOGS = """
    apiVersion: kwok.x-k8s.io/v1alpha1
    kind: ClusterLogs
    metadata: {name: z-cart}
    spec:
      selector: {matchNamespaces: [shop]}
      logs:
      - {containers: [app], logsFile: "${SCENARIO_DIR}/app.log", previousLogsFile: "${SCENARIO_DIR}/app-previous.log"}
    ---
    apiVersion: kwok.x-k8s.io/v1alpha1
    kind: ClusterLogs
    metadata: {name: a-everything-else}
    spec:
      logs:
      - {logsFile: "${SCENARIO_DIR}/rest.log"}
    """


def line(text: str) -> str:
    return f"2026-01-02T03:04:05.000000000Z stderr F {text}\n"


def test_stages_logs_files_and_waits_in_order(lab: Lab, tmp_path: Path) -> None:
    fields = """
        id: crash
        summary: the app crashes
        scope: namespace/shop
        stages: [stage.yaml]
        logs: [clusterlogs.yaml]
        apply:
        - one.yaml
        - wait: {kind: Deployment, name: cart, namespace: shop, jsonpath: '{.status.replicas}', value: 1}
        - two.yaml
        wait:
        - {kind: Pod, selector: app=cart, timeout_s: 20, value: CrashLoopBackOff,
           jsonpath: '{.status.containerStatuses[?(@.name=="app")].state.waiting.reason}'}
        expect: {root_causes: [application-exits-on-error], object: Deployment/shop/cart}
        """
    logs = {"app.log": "", "app-previous.log": line("panic"), "rest.log": line("rest")}
    two = deployment(2, "crash").replace('annotations: {replicas: "2"}', "labels: {a: b}")
    files = {"scenario.yaml": fields, "stage.yaml": CRASH_STAGE, "clusterlogs.yaml": CRASH_LOGS, **logs}
    one = scenario.load(
        write(tmp_path, {**files, "one.yaml": NAMESPACE + "---" + deployment(1, "crash"), "two.yaml": two})
    )
    before = paths(lab)
    ledger = apply.begin(lab)
    try:
        apply.set_up(lab, one, ledger)
        pods = lab.client.list("Pod", "shop")
        assert len(pods) == 2
        for pod in pods:
            name = pod["metadata"]["name"]
            assert lab.client.logs("shop", name, "app") == ""
            assert lab.client.logs("shop", name, "app", previous=True) == "panic\n"
            assert lab.client.logs("shop", name, "side") == "rest\n"
        updated = lab.client.get("Deployment", "cart", "shop")
        assert updated is not None
        assert "replicas" not in updated["metadata"]["annotations"], "what a later file lacks disappears"
        assert any(event["reason"] == "BackOff" for event in lab.client.list("Event", "shop"))
    finally:
        cleanup.clean_up(lab, ledger)
    assert left_behind(lab, before) == set()
    assert lab.client.list("Event", "shop") == []


def test_what_guards_admission_and_what_hangs_is_cleaned_up(lab: Lab, tmp_path: Path) -> None:
    manifests = """
        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        ---
        apiVersion: v1
        kind: Namespace
        metadata: {name: default, labels: {pod-security.kubernetes.io/enforce: restricted}}
        ---
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata: {name: widgets.example.com}
        spec:
          group: example.com
          scope: Namespaced
          names: {kind: Widget, plural: widgets}
          versions:
          - name: v1
            served: true
            storage: true
            subresources: {status: {}}
            schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
        ---
        apiVersion: example.com/v1
        kind: Widget
        metadata: {name: w, namespace: shop, finalizers: [example.com/nobody]}
        status: {phase: Stuck}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: p, namespace: shop, labels: {sim.firstmate.dev/mode: nobody}, finalizers: [example.com/nobody]}
        spec: {containers: [{name: app, image: x}]}
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: in-an-old-namespace, namespace: default}
        ---
        apiVersion: admissionregistration.k8s.io/v1
        kind: ValidatingWebhookConfiguration
        metadata: {name: refuses-everything}
        webhooks:
        - name: gone.example.com
          failurePolicy: Fail
          sideEffects: None
          admissionReviewVersions: [v1]
          clientConfig: {service: {name: gone, namespace: shop}}
          rules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*/*"]}]
        """
    fields = """
        id: hangs
        summary: nothing wants to go
        scope: namespace/shop
        apply: [a.yaml]
        wait:
        - {kind: Widget, name: w, jsonpath: "{.status.phase}", value: Stuck}
        - {kind: Pod, name: p, condition: PodScheduled=True}
        expect: {healthy: true}
        """
    one = scenario.load(write(tmp_path, {"scenario.yaml": fields, "a.yaml": manifests}))
    before = paths(lab)
    ledger = apply.begin(lab)
    try:
        apply.set_up(lab, one, ledger)
    finally:
        cleanup.clean_up(lab, ledger)
    assert left_behind(lab, before) == set()
    default = lab.client.get("Namespace", "default")
    assert default is not None
    assert set(default["metadata"]["labels"]) == {"kubernetes.io/metadata.name"}


def test_default_nodes_come_back_as_they_were(lab: Lab, tmp_path: Path) -> None:
    manifests = """
        apiVersion: v1
        kind: Node
        metadata: {name: node-a, labels: {pool: "1"}}
        spec: {unschedulable: true, taints: [{key: dedicated, value: x, effect: NoSchedule}]}
        ---
        apiVersion: v1
        kind: Node
        metadata: {name: own, labels: {sim.firstmate.dev/scenario: nodes}}
        status:
          allocatable: {cpu: "2", memory: 4Gi, pods: "10"}
          addresses: [{type: InternalIP, address: 10.0.3.7}]
          conditions: [{type: Ready, status: "True"}]
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: here, namespace: default}
        spec: {nodeName: own, containers: [{name: app, image: x}]}
        """
    fields = """
        id: nodes
        summary: a cordoned default node, and a node of its own
        scope: namespace/default
        apply: [a.yaml]
        wait:
        - {kind: Node, name: node-a, jsonpath: "{.spec.unschedulable}", value: true}
        - {kind: Pod, name: here, condition: Ready=True}
        expect: {root_causes: [nodes-cordoned], object: Node//node-a}
        """
    one = scenario.load(write(tmp_path, {"scenario.yaml": fields, "a.yaml": manifests}))
    before = paths(lab)
    ledger = apply.begin(lab)
    try:
        apply.set_up(lab, one, ledger)
        cordoned = lab.client.get("Node", "node-a")
        assert cordoned is not None
        assert cordoned["metadata"]["labels"]["topology.kubernetes.io/zone"] == "a", "the rest of the node stays"
        assert lab.client.logs("default", "here") == "", "logs come from kwok, whatever the node's address"
    finally:
        cleanup.clean_up(lab, ledger)
    assert left_behind(lab, before) == set()
    node = lab.client.get("Node", "node-a")
    assert node is not None
    assert node["spec"] == {}
    assert "pool" not in node["metadata"]["labels"]


def test_a_broken_scenario_costs_only_itself(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = """
        id: {id}
        summary: {id}
        scope: namespace/shop
        apply: [a.yaml]
        wait:
        - {{kind: Namespace, name: shop, timeout_s: 1, jsonpath: "{{.status.phase}}", value: {phase}}}
        expect: {{healthy: true}}
        """
    for name, phase in (("good", "Active"), ("never-holds", "Gone"), ("breaks-the-product", "Active")):
        write(tmp_path / name, {"scenario.yaml": fields.format(id=name, phase=phase), "a.yaml": NAMESPACE})
    write(tmp_path / "typo", {"scenario.yaml": "id: typo\nsumary: x\n"})
    asked: list[str] = []

    async def fake(kubeconfig: Path, scope: str, namespace: str | None) -> Asked:
        asked.append(scope)
        if len(asked) > 1:
            raise KeyError("a defect in a rule")
        answer: dict[str, Any] = {"outcome": "nothing_found", "root_causes": []}
        return Asked(answer, ms=1.0, requests=2, bytes=3)

    monkeypatch.setattr(run, "ask", fake)
    before = paths(lab)
    results = [
        run.run_one(lab, tmp_path / name, checks=run.Checks(), say=print)
        for name in ("good", "never-holds", "typo", "breaks-the-product")
    ]
    assert [result.score.first for result in results] == [True, False, False, False]
    errors = [result.error or "" for result in results]
    assert errors[0] == ""
    assert "waited 1 s in vain: Namespace shop: {.status.phase} is 'Gone'; there is 'Active' at shop" in errors[1]
    assert "unknown field sumary" in errors[2]
    assert errors[3] == "KeyError: 'a defect in a rule'"
    assert left_behind(lab, before) == set()
