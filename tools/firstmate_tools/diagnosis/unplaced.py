"""The pods that the scheduler placed nowhere, each kind of them judged once more. Pure; called by the scheduling rules.

Pods of one workload that ask for the same are one entry, so that a thousand pending replicas cost as much as one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.lib import earliest
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.podresources import Amounts, plus, pod_requests
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.scheduling.fit import Verdict, Why, judge
from firstmate_tools.scheduling.message import Said, said
from firstmate_tools.scheduling.neighbours import host_ports
from firstmate_tools.scheduling.scene import Scene
from firstmate_tools.scheduling.views import View, Wish
from firstmate_tools.scheduling.volumes import Stores, claim_names

DEFAULT_SCHEDULER = "default-scheduler"
YOUNG = timedelta(seconds=2)
"""A pod this young may have been refused for what is still on its way, such as a node's first heartbeat."""
MOST_SHAPES = 50
"""Different kinds of pods of one workload that are judged (a DaemonSet's pods each ask for their own node)."""
MOST_VIEWS = 200_000
"""Pairs of a kind of pods and a node that are judged; kinds beyond them stay without a finding."""
WITHOUT_LOAD = frozenset({Why.SELECTOR, Why.AFFINITY, Why.TAINT, Why.LARGER, Why.NOT_ADVERTISED})
"""Verdicts that pods of other namespaces cannot change."""

