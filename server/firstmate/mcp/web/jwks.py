"""The public keys of an authorization server: fetched, kept, and fetched anew when it has changed them.

`oauth.py` asks for the key of each token. PyJWT parses keys; its own client is not used, since it blocks a thread under
one lock while it fetches, tries again at every token while the server is down, and takes answers of any size. Must
never follow a redirect, nor fetch an address that a token names.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import anyio
import jwt

from firstmate.httpsettings import address
from firstmate.mcp.web.authentication import KeysUnavailableError
from firstmate_tools.errors import ConfigurationError

Jwk = dict[str, Any]
Fetch = Callable[[], Awaitable[Sequence[Jwk]]]

FRESH_S = 300.0
"""For so long keys are used without asking again: a key that was withdrawn lives on for so long."""
STALE_S = 3600.0
"""For so long keys are used while the authorization server does not answer."""
PAUSE_S = 30.0
"""Between two fetches: a token with a key nobody knows costs no more than this."""
_TIMEOUT_S = 5.0
_LONGEST = 1 << 20
_log = logging.getLogger("firstmate.oauth")


class FetchError(Exception):
    """The keys could not be had; says why."""


class Keys:
    """The keys of one authorization server.

    Args:
        fetch: gives its keys; raises FetchError.
        pause_s: see `PAUSE_S`.
        clock: seconds, never going back.
    """

    def __init__(self, fetch: Fetch, *, pause_s: float = PAUSE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._pause_s, self._clock = fetch, pause_s, clock
        self._keys: Sequence[Jwk] = ()
        self._fetched_at = self._tried_at = float("-inf")
        self._lock = anyio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key of a token, None where the server has none such.

        Args:
            kid: the key's name in the token's header, None where it has none.
            algorithm: with which the token says it is signed.

        Raises:
            KeysUnavailableError: the server has given no keys for an hour.
        """
        age = self._clock() - self._fetched_at
        found = key_of(self._keys, kid, algorithm) if age <= STALE_S else None
        if found is None or (age > FRESH_S and not self._lock.locked()):
            await self._refresh()
            if self._clock() - self._fetched_at > STALE_S:
                raise KeysUnavailableError
            found = key_of(self._keys, kid, algorithm)
        return found

    async def _refresh(self) -> None:
        async with self._lock:
            if self._clock() - self._tried_at < self._pause_s:
                return
            self._tried_at = self._clock()
            try:
                self._keys = await self._fetch()
            except FetchError as error:
                _log.warning("the keys of the authorization server could not be fetched: %s", error)
            else:
                self._fetched_at = self._clock()


def key_of(keys: Sequence[Jwk], kid: str | None, algorithm: str) -> jwt.PyJWK | None:
    """The one key that may have signed a token. None where there is none, or where several may have."""
    fitting = [one for one in keys if _fits(one, algorithm) and (kid is None or one.get("kid") == kid)]
    if len(fitting) != 1:
        return None
    try:
        return jwt.PyJWK(fitting[0], algorithm)
    except jwt.PyJWTError:
        return None


_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def _fits(key: Jwk, algorithm: str) -> bool:
    operations = key.get("key_ops")
    return (
        key.get("kty") == _KEY_TYPES.get(algorithm[:2], "")
        and key.get("alg") in (None, algorithm)
        and key.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and ("crv" not in key or _CURVES.get(algorithm, key["crv"]) == key["crv"])
    )


def parsed(content: bytes) -> list[Jwk]:
    """The keys of a JWK Set (RFC 7517, 5).

    Raises:
        FetchError: it is none.
    """
    try:
        value: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FetchError("what came is not JSON") from error
    keys: Any = cast("Jwk", value).get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list):
        raise FetchError("what came is no JWK Set")
    return [cast("Jwk", one) for one in cast("list[object]", keys) if isinstance(one, dict)]


def from_file(path: Path) -> Fetch:
    """Keys of a file."""

    async def fetch() -> Sequence[Jwk]:
        try:
            return parsed(await anyio.Path(path).read_bytes())
        except OSError as error:
            raise FetchError(f"{path}: {error.strerror}") from error

    return fetch


def from_server(issuer: str, jwks_uri: str | None) -> Fetch:
    """Keys of an authorization server.

    Args:
        issuer: its name.
        jwks_uri: where the keys are; its metadata says so when None (RFC 8414, or OpenID Connect Discovery).
    """

    async def fetch() -> Sequence[Jwk]:
        return parsed(await _get(jwks_uri or await _announced(issuer)))

    return fetch


def metadata_addresses(issuer: str) -> list[str]:
    """Where an authorization server may tell about itself, in the order of the MCP specification."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")

    def at(place: str) -> str:
        return urlunsplit((parts.scheme, parts.netloc, place, "", ""))

    inserted = [at(f"/.well-known/{name}{path}") for name in ("oauth-authorization-server", "openid-configuration")]
    return [*inserted, at(f"{path}/.well-known/openid-configuration")] if path else inserted


async def _announced(issuer: str) -> str:
    reasons: list[str] = []
    for where in metadata_addresses(issuer):
        try:
            document: Any = json.loads(await _get(where))
        except (FetchError, ValueError, RecursionError) as error:
            reasons.append(str(error))
            continue
        found = cast("Jwk", document) if isinstance(document, dict) else {}
        if found.get("issuer") != issuer:
            reasons.append(f"{where} tells of another issuer")
            continue
        try:
            return address(str(found.get("jwks_uri", "")))
        except ValueError as error:
            raise FetchError(f"the jwks_uri of {where} cannot be used: {error}") from error
    raise FetchError("; ".join(reasons))


async def _get(where: str) -> bytes:
    import httpx2

    body = bytearray()
    try:
        with anyio.fail_after(_TIMEOUT_S):
            async with (
                httpx2.AsyncClient(follow_redirects=False, timeout=_TIMEOUT_S) as client,
                client.stream("GET", where, headers={"Accept": "application/json"}) as response,
            ):
                if response.status_code != 200:
                    raise FetchError(f"{where} answers {response.status_code}")
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _LONGEST:
                        raise FetchError(f"{where} answers with more than {_LONGEST} bytes")
    except TimeoutError as error:
        raise FetchError(f"{where} gave no answer within {_TIMEOUT_S:.0f} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise FetchError(f"{where} cannot be reached: {type(error).__name__}") from error
    return bytes(body)


def check_file(path: Path) -> None:
    """Says at the start what would be wrong with every token.

    Raises:
        ConfigurationError: there is no such file, or it holds no keys.
    """
    try:
        keys = parsed(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"The key file {path} cannot be read: {error.strerror}.") from error
    except FetchError as error:
        raise ConfigurationError(f"The key file {path} cannot be used: {error}.") from error
    if not keys:
        raise ConfigurationError(f"The key file {path} holds no keys.")
