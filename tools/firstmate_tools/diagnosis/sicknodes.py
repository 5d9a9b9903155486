"""Nodes that are ill: which of them concern a question, who suffers there, and how it is put. Pure.

Called by the rules about nodes and their networks. One fault of several nodes is one finding that names them all. A
node that has only just joined is not ill: it is judged once somebody suffers from it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep
from firstmate_tools.diagnosis.rule import BACKENDS, explains
from firstmate_tools.diagnosis.unplaced import ill_hosts, unplaced
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.results import Confidence, Severity

JOINS = timedelta(minutes=2)
"""How long a node that was just made may be on its way to Ready."""
ZONE = "topology.kubernetes.io/zone"
MOST_QUOTED = 4
HOSTED = (
    *BACKENDS,
    *explains("pod-termination-not-confirmed", along=("hosts",)),
)
"""What a node that cannot run pods explains, beyond what any pod that is not ready does."""


@dataclass(frozen=True, slots=True)
class Ill:
    """One node with a fault.

    Attributes:
        words: what proves it.
        since: since when, None where nothing tells.
    """

    node: Obj
    words: tuple[Evidence, ...]
    since: datetime | None = None

    @property
    def ref(self) -> Ref:
        return ref_of(self.node, kinds.NODE)

    @property
    def name(self) -> str:
        return fields.name_of(self.node)


def concerned(facts: Facts) -> list[Obj]:
    """The nodes that a question is about, by name; nobody may change the list."""
    return facts.derived(_concerned)


def _concerned(facts: Facts) -> list[Obj]:
    """All nodes, the one asked about, or those that pods of the namespace are on, wait for, or have a volume at."""
    asked, nodes = facts.scope.object, facts.all(kinds.NODE)
    if asked is not None and asked.kind == kinds.NODE.kind:
        return [node for node in nodes if fields.name_of(node) == asked.name]
    if facts.scope.namespace is None:
        return nodes
    hosts = {fields.text(pod, "spec", "nodeName") for pod in facts.all(kinds.POD) if not podstate.finished(pod)}
    hosts |= facts.derived(waiting).keys() | _holders(facts)
    return [node for node in nodes if fields.name_of(node) in hosts]


def _holders(facts: Facts) -> set[str]:
    """The nodes that volumes of claims in scope are attached to, as far as somebody looked."""
    volumes = {fields.text(claim, "spec", "volumeName") for claim in facts.all(kinds.PERSISTENT_VOLUME_CLAIM)} - {""}
    found = [fields.mapping(a, "spec") for a in facts.everywhere(kinds.VOLUME_ATTACHMENT)]
    return {fields.text(a, "nodeName") for a in found if fields.text(a, "source", "persistentVolumeName") in volumes}


def joining(facts: Facts, node: Obj) -> bool:
    """Whether a node that is not ready was only just made, and nobody suffers from it yet."""
    made = fields.time_at(node, "metadata", "creationTimestamp")
    ready = fields.condition(node, "Ready")
    turned = fields.time_at(ready, "lastTransitionTime")
    young = made is not None and facts.now - made < JOINS
    lasting = turned is not None and facts.now - turned >= JOINS
    if not young or lasting or fields.text(ready, "status") in {"True", "Unknown"}:
        return False
    return not _hurts(facts, node, made)


def _hurts(facts: Facts, node: Obj, made: datetime | None) -> bool:
    """Whether pods that it was ready for once are not ready now, or pods wait that were made after it.

    Pods of DaemonSets come before a node is ready; pods that are older than the node may be why it was made.
    """
    name = fields.name_of(node)
    if any(not podstate.ready(pod) for pod in tenants(facts, [name]) if not _of_node(pod)):
        return True
    for ref in facts.derived(waiting).get(name, ()):
        born = fields.time_at(facts.get(ref), "metadata", "creationTimestamp")
        if born is not None and made is not None and born > made:
            return True
    return any(_fails(pod) for pod in facts.everywhere(kinds.POD) if fields.text(pod, "spec", "nodeName") == name)


def _of_node(pod: Obj) -> bool:
    """Whether a pod belongs to its node: of a DaemonSet, or static."""
    owner = controller_of(pod)
    return owner is not None and owner.kind in {"DaemonSet", "Node"}


def _fails(pod: Obj) -> bool:
    calm = {"", "ContainerCreating", "PodInitializing"}
    return any(c.restarts > 1 or c.waiting_reason not in calm for c in podstate.containers(pod))


def tenants(facts: Facts, names: Iterable[str]) -> list[Obj]:
    """The pods in scope on some nodes that have not run to their end, by name."""
    wanted = set(names)
    return [
        pod
        for pod in facts.all(kinds.POD)
        if fields.text(pod, "spec", "nodeName") in wanted and not podstate.finished(pod)
    ]


def waiting(facts: Facts) -> dict[str, list[Ref]]:
    """Pods without a node, by each node that would take them were it well."""
    found: dict[str, list[Ref]] = defaultdict(list)
    for case in facts.derived(unplaced):
        for name in ill_hosts(facts, case):
            found[name] += case.pods
    return dict(found)


def finding(
    facts: Facts,
    cause: str,
    ills: list[Ill],
    words: str,
    *,
    confidence: Confidence = "certain",
    victims: Iterable[Ref] | None = None,
    beside: Iterable[Ref] = (),
    severity: Severity | None = None,
    following: tuple[NextStep, ...] = (),
) -> Finding:
    """One finding about all nodes that have the same fault.

    Args:
        ills: the nodes, the first in the order of names is the object.
        words: what is wrong, without a full stop; it follows the names.
        victims: pods that suffer; those on the nodes and those that wait for them where left out.
        beside: what else suffers.
        severity: where it does not follow from who suffers.
    """
    ills = sorted(ills, key=lambda ill: ill.ref)
    names = [ill.name for ill in ills]
    pods = sorted(set(_victims(facts, names) if victims is None else victims))
    hurt = sorted({facts.workload(ref) for ref in pods})
    quoted = [e for ill in ills[:MOST_QUOTED] for e in ill.words[:2]] + [e for ill in ills[:2] for e in ill.words[2:]]
    return Finding(
        cause=cause,
        object=ills[0].ref,
        severity=severity or lib.worst(["warning", *(_severity(facts, workload) for workload in hurt)]),
        confidence=confidence,
        summary=f"{_named(ills)} {words}.{_told(hurt, len(pods))}",
        evidence=tuple(dict.fromkeys(quoted)),
        affects=tuple(dict.fromkeys([*hurt, *pods, *beside, *(ill.ref for ill in ills[1:])])),
        since=lib.earliest(ill.since for ill in ills),
        culprit=cause,
        next=(lib.ask("node_status", "its conditions, taints and pods", name=names[0]), *following),
    )


def _victims(facts: Facts, names: list[str]) -> list[Ref]:
    here = [ref_of(pod, kinds.POD) for pod in tenants(facts, names)]
    return [*here, *(ref for name in names for ref in facts.derived(waiting).get(name, ()))]


def _severity(facts: Facts, workload: Ref) -> Severity:
    """Whom the loss of a node hurts now: a workload that nothing is left of. What belongs to nodes goes with them."""
    return "warning" if workload.kind in {"DaemonSet", "Node"} else lib.severity(facts, workload)


def _named(ills: list[Ill]) -> str:
    if len(ills) == 1:
        return f"Node {ills[0].name}"
    zones = {fields.labels_of(ill.node).get(ZONE, "") for ill in ills}
    where = f" (all of zone {zones.pop()})" if len(zones) == 1 and "" not in zones and len(ills) > 1 else ""
    return f"{lib.count(len(ills), 'node')}{where}, {lib.some((ill.name for ill in ills), most=8)}:"


def _told(hurt: list[Ref], pods: int) -> str:
    if not pods:
        return ""
    shown = lib.some([str(ref) for ref in hurt if ref.kind not in {"DaemonSet", "Node"}] or [str(r) for r in hurt])
    return f" {lib.count(pods, 'pod')} {'suffers' if pods == 1 else 'suffer'} from it, of {shown}."
