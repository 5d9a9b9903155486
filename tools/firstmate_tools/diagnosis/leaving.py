"""What is being deleted and does not go: objects with finalizers, and namespaces. Pure.

A deletion is asked for once and then waits, without an event, for as long as anybody's finalizer stands. Conditions of
a namespace are those of its deletion controller (pkg/controller/namespace/deletion/status_condition_utils.go, v1.36).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, ref_of

KINDS: tuple[Kind, ...] = (
    kinds.POD,
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.CRON_JOB,
    kinds.SERVICE,
    kinds.INGRESS,
    kinds.PERSISTENT_VOLUME_CLAIM,
    kinds.HORIZONTAL_POD_AUTOSCALER,
    kinds.POD_DISRUPTION_BUDGET,
    kinds.NETWORK_POLICY,
    kinds.PERSISTENT_VOLUME,
    kinds.NODE,
)
"""Kinds that a question lists anyway, or that another rule may have listed."""
_WAITED_FOR = re.compile(r"(?:remaining: |, )([^\s,]+) in (\d+) resource instances?")
_REMAINING = re.compile(r"(?:remaining: |, )([^\s,]+?)\.? has (\d+) resource instances?")


@dataclass(frozen=True, slots=True)
class Leaving:
    """An object that is being deleted and has finalizers.

    Attributes:
        since: when its deletion was asked for; for a pod, when its grace period ended.
    """

    ref: Ref
    obj: Obj
    finalizers: tuple[str, ...]
    since: datetime


def leaving(facts: Facts) -> list[Leaving]:
    """The objects in scope that wait for finalizers, by kind and name; not those of namespaces that are going."""
    return facts.derived(_leaving)


def _leaving(facts: Facts) -> list[Leaving]:
    found: list[Leaving] = []
    for kind in KINDS:
        for obj in facts.all(kind):
            since = fields.time_at(obj, "metadata", "deletionTimestamp")
            finalizers = fields.strings(obj, "metadata", "finalizers")
            if since is not None and finalizers and not _going(facts, obj):
                found.append(Leaving(ref_of(obj, kind), obj, tuple(finalizers), since))
    return found


def _going(facts: Facts, obj: Obj) -> bool:
    namespace = facts.get(Ref("Namespace", "", fields.namespace_of(obj)))
    return namespace is not None and terminating(namespace)


def emptied(facts: Facts) -> bool:
    """Whether a question about one namespace found signs that the namespace itself is being deleted: whatever there is
    of workloads and pods is going, and nothing stays."""
    place = facts.scope.namespace
    if place is None:
        return False
    every = [obj for kind in (*KINDS, kinds.SERVICE_ACCOUNT) if kind.namespaced for obj in facts.all(kind)]
    return all(fields.text(obj, "metadata", "deletionTimestamp") for obj in every)


def namespaces(facts: Facts) -> list[Obj]:
    """The namespaces within the scope that are being deleted, as far as they were read."""
    place = facts.scope.namespace
    found = [obj for obj in facts.everywhere(kinds.NAMESPACE) if place in {None, fields.name_of(obj)}]
    return [obj for obj in found if terminating(obj)]


def terminating(namespace: Obj) -> bool:
    deleted = fields.text(namespace, "metadata", "deletionTimestamp")
    return bool(deleted) or fields.text(namespace, "status", "phase") == "Terminating"


def says(namespace: Obj, condition: str) -> Obj:
    """A condition of a namespace's deletion that is True, {} where it is not."""
    found = fields.condition(namespace, condition)
    return found if found.get("status") == "True" else {}


def waited_for(namespace: Obj) -> dict[str, int]:
    """The finalizers that the content of a namespace waits for, with the number of objects."""
    return dict(_counted(_WAITED_FOR, says(namespace, "NamespaceFinalizersRemaining")))


def remaining(namespace: Obj) -> dict[str, int]:
    """The resources of which a namespace still has objects (`widgets.acme.io`, `pods`), with their number."""
    return dict(_counted(_REMAINING, says(namespace, "NamespaceContentRemaining")))


def _counted(pattern: re.Pattern[str], condition: Obj) -> Iterator[tuple[str, int]]:
    for name, number in pattern.findall(fields.text(condition, "message")):
        yield name, int(number[:9])
