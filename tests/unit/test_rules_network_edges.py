"""Findings about Ingresses, load balancers, certificates, nodes without a way in, and tenants."""

from typing import Any

import pytest
from builders import ago, container, event, node, obj, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, damaged, linked, severe, shuffled

from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.rules.network_ingress import CERTIFICATE
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj

CLASS, BACKEND, EXPIRED = "ingress-class-invalid", "ingress-backend-missing", "ingress-certificate-expired"
BALANCER, LOCAL, PROXY = "load-balancer-not-provisioned", "traffic-policy-local-no-endpoint", "kube-proxy-not-running"
TENANTS, HAIRPIN = "tenant-network-not-isolated", "nlb-hairpin-client-ip"


def found(cause: str, *objects: Obj, **how: Any) -> list[Finding]:
    return [r.finding for r in linked(*objects, **how) if r.finding.cause == cause]


def ingress(
    to: str = "cart", port: Any = None, *, notes: dict[str, str] | None = None, status: Any = None, **spec: Any
) -> Obj:
    backend = {"service": {"name": to, "port": port or {"number": 80}}}
    rules = [{"host": "shop.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
    return obj(
        "Ingress",
        "front",
        api="networking.k8s.io/v1",
        metadata={"annotations": notes or {}},
        spec={"rules": rules, **spec},
        status=status or {},
    )


def ingress_class(name: str, *, default: bool = False) -> Obj:
    notes = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {}
    spec = {"controller": f"example.com/{name}"}
    return obj("IngressClass", name, None, api="networking.k8s.io/v1", metadata={"annotations": notes}, spec=spec)


def cart() -> list[Obj]:
    port = {"name": "http", "port": 80, "targetPort": 8080}
    return [*app("cart", spec=container(ports=[{"containerPort": 8080}])), service("cart", ports=[port])]


def test_a_class_that_does_not_exist_is_named_with_the_nearest() -> None:
    (one,) = found(CLASS, *cart(), ingress(ingressClassName="ngnix"), ingress_class("nginx"))
    assert (str(one.object), one.severity, one.confidence) == ("ingress/front", "critical", "certain")
    assert "Probably nginx is meant" in one.summary


def test_no_class_without_a_default_is_taken_by_nobody() -> None:
    (one,) = found(CLASS, *cart(), ingress(), ingress_class("nginx"))
    assert (one.severity, one.confidence) == ("warning", "likely")


ADDRESS = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}


@pytest.mark.parametrize(
    "objects",
    [
        [ingress(ingressClassName="nginx"), ingress_class("nginx")],
        [ingress(), ingress_class("nginx", default=True)],
        [ingress(notes={"kubernetes.io/ingress.class": "nginx"})],
        [ingress(notes={"kubernetes.io/ingress.class": "alb"}), ingress_class("nginx")],
        [ingress(status=ADDRESS), ingress_class("nginx")],
        [ingress()],
    ],
    ids=["class", "default", "annotation", "annotation beside classes", "has an address", "no classes at all"],
)
def test_ingresses_that_somebody_takes(objects: list[Obj]) -> None:
    assert severe(*cart(), *objects) == []


@pytest.mark.parametrize(
    ("one", "word"),
    [
        (ingress("carts"), "there is cart"),
        (ingress("cart", {"number": 8080}), "port 8080 of Service cart, which has only http 80"),
        (ingress("cart", {"name": "web"}), "port web"),
        (ingress(defaultBackend={"service": {"name": "gone", "port": {"number": 80}}}), "Service gone"),
    ],
)
def test_a_backend_that_is_missing(one: Obj, word: str) -> None:
    (said,) = found(BACKEND, *cart(), one)
    assert (str(said.object), said.severity, said.confidence) == ("ingress/front", "critical", "certain")
    assert word in said.summary


@pytest.mark.parametrize(
    "objects",
    [
        [*cart(), ingress()],
        [*cart(), ingress("cart", {"name": "http"})],
        [*cart(), ingress("redirect", {"name": "use-annotation"})],
        [*cart(), ingress("ext"), service("ext", selector={}, type="ExternalName", externalName="a.example")],
        [*cart(), ingress(defaultBackend={"resource": {"kind": "Bucket", "name": "x", "apiGroup": "example.com"}})],
    ],
)
def test_backends_that_are_there(objects: list[Obj]) -> None:
    assert severe(*objects) == []


def certificate(ends: str, ready: str = "False", secret: str = "shop-tls") -> Obj:
    return obj(
        CERTIFICATE.kind,
        "shop",
        api="cert-manager.io/v1",
        spec={"secretName": secret},
        status={"notAfter": ends, "conditions": [{"type": "Ready", "status": ready, "message": "has expired"}]},
    )


def certified(*certificates: Obj) -> list[Finding]:
    from builders import facts_of

    from firstmate_tools.diagnosis.engine import judge
    from firstmate_tools.diagnosis.rule import all_rules

    facts = facts_of(*cart(), ingress(tls=[{"hosts": ["shop.example"], "secretName": "shop-tls"}]))
    facts.put(CERTIFICATE, "shop", certificates)
    return [f for f in judge(facts, all_rules())[0] if f.cause == EXPIRED]


def test_an_expired_certificate_is_what_cert_manager_says() -> None:
    (one,) = certified(certificate(ago(3 * 86400)))
    assert (one.object.kind, one.severity) == ("Certificate", "critical") and "3 days ago" in one.summary
    assert certified(certificate(ago(-86400), "True")) == []
    assert certified(certificate(ago(86400), secret="other")) == []


def balanced(age: float = 600, **more: Any) -> Obj:
    made = service("cart", type="LoadBalancer", **more)
    made["metadata"]["creationTimestamp"] = ago(age)
    return made


def test_a_refused_load_balancer_is_told_at_once() -> None:
    one = balanced(20)
    said = event(one, "SyncLoadBalancerFailed", "Error syncing load balancer: quota exceeded", count=4)
    (found_one,) = found(BALANCER, *cart()[:-1], one, said)
    assert (str(found_one.object), found_one.severity, found_one.confidence) == ("service/cart", "critical", "certain")
    old = event(one, "SyncLoadBalancerFailed", "Error syncing load balancer", seconds_ago=4000)
    assert found(BALANCER, *cart()[:-1], one, old) == []


def test_silence_alarms_only_when_it_is_old() -> None:
    assert severe(*cart()[:-1], balanced(60)) == []
    (young,) = found(BALANCER, *cart()[:-1], balanced(60))
    assert (young.severity, young.confidence) == ("info", "possible") and "60 s" in young.summary
    (one,) = found(BALANCER, *cart()[:-1], balanced(1200))
    assert (one.severity, one.confidence) == ("warning", "likely") and "20 min" in one.summary


def test_silence_tells_nothing_at_all_where_a_controller_is_at_work() -> None:
    taken = balanced(60)
    taken["metadata"]["finalizers"] = ["service.kubernetes.io/load-balancer-cleanup"]
    assert found(BALANCER, *cart()[:-1], taken) == []
    served = service("other", type="LoadBalancer")
    served["status"] = ADDRESS
    assert found(BALANCER, *cart()[:-1], balanced(60), served) == []


def test_a_load_balancer_that_is_there_is_well() -> None:
    one = balanced(6000)
    one["status"] = ADDRESS
    assert severe(*cart()[:-1], one) == []


def caller(on: str) -> list[Obj]:
    spec = container(image="r.example/front:1", env=[{"name": "CART_URL", "value": "http://cart"}])
    return app("front", spec=spec, node=on)


def local(**spec: Any) -> list[Obj]:
    made = service("cart", **spec)
    return [*app("cart", spec=container(ports=[{"containerPort": 8080}]), node="n1"), made]


def test_a_caller_on_a_node_without_a_pod_is_cut_off() -> None:
    (one,) = found(LOCAL, *local(internalTrafficPolicy="Local"), *caller("n2"))
    assert (str(one.object), one.severity, one.confidence) == ("service/cart", "critical", "certain")
    assert "no ready pod on n2" in one.summary
    assert found(LOCAL, *local(internalTrafficPolicy="Local"), *caller("n1")) == []
    assert found(LOCAL, *local(internalTrafficPolicy="Cluster"), *caller("n2")) == []


def test_a_node_port_is_dead_where_no_pod_is_and_a_load_balancer_knows() -> None:
    nodes = [node("n1"), node("n2")]
    ports = {"externalTrafficPolicy": "Local"}
    (one,) = found(LOCAL, *local(type="NodePort", **ports), *nodes)
    assert (one.severity, one.confidence) == ("warning", "likely") and "(n2)" in one.summary
    assert found(LOCAL, *local(type="LoadBalancer", **ports), *nodes) == []
    assert found(LOCAL, *local(type="NodePort", **ports), node("n1"), node("n2", cordoned=True)) == []


def proxy(*pods: Obj, wanted: int = 2) -> list[Obj]:
    status = {
        "desiredNumberScheduled": wanted,
        "numberReady": sum(p["status"]["conditions"][0]["status"] == "True" for p in pods),
    }
    template = {"metadata": {"labels": {"k8s-app": "kube-proxy"}}, "spec": {"containers": [container()]}}
    return [
        obj("DaemonSet", "kube-proxy", "kube-system", api="apps/v1", spec={"template": template}, status=status),
        *pods,
        node("n1"),
        node("n2"),
    ]


def proxy_pod(on: str, **more: Any) -> Obj:
    return pod(f"kube-proxy-{on}", "kube-system", owned_by=("DaemonSet", "kube-proxy"), node=on, **more)


CRASH: dict[str, Any] = {"waiting": "CrashLoopBackOff", "restarts": 5, "last": {"exitCode": 1}}


def test_a_node_whose_kube_proxy_crashes_is_named_once() -> None:
    roots = linked(*proxy(proxy_pod("n1"), proxy_pod("n2", **CRASH)))
    severe_ones = [r for r in roots if r.finding.severity != "info"]
    assert [(r.finding.cause, str(r.finding.object)) for r in severe_ones] == [(PROXY, "daemonset/kube-proxy")]
    assert "n2: CrashLoopBackOff" in severe_ones[0].finding.summary
    assert "application-exits-on-error" in [e.cause for e in severe_ones[0].explained]


def test_a_node_without_a_kube_proxy_is_named_unless_it_has_none_by_its_nature() -> None:
    (one,) = found(PROXY, *proxy(proxy_pod("n1"), wanted=1))
    assert "n2: no pod" in one.summary
    fargate = node("f1", labels={"eks.amazonaws.com/compute-type": "fargate"})
    assert found(PROXY, *proxy(proxy_pod("n1"), proxy_pod("n2")), fargate, node("n3", ready="Unknown")) == []
    assert found(PROXY, *proxy()[2:]) == []


def tenant(name: str, whose: str) -> list[Obj]:
    return [
        obj("Namespace", name, None, metadata={"labels": {"tenant": whose}}),
        pod("app", name, labels={"app": name}),
    ]


def deny(namespace: str, **spec: Any) -> Obj:
    whole = {"podSelector": {}, "policyTypes": ["Ingress"], **spec}
    return obj("NetworkPolicy", "deny", namespace, api="networking.k8s.io/v1", spec=whole)


def test_tenants_without_a_policy_are_open_to_each_other() -> None:
    both = [*tenant("a", "acme"), *tenant("b", "globex")]
    assert [(f.object.name, f.severity) for f in found(TENANTS, *both)] == [("a", "info"), ("b", "info")]
    own = {"ingress": [{"from": [{"podSelector": {}}]}]}
    assert found(TENANTS, *both, deny("a"), deny("b", **own)) == []
    assert [f.object.name for f in found(TENANTS, *both, deny("a"), deny("b", ingress=[{}]))] == ["b"]
    assert found(TENANTS, *tenant("a", "acme"), *tenant("b", "acme")) == []


def test_a_workload_that_calls_itself_through_its_load_balancer_may_time_out() -> None:
    one = balanced(600)
    host = "k8s-shop-cart-1.elb.eu-west-1.amazonaws.com"
    one["status"] = {"loadBalancer": {"ingress": [{"hostname": host}]}}
    one["metadata"]["annotations"] = {"service.beta.kubernetes.io/aws-load-balancer-type": "external"}
    spec = container(ports=[{"containerPort": 8080}], env=[{"name": "SELF_URL", "value": f"https://{host}"}])
    (said,) = found(HAIRPIN, *app("cart", spec=spec), one)
    assert (said.severity, said.confidence) == ("info", "possible")
    one["metadata"]["annotations"]["service.beta.kubernetes.io/aws-load-balancer-nlb-target-type"] = "ip"
    assert found(HAIRPIN, *app("cart", spec=spec), one) == []


CASES = [
    [*cart(), ingress("carts", ingressClassName="ngnix"), ingress_class("nginx")],
    [*cart()[:-1], balanced(1200)],
    [*local(internalTrafficPolicy="Local"), *caller("n2")],
    proxy(proxy_pod("n1"), proxy_pod("n2", **CRASH)),
    [*tenant("a", "acme"), *tenant("b", "globex"), deny("a")],
]


@settings(max_examples=10, deadline=None)
@given(st.integers())
def test_order_changes_nothing(seed: int) -> None:
    for objects in CASES:
        assert severe(*shuffled(objects, seed)) == severe(*objects)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects)


