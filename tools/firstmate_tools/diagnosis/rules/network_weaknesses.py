"""What hurts nobody yet: tenants that can reach each other, a workload that calls itself through its load balancer."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds, netpol, podstate
from firstmate_tools.diagnosis import hosts, lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact, quote
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.fields import Obj
from firstmate_tools.loglines import unreached
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

_TENANT = re.compile(
    r"(?i)(?:^|[./-])(?:tenant|customer)(?:[-_.]?(?:id|name))?$|^(?:[a-z0-9-]+\.)*(?:tenants?|customers?)\.[a-z0-9.-]+/(?:id|name)$"
)
"""Labels by which namespaces say whose they are (`tenant`, `capsule.clastix.io/tenant`, `tenant.acme.io/name`, …)."""
_NLB = re.compile(r"(?i)\.elb\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$|^[a-z0-9-]+\.elb\.")
_AWS = "service.beta.kubernetes.io/aws-load-balancer-"
MOST_NAMED = 20


def tenants(facts: Facts) -> Iterable[Want]:
    """Whose the namespaces are, for questions about the whole cluster, or about a namespace that is a tenant's."""
    if facts.scope.object is not None:
        return
    own = Ref("Namespace", "", facts.scope.namespace) if facts.scope.namespace else None
    if own is not None and facts.all(kinds.NETWORK_POLICY):  # without one a request for every namespace is too much
        yield GetWant(kinds.NAMESPACE, own)
    if own is None or _tenant(facts.get(own) or {}):
        yield ListWant(kinds.NAMESPACE)


