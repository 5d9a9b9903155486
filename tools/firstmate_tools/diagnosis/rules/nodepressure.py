"""Nodes that run out of disk, memory or process ids, and evict pods for it.

What counts is the node's condition now; evictions are its effect, and who is evicted is not always who filled the node.
Pods that went over limits of their own are another matter (`evictions`). Texts: pkg/kubelet/eviction/helpers.go, v1.36.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields, kinds, nodestate
from firstmate_tools.diagnosis import lib, nodewords, podsums, sicknodes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import RuledOut, fact
from firstmate_tools.diagnosis.gone import Gone, gone
from firstmate_tools.diagnosis.heard import LATELY, lately, said
from firstmate_tools.diagnosis.placement import wants as placing
from firstmate_tools.diagnosis.rule import ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.sicknodes import HOSTED, Ill
from firstmate_tools.fields import Obj
from firstmate_tools.quantity import milli, show
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

CAUSES = {
    "DiskPressure": "node-disk-pressure",
    "MemoryPressure": "node-memory-pressure",
    "PIDPressure": "node-pid-pressure",
}
_SHORT_OF = {"DiskPressure": "disk", "MemoryPressure": "memory", "PIDPressure": "process ids"}
_RESOURCE = re.compile(r"low on resource: ([\w.-]+)")
_THRESHOLD = re.compile(r"Threshold quantity: ([\w.%]+), available: ([\w.%]+)")
_USING = re.compile(r"Container (\S+) was using ([\w.]+), request is ([\w.]+)")
_CONDITION = re.compile(r"The node had condition: \[([\w, ]+)\]")


@dataclass(frozen=True, slots=True)
class Evicted:
    """One pod that a kubelet ended for want of something that the node lacks.

    Attributes:
        pressure: the condition that belongs to it.
        node: where, "" where nothing tells.
    """

    one: Gone
    pressure: str
    node: str


FORKS = "ForkFailedOutOfPIDs"
"""What EKS' agent says, by its condition KernelReady, of a node on which a fork failed; a kubelet may not know yet."""


def short_of(node: Obj, pressure: str) -> Obj:
    """The condition that says that a node is short of something now, {} where none does."""
    own = fields.condition(node, pressure)
    if own.get("status") == "True":
        return own
    kernel = fields.condition(node, "KernelReady") if pressure == "PIDPressure" else {}
    return kernel if kernel.get("status") == "False" and FORKS in fields.text(kernel, "reason") else {}


def evicted(facts: Facts) -> list[Evicted]:
    """Evictions for the node's sake within the scope; those that are only known by an event have no node."""
    found: list[Evicted] = []
    for one in gone(facts, "Evicted"):
        pressure = _pressure(one.message)
        if pressure:
            found.append(Evicted(one, pressure, fields.text(facts.get(one.ref) or {}, "spec", "nodeName")))
    return found


def _pressure(message: str) -> str:
    short, had = _RESOURCE.search(message), _CONDITION.search(message)
    if short:
        name = short.group(1).rstrip(".")
        return "MemoryPressure" if name == "memory" else "PIDPressure" if name.startswith("pid") else "DiskPressure"
    return next((p for p in CAUSES if had and p in had.group(1)), "")


def _pressed(facts: Facts, pressure: str) -> dict[str, list[Evicted]]:
    """The nodes that are short of something now, each with whom it evicted for that."""
    evictions: dict[str, list[Evicted]] = defaultdict(list)
    for one in facts.derived(evicted):
        if one.pressure == pressure and one.node:
            evictions[one.node].append(one)
    found: dict[str, list[Evicted]] = {}
    for node in _candidates(facts, set(evictions)):
        name, condition = fields.name_of(node), fields.condition(node, pressure)
        fresh = [one for one in evictions.get(name, ()) if _after(facts, one.one.at, condition)]
        short = short_of(node, pressure)
        if short:
            found[name] = [one for one in evictions.get(name, ()) if _belongs(one.one.at, short)]
        elif fresh and not all(_whole(facts, one.one.workload) for one in fresh):
            found[name] = fresh
    return found


def _candidates(facts: Facts, names: set[str]) -> list[Obj]:
    """The nodes of the question, and those that evicted some of its pods."""
    concerned = {fields.name_of(node): node for node in sicknodes.concerned(facts)}
    if facts.scope.object is None or facts.scope.object.kind != "Node":
        concerned |= {fields.name_of(n): n for n in facts.all(kinds.NODE) if fields.name_of(n) in names}
    return [concerned[name] for name in sorted(concerned)]


def _after(facts: Facts, at: datetime | None, condition: Obj) -> bool:
    """Whether an eviction is of lately, and later than the last word on the condition.

    A kubelet holds a condition for five minutes after the shortage is over; one that is False since before the eviction
    has not caught up with it.
    """
    turned = fields.time_at(condition, "lastTransitionTime")
    return at is not None and facts.now - at <= LATELY and (turned is None or at > turned)