def test_a_question_about_one_tenants_namespace_knows_whose_the_others_are() -> None:
    both = [*tenant("a", "acme"), *tenant("b", "globex")]
    for one in both:
        labels = one["metadata"]["labels"]
        if one["kind"] == "Namespace":
            labels["tenant.acme.io/name"] = labels.pop("tenant")
    open_to_all = deny("a", ingress=[{}])
    assert [f.object.name for f in found(TENANTS, *both, open_to_all, scope=Scope(namespace="a"))] == ["a"]
    assert found(TENANTS, *both, deny("a"), scope=Scope(namespace="a")) == []


def test_an_ingress_that_serves_with_a_secret_that_is_not_there_is_told() -> None:
    tls = {"tls": [{"hosts": ["shop.example"], "secretName": "shop-tls"}]}
    (one,) = found(BACKEND, *cart(), ingress(**tls), absent=("shop-tls",))
    assert (str(one.object), one.severity) == ("ingress/front", "warning") and "shop-tls" in one.summary
    assert found(BACKEND, *cart(), ingress(**tls), obj("Secret", "shop-tls")) == []


@pytest.mark.parametrize(
    "more",
    [
        {"notes": {"alb.ingress.kubernetes.io/scheme": "internal"}},
        {"notes": {"cert-manager.io/cluster-issuer": "le"}},
        {"ingressClassName": "alb"},
    ],
)
def test_who_has_certificates_from_elsewhere_needs_no_secret(more: dict[str, Any]) -> None:
    tls = {"tls": [{"hosts": ["shop.example"], "secretName": "shop-tls"}]}
    assert found(BACKEND, *cart(), ingress(**tls, **more), absent=("shop-tls",)) == []


def test_a_secret_that_cert_manager_is_to_write_is_its_matter() -> None:
    tls = {"tls": [{"hosts": ["shop.example"], "secretName": "shop-tls"}]}
    made = obj("Certificate", "shop", api="cert-manager.io/v1", spec={"secretName": "shop-tls"})
    assert found(BACKEND, *cart(), ingress(**tls), made, absent=("shop-tls",)) == []
