"""What Cluster Autoscaler says of its node groups, and why it did not add a node for a pod. Pure.

Its status stands in a ConfigMap: YAML since Cluster Autoscaler 1.30 (cluster-autoscaler/clusterstate/api/types.go),
plain text before (clusterstate/api/utils.go). Its reasons stand in events about the pod
(processors/status/eventing_scale_up_processor.go); a message that gives none means that it knows no node group.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

STATUS = Ref("ConfigMap", "kube-system", "cluster-autoscaler-status")
"""The default of --status-config-map-name and --namespace."""
NOT_TRIGGERED, TRIGGERED = "NotTriggerScaleUp", "TriggeredScaleUp"
FULL, BACKOFF, LIMIT = "max node group size reached", "in backoff after failed scale-up", "limit reached"
_REASON = re.compile(r"(\d+) (.+?)(?=, \d+ |$)")
_OLD_GROUP = re.compile(r"^\s*Name:\s*(\S+)")
_OLD_SIZE = re.compile(r"cloudProviderTarget=(\d+) \(minSize=(\d+), maxSize=(\d+)")
_OLD_SCALE_UP = re.compile(r"^\s*ScaleUp:\s*(\w+)")
MOST = 100_000


@dataclass(frozen=True, slots=True, order=True)
class NodeGroup:
    """One node group, as the autoscaler sees it.

    Attributes:
        why: why it is in backoff, "" where it is not.
    """

    name: str
    target: int
    least: int
    most: int
    backoff: bool = False
    why: str = ""

    @property
    def full(self) -> bool:
        return self.most > 0 and self.target >= self.most


def groups(facts: Facts) -> list[NodeGroup]:
    """The node groups, by name; [] where the status was not read or says nothing."""
    return facts.derived(_groups)


def _groups(facts: Facts) -> list[NodeGroup]:
    text = fields.text(facts.get(STATUS) or {}, "data", "status")[:MOST]
    return sorted({group.name: group for group in parsed(text)}.values())


def parsed(text: str) -> list[NodeGroup]:
    """The node groups of a status, of either form."""
    if not text.strip():
        return []
    if text.lstrip().startswith("Cluster-autoscaler status"):
        return list(_of_text(text))
    import yaml

    try:
        status: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    return list(_of_yaml(cast("Obj", status))) if isinstance(status, dict) else []


def _of_yaml(status: Obj) -> Iterator[NodeGroup]:
    for entry in fields.items(status, "nodeGroups"):
        health, up = fields.mapping(entry, "health"), fields.mapping(entry, "scaleUp")
        yield NodeGroup(
            fields.text(entry, "name"),
            fields.number(health, "cloudProviderTarget"),
            fields.number(health, "minSize"),
            fields.number(health, "maxSize"),
            fields.text(up, "status") == "Backoff",
            " ".join(filter(None, (fields.text(up, "backoffInfo", key) for key in ("errorCode", "errorMessage")))),
        )


def _of_text(text: str) -> Iterator[NodeGroup]:
    name, size = "", (0, 0, 0)
    for line in text.splitlines():
        if found := _OLD_GROUP.match(line):
            name = found.group(1)
        elif found := _OLD_SIZE.search(line):
            size = (int(found.group(1)), int(found.group(2)), int(found.group(3)))
        elif name and (found := _OLD_SCALE_UP.match(line)):
            yield NodeGroup(name, *size, found.group(1) == "Backoff")
            name = ""


def reasons(message: str) -> list[tuple[int, str]]:
    """How many node groups did not help, and why: `[(2, "max node group size reached")]`."""
    told = message.partition(":")[2].strip()
    return [(int(count[:6]), reason.strip()) for count, reason in _REASON.findall(told[:4000])]


def refusal(facts: Facts, pod: Ref, uid: str) -> EventRow | None:
    """The newest word of the autoscaler on a pod, where it is that it does not help."""
    rows = facts.events(pod, NOT_TRIGGERED, TRIGGERED)
    newest = next((row for row in rows if row.about_uid in {"", uid}), None)
    return newest if newest is not None and newest.reason == NOT_TRIGGERED else None


def helped(facts: Facts, pod: Ref, uid: str) -> bool:
    """Whether the newest word is that a node is on its way."""
    rows = facts.events(pod, NOT_TRIGGERED, TRIGGERED)
    return bool(rows) and rows[0].reason == TRIGGERED and rows[0].about_uid in {"", uid}
