"""Scores an answer against what a scenario expects. Pure functions: an answer can be scored again, years later.

Called by the runner with the whole answer of `diagnose --format json`. Must never look at a cluster: what is not in the
answer does not count, and whether a pod belongs to a workload is read from its name.

- first: the first root cause is right. With two faults: it is either of them.
- in_three: the right root cause is among the first three. With two faults: both are.
- false alarms: on a healthy cluster every root cause that is warning or worse; on a broken one those in `must_not`.
- noise: further root causes (warning or worse) that are neither right, nor acceptable, nor false alarms already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evals.lab.scenario import Expect, ObjectRef

_ALARMING = {"critical", "warning"}
# What Kubernetes appends to a generated name, and writes pod-template hashes with (apimachinery, util/rand).
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_REPLICASET_SUFFIX = rf"-{_RANDOM}{{1,10}}"
_POD_SUFFIX = rf"-{_RANDOM}{{5}}"
_POD_OF = {
    "Deployment": _REPLICASET_SUFFIX + _POD_SUFFIX,
    "ReplicaSet": _POD_SUFFIX,
    "ReplicationController": _POD_SUFFIX,
    "DaemonSet": _POD_SUFFIX,
    "StatefulSet": r"-\d+",
    "Job": rf"(-\d+)?{_POD_SUFFIX}",
    "CronJob": rf"-\d+(-\d+)?{_POD_SUFFIX}",
}


@dataclass(frozen=True, slots=True)
class Score:
    """One scenario's marks."""

    first: bool
    in_three: bool
    false_alarms: int
    noise: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One expected root cause; without an object its slug alone decides."""

    cause: str
    object: ObjectRef | None


WRONG = Score(first=False, in_three=False, false_alarms=0, noise=0)


def score(expect: Expect, answer: dict[str, Any] | None) -> Score:
    """The marks for an answer; an answer that never came is wrong.

    Args:
        expect: what the scenario expects.
        answer: the diagnosis as `diagnose --format json` gives it, or None.
    """
    if answer is None:
        return WRONG
    roots: list[dict[str, Any]] = answer.get("root_causes") or []
    if expect.healthy:
        alarms = sum(_alarming(root) for root in roots)
        return Score(first=not alarms, in_three=not alarms, false_alarms=alarms, noise=0)
    faults = faults_of(expect)
    in_three = all(any(_names(expect, fault, root, at) for at, root in enumerate(roots[:3])) for fault in faults)
    first = bool(roots) and any(_names(expect, fault, roots[0], 0) for fault in faults)
    false_alarms = sum(root["cause"] in expect.must_not for root in roots)
    noise = sum(_alarming(root) and _is_noise(expect, faults, root, at) for at, root in enumerate(roots))
    return Score(first, in_three, false_alarms, noise)


def faults_of(expect: Expect) -> list[Fault]:
    """The expected root causes with their objects: `objects` in order, or `object` for the first."""
    objects: Sequence[ObjectRef | None] = expect.objects or (expect.object,)
    padded = [*objects, *[None] * len(expect.root_causes)]
    return [Fault(cause, where) for cause, where in zip(expect.root_causes, padded, strict=False)]


def _names(expect: Expect, fault: Fault, root: dict[str, Any], at: int) -> bool:
    """Whether a root cause names a fault: slug and object right. In the first place other slugs may be right too."""
    slugs = {fault.cause, *(expect.also_acceptable if at == 0 else ())}
    return root["cause"] in slugs and _is_object(ref(root), fault, expect.also_objects)


def _is_noise(expect: Expect, faults: list[Fault], root: dict[str, Any], at: int) -> bool:
    if root["cause"] in expect.must_not or root["cause"] in expect.also_acceptable:
        return False
    return not any(_names(expect, fault, root, at) for fault in faults)


def _is_object(given: ObjectRef, fault: Fault, also: Iterable[ObjectRef]) -> bool:
    return fault.object is None or given == fault.object or any(counts_as(given, workload) for workload in also)


def counts_as(given: ObjectRef, listed: ObjectRef) -> bool:
    """Whether an object is the listed one, or a Pod or ReplicaSet of the listed workload."""
    if given == listed:
        return True
    if given.namespace != listed.namespace:
        return False
    suffix = _POD_OF.get(listed.kind) if given.kind == "Pod" else None
    if given.kind == "ReplicaSet" and listed.kind == "Deployment":
        suffix = _REPLICASET_SUFFIX
    return suffix is not None and re.fullmatch(re.escape(listed.name) + suffix, given.name) is not None


def ref(root: dict[str, Any]) -> ObjectRef:
    """The object of a root cause."""
    given: dict[str, str] = root.get("object") or {}
    return ObjectRef(given.get("kind", ""), given.get("namespace") or "", given.get("name", ""))


def _alarming(root: dict[str, Any]) -> bool:
    return root.get("severity") in _ALARMING
