"""Findings about names that do not resolve: Services that are missing, pods' own DNS settings, the cluster's DNS."""

from typing import Any

import pytest
from builders import ago, container, event, facts_of, obj, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, linked, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.clusterdns import SERVICE
from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.rule import GetWant, ListWant, LogWant, Want, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj

MISSING, POD_DNS = "service-host-reference-invalid", "pod-dns-config-invalid"
DOWN, CONFIG = "coredns-not-running", "coredns-config-invalid"
SHOP = Scope("shop")
CRASH: dict[str, Any] = {"waiting": "CrashLoopBackOff", "restarts": 5, "last": {"exitCode": 1}}


def front(value: str = "http://cart-db:5432", **more: Any) -> list[Obj]:
    return app("front", spec=container(env=[{"name": "DB_URL", "value": value}]), **more)


def log(line: str, *, previous: bool = False, of: str = "front-1-0") -> dict[tuple[str, str, str, bool], str]:
    return {("shop", of, "app", previous): f"starting\n{line}\n"}


def found(cause: str, *objects: Obj, **how: Any) -> list[Finding]:
    return [r.finding for r in linked(*objects, **how) if r.finding.cause == cause]


def wanted(*objects: Obj, **how: Any) -> set[Want]:
    facts = facts_of(*objects, **how)
    return {want for rule in all_rules() if rule.wants for want in rule.wants(facts)}


@pytest.mark.parametrize(
    "line",
    [
        "dial tcp: lookup cart-db on 10.96.0.10:53: no such host",
        "Error: getaddrinfo ENOTFOUND cart-db",
        'could not translate host name "cart-db" to address: Name or service not known',
        "java.net.UnknownHostException: cart-db: Name or service not known",
        "curl: (6) Could not resolve host: cart-db",
        "wget: bad address 'cart-db:5432'",
        "** server can't find cart-db.shop.svc.cluster.local: NXDOMAIN",
    ],
)
def test_a_service_that_does_not_exist_is_named_by_the_log_that_misses_it(line: str) -> None:
    (one,) = found(MISSING, *front(), service("cart-dbs", selector={"app": "front"}), logs=log(line))
    assert (str(one.object), one.confidence, one.severity) == ("deployment/front", "certain", "warning")
    assert "no Service cart-db" in one.summary and "cart-dbs is meant" in one.summary


def test_it_explains_the_program_that_dies_of_it() -> None:
    line = "FATAL: dial tcp: lookup cart-db on 10.96.0.10:53: no such host"
    roots = linked(*front(**CRASH), service("front"), logs=log(line, previous=True))
    assert [r.finding.cause for r in roots if r.finding.severity != "info"] == [MISSING]
    assert {"application-exits-on-error", "service-endpoints-not-ready"} <= {e.cause for e in roots[0].explained}


@pytest.mark.parametrize(
    ("objects", "line"),
    [
        (front(), "ready to serve"),
        ([*front(), service("cart-db", selector={"app": "front"})], "lookup cart-db: no such host"),
        (front("https://api.provider.example"), "lookup api.provider.example: no such host"),
        (front(), "dial tcp cart-db:5432: connection refused"),
    ],
    ids=["nobody misses it", "it exists", "outside the cluster", "refused"],
)
def test_a_name_alone_is_no_fault(objects: list[Obj], line: str) -> None:
    assert found(MISSING, *objects, logs=log(line)) == []


def test_the_log_of_whoever_names_nothing_is_asked_for() -> None:
    assert LogWant("shop", "front-1-0", "app", aside=True) in wanted(*front())
    _, ruled_out, _ = verdicts(*front())
    assert MISSING in [r.cause for r in ruled_out]


def agent(**body: Any) -> list[Obj]:
    spec = container(image="r.example/agent:1", env=[{"name": "CART_URL", "value": "http://cart:80"}])
    cart = app("cart", spec=container(image="r.example/cart:1", ports=[{"containerPort": 8080}]))
    dns = service("kube-dns", "kube-system", selector={}, clusterIP="10.96.0.10")
    return [*app("agent", spec=spec, body=body), *cart, service("cart"), dns]


