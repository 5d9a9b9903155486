"""A request as it will leave, put together from parts.

`LiveCluster` and its helpers build these; `policy.py` reads the finished target once more before it goes out, so that a
mistake here cannot widen what may be asked. Must never paste a caller's text into a path: every segment is
percent-encoded by itself, and what no API server takes as a name is refused here, with the caller's words in the error.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode

from firstmate_tools.errors import UsageError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"
"""Asks for names, labels, annotations and owners alone, and for whole objects where an aggregated API has no such form.

https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches
"""
LOG = "*/*"
"""The log subresource answers with text/plain and takes no `application/json`."""

TEXT = "text/plain, */*;q=0.5"
"""Health, metrics and dumps; without the second part an API server that answers otherwise would refuse."""

Query = tuple[tuple[str, str], ...]

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_GROUP = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)?")
_RESOURCE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,251}[a-z0-9])?")
_LONGEST_NAME = 253
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Request:
    """One request to an API server.

    Attributes:
        method: the HTTP method.
        path: percent-encoded, from the root.
        query: names and values, not yet encoded.
        accept: the Accept header.
        resource: what is read, in RBAC's words (`pods`, `pods/log`, `replicasets.apps`) or the path of a non-resource;
            for counters and messages.
        about: the same for a person, with name and namespace: `pods "cart-1" in namespace "shop"`.
        verb: RBAC's verb.
        body: for reviews.
    """

    method: Literal["GET", "POST"]
    path: str
    resource: str
    about: str
    verb: str
    query: Query = ()
    accept: str = JSON
    body: Obj | None = None

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line."""
        return f"{self.path}?{urlencode(self.query, quote_via=quote, safe='')}" if self.query else self.path


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")


def checked_name(value: str) -> str:
    """A name as a path segment.

    What Kubernetes refuses in every name (k8s.io/apimachinery pkg/api/validation/path/name.go: `.`, `..`, slashes,
    percent signs), and control characters, lone surrogates and overlong text beside them.

    Raises:
        UsageError: no object can have this name.
    """
    if not value or value in (".", "..") or len(value) > _LONGEST_NAME:
        raise UsageError(f"{_shown(value)} is not a name that an object can have.")
    if "/" in value or "%" in value or not value.isprintable():
        raise UsageError(
            f"{_shown(value)} is not a name that an object can have.", "Give the name alone, without slashes."
        )
    return value


def checked_namespace(value: str) -> str:
    """A namespace's name, an RFC 1123 label.

    Raises:
        UsageError: an API server would answer with an empty list, as if nothing were there.
    """
    if not _LABEL.fullmatch(value):
        raise UsageError(f"{_shown(value)} is not a namespace.", "Namespaces are lower-case letters, digits and '-'.")
    return value


def _checked_query(query: Query) -> Query:
    for name, value in query:
        if not value.isprintable():
            raise UsageError(f"{name} {_shown(value)} holds characters that cannot be sent.")
    return query


def _base(kind: Kind) -> str:
    parts = (_GROUP.fullmatch(kind.group), _RESOURCE.fullmatch(kind.version), _RESOURCE.fullmatch(kind.plural))
    if not all(parts):
        raise UsageError(f"{_shown(kind.resource)} is not a resource of the Kubernetes API.")
    return kind.base_path


def _where(kind: Kind, namespace: str | None) -> str | None:
    return namespace if kind.namespaced else None


def list_request(kind: Kind, namespace: str | None, query: Query = (), accept: str = JSON) -> Request:
    """A list; a namespaced kind without namespace is listed across namespaces, a cluster-scoped kind ignores it.

    Raises:
        UsageError: kind or namespace cannot exist, or the query cannot be sent.
    """
    inside = _where(kind, namespace)
    place = f"/namespaces/{checked_namespace(inside)}" if inside is not None else ""
    about = f'{kind.resource} in namespace "{inside}"' if inside is not None else kind.resource
    path = f"{_base(kind)}{place}/{kind.plural}"
    return Request("GET", path, kind.resource, about, "list", _checked_query(query), accept)


def get_request(
    kind: Kind, name: str, namespace: str | None, subresource: str = "", query: Query = (), accept: str = JSON
) -> Request:
    """One object, or a subresource of it.

    Raises:
        UsageError: kind, name or namespace cannot exist, or a namespaced kind comes without namespace.
    """
    inside = _where(kind, namespace)
    if kind.namespaced and inside is None:
        raise UsageError(f"{kind.kind} {_shown(name)} needs a namespace.", "Name the namespace that it lives in.")
    place = f"/namespaces/{checked_namespace(inside)}" if inside is not None else ""
    path = f"{_base(kind)}{place}/{kind.plural}/{quote(checked_name(name), safe='')}"
    resource = kind.resource
    if subresource:
        path, resource = f"{path}/{quote(checked_name(subresource), safe='')}", f"{resource}/{subresource}"
    about = f'{resource} "{name}"' + (f' in namespace "{inside}"' if inside is not None else "")
    return Request("GET", path, resource, about, "get", _checked_query(query), accept)


def plain_request(path: str, accept: str = JSON) -> Request:
    """Version and discovery: paths of our own making, never a caller's."""
    return Request("GET", path, path, path, "get", (), accept)


def text_request(asked: str) -> Request:
    """A path that is no resource, with its query: `/readyz?verbose`. Which there may be is for the policy to say.

    Raises:
        UsageError: the query cannot be sent.
    """
    path, _, query = asked.partition("?")
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    return Request("GET", path, path, path, "get", _checked_query(pairs), TEXT)


def review_request(kind: str, plural: str, spec: Obj) -> Request:
    """A review of the caller's own access; stores nothing."""
    body: Obj = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    return Request("POST", f"/apis/authorization.k8s.io/v1/{plural}", plural, plural, "create", (), JSON, body)
