"""Whether a name is one that a controller gives to what it makes: the pods of a workload, by their names alone. Pure.

Events outlive what they are about: of a pod that is gone its name is all that is left. Generated suffixes come from an
alphabet without vowels (k8s.io/apimachinery pkg/util/rand/rand.go, v0.36), so that `cart` is hardly ever taken for the
owner of what belongs to `cart-db`.
"""

import re
from collections.abc import Callable

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_POD = f"{_SAFE}{{5}}"
_HASH = f"{_SAFE}{{6,10}}"
_LONGEST_BASE = 58
"""Longer prefixes are cut before five random characters are added (maxGeneratedNameLength,
k8s.io/apiserver pkg/storage/names/generate.go, v0.36)."""

_PATTERNS: dict[str, dict[str, str]] = {
    "Deployment": {"ReplicaSet": _HASH, "Pod": f"{_HASH}-{_POD}"},
    "ReplicaSet": {"Pod": _POD},
    "DaemonSet": {"Pod": _POD},
    "StatefulSet": {"Pod": r"\d+"},
    "Job": {"Pod": rf"(?:\d+-)?{_POD}"},
    "CronJob": {"Job": r"\d{6,}|manual-.+", "Pod": rf"\d{{6,}}-(?:\d+-)?{_POD}"},
}


def descends(kind: str, name: str) -> Callable[[str, str], bool]:
    """A test whether something of a kind and name is the object itself, or was made by it or below it.

    Args:
        kind, name: of the object.
    """
    patterns = {made: re.compile(f"{re.escape(name)}-(?:{rest})") for made, rest in _PATTERNS.get(kind, {}).items()}
    claims = re.compile(rf".+-{re.escape(name)}-\d+") if kind == "StatefulSet" else None
    cut = f"{name}-"[:_LONGEST_BASE]

    def test(other_kind: str, other_name: str) -> bool:
        if (other_kind, other_name) == (kind, name):
            return True
        if other_kind == "PersistentVolumeClaim" and claims is not None:
            return claims.fullmatch(other_name) is not None
        if other_kind not in patterns:
            return False
        base = other_name[:-5]
        if other_kind == "Pod" and len(base) == _LONGEST_BASE and re.fullmatch(_POD, other_name[-5:]):
            return base.startswith(cut)
        return patterns[other_kind].fullmatch(other_name) is not None

    return test
