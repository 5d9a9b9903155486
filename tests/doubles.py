"""A whole cluster in memory behind the seam, for tests of tools: `FakeCluster(pod("cart"), denied={POD: DENIED})`.

It answers as an API server would: by namespace, label selector and field selector, page by page, refusing what the tool
did not declare and names that nothing can have, and it counts requests. `ask` calls a tool over it with the reads that
the tool declared.
"""

import copy
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from builders import NOW

from firstmate_tools import fields as field
from firstmate_tools import kinds
from firstmate_tools.cluster import policy
from firstmate_tools.cluster.base import Access, Listing, LogRequest, Usage
from firstmate_tools.cluster.scrub import scrub
from firstmate_tools.cluster.selectors import field_test, label_test
from firstmate_tools.cluster.wire import get_request, list_request, text_request
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    NotConfiguredError,
    NotInstalledError,
    ObjectNotFoundError,
    ReadError,
    RefusedError,
)
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.reads import Grant, NonResource, PrometheusRead, Read
from firstmate_tools.results import Answer, ClusterIdentity
from firstmate_tools.toolspec import spec_of

T = TypeVar("T")
R = TypeVar("R", bound=Answer)
PAGE = 500
DENIED = DeniedError("Reading it was denied.", "Bind a Role that allows it.")


def kind_of(obj: Obj) -> Kind:
    """The kind of an object; one that is not known by heart is a custom resource with a regular plural."""
    api, name = obj.get("apiVersion", "v1"), obj["kind"]
    group, _, version = api.rpartition("/")
    plural = f"{name.lower()}s"
    return kinds.by_api_version(api, name) or Kind(name, plural, group, version, "namespace" in obj["metadata"])