_ILL = frozenset(
    f"node.kubernetes.io/{word}"
    for word in (
        "not-ready",
        "unreachable",
        "disk-pressure",
        "memory-pressure",
        "pid-pressure",
        "network-unavailable",
    )
)
"""Taints by which the node controller keeps pods off a node that is ill."""


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Pods of one workload that ask for the same and have no node.

    Attributes:
        pod: one of them; `pods` are the addresses of all.
        verdict: why no node takes it.
        whole: whether the pods of all namespaces were counted.
        since: when the scheduler first gave up on one of them.
        said: what the scheduler wrote about `pod`.
    """

    workload: Ref
    pod: Obj
    pods: tuple[Ref, ...]
    verdict: Verdict
    whole: bool
    since: datetime | None
    said: Said

    @property
    def ref(self) -> Ref:
        return self.pods[0]


def waits_for_a_node(pod: Obj, now: datetime) -> bool:
    """Whether the default scheduler has tried a pod and found no node for it."""
    scheduler = fields.text(pod, "spec", "schedulerName") or DEFAULT_SCHEDULER
    if not podstate.unschedulable(pod) or fields.text(pod, "spec", "nodeName") or scheduler != DEFAULT_SCHEDULER:
        return False
    if podstate.finished(pod) or podstate.terminating(pod):
        return False
    created = fields.time_at(pod, "metadata", "creationTimestamp")
    return created is None or now - created >= YOUNG


def unplaced(facts: Facts) -> list[Unplaced]:
    """The pods in scope that have no node, by workload; none where the nodes are not known."""
    groups = _groups(facts)
    if not groups or not facts.knows(kinds.NODE):
        return []
    scene = facts.derived(scene_of)
    affordable = list(groups.items())[: max(1, MOST_VIEWS // max(1, len(scene.hosts)))]
    return [_entry(workload, group, facts, judge(group[0], scene)) for (workload, _), group in affordable]


def scene_of(facts: Facts) -> Scene:
    """The cluster as the scheduler would see it, as far as it is known."""
    places = {fields.name_of(n): fields.labels_of(n) for n in facts.everywhere(kinds.NAMESPACE)}
    stores = Stores(
        claims={
            (fields.namespace_of(c), fields.name_of(c)): c for c in facts.everywhere(kinds.PERSISTENT_VOLUME_CLAIM)
        },
        volumes=_by_name(facts, kinds.PERSISTENT_VOLUME),
        classes=_by_name(facts, kinds.STORAGE_CLASS),
        csi_nodes=_by_name(facts, kinds.CSI_NODE),
        attachments=tuple(facts.everywhere(kinds.VOLUME_ATTACHMENT)),
    )
    return Scene.of(
        facts.everywhere(kinds.NODE),
        facts.everywhere(kinds.POD),
        facts.now,
        stores,
        places if facts.knows(kinds.NAMESPACE) else None,
    )


def _by_name(facts: Facts, kind: Kind) -> dict[str, Obj]:
    return {fields.name_of(obj): obj for obj in facts.everywhere(kind)}


def unread(facts: Facts) -> list[Unplaced]:
    """The pods in scope that have no node, where nodes may not be read; the verdict is empty."""
    if facts.knows(kinds.NODE):
        return []
    return [
        _entry(workload, group, facts, Verdict(Why.FITS, Wish.of(group[0]), (), ()))
        for (workload, _), group in _groups(facts).items()
    ]


def _groups(facts: Facts) -> Mapping[tuple[Ref, str], list[Obj]]:
    groups: dict[tuple[Ref, str], list[Obj]] = defaultdict(list)
    shapes: dict[Ref, set[str]] = defaultdict(set)
    for pod in lib.unsettled(facts):
        if not waits_for_a_node(pod, facts.now):
            continue
        workload, shape = facts.workload(ref_of(pod, kinds.POD)), _shape(pod)
        if shape in shapes[workload] or len(shapes[workload]) < MOST_SHAPES:
            shapes[workload].add(shape)
            groups[workload, shape].append(pod)
    return {key: groups[key] for key in sorted(groups)}


_OWN_LABELS = ("statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index")
"""Labels by which pods of one workload differ, and by which nobody places them."""


def _shape(pod: Obj) -> str:
    """What the verdict on a pod depends on, as text."""
    spec = fields.mapping(pod, "spec")
    wishes = [spec.get(key) for key in ("nodeSelector", "affinity", "tolerations", "overhead", "resources")]
    spread = spec.get("topologySpreadConstraints")
    sizes = [(c.get("resources"), c.get("restartPolicy")) for c in _containers(spec)]
    labels = fields.without(fields.labels_of(pod), *_OWN_LABELS)
    return repr((wishes, spread, sizes, sorted(labels.items()), claim_names(pod), [str(p) for p in host_ports(pod)]))


def _containers(spec: Obj) -> Iterable[Obj]:
    yield from fields.items(spec, "initContainers")
    yield {}
    yield from fields.items(spec, "containers")


def _entry(workload: Ref, group: list[Obj], facts: Facts, verdict: Verdict) -> Unplaced:
    scheduled = [fields.condition(pod, "PodScheduled") for pod in group]
    return Unplaced(
        workload=workload,
        pod=group[0],
        pods=tuple(ref_of(pod, kinds.POD) for pod in group),
        verdict=verdict,
        whole=facts.knows(kinds.POD),
        since=earliest(fields.time_at(c, "lastTransitionTime") for c in scheduled),
        said=said(fields.text(scheduled[0], "message")),
    )


def ill_hosts(facts: Facts, case: Unplaced) -> list[str]:
    """The nodes that would take a pod, were they not marked as ill: the room of pods that are ending there counts."""
    only = case.verdict.why is Why.NODE_STATE
    views = case.verdict.shown if only else case.verdict.views
    return [view.name for view in views if view.meant and _is_ill(view) and (only or _would_fit(facts, view))]


def _is_ill(view: View) -> bool:
    return bool(view.state) and all(taint.partition(":")[0].partition("=")[0] in _ILL for taint in view.state)


def _would_fit(facts: Facts, view: View) -> bool:
    """On a node that does not answer, pods that are deleted stay, however long their grace period is over."""
    if not set(view.fails) <= {"state", "lacks", "crowded"} or view.hopeless:
        return False
    freed = facts.derived(_ending).get(view.name, Amounts())
    return view.fails == ("state",) or all(k.needs <= k.free + freed.get(k.resource, 0) for k in view.lacks)


def _ending(facts: Facts) -> dict[str, Amounts]:
    """What pods that are being deleted asked for, by node."""
    found: dict[str, Amounts] = defaultdict(Amounts)
    for pod in facts.everywhere(kinds.POD):
        if podstate.terminating(pod) and not podstate.finished(pod):
            node = fields.text(pod, "spec", "nodeName")
            found[node] = plus(found[node], pod_requests(pod))
    return dict(found)
