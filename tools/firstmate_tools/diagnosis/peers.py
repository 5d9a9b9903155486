"""Which Services a program says that it could not reach, by its log. Pure.

A program that dies, or answers "not ready", because a Service that it calls has no backend is a victim of whatever
stops that Service. Its own words say so; nothing is guessed from names alone.
"""

import ipaddress
from collections.abc import Iterable

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.loglines import Peer, unreached
from firstmate_tools.refs import Ref, ref_of


def awaited(facts: Facts, workload: Ref, lines: Iterable[str]) -> tuple[Ref, ...]:
    """The Services that these log lines of a workload could not reach, its own ones left out, sorted.

    Names are read as a pod of the workload's namespace would resolve them
    (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/), addresses by `clusterIPs`.
    """
    found = {ref for peer in unreached(lines) for ref in _services(facts, workload.namespace, peer)}
    own = facts.graph.reach([workload], "owns", "selects")
    return tuple(sorted(found - own))


def _services(facts: Facts, namespace: str, peer: Peer) -> Iterable[Ref]:
    host = peer.host.rstrip(".").lower()
    if _is_address(host):
        for service in facts.everywhere(kinds.SERVICE):
            if host in {fields.text(service, "spec", "clusterIP"), *fields.strings(service, "spec", "clusterIPs")}:
                yield ref_of(service, kinds.SERVICE)
        return
    parts = host.split(".")
    if len(parts) > 2 and parts[2] != "svc":
        return
    ref = Ref("Service", parts[1] if len(parts) > 1 else namespace, parts[0])
    if facts.get(ref) is not None:
        yield ref


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
