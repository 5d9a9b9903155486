"""Findings about network policies that keep workloads from what they need, and policies that do not."""

from typing import Any

import pytest
from builders import container, facts_of, obj, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, linked, renamed, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.rule import all_rules
from firstmate_tools.diagnosis.rules.network_policies import OTHERS
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj

CAUSE = "networkpolicy-blocks-traffic"
HTTP = {"name": "http", "containerPort": 8080}


def policy(name: str, namespace: str = "shop", selector: dict[str, str] | None = None, **spec: Any) -> Obj:
    chosen = {"matchLabels": selector} if selector else {}
    return obj("NetworkPolicy", name, namespace, api="networking.k8s.io/v1", spec={"podSelector": chosen, **spec})


def peer(labels: dict[str, str] | None = None, place: dict[str, str] | None = None) -> Obj:
    found: Obj = {} if labels is None else {"podSelector": {"matchLabels": labels}}
    return found if place is None else {**found, "namespaceSelector": {"matchLabels": place}}


def namespace(name: str, **labels: str) -> Obj:
    return obj("Namespace", name, None, metadata={"labels": {"kubernetes.io/metadata.name": name, **labels}})


def shop(url: str = "http://cart", **front: Any) -> list[Obj]:
    spec = container(image="r.example/front:1", env=[{"name": "CART_URL", "value": url}])
    return [
        *app("front", spec=spec, **front),
        *app("cart", spec=container(image="r.example/cart:1", ports=[HTTP])),
        service("cart", ports=[{"name": "http", "port": 80, "targetPort": "http"}]),
        service("front"),
        namespace("shop"),
        namespace("kube-system"),
    ]


def blocked(*objects: Obj, **how: Any) -> list[Finding]:
    return [r.finding for r in linked(*objects, **how) if r.finding.cause == CAUSE]


DENY = policy("default-deny", policyTypes=["Ingress"])
SHUT = policy("default-deny-egress", policyTypes=["Egress"])
TO_DNS = {
    "to": [peer({"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"})],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}


def allow(*rules: Any, name: str = "allow-cart", to: str = "cart", **more: Any) -> Obj:
    return policy(name, selector={"app": to}, policyTypes=["Ingress"], ingress=list(rules), **more)


FROM_FRONT = {"from": [peer({"app": "front"})], "ports": [{"port": 8080}]}


def test_default_deny_without_an_allowance_is_named() -> None:
    (found,) = blocked(*shop(), DENY)
    assert (str(found.object), found.severity, found.confidence) == ("networkpolicy/default-deny", "warning", "likely")
    assert "deployment/front from service/cart on port 8080/TCP" in found.summary
    assert any(e.value == "http://cart" for e in found.evidence)


def test_an_allowance_for_the_services_port_is_that_for_the_wrong_port() -> None:
    (found,) = blocked(*shop(), DENY, allow({**FROM_FRONT, "ports": [{"port": 80}]}))
    assert str(found.object) == "networkpolicy/allow-cart" and "80/TCP" in found.summary


def test_an_allowance_for_pods_of_another_label_is_the_one_to_mend() -> None:
    (found,) = blocked(*shop(), DENY, allow({"from": [peer({"app": "frontend"})], "ports": [{"port": 8080}]}))
    assert str(found.object) == "networkpolicy/allow-cart"


def test_a_log_that_times_out_makes_it_certain() -> None:
    log = {("shop", "front-1-0", "app", False): "ERROR Get http://cart/items: dial tcp 10.96.0.7:80: i/o timeout\n" * 3}
    (found,) = blocked(*shop(), DENY, logs=log)
    assert (found.severity, found.confidence) == ("critical", "certain")


def test_it_explains_the_caller_that_dies_of_it() -> None:
    objects = shop(waiting="CrashLoopBackOff", restarts=5, last={"exitCode": 1})
    log = {("shop", "front-1-0", "app", True): "FATAL: cannot connect to http://cart:80: i/o timeout\n"}
    found = [r for r in linked(*objects, DENY, logs=log) if r.finding.severity != "info"]
    assert [r.finding.cause for r in found] == [CAUSE]
    assert {"application-exits-on-error", "service-endpoints-not-ready"} <= {e.cause for e in found[0].explained}


