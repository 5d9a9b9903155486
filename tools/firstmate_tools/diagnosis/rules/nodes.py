"""Nodes whose kubelet no longer reports, or whose container runtime does not answer.

What a node's conditions mean stands in `nodefaults`.
"""

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib, nodewords, sicknodes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.nodefaults import KUBELET, RUNTIME, faulty
from firstmate_tools.diagnosis.placement import wants as placing
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.sicknodes import HOSTED, Ill
from firstmate_tools.refs import Ref, ref_of


def _worded(found: list[tuple[Ill, str]]) -> str:
    words = sorted({words for _, words in found})
    if len(found) == 1:
        return words[0]
    return "; ".join(f"each {one}" for one in words)


@rule(causes=(KUBELET,), observes=(*OBSERVED, kinds.NODE), digs=placing.READS, explains=HOSTED, confirms=(kinds.NODE,))
def kubelets(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/node/node-status/#condition

    A node that the node controller has not heard of for 40 to 50 seconds. Its pods read Running until they are evicted,
    five minutes later; those of DaemonSets for ever.
    """
    found = faulty(facts, KUBELET)
    if found:
        late = [ill for ill, _ in found if fields.condition(ill.node, "Ready").get("status") != "True"]
        more = ": its pods are shown as they were when it was last heard of" if len(late) == len(found) == 1 else ""
        yield sicknodes.finding(facts, KUBELET, [ill for ill, _ in found], _worded(found) + more)
    elif not facts.knows(kinds.NODE):
        yield from _unseen(facts)


def _unseen(facts: Facts) -> Verdicts:
    """Where nodes may not be read: pods that are not ready although each of their containers is, and are told so.

    Nobody but the node controller makes pods look like that.
    """
    names: dict[str, list[tuple[Ref, Evidence]]] = {}
    for pod in facts.all(kinds.POD):
        ref, every = ref_of(pod, kinds.POD), fields.items(pod, "status", "containerStatuses")
        well = bool(every) and all(c.get("ready") is True for c in every)
        rows = [row for row in facts.events(ref, "NodeNotReady") if lately(facts, row)]
        if well and rows and fields.condition(pod, "Ready").get("status") == "False":
            names.setdefault(fields.text(pod, "spec", "nodeName"), []).append((ref, said(rows[0])))
    for name in sorted(names):
        pods = [ref for ref, _ in names[name]]
        hurt = sorted({facts.workload(ref) for ref in pods})
        yield Finding(
            cause=KUBELET,
            object=Ref("Node", "", name),
            severity=lib.worst(["warning", *(lib.severity(facts, w) for w in hurt if w.kind != "DaemonSet")]),
            confidence="likely",
            summary=f"Node {name} is not ready, by what is said of {lib.count(len(pods), 'pod')} there; nodes could "
            "not be read.",
            evidence=tuple(words for _, words in names[name][:2]),
            affects=(*hurt, *pods),
        )


@rule(causes=(RUNTIME,), observes=(*OBSERVED, kinds.NODE), digs=placing.READS, explains=HOSTED, confirms=(kinds.NODE,))
def runtimes(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/setup/production-environment/container-runtimes/"""
    found = faulty(facts, RUNTIME)
    if found:
        ills = [Ill(ill.node, (ill.words[0], *_heard(facts, ill.name), *ill.words[1:]), ill.since) for ill, _ in found]
        yield sicknodes.finding(facts, RUNTIME, ills, _worded(found))


def _heard(facts: Facts, node: str) -> tuple[Evidence, ...]:
    """What a kubelet says of its runtime lately, beside the condition that tells of now."""
    rows = nodewords.of_node(
        facts, node, "ContainerGCFailed", "ImageGCFailed", "ContainerdStart", "ServiceFailedToStart"
    )
    return tuple(said(row) for row in rows[:1] if lately(facts, row))