def _belongs(at: datetime | None, condition: Obj) -> bool:
    """Whether an eviction may belong to the shortage that lasts: kubelets turn the condition as they begin to evict."""
    turned = fields.time_at(condition, "lastTransitionTime")
    return at is None or turned is None or at >= turned - LATELY


def _whole(facts: Facts, workload: Ref) -> bool:
    obj = facts.get(workload) or {}
    wanted = fields.number(obj, "spec", "replicas", default=1) or fields.number(obj, "status", "desiredNumberScheduled")
    return lib.serving(facts, workload) >= wanted


def _pods_of_all(facts: Facts) -> Iterable[Want]:
    """The pods of all namespaces, where a node is short of something: who fills it may be of another one."""
    for node in sicknodes.concerned(facts):
        if any(short_of(node, pressure) for pressure in CAUSES):
            yield ListWant(kinds.POD)
            yield from nodewords.wanted(facts, [fields.name_of(node)])


_DIGS = (Read(kinds.POD, ("list",)), Read(kinds.EVENT, ("list",)), *placing.READS)


@rule(
    causes=tuple(CAUSES.values()),
    observes=(*OBSERVED, kinds.NODE),
    digs=_DIGS,
    wants=_pods_of_all,
    explains=HOSTED,
    confirms=(kinds.NODE,),
)
def pressures(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/"""
    for pressure, cause in CAUSES.items():
        pressed = _pressed(facts, pressure)
        nodes = {name: node for name in pressed if (node := facts.get(Ref("Node", "", name))) is not None}
        if nodes:
            yield from _finding(facts, pressure, nodes, pressed)
        elif any(one.pressure == pressure for one in facts.derived(evicted)):
            yield RuledOut(cause, "pods were evicted for it, and no node of theirs is short of it any more")


def _finding(facts: Facts, pressure: str, nodes: dict[str, Obj], pressed: dict[str, list[Evicted]]) -> Verdicts:
    every = [one for name in nodes for one in pressed[name]]
    ills: list[Ill] = []
    for name, node in nodes.items():
        lasts = short_of(node, pressure)
        condition = lasts or fields.condition(node, pressure)
        turned = fields.time_at(condition, "lastTransitionTime")
        told = f"{fields.text(condition, 'status') or 'not reported'}: {nodestate.said(condition)}"
        path = f"status.conditions[{fields.text(condition, 'type') or pressure}]"
        rows = nodewords.of_node(facts, name, "EvictionThresholdMet", "FreeDiskSpaceFailed", "ImageGCFailed")
        words = [fact(ref_of(node, kinds.NODE), path, told, turned)]
        words += [one.one.words for one in pressed[name][:1]]
        words += [said(row) for row in rows[:1] if lately(facts, row)]
        since = turned if lasts else lib.earliest(one.one.at for one in pressed[name])
        ills.append(Ill(node, tuple(words), since))
    sure = all(short_of(node, pressure) for node in nodes.values())
    short = _SHORT_OF[pressure]
    thrown = f" and evicted {lib.count(len(every), 'pod')}" if every else ", and evicts pods next"
    what = f"{'runs' if len(nodes) == 1 else 'each runs'} out of {short}{thrown}{_most(every)}"
    first = next(iter(nodes))
    if pressure == "MemoryPressure":
        what += podsums.memory_text(facts, Ref("Node", "", first)).rstrip(".").replace(" Its pods ", "; its pods ")
    kept = [ref for name in nodes for ref in facts.derived(sicknodes.waiting).get(name, ())]
    yield sicknodes.finding(
        facts,
        CAUSES[pressure],
        ills,
        what,
        confidence="certain" if sure else "likely",
        victims=[*(one.one.ref for one in every), *kept],
        beside=[one.one.workload for one in every],
        severity=_severity(facts, every, kept),
    )


def _severity(facts: Facts, every: list[Evicted], kept: list[Ref]) -> lib.Severity:
    hurt = {one.one.workload for one in every} | {facts.workload(ref) for ref in kept}
    return lib.worst(["warning", *(lib.severity(facts, w) for w in hurt if w.kind not in {"DaemonSet", "Pod"})])


def _most(every: list[Evicted]) -> str:
    """Who used most beyond what it asked for, among those evicted: kubelets say what their containers used."""
    uses: list[tuple[int, str, str, str]] = []
    for one in every:
        for container, used, asked in _USING.findall(one.one.message):
            over = (milli(used) or 0) - (milli(asked) or 0)
            uses.append((over, f"container {container} of {one.one.workload}", used, asked))
    left = next((m for one in every if (m := _THRESHOLD.search(one.one.message))), None)
    room = f" ({_amount(left.group(2))} left, {_amount(left.group(1))} is the least)" if left else ""
    if not uses:
        return room
    _, who, used, asked = max(uses)
    return f"{room}; most was used by {who}: {used}, where it asked for {asked}"


def _amount(said: str) -> str:
    """A quantity of a kubelet's sentence: bytes in full read badly."""
    value = milli(said.rstrip("."))
    return said.rstrip(".") if value is None else show("memory", value)
