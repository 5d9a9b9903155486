"""Access tokens over HTTP: whose are taken, what they open, what a client is told that comes without."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jwt
import pytest
from contract.throwaway_issuer import Issuer
from contract.web_doubles import LEGACY, MODERN, Served, result_of, serving

from firstmate.mcp.web import jwks

pytestmark = pytest.mark.anyio


@pytest.fixture
async def issuer(anyio_backend: str) -> AsyncIterator[Issuer]:
    async with Issuer().running() as found:
        yield found


@pytest.fixture
async def served(issuer: Issuer) -> AsyncIterator[Served]:
    async with serving(oauth={"issuer": issuer.url}) as found:
        yield found


async def test_a_good_token_opens_both_eras(issuer: Issuer, served: Served) -> None:
    for kid in ("rsa-1", "ec-1"):
        answer = await served.post(token=issuer.token(served.url, kid))
        assert answer.status_code == 200 and result_of(answer)["tools"]
    assert await served.open_session(issuer.token(served.url))


REFUSED: list[tuple[str, Any, str]] = [
    ("no token", lambda i, u: "", ""),
    ("garbage", lambda i, u: "garbage", "no token of this issuer"),
    ("three parts of garbage", lambda i, u: "a.b.c", "no token of this issuer"),
    ("expired", lambda i, u: i.token(u, exp=int(time.time()) - 60), "has expired"),
    ("not yet", lambda i, u: i.token(u, nbf=int(time.time()) + 90), "not valid yet"),
    ("issued in the future", lambda i, u: i.token(u, iat=int(time.time()) + 90), "not valid yet"),
    ("for another server", lambda i, u: i.token("https://other.example/mcp"), "meant for another server"),
    ("for nobody", lambda i, u: i.token(u, aud=None), "lacks a claim"),
    ("from another issuer", lambda i, u: i.token(u, iss="https://evil.example"), "another issuer"),
    ("never expires", lambda i, u: i.token(u, exp=None), "lacks a claim"),
    ("of nobody", lambda i, u: i.token(u, sub=None), "lacks a claim"),
    ("an ID token's type", lambda i, u: i.token(u, header={"typ": "id+jwt"}), "no access token"),
    ("alg none", lambda i, u: i.forged(u, "none"), "signed in a way"),
    ("HS256 with the public key", lambda i, u: i.forged(u, "HS256", i.public_pem("rsa-1")), "signed in a way"),
    ("a key nobody knows", lambda i, u: i.token(u, header={"kid": "gone"}), "no such key"),
    ("another key under a known name", lambda i, u: i.token(u, "ec-1", header={"kid": "rsa-1"}), "no such key"),
    ("an algorithm that is not allowed", lambda i, u: jwt.encode(
        i.claims(u), i.private["rsa-1"], "RS512", {"kid": "rsa-1"}
    ), "signed in a way"),
    ("tampered", lambda i, u: i.token(u)[:-8] + "AAAAAAAA", "signature is wrong"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_what_is_no_good_token_is_told_so(issuer: Issuer, served: Served, make: Any, words: str) -> None:
    token = make(issuer, served.url)
    answer = await served.post(token=token)
    challenge = answer.headers["www-authenticate"]
    assert answer.status_code == 401
    assert f'resource_metadata="{served.base}/.well-known/oauth-protected-resource/mcp"' in challenge
    assert 'scope="firstmate:read"' in challenge
    assert (words in challenge) if words else ("error=" not in challenge)
    assert not token or token not in answer.text + challenge
    assert served.trail == []


@pytest.mark.parametrize("path", ["/mcp%0a", "/mcp/", "//mcp", "/mcp%2f", "/MCP", "/healthz/../mcp", "/sse", "/"])
async def test_no_other_spelling_of_the_path_leads_past_the_gate(served: Served, path: str) -> None:
    async with httpx2.AsyncClient() as client:
        address = httpx2.URL(served.base, raw_path=path.encode())
        answers = [await client.request(method, address) for method in ("GET", "POST", "DELETE", "OPTIONS")]
    assert {one.status_code for one in answers} == {401}


async def test_a_weak_key_is_not_enough(issuer: Issuer) -> None:
    issuer.add("weak", "RS256", bits=1024)
    async with serving(oauth={"issuer": issuer.url}) as served:
        assert "too weak" in (await served.post(token=issuer.token(served.url, "weak"))).headers["www-authenticate"]


async def test_a_token_comes_in_one_authorization_header_alone(issuer: Issuer, served: Served) -> None:
    token = issuer.token(served.url)
    assert (await served.post(authorization=f"Basic {token}")).status_code == 401
    async with httpx2.AsyncClient() as client:
        twice = [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")]
        assert (await client.post(served.url, headers=twice)).status_code == 401
        assert (await client.post(f"{served.url}?access_token={token}")).status_code == 401


async def test_a_rotated_key_is_fetched_once_the_pause_is_over(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "PAUSE_S", 1.5)
    async with serving(oauth={"issuer": issuer.url}) as served:
        assert (await served.post(token=issuer.token(served.url))).status_code == 200
        for _ in range(5):
            await served.post(token=issuer.token(served.url, header={"kid": "made-up"}))
        assert issuer.asked["/keys"] == 1  # strangers cannot make us ask more often
        issuer.add("rsa-2", "RS256")
        del issuer.private["rsa-1"]
        await asyncio.sleep(1.6)
        assert (await served.post(token=issuer.token(served.url, "rsa-2"))).status_code == 200
        assert issuer.asked["/keys"] == 2


async def test_a_token_that_cannot_be_checked_is_not_called_wrong(issuer: Issuer, served: Served) -> None:
    issuer.down = True
    answer = await served.post(token=issuer.token(served.url))
    assert answer.status_code == 503 and answer.headers["retry-after"] == "30"


async def test_the_metadata_says_where_to_get_a_token(issuer: Issuer, served: Served) -> None:
    for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
        answer = await served.get(path)
        assert answer.status_code == 200
        assert answer.json() == {
            "resource": served.url,
            "authorization_servers": [issuer.url],
            "scopes_supported": ["firstmate:read", "firstmate:logs", "firstmate:plan", "firstmate:apply"],
            "bearer_methods_supported": ["header"],
            "resource_name": "firstmate",
        }


@pytest.mark.parametrize("version", [MODERN, LEGACY])
async def test_a_tool_beyond_the_scopes_is_refused_and_written_down(
    issuer: Issuer, served: Served, version: str
) -> None:
    token = issuer.token(served.url, scope="firstmate:read")
    session = {} if version == MODERN else {"mcp-session-id": await served.open_session(token)}
    listed = result_of(await served.post(token=token, version=version, **session))["tools"]
    assert "diagnose" in [one["name"] for one in listed] and "logs" not in [one["name"] for one in listed]
    answer = await served.call("logs", {"scope": "pod/secret-name"}, token=token, version=version, **session)
    assert answer.status_code == 403 and answer.json()["error"] == "insufficient_scope"
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge and 'scope="firstmate:read firstmate:logs"' in challenge
    (line,) = served.trail
    assert (line["tool"], line["outcome"], line["arguments"]) == ("logs", "insufficient_scope", ["scope"])
    assert line["caller"]["client"] == "chat-ops" and "secret-name" not in str(line)


async def test_without_the_base_scope_nothing_is_open(issuer: Issuer, served: Served) -> None:
    for scope in ("", "openid profile", "firstmate:logs"):
        answer = await served.post("resources/list", token=issuer.token(served.url, scope=scope))
        assert answer.status_code == 403 and "firstmate:read" in answer.headers["www-authenticate"]


async def test_scopes_come_under_other_names_and_in_lists(issuer: Issuer) -> None:
    scopes = {"read": "mcp.look", "logs": "mcp.logs"}
    async with serving(oauth={"issuer": issuer.url, "audience": ["api://firstmate"]}, scopes=scopes) as served:
        token = issuer.token("api://firstmate", scope=None, scp=["mcp.look"])
        assert (await served.post(token=token)).status_code == 200
        assert (await served.call("logs", token=token)).status_code == 403
        assert (await served.post(token=issuer.token(served.url, scope="mcp.look"))).status_code == 401


async def test_the_user_is_known_by_the_claim_that_is_configured(issuer: Issuer) -> None:
    async with serving(oauth={"issuer": issuer.url, "user_claim": "email"}) as served:
        good = issuer.token(served.url, email="ann@shop.example", email_verified=True)
        assert (await served.call("clusters", token=good)).status_code == 200
        assert served.trail[0]["caller"] == {
            "kind": "oauth",
            "user": "ann@shop.example",
            "subject": "u-1",
            "client": "chat-ops",
            "issuer": issuer.url,
            "groups": ["sre"],
        }
        unverified = issuer.token(served.url, email="ann@shop.example", email_verified=False)
        assert "not verified" in (await served.post(token=unverified)).headers["www-authenticate"]
        assert "no claim email" in (await served.post(token=issuer.token(served.url))).headers["www-authenticate"]
