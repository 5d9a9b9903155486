"""The typed changes: their commands are shell words, and no value of a parameter becomes a word of its own."""

import json
import re
import shlex

import pytest
from pydantic import ValidationError

from firstmate_tools.actions import ACTIONS

FILLED: dict[str, dict[str, object]] = {
    "rollout-restart": {"kind": "Deployment", "namespace": "shop", "name": "cart"},
    "rollout-undo": {"kind": "statefulset", "namespace": "shop", "name": "db", "revision": 3},
    "rollout-resume": {"kind": "deployment", "namespace": "shop", "name": "cart"},
    "scale": {"kind": "Deployment", "namespace": "shop", "name": "cart", "replicas": 3},
    "set-image": {"kind": "deployment", "namespace": "shop", "name": "cart", "container": "app", "image": "r/cart:2"},
    "set-resources": {
        "kind": "deployment",
        "namespace": "shop",
        "name": "cart",
        "container": "app",
        "requests_memory": "512Mi",
        "limits_memory": "1Gi",
    },
    "set-env": {
        "kind": "deployment",
        "namespace": "shop",
        "name": "cart",
        "container": "app",
        "variable": "DB_HOST",
        "value": "db; rm -rf /",
    },
    "set-service-account": {"kind": "daemonset", "namespace": "shop", "name": "log", "service_account": "logger"},
    "set-probe": {
        "kind": "deployment",
        "namespace": "shop",
        "name": "cart",
        "container": "app",
        "probe": "liveness",
        "port": 8080,
        "failure_threshold": 5,
    },
    "set-quota": {"namespace": "shop", "name": "team", "resource": "requests.cpu", "hard": "8"},
    "set-limit-range": {
        "namespace": "shop",
        "name": "lr",
        "constraint": "max",
        "resource": "example.com/gpu",
        "value": "2Gi",
    },
    "create-service-account": {"namespace": "shop", "name": "cart"},
    "bind-role": {"namespace": "shop", "role_kind": "ClusterRole", "role_name": "view", "service_account": "cart"},
    "create-config-map": {"namespace": "shop", "name": "settings", "keys": {"mode": "a b"}},
    "create-pull-secret-reference": {"namespace": "shop", "service_account": "default", "secret": "regcred"},
    "set-namespace-pod-security": {"namespace": "shop", "level": "baseline"},
    "suspend-cronjob": {"namespace": "shop", "name": "nightly", "suspend": False},
    "delete-job": {"namespace": "shop", "name": "nightly-1"},
    "set-hpa-bounds": {"namespace": "shop", "name": "cart", "max_replicas": 20},
    "set-pdb": {"namespace": "shop", "name": "cart", "max_unavailable": 1},
    "label-namespace": {"namespace": "shop", "key": "team", "value": "a"},
    "set-service-selector": {"namespace": "shop", "name": "cart", "selector": {"app": "cart"}},
    "set-service-port": {"namespace": "shop", "name": "cart", "port": 80, "target_port": "http"},
    "set-external-traffic-policy": {"namespace": "shop", "name": "cart", "policy": "Cluster"},
    "set-ingress-class": {"namespace": "shop", "name": "web", "class_name": "alb"},
    "set-ingress-backend": {"namespace": "shop", "name": "web", "rule": 0, "service": "cart", "port": 80},
    "allow-traffic": {
        "namespace": "shop",
        "name": "cart-from-web",
        "to_selector": {"app": "cart"},
        "port": 8080,
        "from_namespace": "web",
    },
    "cordon": {"node": "ip-10-0-0-1.ec2.internal"},
    "uncordon": {"node": "n1"},
    "drain": {"node": "n1"},
    "taint-remove": {"node": "n1", "key": "dedicated", "effect": "NoSchedule"},
    "label-node": {"node": "n1", "key": "topology.kubernetes.io/zone", "value": "eu-west-1a"},
    "delete-pod": {"namespace": "shop", "name": "cart-1"},
    "force-delete-pod": {"namespace": "shop", "name": "cart-1", "why": "the instance is terminated"},
    "expand-claim": {"namespace": "shop", "name": "data-db-0", "size": "100Gi"},
    "set-default-storage-class": {"name": "gp3"},
    "clear-claim-ref": {"name": "pvc-1"},
    "delete-volume-attachment": {"name": "csi-1"},
    "set-webhook-failure-policy": {"kind": "ValidatingWebhookConfiguration", "name": "guard", "policy": "Ignore"},
    "set-webhook-ca": {"kind": "mutatingwebhookconfiguration", "name": "guard", "ca_bundle": "TFMwdA=="},
    "delete-webhook": {"kind": "validatingwebhookconfiguration", "name": "guard"},
    "delete-apiservice": {"name": "v1beta1.metrics.k8s.io"},
    "remove-finalizer": {"kind": "Namespace", "name": "old", "index": 0, "finalizer": "example.com/cleanup"},
    "approve-csr": {"name": "csr-abc"},
    "argocd-sync": {"namespace": "argocd", "name": "shop"},
    "argocd-refresh": {"namespace": "argocd", "name": "shop"},
    "flux-reconcile": {"kind": "Kustomization", "namespace": "flux-system", "name": "shop"},
    "flux-resume": {"kind": "helmrelease.helm.toolkit.fluxcd.io", "namespace": "flux-system", "name": "shop"},
    "resume-scaledobject": {"namespace": "shop", "name": "worker"},
    "annotate-force-sync": {"namespace": "shop", "name": "db"},
    "renew-certificate": {"namespace": "shop", "name": "web-tls"},
    "helm-rollback": {"namespace": "shop", "release": "cart", "revision": 4},
    "set-nodepool-limit": {"name": "default", "resource": "cpu", "value": "200"},
}


