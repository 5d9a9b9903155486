"""A recorded cluster behind the same seam as a live one, for the length of one tool call.

`SnapshotSource.open` makes it. It answers as the API server would have answered when the recording was made, and raises
where the recording does not hold the answer: what was not recorded is never "empty". The declared reads are enforced as
in a live cluster, so that a tool that works here works there. Must never write, and must never reach out to a network.
"""

import asyncio
import base64
import binascii
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import orjson

from firstmate_tools import fields as field_of
from firstmate_tools import podstate
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    NotCollectedError,
    NotConfiguredError,
    ObjectNotFoundError,
    ReadError,
    RefusedError,
    TimedOutError,
    UsageError,
)
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import POD, Kind
from firstmate_tools.prometheus.answers import Series, series_of
from firstmate_tools.prometheus.reader import check, within
from firstmate_tools.reads import Grant, NonResource, PrometheusRead, Read
from firstmate_tools.results import ClusterIdentity

from . import policy
from .base import Access, Form, Listing, LogRequest, Usage
from .layouts.objects import order_key
from .layouts.recording import Recording
from .logtext import cut_log
from .parse import lines_with, plain_text
from .selectors import field_test, label_test
from .wire import get_request, list_request, text_request

T = TypeVar("T")
Rows = Callable[[Kind, str | None], Mapping[str, Obj]]
PAGE = 1000
"""Objects on a page of a sweep, as the live cluster asks for them."""


class SnapshotCluster:
    """One recording as one tool call sees it.

    Args:
        rows: gives the objects of a recorded list by `order_key`, in that order, or raises a ReadError; may block.
        recording: what it answers from.
        identity: who it says it is.
        grant: the reads that the call declared.
        deadline: moment of the monotonic clock after which no read is answered.
    """

    def __init__(
        self, rows: Rows, recording: Recording, identity: ClusterIdentity, grant: Grant, deadline: float
    ) -> None:
        self._rows, self._recording, self._grant, self._deadline = rows, recording, grant, deadline
        self.identity = identity
        self.usage = Usage()
        self.is_live = False

    @property
    def default_namespace(self) -> str:
        return self._recording.default_namespace

    @property
    def now(self) -> datetime:
        """The moment of recording."""
        return self._recording.now

    @property
    def recorded_namespaces(self) -> tuple[str, ...] | None:
        """The namespaces that were recorded; None where all were. A question about the cluster means these."""
        return self._recording.namespaces

    def _check(self, kind: Kind, verb: str, subresource: str = "") -> None:
        if not self._grant.allows(kind, verb, subresource):
            resource = Read(kind, subresource=subresource).resource
            raise RefusedError(
                f"The request was not sent: nobody declared {verb!r} on {resource}.",
                "Add the read to the declaration of the tool or rule that makes it.",
            )
        if time.monotonic() > self._deadline:
            raise TimedOutError(f"The time for this call was over before {kind.resource} were read from the snapshot.")

    async def _asked(self, kind: Kind, namespace: str | None) -> Mapping[str, Obj]:
        list_request(kind, namespace)  # refuses the names that no API server takes
        return await asyncio.to_thread(self._rows, kind, namespace)

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
        """As `Cluster.list`."""
        if limit is not None and limit < 1:
            raise UsageError(f"A list of at most {limit} objects is none.", "Give a limit of 1 or more.")
        self._check(kind, "list")
        question = _Question(kind, namespace, labels, fields)
        page = question.page(await self._asked(kind, namespace), limit, more)
        items = [{"metadata": obj["metadata"]} for obj in page.items] if form == "metadata" else page.items
        return Listing(items, more=page.more, remaining=page.remaining)

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
        """As `Cluster.sweep`, with the pages that a live cluster has."""
        self._check(kind, "list")
        question = _Question(kind, namespace, labels, fields)
        rows = await self._asked(kind, namespace)
        items: list[T] = []
        seen, more = 0, ""
        while True:
            page = question.page(rows, PAGE, more)
            items.extend(row for obj in page.items if (row := reduce(obj)) is not None)
            seen, more = seen + len(page.items), page.more
            if not more or (most is not None and seen >= most):
                return Listing(items, more=more, remaining=page.remaining)
            await asyncio.sleep(0)

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Obj | None:
        """As `Cluster.get`: None where the whole list was recorded and the object is not in it."""
        self._check(kind, "get")
        get_request(kind, name, namespace)  # refuses the names that no API server takes
        return await asyncio.to_thread(self._get, kind, name, namespace if kind.namespaced else None)

    def _get(self, kind: Kind, name: str, namespace: str | None) -> Obj | None:
        obj = self._rows(kind, namespace).get(order_key(namespace or "", name))
        # Items of a list do not say what they are; an object by itself does.
        return None if obj is None else {"apiVersion": kind.api_version, "kind": kind.kind, **obj}

    async def logs(self, request: LogRequest) -> str:
        """As `Cluster.logs`."""
        self._check(POD, "get", "log")
        return await asyncio.to_thread(self._log, request)

    def _log(self, request: LogRequest) -> str:
        get_request(POD, request.pod, request.namespace, "log")
        request = request if request.container else replace(request, container=self._only_container(request))
        place = (request.namespace, request.pod, request.container)
        log = self._recording.logs.read(*place, previous=request.previous)
        if log is None:
            raise self._no_log(request)
        return cut_log(log, request, self.now)

    def _only_container(self, request: LogRequest) -> str:
        """The container that an API server takes where none is named: the only one there is."""
        pod = self._get(POD, request.pod, request.namespace)
        if pod is None:
            raise ObjectNotFoundError(f'There is no pod "{request.pod}" in namespace "{request.namespace}".')
        names = [container.name for container in podstate.containers(pod) if container.role != "ephemeral"]
        if len(names) != 1:
            raise UsageError(f'Which log of pod "{request.pod}"? It has the containers {", ".join(names)}.')
        return names[0]

    def _no_log(self, request: LogRequest) -> ReadError | ObjectNotFoundError | UsageError:
        """Why a log that the recording says nothing of is not there, as far as the recorded pod tells."""
        which = f'container "{request.container}" of pod "{request.pod}" in namespace "{request.namespace}"'
        layout, how = self._recording.layout, self._recording.how_logs
        unknown = NotCollectedError(f"The {layout} holds no {'previous ' * request.previous}log of {which}.", how)
        try:
            pod = self._get(POD, request.pod, request.namespace)
        except ReadError:
            return unknown
        if pod is None:
            return ObjectNotFoundError(f'There is no pod "{request.pod}" in namespace "{request.namespace}".')
        container = next((c for c in podstate.containers(pod) if c.name == request.container), None)
        if container is None:
            return UsageError(f'Pod "{request.pod}" has no container {request.container[:80]!r}.')
        ran_before = bool(container.restarts or container.last_terminated)
        if request.previous and not ran_before:
            return ObjectNotFoundError(f"There is no previous log for {which}.")
        if not request.previous and not ran_before and not container.running and not container.terminated:
            return ObjectNotFoundError(f"There is no log yet for {which}.")
        return unknown

    async def text(self, path: str, *, limit_bytes: int = 50_000_000, only: str = "") -> str:
        """As `Cluster.text`: with the query that gives most, whatever was asked."""
        request = text_request(path)
        policy.check(request.method, request.target, request.body, self._grant)
        if time.monotonic() > self._deadline:
            raise TimedOutError(f"The time for this call was over before {path} was read from the snapshot.")
        text = await asyncio.to_thread(self._recording.text, request.path)
        if len(text) > limit_bytes:
            raise FailedReadError("The answer is larger than this program takes.", "Ask for less at a time.")
        return plain_text(lines_with(only, text))

    async def measure(self, read: PrometheusRead, namespace: str | None = None) -> Sequence[Series]:
        """As `Cluster.measure`: the recorded answer, if the same question was asked then."""
        check(read, self._grant)
        if not self._recording.questions:
            how = "Record it again from a cluster whose Prometheus is configured."
            raise NotConfiguredError(f"The {self._recording.layout} holds no metrics.", how)
        kept = await asyncio.to_thread(self._recording.answer, read.name)
        if field_of.text(kept, "query") != read.query or field_of.number(kept, "window_s") != read.window_s:
            raise NotCollectedError(
                f"The {self._recording.layout} holds the answer to another question than {read.resource} is now.",
                self._recording.how,
            )
        return within(series_of(field_of.items(kept, "result")), read, namespace)

    async def kinds(self) -> Sequence[Kind]:
        """Those that discovery gave when it was recorded, else those of which it holds something."""
        if self._recording.kinds is not None:
            return self._recording.kinds
        return tuple(shelf.kind for _, shelf in sorted(self._recording.shelves.items()))

    async def access(self, reads: Sequence[Read | NonResource], namespace: str | None) -> Sequence[Access]:
        """Allowed is what was collected, refused what was denied, and of the rest nobody knows."""
        return [self._access(read, namespace) for read in reads]

    def _access(self, read: Read | NonResource, namespace: str | None) -> Access:
        if isinstance(read, NonResource):
            held = [part.outcome for path, part in self._recording.paths.items() if read.covers(path)]
            allowed = True if "collected" in held else False if "denied" in held else None
            return Access(read, "", allowed, "" if allowed else f"{read.path} is not in the recording.")
        where = namespace or ""
        if read.subresource:
            seen = read.subresource == "log" and self._recording.logs.any_from(namespace)
            return Access(read, where, True if seen else None, "" if seen else "Not in the recording.")
        try:
            self._recording.slices(read.kind, namespace)
        except DeniedError as error:
            return Access(read, where, False, error.message)
        except ReadError as error:
            return Access(read, where, None, error.message)
        return Access(read, where, True)


