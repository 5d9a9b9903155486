"""Pods that wait and that no scheduler refuses: pinned to a node that is gone, gated, or seen by no scheduler at all.

There is no event to go by; the absence of a verdict, of the node or of a fresh Lease is the evidence.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import gates, schedulers
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.lib import ask, count, named_template, severity
from firstmate_tools.diagnosis.refusals import CREATORS, wanted_pods
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, Want, rule
from firstmate_tools.diagnosis.unattended import LEASES, Waiting, unseen, waiting
from firstmate_tools.diagnosis.unplaced import DEFAULT_SCHEDULER
from firstmate_tools.kinds import DEPLOYMENT, LEASE, NODE, POD
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

OBSERVED = (POD, NODE, kinds.REPLICA_SET, kinds.STATEFUL_SET, kinds.JOB, DEPLOYMENT)


@rule(causes=("pinned-node-missing",), observes=OBSERVED, explains=BACKENDS, confirms=(POD, NODE))
def pinned_to_a_missing_node(facts: Facts) -> Iterator[Finding | RuledOut]:
    if not facts.knows(NODE):
        return
    found: dict[tuple[Ref, str], list[Ref]] = {}
    for group in facts.derived(waiting):
        if group.how == "pinned" and _pins(facts, group):
            found.setdefault((group.workload, group.what), []).extend(group.pods)
    for workload, node in _pinned_templates(facts):
        found.setdefault((workload, node), [])
    for (workload, node), pods in sorted(found.items()):
        yield _pinned(facts, workload, node, pods)


def _pins(facts: Facts, group: Waiting) -> bool:
    """Whether somebody wrote the node's name, and no scheduler did who saw the node go a moment later."""
    template = named_template(facts, group.workload)
    return not template or fields.text(template, "spec", "nodeName") == group.what


def _pinned_templates(facts: Facts) -> Iterator[tuple[Ref, str]]:
    """Workloads whose template names a missing node: their pods are removed again and again, and may be gone now."""
    for kind in CREATORS:
        for obj in facts.all(kind):
            node = fields.text(obj, "spec", "template", "spec", "nodeName")
            if node and wanted_pods(obj, kind) and facts.exists(Ref("Node", "", node)) is False:
                yield facts.workload(ref_of(obj, kind)), node


def _pinned(facts: Facts, workload: Ref, node: str, pods: list[Ref]) -> Finding:
    names = [fields.name_of(one) for one in facts.everywhere(NODE)]
    near = get_close_matches(node, names, n=1)
    hint = f"; one of a similar name is {near[0]}" if near else f"; there are {count(len(names), 'node')}"
    path = "spec.nodeName" if workload.kind == "Pod" else "spec.template.spec.nodeName"
    whose = "its pods are" if workload.kind != "Pod" else "it is"
    evidence: list[Evidence] = [
        fact(workload, path, node),
        fact(Ref("Node", "", node), "metadata.name", "does not exist"),
    ]
    evidence += [fact(pod, "spec.nodeName", node) for pod in pods[:2]]
    return Finding(
        cause="pinned-node-missing",
        object=workload,
        severity=severity(facts, workload),
        confidence="certain",
        summary=f"{workload}: {whose} pinned to node {node} by nodeName, and there is no such node{hint}. No scheduler "
        "looks at such pods, and no kubelet starts them.",
        evidence=tuple(evidence),
        affects=tuple(dict.fromkeys((workload, *pods))),
        since=None,
        next=(ask("node_status", "which nodes there are"),),
    )


def _wants_schedulers(facts: Facts) -> Iterable[Want]:
    groups = facts.derived(unseen)
    if groups:
        yield ListWant(LEASE, LEASES)
    if any(group.what != DEFAULT_SCHEDULER for group in groups):
        yield from (ListWant(POD), ListWant(DEPLOYMENT))


@rule(
    causes=("scheduler-not-running", "scheduler-name-unknown"),
    observes=OBSERVED,
    digs=(Read(LEASE, ("list",)), Read(POD, ("list",)), Read(DEPLOYMENT, ("list",))),
    wants=_wants_schedulers,
    explains=BACKENDS,
    confirms=(POD, LEASE),
)
def pods_that_no_scheduler_sees(facts: Facts) -> Iterator[Finding | RuledOut]:
    by_name: dict[str, list[Waiting]] = {}
    for group in facts.derived(unseen):
        by_name.setdefault(group.what, []).append(group)
    for name, groups in sorted(by_name.items()):
        verdict = (
            schedulers.default(facts, groups) if name == DEFAULT_SCHEDULER else schedulers.named(facts, name, groups)
        )
        yield from verdict


def _wants_queues(facts: Facts) -> Iterable[Want]:
    yield from gates.wanted(facts)


@rule(
    causes=("scheduling-gate-not-removed",),
    observes=OBSERVED,
    digs=(Read(gates.KUEUE_WORKLOAD, ("list",)),),
    wants=_wants_queues,
    explains=BACKENDS,
    confirms=(POD,),
)
def gated_pods(facts: Facts) -> Iterator[Finding | RuledOut]:
    for group in facts.derived(waiting):
        if group.how == "gated":
            yield from gates.verdict(facts, group)
