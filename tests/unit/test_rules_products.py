"""What the AWS Load Balancer Controller, cert-manager, External Secrets, KEDA, ACK and external-dns tell."""

from typing import Any

import pytest
from builders import ago, container, event, facts_of, obj, service
from hypothesis import HealthCheck, given, settings
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools import kinds
from firstmate_tools.customkinds import address_of, addressed, named
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, controller_of, involved, ref_of


def condition(kind: str, status: str, reason: str = "", message: str = "", seconds: float = 900) -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(seconds)}


def ingress(name: str = "shop", *, to: str = "cart", address: bool = False, tls: str = "") -> Obj:
    path = {"path": "/", "backend": {"service": {"name": to, "port": {"number": 80}}}}
    spec = {"rules": [{"host": "shop.example", "http": {"paths": [path]}}]}
    if tls:
        spec["tls"] = [{"hosts": ["shop.example"], "secretName": tls}]
    status = {"loadBalancer": {"ingress": [{"hostname": "k8s.elb.example"}]}} if address else {}
    return obj("Ingress", name, api="networking.k8s.io/v1", spec=spec, status=status)


def binding(name: str = "k8s-cart") -> Obj:
    spec = {"serviceRef": {"name": "cart", "port": 80}}
    return obj("TargetGroupBinding", name, api="elbv2.k8s.aws/v1beta1", spec=spec, status={})


SUBNETS = "Failed build model due to unable to resolve at least one subnet. Evaluated 2 subnets"
DENIED = "api error AccessDenied: User is not authorized to perform: elasticloadbalancing:CreateRule because"
GROUPS = "expected exactly one securityGroup tagged with kubernetes.io/cluster/x for eni eni-1, got: []"
CART = [*app("cart", pods=2), service("cart")]


@pytest.mark.parametrize(
    ("one", "reason", "message", "cause"),
    [
        (ingress(), "FailedBuildModel", SUBNETS, "aws-lbc-subnet-not-found"),
        (ingress(), "FailedDeployModel", DENIED, "aws-lbc-access-denied"),
        (binding(), "FailedNetworkReconcile", GROUPS, "aws-lbc-security-group-ambiguous"),
        (ingress(), "FailedBuildModel", "ingress: shop/shop: conflicting group order", None),
    ],
)
def test_what_the_controller_fails_at_is_told_of_its_object(
    one: Obj, reason: str, message: str, cause: str | None
) -> None:
    said = event(one, reason, message)
    expected = [(cause, str(ref_of(one)))] if cause else []
    assert [entry for entry in roots(*CART, one, said) if entry[0].startswith("aws-lbc")] == expected


def test_a_refusal_that_was_followed_by_success_or_is_old_is_history() -> None:
    one = ingress()
    late = event(one, "SuccessfullyReconciled", "Successfully reconciled", type_="Normal", seconds_ago=10)
    assert roots(*CART, one, event(one, "FailedBuildModel", SUBNETS), late) == []
    assert roots(*CART, one, event(one, "FailedBuildModel", SUBNETS, seconds_ago=3600)) == []


def test_one_right_that_is_missing_is_one_problem_of_many_ingresses() -> None:
    many = [ingress(f"i{n}") for n in range(4)]
    found = linked(*CART, *many, *(event(one, "FailedDeployModel", DENIED) for one in many))
    assert len([root for root in found if root.finding.cause == "aws-lbc-access-denied"]) == 1


@pytest.mark.parametrize(
    "message",
    [
        "Failed build model due to subnets count less than minimal required count: 1 < 2",
        "Failed deploy model due to operation error Elastic Load Balancing v2: CreateLoadBalancer, api error "
        "InvalidSubnet: Not enough IP space available in subnet-0a1b. At least 8 free addresses in each subnet.",
    ],
)
def test_too_few_subnets_or_addresses_are_a_matter_of_subnets(message: str) -> None:
    one = ingress()
    assert ("aws-lbc-subnet-not-found", str(ref_of(one))) in roots(*CART, one, event(one, "FailedDeployModel", message))


