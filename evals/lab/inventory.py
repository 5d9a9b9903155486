"""What is in a lab: every object by path, so that a clean-up can say what a scenario has left behind.

Called before and after a scenario. Reads metadata only, and must never change anything. Events are left out (they come
and go by themselves), and so are kinds that cannot be deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from evals.lab.client import LabClient, Object
from evals.lab.discovery import Kind
from evals.lab.errors import ApiError

# Made and deleted by controllers of the control plane itself, next to the object that they belong to.
_FOLLOWERS = {("", "Event"), ("events.k8s.io", "Event"), ("networking.k8s.io", "IPAddress"), ("", "Endpoints")}
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: where it is, and the parts of its metadata that a clean-up needs."""

    kind: Kind
    name: str
    namespace: str
    uid: str
    finalizers: tuple[str, ...]
    deleting: bool

    @property
    def path(self) -> str:
        return self.kind.path(self.name, self.namespace or None)


@dataclass(slots=True)
class Ledger:
    """What a scenario did to a lab, written down while it happens, so that a half-applied one can be undone too.

    Attributes:
        before: uid by path of everything that was there.
        originals: by path, the objects that were there and that the scenario applied over.
    """

    before: dict[str, str]
    originals: dict[str, Object] = field(default_factory=dict[str, Object])

    def is_new(self, entry: Entry) -> bool:
        return entry.path not in self.before


def take(client: LabClient) -> list[Entry]:
    """Everything in the lab that can be listed and deleted, each object once."""
    seen: dict[tuple[str, str], Kind] = {}
    for kind in client.discovery.all():
        if {"list", "delete"} <= kind.verbs and (kind.group, kind.kind) not in _FOLLOWERS:
            seen.setdefault((kind.group, kind.resource), kind)  # the preferred version comes first
    return [entry for kind in seen.values() for entry in of_kind(client, kind)]


def of_kind(client: LabClient, kind: Kind, namespace: str | None = None) -> Iterator[Entry]:
    """The objects of one kind; none while its server does not answer (an aggregated API that a scenario broke)."""
    path = kind.path(None, namespace) if namespace else kind.path_everywhere()
    try:
        answer = client.request("GET", path, accept=_METADATA_ONLY)
    except ApiError as error:
        if error.status in {404, 405, 503}:
            return
        raise
    for item in answer.get("items") or ():
        metadata: dict[str, Any] = item["metadata"]
        yield Entry(
            kind=kind,
            name=metadata["name"],
            namespace=metadata.get("namespace", ""),
            uid=metadata["uid"],
            finalizers=tuple(metadata.get("finalizers", ())),
            deleting="deletionTimestamp" in metadata,
        )
