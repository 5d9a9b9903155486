"""Waits of scenarios: whether one holds now, and patience until it does.

Called by `apply`. `holds` on given objects is pure; the rest reads from a lab and must never change anything.
"""

from __future__ import annotations

from evals.lab.client import LabClient, Object
from evals.lab.discovery import UnknownKindError
from evals.lab.errors import SetupError
from evals.lab.kubepath import text_at
from evals.lab.scenario import Wait

_EVERY_S = 0.2


def holds(wait: Wait, objects: list[Object]) -> bool:
    """At least one object, and every one satisfies the wait."""
    return bool(objects) and all(_satisfies(wait, one) for one in objects)


def matches(client: LabClient, wait: Wait, home: str) -> list[Object]:
    """The objects that a wait is about; none while their kind is not served."""
    try:
        kind = client.kind(wait.kind)
    except UnknownKindError:
        return []
    namespace = (wait.namespace or home) if kind.namespaced else None
    if wait.name is None:
        return client.list(wait.kind, namespace, selector=wait.selector)
    found = client.get(wait.kind, wait.name, namespace)
    return [found] if found else []


def until(client: LabClient, wait: Wait, home: str) -> None:
    """Waits for a wait.

    Raises:
        SetupError: it did not hold in its time; says what was there instead.
    """
    try:
        client.wait_until(
            str(wait), lambda: holds(wait, matches(client, wait, home)), timeout_s=wait.timeout_s, every_s=_EVERY_S
        )
    except SetupError as error:
        raise SetupError(f"{error}; there {_instead(wait, matches(client, wait, home))}") from error


def _satisfies(wait: Wait, one: Object) -> bool:
    if not _observed(one):
        return False
    if wait.jsonpath is not None:
        return (text_at(one, wait.jsonpath) or "") == wait.value
    kind, _, status = (wait.condition or "").partition("=")
    conditions = one.get("status", {}).get("conditions") or ()
    return any(c["type"] == kind and c["status"].lower() == (status or "True").lower() for c in conditions)


def _observed(one: Object) -> bool:
    """Whether a built-in workload's controller has seen the latest spec; before, its status tells of the one before."""
    if not str(one.get("apiVersion", "")).startswith("apps/"):
        return True
    seen = one.get("status", {}).get("observedGeneration")
    return seen is None or seen >= one["metadata"].get("generation", 0)


def _instead(wait: Wait, objects: list[Object]) -> str:
    if not objects:
        return "is no such object"
    one = next(one for one in objects if not _satisfies(wait, one)) if not holds(wait, objects) else objects[0]
    if wait.jsonpath is not None:
        return f"is {text_at(one, wait.jsonpath)!r} at {one['metadata']['name']}"
    conditions = one.get("status", {}).get("conditions") or ()
    stated = ", ".join(f"{c['type']}={c['status']}" for c in conditions) or "no conditions"
    return f"are {stated} at {one['metadata']['name']}"