def test_the_gate_of_the_first_version_of_the_controller_is_known() -> None:
    pods = gated("Target.Timeout", name="target-health.alb.ingress.k8s.aws/shop_cart_80")
    assert roots(*pods) == [("load-balancer-target-unhealthy", "deployment/cart")]


def gated(
    reason: str, status: str = "False", seconds: float = 900, name: str = "target-health.elbv2.k8s.aws/k8s-cart"
) -> list[Obj]:
    conditions = [
        {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "lastTransitionTime": ago(100)},
        {"type": "PodScheduled", "status": "True"},
        condition("ContainersReady", "True"),
        condition(name, status, reason, seconds=seconds),
    ]
    return app("cart", body={"readinessGates": [{"conditionType": name}]}, conditions=conditions)


@pytest.mark.parametrize(
    ("reason", "status", "seconds", "told"),
    [
        ("Target.FailedHealthChecks", "False", 20, True),
        ("Target.Timeout", "False", 900, True),
        ("Elb.RegistrationInProgress", "False", 20, False),
        ("Elb.RegistrationInProgress", "False", 900, True),
        ("", "True", 900, False),
    ],
)
def test_targets_that_fail_explain_why_ready_containers_serve_nobody(
    reason: str, status: str, seconds: float, told: bool
) -> None:
    objects = [*gated(reason, status, seconds), service("cart"), binding()]
    found = [entry for entry in roots(*objects) if entry[0] == "load-balancer-target-unhealthy"]
    assert found == ([("load-balancer-target-unhealthy", "targetgroupbinding/k8s-cart")] if told else [])
    if told:
        assert "service-endpoints-not-ready" not in [cause for cause, _ in roots(*objects)]


def certificate(
    name: str = "shop-tls", *conditions: Obj, issuer: str = "ca", kind: str = "Issuer", **status: Any
) -> Obj:
    named = {"name": issuer, "kind": kind, "group": "cert-manager.io"}
    spec = {"secretName": name, "dnsNames": ["shop.example"], "issuerRef": named}
    return obj("Certificate", name, api="cert-manager.io/v1", spec=spec, status={"conditions": [*conditions], **status})


def issuer(ready: str = "True", name: str = "ca") -> Obj:
    status = {"conditions": [condition("Ready", ready, "ErrGetKeyPair")]}
    return obj("Issuer", name, api="cert-manager.io/v1", spec={}, status=status)


WAITING = condition("Ready", "False", "DoesNotExist")
FRESH = condition("Ready", "False", "DoesNotExist", seconds=40)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([certificate("a", WAITING), certificate("b", WAITING), issuer("False")], "issuer/ca"),
        ([certificate("a", WAITING, issuer="nobody"), issuer()], "certificate/a"),
        ([certificate("a", WAITING, failedIssuanceAttempts=2), issuer()], "certificate/a"),
        ([certificate("a", FRESH, condition("Issuing", "True")), issuer()], ""),
        ([certificate("a", condition("Ready", "True")), issuer()], ""),
        ([certificate("a", condition("Ready", "True"), failedIssuanceAttempts=2), issuer()], "certificate/a"),
        ([certificate("a", FRESH, kind="AWSPCAIssuer"), issuer()], ""),
    ],
)
def test_what_stops_a_certificate_is_told_and_one_on_its_way_is_not(objects: list[Obj], expected: str) -> None:
    expect = [("cert-manager-issuance-failed", expected)] if expected else []
    assert roots(*objects, *bystanders()) == expect


