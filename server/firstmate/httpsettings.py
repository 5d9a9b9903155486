"""How MCP is served over HTTP, and what is kept of it: the tables `[http]` and `[audit]` of the configuration.

`settings.py` reads them. What contradicts itself is said here; what depends on flags, on files or on the address is
checked where it is used. Must never hold a secret: files and digests are named, tokens are not.
"""

from ipaddress import ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from firstmate_tools.toolspec import Family

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # public keys alone: never `none`, nor HS, whose key anybody could take from the JWKS

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def address(value: str) -> str:
    """An https address; http for loopback alone, since keys and tokens depend on it."""
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("it must be an https:// address (http:// for loopback alone)")
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("it must be an address without user, query and fragment")
    return value


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to it, or did."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScopeSettings(_Table):
    """What the scopes of each family of tools are called in tokens."""

    read: str = "firstmate:read"
    logs: str = "firstmate:logs"
    plan: str = "firstmate:plan"
    apply: str = "firstmate:apply"

    @property
    def families(self) -> dict[str, Family]:
        """The family of each scope."""
        return {self.read: "read", self.logs: "logs", self.plan: "plan", self.apply: "apply"}

    def of(self, family: Family) -> str:
        """The scope of a family."""
        return next(scope for scope, one in self.families.items() if one == family)

    @model_validator(mode="after")
    def _plain(self) -> "ScopeSettings":
        names = [self.read, self.logs, self.plan, self.apply]
        # RFC 6749, 3.3: printable ASCII without space, quote and backslash.
        if any(not one or not one.isascii() or not one.isprintable() or set(one) & set(' "\\') for one in names):
            raise ValueError("a scope is one word of ASCII, without quotes and backslashes")
        if len(set(names)) != len(names):
            raise ValueError("each family needs a scope of its own")
        return self


class OAuthSettings(_Table):
    """Whose access tokens are taken.

    Attributes:
        issuer: the authorization server; `iss` must be exactly this.
        audience: what `aud` may be; the address of this server (`http.public_url`) when left out.
        jwks_uri: where its public keys are; asked of its metadata when left out.
        jwks_file: its public keys in a file, read again when it changes.
        algorithms: what it may sign with.
        leeway_s: how far its clock may be off.
        user_claim: the claim that people, and RBAC under impersonation, know a caller by.
        groups_claim: the claim that lists a caller's groups.
    """

    issuer: str
    audience: tuple[str, ...] = ()
    jwks_uri: str | None = None
    jwks_file: str | None = None
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway_s: float = Field(default=30, ge=0, le=300)
    user_claim: str = Field(default="sub", min_length=1)
    groups_claim: str = Field(default="groups", min_length=1)

    @field_validator("issuer", "jwks_uri")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        return value if value is None else address(value)

    @model_validator(mode="after")
    def _one_place(self) -> "OAuthSettings":
        if self.jwks_uri is not None and self.jwks_file is not None:
            raise ValueError("give jwks_uri or jwks_file, not both")
        if not self.algorithms:
            raise ValueError("name at least one of algorithms")
        return self


class LimitSettings(_Table):
    """How much one caller, and all together, may ask.

    Attributes:
        body_bytes: the largest request; more is a 413.
        body_s: seconds for a request to arrive whole; more is a 408.
        header_bytes: the longest request line with headers; more is a 400.
        header_s: seconds from the connection, or the answer before, until the headers are there; later is closed.
        connections: at the same time; more are told 503.
        overall: calls at the same time; more are told 503.
        per_caller: calls of one caller at the same time; more are told 429.
        streams_per_caller: open event streams of one caller (2025-11-25 clients hold one for a session).
        sessions: open sessions of 2025-11-25 clients; more are told 503.
        sessions_per_caller: those of one caller; more are told 429.
        session_idle_s: after so long without a request a session is closed.
        per_second: requests of one caller, over time.
        burst: requests of one caller at once, before that rate holds; more are told 429.
    """

    body_bytes: int = Field(default=1 << 20, ge=1024, le=64 << 20)
    body_s: float = Field(default=10, gt=0, le=300)
    header_bytes: int = Field(default=16 << 10, ge=1024, le=1 << 20)
    header_s: float = Field(default=10, gt=0, le=300)
    connections: int = Field(default=1000, ge=1)
    overall: int = Field(default=64, ge=1)
    per_caller: int = Field(default=16, ge=1)
    streams_per_caller: int = Field(default=16, ge=1)
    sessions: int = Field(default=2000, ge=1)
    sessions_per_caller: int = Field(default=200, ge=1)
    session_idle_s: float = Field(default=900, gt=0)
    per_second: float = Field(default=20, gt=0)
    burst: int = Field(default=200, ge=1)


class HttpSettings(_Table):
    """How `serve --transport http` listens and whom it answers.

    Attributes:
        host, port: where.
        allowed_hosts: Host names to accept beside loopback's and that of `public_url`.
        public_url: the address that clients use, with its path: https://firstmate.shop.example/mcp.
        allow_unauthenticated: half of the leave to listen beyond loopback without tokens; the other half is a flag.
        tokens_file: static tokens; see `firstmate token`.
        oauth: access tokens of an authorization server.
        scopes: what the scopes are called.
        impersonate: whether the API server is asked in the caller's name.
        user_prefix, groups_prefix: put before a caller's names, so that they cannot be taken for others.
        limits: how much may be asked.
        tls_cert, tls_key: PEM files, where no ingress ends TLS.
        trusted_proxies: addresses and networks whose X-Forwarded-For is believed.
        access_log: one line of JSON on stderr for each request.
        drain_s: seconds for which a server that was told to end still answers, while /readyz says 503.
        grace_s: seconds that calls under way have after that.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=0, le=65535)
    allowed_hosts: tuple[str, ...] = ()
    public_url: str | None = None
    allow_unauthenticated: bool = False
    tokens_file: str | None = None
    oauth: OAuthSettings | None = None
    scopes: ScopeSettings = ScopeSettings()
    impersonate: Literal["off", "user", "user-and-groups"] = "off"
    user_prefix: str = ""
    groups_prefix: str = ""
    limits: LimitSettings = LimitSettings()
    tls_cert: str | None = None
    tls_key: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    access_log: bool = True
    drain_s: float = Field(default=0, ge=0, le=300)
    grace_s: float = Field(default=10, ge=0, le=300)

    @field_validator("public_url")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        return value if value is None else address(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if ip_network(one, strict=False).prefixlen == 0:
                raise ValueError(f"{one} trusts everybody")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "HttpSettings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together")
        if self.impersonate != "off" and not self.authenticates:
            raise ValueError("impersonate needs tokens_file or oauth: without them there is nobody to impersonate")
        return self

    @property
    def authenticates(self) -> bool:
        """Whether callers have to show a token."""
        return self.tokens_file is not None or self.oauth is not None


class AuditSettings(_Table):
    """The audit trail: one line of JSON for each tool call.

    Attributes:
        file: where it is appended; over HTTP stderr when left out, otherwise nowhere.
        fsync: whether each line is on the disk before the answer leaves.
    """

    file: str | None = None
    fsync: bool = False
