"""What kubelets say of their nodes, for questions about one namespace: such events lie in `default`. Pure."""

from collections.abc import Iterable

from firstmate_tools import kinds
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.rule import ListWant
from firstmate_tools.refs import Ref

NODE_EVENTS = "default"
"""The namespace of events about cluster-scoped objects (k8s.io/client-go tools/record, v0.36)."""


def wanted(facts: Facts, nodes: Iterable[str]) -> Iterable[ListWant]:
    """The events of nodes, where a question has a reason to ask for them and has not read them anyway."""
    place = facts.scope.namespace
    if place not in {None, NODE_EVENTS} and any(nodes):
        yield ListWant(kinds.EVENT, NODE_EVENTS)


def of_node(facts: Facts, node: str, *reasons: str) -> list[EventRow]:
    """What was said of a node, newest first."""
    return facts.events(Ref("Node", "", node), *reasons)