def test_a_certificate_that_ran_out_because_no_other_comes_is_one_problem() -> None:
    old = certificate("shop-tls", condition("Ready", "False", "Expired"), notAfter=ago(86400), failedIssuanceAttempts=5)
    shown = [*CART, ingress(tls="shop-tls", address=True), issuer()]
    assert roots(*shown, old) == [("cert-manager-issuance-failed", "certificate/shop-tls")]
    quiet = certificate("shop-tls", condition("Ready", "False", "Expired"), notAfter=ago(86400))
    assert roots(*shown, quiet) == [("ingress-certificate-expired", "certificate/shop-tls")]


def external(name: str = "db", ready: str = "False", *, store: str = "vault", synced: bool = True) -> Obj:
    spec = {"secretStoreRef": {"name": store, "kind": "SecretStore"}, "target": {"name": name}}
    status = {"conditions": [condition("Ready", ready, "SecretSyncedError")]}
    return obj(
        "ExternalSecret",
        name,
        api="external-secrets.io/v1",
        spec=spec,
        status={**status, **({"refreshTime": ago(9000)} if synced else {})},
    )


def store(ready: str = "True") -> Obj:
    status = {"conditions": [condition("Ready", ready, "InvalidProviderConfig")]}
    return obj("SecretStore", "vault", api="external-secrets.io/v1", spec={}, status=status)


def test_a_store_that_fails_is_one_problem_of_all_its_secrets() -> None:
    found = finding(external("a"), external("b"), store("False"), *bystanders())
    assert str(found.object) == "secretstore/vault" and "2 ExternalSecrets" in found.summary
    assert finding(external("a"), store()).object.kind == "ExternalSecret"
    assert "vaul, which does not exist" in finding(external("a", store="vaul"), store()).summary
    assert severe(external("a", "True"), store(), *bystanders()) == []


def test_a_secret_that_was_fetched_once_and_is_not_there_explains_the_pods_that_miss_it() -> None:
    env = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]
    cart = app("cart", spec=container(env=env), waiting="CreateContainerConfigError", message='secret "db" not found')
    assert roots(*cart, external("db"), store()) == [("external-secret-sync-failed", "externalsecret/db")]
    assert roots(*cart, external("db"), store("False")) == [("external-secret-sync-failed", "secretstore/vault")]
    env.append({"name": "Q", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "q"}}})
    other = app(
        "cart", spec=container(env=env), waiting="CreateContainerConfigError", message='configmap "conf" not found'
    )
    assert len(roots(*other, external("db"), store())) == 2


def test_a_secret_that_was_never_fetched_explains_the_pods_that_need_it() -> None:
    env = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]
    cart = app("cart", spec=container(env=env), waiting="CreateContainerConfigError", message='secret "db" not found')
    found = roots(*cart, external("db", synced=False), store())
    assert found == [("external-secret-sync-failed", "externalsecret/db")]


def scaled(*conditions: Obj, **rest: Any) -> Obj:
    trigger = {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus.monitoring.svc:9090"}}
    spec = {"scaleTargetRef": {"name": "cart"}, "triggers": [{**trigger, **rest.pop("trigger", {})}]}
    status = {"conditions": [*conditions], "hpaName": "keda-hpa-cart"}
    return obj("ScaledObject", "cart", api="keda.sh/v1alpha1", spec=spec, status=status, **rest)


BAD = condition("Ready", "False", "TriggerError", "Triggers defined in ScaledObject are not working correctly")


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (scaled(BAD), True),
        (scaled(condition("Ready", "True"), condition("Fallback", "True", "FallbackExists")), True),
        (scaled(condition("Ready", "Unknown", "PartialTriggerError")), True),
        (scaled(condition("Ready", "True"), condition("Active", "False", "ScalerNotActive")), False),
        (scaled(BAD, condition("Paused", "True", "ScaledObjectPaused")), False),
        (scaled(BAD, metadata={"annotations": {"autoscaling.keda.sh/paused-replicas": "0"}}), False),
        (scaled(condition("Ready", "Unknown", "ScaledObjectCheckPending")), False),
    ],
)
def test_a_trigger_that_cannot_be_read_is_told_and_a_pause_is_not(one: Obj, told: bool) -> None:
    assert bool(severe(*CART, one)) is told


