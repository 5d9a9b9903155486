"""What an EC2 instance may send, receive and track: packets beyond it are dropped outside the instance, unseen by it.

The counters are those of the ENA driver; an exporter on the node carries them to Prometheus. No flow log and no kernel
table shows these drops.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.metrics import asked, node_of, told
from firstmate_tools.diagnosis.questions import ALLOWANCES, METRICS_KNOWN, NETWORK_ALLOWANCES, WINDOW_S
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.refs import Ref, ref_of

BANDWIDTH, CONNECTIONS, DNS = (
    "node-bandwidth-allowance-exceeded",
    "conntrack-allowance-exceeded",
    "dns-packet-limit-exceeded",
)
SUSTAINED = 1.0
"""Dropped packets a second, on average, from which on it is more than a moment's burst that TCP makes good. The value
is our choice: AWS calls every drop worth a look, which such a one still gets, as `info`."""
_TYPE = "node.kubernetes.io/instance-type"


@dataclass(frozen=True, slots=True)
class Limit:
    """One of the causes: the counters that tell it, and what happens to the packets."""

    cause: str
    counters: tuple[str, ...]
    words: str


LIMITS = (
    Limit(BANDWIDTH, ("bw_in", "bw_out", "pps"), "{count} packets were held back or dropped ({which}) because {node} "),
    Limit(CONNECTIONS, ("conntrack",), "{count} packets of new connections were dropped because {node} "),
    Limit(
        DNS, ("linklocal",), "{count} packets to DNS, instance metadata or time service were dropped because {node} "
    ),
)
_BEYOND = {
    BANDWIDTH: "went beyond the bandwidth or packet rate of its instance type{type}",
    CONNECTIONS: "tracks as many connections as its instance type{type} may",
    DNS: "sends more than the 1024 packets a second that a network interface may to these",
}


@rule(
    causes=(BANDWIDTH, CONNECTIONS, DNS),
    observes=(kinds.NODE, kinds.POD),
    digs=(METRICS_KNOWN, NETWORK_ALLOWANCES),
    wants=asked(NETWORK_ALLOWANCES),
)
def allowances(facts: Facts) -> Verdicts:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-network-performance-ena.html

    The 1024 packets: https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html#vpc-dns-limits.
    """
    drops: dict[tuple[Ref, str], list[Series]] = defaultdict(list)
    for series in facts.series(NETWORK_ALLOWANCES):
        node = node_of(facts, series)
        if node is not None and series.label("of") in ALLOWANCES and series.value >= 1:
            drops[node, series.label("of")].append(series)
    for node in sorted({node for node, _ in drops}):
        tenants = _tenants(facts, node)
        if facts.scope.namespace is not None and not tenants:
            continue  # what is asked about does not run there
        for limit in LIMITS:
            found = [series for counter in limit.counters for series in drops.get((node, counter), [])]
            if found:
                yield _finding(facts, node, limit, found, tenants)


def _tenants(facts: Facts, node: Ref) -> list[Ref]:
    """The pods in the scope's namespace that run on a node; none are named where the question is about all."""
    if facts.scope.namespace is None:
        return []
    return [
        ref_of(pod, kinds.POD)
        for pod in facts.all(kinds.POD)
        if fields.text(pod, "spec", "nodeName") == node.name and not podstate.finished(pod)
    ]


def _finding(facts: Facts, node: Ref, limit: Limit, found: list[Series], tenants: Iterable[Ref]) -> Finding:
    by_counter = {
        name: sum(one.value for one in found if one.label("of") == name)
        for name in limit.counters
        if any(one.label("of") == name for one in found)
    }
    total = sum(by_counter.values())
    kind = fields.labels_of(facts.get(node)).get(_TYPE, "")
    which = ", ".join(f"{name} {value:.0f}" for name, value in by_counter.items())
    words = limit.words.format(count=f"{total:.0f}", which=which, node=node)
    beyond = _BEYOND[limit.cause].format(type=f" ({kind})" if kind else "")
    newest = max(found, key=lambda one: one.at)
    return Finding(
        cause=limit.cause,
        object=node,
        severity="warning" if total / WINDOW_S >= SUSTAINED else "info",
        confidence="likely",
        summary=f"In the last {WINDOW_S // 60} minutes {words}{beyond}.",
        evidence=(
            *(
                told(newest, node, f"{name}_allowance_exceeded", f"+{value:.0f} packets in {WINDOW_S // 60} minutes")
                for name, value in by_counter.items()
            ),
            *([fact(node, f"metadata.labels[{_TYPE}]", kind)] if kind else []),
        ),
        affects=tuple(tenants),
        next=(lib.ask("node_status", "what runs there", name=node.name),),
    )
