"""One HTTP exchange with Prometheus: GET of the two query endpoints, and nothing else.

`reader.py` is its only caller, with a question that the call declared. Must never follow a redirect (it would take the
token along), send a cookie, or repeat a secret in an error.
"""

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from firstmate_tools.errors import (
    ConfigurationError,
    DeniedError,
    FailedReadError,
    ReadError,
    RefusedError,
    TimedOutError,
    UnreachableError,
)

from .answers import failed
from .credentials import Sign, sign_for
from .place import PrometheusPlace

INSTANT, RANGE = "/api/v1/query", "/api/v1/query_range"
MOST_BYTES = 16_000_000
_CHUNK = 1 << 16


class Client:
    """The connections of one tool call.

    Args:
        place: where Prometheus is.
        user_agent: what the requests call themselves.
        sign: in place of the credentials that the place names.
    """

    def __init__(self, place: PrometheusPlace, user_agent: str, sign: Sign | None = None) -> None:
        self._place, self._agent = place, user_agent
        self._sign = sign or sign_for(place)
        self._session: Any = None

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def get(self, path: str, query: Mapping[str, str], timeout_s: float) -> bytes:
        """The body of a good answer.

        Args:
            path: INSTANT or RANGE.
            query: the parameters.
            timeout_s: seconds to wait, all in all.

        Raises:
            RefusedError: another path.
            ReadError: no answer, or none that can be used.
            ConfigurationError: certificates or a secret cannot be used.
        """
        import aiohttp
        import yarl

        if path not in (INSTANT, RANGE):
            raise RefusedError(f"The request was not sent: {path[:80]} is no question to Prometheus.")
        url = f"{self._place.base}{path}?{urlencode(query)}"
        headers = {"Accept": "application/json", "User-Agent": self._agent, **self._sign(url)}
        if self._place.tenant:
            headers["X-Scope-OrgID"] = self._place.tenant
        try:
            async with self._open().get(
                yarl.URL(url, encoded=True),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                body = await self._body(response)
                if response.status == 200:
                    return body
                raise self._refused(response.status, body)
        except TimeoutError as error:
            raise TimedOutError(f"Prometheus gave no answer within {timeout_s:.0f} s.") from error
        except aiohttp.ClientError as error:
            raise UnreachableError(f"No connection to Prometheus at {self._place.base}.", _advice(error)) from error

    async def _body(self, response: Any) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > MOST_BYTES:
                response.close()
                raise FailedReadError("The answer of Prometheus is larger than this program takes.")
        return bytes(body)

    def _refused(self, status: int, body: bytes) -> ReadError:
        where = f"Prometheus at {self._place.base}"
        if status in (401, 403):
            return DeniedError(f"{where} refused the question ({status}).", "Check token_file or username.")
        if status in (503, 504):
            return TimedOutError(f"{where} could not answer in time ({status}).")
        if status in (400, 422):
            return failed(body)
        words = {3: "sends elsewhere", 4: "does not serve /api/v1/query"}.get(status // 100, "fails")
        return FailedReadError(f"{where} {words} (HTTP {status}).", "Check its url.")

    def _open(self) -> Any:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=8, ssl=self._trust()),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    def _trust(self) -> ssl.SSLContext | bool:
        if not self._place.base.startswith("https:"):
            return True
        try:
            return ssl.create_default_context(cafile=self._place.ca_file or None)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(f"The certificates in {self._place.ca_file} cannot be used.") from error


def _advice(error: Exception) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "Its certificate is not trusted: name ca_file."
    return "Check its url, and whether it can be reached from here."
