"""Who calls: known to whatever runs within the call, without being handed from function to function.

The HTTP gate sets it for each request; on stdio and on the command line nobody does, and the caller is whoever started
the process. `calls.py` asks it before a tool runs, `audit.py` writes it down, `acting.py` makes of it a user of the API
server. Must never be taken from anything that a tool call says of itself.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from firstmate_tools.errors import FirstmateError
from firstmate_tools.toolspec import FAMILIES, Family

Kind = Literal["local", "anonymous", "token", "oauth"]


class InsufficientScopeError(FirstmateError):
    """The caller is known, and may not do this."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls.

    Attributes:
        kind: `local` started the process; `anonymous` came over HTTP where nobody is asked who they are; `token` and
            `oauth` have shown a token.
        subject: who they are, as the token says; unique for one issuer alone.
        user: what people, and RBAC under impersonation, know them as.
        client: the program that acts for them, where the token names it.
        issuer: who vouches for it.
        families: the families of tools that they may use.
        groups: as the token says.
    """

    kind: Kind
    subject: str
    user: str = ""
    client: str = ""
    issuer: str = ""
    families: frozenset[Family] = frozenset()
    groups: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The same for all requests of one caller, and for nobody else's."""
        return (self.kind, self.issuer, self.subject, self.client)

    def need(self, family: Family, what: str) -> None:
        """Returns where the caller may use this family.

        Raises:
            InsufficientScopeError: they may not.
        """
        if family not in self.families:
            raise InsufficientScopeError(
                f"insufficient_scope: {what} belongs to the family `{family}`, for which this token has no scope.",
                f"Ask for a token with the scope of `{family}`.",
            )


LOCAL = Caller("local", "local", "local", families=frozenset(FAMILIES))
"""Whoever started the process: over stdio and on the command line there is nobody else."""

ANONYMOUS = Caller("anonymous", "anonymous", "anonymous", families=frozenset[Family](("read", "logs")))
"""Somebody over HTTP where nobody is authenticated: reads, and never more."""

_current: ContextVar[Caller] = ContextVar("firstmate_caller", default=LOCAL)
_request: ContextVar[str] = ContextVar("firstmate_request", default="")


def current() -> Caller:
    """Who calls now."""
    return _current.get()


def request() -> str:
    """What the HTTP request of the moment is called in access log and audit trail, "" where there is none."""
    return _request.get()


@contextmanager
def calling(caller: Caller, request: str = "") -> Generator[None]:
    """Within it, and in every task begun in it, this caller calls."""
    marks = _current.set(caller), _request.set(request)
    try:
        yield
    finally:
        _current.reset(marks[0])
        _request.reset(marks[1])
