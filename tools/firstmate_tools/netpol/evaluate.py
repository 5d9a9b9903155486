"""Whether policies let a connection through, with the semantics of NetworkPolicy v1. Pure.

https://kubernetes.io/docs/concepts/services-networking/network-policies/: a pod that no policy selects in a direction
is open in that direction; one that some policies select takes what at least one of them allows; a connection needs the
egress of its source and the ingress of its target. The port is that of the pod, not that of a Service before it. A pod
can always reach itself, and its node can always reach it.

Three answers: yes, no, and None where what decides is not known (an address behind an ipBlock, labels not read).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.netpol.endpoints import NAME_LABEL, Endpoint
from firstmate_tools.netpol.policy import Direction, Peer, Policy, Port, Rule
from firstmate_tools.selectors import expression_holds

Answer = bool | None


@dataclass(frozen=True, slots=True)
class Flow:
    """One connection: from where, to where, on which port of the target pod."""

    source: Endpoint
    target: Endpoint
    port: int
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policies say of one connection.

    Attributes:
        allowed: None where it cannot be told.
        direction: which side forbids it, None where none does for certain; egress is looked at first.
        isolating: the policies that select the end in question on that side.
    """

    allowed: Answer
    direction: Direction | None = None
    isolating: tuple[Policy, ...] = ()


def selecting(policies: Iterable[Policy], end: Endpoint, direction: Direction) -> list[Policy]:
    """The policies that certainly isolate an endpoint in a direction, in their order."""
    return [p for p in policies if _isolates(p, end, direction)]


def verdict(policies: Sequence[Policy], flow: Flow) -> Verdict:
    """Whether a connection is let through.

    Args:
        policies: of the namespaces of both ends; those of others do no harm.
        flow: what is to be judged.
    """
    if flow.source == flow.target and flow.source.is_pod and flow.source.address:
        return Verdict(True)
    sure = True
    for direction in ("egress", "ingress"):
        here = flow.source if direction == "egress" else flow.target
        isolating = selecting(policies, here, direction)
        if not isolating:
            continue
        answers = [_lets(policy, flow, direction) for policy in isolating]
        if True in answers:
            continue
        if None in answers:
            sure = False
            continue
        return Verdict(False, direction, tuple(isolating))
    return Verdict(True if sure else None)


def _isolates(policy: Policy, end: Endpoint, direction: Direction) -> bool:
    if direction not in policy.directions or not end.is_pod or end.host_network:
        return False
    return policy.ref.namespace == end.namespace and _selects(policy.selector, end.labels, end.partial) is True


def _lets(policy: Policy, flow: Flow, direction: Direction) -> Answer:
    return _any(_both(*_sides(rule, policy, flow, direction)) for rule in policy.rules(direction))


def fits(policy: Policy, flow: Flow, direction: Direction) -> list[tuple[Rule, Answer, Answer]]:
    """Each rule of a policy, with whether it means the other end, and whether it means the port."""
    return [(rule, *_sides(rule, policy, flow, direction)) for rule in policy.rules(direction)]


def _sides(rule: Rule, policy: Policy, flow: Flow, direction: Direction) -> tuple[Answer, Answer]:
    other = flow.target if direction == "egress" else flow.source
    peer = _any(peer_is(peer, policy.ref.namespace, other) for peer in rule.peers) if rule.peers else True
    port = _any(_port_is(port, flow) for port in rule.ports) if rule.ports else True
    return peer, port


def peer_is(peer: Peer, home: str, end: Endpoint) -> Answer:
    """Whether an entry of `from` or `to` means an endpoint.

    Args:
        home: the namespace of the policy, which a podSelector alone means.
    """
    if peer.cidr:
        return _within(peer, end)
    if peer.pods is None and peer.namespaces is None:
        return False
    if not end.is_pod:
        return False
    if end.host_network:
        return None
    place: Answer = end.namespace == home if peer.namespaces is None else _namespace_is(peer.namespaces, end)
    return _both(place, True if peer.pods is None else _selects(peer.pods, end.labels, end.partial))


def _namespace_is(selector: Obj, end: Endpoint) -> Answer:
    known = end.namespace_labels
    labels = {**(known or {}), NAME_LABEL: end.namespace}
    return _selects(selector, labels, known is None)


def _within(peer: Peer, end: Endpoint) -> Answer:
    try:
        block = ipaddress.ip_network(peer.cidr, strict=False)
        holes = [ipaddress.ip_network(hole, strict=False) for hole in peer.excepted]
    except ValueError:
        return False
    if not end.address:
        return True if block.prefixlen == 0 and not holes else None
    try:
        address = ipaddress.ip_address(end.address)
    except ValueError:
        return None
    return address in block and not any(address in hole for hole in holes)


def _port_is(port: Port, flow: Flow) -> Answer:
    if port.protocol != flow.protocol:
        return False
    if port.name:
        if flow.target.partial and (port.name, port.protocol) not in flow.target.ports:
            return None
        return flow.target.ports.get((port.name, port.protocol)) == flow.port
    if port.end and port.number:
        return port.number <= flow.port <= port.end
    return not port.number or port.number == flow.port


def _selects(selector: Obj, labels: dict[str, str], partial: bool) -> Answer:
    """Whether a label selector holds; {} selects everything."""
    return _every(
        [
            *(_pair(key, value, labels, partial) for key, value in fields.mapping(selector, "matchLabels").items()),
            *(_expression(entry, labels, partial) for entry in fields.items(selector, "matchExpressions")),
        ]
    )


def _pair(key: str, value: object, labels: dict[str, str], partial: bool) -> Answer:
    return None if partial and key not in labels else labels.get(key) == value


def _expression(entry: Obj, labels: dict[str, str], partial: bool) -> Answer:
    if partial and fields.text(entry, "key") not in labels:
        return None
    return expression_holds(entry, labels)


def _any(answers: Iterable[Answer]) -> Answer:
    found = set(answers)
    return True if True in found else None if None in found else False


def _every(answers: Iterable[Answer]) -> Answer:
    found = set(answers)
    return False if False in found else None if None in found else True


def _both(one: Answer, other: Answer) -> Answer:
    return _every((one, other))