class FakeCluster:
    """See the module.

    Args:
        objects: what is there, with kind and apiVersion.
        logs: texts by `POD/CONTAINER`, and `POD/CONTAINER/previous` for the run before; or the error of reading it.
        denied: errors of reads, by kind, by (kind, namespace), by "pods/log" or "discovery".
        served: kinds that discovery names beyond those of the objects.
        paths: texts of paths that are no resources, without query; or the error of reading one.
        series: what Prometheus says, by the name of the question; or the error of asking it. None: there is none.
    """

    is_live = True

    def __init__(
        self,
        *objects: Obj,
        logs: dict[str, str | ReadError] | None = None,
        denied: dict[Any, ReadError] | None = None,
        served: Sequence[Kind] = (),
        paths: dict[str, str | ReadError] | None = None,
        series: dict[str, list[Series] | ReadError] | None = None,
        now: datetime = NOW,
        default_namespace: str = "shop",
    ) -> None:
        self.identity = ClusterIdentity(name="prod", server="https://10.0.0.1:6443", version="v1.36.2")
        self.default_namespace = default_namespace
        self.now = now
        self.usage = Usage()
        self.grant: Grant | None = None
        self.asked: list[str] = []
        self.series = series
        self.measured: list[tuple[str, str | None]] = []
        self.texts, self.denied, self.paths = logs or {}, denied or {}, paths or {}
        self.shelves: dict[tuple[str, str], list[Obj]] = {}
        self.served = {kind.resource: kind for kind in (*kinds.KNOWN, *served)}
        for one in objects:
            self.put(one)

    def put(self, one: Obj) -> None:
        kind = kind_of(one)
        self.served.setdefault(kind.resource, kind)
        self.shelves.setdefault((kind.group, kind.plural), []).append(scrub(copy.deepcopy(one), kind))

    def _take(self, kind: Kind, verb: str, what: str, namespace: str | None) -> list[Obj]:
        if self.grant is not None and not self.grant.allows(kind, verb):
            raise RefusedError(f"Nobody declared {verb} on {kind.resource}.")
        self._count(kind.resource, what)
        for key in (kind, (kind, namespace)):
            if key in self.denied:
                raise self.denied[key]
        if kind.resource not in self.served:
            raise NotInstalledError(f"This cluster does not serve {kind.resource}.")
        if kind == kinds.EVENTS_V1:
            return [_newer(one) for one in self.shelves.get(("", "events"), [])]
        return copy.deepcopy(self.shelves.get((kind.group, kind.plural), []))

    def _count(self, resource: str, what: str) -> None:
        self.usage.requests += 1
        self.usage.by_resource[resource] = self.usage.by_resource.get(resource, 0) + 1
        self.asked.append(what)

    def _listed(self, kind: Kind, namespace: str | None, labels: str, fields: str) -> list[Obj]:
        list_request(kind, namespace)  # refuses what no API server takes
        by_label, by_field = label_test(labels), field_test(fields, kind)
        where = f" in {namespace}" if namespace else ""
        chosen = f" where {'; '.join(filter(None, (labels, fields)))}" if labels or fields else ""
        rows = self._take(kind, "list", f"list {kind.resource}{where}{chosen}", namespace)
        inside = [row for row in rows if not kind.namespaced or namespace in (None, field.namespace_of(row))]
        found = [row for row in inside if by_label(row) and by_field(row)]
        found.sort(key=lambda row: (field.namespace_of(row), field.name_of(row)))
        for row in found:
            row.pop("kind", None)
            row.pop("apiVersion", None)
        for _ in range(PAGE, len(found), PAGE):
            self._count(kind.resource, f"next page of {kind.resource}")
        return found

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        form: str = "full",
        limit: int | None = None,
        more: str = "",
    ) -> Listing[Obj]:
        rows = self._listed(kind, namespace, labels, fields)
        if form == "metadata":
            rows = [{"metadata": row["metadata"]} for row in rows]
        if more and not re.fullmatch("[0-9]{1,9}", more):
            raise FailedReadError("The continue token is none of this server's.")  # 400 Bad Request
        start = int(more or 0)
        end = len(rows) if limit is None else min(len(rows), start + limit)
        return Listing(rows[start:end], str(end) if end < len(rows) else "", len(rows) - end)

    async def sweep(
        self,
        kind: Kind,
        reduce: Callable[[Obj], T | None],
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        most: int | None = None,
    ) -> Listing[T]:
        rows = self._listed(kind, namespace, labels, fields)
        end = len(rows) if most is None else min(len(rows), -(-most // PAGE) * PAGE)
        taken = [made for row in rows[:end] if (made := reduce(row)) is not None]
        return Listing(taken, str(end) if end < len(rows) else "", len(rows) - end)

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Obj | None:
        request = get_request(kind, name, namespace)
        rows = self._take(kind, "get", f"get {request.about}", namespace)
        place = namespace if kind.namespaced else ""
        return next((r for r in rows if (field.namespace_of(r), field.name_of(r)) == (place or "", name)), None)

    async def logs(self, request: LogRequest) -> str:
        if self.grant is not None and not self.grant.allows(kinds.POD, "get", "log"):
            raise RefusedError("Nobody declared get on pods/log.")
        key = f"{request.pod}/{request.container}" + ("/previous" if request.previous else "")
        self._count("pods/log", f"log {key}")
        if "pods/log" in self.denied:
            raise self.denied["pods/log"]
        text = self.texts.get(key)
        if text is None:
            raise ObjectNotFoundError(f"There is no log for {key}.")
        if isinstance(text, ReadError):
            raise text
        lines = text.splitlines(keepends=True)
        tail = lines if request.tail_lines is None else lines[max(0, len(lines) - request.tail_lines) :]
        return "".join(tail).encode()[-request.limit_bytes :].decode("utf-8", "replace")

    async def text(self, path: str, *, limit_bytes: int = 50_000_000, only: str = "") -> str:
        request = text_request(path)
        if self.grant is not None:
            policy.check("GET", request.target, None, self.grant)
        self._count(request.path, f"text {path}")
        answer = self.paths.get(request.path)
        if answer is None:
            raise NotInstalledError(f"This cluster does not serve {path}.")
        if isinstance(answer, ReadError):
            raise answer
        return answer

    async def kinds(self) -> Sequence[Kind]:
        self._count("discovery", "discovery")
        if "discovery" in self.denied:
            raise self.denied["discovery"]
        return list(self.served.values())

    async def measure(self, read: PrometheusRead, namespace: str | None = None) -> Sequence[Series]:
        if self.grant is not None and not self.grant.allows_prometheus(read):
            raise RefusedError(f"Nobody declared {read.resource}.")
        if self.series is None:
            raise NotConfiguredError("No Prometheus is configured for prod.", "Name it.")
        self.measured.append((read.name, namespace))
        found = self.series.get(read.name, [])
        if isinstance(found, ReadError):
            raise found
        return [one for one in found if not read.namespaced or namespace in (None, one.label("namespace"))]

    async def access(self, reads: Sequence[Read | NonResource], namespace: str | None) -> Sequence[Access]:
        """What `denied` does not name, by kind or path, is allowed."""
        refused = [isinstance(read, Read) and read.kind in self.denied for read in reads]
        refused = [no or read.resource in self.denied for no, read in zip(refused, reads, strict=True)]
        return [Access(read, namespace or "", not no) for no, read in zip(refused, reads, strict=True)]


def _newer(event: Obj) -> Obj:
    """A core Event as events.k8s.io/v1 serves it (pkg/apis/events/v1/conversion.go)."""
    made = copy.deepcopy(event)
    for old, new in (
        ("involvedObject", "regarding"),
        ("message", "note"),
        ("count", "deprecatedCount"),
        ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
        ("source", "deprecatedSource"),
        ("reportingComponent", "reportingController"),
    ):
        if old in made:
            made[new] = made.pop(old)
    return made


async def ask(tool: Callable[..., Awaitable[R]], cluster: FakeCluster, **arguments: Any) -> R:
    """Calls a tool as the server does: with the reads that it declared, and no others."""
    spec = spec_of(tool)
    assert spec is not None
    cluster.grant = Grant.of(spec.reads())
    return await tool(cluster, **arguments)