class _Question:
    """One list's arguments: filters rows, and makes the tokens by which any process can go on."""

    def __init__(self, kind: Kind, namespace: str | None, labels: str, field_selector: str) -> None:
        self._by_label, self._by_field = label_test(labels), field_test(field_selector, kind)
        self._takes_all = not labels and not field_selector
        asked = orjson.dumps([kind.resource, namespace, labels, field_selector])
        self._digest = hashlib.sha256(asked).hexdigest()[:16]

    def page(self, rows: Mapping[str, Obj], limit: int | None, more: str) -> Listing[Obj]:
        """The rows that fit, after the one that the token names, at most `limit`."""
        after = self._after(more) if more else ""
        items: list[Obj] = []
        last, left = "", 0
        for key, obj in rows.items():
            if key <= after or not (self._takes_all or (self._by_label(obj) and self._by_field(obj))):
                continue
            if limit is not None and len(items) >= limit:
                left += 1
            else:
                items.append(obj)
                last = key
        return Listing(items, more=self._token(last) if left else "", remaining=left or None)

    def _token(self, last: str) -> str:
        return base64.urlsafe_b64encode(orjson.dumps([self._digest, last])).decode("ascii")

    def _after(self, more: str) -> str:
        try:
            digest, last = orjson.loads(base64.urlsafe_b64decode(more.encode("ascii", "replace")))
        except (binascii.Error, ValueError, TypeError):
            digest, last = "", None
        if digest != self._digest or not isinstance(last, str):
            raise UsageError("This continue token belongs to another list.", "Start again from the first page.")
        return last
