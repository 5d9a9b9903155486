"""OAuth 2.1 access tokens (JWT, RFC 9068): whose they are, and whether they are meant for this server.

`authentication.py` hands every token that is not a static one to `AccessTokens`. PyJWT checks signature and times. Must
never take a token whose audience is not this server (RFC 8707), one signed with anything but a public key of the
configured issuer, nor say more about a refused one than which check it failed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import jwt

from firstmate.caller import Caller
from firstmate.httpsettings import OAuthSettings
from firstmate.mcp.web.authentication import InvalidTokenError
from firstmate.mcp.web.jwks import Keys
from firstmate_tools.toolspec import Family

_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
_CLIENT_CLAIMS = ("client_id", "azp", "cid")
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidAudienceError, "the token is meant for another server"),
    (jwt.InvalidIssuerError, "the token comes from another issuer"),
    (jwt.MissingRequiredClaimError, "the token lacks a claim: exp, iss, aud and sub are needed"),
    (jwt.InvalidKeyError, "the key that signed the token is too weak"),
    (jwt.InvalidSignatureError, "the signature is wrong"),
)


class AccessTokens:
    """Checks access tokens of one issuer.

    Args:
        settings: the issuer, and what is asked of its tokens.
        audience: what `aud` may be.
        scopes: the family of each scope.
        keys: the issuer's.
    """

    def __init__(
        self, settings: OAuthSettings, audience: Sequence[str], scopes: Mapping[str, Family], keys: Keys
    ) -> None:
        self._settings, self._audience, self._scopes, self._keys = settings, list(audience), scopes, keys

    async def caller(self, token: str) -> Caller:
        """Whose token it is.

        Raises:
            InvalidTokenError: it is not accepted.
            KeysUnavailableError: it could not be checked.
        """
        claims = await self._claims(token)
        user = claims.get(self._settings.user_claim)
        if not isinstance(user, str) or not user:
            raise InvalidTokenError(f"the token has no claim {self._settings.user_claim}")
        if self._settings.user_claim == "email" and claims.get("email_verified", True) is not True:
            raise InvalidTokenError("the e-mail address of the token is not verified")
        return Caller(
            "oauth",
            str(claims["sub"]),
            user,
            next((str(claims[name]) for name in _CLIENT_CLAIMS if claims.get(name)), ""),
            self._settings.issuer,
            frozenset[Family](self._scopes[scope] for scope in scopes_of(claims) if scope in self._scopes),
            tuple(_strings(claims.get(self._settings.groups_claim))),
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise InvalidTokenError("it is no token of this issuer") from error
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
        if algorithm not in self._settings.algorithms:
            raise InvalidTokenError("the token is signed in a way that is not accepted")
        if (kind.lower() if isinstance(kind, str) else kind) not in _TYPES:
            raise InvalidTokenError("it is no access token")
        key = await self._keys.find(kid if isinstance(kid, str) else None, algorithm)
        if key is None:
            raise InvalidTokenError("the issuer has no such key")
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            words = next((words for kind, words in _WORDS if isinstance(error, kind)), "the token is malformed")
            raise InvalidTokenError(words) from error


def scopes_of(claims: Mapping[str, Any]) -> list[str]:
    """The scopes of a token: `scope` (RFC 9068), or `scp` as some issuers call it; words in one text, or a list."""
    found = claims.get("scope", claims.get("scp"))
    return found.split() if isinstance(found, str) else _strings(found)


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in cast("list[object]", value) if isinstance(one, str)] if isinstance(value, list) else []
