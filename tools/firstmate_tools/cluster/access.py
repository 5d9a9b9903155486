"""Whether the caller may make the reads that a tool declares, asked by access reviews, which store nothing.

`LiveCluster.access` calls `review`. One SelfSubjectRulesReview answers for a whole namespace; where its rules are
incomplete (EKS: its webhook authorizer does not list rules), where a read goes across namespaces, and for
cluster-scoped kinds, a SelfSubjectAccessReview asks for each verb. Must never call a read allowed that no review
allowed.

Formats: k8s.io/api/authorization/v1 (v0.36).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.errors import ReadError
from firstmate_tools.fields import Obj
from firstmate_tools.reads import NonResource, Read
from firstmate_tools.text import shorten, untrusted

from .base import Access
from .parse import parse_object
from .wire import Request, review_request

Fetch = Callable[[Request], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a SelfSubjectRulesReview says of one namespace. Cluster-wide permissions are among its rules."""

    rules: tuple[Obj, ...]
    complete: bool

    def allow(self, read: Read, verb: str) -> bool:
        """Whether a rule allows the verb on every object of the kind."""
        plain = read.kind.plural
        resource = f"{plain}/{read.subresource}" if read.subresource else plain
        wildcard = f"*/{read.subresource}" if read.subresource else "*"
        return any(
            not fields.strings(rule, "resourceNames")
            and _holds(rule, "verbs", verb)
            and _holds(rule, "apiGroups", read.kind.group)
            and _holds(rule, "resources", resource, wildcard)
            for rule in self.rules
        )


def _holds(rule: Obj, field: str, *wanted: str) -> bool:
    return bool({"*", *wanted} & set(fields.strings(rule, field)))


async def review(
    fetch: Fetch, reads: Sequence[Read | NonResource], namespace: str | None, any_namespace: str
) -> list[Access]:
    """One answer for each read, in the same order.

    Args:
        fetch: sends a request.
        reads: what is declared.
        namespace: where, None across all.
        any_namespace: asked in place of all: what is not allowed there is not allowed everywhere.
    """
    rules: Rules | None = None
    if any(isinstance(read, Read) and read.kind.namespaced for read in reads):
        try:
            rules = await rules_of(fetch, namespace or any_namespace)
        except ReadError:
            rules = None  # the single reviews below may still be answered
    return list(
        await asyncio.gather(
            *(_one(fetch, read, namespace, rules) if isinstance(read, Read) else _path(fetch, read) for read in reads)
        )
    )


async def rules_of(fetch: Fetch, namespace: str) -> Rules:
    """The caller's rules in a namespace.

    Raises:
        ReadError: the review is not answered.
    """
    request = review_request("SelfSubjectRulesReview", "selfsubjectrulesreviews", {"namespace": namespace})
    answer = parse_object(await fetch(request), request.about)
    rules = tuple(fields.items(answer, "status", "resourceRules"))
    return Rules(rules, not fields.flag(answer, "status", "incomplete"))


async def _one(fetch: Fetch, read: Read, namespace: str | None, rules: Rules | None) -> Access:
    where = (namespace or "") if read.kind.namespaced else ""
    if rules is not None and read.kind.namespaced:
        missing = [verb for verb in read.verbs if not rules.allow(read, verb)]
        if missing and rules.complete:
            return Access(read, where, False, f"no rule allows {_words(missing)} {read.resource}")
        if not missing and where:
            return Access(read, where, True)
    try:
        answers = await asyncio.gather(*(_ask(fetch, read, verb, where) for verb in read.verbs))
    except ReadError as error:
        return Access(read, where, None, error.message)
    denied = [verb for verb, (allowed, _) in zip(read.verbs, answers, strict=True) if not allowed]
    if not denied:
        return Access(read, where, True)
    reason = next((reason for allowed, reason in answers if not allowed and reason), "")
    return Access(read, where, False, reason or f"no rule allows {_words(denied)} {read.resource}")


async def _path(fetch: Fetch, read: NonResource) -> Access:
    try:
        allowed, reason = await _asked(fetch, {"nonResourceAttributes": {"path": read.path, "verb": "get"}})
    except ReadError as error:
        return Access(read, "", None, error.message)
    return Access(read, "", allowed, "" if allowed else reason or f"no rule allows get {read.path}")


async def _ask(fetch: Fetch, read: Read, verb: str, namespace: str) -> tuple[bool, str]:
    attributes: Obj = {
        "verb": verb,
        "group": read.kind.group,
        "version": "*",
        "resource": read.kind.plural,
        "subresource": read.subresource,
        "namespace": namespace,
    }
    return await _asked(fetch, {"resourceAttributes": attributes})


async def _asked(fetch: Fetch, spec: Obj) -> tuple[bool, str]:
    request = review_request("SelfSubjectAccessReview", "selfsubjectaccessreviews", spec)
    answer = parse_object(await fetch(request), request.about)
    reason = shorten(untrusted(fields.text(answer, "status", "reason")), 200)
    return fields.flag(answer, "status", "allowed"), reason


def _words(verbs: Iterable[str]) -> str:
    return " or ".join(verbs)
