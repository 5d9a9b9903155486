"""Network policies that forbid what somebody needs. Policies are evaluated, not guessed at.

A connection is only asked about where somebody needs it (`neededflows`). Whether the network plugin of the cluster
enforces policies at all is not seen here, so that without a log that says so the finding is an inference.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from firstmate_tools import fields, kinds, netpol, podstate
from firstmate_tools.diagnosis import hosts, lib, neededflows, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.neededflows import DNS, Need
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, LogWant, Verdicts, Want, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.netpol import Direction, Flow, Policy, Verdict
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref
from firstmate_tools.results import Severity

CAUSE = "networkpolicy-blocks-traffic"
MOST_PLACES = 2
"""Other namespaces that are looked into, for what the workloads in scope call there."""
MOST_MAPS = 6
MOST_LOGS = 4
ALIKE = 0.7
OTHERS = (
    Kind("CiliumNetworkPolicy", "ciliumnetworkpolicies", "cilium.io", "v2"),
    Kind("CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", "cilium.io", "v2", namespaced=False),
    Kind("NetworkPolicy", "networkpolicies", "crd.projectcalico.org", "v1"),
    Kind("GlobalNetworkPolicy", "globalnetworkpolicies", "crd.projectcalico.org", "v1", namespaced=False),
)
"""Policies of network plugins, which may let through what those of Kubernetes do not. They are counted, not read."""
_TOP = frozenset(
    {"com", "net", "org", "io", "dev", "example", "test", "local", "internal", "cloud", "app", "eu", "aws"}
)
"""Ends of host names that are no namespaces."""


def wants(facts: Facts) -> Iterable[Want]:
    """What decides on the connections that are needed: settings, namespaces, what stands in other namespaces."""
    yield from _across(facts)
    if not facts.everywhere(kinds.NETWORK_POLICY):
        return
    if facts.all(kinds.NETWORK_POLICY):
        maps = sorted({ref for client in hosts.clients(facts) for ref in hosts.config_maps(client)})
        yield from (GetWant(kinds.CONFIG_MAP, ref) for ref in maps[:MOST_MAPS])
    policies = facts.derived(_policies)
    shut = neededflows.is_shut(facts, [policy for found in policies.values() for policy in found])
    if shut or any(verdict.allowed is None for _, verdicts in facts.derived(_judged) for verdict in verdicts):
        yield ListWant(kinds.NAMESPACE)
    if shut:
        yield from (ListWant(kinds.POD, place) for place in neededflows.ingress_places(facts))
    yield from _logs(facts)
    for place in sorted({one.policy.ref.namespace for one in facts.derived(_blocked)})[:MOST_PLACES]:
        yield from (ListWant(kind, place if kind.namespaced else None) for kind in OTHERS)


def _across(facts: Facts) -> Iterator[Want]:
    """What workloads in scope call in other namespaces, where policies may keep them out."""
    if facts.scope.namespace is None:
        return
    places: set[str] = set()
    for client in hosts.clients(facts):
        for host in hosts.hosts(facts, client):
            place = hosts.foreign(client.ref.namespace, host.name)
            if place and place not in _TOP and facts.get(Ref("Service", client.ref.namespace, place)) is None:
                places.add(place)
    for place in sorted(places)[:MOST_PLACES]:
        yield GetWant(kinds.NAMESPACE, Ref("Namespace", "", place))
        yield ListWant(kinds.NETWORK_POLICY, place)
        if facts.all(kinds.NETWORK_POLICY) or facts.all(kinds.NETWORK_POLICY, place):
            yield ListWant(kinds.SERVICE, place)
            yield ListWant(kinds.POD, place)
            yield GetWant(kinds.NAMESPACE, Ref("Namespace", "", facts.scope.namespace))


def _logs(facts: Facts) -> Iterator[Want]:
    """The logs of those who are kept from what they need."""
    callers = sorted({need.who for blocked in facts.derived(_blocked) for need in [blocked.need]})
    for ref in [ref for ref in callers if ref.kind != "Ingress"][:MOST_LOGS]:
        for pod in lib.pods_of(facts, ref)[:1]:
            for container in podstate.containers(pod):
                if container.role == "app" and (container.running or container.restarts):
                    well = container.running and container.ready
                    yield LogWant(ref.namespace, fields.name_of(pod), container.name, not container.running, aside=well)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A need that policies do not let through.

    Attributes:
        flow: one of its connections.
        policy: the one to mend: it nearly fits, or isolates.
        why: what about it does not fit, in words.
    """

    need: Need
    flow: Flow
    direction: Direction
    policy: Policy
    why: str


