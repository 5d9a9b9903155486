"""Findings about pods that policies refuse, and about webhooks that are there and not trusted, or too slow."""

import base64
from typing import Any

import pytest
from builders import event, obj, pod, service
from hypothesis import given
from hypothesis import strategies as st
from test_rules_admission import refused
from verdicts import bystanders, damaged, finding, linked, renamed, roots, severe, shuffled, verdicts

from firstmate_tools.diagnosis import policies
from firstmate_tools.diagnosis.findings import RuledOut
from firstmate_tools.diagnosis.rules.policy import policy_denies
from firstmate_tools.fields import Obj

ADMISSION = "admissionregistration.k8s.io/v1"
VAP = (
    "Error creating: pods \"cart-1-x\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'limits-shop' "
    "denied request: every container must have a memory limit"
)
HOOK_SAYS_NO = 'Error creating: admission webhook "pods.guard.example" denied the request: no image of this registry'
X509 = (
    'Error creating: Internal error occurred: failed calling webhook "pods.guard.example": failed to call webhook: '
    "Post "
    '"https://guard.guard.svc:443/v": tls: failed to verify certificate: x509: '
)
SLOW = "Error creating: Timeout: request did not complete within requested timeout - context deadline exceeded"
SHOP = obj("Namespace", "shop", None, metadata={"labels": {"team": "shop"}})


def policy(match: Obj | None = None, **spec: Any) -> Obj:
    validations = [
        {"expression": "object.metadata.name != ''"},
        {"expression": "has(x.limits.memory)", "message": "every container must have a memory limit"},
    ]
    body = {"validations": validations, "matchConstraints": match or {}, **spec}
    return obj("ValidatingAdmissionPolicy", "limits", None, api=ADMISSION, spec=body)


def binding(*actions: str, **match: Any) -> Obj:
    body = {"policyName": "limits", "validationActions": list(actions or ["Deny"]), "matchResources": match}
    return obj("ValidatingAdmissionPolicyBinding", "limits-shop", None, api=ADMISSION, spec=body)


def hook(name: str = "pods.guard.example", kind: str = "Validating", config: str = "guard", **spec: Any) -> Obj:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    client = {"service": {"namespace": "guard", "name": "guard"}, "caBundle": spec.pop("bundle", "")}
    body = {"name": name, "rules": rules, "clientConfig": client, "failurePolicy": "Fail", **spec}
    return obj(f"{kind}WebhookConfiguration", config, None, api=ADMISSION, webhooks=[body])


def backend(*, ready: bool = True) -> list[Obj]:
    labels = {"kubernetes.io/service-name": "guard"}
    ends = [{"addresses": ["10.1.0.1"], "conditions": {"ready": ready}}]
    made = obj("EndpointSlice", "guard-x", "guard", metadata={"labels": labels}, endpoints=ends)
    marks = {"app": "guard"}
    return [
        service("guard", "guard", ports=[{"port": 443, "targetPort": 8443}]),
        {**made, "ports": [{"name": "", "port": 8443}]},
        pod("guard-1", "guard", labels=marks, ready=ready, waiting="" if ready else "ContainerCreating"),
    ]


def test_a_policy_that_denies_is_what_has_to_be_looked_at():
    one = finding(*refused(VAP), policy(), binding(), SHOP)
    assert (one.cause, str(one.object)) == ("policy-denied", "validatingadmissionpolicy/limits")
    assert (one.severity, one.confidence) == ("critical", "certain")
    assert "deployment/cart has 0 of 1 pods: ValidatingAdmissionPolicy limits, bound by limits-shop" in one.summary
    assert one.evidence[0].field == "spec.validations[1].expression"


def test_several_workloads_at_one_policy_are_one_problem():
    objects = [*refused(VAP), *refused(VAP, name="search"), policy(), binding(), SHOP]
    assert roots(*objects) == [("policy-denied", "validatingadmissionpolicy/limits")]


