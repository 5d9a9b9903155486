"""Whether policies let a connection through: the cases of the documentation, and what must hold of any policies."""

from typing import Any

import pytest
from builders import container, obj, pod
from hypothesis import given, settings
from hypothesis import strategies as st
from verdicts import damaged

from firstmate_tools.netpol import Endpoint, Flow, of_pod, read, verdict

FRONT = Endpoint("shop", {"app": "front", "tier": "web"}, {"team": "web"}, "10.0.0.1")
CART = Endpoint("shop", {"app": "cart"}, {"team": "web"}, "10.0.0.2", {("http", "TCP"): 8080, ("dns", "UDP"): 53})
OTHER = Endpoint("ops", {"app": "front"}, {"team": "ops"}, "10.0.1.1")
WORLD = Endpoint(address="203.0.113.9")


def policy(name: str = "p", namespace: str = "shop", selector: Any = None, **spec: Any) -> Any:
    whole = {"podSelector": selector if selector is not None else {}, **spec}
    return obj("NetworkPolicy", name, namespace, api="networking.k8s.io/v1", spec=whole)


def lets(*policies: Any, source: Endpoint = FRONT, target: Endpoint = CART, port: int = 8080, by: str = "TCP") -> Any:
    return verdict([read(p) for p in policies], Flow(source, target, port, by)).allowed


DENY = policy(policyTypes=["Ingress"])
OF_CART = {"matchLabels": {"app": "cart"}}


def allowing(*rules: Any, **spec: Any) -> Any:
    return policy("allow", selector=OF_CART, policyTypes=["Ingress"], ingress=list(rules), **spec)


def peer(pods: Any = None, namespaces: Any = None) -> Any:
    found = {}
    if pods is not None:
        found["podSelector"] = {"matchLabels": pods} if pods else {}
    if namespaces is not None:
        found["namespaceSelector"] = {"matchLabels": namespaces} if namespaces else {}
    return found


@pytest.mark.parametrize(
    ("policies", "source", "allowed"),
    [
        ([], FRONT, True),
        ([DENY], FRONT, False),
        ([policy(policyTypes=["Egress"], namespace="ops")], FRONT, True),
        ([policy(policyTypes=["Egress"])], FRONT, False),
        ([policy(policyTypes=["Egress"])], OTHER, True),
        ([policy(selector={"matchLabels": {"app": "db"}}, policyTypes=["Ingress"])], FRONT, True),
        ([DENY, allowing({})], FRONT, True),
        ([DENY, allowing({"from": []})], WORLD, True),
        ([DENY, allowing({"from": [peer({"app": "front"})]})], FRONT, True),
        ([DENY, allowing({"from": [peer({"app": "front"})]})], OTHER, False),
        ([DENY, allowing({"from": [peer({}, None)]})], OTHER, False),
        ([DENY, allowing({"from": [peer(None, {"team": "ops"})]})], OTHER, True),
        ([DENY, allowing({"from": [peer(None, {})]})], OTHER, True),
        ([DENY, allowing({"from": [peer(None, {})]})], WORLD, False),
        ([DENY, allowing({"from": [peer({"app": "front"}, {"team": "ops"})]})], OTHER, True),
        ([DENY, allowing({"from": [peer({"app": "db"}, {"team": "ops"})]})], OTHER, False),
        ([DENY, allowing({"from": [peer({"app": "db"}), peer(None, {"team": "ops"})]})], OTHER, True),
        ([DENY, allowing({"from": [peer(None, {"kubernetes.io/metadata.name": "ops"})]})], OTHER, True),
        ([DENY, allowing({"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]})], WORLD, True),
        (
            [DENY, allowing({"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/31"]}}]})],
            WORLD,
            False,
        ),
        ([DENY, allowing({"from": [{"ipBlock": {"cidr": "2001:db8::/32"}}]})], WORLD, False),
        ([policy(ingress=[])], FRONT, False),
        ([policy()], FRONT, False),
        ([policy(egress=[{}], ingress=[{}])], FRONT, True),
        ([policy(egress=[{"to": [peer({"app": "db"})]}], ingress=[{}])], FRONT, False),
    ],
)
def test_who_may_reach_the_cart(policies: list[Any], source: Endpoint, allowed: bool) -> None:
    assert lets(*policies, source=source) is allowed


@pytest.mark.parametrize(
    ("ports", "port", "by", "allowed"),
    [
        ([], 8080, "TCP", True),
        ([{"port": 8080}], 8080, "TCP", True),
        ([{"port": 80}], 8080, "TCP", False),
        ([{"port": 8080, "protocol": "UDP"}], 8080, "TCP", False),
        ([{"port": "http"}], 8080, "TCP", True),
        ([{"port": "http"}], 9090, "TCP", False),
        ([{"port": "dns"}], 53, "TCP", False),
        ([{"port": "dns", "protocol": "UDP"}], 53, "UDP", True),
        ([{"port": 8000, "endPort": 8100}], 8080, "TCP", True),
        ([{"port": 8000, "endPort": 8079}], 8080, "TCP", False),
        ([{"protocol": "SCTP"}], 7000, "SCTP", True),
        ([{"protocol": "SCTP"}], 7000, "TCP", False),
        ([{"port": 53, "protocol": "UDP"}, {"port": 53}], 53, "TCP", True),
    ],
)
def test_on_which_ports(ports: list[Any], port: int, by: str, allowed: bool) -> None:
    assert lets(DENY, allowing({"ports": ports}), port=port, by=by) is allowed
    out = policy("out", policyTypes=["Egress"], egress=[{"ports": ports}])
    assert lets(out, port=port, by=by) is allowed


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ({"key": "app", "operator": "In", "values": ["front", "x"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["front"]}, False),
        ({"key": "app", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "zone", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "zone", "operator": "Exists"}, False),
        ({"key": "zone", "operator": "DoesNotExist"}, True),
    ],
)
def test_expressions_of_selectors(expression: Any, allowed: bool) -> None:
    rule = {"from": [{"podSelector": {"matchExpressions": [expression]}}]}
    assert lets(DENY, allowing(rule)) is allowed


