"""What one node says to one pod: every predicate, evaluated once, and which of them stand in the way."""

from collections.abc import Iterable
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, pod_requests
from firstmate_tools.scheduling import capacity, predicates
from firstmate_tools.scheduling.capacity import Host, Shortage
from firstmate_tools.scheduling.neighbours import NOBODY, Neighbours, neighbours
from firstmate_tools.scheduling.scene import Scene
from firstmate_tools.scheduling.spread import Blocked, Counted, counted
from firstmate_tools.scheduling.volumes import NO_VOLUMES, Pin, Slots, Volumes, volumes_of


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pod asks of a node, taken from its spec and its surroundings once."""

    asks: Amounts
    selector: dict[str, str]
    required: Obj | None
    tolerations: list[Obj]
    ignores_cordons: bool
    spread: tuple[Counted, ...]
    neighbours: Neighbours
    volumes: Volumes

    @staticmethod
    def of(
        pod: Obj, spread: Iterable[Counted] = (), neighbours: Neighbours = NOBODY, volumes: Volumes = NO_VOLUMES
    ) -> "Wish":
        """The wish of a pod, or of a pod template."""
        return Wish(
            asks=pod_requests(pod),
            selector=predicates.node_selector(pod),
            required=predicates.required_affinity(pod),
            tolerations=predicates.tolerations(pod),
            ignores_cordons=predicates.ignores_cordons(pod),
            spread=tuple(spread),
            neighbours=neighbours,
            volumes=volumes,
        )

    @staticmethod
    def amid(pod: Obj, scene: Scene) -> "Wish":
        """The wish of a pod in a cluster, whose pods and volumes limit where it may go."""
        own = scene.by_namespace.get(fields.namespace_of(pod), [])
        spread = counted(pod, [host.node for host in scene.hosts], own)
        return Wish.of(pod, spread, neighbours(pod, scene), volumes_of(pod, scene.bound, scene.stores))


@dataclass(frozen=True, slots=True)
class View:
    """What one node says to one pod.

    Attributes:
        meant: whether the pod's selector (`selected`) and its required affinity both allow the node.
        taints: what it does not tolerate, but for taints that tell the node's state.
        state: the taints that do.
        elsewhere: volumes of the pod that cannot be used there.
        spread: the first constraint that forbids the node.
        lacks: what is missing.
        crowded: whether it holds as many pods as it may.
        slots: the driver that can attach no more volumes there.
        later: whether it would have room once terminating pods have gone.
        kept_off: how pods that are there keep it off, by affinity or host ports.
        fails: which of the obstacles above hold, by name, in this order.
    """

    host: Host
    selected: bool
    meant: bool
    taints: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    cordoned: bool = False
    elsewhere: tuple[Pin, ...] = ()
    spread: Blocked | None = None
    lacks: tuple[Shortage, ...] = ()
    crowded: bool = False
    slots: Slots | None = None
    later: bool = False
    kept_off: tuple[str, ...] = ()
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


_OBSTACLES = ("taints", "state", "cordoned", "elsewhere", "spread", "lacks", "crowded", "slots", "kept_off")


def view(wish: Wish, host: Host) -> View:
    """What one node says to one pod; of a node that the pod is not meant for, no more than that."""
    selected = predicates.has_all(wish.selector, host.labels)
    if not (selected and predicates.satisfies(wish.required, host.labels, host.name)):
        return View(host, selected, meant=False)
    taints = predicates.untolerated(wish.tolerations, host.taints) if host.taints else []
    own = tuple(predicates.show_taint(t) for t in taints if not predicates.tells_state(t))
    state = tuple(predicates.show_taint(t) for t in taints if predicates.tells_state(t))
    cordoned = host.cordoned and not wish.ignores_cordons
    elsewhere, slots = wish.volumes.elsewhere(host), wish.volumes.over(host)
    spread = next((blocked for c in wish.spread if (blocked := c.blocks(host.labels)) is not None), None)
    lacks, crowded = capacity.shortages(wish.asks, host), capacity.pods_full(host)
    later = bool(host.load.leaving_pods) and capacity.fits_later(wish.asks, host)
    kept_off = wish.neighbours.keep_off(host)
    there = (own, state, cordoned, elsewhere, spread, lacks, crowded, slots, kept_off)
    fails = tuple(name for name, holds in zip(_OBSTACLES, there, strict=True) if holds)
    return View(
        host, True, True, own, state, cordoned, elsewhere, spread, lacks, crowded, slots, later, kept_off, fails
    )
