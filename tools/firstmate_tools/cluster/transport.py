"""One HTTP exchange with an API server: connection, TLS, proxy, bytes in and out. Knows nothing of Kubernetes.

The gateway is its only caller, after the policy has let the request pass; `guard.py` looks once more, inside the
session. Configuration and TLS context come from the official client; its own `request` is not used, since it follows
redirects, takes passwords from ~/.netrc and unpacks bodies before they can be counted. Must never follow a redirect,
send a cookie, or keep a connection whose answer was not read to the end.
"""

import contextlib
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from firstmate_tools.errors import ConfigurationError, FailedReadError, TimedOutError, UnreachableError
from firstmate_tools.reads import Grant

from .answers import OK, Answer
from .auth import Connection, Presented
from .flights import Pour
from .impersonation import Impersonated
from .wire import Request

_GZIP = 16 + zlib.MAX_WBITS
_LONGEST_REFUSAL = 100_000
_CHUNK = 1 << 16


class Transport:
    """The connections of one source. Bound to the event loop in which it is first used."""

    def __init__(self, connection: Connection, user_agent: str, in_flight: int, connect_s: float) -> None:
        self._connection = connection
        self._user_agent = user_agent
        self._in_flight = in_flight
        self._connect_s = connect_s
        self._session: Any = None
        self._certificate: tuple[str, str] | None = None
        self._proxy: str | None = None

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def exchange(
        self,
        request: Request,
        presented: Presented,
        acting: Impersonated | None,
        grant: Grant,
        pour: Pour,
        count: Callable[[int], None],
    ) -> Answer:
        """Sends a request and reads the answer to its end.

        Args:
            request: what the policy let pass.
            presented: credentials.
            acting: as whom to ask, None for whom the credentials name.
            grant: the reads of the call that asks, for the guard.
            pour: takes the body of a good answer, decompressed, as it comes.
            count: is told the bytes of body as they come over the wire, compressed.

        Raises:
            ReadError: no connection, no TLS, or no whole answer.
        """
        import aiohttp

        from .guard import Permit, permitted

        session = await self._session_for(presented)
        arguments = self._arguments(request, presented, acting)
        permit = Permit(grant, request.method, request.target, tuple(arguments["headers"]), arguments.get("data"))
        mark = permitted.set(permit)
        try:
            async with session.request(**arguments) as response:
                try:
                    return await _read(response, request, pour, count)
                except BaseException:
                    response.close()  # and the connection with it: the rest of the body must not be read by anyone
                    raise
        except aiohttp.ClientError as error:
            raise self._unreachable(error, request) from error
        except TimeoutError as error:
            raise TimedOutError(
                f"No connection to {self._connection.server} within {self._connect_s:.0f} s."
            ) from error
        except OSError as error:
            raise UnreachableError(f"No connection to {self._connection.server}: {error}.") from error
        finally:
            permitted.reset(mark)

    def _arguments(self, request: Request, presented: Presented, acting: Impersonated | None) -> dict[str, Any]:
        import yarl
        from orjson import dumps

        headers = {"Accept": request.accept, "Accept-Encoding": "gzip", "User-Agent": self._user_agent}
        if presented.authorization:
            headers["Authorization"] = presented.authorization
        arguments: dict[str, Any] = {
            "method": request.method,
            "url": yarl.URL(self._connection.server + request.target, encoded=True),
            "allow_redirects": False,
            "proxy": self._proxy,
        }
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            arguments["data"] = dumps(request.body)
        if self._connection.configuration.tls_server_name:
            arguments["server_hostname"] = self._connection.configuration.tls_server_name
        # Pairs, since a user may act for several groups.
        as_whom = acting.headers if acting is not None else self._connection.headers
        return {**arguments, "headers": [*headers.items(), *as_whom]}

    async def _session_for(self, presented: Presented) -> Any:
        if self._session is not None and presented.certificate == self._certificate:
            return self._session
        await self.close()
        self._session = self._open(presented.certificate or self._connection.certificate)
        self._certificate = presented.certificate
        return self._session

    def _open(self, certificate: tuple[str, str] | None) -> Any:
        import aiohttp
        from kubernetes.aio.client.rest import RESTClientObject

        from .guard import request_class

        configuration = self._connection.configuration
        try:
            rest: Any = RESTClientObject(configuration)
            if certificate is not None:
                _load(rest.ssl_context, certificate)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigurationError(
                f"The certificates for {self._connection.server} cannot be used: {error}.",
                "Check certificate-authority, client-certificate and client-key of this context.",
            ) from error
        self._proxy = rest.proxy or _proxy_of_environment(self._connection.server)
        if self._proxy and urlsplit(self._proxy).scheme not in ("http", "https"):
            raise ConfigurationError(f"Proxy {_public(self._proxy)} is not supported.", "Use an HTTP proxy.")
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._in_flight, ssl=rest.ssl_context),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            request_class=request_class(self._connection.server),
            read_bufsize=1 << 20,
        )

    def _unreachable(self, error: Exception, request: Request) -> Exception:
        import ssl

        import aiohttp

        server = self._connection.server
        match error:
            case aiohttp.ClientPayloadError():
                return FailedReadError(f"The answer to {request.about} from {server} broke off.", "Ask again.")
            case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
                return UnreachableError(
                    f"No connection to {server} through the proxy {_public(self._proxy or '')}.", "Check the proxy."
                )
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                return _tls(server, error)
            case aiohttp.ClientConnectorDNSError():
                host = urlsplit(server).hostname
                return UnreachableError(
                    f"The name of the API server, {host}, cannot be resolved.", "Check DNS and VPN."
                )
            case aiohttp.ConnectionTimeoutError():
                return UnreachableError(
                    f"No connection to {server} within {self._connect_s:.0f} s.", "Check the network, VPN and firewall."
                )
            case aiohttp.ClientResponseError():
                return FailedReadError(f"What answers at {server} does not speak HTTP as an API server does.")
            case OSError() if isinstance(error.__cause__, ssl.SSLError) or isinstance(error, ssl.SSLError):
                return _tls(server, error)
            case aiohttp.InvalidURL():
                return ConfigurationError(f"{server!r} is no address of an API server.")
            case _:
                return UnreachableError(f"No connection to {server}: {_reason(error)}.", "Check that it runs.")


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _tls(server: str, error: Exception) -> UnreachableError:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    words = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or str(cause)
    return UnreachableError(
        f"No trusted TLS connection to {server}: {words}.",
        "Check certificate-authority and tls-server-name of this context, and whether something intercepts TLS.",
    )