def test_what_is_not_known_is_neither_yes_nor_no() -> None:
    unlabelled = Endpoint("ops", {"app": "front"})
    assert lets(DENY, allowing({"from": [peer(None, {"team": "ops"})]}), source=unlabelled) is None
    assert (
        lets(DENY, allowing({"from": [peer(None, {"kubernetes.io/metadata.name": "ops"})]}), source=unlabelled) is True
    )
    nowhere = Endpoint("shop", {"app": "front"})
    assert lets(DENY, allowing({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}), source=nowhere) is None
    assert lets(DENY, allowing({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}), source=nowhere) is True
    dns = Endpoint("kube-system", {"k8s-app": "kube-dns"}, partial=True)
    out = [peer({"k8s-app": "kube-dns", "app": "coredns"}, {"kubernetes.io/metadata.name": "kube-system"})]
    assert lets(policy(policyTypes=["Egress"], egress=[{"to": out}]), target=dns, port=53, by="UDP") is None


def test_a_pod_on_its_nodes_network_is_beyond_policies() -> None:
    agent = Endpoint("shop", {"app": "agent"}, host_network=True)
    assert lets(policy(policyTypes=["Egress"]), source=agent) is True
    assert lets(DENY, allowing({"from": [peer({"app": "agent"})]}), source=agent) is None


def test_a_pod_reaches_itself() -> None:
    assert lets(policy(policyTypes=["Ingress", "Egress"]), source=CART, target=CART) is True


def test_the_side_that_forbids_is_named() -> None:
    out = policy("out", policyTypes=["Egress"])
    found = verdict([read(out), read(DENY)], Flow(FRONT, CART, 8080))
    assert (found.allowed, found.direction, [p.ref.name for p in found.isolating]) == (False, "egress", ["out"])


def test_an_endpoint_is_read_from_a_pod() -> None:
    ports = [{"name": "http", "containerPort": 8080}, {"containerPort": 9}]
    found = of_pod(pod("cart", containers=[container(ports=ports)], spec={"hostNetwork": True}), "shop")
    assert (found.labels, found.ports, found.host_network) == ({"app": "cart"}, {("http", "TCP"): 8080}, True)


LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["front", "cart", "web"]), max_size=2)
SELECTORS = st.builds(lambda labels: {"matchLabels": labels}, LABELS)
PEERS = st.one_of(
    st.builds(lambda s: {"podSelector": s}, SELECTORS),
    st.builds(lambda s: {"namespaceSelector": s}, SELECTORS),
    st.builds(lambda s, n: {"podSelector": s, "namespaceSelector": n}, SELECTORS, SELECTORS),
    st.just({"ipBlock": {"cidr": "10.0.0.0/24"}}),
)
PORTS = st.builds(
    lambda n, p: {"port": n, "protocol": p}, st.sampled_from([80, 8080, "http"]), st.sampled_from(["TCP", "UDP"])
)
RULES = st.lists(
    st.builds(lambda f, p: {"from": f, "to": f, "ports": p}, st.lists(PEERS, max_size=2), st.lists(PORTS, max_size=2)),
    max_size=2,
)
TYPES = st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"], None])
POLICIES = st.lists(
    st.builds(
        lambda s, i, e, t: policy(selector=s, ingress=i, egress=e, policyTypes=t), SELECTORS, RULES, RULES, TYPES
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(POLICIES, RULES)
def test_a_further_rule_never_forbids_what_was_allowed(policies: list[Any], more: list[Any]) -> None:
    before = lets(*policies)
    wider = [dict(p, spec={**p["spec"], "ingress": p["spec"]["ingress"] + more}) for p in policies]
    assert not (before is True and lets(*wider) is not True)


@settings(max_examples=60, deadline=None)
@given(POLICIES, st.randoms())
def test_order_changes_nothing(policies: list[Any], rng: Any) -> None:
    mixed = list(policies)
    rng.shuffle(mixed)
    assert lets(*mixed) is lets(*policies)


@settings(max_examples=60, deadline=None)
@given(POLICIES)
def test_allow_all_beside_anything_allows(policies: list[Any]) -> None:
    openly = policy("open", policyTypes=["Ingress", "Egress"], ingress=[{}], egress=[{}])
    assert lets(*policies, openly) is True


@settings(max_examples=60, deadline=None)
@given(
    damaged(
        [DENY, allowing({"from": [peer({"app": "front"}, {"team": "web"})], "ports": [{"port": 80, "endPort": 90}]})]
    )
)
def test_absurd_policies_never_raise(policies: list[Any]) -> None:
    assert lets(*policies) in {True, False, None}
