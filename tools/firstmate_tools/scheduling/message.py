"""Reads the scheduler's own sentence, `0/5 nodes are available: 2 Insufficient cpu, 3 node(s) were unschedulable. …`.

Its wording changes between versions, so it only ever supports what was computed from objects, or stands in, marked as
an inference, where nodes or pods may not be read. Wording of v1.24 to v1.36 (pkg/scheduler/framework/plugins).
"""

import re
from dataclasses import dataclass

_COUNTED = re.compile(r"(\d+) (Insufficient [A-Za-z0-9./_-]+|Too many pods|node\(s\) [^,{]*(?:\{[^}]*\})?)")
_TOTAL = re.compile(r"0/(\d+) nodes are available")


@dataclass(frozen=True, slots=True)
class Said:
    """What the scheduler counted.

    Attributes:
        nodes: how many nodes it looked at, 0 where it does not say.
        short: resources of which some node has too little, by name.
        others: how many nodes failed there.
    """

    nodes: int = 0
    short: tuple[str, ...] = ()
    selector: int = 0
    taint: int = 0
    cordon: int = 0
    spread: int = 0
    pods: int = 0
    ports: int = 0
    anti_affinity: int = 0
    affinity: int = 0
    zone: int = 0
    slots: int = 0
    in_use: int = 0


_WORDS = {
    "selector": ("node affinity/selector", "node selector"),
    "taint": ("taint",),
    "cordon": ("were unschedulable",),
    "spread": ("topology spread",),
    "pods": ("Too many pods",),
    "ports": ("free ports",),
    "anti_affinity": ("anti-affinity rules",),
    "affinity": ("match pod affinity rules",),
    "zone": ("PersistentVolume's node affinity", "volume node affinity conflict", "no available volume zone"),
    "slots": ("max volume count",),
    "in_use": ("ReadWriteOncePod",),
}


def said(message: str) -> Said:
    """The counts in a message; zeros where it is no such message."""
    total = _TOTAL.search(message)
    if total is None:
        return Said()
    told = message[total.end() :].partition("preemption:")[0]
    counts = [(int(number), reason) for number, reason in _COUNTED.findall(told)]
    short = {reason.split(" ", 1)[1].rstrip(".") for _, reason in counts if reason.startswith("Insufficient ")}
    failed = {
        field: sum(number for number, reason in counts if any(word in reason for word in words))
        for field, words in _WORDS.items()
    }
    return Said(nodes=int(total.group(1)), short=tuple(sorted(short)), **failed)
