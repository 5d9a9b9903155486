"""A NetworkPolicy, read into what its fields mean. Pure.

Defaults are those of SetDefaults_NetworkPolicy and SetDefaults_NetworkPolicyPort (k8s.io/kubernetes
pkg/apis/networking/v1/defaults.go, v1.36): ingress is always meant where `policyTypes` is left out, egress where there
are egress rules; a port without a protocol is TCP.
"""

from dataclasses import dataclass
from typing import Literal

from firstmate_tools import fields, kinds
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

Direction = Literal["ingress", "egress"]


@dataclass(frozen=True, slots=True)
class Peer:
    """One entry of `from` or `to`. A selector that is left out is None; one that selects everything is {}."""

    pods: Obj | None
    namespaces: Obj | None
    cidr: str
    excepted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """One entry of `ports`. `number` 0 with no name: every port of the protocol."""

    protocol: str
    number: int
    name: str
    end: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule lets through: no peers means everybody, no ports means every port."""

    peers: tuple[Peer, ...]
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """One NetworkPolicy.

    Attributes:
        selector: the pods of its namespace that it isolates.
        directions: in which it isolates them.
    """

    ref: Ref
    selector: Obj
    directions: frozenset[Direction]
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        return self.ingress if direction == "ingress" else self.egress

    @property
    def everywhere(self) -> bool:
        """Whether it selects every pod of its namespace."""
        return not self.selector.get("matchLabels") and not self.selector.get("matchExpressions")


def read(policy: Obj) -> Policy:
    """The policy of an object; what is absurd in it lets nothing through."""
    spec = fields.mapping(policy, "spec")
    ingress = tuple(_rule(rule, "from") for rule in fields.items(spec, "ingress"))
    egress = tuple(_rule(rule, "to") for rule in fields.items(spec, "egress"))
    return Policy(
        ref_of(policy, kinds.NETWORK_POLICY), fields.mapping(spec, "podSelector"), _directions(spec), ingress, egress
    )


def _directions(spec: Obj) -> frozenset[Direction]:
    types = set(fields.strings(spec, "policyTypes"))
    if not types:
        types = {"Ingress", "Egress"} if fields.items(spec, "egress") else {"Ingress"}
    found: set[Direction] = set()
    if "Ingress" in types:
        found.add("ingress")
    if "Egress" in types:
        found.add("egress")
    return frozenset(found)


def _rule(rule: Obj, side: str) -> Rule:
    return Rule(
        tuple(_peer(peer) for peer in fields.items(rule, side)),
        tuple(_port(port) for port in fields.items(rule, "ports")),
    )


def _peer(peer: Obj) -> Peer:
    return Peer(
        _selector(peer, "podSelector"),
        _selector(peer, "namespaceSelector"),
        fields.text(peer, "ipBlock", "cidr"),
        tuple(fields.strings(peer, "ipBlock", "except")),
    )


def _selector(peer: Obj, key: str) -> Obj | None:
    return fields.mapping(peer, key) if peer.get(key) is not None else None


def _port(port: Obj) -> Port:
    value = port.get("port")
    name = value if isinstance(value, str) and not (value.isascii() and value.isdigit()) else ""
    number = int(value) if isinstance(value, str) and value and not name else fields.number(port, "port")
    return Port(fields.text(port, "protocol") or "TCP", number, name, fields.number(port, "endPort"))