@pytest.mark.parametrize(
    "there",
    [
        [],
        [policy()],
        [binding()],
        [policy(), binding("Audit", "Warn")],
        [policy(), binding(namespaceSelector={"matchLabels": {"team": "others"}})],
        [policy({"objectSelector": {"matchLabels": {"app": "others"}}}), binding()],
    ],
)
def test_a_policy_that_denies_no_more_is_ruled_out(there: list[Obj]):
    facts = verdicts(*refused(VAP), SHOP)[2]
    for kind in (policies.VALIDATING, policies.BINDING):
        facts.put(kind, None, [one for one in there if one["kind"] == kind.kind])
    assert [(type(v), v.cause) for v in policy_denies(facts)] == [(RuledOut, "policy-denied")]


def test_a_policy_that_could_not_be_read_is_only_likely():
    found = [f for f in verdicts(*refused(VAP))[0] if f.cause == "policy-denied"]
    assert [f.confidence for f in found] == ["likely"]


def test_a_webhook_that_denies_is_a_policy_and_not_a_fault_of_the_webhook():
    one = finding(*refused(HOOK_SAYS_NO), hook(), *backend(), SHOP)
    assert (one.cause, str(one.object)) == ("policy-denied", "validatingwebhookconfiguration/guard")


def test_a_denial_by_a_webhook_that_is_gone_is_history():
    assert "policy-denied" not in severe(*refused(HOOK_SAYS_NO), hook("other.guard.example"), SHOP)
    elsewhere = hook(namespaceSelector={"matchLabels": {"team": "others"}})
    assert "policy-denied" not in severe(*refused(HOOK_SAYS_NO), elsewhere, SHOP)


KYVERNO = (
    'Error creating: admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource Pod/shop/cart-1-x '
    "was blocked due to the following policies \n\nrequire-team-label:\n  check-team: 'validation error: no label'\n"
)


def cluster_policy(action: str) -> Obj:
    spec = {"validationFailureAction": action, "rules": [{"name": "check-team", "validate": {"message": "x"}}]}
    return obj("ClusterPolicy", "require-team-label", None, api="kyverno.io/v1", spec=spec)


def test_kyvernos_own_policy_is_named_and_one_that_only_audits_is_not():
    config = hook("validate.kyverno.svc-fail", config="kyverno")
    objects = [*refused(KYVERNO), config, SHOP]
    assert roots(*objects, cluster_policy("Enforce"))[0] == ("policy-denied", "clusterpolicy/require-team-label")
    assert "policy-denied" not in severe(*objects, cluster_policy("Audit"))


def test_gatekeepers_constraint_is_named():
    words = 'admission webhook "validation.gatekeeper.sh" denied the request: [must-have-team] you must provide labels'
    one = finding(*refused(words), hook("validation.gatekeeper.sh"), *backend(), SHOP)
    assert "constraint must-have-team" in one.summary


def test_an_update_that_a_policy_denies_shows_in_an_event_alone():
    scaler = obj("HorizontalPodAutoscaler", "cart", api="autoscaling/v2", spec={}, status={})
    told = event(scaler, "FailedRescale", HOOK_SAYS_NO)
    assert ("policy-denied", "validatingwebhookconfiguration/guard") in roots(scaler, told, hook(), SHOP)
    old = event(scaler, "FailedRescale", HOOK_SAYS_NO, seconds_ago=3600)
    assert "policy-denied" not in severe(scaler, old, hook(), SHOP)


def test_old_denials_are_ruled_out_where_all_pods_are_there():
    assert severe(*refused(VAP, has=1), policy(), binding(), SHOP) == []


# Certificates


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("certificate signed by unknown authority", "not signed by the authority"),
        ("certificate has expired or is not yet valid: current time 2026-11-21T02:00:00Z is after …", "has expired"),
        ("certificate is valid for old.guard.svc, not guard.guard.svc", "not made for guard.guard.svc"),
        ("certificate is not valid for any names, but wanted to match guard.guard.svc", "not made for"),
    ],
)
def test_a_webhook_that_is_there_and_not_trusted(words: str, why: str):
    one = finding(*refused(X509 + words), hook(bundle="Zm9v"), *backend(), SHOP)
    assert (one.cause, str(one.object)) == ("webhook-tls-invalid", "validatingwebhookconfiguration/guard")
    assert (one.confidence, why in one.summary) == ("likely", True)


def test_a_configuration_without_ca_bundle_proves_it():
    one = finding(*refused(X509 + "certificate signed by unknown authority"), hook(), *backend(), SHOP)
    assert (one.confidence, "no caBundle" in one.summary) == ("certain", True)


