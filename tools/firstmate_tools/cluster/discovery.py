"""Which kinds an API server serves, custom resources included.

`LiveSource` keeps the answer for a while. Aggregated discovery takes two requests; servers before 1.26 are asked group
by group. Must never take a group that could not be asked for one that serves nothing: its kinds are left out, and an
API that is registered but down says so when it is read.

Format: k8s.io/api/apidiscovery/v2 (v0.36).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from firstmate_tools import fields
from firstmate_tools.errors import ReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

from .parse import parse_object
from .wire import JSON, Request, plain_request

_AGGREGATED = ",".join(
    [f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")] + [JSON]
)
_READ_VERBS = {"get", "list"}

Fetch = Callable[[Request], Awaitable[bytes]]


async def discover(fetch: Fetch) -> list[Kind]:
    """Every kind that can be got or listed, each once, in its preferred version.

    Raises:
        ReadError: the server does not say.
    """
    answers = [parse_object(await fetch(plain_request(path, _AGGREGATED)), path) for path in ("/api", "/apis")]
    if all(answer.get("kind") == "APIGroupDiscoveryList" for answer in answers):
        return _first_of_each(kind for answer in answers for kind in aggregated(answer))
    return await _group_by_group(fetch, *answers)


def aggregated(answer: Obj) -> list[Kind]:
    """The kinds of an APIGroupDiscoveryList; versions come preferred first."""
    return [
        Kind(
            fields.text(resource, "responseKind", "kind"),
            fields.text(resource, "resource"),
            fields.text(group, "metadata", "name"),
            fields.text(version, "version"),
            fields.text(resource, "scope") == "Namespaced",
            tuple(fields.strings(resource, "shortNames")),
        )
        for group in fields.items(answer, "items")
        for version in fields.items(group, "versions")
        for resource in fields.items(version, "resources")
        if fields.text(resource, "responseKind", "kind") and _READ_VERBS & set(fields.strings(resource, "verbs"))
    ]


def listed(answer: Obj, group: str, version: str) -> list[Kind]:
    """The kinds of an APIResourceList, subresources left out."""
    return [
        Kind(
            fields.text(resource, "kind"),
            fields.text(resource, "name"),
            group,
            version,
            fields.flag(resource, "namespaced"),
            tuple(fields.strings(resource, "shortNames")),
        )
        for resource in fields.items(answer, "resources")
        if "/" not in fields.text(resource, "name") and _READ_VERBS & set(fields.strings(resource, "verbs"))
    ]


async def _group_by_group(fetch: Fetch, core: Obj, groups: Obj) -> list[Kind]:
    wanted = [("", version) for version in fields.strings(core, "versions")]
    for group in fields.items(groups, "groups"):
        name, preferred = fields.text(group, "name"), fields.text(group, "preferredVersion", "version")
        versions = [fields.text(one, "version") for one in fields.items(group, "versions")]
        wanted += [(name, version) for version in sorted(versions, key=lambda version: version != preferred)]

    async def ask(group: str, version: str) -> list[Kind]:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            return listed(parse_object(await fetch(plain_request(path)), path), group, version)
        except ReadError:
            return []  # one aggregated API that is down must not hide all others

    found = await asyncio.gather(*(ask(group, version) for group, version in wanted))
    return _first_of_each(kind for kinds in found for kind in kinds)


def _first_of_each(kinds: Iterable[Kind]) -> list[Kind]:
    found: dict[tuple[str, str], Kind] = {}
    for kind in kinds:
        found.setdefault((kind.group, kind.plural), kind)
    return list(found.values())