def test_a_login_that_a_trigger_names_in_vain_is_named() -> None:
    found = finding(*CART, scaled(BAD, trigger={"authenticationRef": {"name": "queue"}}))
    assert "TriggerAuthentication queue does not exist" in found.summary
    assert found.awaits == (Ref("Service", "monitoring", "prometheus"),)


def test_a_failing_trigger_explains_the_autoscaler_that_keda_made() -> None:
    made = [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "cart", "uid": "u", "controller": True}]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}
    blind = condition("ScalingActive", "False", "FailedGetExternalMetric", "unable to get external metric")
    hpa = obj(
        "HorizontalPodAutoscaler",
        "keda-hpa-cart",
        api="autoscaling/v2",
        metadata={"ownerReferences": made},
        spec={"scaleTargetRef": target, "maxReplicas": 5, "metrics": [{"type": "External"}]},
        status={"conditions": [blind, condition("AbleToScale", "True")]},
    )
    assert roots(*CART, scaled(BAD), hpa) == [("keda-scaler-error", "scaledobject/cart")]


def aws(kind: str, group: str, name: str, *conditions: Obj, **spec: Any) -> Obj:
    return obj(kind, name, api=f"{group}.services.k8s.aws/v1alpha1", spec=spec, status={"conditions": [*conditions]})


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ([condition("ACK.Terminal", "True")], True),
        ([condition("ACK.Recoverable", "True"), condition("ACK.ResourceSynced", "False")], True),
        ([condition("ACK.ReferencesResolved", "False")], True),
        ([condition("ACK.ResourceSynced", "False")], False),
        ([condition("ACK.ResourceSynced", "True"), condition("ACK.Terminal", "False")], False),
    ],
)
def test_what_aws_refuses_is_told_and_what_it_is_making_is_not(conditions: list[Obj], told: bool) -> None:
    assert bool(severe(aws("DBInstance", "rds", "db", *conditions))) is told


def test_a_resource_that_refers_to_a_broken_one_is_explained_by_it() -> None:
    broken = aws("DBSubnetGroup", "rds", "private", condition("ACK.Terminal", "True"))
    refers = {"dbSubnetGroupRef": {"from": {"name": "private"}}}
    waits = aws("DBInstance", "rds", "db", condition("ACK.ReferencesResolved", "False"), **refers)
    assert roots(broken, waits) == [("ack-resource-not-synced", "dbsubnetgroup/private")]
    assert roots(waits) == [("ack-resource-not-synced", "dbinstance/db")]


DNS = app("external-dns", spec=container(image="registry.k8s.io/external-dns/external-dns:v0.19.0"))
LINE = 'level=error msg="Failed to do run once: AccessDenied: not authorized to perform: route53:ListHostedZones"'
FINE = 'level=info msg="All records are already up to date"'


@pytest.mark.parametrize(("lines", "told"), [([FINE, LINE, LINE], True), ([LINE, FINE], False), ([FINE], False)])
def test_the_log_of_external_dns_is_believed_until_it_says_that_all_is_well(lines: list[str], told: bool) -> None:
    logs = {("shop", "external-dns-1-0", "app", False): "\n".join(lines)}
    expect = [("external-dns-record-missing", "deployment/external-dns")] if told else []
    assert roots(*DNS, logs=logs) == expect


