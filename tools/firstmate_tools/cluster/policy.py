"""What may leave for an API server: the last word before the socket, and pure.

The gateway calls `check` with the finished request target and the caller's grant. Everything is derived from that
target, nothing is taken on trust from whoever built it. Allowed are GETs of declared resources and of declared paths
that are no resources (health, metrics), version and discovery, and the four reviews that store nothing. Refused is all
else: every other method, `watch`, `follow`, `exec`, `attach`, `portforward` and `proxy` (which open by GET too), dry
runs, and any subresource, path, header or query parameter that is not listed here. `guard.py` asks a second time, where
the bytes are handed to the socket. Must never be loosened by a caller: a new kind of request is a change to the tables
in this file.

How a path divides into group, resource, namespace, name and subresource follows k8s.io/apiserver
pkg/endpoints/request/requestinfo.go (v1.36).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote

from firstmate_tools.errors import RefusedError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.reads import Declared, Grant, NonResource, Read

_LIST_QUERY = frozenset(
    {"limit", "continue", "labelSelector", "fieldSelector", "resourceVersion", "resourceVersionMatch"}
)
_GET_QUERY = frozenset({"resourceVersion"})
_LOG_QUERY = frozenset({"container", "previous", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "limitBytes"})

# An allowlist: `console`, `vnc` and their like in aggregated APIs open streams by GET as exec does.
_SUBRESOURCES = frozenset({"", "status", "scale"})
_POD_SUBRESOURCES = _SUBRESOURCES | {"log"}
_EKS_METRICS = "metrics.eks.amazonaws.com"
"""Serves the scheduler's and the controller manager's metrics as a subresource of `ksh` and `kcm`.

https://docs.aws.amazon.com/eks/latest/userguide/view-raw-metrics.html
"""

_HEALTH_QUERY = frozenset({"verbose", "exclude"})
_DUMPS = "/debug/api_priority_and_fairness/dump_"
_PATHS: dict[str, frozenset[str]] = {
    "/metrics": frozenset(),
    "/metrics/slis": frozenset(),
    f"{_DUMPS}priority_levels": frozenset(),
    f"{_DUMPS}queues": frozenset(),
    f"{_DUMPS}requests": frozenset({"includeRequestDetails"}),
}
"""Paths that are no resources, with the query that each takes. Not among them: profiles, flags and `/logs`."""
_HEALTH = frozenset({"healthz", "livez", "readyz"})
"""https://kubernetes.io/docs/reference/using-api/health-checks/: the endpoint, or one of its checks below it."""

_FULLEST = {
    "dump_requests": "?includeRequestDetails=1",
    **dict.fromkeys(_HEALTH, "?verbose"),
}

_HEADERS = frozenset(
    {"host", "accept", "accept-encoding", "user-agent", "authorization", "content-type", "content-length", "connection"}
)
_MANY = ("impersonate-group", "impersonate-extra-")
_IMPERSONATION = ("impersonate-user", "impersonate-uid", *_MANY)
"""The only ones that may say who asks. `X-Remote-User` and its like would claim to be a proxy in front of the server;
`X-HTTP-Method-Override` would make a write of a GET where a proxy honours it; `Upgrade` would open a tunnel."""

_OLD_PREFIXES = frozenset({"watch", "proxy", "redirect"})
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})

