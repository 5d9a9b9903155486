"""The canaries: secrets made anew for each run, one row each, with the place in which `planting.py` puts it.

`fresh()` gives them by name. `text` is what is planted; `core` is its secret part, random, every window of which is
searched for afterwards (`search.py`). A kind of secret that the filter must know gets a row here and a line in
`planting.py`; nothing else.
"""

import base64
import json
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass

LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted secret."""

    name: str
    core: str
    text: str


def word(length: int = 28) -> str:
    """A password as a generator makes it."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def _plain() -> tuple[str, str]:
    made = word()
    return made, made


def _around(before: str, after: str = "", length: int = 28) -> Callable[[], tuple[str, str]]:
    """A password within a text."""

    def make() -> tuple[str, str]:
        made = word(length)
        return made, f"{before}{made}{after}"

    return make


def _base64ish(length: int) -> str:
    return base64.b64encode(secrets.token_bytes(length)).decode()[:length]


def _aws() -> tuple[str, str]:
    made = _base64ish(40)
    return made, made


def _jwt() -> tuple[str, str]:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    payload, signature = part({"sub": word(), "jti": word()}), secrets.token_urlsafe(48)
    return signature, f"{part({'alg': 'RS256', 'kid': 'a'})}.{payload}.{signature}"


def _pem(kind: str) -> Callable[[], tuple[str, str]]:
    def make() -> tuple[str, str]:
        lines = [_base64ish(64) for _ in range(6)]
        return "".join(lines), "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"]) + "\n"

    return make


def _in_base64(inner: Callable[[], tuple[str, str]]) -> Callable[[], tuple[str, str]]:
    """The base64 of a text that holds a secret; found encoded or not."""

    def make() -> tuple[str, str]:
        core, text = inner()
        return core, base64.b64encode(text.encode()).decode()

    return make


def _docker() -> tuple[str, str]:
    made = word()
    auth = base64.b64encode(f"robot:{made}".encode()).decode()
    return made, json.dumps({"auths": {"registry.example": {"username": "robot", "auth": auth}}})


def _basic() -> tuple[str, str]:
    made = word()
    return made, "Basic " + base64.b64encode(f"admin:{made}".encode()).decode()


def _escaped() -> tuple[str, str]:
    """A JSON text within a JSON text."""
    made = word()
    inner = json.dumps({"user": "svc", "password": made})
    return made, json.dumps({"level": "error", "body": inner})


def _url_encoded() -> tuple[str, str]:
    made = word()
    return made, f"https://login.example/cb?redirect=https%3A%2F%2Fsvc%3A{made}%40api.example%2F&x=1"


