"""Stands where a request leaves for AWS: lets listed reads out, and what gets credentials, and refuses all else.

`session.py` puts every session that is made under this guard. It listens to botocore's own events, before parameters
are built, before a call is made and before its bytes are sent, and it stands once more in place of the HTTP session
that sends them. Presigned URLs are refused: whoever holds one could make the call without us; the one for EKS tokens is
signed by `tokens.py`, which has no client. Must never be given a way around: there is no switch.

It cannot stop code of this process that makes a session of its own; import-linter sees to it that ours does not.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from firstmate_tools.errors import RefusedError

from .operations import CREDENTIALS, READS

_EVENTS = ("before-parameter-build", "before-call", "before-send")
_leaving: ContextVar[Any] = ContextVar("leaving", default=None)
"""The request that the guard has just let pass, in this thread, and what it was then."""


def _bytes_of(request: Any) -> tuple[Any, ...]:
    """All of a request that goes out."""
    return (
        request.method,
        request.url,
        request.body,
        tuple(sorted((str(k), str(v)) for k, v in request.headers.items())),
    )


def _refuse(what: str, why: str = "it is none of the operations that firstmate may use") -> RefusedError:
    return RefusedError(
        f"The request to AWS was not sent: {what}: {why}.", "firstmate reads; the list is in aws/operations.py."
    )


class Guard:
    """The guard of one session.

    Args:
        roles: gives the roles that the configuration names: no other is assumed.
    """

    def __init__(self, roles: Callable[[], Iterable[str]]) -> None:
        self._roles = roles
        self._services: dict[str, str] = {}

    def watch(self, events: Any) -> None:
        """Listens to the events of a session, and so of every client that it makes."""
        for name, listener in zip(_EVENTS, (self._building, self._calling, self._sending), strict=True):
            events.register_first(name, listener, unique_id=f"firstmate-{name}")

    @staticmethod
    def check_service(service: str) -> None:
        """Refuses a client for a service that nothing is listed of.

        Raises:
            RefusedError: it is such a service.
        """
        if service not in READS and service not in CREDENTIALS:
            raise _refuse(f"a client for {service[:40]}")

    def _check(self, service: str, operation: str) -> None:
        if operation not in READS.get(service, ()) and operation not in CREDENTIALS.get(service, ()):
            raise _refuse(f"{service}:{operation}")

    def _building(self, params: Any, model: Any, context: Any, **_: Any) -> None:
        service, operation = str(model.service_model.service_name), str(model.name)
        self._check(service, operation)
        if context and context.get("is_presign_request"):
            raise _refuse(f"{service}:{operation}", "no URL is signed for others to use")
        if operation.startswith("AssumeRole") and params.get("RoleArn") not in set(self._roles()):
            raise _refuse(f"{service}:{operation}", "the configuration does not name this role")

    def _calling(self, model: Any, **_: object) -> None:
        service = model.service_model
        self._check(service.service_name, model.name)
        self._services[str(service.service_id.hyphenize())] = str(service.service_name)

    def _sending(self, request: Any, event_name: str, **_others: Any) -> None:
        service, operation = event_name.split(".")[1:3]
        self._check(self._services.get(service, service), operation)
        _leaving.set((request, _bytes_of(request)))


class GuardedHttp:
    """In place of the HTTP session of a client: sends what the guard has just let pass, and nothing else."""

    def __init__(self, inner: Any) -> None:
        self.__inner = inner

    def send(self, request: Any) -> Any:
        """Sends a prepared request.

        Raises:
            RefusedError: it did not come through a client's operation.
        """
        passed, _ = _leaving.get(), _leaving.set(None)
        if passed is None or passed[0] is not request:
            raise _refuse("a request of one's own make", "it did not come through an operation")
        if passed[1] != _bytes_of(request):
            raise _refuse("a request that was changed", "it is not the one that was let pass")
        return self.__inner.send(request)

    def close(self) -> None:
        self.__inner.close()
