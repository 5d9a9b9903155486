"""Keys of an authorization server: how long they are kept, when they are fetched, which one fits a token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import jwt
import pytest
from contract.throwaway_issuer import Issuer

from firstmate.mcp.web import jwks
from firstmate.mcp.web.authentication import KeysUnavailableError
from firstmate.mcp.web.jwks import FetchError, Keys, key_of, metadata_addresses, parsed
from firstmate_tools.errors import ConfigurationError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Server:
    """Keys by hand: what is there, whether it answers, how often it was asked, and the clock."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys, self.down, self.asked, self.now = list(keys), False, 0, 1000.0
        self.slow: anyio.Event | None = None

    async def fetch(self) -> Sequence[dict[str, Any]]:
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
        if self.down:
            raise FetchError("down")
        return list(self.keys)

    def kept(self) -> Keys:
        return Keys(self.fetch, clock=lambda: self.now)


ISSUER = Issuer()
RSA, EC = ISSUER.jwks()["keys"]


async def test_keys_are_fetched_once_and_again_after_five_minutes() -> None:
    server = Server(RSA, EC)
    keys = server.kept()
    for _ in range(3):
        assert await keys.find("rsa-1", "RS256") is not None
    assert server.asked == 1
    server.keys = [EC]
    server.now += jwks.FRESH_S + 1
    assert await keys.find("rsa-1", "RS256") is None and server.asked == 2  # withdrawn


async def test_an_unknown_key_is_asked_for_once_a_pause_whether_or_not_the_server_answers() -> None:
    server = Server(RSA)
    keys = server.kept()
    for down in (False, True):
        server.down, asked = down, server.asked
        server.now += jwks.PAUSE_S
        for number in range(10):
            assert await keys.find(f"guess-{number}", "RS256") is None
        assert server.asked == asked + 1
    assert await keys.find("rsa-1", "RS256") is not None


async def test_while_the_server_is_down_known_keys_are_good_for_an_hour() -> None:
    server = Server(RSA)
    keys = server.kept()
    assert await keys.find("rsa-1", "RS256") is not None
    server.down = True
    server.now += jwks.STALE_S - 1
    assert await keys.find("rsa-1", "RS256") is not None
    server.now += 2
    with pytest.raises(KeysUnavailableError):
        await keys.find("rsa-1", "RS256")


async def test_a_slow_server_holds_nobody_up_whose_key_is_known() -> None:
    server = Server(RSA)
    keys = server.kept()
    await keys.find("rsa-1", "RS256")
    server.now += jwks.FRESH_S + 1
    server.slow = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(keys.find, "rsa-1", "RS256")
        await anyio.sleep(0.01)
        with anyio.fail_after(1):
            assert await keys.find("rsa-1", "RS256") is not None
        server.slow.set()


def test_only_a_key_made_for_the_algorithm_fits() -> None:
    unnamed = {name: value for name, value in RSA.items() if name != "alg"}
    assert key_of([unnamed], "rsa-1", "PS256") is not None
    assert key_of([RSA], "rsa-1", "PS256") is None
    assert key_of([{**RSA, "use": "enc"}], "rsa-1", "RS256") is None
    assert key_of([{**RSA, "key_ops": ["sign"]}], "rsa-1", "RS256") is None
    assert key_of([RSA, EC], None, "ES256") is not None  # without a name where there is one alone
    assert key_of([RSA, {**RSA, "kid": "rsa-2"}], None, "RS256") is None
    secret = {"kty": "oct", "k": "AAAA", "kid": "s"}
    assert key_of([secret], "s", "HS256") is None and key_of([secret], "s", "RS256") is None
    assert key_of([{**EC, "crv": "P-384", "alg": None}], "ec-1", "ES256") is None
    assert key_of([{**RSA, "n": "!"}], "rsa-1", "RS256") is None


@pytest.mark.parametrize("algorithm", ["PS256", "EdDSA", "RS256", "ES256"])
def test_every_default_algorithm_verifies(algorithm: str) -> None:
    issuer = Issuer()
    issuer.add("k", algorithm)
    key = key_of(issuer.jwks()["keys"], "k", algorithm)
    assert key is not None
    assert jwt.decode(issuer.token("r", "k"), key, algorithms=[algorithm], audience="r")["sub"] == "u-1"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"keys": 1}', b"\xff", b"[" * 100_000, b'"x"'])
def test_what_is_no_key_set_is_none(content: bytes) -> None:
    with pytest.raises(FetchError):
        parsed(content)


async def test_keys_in_a_file_are_checked_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    for content, words in ((b"{}", "no JWK Set"), (b'{"keys": []}', "holds no keys")):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=words):
            jwks.check_file(path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        jwks.check_file(path)
    with pytest.raises(FetchError):
        await jwks.from_file(path)()


def test_metadata_is_looked_for_where_the_specification_says() -> None:
    assert metadata_addresses("https://idp.example") == [
        "https://idp.example/.well-known/oauth-authorization-server",
        "https://idp.example/.well-known/openid-configuration",
    ]
    assert metadata_addresses("https://idp.example/tenant/") == [
        "https://idp.example/.well-known/oauth-authorization-server/tenant",
        "https://idp.example/.well-known/openid-configuration/tenant",
        "https://idp.example/tenant/.well-known/openid-configuration",
    ]
