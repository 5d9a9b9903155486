"""The findings about pods that have no node: words, numbers and evidence for a verdict. Pure.

Called by the scheduling rule, which decides; nothing here does.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, fact, quote
from firstmate_tools.diagnosis.lib import ask, count, earliest, pods_of, severity, some
from firstmate_tools.diagnosis.unplaced import Unplaced
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts
from firstmate_tools.quantity import show
from firstmate_tools.refs import Ref
from firstmate_tools.results import Confidence
from firstmate_tools.scheduling.fit import View, Why
from firstmate_tools.scheduling.predicates import CORDON_TAINT, node_selector

MOST_NODES_SHOWN = 3
_REVISION_LABELS = ("pod-template-hash", "controller-revision-hash")


def finding(facts: Facts, cause: str, why: Why, group: list[Unplaced], culprit: str) -> Finding:
    """The finding about the pods of one workload that have no node for one reason.

    Args:
        group: all of the same workload and reason.
        culprit: names what they share with other workloads of the same reason.
    """
    case = group[0]
    pods = [pod for entry in group for pod in entry.pods]
    words, evidence = _TELL[why](case, pods)
    target, following = _mend(facts, why, case, culprit)
    scheduler = fields.condition(case.pod, "PodScheduled")
    said = fact(
        case.ref,
        "status.conditions[PodScheduled].message",
        fields.text(scheduler, "message"),
        fields.time_at(scheduler, "lastTransitionTime"),
    )
    return Finding(
        cause=cause,
        object=target,
        severity=severity(facts, case.workload),
        confidence=_confidence(case, why),
        summary=words,
        evidence=(*evidence, said),
        affects=(case.workload, *pods),
        since=_since(why, case) or earliest(entry.since for entry in group),
        culprit=culprit,
        next=(following, ask("pod_status", "the pods that wait", namespace=case.ref.namespace, unhealthy_only=True)),
    )


def inferred(facts: Facts, cause: str, case: Unplaced, why: str) -> Finding:
    """A finding from the scheduler's sentence alone, where nodes may not be read."""
    scheduler = fields.condition(case.pod, "PodScheduled")
    moment = fields.time_at(scheduler, "lastTransitionTime")
    message = fields.text(scheduler, "message")
    pods = count(len(case.pods), "pod")
    return Finding(
        cause=cause,
        object=case.workload,
        severity=severity(facts, case.workload),
        confidence="likely",
        summary=f"{case.workload}: the scheduler finds no node for {pods} because of {why}; nodes could not be read.",
        evidence=(fact(case.ref, "status.conditions[PodScheduled].message", message, moment),),
        affects=(case.workload, *case.pods),
        since=case.since,
        next=(ask("events", "what the scheduler says", namespace=case.ref.namespace, scope=f"pod/{case.ref.name}"),),
    )


def _confidence(case: Unplaced, why: Why) -> Confidence:
    """Certain where the objects prove it, likely where pods of other namespaces could not be counted."""
    if case.whole or why in {Why.SELECTOR, Why.TAINT, Why.LARGER}:
        return "certain"
    return "certain" if why is Why.FULL and case.verdict.why is Why.FULL else "likely"


def _since(why: Why, case: Unplaced) -> datetime | None:
    """Since when the nodes are cordoned, where their taint says so."""
    if why is not Why.CORDON:
        return None
    return earliest(fields.time_at(taint, "timeAdded") for view in case.verdict.shown for taint in _cordon_taints(view))


def _cordon_taints(view: View) -> list[Obj]:
    return [t for t in fields.items(view.host.node, "spec", "taints") if fields.text(t, "key") == CORDON_TAINT]


def _mend(facts: Facts, why: Why, case: Unplaced, culprit: str) -> tuple[Ref, NextStep]:
    """What has to be mended, and the question that looks at it."""
    chosen = ",".join(f"{key}={value}" for key, value in sorted(node_selector(case.pod).items()))
    among = {"selector": chosen} if chosen and why is not Why.SELECTOR else {}
    nodes = ask("node_status", "what the nodes offer, and what takes it", **among)
    if why is Why.CORDON:
        return Ref("Node", "", culprit), ask("get", "who cordoned it and when", kind="node", name=culprit)
    if why is Why.TAINT and (came_later := _taint_came_later(facts, case)):
        return came_later, ask("get", "the taint on the node", kind="node", name=came_later.name)
    return case.workload, nodes