@rule(
    causes=("tenant-network-not-isolated",),
    observes=(kinds.NETWORK_POLICY, kinds.POD),
    digs=(Read(kinds.NAMESPACE, ("get", "list")),),
    wants=tenants,
)
def tenants_reach_each_other(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/security/multi-tenancy/#network-isolation

    Only where namespaces name more than one tenant; only policies of Kubernetes itself are seen.
    """
    if not (facts.knows(kinds.NAMESPACE) and facts.knows(kinds.NETWORK_POLICY, facts.scope.namespace)):
        return
    owned = {fields.name_of(one): tenant for one in facts.everywhere(kinds.NAMESPACE) if (tenant := _tenant(one))}
    if len(set(owned.values())) < 2:
        return
    policies: dict[str, list[netpol.Policy]] = defaultdict(list)
    for policy in facts.everywhere(kinds.NETWORK_POLICY):
        policies[fields.namespace_of(policy)].append(netpol.read(policy))
    bare: dict[str, list[Ref]] = defaultdict(list)
    judged: dict[tuple[str, str], bool] = {}
    for pod in facts.all(kinds.POD):
        place = fields.namespace_of(pod)
        if place in owned and not podstate.finished(pod) and not podstate.terminating(pod):
            alike = (place, repr(sorted(fields.labels_of(pod).items())))
            if alike not in judged:
                end = netpol.of_pod(pod, place)
                judged[alike] = not end.host_network and _is_open(policies.get(place, []), end, owned)
            if judged[alike]:
                bare[place].append(facts.workload(ref_of(pod, kinds.POD)))
    for place, workloads in sorted(bare.items()):
        others = sorted({tenant for tenant in owned.values() if tenant != owned[place]})
        yield Finding(
            cause="tenant-network-not-isolated",
            object=Ref("Namespace", "", place),
            severity="info",
            confidence="certain",
            summary=(
                f"Namespace {place} of tenant {owned[place]} is open to pods of {lib.some(others)}: no network policy "
                f"keeps them from {lib.some(map(str, workloads))}."
            ),
            evidence=(
                fact(Ref("Namespace", "", place), "metadata.labels", owned[place]),
                fact(
                    Ref("Namespace", "", place),
                    "network policies",
                    lib.some(policy.ref.name for policy in policies.get(place, [])) or "none",
                ),
            ),
            affects=tuple(sorted(set(workloads))[:MOST_NAMED]),
            culprit=place,
        )


def _tenant(namespace: Obj) -> str:
    labels = fields.labels_of(namespace)
    return next((labels[key] for key in sorted(labels) if _TENANT.search(key) and labels[key]), "")


def _is_open(inbound: list[netpol.Policy], end: netpol.Endpoint, owned: dict[str, str]) -> bool:
    """Whether a pod of another tenant certainly reaches a pod on some port."""
    isolating = netpol.selecting(inbound, end, "ingress")
    if not any(policy.ingress for policy in isolating):
        return not isolating
    for place, tenant in sorted(owned.items()):
        if tenant != owned[end.namespace]:
            stranger = netpol.Endpoint(place, {}, partial=True)
            if netpol.verdict(inbound, netpol.Flow(stranger, end, 1)).allowed is True:
                return True
    return False


@rule(
    causes=("nlb-hairpin-client-ip",),
    observes=(
        kinds.SERVICE,
        kinds.POD,
        kinds.DEPLOYMENT,
        kinds.REPLICA_SET,
        kinds.STATEFUL_SET,
        kinds.DAEMON_SET,
        kinds.JOB,
        kinds.CRON_JOB,
    ),
)
def hairpin(facts: Facts) -> Verdicts:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-troubleshooting.html#loopback-timeout

    A target that keeps client addresses drops what it sent itself. Told from configuration alone, so never more than
    possible: which node a connection lands on is not seen.
    """
    balancers = {name: service for service in facts.everywhere(kinds.SERVICE) for name in _names_of(service)}
    if not balancers:
        return
    for client in hosts.clients(facts):
        for host in hosts.hosts(facts, client):
            service = balancers.get(host.name)
            if service is not None and client.wanted:
                yield from _hairpin(facts, client, host, service)
                break


def _names_of(service: Obj) -> Iterator[str]:
    for entry in fields.items(service, "status", "loadBalancer", "ingress"):
        name = fields.text(entry, "hostname").lower()
        if _NLB.search(name) and _keeps_addresses(service):
            yield name


def _keeps_addresses(service: Obj) -> bool:
    """Whether targets see the address of the client: by default instances do, and addresses do not.

    https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/
    """
    notes = fields.string_map(service, "metadata", "annotations")
    kind = notes.get(f"{_AWS}type", "")
    if not (kind.startswith(("external", "nlb")) or fields.text(service, "spec", "loadBalancerClass")):
        return False
    said = re.search(r"preserve_client_ip\.enabled=(true|false)", notes.get(f"{_AWS}target-group-attributes", ""))
    if said:
        return said.group(1) == "true"
    target = notes.get(f"{_AWS}nlb-target-type", "ip" if kind == "nlb-ip" else "instance")
    return target == "instance"


def _hairpin(facts: Facts, client: hosts.Client, host: hosts.Host, service: Obj) -> Iterator[Finding]:
    ref = ref_of(service, kinds.SERVICE)
    lines = [
        line.strip()
        for pod, _, log in hosts.logs_read(facts, client.ref.namespace)
        for line in log.splitlines()
        if facts.workload(pod) == client.ref and any(peer.host.lower() == host.name for peer in unreached([line]))
    ]
    yield Finding(
        cause="nlb-hairpin-client-ip",
        object=ref,
        severity="warning" if lines else "info",
        confidence="possible",
        summary=(
            f"{client.ref} calls Service {ref.name} through its own load balancer, which keeps client addresses: a "
            f"connection that lands on the node that it came from times out."
        ),
        evidence=(
            fact(host.holder or client.ref, host.field, host.value),
            quote(ref, service, "metadata", "annotations"),
            *(fact(client.ref, "log", line) for line in lines[-1:]),
        ),
        affects=(client.ref,),
        next=(lib.ask("get", "the Service as it is", kind="service", name=ref.name, namespace=ref.namespace),),
    )
