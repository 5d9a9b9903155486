"""Who sent a request: from its Authorization header to a `Caller`, and the refusal where there is none.

The gate asks it for every request to /mcp. Must never take a token from anywhere but the one Authorization header
(RFC 6750, 2.1), nor repeat any part of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firstmate.caller import ANONYMOUS, Caller
from firstmate.httpsettings import ScopeSettings
from firstmate_tools.toolspec import Family

if TYPE_CHECKING:  # cryptography is loaded where access tokens are taken, and nowhere else
    from firstmate.mcp.web.oauth import AccessTokens
    from firstmate.tokenfile import TokenFile


class InvalidTokenError(Exception):
    """An access token is not accepted; the message says which check it failed, in words of our own."""


class KeysUnavailableError(Exception):
    """There are no keys to check a token with: the token may well be good."""


class UnauthenticatedError(Exception):
    """Nobody is known to have sent this.

    Attributes:
        why: what is wrong with the token that came, "" where none came.
    """

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Authentication:
    """How callers show who they are. With neither, nobody is asked.

    Attributes:
        tokens: static tokens.
        oauth: access tokens.
    """

    tokens: "TokenFile | None" = None
    oauth: "AccessTokens | None" = None

    @property
    def nobody_is_asked(self) -> bool:
        """Whether anybody may come."""
        return self.tokens is None and self.oauth is None

    async def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Who sent a request with these headers.

        Raises:
            UnauthenticatedError: nobody who is known.
            KeysUnavailableError: the token could not be checked.
        """
        if self.nobody_is_asked:
            return ANONYMOUS
        token = _bearer([value for name, value in headers if name == b"authorization"])
        if self.tokens is not None and (caller := self.tokens.caller(token)) is not None:
            return caller
        if self.oauth is None:
            raise UnauthenticatedError("the token is not known, or has expired")
        try:
            return await self.oauth.caller(token)
        except InvalidTokenError as error:
            raise UnauthenticatedError(str(error)) from error


def _bearer(values: Sequence[bytes]) -> str:
    if not values:
        raise UnauthenticatedError
    if len(values) > 1:
        raise UnauthenticatedError("there are several Authorization headers")
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError("the Authorization header holds no bearer token")
    return token


@dataclass(frozen=True, slots=True)
class Challenges:
    """What a refused client is told in WWW-Authenticate (RFC 6750, 3; RFC 9728, 5.1).

    Attributes:
        scopes: what they are called.
        metadata: where the metadata of this server is, None where no authorization server is named.
    """

    scopes: ScopeSettings
    metadata: str | None

    def unauthenticated(self, why: str) -> str:
        """With a 401: how to come by a token that is good for a start."""
        error = {"error": "invalid_token", "error_description": why} if why else {}
        return self._of({**error, "scope": self.scopes.read})

    def insufficient(self, caller: Caller, needed: Family) -> str:
        """With a 403: a token with these scopes would do; those that the caller has are among them."""
        families = {*caller.families, "read", needed}
        names = " ".join(scope for scope, family in self.scopes.families.items() if family in families)
        return self._of({"error": "insufficient_scope", "scope": names})

    def _of(self, parts: dict[str, str]) -> str:
        if self.metadata is not None:
            parts["resource_metadata"] = self.metadata
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())
