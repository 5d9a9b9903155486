# ruff: noqa: E501 - texts as they are written
"""Which causes an error text has: real texts of Kubernetes, its add-ons and programs."""

import time

import pytest

from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.errortexts import TEXTS, likely, match
from firstmate_tools.diagnosis.telling import SIGNS

REAL = [
    ("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available.", "insufficient-node-resources"),
    ("0/1 nodes are available: 1 Too many pods.", "node-pod-limit-reached"),
    ("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", "gpu-not-advertised"),
    ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", "node-selector-unmatched"),
    (
        'Error creating: pods "a-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5',
        "quota-exceeded",
    ),
    (
        'pods "web-0" is forbidden: error looking up service account shop/web: serviceaccount "web" not found',
        "service-account-missing",
    ),
    (
        'Internal error occurred: failed calling webhook "w.example.com": failed to call webhook: Post '
        '"https://w.sys.svc:443/v?timeout=10s": no endpoints available for service "w"',
        "webhook-unavailable",
    ),
    (
        'failed calling webhook "w": failed to call webhook: Post "https://w.sys.svc:443/": tls: failed to verify '
        "certificate: x509: certificate signed by unknown authority",
        "webhook-tls-invalid",
    ),
    (
        'Failed to pull image "r.example/a:2": rpc error: code = NotFound desc = failed to pull and unpack image '
        '"r.example/a:2": failed to resolve reference "r.example/a:2": r.example/a:2: not found',
        "image-not-found",
    ),
    (
        'failed to resolve reference "docker.io/x/y:1": failed to authorize: failed to fetch anonymous token: '
        "unexpected status from GET request to https://auth.example/token: 401 Unauthorized",
        "image-pull-unauthorized",
    ),
    (
        'failed to do request: Head "https://r.internal/v2/a/manifests/1": dial tcp: lookup r.internal: no such host',
        "image-registry-unreachable",
    ),
    ('Error: secret "db" not found', "config-reference-missing"),
    ("Error: couldn't find key url in ConfigMap shop/settings", "config-reference-missing"),
    ("Last State: Terminated, Reason: OOMKilled, Exit Code: 137", "oom-killed-container-limit"),
    ("Liveness probe failed: HTTP probe failed with statuscode: 404", "liveness-probe-misconfigured"),
    (
        'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node',
        "volume-multi-attach",
    ),
    (
        'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container',
        "cni-ip-exhaustion",
    ),
    ('storageclass.storage.k8s.io "gp9" not found', "storageclass-missing"),
    ("deployment \"a\" exceeded its progress deadline: ProgressDeadlineExceeded", "rollout-new-revision-failing"),
    (
        'configmaps is forbidden: User "system:serviceaccount:shop:cart" cannot list resource "configmaps" in API group ""',
        "rbac-forbidden",
    ),
    ("dial tcp: lookup cart-db on 10.100.0.10:53: no such host", "service-host-reference-invalid"),
    ("listen tcp :8080: bind: address already in use", "container-port-conflict"),
    ("AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", "irsa-trust-policy-mismatch"),
    ("Cannot evict pod as it would violate the pod's disruption budget.", "pdb-blocks-eviction"),
    ('no matches for kind "Ingress" in version "extensions/v1beta1"', "removed-api-in-manifest"),
    ("all available instance types exceed limits for nodepool", "karpenter-nodepool-limit-reached"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "cause"), REAL, ids=[cause for _, cause in REAL])
def test_the_likeliest_cause_of_a_real_text_comes_first(text: str, cause: str) -> None:
    assert next(iter(likely(match(text)))) == cause


@pytest.mark.parametrize(
    "text", ["hello world", "GET /healthz 200 3ms", "started server on :8080", "reconciled 3 objects in 20 ms"]
)
def test_what_is_no_error_has_no_cause(text: str) -> None:
    assert match(text) == []


def test_one_text_of_several_faults_names_all_of_them() -> None:
    found = likely(match("0/3 nodes are available: 1 Insufficient memory, 2 node(s) were unschedulable."))
    assert {"insufficient-node-resources", "pod-larger-than-any-node", "nodes-cordoned"} <= set(found)
    assert found["nodes-cordoned"].part == "node(s) were unschedulable"


def test_a_text_is_found_anywhere_in_a_long_log() -> None:
    log = "\n".join(["INFO fine"] * 3000) + "\npanic: EMFILE: too many open files"
    assert list(likely(match(log))) == ["open-file-limit-reached"]


def test_every_cause_of_the_table_is_in_the_catalogue_and_those_that_share_a_text_have_signs() -> None:
    assert {cause for text in TEXTS for cause in text.causes} <= set(CAUSES)
    shared = {cause for text in TEXTS if len(text.causes) > 1 for cause in text.causes}
    assert shared <= set(SIGNS)
    assert set(SIGNS) <= set(CAUSES)


def test_hostile_texts_cost_no_time() -> None:
    began = time.thread_time()
    for text in (
        "failed calling webhook " * 900,
        "a" * 20_000,
        "exceeded quota: " * 1200,
        "pull " * 4000,
        "\n" * 20_000,
    ):
        match(text)
    assert time.thread_time() - began < 2