def _load(context: Any, certificate: tuple[str, str]) -> None:
    """Python's ssl takes a client certificate from a file only; the file is gone when this returns."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
        pair.write("\n".join(certificate))
        pair.flush()
        context.load_cert_chain(pair.name)


def _proxy_of_environment(server: str) -> str | None:
    """HTTPS_PROXY and NO_PROXY as kubectl honours them: never for loopback, and NO_PROXY may hold networks.

    Source: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(server)
    host, proxies = parts.hostname or "", getproxies()
    if host == "localhost" or _is_within(host, ["127.0.0.0/8", "::1/128", *proxies.get("no", "").split(",")]):
        return None
    return None if proxy_bypass(host) else proxies.get(parts.scheme)


def _is_within(host: str, networks: list[str]) -> bool:
    """Whether a host is an address in one of these; what is no address or no network matches nothing."""
    from ipaddress import ip_address, ip_network

    try:
        address = ip_address(host)
    except ValueError:
        return False
    for network in networks:
        with contextlib.suppress(ValueError):
            if address in ip_network(network.strip(), strict=False):
                return True
    return False


def _public(address: str) -> str:
    """An address without user and password."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


async def _read(response: Any, request: Request, pour: Pour, count: Callable[[int], None]) -> Answer:
    headers, at = {name.lower(): value for name, value in response.headers.items()}, time.monotonic()
    good, kept = response.status in OK, bytearray()
    packed = headers.get("content-encoding", "").lower()
    if packed not in ("", "identity", "gzip"):
        raise FailedReadError(f"The answer to {request.about} is packed in a way that was not asked for.")
    inflate = zlib.decompressobj(_GZIP) if packed == "gzip" else None
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            count(len(chunk))
            plain = inflate.decompress(chunk) if inflate else chunk
            if good:
                await pour(plain)
            elif len(kept) < _LONGEST_REFUSAL:
                kept += plain
            else:
                break
    except zlib.error as error:
        raise FailedReadError(f"The answer to {request.about} is torn: {error}.") from error
    if inflate and good and not inflate.eof:
        raise FailedReadError(f"The answer to {request.about} broke off.", "Ask again.")
    return Answer(response.status, headers, bytes(kept), at)
