"""Which evidence lacks a time that its object has, for tests: looked up by simple means of its own."""

import re
from collections.abc import Iterable
from typing import Any

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.link import Root

DATED = re.compile(r"^events?[ \[]|conditions\[|\.(state|lastState)\b|deletionTimestamp")
"""Fields that name a condition, an event, a container's state or a deletion."""


def undated(roots: Iterable[Root], facts: Facts) -> list[str]:
    """Cause and field of evidence that names one of these, has no time, and whose object tells it."""
    return [
        f"{root.finding.cause}: {one.field}"
        for root in roots
        for one in root.finding.evidence
        if one.at is None and DATED.search(one.field) and _tells(facts, one.object, one.field)
    ]


def _tells(facts: Facts, about: Any, field: str) -> bool:
    obj = facts.get(about) or {}
    inner = re.findall(r"\[([^\]]*)\]", field)
    if field.startswith("event"):
        reason = inner[0] if inner else field.partition(" ")[2]
        return any(row.last for row in facts.events(about, reason))
    if "conditions[" in field:
        return bool(fields.time_at(fields.condition(obj, inner[-1]), "lastTransitionTime"))
    if "deletionTimestamp" in field:
        return bool(fields.time_at(obj, "metadata", "deletionTimestamp"))
    statuses = [
        *fields.items(obj, "status", "containerStatuses"),
        *fields.items(obj, "status", "initContainerStatuses"),
    ]
    ends = [
        fields.time_at(one, state, "terminated", "finishedAt")
        for one in statuses
        for state in ("state", "lastState")
        if one.get("name") in inner
    ]
    return any(ends)
