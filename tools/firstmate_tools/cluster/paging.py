"""Walks a list page by page, and starts again when the server says that a page's token has expired.

`LiveCluster` calls `walk` for `list` and `sweep`. Must never return the first pages of a list whose last page failed.

How large a page is. Measured with kube-apiserver v1.36 and 10,000 pods of 8.9 KB: only the first page comes out of the
API server's memory, every further one is read from etcd and decoded, so that ten pages cost the server nearly twice
the work of one. Since v1.33 it streams a list item by item, and `itemstream` takes it so: one large page is the
lightest for both sides. Older servers build the whole answer in memory first; they are asked for pages as kubectl does.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from firstmate_tools import fields as read
from firstmate_tools.errors import FailedReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

from .answers import ExpiredError
from .base import Listing
from .flights import Sink
from .itemstream import ItemStream
from .wire import JSON, Query, Request, list_request

T = TypeVar("T")

PAGE = 500
STREAMED_PAGE = 10_000
_STREAMING_SINCE = (1, 33)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which list to walk, and how far.

    Attributes:
        limit: at most so many objects, exactly cut; None for all.
        most: stop after the page on which so many have been seen; None for all.
        more: a caller's token to go on from.
        page: how many objects to ask for at once.
    """

    kind: Kind
    namespace: str | None = None
    labels: str = ""
    fields: str = ""
    accept: str = JSON
    limit: int | None = None
    most: int | None = None
    more: str = ""
    page: int = PAGE

    def request(self, size: int, token: str) -> Request:
        """The request for one page."""
        pairs = (
            ("limit", str(size)),
            ("labelSelector", self.labels),
            ("fieldSelector", self.fields),
            ("continue", token),
        )
        query: Query = tuple((name, value) for name, value in pairs if value)
        return list_request(self.kind, self.namespace, query, self.accept)

    def wanted(self, seen: int) -> int:
        """How many to ask for next, after so many."""
        return min([self.page, *(max(1, bound - seen) for bound in (self.limit, self.most) if bound is not None)])

    def enough(self, seen: int) -> bool:
        return any(bound is not None and seen >= bound for bound in (self.limit, self.most))


Fetch = Callable[[Request, Sink], Awaitable[None]]


async def walk(fetch: Fetch, plan: Plan, take: Callable[[Obj], T | None]) -> Listing[T]:
    """The list, each object given to `take` and let go.

    Args:
        fetch: streams one page.
        plan: which list.
        take: makes a row of a scrubbed object, None to leave it out. Called anew for all when a list starts again.

    Raises:
        ReadError: no whole answer.
    """
    try:
        return await _once(fetch, plan, take)
    except ExpiredError as error:
        if plan.more:
            raise FailedReadError(
                f"The page of {plan.kind.resource} is no longer to be had: its token has expired.",
                "Start again without the token.",
            ) from error
    try:
        return await _once(fetch, plan, take)
    except ExpiredError as error:
        raise FailedReadError(
            f"The list of {plan.kind.resource} expired twice while it was read.", "Ask for one namespace, or again."
        ) from error


async def _once(fetch: Fetch, plan: Plan, take: Callable[[Obj], T | None]) -> Listing[T]:
    rows: list[T] = []
    seen, token = 0, plan.more
    while True:
        request = plan.request(plan.wanted(seen), token)
        stream = ItemStream(plan.kind, request.about, take, rows)
        await fetch(request, stream)
        metadata = stream.finish()
        seen, token = seen + stream.count, read.text(metadata, "continue")
        if not token or plan.enough(seen):
            remaining = metadata.get("remainingItemCount") if token else None
            left = remaining if isinstance(remaining, int) else None
            return Listing(rows, token, left, read.text(metadata, "resourceVersion"))


def page_size(version: str | None) -> int:
    """How many objects to ask for at once.

    Args:
        version: the server's, such as `v1.33.4-eks-1a2b3c`; None where it is not known.
    """
    parts = (version or "").lstrip("v").split(".")
    digits = [part for part in parts[:2] if part.isdigit()]
    return STREAMED_PAGE if tuple(map(int, digits)) >= _STREAMING_SINCE else PAGE
