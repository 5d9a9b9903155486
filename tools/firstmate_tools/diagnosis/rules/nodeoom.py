"""Nodes that ran out of memory, so that the kernel ended processes that were within their limits."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import ended, ends, lib, nodewords, podsums, trouble
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, Want, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

RECENT = timedelta(hours=1)
"""How long a node that ran out of memory counts although nobody suffers from it any more."""


def nodes_of_the_killed(facts: Facts) -> Iterable[Want]:
    """What kubelets say of the nodes on which something was killed."""
    killed = [t for group in trouble.groups(facts, "oom", "nodeoom", "exit") for t in group]
    hard = [t for t in killed if t.kind != "exit" or fields.number(t.end, "exitCode") == 137]
    return nodewords.wanted(facts, [fields.text(t.pod, "spec", "nodeName") for t in hard])


@rule(
    causes=("node-out-of-memory",),
    observes=(*OBSERVED, kinds.NODE),
    digs=(Read(kinds.EVENT, ("list",)),),
    wants=nodes_of_the_killed,
    explains=BACKENDS,
)
def node_out_of_memory(facts: Facts) -> Verdicts:
    """A kill for lack of memory that no limit of the pod accounts for, or the kubelet's own word (SystemOOM).

    https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior
    """
    killed: dict[str, list[Trouble]] = defaultdict(list)
    for group in trouble.groups(facts, "nodeoom"):
        for one in group:
            killed[fields.text(one.pod, "spec", "nodeName")].append(one)
    spoken = _spoken(facts) if facts.scope.namespace is None else {}
    for name in sorted({*killed, *spoken} - {""}):
        yield _finding(facts, name, killed.get(name, []), spoken.get(name, []))


def _spoken(facts: Facts) -> dict[str, list[EventRow]]:
    """What kubelets said lately of nodes that are there."""
    found: dict[str, list[EventRow]] = {}
    for node in facts.all(kinds.NODE):
        rows = nodewords.of_node(facts, fields.name_of(node), "SystemOOM")
        rows = [row for row in rows if row.last is not None and facts.now - row.last < RECENT]
        if rows:
            found[fields.name_of(node)] = rows
    return found


def _finding(facts: Facts, name: str, killed: list[Trouble], spoken: list[EventRow]) -> Finding:
    node = Ref("Node", "", name)
    heard = [row for one in killed for row in ends.system_ooms(facts, one.pod, one.end)] or spoken
    words = tuple(said(row) for row in dict.fromkeys(heard))[:2]
    workloads = sorted({one.workload for one in killed})
    whom = f": {lib.some(map(str, workloads))} {'was' if len(workloads) == 1 else 'were'} killed" if workloads else ""
    return Finding(
        cause="node-out-of-memory",
        object=node,
        severity=lib.worst(ended.severity(facts, one) for one in killed) if killed else "warning",
        confidence="certain" if words else "likely",
        summary=(f"Node {name} ran out of memory{whom}{_limits(killed)}.{podsums.memory_text(facts, node)}"),
        evidence=(*words, *(e for one in killed[:2] for e in (ended.end_evidence(one), _limit(one)))),
        affects=tuple(dict.fromkeys(ref for one in killed for ref in trouble.affected([one]))),
        since=lib.earliest([_finished(one) for one in killed] + [row.first for row in heard]),
        culprit=name,
        next=(lib.ask("node_status", "what runs there and what it asks for", name=name),),
    )


def _finished(one: Trouble) -> datetime | None:
    return fields.time_at(one.end, "finishedAt")


def _limits(killed: list[Trouble]) -> str:
    limits = [trouble.memory_limit(one.pod, one.container)[1] for one in killed]
    if killed and not any(limits):
        return ", which no memory limit of its own accounts for"
    return f" though its limit is {limits[0]}" if len(killed) == 1 else ""


def _limit(one: Trouble) -> Evidence:
    path, limit = trouble.memory_limit(one.pod, one.container)
    return fact(one.ref, path or f"{ended.section(one)}.resources.limits.memory", limit or None)
