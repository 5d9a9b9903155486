"""A tiny cluster in memory, to be recorded: plain lists, errors where a test asks for them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from firstmate_tools import fields as field
from firstmate_tools.cluster.base import Access, Listing, LogRequest, Usage
from firstmate_tools.errors import ObjectNotFoundError, ReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import KNOWN, Kind
from firstmate_tools.reads import Grant, Read
from firstmate_tools.results import ClusterIdentity

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
ANY = Grant.of([])


def obj(name: str, namespace: str = "", **more: Any) -> Obj:
    """An object as an item of a list."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return {"metadata": metadata, **more}


def pod(
    name: str, namespace: str = "shop", *, restarts: int = 0, waiting: str = "", ready: bool = True, **more: Any
) -> Obj:
    """A pod with one container, `app`."""
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {"startedAt": "2026-03-01T11:00:00Z"}}
    status: Obj = {"name": "app", "ready": ready and not waiting, "restartCount": restarts, "state": state}
    if restarts:
        status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
    conditions = [{"type": "Ready", "status": "True" if ready and not waiting else "False"}]
    return obj(
        name,
        namespace,
        spec={"containers": [{"name": "app", "image": "reg/app:1"}], "nodeName": "a"},
        status={"phase": "Running", "containerStatuses": [status], "conditions": conditions},
        **more,
    )


class MemoryCluster:
    """Answers from lists; `denied` and the like are errors by resource or (resource, namespace)."""

    is_live = True
    default_namespace = "shop"

    def __init__(
        self,
        objects: dict[Kind, list[Obj]],
        *,
        logs: dict[tuple[str, str, str, bool], str] | None = None,
        errors: dict[object, ReadError] | None = None,
        kinds: Sequence[Kind] | None = None,
        server: str = "https://10.0.0.1:6443",
    ) -> None:
        self.objects = {kind.resource: items for kind, items in objects.items()}
        self.texts, self.errors, self.served = logs or {}, errors or {}, list(kinds or KNOWN)
        self.identity = ClusterIdentity(name="prod", server=server, version="v1.36.1")
        self.now = NOW
        self.usage = Usage()
        self.asked: list[tuple[str, str | None]] = []

    def _rows(self, kind: Kind, namespace: str | None) -> list[Obj]:
        self.asked.append((kind.resource, namespace))
        for key in (kind.resource, (kind.resource, namespace)):
            if key in self.errors:
                raise self.errors[key]
        rows = [o for o in self.objects.get(kind.resource, []) if namespace in (None, field.namespace_of(o))]
        return copy.deepcopy(sorted(rows, key=lambda o: f"{field.namespace_of(o)}/{field.name_of(o)}"))

    async def list(self, kind: Kind, *, namespace: str | None = None, **_: Any) -> Listing[Obj]:
        return Listing(self._rows(kind, namespace))

    async def sweep(
        self, kind: Kind, reduce: Callable[[Obj], T | None], *, namespace: str | None = None, **_: Any
    ) -> Listing[T]:
        rows = self._rows(kind, namespace)
        return Listing([row for o in rows if (row := reduce(o)) is not None])

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Obj | None:
        return next((o for o in self._rows(kind, namespace) if field.name_of(o) == name), None)

    async def logs(self, request: LogRequest) -> str:
        key = (request.namespace, request.pod, request.container, request.previous)
        if key in self.errors:
            raise self.errors[key]
        if key not in self.texts:
            raise ObjectNotFoundError("no such run")
        lines = self.texts[key].splitlines(keepends=True)
        if request.tail_lines is not None:
            lines = lines[-request.tail_lines :]
        if not request.timestamps:
            lines = [line.split(" ", 1)[1] for line in lines]
        return "".join(lines)

    async def kinds(self) -> Sequence[Kind]:
        if "discovery" in self.errors:
            raise self.errors["discovery"]
        return self.served

    async def access(self, reads: Sequence[Read], namespace: str | None) -> Sequence[Access]:
        return [Access(read, namespace or "", True) for read in reads]