def _taint_came_later(facts: Facts, case: Unplaced) -> Ref | None:
    """The tainted node on which pods of the very same revision run: they came before the taint did.

    Without such a pod it is the workload that lacks a toleration.
    """
    labels = fields.labels_of(case.pod)
    revision = {key: labels[key] for key in _REVISION_LABELS if key in labels}
    if not revision:
        return None
    tainted = {view.name for view in case.verdict.shown}
    twins = [
        fields.text(pod, "spec", "nodeName")
        for pod in pods_of(facts, case.workload)
        if all(fields.labels_of(pod).get(key) == value for key, value in revision.items())
    ]
    here = sorted(tainted & set(twins))
    return Ref("Node", "", here[0]) if here else None


def _node_fact(view: View, field: str, value: object, at: datetime | None = None) -> Evidence:
    return fact(Ref("Node", "", view.name), field, value, at)


def _node_quote(view: View, field: str, at: datetime | None = None) -> Evidence:
    return quote(Ref("Node", "", view.name), view.host.node, "spec", field, at=at)


def _who(case: Unplaced, pods: list[Ref]) -> str:
    return str(case.workload) if case.workload.kind == "Pod" else f"{count(len(pods), 'pod')} of {case.workload}"


def _verb(case: Unplaced, pods: list[Ref], singular: str, plural: str) -> str:
    return singular if case.workload.kind == "Pod" or len(pods) == 1 else plural


def _any_of(shown: Iterable[View]) -> str:
    """`any of the 3 nodes`, `the only node (n1)`."""
    names = [view.name for view in shown]
    return f"any of the {len(names)} nodes" if len(names) > 1 else f"the only node ({some(names)})"


def _selector(case: Unplaced, pods: list[Ref]) -> tuple[str, list[Evidence]]:
    wanted = node_selector(case.pod)
    pairs = ", ".join(f"{key}={value}" for key, value in sorted(wanted.items()))
    notes: list[str] = []
    evidence = [quote(case.ref, case.pod, "spec", "nodeSelector")]
    for key, value in sorted(wanted.items()):
        having = [view for view in case.verdict.views if key in view.host.labels]
        if any(view.host.labels[key] == value for view in having):
            continue
        values = sorted({view.host.labels[key] for view in having})
        notes.append(f"{key} is {some(values)} instead" if values else f"no node has a label {key}")
        evidence += [
            _node_fact(view, f"metadata.labels[{key}]", view.host.labels[key]) for view in having[:MOST_NODES_SHOWN]
        ]
    why = "; ".join(notes) or "each label is there, but never all on one node"
    total = count(case.verdict.nodes, "node")
    return f"{_who(case, pods)} may only run on nodes with {pairs}; none of {total} has that: {why}.", evidence


def _taint(case: Unplaced, pods: list[Ref]) -> tuple[str, list[Evidence]]:
    shown = case.verdict.shown
    taints = sorted({taint for view in shown for taint in view.taints})
    evidence = [_node_quote(view, "taints") for view in shown[:MOST_NODES_SHOWN]]
    evidence.append(quote(case.ref, case.pod, "spec", "tolerations"))
    selects = " that it may run on" if node_selector(case.pod) or len(shown) < case.verdict.nodes else ""
    words = (
        f"{_who(case, pods)}: every node{selects} ({some(view.name for view in shown)}) has a taint that the pod does "
        f"not tolerate: {some(taints)}."
    )
    return words, evidence


def _cordon(case: Unplaced, pods: list[Ref]) -> tuple[str, list[Evidence]]:
    shown = case.verdict.shown
    names = some(view.name for view in shown)
    evidence: list[Evidence] = []
    for view in shown[:MOST_NODES_SHOWN]:
        since = earliest(fields.time_at(taint, "timeAdded") for taint in _cordon_taints(view))
        evidence.append(_node_quote(view, "unschedulable", since))
    verb = "is" if len(shown) == 1 else "are"
    return f"{names} {verb} cordoned; {_who(case, pods)} would fit there, and no other node takes it.", evidence


