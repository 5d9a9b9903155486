"""What one tool call sees of a live cluster.

`LiveSource.open` makes one for each call. Everything goes out through the source's one gateway. Must never import the
Kubernetes client, aiohttp or botocore.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from firstmate_tools.errors import (
    ConfigurationError,
    FailedReadError,
    NotConfiguredError,
    ObjectNotFoundError,
    UsageError,
)
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import POD, Kind
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.prometheus.reader import Prometheus
from firstmate_tools.reads import NonResource, PrometheusRead, Read
from firstmate_tools.results import ClusterIdentity

from .access import review
from .answers import UnhealthyError
from .base import Access, Cluster, Form, Listing, LogRequest, Usage
from .flights import Sink, Whole
from .gateway import Call, Gateway
from .logtail import LogTail
from .paging import Plan, page_size, walk
from .parse import lines_with, parse_item, plain_text
from .wire import JSON, LOG, METADATA, Request, get_request, text_request

if TYPE_CHECKING:
    from .live import LiveSource

T = TypeVar("T")

_LOGS_GONE = re.compile(r"unable to retrieve container logs for \S+\s*")


class LiveCluster:
    """One tool call's view of a live cluster; see `base.Cluster` for every method's contract."""

    def __init__(
        self,
        source: "LiveSource",
        gateway: Gateway,
        call: Call,
        identity: ClusterIdentity,
        prometheus: Prometheus | None = None,
    ) -> None:
        self._source = source
        self._gateway = gateway
        self._call = call
        self._identity = identity
        self._prometheus = prometheus
        self._page = page_size(identity.version)

    @property
    def identity(self) -> ClusterIdentity:
        return self._identity

    @property
    def default_namespace(self) -> str:
        return self._gateway.connection.namespace

    @property
    def now(self) -> datetime:
        return self._gateway.clock.now()

    @property
    def is_live(self) -> bool:
        return True

    @property
    def usage(self) -> Usage:
        return self._call.usage

    async def _fetch(self, request: Request) -> bytes:
        return await self._gateway.fetch(request, self._call)

    async def _stream(self, request: Request, sink: Sink) -> None:
        await self._gateway.stream(request, self._call, sink)

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        form: Form = "full",
        limit: int | None = None,
        more: str = "",
    ) -> Listing[Obj]:
        if limit is not None and limit < 1:
            raise UsageError(f"A list of at most {limit} objects is none.", "Give a limit of 1 or more.")
        accept, take = (METADATA, _metadata_alone) if form == "metadata" else (JSON, _as_it_is)
        plan = Plan(kind, namespace, labels, fields, accept, limit=limit, more=more, page=self._page)
        return await walk(self._stream, plan, take)

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
        plan = Plan(kind, namespace, labels, fields, most=most, page=self._page)
        return await walk(self._stream, plan, reduce)

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Obj | None:
        request = get_request(kind, name, namespace)
        try:
            body = await self._fetch(request)
        except ObjectNotFoundError:
            return None
        return parse_item(body, kind, request.about)

    async def logs(self, request: LogRequest) -> str:
        query = [("container", request.container)] if request.container else []
        if request.previous:
            query.append(("previous", "true"))
        if request.tail_lines is not None:
            query.append(("tailLines", str(max(0, request.tail_lines))))
        if request.since_seconds is not None:
            query.append(("sinceSeconds", str(max(1, request.since_seconds))))
        if request.timestamps:
            query.append(("timestamps", "true"))
        asked = get_request(POD, request.pod, request.namespace, "log", tuple(query), LOG)
        tail = LogTail(request.limit_bytes)
        await self._stream(asked, tail)
        text = tail.body().decode("utf-8", "replace")
        if _LOGS_GONE.fullmatch(text):
            # The kubelet answers 200 with this sentence when the runtime has removed the container (kubelet v1.36,
            # pkg/kubelet/kuberuntime/kuberuntime_container.go).
            raise ObjectNotFoundError(f"The node no longer holds the log of {asked.about}.")
        return text

    async def text(self, path: str, *, limit_bytes: int = 50_000_000, only: str = "") -> str:
        whole = Whole(limit_bytes)
        try:
            await self._stream(text_request(path), whole)
        except UnhealthyError as unhealthy:
            return plain_text(unhealthy.text)
        return await asyncio.to_thread(lambda: plain_text(lines_with(only, whole.body().decode("utf-8", "replace"))))

    async def measure(self, read: PrometheusRead, namespace: str | None = None) -> Sequence[Series]:
        if self._prometheus is None:
            raise NotConfiguredError(*self._source.why_no_prometheus())
        counts = self._call.usage.by_resource
        counts[read.resource] = counts.get(read.resource, 0) + 1
        try:
            return await self._prometheus.ask(read, namespace)
        except ConfigurationError as error:  # where a secret lies on this machine is no caller's business
            how = "See that the server can read its token_file, password_file or ca_file."
            raise FailedReadError("What is configured to get into Prometheus cannot be used.", how) from error

    async def kinds(self) -> Sequence[Kind]:
        return await self._source.kinds(self._gateway, self._call)

    async def access(self, reads: Sequence[Read | NonResource], namespace: str | None) -> Sequence[Access]:
        return await review(self._fetch, reads, namespace, self.default_namespace)


def _as_it_is(obj: Obj) -> Obj:
    return obj


def _metadata_alone(obj: Obj) -> Obj:
    """An API server that does not know the form answers with whole objects."""
    return {"metadata": obj.get("metadata") or {}}


if TYPE_CHECKING:  # a recording and this are equals behind the same seam
    _cluster: type[Cluster] = LiveCluster
