"""An OAuth authorization server for one test, on 127.0.0.1: metadata, keys that can be rotated, client credentials."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Issuer:
    """Signs tokens and serves its public keys. `asked` counts requests by path."""

    def __init__(self) -> None:
        self.url = ""
        self.down = False
        self.asked: dict[str, int] = {}
        self.private: dict[str, Any] = {}
        self.algorithms: dict[str, str] = {}
        self.add("rsa-1", "RS256")
        self.add("ec-1", "ES256")

    def add(self, kid: str, algorithm: str, bits: int = 2048) -> None:
        if algorithm[:2] in ("RS", "PS"):
            self.private[kid] = rsa.generate_private_key(65537, bits)
        elif algorithm == "EdDSA":
            self.private[kid] = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private[kid] = ec.generate_private_key(ec.SECP256R1())
        self.algorithms[kid] = algorithm

    def public_pem(self, kid: str) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private[kid].public_key().public_bytes(serialization.Encoding.PEM, form)

    def jwks(self) -> dict[str, Any]:
        keys = []
        for kid, private in self.private.items():
            algorithm = jwt.get_algorithm_by_name(self.algorithms[kid])
            key = algorithm.to_jwk(private.public_key(), as_dict=True)
            keys.append({**key, "kid": kid, "use": "sig", "alg": self.algorithms[kid]})
        return {"keys": keys}

    def claims(self, resource: str, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        whole = {
            "iss": self.url,
            "sub": "u-1",
            "aud": resource,
            "iat": now,
            "exp": now + 300,
            "scope": "firstmate:read firstmate:logs",
            "client_id": "chat-ops",
            "groups": ["sre"],
            **changed,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, resource: str, kid: str = "rsa-1", header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token; a claim that is None is left out."""
        given = {"kid": kid, "typ": "at+jwt", **(header or {})}
        return jwt.encode(self.claims(resource, **changed), self.private[kid], self.algorithms[kid], given)

    def forged(self, resource: str, algorithm: str, key: bytes = b"", **changed: Any) -> str:
        """A token that nobody's private key signed: `none`, or HS256 with a key that everybody knows."""
        header = b64(json.dumps({"alg": algorithm, "typ": "at+jwt", "kid": "rsa-1"}).encode())
        payload = f"{header}.{b64(json.dumps(self.claims(resource, **changed)).encode())}"
        signature = hmac.digest(key, payload.encode(), hashlib.sha256) if algorithm == "HS256" else b""
        return f"{payload}.{b64(signature)}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Issuer"]:
        app = web.Application()
        app.router.add_get("/.well-known/oauth-authorization-server", self._metadata)
        app.router.add_get("/keys", self._keys)
        app.router.add_post("/token", self._token)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def _count(self, request: web.Request) -> None:
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        if self.down:
            raise web.HTTPServiceUnavailable

    async def _metadata(self, request: web.Request) -> web.Response:
        self._count(request)
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["code"],
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "scopes_supported": ["firstmate:read", "firstmate:logs"],
            }
        )

    async def _keys(self, request: web.Request) -> web.Response:
        self._count(request)
        return web.json_response(self.jwks())

    async def _token(self, request: web.Request) -> web.Response:
        """Client credentials (RFC 6749, 4.4) for one client, bound to the resource that it asks for (RFC 8707)."""
        self._count(request)
        form = await request.post()
        if (form.get("client_id"), form.get("client_secret")) != ("chat-ops", "s3cret"):
            return web.json_response({"error": "invalid_client"}, status=401)
        scope = str(form.get("scope") or "firstmate:read")
        token = self.token(str(form["resource"]), sub="chat-ops", scope=scope)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": scope})