def _spread(case: Unplaced, pods: list[Ref]) -> tuple[str, list[Evidence]]:
    blocked = next((view.spread for view in case.verdict.shown if view.spread), None)
    counts = next((c for c in case.verdict.spread if blocked and c.key == blocked.key), None)
    evidence = [quote(case.ref, case.pod, "spec", "topologySpreadConstraints")]
    if blocked is None or counts is None:
        return f"{_who(case, pods)}: spread constraints leave no node.", evidence
    evidence += [
        _node_fact(view, f"metadata.labels[{blocked.key}]", view.host.labels.get(blocked.key))
        for view in case.verdict.shown[:MOST_NODES_SHOWN]
    ]
    who = _who(case, pods)
    if not counts.pods:
        return f"{who} must spread over {blocked.key}, and no node has that label.", evidence
    held = ", ".join(f"{domain} {number}" for domain, number in sorted(counts.pods.items())[:6])
    if len(counts.pods) < counts.min_domains:
        why = f"there are {len(counts.pods)} of the {counts.min_domains} domains that it asks for"
    else:
        why = _closed(case, blocked.key, counts.open_domains())
    words = f"{who} must spread over {blocked.key} with skew {counts.max_skew}; pods there now: {held}; {why}."
    return words, evidence


def _closed(case: Unplaced, key: str, domains: list[str]) -> str:
    """Why the domains that could take the pod do not."""
    if not domains:
        return "nodes with room lack the label, or no domain may take one more"
    views = [view for view in case.verdict.views if view.host.labels.get(key) in domains]
    lacks = sorted({lack.resource for view in views for lack in view.lacks})
    reasons = [f"too little {', '.join(lacks)} there"] if lacks else []
    if any(view.cordoned for view in views):
        reasons.append("nodes there are cordoned")
    if any(view.taints or view.state for view in views):
        reasons.append("nodes there have taints")
    return f"only {some(domains)} may take one more, with {' and '.join(reasons) or 'no node for it'}"


def _asks(asks: Amounts) -> str:
    return ", ".join(f"{resource} {show(resource, amount)}" for resource, amount in sorted(asks.items()) if amount > 0)


def _full(case: Unplaced, pods: list[Ref]) -> tuple[str, list[Evidence]]:
    shown = [view for view in case.verdict.shown if view.lacks]
    who, asks = _who(case, pods), case.verdict.asks
    evidence = [fact(case.ref, "requests in all", _asks(asks))]
    if not shown:
        words = (
            f"{who}: asks for {_asks(asks)}; the scheduler finds too little {', '.join(case.said.short)} on the nodes."
        )
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
        f"{who} {_verb(case, pods, 'finds', 'find')} no room on {_any_of(shown)} that may be used. {'; '.join(parts)}.",
        evidence,
    )


def _room(view: View) -> Evidence:
    told = "; ".join(
        f"{lack.resource}: {show(lack.resource, lack.offers)} allocatable, {show(lack.resource, lack.free)} free"
        for lack in view.lacks
    )
    return _node_fact(view, "status.allocatable less requests", told)


def _larger(case: Unplaced, pods: list[Ref]) -> tuple[str, list[Evidence]]:
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
    evidence = [fact(case.ref, "requests in all", _asks(case.verdict.asks))]
    evidence += [
        _node_fact(view, "status.allocatable", ", ".join(f"{r} {show(r, view.host.offer(r))}" for r in hopeless))
        for view in sorted(shown, key=lambda v: (-max(v.host.most(r) for r in hopeless), v.name))[:MOST_NODES_SHOWN]
    ]
    who, where = _who(case, pods), _any_of(shown)
    return f"{who} would not fit on {where} that may be used, even on an empty one. {'; '.join(parts)}.", evidence


_TELL: dict[Why, Callable[[Unplaced, list[Ref]], tuple[str, Iterable[Evidence]]]] = {
    Why.SELECTOR: _selector,
    Why.TAINT: _taint,
    Why.CORDON: _cordon,
    Why.SPREAD: _spread,
    Why.LARGER: _larger,
    Why.FULL: _full,
}
