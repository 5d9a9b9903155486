"""A pod's own DNS settings against the names that it asks for, and what kubelets say of them. Pure.

The policies are those of pkg/kubelet/network/dns/dns.go (v1.36): a pod on its node's network with ClusterFirst gets the
node's resolver; Default always does; None gets what `dnsConfig` says and nothing else.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import clusterdns, hosts, lib, trouble
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.hosts import Client, Host
from firstmate_tools.refs import Ref

CAUSE = "pod-dns-config-invalid"
LINK_LOCAL = ("169.254.", "fe80:", "fd00:")
"""Where a cache on the node listens (NodeLocal DNSCache)."""


def verdicts(facts: Facts) -> Iterator[Finding]:
    for client in hosts.clients(facts):
        if client.wanted:
            yield from _of_client(facts, client)
    yield from _limits(facts)
    yield from _without_cluster_dns(facts)


def _of_client(facts: Facts, client: Client) -> Iterator[Finding]:
    needed = _of_cluster(facts, client)
    why = _why(facts, client, needed) if needed else None
    if why is None:
        return
    first, words, sure = why
    ailing = client.ref in {one.workload for one in trouble.troubled(facts)} | set(clusterdns.complaints(facts))
    config = fields.mapping(client.template, "spec", "dnsConfig")
    yield Finding(
        cause=CAUSE,
        object=client.ref,
        severity="critical" if ailing else "warning",
        confidence="certain" if sure and ailing else "likely",
        summary=f"Pods of {client.ref} cannot resolve {first.name}, which they call: {words}.",
        evidence=(
            fact(client.ref, f"{client.prefix}.dnsPolicy", fields.text(client.template, "spec", "dnsPolicy") or None),
            *(
                [fact(client.ref, f"{client.prefix}.hostNetwork", True)]
                if fields.flag(client.template, "spec", "hostNetwork")
                else []
            ),
            *([fact(client.ref, f"{client.prefix}.dnsConfig", config)] if config else []),
            fact(first.holder or client.ref, first.field, first.value),
            *([fact(client.ref, "log", line)] if (line := clusterdns.complaints(facts).get(client.ref)) else []),
        ),
        affects=(client.ref,),
        next=(
            lib.ask(
                "workload_status", "how it stands", scope=f"{client.ref.kind.lower()}/{client.ref.name}",
                namespace=client.ref.namespace,
            ),
        ) if client.ref.kind != "Pod" else (),
    )  # fmt: skip


def _of_cluster(facts: Facts, client: Client) -> list[Host]:
    """The hosts that only the cluster's DNS knows: Services that exist, and names that end as theirs do."""
    return [
        host
        for host in hosts.hosts(facts, client)
        if (to := hosts.service(facts, client.ref.namespace, host.name)) is not None
        and (facts.get(to) is not None or ".svc" in host.name)
    ]


def _why(facts: Facts, client: Client, needed: list[Host]) -> tuple[Host, str, bool] | None:
    policy = fields.text(client.template, "spec", "dnsPolicy") or "ClusterFirst"
    servers = fields.strings(client.template, "spec", "dnsConfig", "nameservers")
    searches = fields.strings(client.template, "spec", "dnsConfig", "searches")
    dns = facts.get(clusterdns.SERVICE) or {}
    own = {fields.text(dns, "spec", "clusterIP"), *fields.strings(dns, "spec", "clusterIPs")} - {"", "None"}
    asks_cluster = any(server in own or server.startswith(LINK_LOCAL) for server in servers)
    if policy == "ClusterFirst" and fields.flag(client.template, "spec", "hostNetwork"):
        if asks_cluster:
            return None
        return needed[0], "on the host's network dnsPolicy ClusterFirst means the node's own resolver", True
    if policy == "Default" and not asks_cluster:
        return needed[0], "with dnsPolicy Default they ask the node's own resolver, which knows no Service", True
    if policy != "None":
        return None
    if servers and not asks_cluster and (own or all(_is_public(server) for server in servers)):
        known = f" ({lib.some(own)})" if own else ""
        return needed[0], f"they ask only {lib.some(servers)}, and not the cluster's DNS{known}", True
    domain = f"{client.ref.namespace}.svc."
    short = [host for host in needed if "." not in host.name]
    if short and not any(search.startswith(domain) for search in searches):
        return short[0], f"with dnsPolicy None their search list lacks {domain}cluster.local", True
    return None


def _is_public(address: str) -> bool:
    """Whether no cluster can have an address for its own."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _limits(facts: Facts) -> Iterator[Finding]:
    """What kubelets leave out of a resolver's file, because there was too much of it."""
    for workload, rows in _by_workload(facts, "DNSConfigForming"):
        template = lib.named_template(facts, workload) or facts.get(workload) or {}
        own = fields.mapping(template, "spec", "dnsConfig")
        ready = all(podstate.ready(pod) for pod in lib.pods_of(facts, workload))
        yield Finding(
            cause=CAUSE,
            object=workload,
            severity="warning" if own.get("searches") or own.get("nameservers") or not ready else "info",
            confidence="certain" if own else "likely",
            summary=(
                f"The kubelet leaves a part of the DNS settings of {workload} out, for they exceed its limits"
                f"{'' if own else '; they come from the node'}."
            ),
            evidence=(said(rows[0]), *([fact(workload, "spec.template.spec.dnsConfig", own)] if own else [])),
            affects=(workload,),
            since=lib.earliest(row.first for row in rows),
        )


def _without_cluster_dns(facts: Facts) -> Iterator[Finding]:
    """Kubelets that do not know the address of the cluster's DNS: every pod there falls back to the node's resolver."""
    nodes: dict[str, list[tuple[Ref, EventRow]]] = defaultdict(list)
    for workload, rows in _by_workload(facts, "MissingClusterDNS"):
        for row in rows:
            node = fields.text(facts.get(row.about) or {}, "spec", "nodeName")
            if node:
                nodes[node].append((workload, row))
    for node, found in sorted(nodes.items()):
        yield Finding(
            cause=CAUSE,
            object=Ref("Node", "", node),
            severity="warning",
            confidence="likely",
            summary=f"The kubelet of node {node} has no clusterDNS, so that its pods cannot resolve Services.",
            evidence=tuple(said(row) for _, row in found[:2]),
            affects=tuple(sorted({workload for workload, _ in found})),
            since=lib.earliest(row.first for _, row in found),
        )


def _by_workload(facts: Facts, reason: str) -> list[tuple[Ref, list[EventRow]]]:
    found: dict[Ref, list[EventRow]] = defaultdict(list)
    rows = [row for row in facts.every_event() if row.reason == reason and row.about.kind == kinds.POD.kind]
    for row in sorted(rows, key=lambda row: row.about):
        pod = facts.get(row.about)
        if pod is None or facts.scope.namespace not in {None, row.about.namespace}:
            continue
        if lately(facts, row) and row.about_uid in {"", fields.uid_of(pod)} and not podstate.finished(pod):
            found[facts.workload(row.about)].append(row)
    return sorted(found.items())