def test_kinds_of_one_name_in_two_groups_are_told_apart() -> None:
    own = obj("Role", "reader", api="rbac.authorization.k8s.io/v1", rules=[])
    foreign = aws("Role", "iam", "reader", condition("ACK.Terminal", "True"))
    facts = facts_of(own, foreign)
    assert facts.get(Ref("Role", "shop", "reader")) is own
    kind = next(k for k in (addressed("Role.iam.services.k8s.aws"),) if k is not None)
    assert facts.all(kind) == [foreign] and address_of(kind) == "Role.iam.services.k8s.aws"
    assert address_of(kinds.ROLE) == "Role" and addressed("Role") == kinds.ROLE
    assert named("roles.iam.services.k8s.aws") == kind and named("role") == kinds.ROLE
    owners = [{"apiVersion": "apps.kruise.io/v1beta1", "kind": "StatefulSet", "name": "cart"}]
    assert controller_of(obj("Pod", "cart-0", metadata={"ownerReferences": owners})) == Ref(
        "StatefulSet.apps.kruise.io", "shop", "cart"
    )
    assert involved(event(own, "X", "y")) == Ref("Role", "shop", "reader")


@pytest.mark.parametrize("scope", [Scope(), Scope(namespace="shop"), Scope("shop", Ref("Certificate", "shop", "a"))])
def test_a_question_about_one_custom_resource_finds_what_it_waits_for(scope: Scope) -> None:
    objects = [certificate("a", WAITING), issuer("False")]
    assert roots(*objects, scope=scope) == [("cert-manager-issuance-failed", "issuer/ca")]


CASE = [
    *gated("Target.Timeout"),
    binding(),
    ingress(),
    event(ingress(), "FailedBuildModel", SUBNETS),
    certificate("a", WAITING, failedIssuanceAttempts=2),
    certificate("b", WAITING, issuer="gone"),
    issuer("False"),
    external("db", synced=False),
    store("False"),
    scaled(BAD, trigger={"authenticationRef": {"name": "queue"}}),
    aws("DBInstance", "rds", "db", condition("ACK.ReferencesResolved", "False"), vpcRefs=[{"from": {"name": "x"}}]),
    aws("DBInstance", "rds", "x", condition("ACK.Terminal", "True")),
]


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(damaged(CASE))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects)


def test_order_names_and_bystanders_change_nothing() -> None:
    told = roots(*CASE)
    assert roots(*shuffled(CASE, 11)) == told
    assert [c for c, _ in roots(*renamed(CASE, "basket"))] == [c for c, _ in told]
    assert roots(*CASE, *bystanders()) == told


def test_a_reference_to_what_is_not_there_is_told_and_one_to_what_is_being_made_is_not() -> None:
    def refers(words: str) -> Obj:
        return aws("Bucket", "s3", "b", {**condition("ACK.ReferencesResolved", "Unknown"), "reason": words})

    (root,) = linked(refers('Key.kms.services.k8s.aws "k" not found'))
    assert root.finding.cause == "ack-resource-not-synced" and "not there" in root.finding.summary
    assert severe(refers("the referenced resource is not synced yet. resource:Key, namespace:shop, name:k")) == []


def test_a_reference_deep_in_a_spec_is_followed() -> None:
    rule = {"encryption": {"rules": [{"keyRef": {"from": {"name": "k"}}}]}}
    below = aws("Bucket", "s3", "b", condition("ACK.ReferencesResolved", "False"), **rule)
    (root,) = linked(below, aws("Key", "kms", "k", condition("ACK.Terminal", "True")))
    assert root.finding.object.name == "k" and "1 resource that refer" in root.finding.summary


def test_an_external_dns_that_ends_when_a_round_fails_is_told_of_what_failed() -> None:
    spec = container(image="registry.k8s.io/external-dns/external-dns:v0.13.6")
    died = app(
        "external-dns", spec=spec, waiting="CrashLoopBackOff", restarts=4, last={"exitCode": 1, "reason": "Error"}
    )
    line = 'level=fatal msg="records retrieval failed: api error AccessDenied: not allowed"'
    said = {("shop", "external-dns-1-0", "app", True): line}
    assert roots(*died, logs=said) == [("external-dns-record-missing", "deployment/external-dns")]
    said = {("shop", "external-dns-1-0", "app", True): 'level=fatal msg="flag parsing error: unknown long flag"'}
    assert roots(*died, logs=said) == [("application-exits-on-error", "deployment/external-dns")]
