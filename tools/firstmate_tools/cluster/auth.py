"""Who firstmate is to an API server: the credentials of one source, fetched when needed and renewed before they expire.

`kubeconfig.py` picks the kind of credentials, `transport.py` asks for them before each request and reports a 401. Must
never write a credential anywhere, nor let one into a message.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from firstmate_tools.errors import ConfigurationError

_TOKEN_FILE_S = 60.0


@dataclass(frozen=True, slots=True)
class Presented:
    """What goes with a request.

    Attributes:
        authorization: the Authorization header, "" for none.
        certificate: client certificate and key in PEM, where a plugin hands them out.
    """

    authorization: str = field(default="", repr=False)
    certificate: tuple[str, str] | None = field(default=None, repr=False)


class Credentials(Protocol):
    """Gives credentials, and forgets those that were refused."""

    async def present(self) -> Presented:
        """Valid credentials, fetched or renewed where necessary.

        Raises:
            ConfigurationError: they cannot be had.
        """
        ...

    def refused(self, presented: Presented) -> bool:
        """The server answered 401 to these. Returns whether fetching anew may help."""
        ...


@dataclass(slots=True)
class Fixed:
    """A token, a password, a client certificate in the configuration, or nothing: never changes."""

    presented: Presented = Presented()

    async def present(self) -> Presented:
        return self.presented

    def refused(self, presented: Presented) -> bool:
        return False


@dataclass(slots=True)
class TokenFile:
    """A bearer token in a file that somebody renews (a mounted service account token, `tokenFile`)."""

    path: Path
    _presented: Presented | None = None
    _read_at: float = 0.0

    async def present(self) -> Presented:
        if self._presented is None or time.monotonic() - self._read_at > _TOKEN_FILE_S:
            try:
                token = self.path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"The token file {self.path} cannot be read: {error}.") from error
            if not token:
                raise ConfigurationError(f"The token file {self.path} is empty.")
            self._presented, self._read_at = Presented(f"Bearer {token}"), time.monotonic()
        return self._presented

    def refused(self, presented: Presented) -> bool:
        if presented == self._presented:
            self._presented = None
        return True


@dataclass(slots=True)
class Renewed:
    """Credentials that a function fetches: an exec plugin, or a signed EKS token.

    Attributes:
        fetch: gives new credentials and the seconds for which they may be used.
        clock: seconds, never going back.
    """

    fetch: Callable[[], Awaitable[tuple[Presented, float]]]
    clock: Callable[[], float] = time.monotonic
    _presented: Presented | None = None
    _until: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def present(self) -> Presented:
        async with self._lock:
            if self._presented is None or self.clock() >= self._until:
                asked_at = self.clock()
                self._presented, seconds = await self.fetch()
                self._until = asked_at + seconds
            return self._presented

    def refused(self, presented: Presented) -> bool:
        if presented == self._presented:
            self._presented = None
        return True


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach one API server, from a kubeconfig context or a service account.

    Attributes:
        server: its address, without credentials.
        context: the context's name.
        namespace: the context's namespace.
        credentials: who to be.
        configuration: the official client's configuration: TLS, proxy, server name.
        certificate: client certificate and key in PEM, where the kubeconfig holds them itself.
        headers: impersonation, as the context asks for it.
    """

    server: str
    context: str
    namespace: str
    credentials: Credentials
    configuration: Any = field(repr=False)
    certificate: tuple[str, str] | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