def resolver(*servers: str, searches: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": list(servers), "searches": list(searches)}}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirst"}, "host's network"),
        ({"hostNetwork": True}, "host's network"),
        ({"dnsPolicy": "Default"}, "node's own resolver"),
        (resolver("192.0.2.53"), "ask only 192.0.2.53"),
        (resolver("10.96.0.10", searches=("example.com",)), "search list"),
    ],
)
def test_a_pods_own_settings_keep_it_from_the_clusters_names(body: dict[str, Any], word: str) -> None:
    (one,) = found(POD_DNS, *agent(**body))
    assert (str(one.object), one.severity) == ("deployment/agent", "warning") and word in one.summary


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"dnsPolicy": "ClusterFirst", "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}},
        {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
        resolver("10.96.0.10", searches=("shop.svc.cluster.local",)),
        resolver("169.254.20.10", searches=("shop.svc.cluster.local",)),
    ],
)
def test_settings_that_reach_the_clusters_dns_are_well(body: dict[str, Any]) -> None:
    assert found(POD_DNS, *agent(**body)) == []


def test_who_names_no_service_may_use_any_resolver() -> None:
    spec = container(env=[{"name": "API", "value": "https://api.provider.example"}])
    assert severe(*app("exporter", spec=spec, body={"hostNetwork": True, "dnsPolicy": "Default"})) == []


def test_what_the_kubelet_leaves_out_is_told_by_whose_settings_they_are() -> None:
    own = {"dnsConfig": {"searches": [f"s{i}.example" for i in range(40)]}}
    objects = app("cart", body=own)
    said = event(objects[-1], "DNSConfigForming", "Search Line limits were exceeded, some search paths were omitted")
    (one,) = found(POD_DNS, *objects, said)
    assert (str(one.object), one.severity) == ("deployment/cart", "warning")
    plain = app("cart")
    of_node = event(plain[-1], "DNSConfigForming", "Nameserver limits were exceeded")
    assert [f.severity for f in found(POD_DNS, *plain, of_node)] == ["info"]
    old = event(plain[-1], "DNSConfigForming", "Nameserver limits were exceeded", seconds_ago=4000)
    assert found(POD_DNS, *plain, old) == []


def test_a_kubelet_without_cluster_dns_is_the_nodes_fault() -> None:
    objects = app("cart")
    said = event(objects[-1], "MissingClusterDNS", "kubelet does not have ClusterDNS IP configured")
    (one,) = found(POD_DNS, *objects, said)
    assert (one.object.kind, one.object.name) == ("Node", "n1")


