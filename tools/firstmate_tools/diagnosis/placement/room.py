"""What is said of pods for which nodes have too little: resources, pod slots, devices, network interfaces. Pure."""

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.lib import count, some
from firstmate_tools.diagnosis.placement.words import (
    MOST_NODES_SHOWN,
    Told,
    any_of,
    node_fact,
    told_asks,
    verb,
    who,
)
from firstmate_tools.diagnosis.unplaced import Unplaced
from firstmate_tools.quantity import show
from firstmate_tools.refs import Ref
from firstmate_tools.scheduling.devices import ill_devices as ill
from firstmate_tools.scheduling.devices import is_extended, promise
from firstmate_tools.scheduling.fit import BRANCH_INTERFACE, offering
from firstmate_tools.scheduling.views import View


def full(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    shown = [view for view in case.verdict.shown if view.lacks]
    whose, asks = who(case, pods), case.verdict.asks
    evidence = [fact(case.ref, "requests in all", told_asks(asks))]
    if not shown:
        short = ", ".join(case.said.short)
        words = f"{whose}: asks for {told_asks(asks)}; the scheduler finds too little {short} on the nodes."
        return words, evidence
    parts: list[str] = []
    for resource in sorted({lack.resource for view in shown for lack in view.lacks}):
        best = max(
            (v for v in shown if any(k.resource == resource for k in v.lacks)), key=lambda v: v.host.free(resource)
        )
        in_all = sum(view.host.offer(resource) for view in shown)
        taken = sum(view.host.taken(resource) for view in shown)
        needs, free = show(resource, asks[resource]), show(resource, best.host.free(resource))
        promised = f"{show(resource, taken)} of {show(resource, in_all)} requested"
        parts.append(f"{resource}: needs {needs}, the most free is {free} on {best.name} ({promised})")
    evidence += [_room(view) for view in shown[:MOST_NODES_SHOWN]]
    return (
        f"{whose} {verb(case, pods, 'finds', 'find')} no room on {any_of(shown)} that may be used. {'; '.join(parts)}.",
        evidence,
    )


def _room(view: View) -> Evidence:
    told = "; ".join(
        f"{lack.resource}: {show(lack.resource, lack.offers)} allocatable, {show(lack.resource, lack.free)} free"
        for lack in view.lacks
    )
    return node_fact(view, "status.allocatable less requests", told)


def larger(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    shown = case.verdict.shown
    hopeless = sorted({lack.resource for view in shown for lack in view.lacks if lack.hopeless})
    parts: list[str] = []
    for resource in hopeless:
        best = max(shown, key=lambda view: view.host.most(resource))
        fixed = best.host.load.fixed.get(resource, 0)
        less = (
            f" ({show(resource, best.host.offer(resource))} less {show(resource, fixed)} of DaemonSets)"
            if fixed
            else ""
        )
        parts.append(
            f"{resource}: needs {show(resource, case.verdict.asks[resource])}, the largest node, {best.name}, offers "
            f"{show(resource, best.host.most(resource))}{less}"
        )
    evidence = [fact(case.ref, "requests in all", told_asks(case.verdict.asks))]
    evidence += [
        node_fact(view, "status.allocatable", ", ".join(f"{r} {show(r, view.host.offer(r))}" for r in hopeless))
        for view in sorted(shown, key=lambda v: (-max(v.host.most(r) for r in hopeless), v.name))[:MOST_NODES_SHOWN]
    ]
    whose, where = who(case, pods), any_of(shown)
    return f"{whose} would not fit on {where} that may be used, even on an empty one. {'; '.join(parts)}.", evidence


def crowded(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """The nodes hold as many pods as they may, whatever else they have left."""
    shown = [view for view in case.verdict.shown if view.crowded] or list(case.verdict.shown)
    held = [f"{view.name} {view.host.load.pods} of {_most_pods(view)}" for view in shown[:MOST_NODES_SHOWN]]
    more = f" and {len(shown) - len(held)} more" if len(shown) > len(held) else ""
    best = max(shown, key=lambda view: view.host.free("cpu"))
    free = ", ".join(f"{show(r, best.host.free(r))} {r}" for r in ("cpu", "memory") if best.host.offer(r))
    words = (
        f"{who(case, pods)}: the nodes that have room hold as many pods as they may: {', '.join(held)}{more}. "
        f"{best.name} has {free} free."
    )
    evidence = [node_fact(view, "status.allocatable.pods", _most_pods(view)) for view in shown[:MOST_NODES_SHOWN]]
    evidence += [node_fact(view, "pods that have not ended", view.host.load.pods) for view in shown[:MOST_NODES_SHOWN]]
    return words, evidence


def _most_pods(view: View) -> str:
    return show("pods", view.host.offer("pods"))


def not_advertised(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """No node offers a device that the pod asks for, or those that should do not."""
    asks, views = case.verdict.asks, case.verdict.views
    meant = [view for view in views if view.meant]
    shown = case.verdict.shown
    wanted = sorted(
        r for r, amount in asks.items() if amount > 0 and is_extended(r) and any(not v.host.offer(r) for v in shown)
    )
    none = [r for r in wanted if not any(v.host.offer(r) for v in meant)] or wanted
    evidence: list[Evidence] = [fact(case.ref, "requests in all", told_asks({r: asks[r] for r in none}))]
    promises = {view.name: told for view in shown for r in none if (told := promise(view.host, r, offering(meant, r)))}
    for view in sorted(shown, key=lambda v: (v.name not in promises, v.name))[:MOST_NODES_SHOWN]:
        given = ", ".join(f"{r}: {_given(view, r)}" for r in none)
        evidence.append(node_fact(view, "status.allocatable", given))
    evidence += [fact(Ref("Node", "", name), "should have it", told) for name, told in sorted(promises.items())[:2]]
    having = [v for v in meant if any(v.host.offer(r) for r in none)]
    if having:
        has = f"{some(v.name for v in having)} {'has' if len(having) == 1 else 'have'} none left, and "
        where = has + f"{some(promises)} {'offers' if len(promises) == 1 else 'offer'} none at all"
    else:
        where = f"no node that it may run on ({len(meant)} of {len(views)}) offers any"
    hint = ""
    if promises:
        name, told = min(promises.items())
        hint = f"; {name} should ({told})"
    return f"{who(case, pods)} {verb(case, pods, 'asks', 'ask')} for {', '.join(none)}: {where}{hint}.", evidence


def _given(view: View, resource: str) -> str:
    allocatable = fields.mapping(view.host.node, "status", "allocatable")
    return str(allocatable[resource]) if resource in allocatable else "not listed"


def branch_interfaces(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """No branch network interface is left for a pod with security groups of its own."""
    shown = case.verdict.shown
    having = [view for view in shown if view.host.offer(BRANCH_INTERFACE) > 0]
    whose = f"{who(case, pods)} {verb(case, pods, 'needs', 'need')} a branch network interface ({BRANCH_INTERFACE})"
    asked = fact(case.ref, "requests in all", told_asks({BRANCH_INTERFACE: case.verdict.asks[BRANCH_INTERFACE]}))
    if not having:
        evidence = [node_fact(v, f"status.allocatable[{BRANCH_INTERFACE}]", "not listed") for v in shown]
        words = f"{whose}, and none of {count(len(shown), 'node')} that it may run on offers any."
        return words, [asked, *evidence[:MOST_NODES_SHOWN]]
    used = [
        f"{v.name} {show(BRANCH_INTERFACE, v.host.taken(BRANCH_INTERFACE))} of "
        f"{show(BRANCH_INTERFACE, v.host.offer(BRANCH_INTERFACE))}"
        for v in having
    ]
    evidence = [
        node_fact(v, f"{BRANCH_INTERFACE} requested of allocatable", told.partition(" ")[2])
        for v, told in zip(having[:MOST_NODES_SHOWN], used, strict=False)
    ]
    more = f" and {len(used) - MOST_NODES_SHOWN} more" if len(used) > MOST_NODES_SHOWN else ""
    return f"{whose}; all are in use: {', '.join(used[:MOST_NODES_SHOWN])}{more}.", [asked, *evidence]


def ill_devices(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """A node has devices that it does not offer, and with them it would have enough."""
    shown = case.verdict.shown
    names = sorted({lack.resource for view in shown for lack in view.lacks})
    told: list[str] = []
    evidence: list[Evidence] = [fact(case.ref, "requests in all", told_asks({r: case.verdict.asks[r] for r in names}))]
    for view in shown[:MOST_NODES_SHOWN]:
        for name in names:
            capacity = show(name, view.host.offer(name) + ill(view.host, name))
            told.append(f"{view.name} offers {show(name, view.host.offer(name))} of its {capacity}")
            offers = f"capacity {capacity}, allocatable {show(name, view.host.offer(name))}"
            evidence.append(node_fact(view, f"status[{name}]", offers))
    whose = (
        f"{who(case, pods)} {verb(case, pods, 'asks', 'ask')} for {told_asks({r: case.verdict.asks[r] for r in names})}"
    )
    return (
        f"{whose}: {', '.join(told[:MOST_NODES_SHOWN])}, the others are unhealthy, and there is no room elsewhere.",
        evidence,
    )
