"""Which Services a program says that it could not reach, by its log. Pure.

A program that dies, or answers "not ready", because a Service that it calls has no backend is a victim of whatever
stops that Service. Its own words say so; nothing is guessed from names alone.
"""

import ipaddress
from collections.abc import Iterable

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import hosts
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.loglines import Peer, unreached
from firstmate_tools.refs import Ref, ref_of


def awaited(facts: Facts, workload: Ref, lines: Iterable[str]) -> tuple[Ref, ...]:
    """The Services that these log lines of a workload could not reach, its own ones left out, sorted.

    Names are read as a pod of the workload's namespace would resolve them
    (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/), addresses by `clusterIPs`.
    """
    found = {ref for peer in unreached(lines) for ref in _services(facts, workload, peer)}
    own = facts.graph.reach([workload], "owns", "selects")
    return tuple(sorted(found - own))


def _services(facts: Facts, workload: Ref, peer: Peer) -> Iterable[Ref]:
    namespace, host = workload.namespace, peer.host.rstrip(".").lower()
    if _is_address(host):
        of_address = [
            ref_of(service, kinds.SERVICE)
            for service in facts.everywhere(kinds.SERVICE)
            if host in {fields.text(service, "spec", "clusterIP"), *fields.strings(service, "spec", "clusterIPs")}
        ]
        yield from of_address or _by_port(facts, workload, peer.port)
        return
    parts = host.split(".")
    if len(parts) > 2 and parts[2] != "svc":
        return
    ref = Ref("Service", parts[1] if len(parts) > 1 else namespace, parts[0])
    if facts.get(ref) is not None:
        yield ref


def _by_port(facts: Facts, workload: Ref, port: int) -> Iterable[Ref]:
    """The one Service that the workload's settings name with this port.

    An address that is no Service's is a pod's behind a headless one, or that of a Service which was made anew since.
    """
    named = [one for client in hosts.clients(facts) if client.ref == workload for one in hosts.hosts(facts, client)]
    found = {
        ref
        for one in named
        if port and one.port == port and (ref := hosts.service(facts, workload.namespace, one.name))
    }
    known = [ref for ref in found if facts.get(ref) is not None]
    return known if len(found) == 1 else []


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