COREFILE = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
    }
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
}
"""


def dns(corefile: str = COREFILE, *, replicas: int = 1, **of_pod: Any) -> list[Obj]:
    labels = {"k8s-app": "kube-dns"}
    spec = container(image="registry.k8s.io/coredns/coredns:v1.12.1", ports=[{"containerPort": 53, "protocol": "UDP"}])
    volume = {"name": "config", "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]}}
    return [
        *app(
            "coredns",
            spec=spec,
            pods=replicas,
            labels=labels,
            namespace="kube-system",
            body={"volumes": [volume]},
            **of_pod,
        ),
        service(
            "kube-dns", "kube-system", selector=labels, clusterIP="10.96.0.10", ports=[{"port": 53, "protocol": "UDP"}]
        ),
        obj("ConfigMap", "coredns", "kube-system", data={"Corefile": corefile}),
    ]


def test_dns_at_zero_explains_the_namespace_that_cannot_resolve() -> None:
    line = "FATAL: lookup cart on 10.96.0.10:53: read udp 10.1.0.7:4242->10.96.0.10:53: connection refused"
    objects = [*front("http://cart", **CRASH), *app("cart"), service("cart"), *dns(replicas=0)]
    roots = linked(*objects, scope=SHOP, logs=log(line, previous=True))
    severe_ones = [r for r in roots if r.finding.severity != "info"]
    assert [(r.finding.cause, str(r.finding.object)) for r in severe_ones] == [(DOWN, "deployment/coredns")]
    assert "application-exits-on-error" in [e.cause for e in severe_ones[0].explained]


def test_dns_that_crashes_is_one_problem() -> None:
    roots = linked(*dns(**CRASH), scope=Scope("kube-system"))
    assert [r.finding.cause for r in roots if r.finding.severity != "info"] == [DOWN]


def test_dns_that_runs_is_well() -> None:
    assert severe(*dns(), *bystanders()) == []
    assert (
        severe(
            *dns(ready=False, age=5, conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": ago(3)}])
        )
        == []
    )


def test_dns_is_looked_at_only_where_something_is_wrong() -> None:
    how: dict[str, Any] = {"scope": SHOP, "unknown": (kinds.SERVICE,)}
    assert GetWant(kinds.SERVICE, SERVICE) not in wanted(*front(), **how)
    assert GetWant(kinds.SERVICE, SERVICE) in wanted(*front(**CRASH), **how)


def test_what_stands_behind_dns_is_read_where_it_has_no_address() -> None:
    kube_system = (kinds.SERVICE, kinds.POD, kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.ENDPOINT_SLICE)
    facts = facts_of(scope=SHOP, unknown=kube_system)
    facts.put(kinds.POD, "shop", front(**CRASH)[2:])
    facts.put_one(kinds.SERVICE, SERVICE, dns()[-2])
    for known in ((kinds.ENDPOINT_SLICE,), (kinds.POD,)):
        for kind in known:
            facts.put(kind, "kube-system", [])
        asked = {want for rule in all_rules() if rule.wants for want in rule.wants(facts)}
        assert ListWant(kinds.DEPLOYMENT, "kube-system") in asked


@pytest.mark.parametrize(
    ("corefile", "word"),
    [
        (COREFILE.replace("/etc/resolv.conf", "10.96.0.10"), "circle"),
        (COREFILE.replace("forward .", "foward ."), "probably forward"),
        (COREFILE.replace("    loop\n    reload\n}", "    loop"), "open at its end"),
        (COREFILE.replace("    reload\n}", "    reload\n}\n}"), "none opened"),
        (
            COREFILE.replace("kubernetes cluster.local in-addr.arpa ip6.arpa", "template ANY ANY"),
            "lacks the kubernetes",
        ),
        (COREFILE.replace("cluster.local", "cluster.lokal"), "answers for cluster.lokal"),
    ],
)
def test_mistakes_in_the_corefile_are_read(corefile: str, word: str) -> None:
    (one,) = found(CONFIG, *dns(corefile))
    assert (str(one.object), one.confidence) == ("configmap/coredns", "certain") and word in one.summary


def server_log(*lines: str) -> dict[tuple[str, str, str, bool], str]:
    return {("kube-system", "coredns-1-0", "app", False): "\n".join(lines)}


def test_a_loop_and_a_dead_upstream_are_heard() -> None:
    loop = (
        '[FATAL] plugin/loop: Loop (127.0.0.1:55953 -> :53) detected for zone ".", see https://coredns.io/plugins/loop'
    )
    assert "circle" in found(CONFIG, *dns(), logs=server_log(loop))[0].summary
    dead = "[ERROR] plugin/errors: 2 api.example. A: read udp 10.1.0.2:41000->10.0.0.2:53: i/o timeout"
    (one,) = found(CONFIG, *dns(), logs=server_log(dead, dead, dead))
    assert one.confidence == "likely" and "10.0.0.2" in one.summary
    assert found(CONFIG, *dns(), logs=server_log(dead)) == []


def test_a_broken_corefile_explains_dns_that_does_not_run() -> None:
    broken = dns(COREFILE.replace("forward .", "foward ."), **CRASH)
    roots = linked(*broken, scope=Scope("kube-system"))
    assert [r.finding.cause for r in roots if r.finding.severity != "info"] == [CONFIG]


CASES = [
    ([*front(**CRASH), service("front")], log("FATAL: lookup cart-db: no such host", previous=True)),
    (agent(**resolver("192.0.2.53")), {}),
    (dns(COREFILE.replace("forward .", "foward ."), **CRASH), {}),
    ([*dns(replicas=0), pod("x")], {}),
]


@settings(max_examples=10, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects, logs in CASES:
        mixed = shuffled([*objects, *(bystanders() if crowded else [])], seed)
        assert severe(*mixed, logs=logs) == severe(*objects, logs=logs) != []


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([objects for objects, _ in CASES]).flatmap(damaged))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects, logs=log("lookup cart-db: no such host"))


@pytest.mark.parametrize("word", ["EAI_AGAIN", "ENOTFOUND"])
def test_the_name_of_an_error_is_no_host(word: str) -> None:
    died = front("http://api.partner.example", **CRASH)
    assert found(MISSING, *died, logs=log(f"getaddrinfo {word} api.partner.example", previous=True)) == []
    (one,) = found(MISSING, *front(**CRASH), logs=log(f"getaddrinfo {word} cart-db", previous=True))
    assert "no Service cart-db" in one.summary
