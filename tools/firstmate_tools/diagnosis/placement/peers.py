"""What is said of pods that other pods keep from a node: spreading, affinity, anti-affinity, host ports. Pure."""

from collections.abc import Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact, quote
from firstmate_tools.diagnosis.lib import count, some
from firstmate_tools.diagnosis.placement.words import MOST_NODES_SHOWN, Told, node_fact, verb, who
from firstmate_tools.diagnosis.refusals import wanted_pods
from firstmate_tools.diagnosis.unplaced import Unplaced, scene_of
from firstmate_tools.fields import Obj
from firstmate_tools.graph import TEMPLATED
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.scheduling.neighbours import key_of, required_terms, speaks_of
from firstmate_tools.scheduling.scene import Scene
from firstmate_tools.selectors import as_query


def spread(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    blocked = next((view.spread for view in case.verdict.shown if view.spread), None)
    counts = next((c for c in case.verdict.spread if blocked and c.key == blocked.key), None)
    evidence = [quote(case.ref, case.pod, "spec", "topologySpreadConstraints")]
    if blocked is None or counts is None:
        return f"{who(case, pods)}: spread constraints leave no node.", evidence
    evidence += [
        node_fact(view, f"metadata.labels[{blocked.key}]", view.host.labels.get(blocked.key))
        for view in case.verdict.shown[:MOST_NODES_SHOWN]
    ]
    whose = who(case, pods)
    if not counts.pods:
        return f"{whose} must spread over {blocked.key}, and no node has that label.", evidence
    held = ", ".join(f"{domain} {number}" for domain, number in sorted(counts.pods.items())[:6])
    if len(counts.pods) < counts.min_domains:
        why = f"there are {len(counts.pods)} of the {counts.min_domains} domains that it asks for"
    else:
        why = _closed(case, blocked.key, counts.open_domains())
    words = f"{whose} must spread over {blocked.key} with skew {counts.max_skew}; pods there now: {held}; {why}."
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


def anti_affinity(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """Every node that would take the pod is closed by a pod that must not be near it, or it near that one."""
    near = case.verdict.wish.neighbours
    shown = case.verdict.shown
    held = {view.name: near.closing(view.host) for view in shown}
    holders = [pod for closing in held.values() for pod in closing]
    own = bool(near.apart)
    keys = sorted({key for key, _ in (near.apart or near.shunned)})
    where = f"{len(shown)} nodes" if len(shown) != 1 else f"the only node ({shown[0].name})"
    rule = "its own anti-affinity" if own else f"the anti-affinity of {some(_owners(facts, holders))}"
    words = (
        f"{who(case, pods)} {verb(case, pods, 'has', 'have')} no place apart: by {rule} over {', '.join(keys)}, "
        f"pods that are there close every node that would take one more ({where}; {_by_whom(facts, held)})"
    )
    words += _older(facts, case, holders) + "."
    evidence: list[Evidence] = []
    if own:
        evidence.append(quote(case.ref, case.pod, "spec", "affinity", "podAntiAffinity"))
    else:
        path = ("spec", "affinity", "podAntiAffinity")
        evidence += [quote(ref_of(pod, kinds.POD), pod, *path) for pod in holders[:1]]
    evidence += [
        node_fact(view, "closed by", ", ".join(sorted({_name(pod) for pod in held[view.name]})[:3]))
        for view in shown[:MOST_NODES_SHOWN]
    ]
    workload = facts.get(case.workload)
    if workload is not None and fields.at(workload, "spec", "replicas") is not None:
        evidence.append(quote(case.workload, workload, "spec", "replicas"))
    return words, evidence


def _by_whom(facts: Facts, held: dict[str, list[Obj]]) -> str:
    """`n1 by pod cart-1, n2 by pod cart-2`."""
    told = [f"{node} by pod {_name(closing[0])}" for node, closing in sorted(held.items()) if closing]
    more = f" and {len(told) - MOST_NODES_SHOWN} more" if len(told) > MOST_NODES_SHOWN else ""
    return ", ".join(told[:MOST_NODES_SHOWN]) + more


def _older(facts: Facts, case: Unplaced, holders: list[Obj]) -> str:
    """Whether pods of the same workload's older revision are in the way, as a rollout that surges meets."""
    revision = fields.labels_of(case.pod).get("pod-template-hash")
    others = {
        _name(pod)
        for pod in holders
        if facts.workload(ref_of(pod, kinds.POD)) == case.workload
        and fields.labels_of(pod).get("pod-template-hash") != revision
    }
    if not revision or not others:
        return ""
    return f"; {count(len(others), 'pod')} of an older revision stay until the new one is ready"


def _name(pod: Obj) -> str:
    return f"{fields.namespace_of(pod)}/{fields.name_of(pod)}"


def _owners(facts: Facts, pods: list[Obj]) -> list[str]:
    return [str(facts.workload(ref_of(pod, kinds.POD))) for pod in pods]


def alone(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """The pods that it must be near are nowhere, or not where it may go."""
    near = case.verdict.wish.neighbours
    keys = ", ".join(sorted({key_of(term) for term in near.wanted}))
    names = " and ".join(as_query(fields.at(term, "labelSelector")) or "any labels" for term in near.wanted)
    whose = f"{who(case, pods)} must share {keys} with a pod of {names}"
    evidence = [quote(case.ref, case.pod, "spec", "affinity", "podAffinity")]
    there = [pod for found in near.met.values() for pod in found]
    if there:
        nodes = some(fields.text(pod, "spec", "nodeName") for pod in there)
        evidence += [quote(ref_of(pod, kinds.POD), pod, "spec", "nodeName") for pod in there[:2]]
        return f"{whose}; such a pod runs only at {nodes}, where it may not go.", evidence
    without = [v for v in case.verdict.views if v.meant and any(key_of(t) not in v.host.labels for t in near.wanted)]
    if near.first and without:
        evidence += [node_fact(v, f"metadata.labels[{keys}]", "not set") for v in without[:MOST_NODES_SHOWN]]
        return f"{whose}, and no node that it may run on has that label.", evidence
    notes: list[str] = []
    for ref, obj in _partners(facts, case):
        if ref.kind == "Pod":
            notes.append(f"{ref} is such a pod and has no node itself")
            evidence.append(fact(ref, "status", podstate.status_text(obj)))
        else:
            notes.append(f"{ref} makes such pods and wants {_wants(obj, ref)}")
            evidence.append(quote(ref, obj, "spec", "replicas"))
    notes = notes or _lookalikes(facts, case)
    why = "; ".join(notes[:2]) if notes else "none is to be seen"
    return f"{whose}, and no such pod runs on any node: {why}.", evidence


def partners(facts: Facts, case: Unplaced) -> tuple[Ref, ...]:
    """The workloads and pods that a pod must be near: what is wrong with them is why it waits."""
    found = [ref for ref, _ in _partners(facts, case)]
    return tuple(dict.fromkeys(ref for one in found for ref in (one, facts.workload(one))))


def _partners(facts: Facts, case: Unplaced) -> Iterator[tuple[Ref, Obj]]:
    """What should give the pods of the affinity terms: workloads by their template, and pods that have no node."""
    scene = facts.derived(scene_of)
    for kind in TEMPLATED:
        for obj in facts.everywhere(kind):
            template = {**fields.mapping(obj, "spec", "template")}
            metadata = {**fields.mapping(template, "metadata"), "namespace": fields.namespace_of(obj)}
            ref = ref_of(obj, kind)
            if facts.workload(ref) == ref and _meant(case.pod, {"metadata": metadata}, scene):
                yield ref, obj
    for obj in facts.everywhere(kinds.POD):
        loose = not fields.text(obj, "spec", "nodeName") and not podstate.finished(obj)
        if loose and ref_of(obj, kinds.POD) not in case.pods and _meant(case.pod, obj, scene):
            yield ref_of(obj, kinds.POD), obj


def _meant(pod: Obj, other: Obj, scene: Scene) -> bool:
    terms = required_terms(pod, "podAffinity")
    return bool(terms) and all(speaks_of(term, pod, other, scene) for term in terms)


def _wants(obj: Obj, ref: Ref) -> str:
    kind = kinds.known(ref.kind)
    wanted = wanted_pods(obj, kind) if kind is not None else 0
    return f"{count(wanted, 'pod')}" if wanted else "none"


def _lookalikes(facts: Facts, case: Unplaced) -> list[str]:
    """Pods that have one of the wanted label keys with another value: one may have been renamed."""
    notes: list[str] = []
    for term in case.verdict.wish.neighbours.wanted:
        for key, value in sorted(fields.string_map(term, "labelSelector", "matchLabels").items()):
            values = {
                fields.labels_of(pod)[key]
                for pod in facts.all(kinds.POD, case.ref.namespace)
                if key in fields.labels_of(pod) and ref_of(pod, kinds.POD) not in case.pods
            }
            if values and value not in values:
                notes.append(f"pods there have {key} {some(values)}")
    return notes


def host_ports(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """A host port of the pod is taken on every node that would take it."""
    shown = case.verdict.shown
    near = case.verdict.wish.neighbours
    taken = {view.name: near.taken(view.host) for view in shown}
    ports = sorted({str(port) for held in taken.values() for port, _ in held})
    holders = [f"{name} by pod {_name(held[0][1])}" for name, held in sorted(taken.items()) if held]
    more = f" and {len(holders) - MOST_NODES_SHOWN} more" if len(holders) > MOST_NODES_SHOWN else ""
    where = f"all {len(shown)} nodes" if len(shown) != 1 else "the only node"
    words = (
        f"{who(case, pods)} {verb(case, pods, 'wants', 'want')} host port {', '.join(ports)}, which is taken "
        f"on {where} that would take it: {', '.join(holders[:MOST_NODES_SHOWN])}{more}."
    )
    evidence = [fact(case.ref, "spec.containers[*].ports[*].hostPort", ", ".join(map(str, near.ports)))]
    for held in [held for _, held in sorted(taken.items()) if held][:MOST_NODES_SHOWN]:
        port, pod = held[0]
        value = f"{port} on {fields.text(pod, 'spec', 'nodeName')}"
        evidence.append(fact(ref_of(pod, kinds.POD), "spec.containers[*].ports[*].hostPort", value))
    return words, evidence
