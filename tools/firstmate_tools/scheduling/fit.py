"""Why no node takes a pod: every predicate on every node, then the one reason that an operator would name.

The reasons are asked in the order in which they narrow the nodes down: first the nodes that the pod is meant for
(labels), then those that let it in (taints), then those that are open (cordons), then those where spreading allows it,
and only then who has room.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, pod_requests
from firstmate_tools.scheduling import capacity, predicates
from firstmate_tools.scheduling.capacity import Host, Shortage
from firstmate_tools.scheduling.neighbours import NOBODY, Neighbours, neighbours
from firstmate_tools.scheduling.scene import Scene
from firstmate_tools.scheduling.spread import Blocked, Counted, counted


class Why(Enum):
    """The reason why a pod has no node."""

    FITS = "some node passes every predicate that is known here"
    SELECTOR = "no node has the labels of the nodeSelector"
    AFFINITY = "no node satisfies the required node affinity, alone or together with the selector"
    TAINT = "every node that it is meant for has a taint that it does not tolerate"
    NODE_STATE = "a node would take it, were it not marked as ill, starting or going"
    CORDON = "a node would take it, were it not cordoned"
    SPREAD = "a node has room, and a spread constraint forbids it"
    NEIGHBOURS = "pods that are there keep it off every node that would take it (affinity, ports)"
    POD_COUNT = "a node has room, and holds as many pods as it may"
    LARGER = "it would not fit on the emptiest of its nodes"
    FULL = "its nodes have too little left"
    NOT_ADVERTISED = "it asks for a device that none of its nodes has"
    LEAVING = "a node has room once the pods that are terminating have gone"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pod asks of a node, taken from its spec once."""

    asks: Amounts
    selector: dict[str, str]
    required: Obj | None
    tolerations: list[Obj]
    ignores_cordons: bool
    spread: tuple[Counted, ...]
    neighbours: Neighbours

    @staticmethod
    def of(pod: Obj, spread: Iterable[Counted] = (), neighbours: Neighbours = NOBODY) -> "Wish":
        """The wish of a pod, or of a pod template."""
        return Wish(
            asks=pod_requests(pod),
            selector=predicates.node_selector(pod),
            required=predicates.required_affinity(pod),
            tolerations=predicates.tolerations(pod),
            ignores_cordons=predicates.ignores_cordons(pod),
            spread=tuple(spread),
            neighbours=neighbours,
        )


