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


AGENT = "eks-node-monitoring-agent"


def of_node(facts: Facts, node: str, *reasons: str) -> list[EventRow]:
    """What was said of a node, newest first; words of EKS' node monitoring agent count by the issue that they name.

    The agent's events bear the condition that an issue belongs to as their reason, and the issue's name as the first
    word of their message (`KernelReady`, `ConntrackExceededKernel: …`).

    Source: aws/eks-node-monitoring-agent pkg/manager/node_exporter.go (2026-08).
    """
    return [row for row in facts.events(Ref("Node", "", node)) if row.reason in reasons or issue(row) in reasons]


def issue(row: EventRow) -> str:
    """The issue that the agent's event is about, "" for anybody else's."""
    return row.message.partition(":")[0].strip() if row.source.startswith(AGENT) else ""