ROWS: dict[str, Callable[[], tuple[str, str]]] = {
    # Secrets and their copies
    "secret-data": _plain,
    "secret-string-data": _plain,
    "secret-dockerconfigjson": _docker,
    "secret-tls-key": _pem("PRIVATE KEY"),
    "secret-service-account-token": _jwt,
    "secret-last-applied": _in_base64(_plain),
    "deployment-last-applied": _plain,
    "managed-fields-set": _around("ghp_", length=36),
    # files in ConfigMaps
    "configmap-kubeconfig-token": _plain,
    "configmap-kubeconfig-client-key": _in_base64(_pem("RSA PRIVATE KEY")),
    "configmap-dockerconfigjson": _docker,
    "configmap-npmrc": _around("//registry.example/:_authToken="),
    "configmap-id-rsa": _pem("OPENSSH PRIVATE KEY"),
    "configmap-aws-secret-key": _aws,
    "configmap-aws-session-token": _around("IQoJb3JpZ2luX2Vj", length=180),
    "configmap-pgpass": _around("db.example:5432:orders:svc:"),
    "configmap-netrc": _around("machine git.example login bot password "),
    "configmap-properties": _around("spring.datasource.password="),
    "configmap-yaml": _around("database:\n  user: svc\n  password: ", "\n"),
    "configmap-json": _around('{"region": "eu", "apiKey": "', '"}'),
    "configmap-secret-key-name": _plain,
    # environment
    "env-db-password": _plain,
    "env-aws-secret-access-key": _aws,
    "env-github-token": _around("ghp_", length=36),
    "env-connection-string": _around("Server=db.example;User Id=svc;Password=", ";Encrypt=true"),
    "env-database-url": _around("postgres://svc:", "@db.example:5432/orders"),
    "env-base64-json": _in_base64(_around('{"user":"svc","password":"', '"}')),
    "env-daemonset": _plain,
    # command lines
    "arg-password-flag": _around("--password="),
    "arg-token-word": _plain,
    "arg-p-word": _plain,
    "arg-url": _around("--broker=amqp://svc:", "@mq.example:5672/"),
    "arg-shell": _around("curl -s -H 'Authorization: Bearer ", "' https://api.example/"),
    "arg-curl-user": _around("curl -u svc:", " https://api.example/"),
    "arg-query": _around("https://hooks.example/run?access_token=", "&job=1"),
    # probes, lifecycle
    "probe-authorization": _basic,
    "probe-api-key": _plain,
    # annotations, labels
    "annotation-jwt": _jwt,
    "annotation-node": _around("registration-token="),
    "annotation-namespace": _around("slack=xoxb-", length=40),
    "annotation-claim": _around("redis://:", "@cache.example:6379/0"),
    "label-github-token": _around("ghp_", length=36),
    "ingress-basic-auth": _basic,
    "csr-bootstrap-token": _around("token: "),
    "apiservice-annotation": _around("client_secret="),
    # events
    "event-bearer": _around('Get "https://api.example/": 401, sent Authorization: Bearer '),
    "event-url": _around('Failed to pull image: Get "https://robot:', '@registry.example/v2/": denied'),
    # logs
    "log-password": _around("retrying with password="),
    "log-json": _around('{"level":"error","msg":"login","password":"', '"}'),
    "log-json-escaped": _escaped,
    "log-private-key": _pem("EC PRIVATE KEY"),
    "log-jdbc": _around("java.sql.SQLException: jdbc:mysql://db.example/orders?user=svc&password=", "&useSSL=true"),
    "log-go-env": _around("panic: env: [HOME=/root AWS_SECRET_ACCESS_KEY=", " PATH=/bin]", length=40),
    "log-bearer": _around("> Authorization: Bearer "),
    "log-mongodb": _around("cannot reach mongodb+srv://svc:", "@cluster0.example/?retryWrites=true"),
    "log-url-encoded": _url_encoded,
    "log-aws-token": _around('{"SecretAccessKey": "', '", "Expiration": "2026-01-01T00:00:00Z"}', length=40),
    "log-previous": _around("FATAL: bad API_KEY="),
    # status
    "termination-message": _around("exit: could not log in with secret="),
    "waiting-message": _around("failed to resolve https://robot:", "@registry.example/app"),
    "pod-condition": _around("gate says token="),
    "node-condition": _around("agent: auth failed for https://agent:", "@monitor.example/"),
    "image-credentials": _around("robot:", "@registry.example/app:1"),
    # custom resources
    "custom-spec-deep": _plain,
    "custom-status-deep": _around("last answer: Bearer "),
    "custom-innocent-name": _around("glpat-"),
    # cluster-wide places
    "webhook-url": _around("https://hooks.slack.com/services/T0AAAAAAA/B0AAAAAAA/", length=24),
    "storage-class-parameter": _plain,
    "volume-attribute": _plain,
    # the caller's own kubeconfig
    "kubeconfig-token": _plain,
    "kubeconfig-password": _plain,
    "kubeconfig-exec-argument": _plain,
    "kubeconfig-exec-environment": _plain,
    "kubeconfig-exec-stderr": _around("login failed: password="),
    "kubeconfig-server-url": _plain,
    "kubeconfig-proxy-url": _plain,
    # what a client of the HTTP transport sends
    "http-authorization": _around("Bearer "),
    "http-cookie": _around("session="),
    "http-query": _plain,
}


def fresh() -> dict[str, Canary]:
    """Every canary, with a new secret each."""
    return {name: Canary(name, *make()) for name, make in ROWS.items()}


@dataclass(frozen=True, slots=True)
class Bystanders:
    """What looks random and is no secret: a diagnosis without it is worth little, so that it must come out as it is."""

    digest: str
    commit: str
    trace: str
    request: str

    def every(self) -> tuple[str, ...]:
        return self.digest, self.commit, self.trace, self.request


def bystanders() -> Bystanders:
    """An image digest, a git commit, a trace id, a request id."""
    request = secrets.token_hex(16)
    dashed = "-".join((request[:8], request[8:12], request[12:16], request[16:20], request[20:]))
    return Bystanders("sha256:" + secrets.token_hex(32), secrets.token_hex(20), secrets.token_hex(16), dashed)