@rule(
    causes=(CAUSE,),
    observes=(
        kinds.NETWORK_POLICY,
        kinds.SERVICE,
        kinds.POD,
        kinds.DEPLOYMENT,
        kinds.REPLICA_SET,
        kinds.STATEFUL_SET,
        kinds.DAEMON_SET,
        kinds.JOB,
        kinds.CRON_JOB,
        kinds.INGRESS,
    ),
    digs=(
        Read(kinds.CONFIG_MAP, ("get",)),
        Read(kinds.NAMESPACE, ("get", "list")),
        Read(kinds.SERVICE, ("list",)),
        Read(kinds.POD, ("list",)),
        Read(kinds.NETWORK_POLICY, ("list",)),
        Read(kinds.POD, ("get",), "log"),
        *(Read(kind, ("list",)) for kind in OTHERS),
    ),
    wants=wants,
    explains=(
        *BACKENDS,
        *explains(
            "application-exits-on-error",
            "readiness-probe-misconfigured",
            "liveness-probe-misconfigured",
            "init-container-failing",
            "init-container-waiting",
            along=("owns",),
        ),
    ),
    confirms=(kinds.NETWORK_POLICY, kinds.SERVICE),
)
def policy_blocks(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/network-policies/"""
    blocked = facts.derived(_blocked)
    groups: dict[Ref, list[Blocked]] = defaultdict(list)
    for one in blocked:
        groups[one.policy.ref].append(one)
    for ref in sorted(groups):
        yield _finding(facts, ref, groups[ref])
    if not blocked and facts.all(kinds.NETWORK_POLICY) and neededflows.needs(facts):
        yield RuledOut(CAUSE, "the policies here let through all that settings and Ingresses are seen to need")


def _policies(facts: Facts) -> dict[str, list[Policy]]:
    found: dict[str, list[Policy]] = defaultdict(list)
    for policy in facts.everywhere(kinds.NETWORK_POLICY):
        found[fields.namespace_of(policy)].append(netpol.read(policy))
    return found


def _judged(facts: Facts) -> list[tuple[Need, list[Verdict]]]:
    """What is needed of those namespaces whose policies were read, and what the policies say of it."""
    policies = facts.derived(_policies)
    judged: list[tuple[Need, list[Verdict]]] = []
    for need in neededflows.needs(facts) if policies else ():
        ends = {end.namespace for flow in need.flows[:1] for end in (flow.source, flow.target)}
        near = [policy for place in sorted(ends) for policy in policies.get(place, [])]
        if near:
            judged.append((need, [netpol.verdict(near, flow) for flow in need.flows]))
    return judged


def _blocked(facts: Facts) -> tuple[Blocked, ...]:
    found: list[Blocked] = []
    for need, verdicts in facts.derived(_judged):
        if any(verdict.allowed is not False for verdict in verdicts):
            continue
        direction = verdicts[0].direction or "ingress"
        policy, why = _to_mend(verdicts[0].isolating, need.flows[0], direction)
        found.append(Blocked(need, need.flows[0], direction, policy, why))
    return tuple(found)


def _to_mend(isolating: tuple[Policy, ...], flow: Flow, direction: Direction) -> tuple[Policy, str]:
    """The policy that was probably meant to let it through, else the one that shuts the pods off."""
    other = flow.target if direction == "egress" else flow.source
    right_peer: list[tuple[Policy, str]] = []
    right_port: list[tuple[Policy, str, bool]] = []
    for policy in isolating:
        for allowed, peer, port in netpol.fits(policy, flow, direction):
            if peer and port is False and allowed.ports and allowed.peers:
                ports = lib.some(f"{one.name or one.number or 'any'}/{one.protocol}" for one in allowed.ports)
                right_peer.append((policy, f"it lets that through on {ports} only"))
            elif port and peer is False and (allowed.ports or not policy.everywhere):
                alike = any(_alike(one.pods, other.labels) for one in allowed.peers)
                right_port.append((policy, "its rule for this port means other pods or namespaces", alike))
    if right_peer:
        return right_peer[0]
    close = [(policy, why) for policy, why, alike in right_port if alike]
    if close:
        return close[0]
    own = {policy.ref for policy, _, _ in right_port if not policy.everywhere}
    if len(own) == 1:
        return next((policy, why) for policy, why, _ in right_port if policy.ref in own)
    shut = next((policy for policy in isolating if policy.everywhere), isolating[0])
    return shut, "no rule of any policy lets it through"


def _alike(selector: Obj | None, labels: dict[str, str]) -> bool:
    """Whether a selector misses labels by a slip of the pen, or by one pair of several."""
    wanted = fields.string_map(selector or {}, "matchLabels")
    missed = {key: value for key, value in wanted.items() if labels.get(key) != value}
    if not missed:
        return False
    slips = [k for k, v in missed.items() if SequenceMatcher(None, v, labels.get(k, "")).ratio() >= ALIKE]
    return len(slips) == len(missed) or len(missed) < len(wanted)


def _finding(facts: Facts, ref: Ref, group: list[Blocked]) -> Finding:
    first = next((one for one in group if one.need.said is not None), group[0])
    callers = sorted({one.need.who for one in group})
    others = len({(one.need.who, one.need.to) for one in group}) - 1
    more = f" {lib.count(others, 'more needed connection')} fares the same." if others == 1 else ""
    more = more or (f" {others} more needed connections fare the same." if others else "")
    policy = facts.get(ref) or {}
    plugin = sum(len(facts.all(kind, ref.namespace)) for kind in OTHERS)
    more += f" {plugin} policies of the network plugin may still let it through." if plugin else ""
    sure = first.need.said is not None
    return Finding(
        cause=CAUSE,
        object=ref,
        severity=_severity(facts, group) if sure or not plugin else "info",
        confidence="certain" if sure and not plugin else "possible" if plugin else "likely",
        summary=(
            f"NetworkPolicy {ref.name} keeps {first.need.who} from {first.need.label} on port {first.flow.port}/"
            f"{first.flow.protocol}, which it needs: {first.why} ({first.direction}).{more}"
        ),
        evidence=tuple(_evidence(ref, policy, first)),
        affects=(*_claimed(facts, group), *sorted({one.need.to for one in group if one.need.to != DNS})),
        next=(
            lib.ask("get", "the policy as it is", kind="networkpolicy", name=ref.name, namespace=ref.namespace),
            *(
                lib.ask("logs", "whether its connections time out", scope=str(who), namespace=who.namespace)
                for who in callers[:1]
                if who.kind != "Ingress" and first.need.said is None
            ),
        ),
    )


def _evidence(ref: Ref, policy: Obj, first: Blocked) -> Iterator[Evidence]:
    yield quote(ref, policy, "spec", "podSelector")
    section = "egress" if first.direction == "egress" else "ingress"
    yield quote(ref, policy, "spec", section)
    yield first.need.shown
    if first.need.said is not None:
        yield first.need.said
    here = first.flow.source if first.direction == "egress" else first.flow.target
    other = first.flow.target if first.direction == "egress" else first.flow.source
    what = first.need.who if first.direction == "egress" else first.need.to
    yield fact(first.need.to if first.direction == "egress" else first.need.who, "labels of its pods", other.labels)
    if other.namespace != here.namespace:
        yield fact(Ref("Namespace", "", other.namespace), "metadata.labels", other.namespace_labels)
    else:
        yield fact(what, "labels of its pods", here.labels)


def _claimed(facts: Facts, group: list[Blocked]) -> list[Ref]:
    """The callers, without those that are in trouble and do not say that it is for this."""
    ailing = {one.workload for one in trouble.troubled(facts)}
    return sorted({one.need.who for one in group if one.need.said is not None or one.need.who not in ailing})


def _severity(facts: Facts, group: list[Blocked]) -> Severity:
    """Critical where somebody says that he cannot reach it, is in trouble, or stands before users."""
    ailing = {one.workload for one in trouble.troubled(facts)}
    hurt = any(one.need.said or one.need.who in ailing or one.need.who.kind == "Ingress" for one in group)
    return "critical" if hurt else "warning"
