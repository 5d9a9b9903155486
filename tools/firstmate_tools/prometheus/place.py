"""Where a cluster's Prometheus is and how to get in: plain data, made from the configuration.

Secrets are named, not held: they are read from their file or variable for each call, so that one that is exchanged
meanwhile is taken, and none can stand in a result.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class PrometheusPlace:
    """One Prometheus.

    Attributes:
        url: where its API begins, without `/api/v1`: `https://prometheus.example.com`, `http://mimir:9009/prometheus`.
        token_file, token_env: the file, or the variable, with a bearer token.
        username: for basic authentication, with `password_file` or `password_env`.
        ca_file: certificates to trust in place of the system's.
        tenant: for `X-Scope-OrgID`, by which Mimir, Cortex and Thanos tell tenants apart.
        labels: what the series of this cluster bear, where one Prometheus holds several: `{"cluster": "prod"}`.
        timeout_s: seconds for one question.
    """

    url: str
    token_file: str = ""
    token_env: str = ""
    username: str = ""
    password_file: str = ""
    password_env: str = ""
    ca_file: str = ""
    tenant: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    timeout_s: float = 10.0

    @property
    def base(self) -> str:
        """The address without a slash at its end."""
        return self.url.rstrip("/")

    def fault(self) -> str:
        """What is wrong with it, in words; "" where nothing is."""
        try:
            parts = urlsplit(self.url)
            whole = parts.scheme in ("http", "https") and parts.hostname is not None
        except ValueError:
            return "url is no address"
        if not whole or parts.query or parts.fragment:
            return "url has to be an http or https address without query"
        if "@" in parts.netloc:
            return "url must not hold credentials: use token_file, or username with password_file"
        if self.base.endswith("/api/v1"):
            return "url ends before /api/v1"
        bearer, password = bool(self.token_file) + bool(self.token_env), bool(self.password_file or self.password_env)
        if bearer > 1 or (self.password_file and self.password_env):
            return "a secret comes from a file or from a variable, not from both"
        if bool(self.username) != password:
            return "username and password_file (or password_env) go together"
        if bearer and password:
            return "there is either a token or a user with a password"
        if bad := [name for name in self.labels if not _LABEL.fullmatch(name)]:
            return f"labels: {bad[0][:40]!r} is no name of a label"
        return "" if 0 < self.timeout_s <= 60 else "timeout_s is more than 0 and at most 60"
