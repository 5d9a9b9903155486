"""Why no node takes a pod: every predicate on every node, then the one reason that an operator would name.

The reasons are asked in the order in which they narrow the nodes down: first the nodes that the pod is meant for
(labels, devices), then those that let it in (taints), those where its volumes are, those that the pods there leave to
it, those that are open (cordons), those where spreading allows it, and only then who has room.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, pod_requests
from firstmate_tools.scheduling import predicates
from firstmate_tools.scheduling.devices import INSTANCE_TYPE, ill_devices, is_extended, promise
from firstmate_tools.scheduling.neighbours import ALONE, APART, PORTS, SHUNNED
from firstmate_tools.scheduling.scene import Scene
from firstmate_tools.scheduling.spread import Counted
from firstmate_tools.scheduling.views import View, Wish, view

BRANCH_INTERFACE = "vpc.amazonaws.com/pod-eni"
"""What the VPC CNI asks for, for pods with security groups of their own; the VPC resource controller offers it."""


class Why(Enum):
    """The reason why a pod has no node."""

    FITS = "some node passes every predicate that is known here"
    SELECTOR = "no node has the labels of the nodeSelector"
    AFFINITY = "no node satisfies the required node affinity, alone or together with the selector"
    TAINT = "every node that it is meant for has a taint that it does not tolerate"
    NODE_STATE = "a node would take it, were it not marked as ill, starting or going"
    CORDON = "a node would take it, were it not cordoned"
    SPREAD = "a node has room, and a spread constraint forbids it"
    ANTI_AFFINITY = "pods that must keep apart from it are on every node that would take it"
    ALONE = "the pods that it must be with are on no node that would take it"
    PORTS = "its host ports are taken on every node that would take it"
    ELSEWHERE = "its volumes cannot be used on any node that would take it"
    SLOTS = "a node has room, and can attach no more volumes"
    IN_USE = "another pod uses a claim that is for one pod"
    POD_COUNT = "a node has room, and holds as many pods as it may"
    LARGER = "it would not fit on the emptiest of its nodes"
    FULL = "its nodes have too little left"
    DEVICES_ILL = "a node would have enough of a device, were all of them healthy"
    NOT_ADVERTISED = "it asks for a device that none of its nodes has"
    BRANCH_INTERFACES = "its nodes have no branch network interface left"
    LEAVING = "a node has room once the pods that are terminating have gone"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a pod has no node, with the nodes that show it.

    Attributes:
        why: the reason.
        wish: what the pod asks for.
        shown: the nodes that show the reason: those that it is meant for, those that would take it, or those that
            lack something; by name.
        views: every node.
    """

    why: Why
    wish: Wish
    shown: tuple[View, ...]
    views: tuple[View, ...]

    @property
    def asks(self) -> Amounts:
        return self.wish.asks

    @property
    def spread(self) -> tuple[Counted, ...]:
        """The counts behind the spread constraints."""
        return self.wish.spread

    @property
    def nodes(self) -> int:
        return len(self.views)


def judge(pod: Obj, scene: Scene) -> Verdict:
    """Why no node takes a pod.

    Args:
        pod: a pod without a node, or a pod template with a namespace.
        scene: the cluster; the pods of the pod's own namespace at least have to be known.
    """
    wish = Wish.amid(pod, scene)
    views = tuple(view(wish, host) for host in scene.hosts)
    why, shown = _reason(pod, wish.asks, views)
    if why in {Why.ANTI_AFFINITY, Why.PORTS}:
        why, shown = _unless_leaving(wish, scene, (why, shown))
    if wish.volumes.holders:
        why, shown = _in_use(wish, views, scene, (why, shown))
    return Verdict(why, wish, tuple(shown), views)


Reason = tuple[Why, Sequence[View]]


def _reason(pod: Obj, asks: Amounts, views: tuple[View, ...]) -> Reason:
    allowed = [v for v in views if v.meant]
    if not allowed:
        none_selected = bool(predicates.node_selector(pod)) and not any(v.selected for v in views)
        return (Why.SELECTOR if none_selected else Why.AFFINITY), []
    # A device is a wish for nodes that have it, as much as a label is.
    devices = [resource for resource, amount in asks.items() if amount > 0 and is_extended(resource)]
    meant = [v for v in allowed if all(v.host.offer(device) > 0 for device in devices)]
    if not meant and (ill := _with_ill_devices(allowed, devices)):
        return Why.DEVICES_ILL, ill
    if not meant:
        without = {device for device in devices if not any(v.host.offer(device) > 0 for v in allowed)}
        return (Why.BRANCH_INTERFACES if without == {BRANCH_INTERFACE} else Why.NOT_ADVERTISED), allowed
    meant = [v for v in meant if not v.aside] or meant
    for alone, why in (((), Why.FITS), (("state",), Why.NODE_STATE)):
        found = [v for v in meant if v.fails == alone]
        if found:
            return why, found
    inside = [v for v in meant if v.lets_in]
    if inside:
        return _unless_silent(_reason_inside(inside), allowed, devices)
    tainted = [v for v in meant if v.taints]
    return (Why.TAINT, tainted) if tainted else (Why.NODE_STATE, meant)


_ALONE_IN_THE_WAY = (
    ("cordoned", Why.CORDON),
    ("slots", Why.SLOTS),
    ("elsewhere", Why.ELSEWHERE),
    ("spread", Why.SPREAD),
    ("crowded", Why.POD_COUNT),
)
"""What alone keeps a pod off a node is why it has none, the first of these on any node."""