def test_a_caller_that_fails_for_another_reason_is_a_fault_of_its_own() -> None:
    objects = shop(waiting="CrashLoopBackOff", restarts=5, last={"exitCode": 1})
    log = {("shop", "front-1-0", "app", True): "FATAL: no licence file\n"}
    found = [r.finding.cause for r in linked(*objects, DENY, logs=log) if r.finding.severity != "info"]
    assert sorted(found) == ["application-exits-on-error", CAUSE]


def test_egress_without_dns_is_named() -> None:
    out = policy(
        "front-out", selector={"app": "front"}, policyTypes=["Egress"], egress=[{"to": [peer({"app": "cart"})]}]
    )
    (found,) = blocked(*shop(), out)
    assert str(found.object) == "networkpolicy/front-out" and "DNS on port 53/UDP" in found.summary


def test_dns_by_tcp_alone_is_not_enough() -> None:
    rules = [{"to": [peer({"app": "cart"})]}, {**TO_DNS, "ports": [{"port": 53}]}]
    (found,) = blocked(*shop(), policy("out", policyTypes=["Egress"], egress=rules))
    assert "DNS" in found.summary and "53/TCP" in found.summary


def test_a_config_map_may_name_what_is_needed() -> None:
    spec = container(image="r.example/front:1", envFrom=[{"configMapRef": {"name": "urls"}}])
    urls = obj("ConfigMap", "urls", data={"CART_URL": "http://cart.shop.svc.cluster.local"})
    (found,) = blocked(*app("front", spec=spec), *shop()[3:], urls, DENY)
    assert ("configmap/urls", "data.CART_URL") in [(str(e.object), e.field) for e in found.evidence]


def across(*policies: Obj, labels: dict[str, str] | None = None) -> list[Finding]:
    spec = container(image="r.example/front:1", env=[{"name": "DB", "value": "db.data:5432"}])
    objects = [
        *app("front", spec=spec),
        namespace("shop", **(labels or {"team": "web"})),
        namespace("data"),
        service("db", "data", ports=[{"port": 5432}]),
        pod("db-0", "data", labels={"app": "db"}),
    ]
    return blocked(*objects, *policies, scope=Scope("shop"))


def test_a_namespace_of_another_label_is_kept_out() -> None:
    rule = {"from": [peer(None, {"team": "shop"})], "ports": [{"port": 5432}]}
    guard = policy("db-guard", "data", selector={"app": "db"}, policyTypes=["Ingress"], ingress=[rule])
    (found,) = across(guard)
    assert (found.object.namespace, found.object.name) == ("data", "db-guard")
    assert across(guard, labels={"team": "shop"}) == []


def controller() -> list[Obj]:
    labels = {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"}
    path = {"path": "/", "backend": {"service": {"name": "cart", "port": {"number": 80}}}}
    return [
        namespace("ingress-nginx", role="edge"),
        pod("c-0", "ingress-nginx", labels=labels, owned_by=("ReplicaSet", "c")),
        obj("Ingress", "front", api="networking.k8s.io/v1", spec={"rules": [{"http": {"paths": [path]}}]}),
    ]


def test_the_controller_of_an_ingress_needs_its_backend() -> None:
    objects = [*shop("none"), *controller()]
    (found,) = blocked(*objects, DENY, scope=Scope("shop"))
    assert found.severity == "critical" and "ingress/front from service/cart" in found.summary
    assert blocked(*objects, DENY, allow({"from": [peer(None, {"role": "edge"})]}), scope=Scope("shop")) == []


@pytest.mark.parametrize(
    "policies",
    [
        [DENY, allow(FROM_FRONT)],
        [DENY, allow({"from": [peer({"app": "front"})]})],
        [DENY, allow({"from": [{"podSelector": {}}], "ports": [{"port": "http"}]})],
        [
            DENY,
            SHUT,
            allow(FROM_FRONT),
            policy("o", policyTypes=["Egress"], egress=[TO_DNS, {"to": [peer({"app": "cart"})]}]),
        ],
        [SHUT, policy("o", egress=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}], policyTypes=["Egress"])],
        [policy("other", selector={"app": "db"}, policyTypes=["Ingress", "Egress"])],
        [policy("elsewhere", "ops", policyTypes=["Ingress", "Egress"])],
        [DENY, allow({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})],
    ],
)
def test_default_deny_with_what_is_needed_is_well(policies: list[Obj]) -> None:
    assert blocked(*shop(), *policies) == []


