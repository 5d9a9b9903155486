"""Asks a recording again after changes that must not change the answer, and says where it does.

Called by the runner for `--check-invariance`. What is compared is root causes: slug, object and severity.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from evals.lab import altered
from evals.lab.held import Held, load, save
from firstmate_tools.cluster.base import Cluster, Listing
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

T = TypeVar("T")
SEED = 20261121


class Shuffled:
    """A cluster whose lists come in any order, and so do conditions and statuses within their objects."""

    def __init__(self, cluster: Cluster, seed: int = SEED) -> None:
        self._cluster = cluster
        self._random = random.Random(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def list(self, kind: Kind, **how: Any) -> Listing[Obj]:
        found = await self._cluster.list(kind, **how)
        return Listing([self._mixed(one) for one in self._shuffled(found.items)], found.more, found.remaining)

    async def sweep(self, kind: Kind, reduce: Callable[[Obj], T | None], **how: Any) -> Listing[T]:
        found = await self._cluster.sweep(kind, lambda obj: reduce(self._mixed(obj)), **how)
        return Listing(self._shuffled(found.items), found.more, found.remaining)

    def _shuffled(self, items: list[T]) -> list[T]:
        mixed = list(items)
        self._random.shuffle(mixed)
        return mixed

    def _mixed(self, obj: Obj) -> Obj:
        status = obj.get("status")
        if not isinstance(status, dict):
            return obj
        loose = ("conditions", "containerStatuses", "initContainerStatuses")
        return {
            **obj,
            "status": {k: self._shuffled(v) if k in loose and isinstance(v, list) else v for k, v in status.items()},
        }


Ask = Callable[..., Any]
"""`await ask(folder, scope, namespace, around)`: the answer of a recording, with the cluster wrapped by `around`."""
Rooted = tuple[str, str, str]


async def variances(path: Path, scope: str, namespace: str | None, ask: Ask) -> list[str]:
    """Sentences about every change that changed the root causes of a recording.

    Args:
        path: the recording.
        scope: what is asked, and of which namespace.
        ask: asks a recording in a folder.
    """
    held = load(path)
    plain = roots(await _asked(held, ask, scope, namespace))
    found = _differences("shuffled", plain, roots(await _asked(held, ask, scope, namespace, Shuffled)))
    names = altered.new_names(held)
    new = altered.renamer(names)
    answer = await _asked(altered.renamed(held, names), ask, new(scope), new(namespace) if namespace else None)
    kept = tuple(altered.GROUPS.values())
    wanted = [(cause, place if place.startswith(kept) else new(place), severity) for cause, place, severity in plain]
    found += _differences("renamed", wanted, roots(answer))
    home = scope.removeprefix("namespace/") if scope.startswith("namespace/") else namespace
    answer = await _asked(altered.accompanied(held, home), ask, scope, namespace)
    found += _differences("with company", plain, roots(answer))
    if (more := altered.split(held)) is not None:
        found += _differences("split over more replicas", plain, roots(await _asked(more, ask, scope, namespace)))
    return found


async def _asked(
    held: Held, ask: Ask, scope: str, namespace: str | None, around: Callable[[Cluster], Any] | None = None
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="firstmate-lab-") as folder:
        save(held, Path(folder))
        return await ask(Path(folder), scope, namespace, around)


def roots(answer: dict[str, Any]) -> list[Rooted]:
    """Slug, object and severity of each root cause, sorted."""
    found: list[Rooted] = []
    for root in answer.get("root_causes") or ():
        where = root["object"]
        place = f"{where['kind']}/{where.get('namespace') or ''}/{where['name']}"
        found.append((root["cause"], place, root["severity"]))
    return sorted(found)


def _differences(how: str, wanted: list[Rooted], got: list[Rooted]) -> list[str]:
    lost = [f"{how}: no longer {cause} ({severity}) at {place}" for cause, place, severity in wanted]
    new = [f"{how}: now {cause} ({severity}) at {place}" for cause, place, severity in got]
    kept_lost = [line for one, line in zip(wanted, lost, strict=True) if one not in got]
    return kept_lost + [line for one, line in zip(got, new, strict=True) if one not in wanted]