def _reason_inside(inside: list[View]) -> Reason:
    """The reason among the nodes whose labels and taints would have the pod."""
    large = [v for v in inside if not v.hopeless]
    if not large:
        return _lacking(Why.LARGER, inside)
    here = [v for v in large if not v.elsewhere]
    if not here:
        return Why.ELSEWHERE, large
    if all(v.kept_off for v in here):
        return _kept_off(here)
    apart = [v for v in inside if not v.kept_off]
    later = [v for v in apart if v.fits_later()]
    if later:
        return Why.LEAVING, later
    for what, why in _ALONE_IN_THE_WAY:
        found = [v for v in apart if v.fails == (what,)]
        if found:
            return why, found
    return _reason_open([v for v in apart if not v.elsewhere])


_BY_NEIGHBOUR = {APART: Why.ANTI_AFFINITY, SHUNNED: Why.ANTI_AFFINITY, ALONE: Why.ALONE, PORTS: Why.PORTS}


def _kept_off(views: list[View]) -> Reason:
    """The way in which most nodes that have nothing else against the pod (else: most nodes) are closed to it."""
    plain = [v for v in views if v.fails == ("kept_off",)] or views
    ways = Counter(_BY_NEIGHBOUR[v.kept_off[0]] for v in plain)
    why = max(ways, key=lambda way: (ways[way], way is Why.ALONE, way is Why.ANTI_AFFINITY))
    return why, [v for v in views if why in {_BY_NEIGHBOUR[way] for way in v.kept_off}]


def _unless_leaving(wish: Wish, scene: Scene, otherwise: Reason) -> Reason:
    """Pods in the way that are terminating are waited for."""
    plain = [v for v in otherwise[1] if v.fails == ("kept_off",) and ALONE not in v.kept_off]
    going = [v for v in plain if wish.neighbours.leaving(v.host, scene.now)]
    return (Why.LEAVING, going) if going else otherwise


def _reason_open(inside: list[View]) -> Reason:
    """The reason where some node is large enough, and several things stand in the way on each."""
    usable = [v for v in inside if not v.cordoned]
    if not usable:
        return Why.CORDON, [v for v in inside if not v.hopeless]
    full = [v for v in usable if v.lacks]
    if full:
        return _lacking(Why.FULL, full)
    for why, found in (
        (Why.SPREAD, [v for v in usable if v.spread is not None]),
        (Why.SLOTS, [v for v in usable if v.slots is not None]),
    ):
        if found:
            return why, found
    return Why.POD_COUNT, usable


def _lacking(why: Why, views: list[View]) -> Reason:
    """Too little of something; of branch network interfaces alone, that is a cause of its own."""
    only = [v for v in views if v.lacks and all(lack.resource == BRANCH_INTERFACE for lack in v.lacks)]
    return (Why.BRANCH_INTERFACES, only) if only else (why, views)


def _unless_silent(reason: Reason, allowed: list[View], devices: list[str]) -> Reason:
    """Nodes that should offer a device and do not are why, where those that do offer it have none left of it."""
    why, shown = reason
    wanting = {lack.resource for v in shown for lack in v.lacks} & set(devices)
    if why not in {Why.FULL, Why.LARGER} or not wanting:
        return reason
    if ill := _with_ill_devices(allowed, sorted(wanting)):
        return Why.DEVICES_ILL, ill
    silent = [v for v in allowed if set(v.fails) == {"lacks"} and {k.resource for k in v.lacks} <= wanting]
    found = [v for v in silent if any(promise(v.host, device, offering(allowed, device)) for device in wanting)]
    return (Why.NOT_ADVERTISED, found) if found else reason


def _with_ill_devices(allowed: list[View], devices: list[str]) -> list[View]:
    """The nodes that lack only devices, and would have enough were all that they count as capacity healthy."""
    return [
        v
        for v in allowed
        if set(v.fails) == {"lacks"}
        and {lack.resource for lack in v.lacks} <= set(devices)
        and all(lack.needs <= lack.free + ill_devices(v.host, lack.resource) for lack in v.lacks)
    ]


def offering(views: Sequence[View], device: str) -> frozenset[str]:
    """The instance types of the nodes that offer a device."""
    return frozenset(v.host.labels.get(INSTANCE_TYPE, "") for v in views if v.host.offer(device) > 0)


def _in_use(wish: Wish, views: tuple[View, ...], scene: Scene, otherwise: Reason) -> Reason:
    """The reason where another pod has a claim that is for one pod: that, unless other things decide.

    It also is where that pod's own requests are what fills its node, as an older revision's does in a rollout.
    """
    why, shown = otherwise
    holders = [pod for _, pod in wish.volumes.holders]
    ends = [fields.time_at(pod, "metadata", "deletionTimestamp") for pod in holders]
    if why is Why.FITS:
        ending = all(end is not None and end >= scene.now for end in ends)
        return (Why.LEAVING if ending else Why.IN_USE), shown
    freed = {fields.text(pod, "spec", "nodeName"): pod_requests(pod) for pod in holders}
    for one in views:
        back = freed.get(one.name, {})
        room = all(lack.needs <= lack.free + back.get(lack.resource, 0) for lack in one.lacks)
        if back and one.meant and room and set(one.fails) <= {"lacks", "crowded"}:
            return Why.IN_USE, [one]
    return otherwise
