"""Every action that is a patch, sent as its command says to a real API server as a dry run: it is taken, and the object
comes back with what the action says that it would change.

What kubectl works out itself (rollout, scale, set, drain, create, annotate, label) is not tried here.
"""

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from evals.lab.client import LabClient
from evals.lab.errors import ApiError
from evals.lab.lab import Lab
from firstmate_tools.actions import ACTIONS

NS = "actions"
OBJECTS = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: cart, namespace: {NS}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: cart}}}}
  template:
    metadata: {{labels: {{app: cart}}}}
    spec:
      containers:
        - name: app
          image: registry.example/cart:1
          livenessProbe: {{httpGet: {{path: /live, port: 8081}}, failureThreshold: 3}}
        - {{name: proxy, image: registry.example/proxy:1}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: team, namespace: {NS}}}
spec: {{hard: {{requests.cpu: "4"}}}}
---
apiVersion: v1
kind: LimitRange
metadata: {{name: bounds, namespace: {NS}}}
spec: {{limits: [{{type: Container, max: {{memory: 1Gi}}}}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly, namespace: {NS}}}
spec:
  schedule: "0 3 * * *"
  suspend: true
  jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: r/a:1}}]}}}}}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: cart, namespace: {NS}}}
spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: cart}}, minReplicas: 1, maxReplicas: 3}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: cart, namespace: {NS}}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: cart}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: cart, namespace: {NS}}}
spec: {{type: NodePort, externalTrafficPolicy: Local, selector: {{app: cart}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: {NS}}}
spec:
  ingressClassName: old
  rules:
    - http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: lost, port: {{number: 80}}}}}}}}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data, namespace: {NS}}}
spec: {{accessModes: [ReadWriteOnce], storageClassName: actions, resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: kept, namespace: {NS}, finalizers: [example.com/first, example.com/cleanup]}}
"""
CLUSTER_WIDE = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: actions-pv}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /tmp/actions}
  claimRef: {namespace: actions, name: gone}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: actions-guard}
webhooks:
  - name: guard.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig: {service: {name: guard, namespace: actions}}
    rules: [{apiGroups: [example.invalid], apiVersions: [v1], operations: [CREATE], resources: [nothings]}]
"""
HOOK = {"kind": "ValidatingWebhookConfiguration", "name": "actions-guard"}

Case = tuple[str, dict[str, Any], Callable[[Any], object], object]
PROBE = {
    "kind": "Deployment",
    "name": "cart",
    "container": "app",
    "probe": "liveness",
    "port": 8080,
    "failure_threshold": 9,
}
CASES: list[Case] = [
    (
        "set-probe",
        PROBE,
        lambda o: _container(o)["livenessProbe"]["httpGet"],
        {"path": "/live", "port": 8080, "scheme": "HTTP"},
    ),
    ("set-probe", PROBE, lambda o: (_container(o)["livenessProbe"]["failureThreshold"], len(_containers(o))), (9, 2)),
    (
        "set-quota",
        {"name": "team", "resource": "requests.cpu", "hard": "8"},
        lambda o: o["spec"]["hard"],
        {"requests.cpu": "8"},
    ),
    (
        "set-limit-range",
        {"name": "bounds", "constraint": "max", "resource": "memory", "value": "2Gi"},
        lambda o: o["spec"]["limits"][0]["max"],
        {"memory": "2Gi"},
    ),
    (
        "create-pull-secret-reference",
        {"service_account": "default", "secret": "regcred"},
        lambda o: o["imagePullSecrets"],
        [{"name": "regcred"}],
    ),
    ("suspend-cronjob", {"name": "nightly", "suspend": False}, lambda o: o["spec"]["suspend"], False),
    (
        "set-hpa-bounds",
        {"name": "cart", "max_replicas": 20},
        lambda o: (o["spec"]["minReplicas"], o["spec"]["maxReplicas"]),
        (1, 20),
    ),
    (
        "set-pdb",
        {"name": "cart", "max_unavailable": 1},
        lambda o: (o["spec"].get("minAvailable"), o["spec"]["maxUnavailable"]),
        (None, 1),
    ),
    (
        "set-service-port",
        {"name": "cart", "port": 80, "target_port": "http"},
        lambda o: [(one["port"], one["targetPort"]) for one in o["spec"]["ports"]],
        [(80, "http")],
    ),
    (
        "set-external-traffic-policy",
        {"name": "cart", "policy": "Cluster"},
        lambda o: o["spec"]["externalTrafficPolicy"],
        "Cluster",
    ),
    ("set-ingress-class", {"name": "web", "class_name": "alb"}, lambda o: o["spec"]["ingressClassName"], "alb"),
    (
        "set-ingress-backend",
        {"name": "web", "rule": 0, "service": "cart", "port": 80},
        lambda o: o["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"],
        {"name": "cart", "port": {"number": 80}},
    ),
    ("clear-claim-ref", {"name": "actions-pv"}, lambda o: o["spec"].get("claimRef"), None),
    ("set-webhook-failure-policy", {**HOOK, "policy": "Ignore"}, lambda o: o["webhooks"][0]["failurePolicy"], "Ignore"),
    (
        "remove-finalizer",
        {"kind": "ConfigMap", "name": "kept", "index": 1, "finalizer": "example.com/cleanup"},
        lambda o: o["metadata"]["finalizers"],
        ["example.com/first"],
    ),
]


