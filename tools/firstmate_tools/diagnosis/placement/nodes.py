"""What is said of pods that no node's labels, taints or cordons leave a place for. Pure."""

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, quote
from firstmate_tools.diagnosis.lib import count, earliest, some
from firstmate_tools.diagnosis.placement.words import MOST_NODES_SHOWN, Told, node_fact, node_quote, who
from firstmate_tools.diagnosis.unplaced import Unplaced
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref
from firstmate_tools.scheduling.predicates import CORDON_TAINT, node_selector, required_affinity
from firstmate_tools.scheduling.views import View
from firstmate_tools.selectors import expression_holds
from firstmate_tools.text import plain_word


def cordon_taints(view: View) -> list[Obj]:
    return [t for t in fields.items(view.host.node, "spec", "taints") if fields.text(t, "key") == CORDON_TAINT]


def selector(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
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
            node_fact(view, f"metadata.labels[{key}]", view.host.labels[key]) for view in having[:MOST_NODES_SHOWN]
        ]
    why = "; ".join(notes) or "each label is there, but never all on one node"
    total = count(case.verdict.nodes, "node")
    return f"{who(case, pods)} may only run on nodes with {pairs}; none of {total} has that: {why}.", evidence


def taint(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    shown = case.verdict.shown
    taints = sorted({taint for view in shown for taint in view.taints})
    evidence = [node_quote(view, "taints") for view in shown[:MOST_NODES_SHOWN]]
    evidence.append(quote(case.ref, case.pod, "spec", "tolerations"))
    selects = " that it may run on" if node_selector(case.pod) or len(shown) < case.verdict.nodes else ""
    words = (
        f"{who(case, pods)}: every node{selects} ({some(view.name for view in shown)}) has a taint that the pod does "
        f"not tolerate: {some(taints)}."
    )
    return words, evidence


def cordon(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    shown = case.verdict.shown
    names = some(view.name for view in shown)
    evidence: list[Evidence] = []
    for view in shown[:MOST_NODES_SHOWN]:
        since = earliest(fields.time_at(taint, "timeAdded") for taint in cordon_taints(view))
        evidence.append(node_quote(view, "unschedulable", since))
    verb = "is" if len(shown) == 1 else "are"
    return f"{names} {verb} cordoned; {who(case, pods)} would fit there, and no other node takes it.", evidence


def affinity(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """No node satisfies the required node affinity: what each of its terms misses."""
    terms = fields.items(required_affinity(case.pod), "nodeSelectorTerms")
    path = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    evidence = [quote(case.ref, case.pod, *path)]
    chosen = node_selector(case.pod)
    if chosen:
        evidence.append(quote(case.ref, case.pod, "spec", "nodeSelector"))
    notes: list[str] = []
    for term in terms[:3]:
        missed = [e for e in fields.items(term, "matchExpressions") if not _held_by_some(e, case)]
        for expression in missed[:2]:
            key = fields.text(expression, "key")
            values = sorted({v.host.labels[key] for v in case.verdict.views if key in v.host.labels})
            have = f"nodes have {some(values)}" if values else "no node has such a label"
            notes.append(f"{_told(expression)} ({have})")
            having = [v for v in case.verdict.views if key in v.host.labels][:MOST_NODES_SHOWN]
            evidence += [node_fact(v, f"metadata.labels[{key}]", v.host.labels[key]) for v in having]
        missed_names = [f for f in fields.items(term, "matchFields") if not _names_a_node(facts, f)]
        notes += [f"{_told(field)} (no such node)" for field in missed_names[:2]]
    total = count(case.verdict.nodes, "node")
    if notes:
        why = "asks for " + "; or for ".join(dict.fromkeys(notes))
    else:
        beside = " together with its nodeSelector" if chosen else ""
        why = f"asks for things that nodes have one by one, and none has all at once{beside}"
    return f"{who(case, pods)}: the required node affinity fits none of {total}: it {why}.", evidence


def _held_by_some(expression: Obj, case: Unplaced) -> bool:
    return any(expression_holds(expression, view.host.labels) for view in case.verdict.views)


def _names_a_node(facts: Facts, field: Obj) -> bool:
    names = fields.strings(field, "values")
    if fields.text(field, "operator") != "In":
        return True
    return any(facts.get(Ref(kinds.NODE.kind, "", name)) is not None for name in names)


def _told(expression: Obj) -> str:
    values = ", ".join(filter(plain_word, fields.strings(expression, "values")))
    operator = {"NotIn": "not in", "DoesNotExist": "does not exist"}.get(fields.text(expression, "operator"))
    operator = operator or fields.text(expression, "operator").lower()
    return f"{fields.text(expression, 'key')} {operator} {values}".strip()
