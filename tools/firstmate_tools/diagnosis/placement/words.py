"""Phrases and evidence that the findings about pods without a node share. Pure."""

from collections.abc import Iterable
from datetime import datetime

from firstmate_tools.diagnosis.findings import Evidence, fact, quote
from firstmate_tools.diagnosis.lib import count, some
from firstmate_tools.diagnosis.unplaced import Unplaced
from firstmate_tools.podresources import Amounts
from firstmate_tools.quantity import show
from firstmate_tools.refs import Ref
from firstmate_tools.scheduling.views import View

MOST_NODES_SHOWN = 3
Told = tuple[str, list[Evidence]]
"""A summary, and what proves it."""


def node_fact(view: View, field: str, value: object, at: datetime | None = None) -> Evidence:
    return fact(Ref("Node", "", view.name), field, value, at)


def node_quote(view: View, field: str, at: datetime | None = None) -> Evidence:
    return quote(Ref("Node", "", view.name), view.host.node, "spec", field, at=at)


def who(case: Unplaced, pods: list[Ref]) -> str:
    return str(case.workload) if case.workload.kind == "Pod" else f"{count(len(pods), 'pod')} of {case.workload}"


def verb(case: Unplaced, pods: list[Ref], singular: str, plural: str) -> str:
    return singular if case.workload.kind == "Pod" or len(pods) == 1 else plural


def any_of(shown: Iterable[View]) -> str:
    """`any of the 3 nodes`, `the only node (n1)`."""
    names = [view.name for view in shown]
    return f"any of the {len(names)} nodes" if len(names) > 1 else f"the only node ({some(names)})"


def told_asks(asks: Amounts) -> str:
    return ", ".join(f"{resource} {show(resource, amount)}" for resource, amount in sorted(asks.items()) if amount > 0)
