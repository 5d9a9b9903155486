"""What is said of pods that their volumes keep from a node: place, attachments, claims for one pod. Pure."""

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact, quote
from firstmate_tools.diagnosis.lib import count, some
from firstmate_tools.diagnosis.placement.words import MOST_NODES_SHOWN, Told, node_fact, who
from firstmate_tools.diagnosis.unplaced import Unplaced
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.scheduling.views import View
from firstmate_tools.scheduling.volumes import ONE_POD, Pin

_OBSTACLE = {
    "taints": "has a taint",
    "state": "is ill or going",
    "cordoned": "is cordoned",
    "spread": "is closed by spreading",
    "lacks": "has too little room",
    "crowded": "holds as many pods as it may",
    "slots": "can attach no more volumes",
    "kept_off": "is closed by other pods",
}


def elsewhere(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """The pod's volumes cannot be used on any node that would take it."""
    pins = list(dict.fromkeys(pin.claim for view in case.verdict.shown for pin in view.elsewhere))
    found = [pin for pin in case.verdict.wish.volumes.pins if pin.claim in pins]
    pin = found[0]
    ref = Ref("PersistentVolumeClaim", case.ref.namespace, pin.claim)
    homes = [v for v in case.verdict.views if all(one.lets(v.host.labels, v.name) for one in found)]
    homes.sort(key=lambda view: not view.meant)
    what = f"volume {pin.volume}" if pin.volume else f"class {pin.storage_class}"
    where = pin.told() or "certain labels"
    words = (
        f"{who(case, pods)}: the {what} of claim {pin.claim} can only be used on nodes with {where}, and "
        f"{_why_not(homes)}; {some(v.name for v in case.verdict.shown)} would take it, but not the volume."
    )
    evidence = [_pinned_by(facts, pin, ref)]
    claim = facts.get(ref)
    if claim is not None and pin.volume:
        evidence.append(quote(ref, claim, "spec", "volumeName"))
    keys = _keys(pin)
    for view in (*homes[:2], *case.verdict.shown[:MOST_NODES_SHOWN]):
        labels = ", ".join(f"{key}={view.host.labels.get(key, '(not set)')}" for key in keys)
        evidence.append(node_fact(view, "metadata.labels", labels or view.name))
    return words, evidence


def _why_not(homes: list[View]) -> str:
    """What is wrong with the nodes where the volume is."""
    if not homes:
        return "there is no such node"
    told = [f"{view.name} {_obstacle(view)}" for view in homes[:MOST_NODES_SHOWN]]
    more = f" and {len(homes) - len(told)} more" if len(homes) > len(told) else ""
    return f"of those {', '.join(told)}{more}"


def _obstacle(view: View) -> str:
    if not view.meant:
        return "is not one that the pod selects"
    return next((_OBSTACLE[name] for name in view.fails if name in _OBSTACLE), "has nothing against it")


def _keys(pin: Pin) -> list[str]:
    terms = fields.items(pin.terms, "nodeSelectorTerms")
    named = [fields.text(e, "key") for term in terms for e in fields.items(term, "matchExpressions")]
    return sorted({*named, *pin.zones} - {""})


def _pinned_by(facts: Facts, pin: Pin, claim: Ref) -> Evidence:
    if pin.volume:
        ref = Ref("PersistentVolume", "", pin.volume)
        field = "spec.nodeAffinity.required" if pin.terms is not None else "metadata.labels"
        return fact(ref, field, pin.told())
    return fact(Ref("StorageClass", "", pin.storage_class), "allowedTopologies", pin.told())


def slots(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """The nodes with room can attach no more volumes."""
    shown = [view for view in case.verdict.shown if view.slots is not None]
    held = [f"{v.name} {v.slots.used} of {v.slots.limit}" for v in shown[:MOST_NODES_SHOWN] if v.slots is not None]
    more = f" and {len(shown) - len(held)} more" if len(shown) > len(held) else ""
    first = next(v.slots for v in shown if v.slots is not None)
    words = (
        f"{who(case, pods)}: the nodes that would take it can attach no more volumes of {first.driver}: "
        f"{', '.join(held)}{more}, and each pod brings {first.new} more."
    )
    evidence: list[Evidence] = []
    for view in shown[:MOST_NODES_SHOWN]:
        node = Ref("CSINode", "", view.name)
        if view.slots is not None:
            evidence.append(fact(node, f"spec.drivers[{view.slots.driver}].allocatable.count", view.slots.limit))
            evidence.append(node_fact(view, f"volumes of {view.slots.driver} in use", view.slots.used))
    return words, evidence


def in_use(facts: Facts, case: Unplaced, pods: list[Ref]) -> Told:
    """Another pod uses a claim that is for one pod alone."""
    holders = case.verdict.wish.volumes.holders
    name, holder = holders[0]
    claim, pod = Ref("PersistentVolumeClaim", case.ref.namespace, name), ref_of(holder, kinds.POD)
    owner = facts.workload(pod)
    whose = f"{pod} of the same workload" if owner == case.workload else str(pod)
    if owner not in {case.workload, pod}:
        whose += f" of {owner}"
    words = (
        f"{who(case, pods)}: claim {name} is {ONE_POD}, for one pod alone, and {whose} uses it "
        f"on {fields.text(holder, 'spec', 'nodeName')}."
    )
    evidence: list[Evidence] = []
    found = facts.get(claim)
    if found is not None:
        evidence.append(quote(claim, found, "spec", "accessModes"))
    evidence.append(fact(pod, "spec.volumes[*].persistentVolumeClaim.claimName", name))
    workload = facts.get(case.workload)
    if owner == case.workload and workload is not None and case.workload.kind == "Deployment":
        evidence.append(quote(case.workload, workload, "spec", "strategy", "type"))
    if len(case.pods) > 1:
        evidence.append(fact(case.workload, "pods that wait for the claim", count(len(case.pods), "pod")))
    return words, evidence