def test_policies_of_the_network_plugin_may_let_it_through() -> None:
    facts = facts_of(*shop(), DENY)
    facts.put(OTHERS[0], "shop", [obj("CiliumNetworkPolicy", "allow", api="cilium.io/v2")])
    (found,) = [f for f in judge(facts, all_rules())[0] if f.cause == CAUSE]
    assert (found.severity, found.confidence) == ("info", "possible")


def test_what_nobody_needs_may_be_forbidden() -> None:
    assert blocked(*shop("none"), DENY) == []
    assert blocked(*shop("https://api.provider.example/v1"), DENY) == []
    assert blocked(*shop(replicas=0, pods=0), DENY) == []


def test_probes_are_no_reason() -> None:
    probed = container(image="r.example/cart:1", ports=[HTTP], readinessProbe={"httpGet": {"port": "http"}})
    assert blocked(*app("cart", spec=probed), service("cart"), DENY) == []


def test_allowed_needs_rule_it_out() -> None:
    _, ruled_out, _ = verdicts(*shop(), DENY, allow(FROM_FRONT))
    assert CAUSE in [r.cause for r in ruled_out]


def test_where_policies_could_not_be_read_nothing_is_said() -> None:
    assert blocked(*shop(), unknown=(kinds.NETWORK_POLICY,)) == []


CASES = [
    [*shop(), DENY, allow({**FROM_FRONT, "ports": [{"port": 80}]})],
    [*shop(), SHUT],
    [*shop("none"), *controller(), DENY],
]


@settings(max_examples=10, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects in CASES:
        mixed = shuffled([*objects, *(bystanders() if crowded else [])], seed)
        assert [f.object for f in blocked(*mixed)] == [f.object for f in blocked(*objects)]


@settings(max_examples=10, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects in CASES[1:]:
        assert [f.object for f in blocked(*renamed(objects, name))] == [f.object for f in blocked(*objects)]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects)


def test_a_line_about_an_address_that_nobody_has_counts_by_its_port() -> None:
    died = {"waiting": "CrashLoopBackOff", "restarts": 4, "last": {"exitCode": 1, "reason": "Error"}}
    only = policy(
        "cart", selector={"app": "cart"}, policyTypes=["Ingress"], ingress=[{"from": [peer({"app": "other"})]}]
    )
    made = [*shop("http://cart:80", **died), only]

    def roots_with(line: str) -> set[str]:
        return {r.finding.cause for r in linked(*made, logs={("shop", "front-1-0", "app", True): line})}

    assert roots_with("dial tcp 10.96.7.7:80: i/o timeout") == {CAUSE}
    assert roots_with("dial tcp 10.96.7.7:9200: i/o timeout") == {CAUSE, "application-exits-on-error"}


def test_a_name_server_that_does_not_answer_is_the_policys_doing_where_it_shuts_dns_off() -> None:
    died = {"waiting": "CrashLoopBackOff", "restarts": 4, "last": {"exitCode": 1, "reason": "Error"}}
    to_dns = {"to": [peer(None, {"name": "kube-system"})], "ports": [{"port": 53, "protocol": "UDP"}]}
    rules = [to_dns, {"to": [peer({"app": "cart"})], "ports": [{"port": 8080}]}]
    out = policy("out", selector={"app": "front"}, policyTypes=["Egress"], egress=rules)
    made = [*shop("http://cart.shop.svc.cluster.local", **died), out]

    def roots_with(line: str) -> set[str]:
        return {r.finding.cause for r in linked(*made, logs={("shop", "front-1-0", "app", True): line})}

    assert roots_with("socket.gaierror: [Errno -3] Temporary failure in name resolution") == {CAUSE}
    assert "application-exits-on-error" in roots_with("socket.gaierror: [Errno -2] Name or service not known")