_AUTHORIZATION = "authorization.k8s.io"
_REVIEWS = {
    (False, "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    (False, "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    (False, "subjectaccessreviews"): "SubjectAccessReview",
    (True, "localsubjectaccessreviews"): "LocalSubjectAccessReview",
}
_WORD = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Target:
    """What a path addresses. `plural` is "" for version and discovery, `namespace` and `name` are "" where absent.

    `path` is set where it is no resource, such as `/metrics`; all else is "" then.
    """

    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    path: str = ""

    @property
    def resource(self) -> str:
        if self.path:
            return self.path
        base = f"{self.plural}.{self.group}" if self.group else self.plural
        return f"{base}/{self.subresource}" if self.subresource else base


def _refuse(why: str) -> RefusedError:
    return RefusedError(f"The request was not sent: {why}.")


def _segments(path: str) -> list[str]:
    if not path.startswith("/"):
        raise _refuse("its path does not start at the root")
    decoded: list[str] = []
    for raw in path[1:].split("/"):
        segment = unquote(raw, errors="strict") if raw.isascii() else ""
        odd = segment in ("", ".", "..") or "/" in segment or "%" in segment or not segment.isprintable()
        if odd or quote(segment, safe="") != raw:
            raise _refuse("its path is not in canonical form")
        decoded.append(segment)
    return decoded


def target_of(path: str) -> Target:
    """Divides a percent-encoded path as the API server will.

    Raises:
        RefusedError: the path is no resource, version or discovery path, or not in canonical encoding.
    """
    try:
        parts = _segments(path)
    except UnicodeDecodeError as error:
        raise _refuse("its path is not UTF-8") from error
    if parts in (["version"], ["api"], ["apis"]):
        return Target()
    if path in _PATHS or parts[0] in _HEALTH:
        return Target(path=path)
    if parts[:2] == ["api", "v1"]:
        group, version, rest = "", "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) > 1 and _WORD.fullmatch(parts[1]):
        group, version, rest = parts[1], "".join(parts[2:3]), parts[3:]
    else:
        raise _refuse("its path is no resource of the API")
    if version and not _WORD.fullmatch(version):
        raise _refuse("its version is none")
    return _resource(group, version, rest)


def _resource(group: str, version: str, rest: list[str]) -> Target:
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, rest = rest[1], rest[2:]
    if not rest:
        return Target(group, version)
    if len(rest) > 3:
        raise _refuse("its path is too deep for a read")
    plural, name, subresource = (*rest, "", "")[:3]
    if plural in _OLD_PREFIXES or not _WORD.fullmatch(plural):
        raise _refuse(f"{plural!r} is not read by firstmate")
    return Target(group, version, plural, namespace, name, subresource)


def recordable(read: Declared) -> list[str]:
    """The paths, with the query that gives most, by which a recording holds what a declaration means.

    A `*` stands for those of the paths above that it covers; a resource that is read as text has a path as well.
    """
    if isinstance(read, Read):
        if read.kind.group != _EKS_METRICS or read.subresource != "metrics":
            return []
        return [f"{read.kind.base_path}/{read.kind.plural}/container/metrics"]
    if not isinstance(read, NonResource):
        return []
    known = [path for path in _PATHS if read.covers(path)] + [f"/{name}" for name in _HEALTH if read.covers(f"/{name}")]
    return sorted(path + _FULLEST.get(path.rpartition("/")[2], "") for path in known)


def _check_query(query: str, allowed: frozenset[str]) -> None:
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    for name in names:
        if name not in allowed:
            raise _refuse(f"query parameter {name[:40]!r} is not allowed")
    if len(set(names)) != len(names):
        raise _refuse("a query parameter is given twice")


def _check_read(target: Target, query: str, grant: Grant) -> None:
    core_pod = (target.group, target.plural) == ("", "pods")
    eks_metrics = target.group == _EKS_METRICS and target.subresource == "metrics"
    if not eks_metrics and target.subresource not in (_POD_SUBRESOURCES if core_pod else _SUBRESOURCES):
        raise _refuse(f"{target.resource} is never opened")
    if target.subresource == "log":
        _check_query(query, _LOG_QUERY)
    else:
        _check_query(query, _GET_QUERY if target.name else _LIST_QUERY)
    verb = "get" if target.name else "list"
    kind = Kind("", target.plural, target.group, target.version, bool(target.namespace))
    if not grant.allows(kind, verb, target.subresource):
        raise RefusedError(
            f"The request was not sent: nobody declared {verb!r} on {target.resource}.",
            "Add the read to the declaration of the tool or rule that makes it.",
        )


def _check_path(target: Target, query: str, grant: Grant) -> None:
    _check_query(query, _PATHS.get(target.path, _HEALTH_QUERY))
    if not grant.allows_path(target.path):
        raise RefusedError(
            f"The request was not sent: nobody declared 'get' on {target.path}.",
            "Add NonResource to the declaration of the tool or rule that makes it.",
        )


def _check_review(target: Target, query: str, body: Obj | None) -> None:
    kind = _REVIEWS.get((bool(target.namespace), target.plural))
    known = (target.group, target.version) == (_AUTHORIZATION, "v1") and not target.name and not query
    if kind is None or not known:
        raise _refuse("only access reviews may be posted")
    if body is None or body.get("kind") != kind or body.get("apiVersion") != f"{_AUTHORIZATION}/v1":
        raise _refuse(f"its body is not a {kind}")


def check(method: str, request_target: str, body: Obj | None, grant: Grant) -> None:
    """Lets a request pass, or raises.

    Args:
        method: as it will be sent.
        request_target: percent-encoded path and query, as they will stand in the request line.
        body: the JSON body, None where none is sent.
        grant: the reads that the call of the moment declared.

    Raises:
        RefusedError: it is not a read, or nobody declared it.
    """
    path, _, query = request_target.partition("?")
    if "#" in request_target:
        raise _refuse("its path is not in canonical form")
    target = target_of(path)
    if method == "POST":
        _check_review(target, query, body)
    elif method != "GET":
        raise _refuse(f"{method[:20]} is not a read")
    elif body is not None:
        raise _refuse("a read carries no body")
    elif target.path:
        _check_path(target, query, grant)
    elif target.plural:
        _check_read(target, query, grant)
    elif query:
        raise _refuse("discovery takes no query")


def check_headers(names: Iterable[str]) -> None:
    """Lets the headers of a request pass, or raises.

    Args:
        names: of the headers as they will be sent, each as often as it is sent.

    Raises:
        RefusedError: one of them could turn a read into something else, or is given twice.
    """
    seen: set[str] = set()
    for name in map(str.lower, names):
        if name not in _HEADERS and not name.startswith(_IMPERSONATION):
            raise _refuse(f"header {name[:40]!r} is not allowed")
        if name in seen and not name.startswith(_MANY):
            raise _refuse(f"header {name[:40]!r} is given twice")
        seen.add(name)