def test_every_action_is_tried_here() -> None:
    assert set(FILLED) == set(ACTIONS)


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_a_command_is_shell_words_that_name_the_cluster_and_the_object(name: str) -> None:
    spec, parameters = ACTIONS[name], FILLED[name]
    command = spec.command(parameters, "prod-eu")
    words = shlex.split(command)
    assert words[0] in {"kubectl", "helm", "cmctl", "echo"} and "prod-eu" in words
    for named in ("name", "namespace", "node"):
        if named in parameters:
            assert any(str(parameters[named]) in word for word in words), f"{named} is missing in {command}"
    for word in words:
        if word.startswith(("{", "[")) and name != "allow-traffic":
            json.loads(word)
    changed = spec.changes(parameters)
    assert changed and not changed.endswith(".")
    assert spec.undone_by is None or spec.undone_by in ACTIONS


def test_names_that_would_be_flags_or_commands_are_refused() -> None:
    for bad in ("--all", "-x", "a b", "a;b", "$(x)", "A", "", "a/b", "x" * 300):
        with pytest.raises(ValidationError):
            ACTIONS["delete-pod"].filled({"namespace": "shop", "name": bad})
        with pytest.raises(ValidationError):
            ACTIONS["rollout-restart"].filled({"kind": "deployment", "namespace": bad, "name": "x"})
        with pytest.raises(ValidationError):
            ACTIONS["flux-resume"].filled({"kind": f"{bad} ", "namespace": "a", "name": "x"})


def test_values_are_quoted_and_stay_one_word() -> None:
    words = shlex.split(ACTIONS["set-env"].command(FILLED["set-env"]))
    assert words[-1] == "DB_HOST=db; rm -rf /"


def test_an_action_that_would_change_nothing_is_refused() -> None:
    for name in ("set-resources", "set-probe"):
        least = {key: FILLED[name][key] for key in ("kind", "namespace", "name", "container")}
        with pytest.raises(ValidationError, match="at least one"):
            ACTIONS[name].filled(least | ({"probe": "liveness"} if name == "set-probe" else {}))


def test_what_no_action_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        ACTIONS["cordon"].filled({"node": "n1", "force": True})
    with pytest.raises(ValidationError):
        ACTIONS["scale"].filled({"kind": "daemonset", "namespace": "a", "name": "b", "replicas": 1})


def test_names_follow_their_classes() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in ACTIONS)