@dataclass(frozen=True, slots=True)
class View:
    """What one node says to one pod.

    Attributes:
        meant: whether the pod's selector (`selected`) and its required affinity both allow the node.
        taints: what it does not tolerate, but for taints that tell the node's state.
        state: the taints that do.
        spread: the first constraint that forbids the node.
        lacks: what is missing.
        crowded: whether it holds as many pods as it may.
        later: whether it would have room once terminating pods have gone.
        kept_off: whether pods that are there keep it off, by affinity or host ports.
        fails: which of `taints`, `state`, `cordoned`, `spread`, `lacks`, `crowded` and `kept_off` hold, in this order.
    """

    host: Host
    selected: bool
    meant: bool
    taints: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    cordoned: bool = False
    spread: Blocked | None = None
    lacks: tuple[Shortage, ...] = ()
    crowded: bool = False
    later: bool = False
    kept_off: bool = False
    fails: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def lets_in(self) -> bool:
        return not self.taints and not self.state

    @property
    def aside(self) -> bool:
        """Whether it is a control-plane node that keeps workloads out, as such nodes do."""
        return self.host.control_plane and (bool(self.taints) or self.cordoned)

    @property
    def hopeless(self) -> bool:
        return any(lack.hopeless for lack in self.lacks)

    def fits_later(self) -> bool:
        return self.later and set(self.fails) <= {"lacks", "crowded"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a pod has no node, with the nodes that show it.

    Attributes:
        why: the reason.
        asks: the pod's requests.
        shown: the nodes that show the reason: those that it is meant for, those that would take it, or those that
            lack something; by name.
        spread: the counts behind the constraints.
        views: every node.
    """

    why: Why
    asks: Amounts
    shown: tuple[View, ...]
    spread: tuple[Counted, ...]
    views: tuple[View, ...]

    @property
    def nodes(self) -> int:
        return len(self.views)


def judge(pod: Obj, scene: Scene) -> Verdict:
    """Why no node takes a pod.

    Args:
        pod: a pod without a node, or a pod template with a namespace.
        scene: the cluster; the pods of the pod's own namespace at least have to be known.
    """
    nodes = [host.node for host in scene.hosts]
    own = scene.by_namespace.get(fields.namespace_of(pod), [])
    wish = Wish.of(pod, counted(pod, nodes, own), neighbours(pod, scene))
    views = tuple(view(wish, host) for host in scene.hosts)
    why, shown = _reason(pod, wish.asks, views)
    return Verdict(why, wish.asks, tuple(shown), wish.spread, views)


def view(wish: Wish, host: Host) -> View:
    """What one node says to one pod; of a node that the pod is not meant for, no more than that."""
    selected = predicates.has_all(wish.selector, host.labels)
    if not (selected and predicates.satisfies(wish.required, host.labels, host.name)):
        return View(host, selected, meant=False)
    taints = predicates.untolerated(wish.tolerations, host.taints) if host.taints else []
    own = tuple(predicates.show_taint(t) for t in taints if not predicates.tells_state(t))
    state = tuple(predicates.show_taint(t) for t in taints if predicates.tells_state(t))
    cordoned = host.cordoned and not wish.ignores_cordons
    spread = next((blocked for c in wish.spread if (blocked := c.blocks(host.labels)) is not None), None)
    lacks, crowded = capacity.shortages(wish.asks, host), capacity.pods_full(host)
    later = bool(host.load.leaving_pods) and capacity.fits_later(wish.asks, host)
    kept_off = wish.neighbours.keep_off(host)
    obstacles = zip(_OBSTACLES, (own, state, cordoned, spread, lacks, crowded, kept_off), strict=True)
    fails = tuple(name for name, there in obstacles if there)
    return View(host, True, True, own, state, cordoned, spread, lacks, crowded, later, kept_off, fails)


_OBSTACLES = ("taints", "state", "cordoned", "spread", "lacks", "crowded", "kept_off")


def _reason(pod: Obj, asks: Amounts, views: tuple[View, ...]) -> tuple[Why, Sequence[View]]:
    allowed = [v for v in views if v.meant]
    if not allowed:
        none_selected = bool(predicates.node_selector(pod)) and not any(v.selected for v in views)
        return (Why.SELECTOR if none_selected else Why.AFFINITY), []
    # A device is a wish for nodes that have it, as much as a label is.
    devices = [resource for resource, amount in asks.items() if amount > 0 and is_extended(resource)]
    meant = [v for v in allowed if all(v.host.offer(device) > 0 for device in devices)]
    if not meant:
        return Why.NOT_ADVERTISED, allowed
    meant = [v for v in meant if not v.aside] or meant
    for alone, why in (((), Why.FITS), (("state",), Why.NODE_STATE)):
        found = [v for v in meant if v.fails == alone]
        if found:
            return why, found
    inside = [v for v in meant if v.lets_in]
    if inside:
        return _reason_inside(inside)
    tainted = [v for v in meant if v.taints]
    return (Why.TAINT, tainted) if tainted else (Why.NODE_STATE, meant)


def _reason_inside(inside: list[View]) -> tuple[Why, Sequence[View]]:
    """The reason among the nodes whose labels and taints would have the pod."""
    if all(v.hopeless for v in inside):
        return Why.LARGER, inside
    apart = [v for v in inside if not v.kept_off]
    if not apart:
        return Why.NEIGHBOURS, inside
    later = [v for v in apart if v.fits_later()]
    if later:
        return Why.LEAVING, later
    for what, why in (("cordoned", Why.CORDON), ("spread", Why.SPREAD), ("crowded", Why.POD_COUNT)):
        found = [v for v in apart if v.fails == (what,)]
        if found:
            return why, found
    return _reason_open(apart)


def _reason_open(inside: list[View]) -> tuple[Why, Sequence[View]]:
    """The reason where some node is large enough, and several things stand in the way on each."""
    usable = [v for v in inside if not v.cordoned]
    if not usable:
        return Why.CORDON, [v for v in inside if not v.hopeless]
    full = [v for v in usable if v.lacks]
    if full:
        return Why.FULL, full
    spread = [v for v in usable if v.spread is not None]
    return (Why.SPREAD, spread) if spread else (Why.POD_COUNT, usable)


def is_extended(resource: str) -> bool:
    """Whether a resource is one that a device plugin or an operator advertises, such as `nvidia.com/gpu`."""
    return "/" in resource and not resource.startswith("kubernetes.io/")
