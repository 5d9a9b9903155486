"""What an API server's refusal means, as one of our errors: pure, from status, headers and body.

The gateway calls `error_of` for every answer but 200. Must never turn a refusal into an empty result; what the server
says is text from a cluster, so that it is cleaned, redacted and cut before it enters a message.

Status objects: k8s.io/apimachinery pkg/api/errors (v0.36); the aggregator and proxies answer in plain text or HTML.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from firstmate_tools import fields
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    FirstmateError,
    NotInstalledError,
    ObjectNotFoundError,
    TimedOutError,
    UsageError,
)
from firstmate_tools.fields import Obj
from firstmate_tools.text import shorten, untrusted

from .policy import Target, target_of
from .wire import Request

OK = (200, 201)
_LONGEST = 400
_LONGEST_PAUSE_S = 60.0
_CANNOT_IMPERSONATE = "cannot impersonate resource"
_IMPERSONATE_HINT = (
    "To enable it, let firstmate's own user impersonate: a ClusterRole with the rule "
    'apiGroups: [""], resources: ["users", "groups"], verbs: ["impersonate"], for these names alone where possible.'
)


class ExpiredError(FailedReadError):
    """410: the continue token of a paged list is too old. `paging` starts again; callers see it as a failed read."""


class UnhealthyError(FailedReadError):
    """500 from a health endpoint, whose text says which check failed: an answer, not a failure.

    Attributes:
        text: that text, as it came.
    """

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


class UnauthenticatedError(DeniedError):
    """401: the server does not accept who we say we are; a 403 denies one read to somebody it knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name.
        body: of a refusal, decompressed; that of a good answer has been streamed to whoever asked.
        at: when the headers came, in seconds of the monotonic clock.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    at: float = 0.0

    @property
    def is_html(self) -> bool:
        return "text/html" in self.headers.get("content-type", "") or self.body.lstrip()[:1] == b"<"

    @property
    def retry_after_s(self) -> float | None:
        """Seconds of a Retry-After header (the API server sends whole seconds, never a date), a minute at most."""
        value = self.headers.get("retry-after", "").strip()
        return min(float(value), _LONGEST_PAUSE_S) if value.isascii() and value.isdigit() else None


def status_of(body: bytes) -> Obj:
    """The Status object of a refusal, {} where something else came."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return fields.mapping({"status": value}, "status") if fields.text(value, "kind") == "Status" else {}


def said(body: bytes) -> str:
    """The server's own words, fit for a message."""
    message = fields.text(status_of(body), "message") or body[: 4 * _LONGEST].decode("utf-8", "replace")
    return shorten(" ".join(untrusted(message).split()), _LONGEST)


def rbac_hint(target: Target, verb: str) -> str:
    """The least rule that would allow a read, as it stands in a Role."""
    if target.path:
        return f'To enable it, bind a ClusterRole with the rule nonResourceURLs: ["{target.path}"], verbs: ["get"].'
    resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
    where = f'a Role in namespace "{target.namespace}"' if target.namespace else "a ClusterRole"
    return (
        f'To enable it, bind {where} with the rule apiGroups: ["{target.group}"], '
        f'resources: ["{resource}"], verbs: ["{verb}"].'
    )


def error_of(request: Request, answer: Answer) -> FirstmateError:
    """The error that an answer other than 200 stands for.

    Returns:
        `ObjectNotFoundError` where the object alone is missing, `NotInstalledError` where the whole resource is.
    """
    words = said(answer.body)
    error = _meaning(request, answer, words)
    error.said = words
    return error


def _meaning(request: Request, answer: Answer, words: str) -> FirstmateError:
    what = request.about
    status = status_of(answer.body)
    if answer.is_html and not status:
        return FailedReadError(
            f"The answer to {what} is HTML with status {answer.status}, not from a Kubernetes API server.",
            "A proxy or login page answers in its place: check the server address, the proxy and the network.",
        )
    match answer.status:
        case 401:
            return UnauthenticatedError(
                f"The API server refused the credentials for {what} (401): the token has expired or is not accepted.",
                "Log in again, or mend the user of this kubeconfig context.",
            )
        case 403:
            if _CANNOT_IMPERSONATE in words:  # k8s.io/apiserver pkg/endpoints/filters/impersonation.go
                return DeniedError(f"Asking for {what} in the caller's name was denied: {words}", _IMPERSONATE_HINT)
            target = target_of(request.path)
            hint = rbac_hint(target, request.verb) if target.resource and request.method == "GET" else ""
            return DeniedError(f"Reading {what} was denied: {words}", hint)
        case 404:
            return _not_found(request, status, words)
        case 410:
            return ExpiredError(f"The list of {what} changed while it was read: {words}", "Read it again.")
        case 429:
            return TimedOutError(
                f"The API server is too busy for {what} (429): {words}", "Ask again later, or allow more time."
            )
        case 408 | 504:
            return TimedOutError(f"The API server gave up on {what} ({answer.status}): {words}")
        case 400 | 422 if status:
            return _bad_request(request, words)
        case 405 | 406 | 415 if status:
            return FailedReadError(f"The API server does not offer to {request.verb} {what}: {words}")
        case code if 300 <= code < 400:
            return FailedReadError(
                f"The answer to {what} is a redirect ({code}), which is not followed.",
                "Give the address of the API server itself.",
            )
        case _:
            return _failed(request, answer, status, words)


def _failed(request: Request, answer: Answer, status: Obj, words: str) -> FirstmateError:
    code = answer.status
    if code == 500 and not status and target_of(request.path).path:
        return UnhealthyError(f"{request.about} says: {words}", answer.body.decode("utf-8", "replace"))
    if fields.text(status, "reason") in ("Timeout", "ServerTimeout"):
        return TimedOutError(f"The API server gave up on {request.about} ({code}): {words}")
    return FailedReadError(f"The API server failed on {request.about} ({code}): {words}")


def _not_found(request: Request, status: Obj, words: str) -> FirstmateError:
    named = fields.text(status, "reason") == "NotFound" and fields.text(status, "details", "name")
    if named and request.verb == "get":
        return ObjectNotFoundError(f"There is no {request.about}.")
    return NotInstalledError(
        f"This cluster does not serve {request.resource}: {words}",
        "Install what defines it, if you expect it (a CustomResourceDefinition, an add-on, a newer version).",
    )


def _bad_request(request: Request, words: str) -> FirstmateError:
    if not request.resource.endswith("/log"):
        return UsageError(f"The API server cannot make sense of the question for {request.about}: {words}")
    # k8s.io/kubernetes pkg/registry/core/pod/strategy.go and pkg/kubelet/kubelet_pods.go, v1.36.
    if "must be specified" in words or "is not valid for pod" in words:
        return UsageError(f"Which log of {request.about}? {words}")
    if "not found" in words:
        return ObjectNotFoundError(f"There is no previous log for {request.about}: {words}")
    if "waiting to start" in words or "PodInitializing" in words:
        return ObjectNotFoundError(f"There is no log yet for {request.about}: {words}")
    return FailedReadError(f"The log of {request.about} could not be read: {words}")