def test_authorities_that_have_ended_prove_it():
    bundle = base64.b64encode(AUTHORITY.encode()).decode()
    one = finding(*refused(X509 + "certificate has expired"), hook(bundle=bundle), *backend(), SHOP)
    assert one.confidence == "certain"
    assert "old-guard-ca" in one.evidence[1].value


@pytest.mark.parametrize(
    "now",
    [
        hook(failurePolicy="Ignore"),
        hook("other.guard.example"),
        hook(namespaceSelector={"matchLabels": {"team": "others"}}),
        hook(objectSelector={"matchLabels": {"app": "others"}}),
    ],
)
def test_a_webhook_that_need_not_answer_is_not_the_reason(now: Obj):
    found, ruled_out, _ = verdicts(*refused(X509 + "certificate signed by unknown authority"), now, *backend(), SHOP)
    assert [f for f in found if f.cause == "webhook-tls-invalid"] == []
    assert "webhook-tls-invalid" in {v.cause for v in ruled_out}


def test_a_webhook_whose_backend_is_gone_by_now_is_not_a_matter_of_certificates():
    objects = [*refused(X509 + "certificate signed by unknown authority"), hook(), *backend(ready=False), SHOP]
    assert roots(*objects)[0][0] != "webhook-tls-invalid"


# Slow


def mutating(number: int, seconds: int = 20, **spec: Any) -> Obj:
    name = f"slow{number}.example"
    return hook(name, "Mutating", f"slow{number}", timeoutSeconds=seconds, failurePolicy="Ignore", **spec)


def test_slow_webhooks_are_added_up_where_none_is_named():
    others = mutating(3, 30, objectSelector={"matchLabels": {"app": "others"}})
    one = finding(*refused(SLOW), mutating(1), mutating(2, 25), others, SHOP)
    assert (one.cause, str(one.object)) == ("webhook-timeouts-cumulative", "mutatingwebhookconfiguration/slow2")
    assert "may take 45 s together" in one.summary
    assert "slow3" not in one.summary


def test_without_webhooks_a_timeout_has_another_reason():
    assert [cause for cause, _ in roots(*refused(SLOW), SHOP)] == []


ALL = [
    *refused(VAP, name="cart"),
    *refused(X509 + "certificate signed by unknown authority", name="search"),
    *refused(SLOW, name="orders"),
    hook(),
    mutating(1),
    policy(),
    binding(),
    SHOP,
    *backend(),
]


@given(st.integers(0, 999))
def test_order_does_not_matter(seed: int):
    assert roots(*shuffled(ALL, seed)) == roots(*ALL)


@given(damaged(ALL))
def test_absurd_fields_break_nothing(objects: list[Obj]):
    linked(*objects)


def test_names_and_bystanders_change_nothing():
    named = renamed([*refused(VAP), policy(), binding(), SHOP], "kitten")
    assert [cause for cause, _ in roots(*named, *bystanders())] == ["policy-denied"]
    assert severe(*bystanders(), hook(), mutating(1), policy(), binding(), SHOP, *backend()) == []


AUTHORITY = """-----BEGIN CERTIFICATE-----
MIIBMTCB2aADAgECAgEHMAoGCCqGSM49BAMCMBcxFTATBgNVBAMMDG9sZC1ndWFy
ZC1jYTAeFw0yNDAxMDEwMDAwMDBaFw0yNTAxMDEwMDAwMDBaMBcxFTATBgNVBAMM
DG9sZC1ndWFyZC1jYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAasAuPE7xJb
KW9l3vFZ3Gyv7dEpawyp/5yxq2yDndGZniAfSm1nLEnZ9SdBvdp9a+P3swOtqbnS
SNwoZ+NP9hGjFjAUMBIGA1UdEwEB/wQIMAYBAf8CAQAwCgYIKoZIzj0EAwIDRwAw
RAIgVu5Bo4Cjz1kT6+d4ZKm0bfTM0UQri3aje3gIek27xRoCIF3DxgqgStUiRnfn
tizQlP0AkiEZuAHiL+CvjdGoZeCi
-----END CERTIFICATE-----
"""
"""Made for this test; it ended in 2025."""