def _containers(deployment: Any) -> Any:
    return deployment["spec"]["template"]["spec"]["containers"]


def _container(deployment: Any) -> Any:
    return next(one for one in _containers(deployment) if one["name"] == "app")


@pytest.fixture(scope="module")
def client(lab: Lab) -> Iterator[LabClient]:
    lab.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
    lab.client.wait_until("its account", lambda: lab.client.get("ServiceAccount", "default", NS) is not None)
    every = [*yaml.safe_load_all(OBJECTS), *yaml.safe_load_all(CLUSTER_WIDE)]
    for one in every:
        lab.client.apply(one)
    yield lab.client
    lab.client.patch("ConfigMap", "kept", {"metadata": {"finalizers": None}}, NS)
    lab.client.delete("ValidatingWebhookConfiguration", "actions-guard")
    lab.client.delete("PersistentVolume", "actions-pv")
    lab.client.delete("Namespace", NS)


def dry_run(client: LabClient, command: str) -> Any:
    """What the API server would make of `kubectl patch`."""
    words = shlex.split(command)
    namespace = words[words.index("-n") + 1] if "-n" in words else None
    at = words.index("patch")
    kind, name = words[at + 1].split("/") if "/" in words[at + 1] else words[at + 1 : at + 3]
    form = next((word.partition("=")[2] for word in words if word.startswith("--type=")), "strategic")
    types = {"merge": "merge-patch", "json": "json-patch", "strategic": "strategic-merge-patch"}
    body = json.loads(words[words.index("-p") + 1])
    path = client.kind(KINDS[kind]).path(name, namespace)
    return client.request(
        "PATCH", path, body=body, query={"dryRun": "All"}, content_type=f"application/{types[form]}+json"
    )


KINDS = {
    "deployment": "Deployment",
    "resourcequota": "ResourceQuota",
    "limitrange": "LimitRange",
    "serviceaccount": "ServiceAccount",
    "cronjob": "CronJob",
    "hpa": "HorizontalPodAutoscaler",
    "pdb": "PodDisruptionBudget",
    "service": "Service",
    "ingress": "Ingress",
    "pv": "PersistentVolume",
    "validatingwebhookconfiguration": "ValidatingWebhookConfiguration",
    "configmap": "ConfigMap",
}


@pytest.mark.parametrize(
    ("name", "parameters", "seen", "wanted"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)]
)
def test_the_api_server_takes_the_patch(
    client: LabClient, name: str, parameters: dict[str, Any], seen: Callable[[Any], object], wanted: object
) -> None:
    given = {"namespace": NS} if "namespace" in ACTIONS[name].parameters.model_fields else {}
    command = ACTIONS[name].command({**given, **parameters})
    assert seen(dry_run(client, command)) == wanted


def test_a_finalizer_that_moved_meanwhile_is_left(client: LabClient) -> None:
    wrong = {"kind": "ConfigMap", "namespace": NS, "name": "kept", "index": 0, "finalizer": "example.com/cleanup"}
    with pytest.raises(ApiError, match="422 Invalid"):
        dry_run(client, ACTIONS["remove-finalizer"].command(wrong))


def test_a_policy_that_allows_traffic_is_taken(client: LabClient) -> None:
    filled = {
        "namespace": NS,
        "name": "cart-from-web",
        "to_selector": {"app": "cart"},
        "port": 8080,
        "from_namespace": "web",
    }
    words = shlex.split(ACTIONS["allow-traffic"].command(filled))
    made = client.apply(json.loads(words[1]))
    assert made["spec"]["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "web"
    }
