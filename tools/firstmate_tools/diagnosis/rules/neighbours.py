"""Workloads that take a node's time or memory from those of another namespace, by what metrics.k8s.io says they use.

Asked where probes time out: starved pods answer late. Who is late is the victim; the actor is who uses most beyond what
it asked for, on a node that has nothing left. Without a metrics API nothing is said.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.podresources import Amounts, pod_requests
from firstmate_tools.quantity import milli, show
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, controller_of, ref_of

CAUSE = "namespace-noisy-neighbour"
POD_METRICS = Kind("PodMetrics", "pods", "metrics.k8s.io", "v1beta1")
NODE_METRICS = Kind("NodeMetrics", "nodes", "metrics.k8s.io", "v1beta1", namespaced=False)
BUSY = 90
"""Percent of what a node can give from which on it has nothing left for who asks late."""
TAKES = 30
"""Percent of a node that somebody has to use beyond what it asked for."""
_SLOW = ("timed out", "deadline exceeded", "Client.Timeout", "timeout: failed to connect")


@dataclass(frozen=True, slots=True)
class Taking:
    """What the pods of one owner on one node use of a resource, against what they asked for (in thousandths).

    Attributes:
        owner: the nearest controller that is known, the pod itself where it has none.
    """

    owner: Ref
    pods: tuple[Ref, ...]
    uses: int
    asks: int

    @property
    def over(self) -> int:
        return self.uses - self.asks


def late(facts: Facts) -> dict[str, list[tuple[Ref, EventRow]]]:
    """The pods in scope whose probes timed out lately, by node."""
    found: dict[str, dict[Ref, EventRow]] = defaultdict(dict)
    for row in facts.every_event():
        if row.reason != "Unhealthy" or not any(word in row.message for word in _SLOW) or not lately(facts, row):
            continue
        pod = facts.get(row.about)
        if pod is None or facts.scope.namespace not in {None, row.about.namespace} or podstate.finished(pod):
            continue
        node = fields.text(pod, "spec", "nodeName")
        if node and row.about_uid in {"", fields.uid_of(pod)}:
            found[node].setdefault(row.about, row)
    return {node: sorted(rows.items(), key=lambda pair: pair[0]) for node, rows in sorted(found.items())}


def _metrics(facts: Facts) -> Iterable[Want]:
    if not facts.derived(late):
        return
    yield ListWant(kinds.POD)
    yield ListWant(POD_METRICS)
    yield ListWant(NODE_METRICS)
    for name in facts.derived(late):
        for _, taking in _takers(facts, name):
            if taking.owner.kind == kinds.REPLICA_SET.kind:
                yield GetWant(kinds.REPLICA_SET, taking.owner)


@rule(
    causes=(CAUSE,),
    observes=(*OBSERVED, kinds.NODE),
    digs=(
        Read(kinds.POD, ("list",)),
        Read(POD_METRICS, ("list",)),
        Read(NODE_METRICS, ("list",)),
        Read(kinds.REPLICA_SET, ("get",)),
    ),
    wants=_metrics,
    explains=(*BACKENDS, *explains("exec-probe-timeout", "liveness-probe-too-aggressive", along=("owns",))),
)
def noisy_neighbours(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/security/multi-tenancy/#node-isolation"""
    for name, victims in facts.derived(late).items():
        for resource, taking in _takers(facts, name):
            yield _finding(facts, name, resource, taking, victims)


def _takers(facts: Facts, name: str) -> list[tuple[str, Taking]]:
    """Who takes a busy node from those that are late there, by resource: one at most for each."""
    node, metrics = facts.get(Ref("Node", "", name)), facts.get(Ref(NODE_METRICS.kind, "", name))
    if node is None or metrics is None:
        return []
    homes = {ref.namespace for ref, _ in facts.derived(late)[name]}
    found: list[tuple[str, Taking]] = []
    for resource in ("cpu", "memory"):
        total = milli(fields.at(node, "status", "allocatable", resource)) or 0
        used = milli(fields.at(metrics, "usage", resource)) or 0
        if total <= 0 or used * 100 < total * BUSY:
            continue
        most = max(_takings(facts, name, resource), key=lambda t: (t.over, t.owner), default=None)
        if most is not None and most.over * 100 >= total * TAKES and most.owner.namespace not in homes:
            found.append((resource, most))
    return found


def _takings(facts: Facts, name: str, resource: str) -> list[Taking]:
    owned: dict[Ref, list[tuple[Ref, int, int]]] = defaultdict(list)
    for pod in facts.everywhere(kinds.POD):
        if fields.text(pod, "spec", "nodeName") != name or podstate.finished(pod):
            continue
        ref = ref_of(pod, kinds.POD)
        metrics = facts.get(Ref(POD_METRICS.kind, ref.namespace, ref.name))
        asks: Amounts = pod_requests(pod)
        owned[controller_of(pod) or ref].append((ref, _usage(metrics, resource), asks.get(resource, 0)))
    return [
        Taking(owner, tuple(ref for ref, _, _ in pods), sum(p[1] for p in pods), sum(p[2] for p in pods))
        for owner, pods in sorted(owned.items())
    ]


def _usage(metrics: Obj | None, resource: str) -> int:
    return sum(milli(fields.at(c, "usage", resource)) or 0 for c in fields.items(metrics, "containers"))


def _finding(facts: Facts, name: str, resource: str, taking: Taking, victims: list[tuple[Ref, EventRow]]) -> Finding:
    owner = facts.workload(taking.owner)
    node, metrics = Ref("Node", "", name), facts.get(Ref(NODE_METRICS.kind, "", name))
    total = milli(fields.at(facts.get(node), "status", "allocatable", resource)) or 0
    used = milli(fields.at(metrics, "usage", resource)) or 0
    hurt = sorted({facts.workload(ref) for ref, _ in victims})
    asked = f"asked for {show(resource, taking.asks)}" if taking.asks else "asked for nothing"
    return Finding(
        cause=CAUSE,
        object=owner,
        severity=lib.worst(["warning", *(lib.severity(facts, w) for w in hurt if w.kind != "DaemonSet")]),
        confidence="likely",
        summary=(
            f"{owner} of namespace {owner.namespace} uses {show(resource, taking.uses)} {resource} of node {name} and "
            f"{asked}; the node uses {show(resource, used)} of {show(resource, total)}, and "
            f"{lib.some(map(str, hurt))} there {'answers' if len(hurt) == 1 else 'answer'} probes too late."
        ),
        evidence=(
            fact(Ref(NODE_METRICS.kind, "", name), f"usage.{resource}", fields.at(metrics, "usage", resource)),
            fact(taking.pods[0], f"requests of {resource}, in all its pods there", show(resource, taking.asks)),
            said(victims[0][1]),
        ),
        affects=tuple(dict.fromkeys([*hurt, *(ref for ref, _ in victims), node])),
        since=lib.earliest(row.first for _, row in victims),
        culprit=f"{owner.namespace}/{owner}",
        next=(lib.ask("node_status", "what runs there and what it asks for", name=name),),
    )
