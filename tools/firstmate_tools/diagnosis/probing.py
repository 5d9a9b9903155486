"""Whether a probe can pass at all: what it asks, compared with the container and with what the kubelet was answered.

Pure. How a probe finds its port and what its failures say: pkg/probe/util.go (ResolveContainerPort), pkg/probe/http,
tcp, grpc and exec, pkg/kubelet/prober/prober.go, v1.36. `containerPort` only informs
(https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports), so a port that no container
declares proves a mistake only together with a refused connection.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from firstmate_tools import fields, podstate
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container

Method = Literal["httpGet", "tcpSocket", "grpc", "exec", ""]
_METHODS: tuple[Method, ...] = ("httpGet", "tcpSocket", "grpc", "exec")


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe asks.

    Attributes:
        port: a number, a name, or None (exec).
    """

    method: Method
    port: int | str | None
    path: str
    scheme: str
    spec: Obj

    def __str__(self) -> str:
        if self.method == "exec":
            return "exec " + " ".join(fields.strings(self.spec, "command"))[:80]
        scheme = self.scheme.lower() if self.method == "httpGet" else {"tcpSocket": "tcp"}.get(self.method, self.method)
        return f"{scheme} port {self.port}{f', path {self.path}' if self.path else ''}"


def read(container: Container, check: str) -> Probe | None:
    """The liveness, readiness or startup probe of a container."""
    spec = fields.mapping(container.spec, f"{check}Probe")
    for method in _METHODS:
        if method in spec:
            asked = fields.mapping(spec, method)
            http = method == "httpGet"
            path = (fields.text(asked, "path") or "/") if http else ""
            scheme = (fields.text(asked, "scheme") or "HTTP") if http else ""
            return Probe(method, _port(asked.get("port")), path, scheme, asked)
    return None


def _port(value: object) -> int | str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int | str) else None


def declared(container: Container) -> dict[str, int]:
    """The container's ports: number by name; ports without a name by their number as text."""
    ports: dict[str, int] = {}
    for port in fields.items(container.spec, "ports"):
        number = fields.number(port, "containerPort")
        if number:
            ports[fields.text(port, "name") or str(number)] = number
    return ports


def number(container: Container, probe: Probe) -> int | None:
    """The port number that the kubelet asks, None where the name is unknown or there is none."""
    return declared(container).get(probe.port) if isinstance(probe.port, str) else probe.port


def declared_anywhere(pod: Obj) -> set[int]:
    """Every port that some container of the pod declares."""
    return {port for c in podstate.containers(pod) if c.role != "ephemeral" for port in declared(c).values()}


def asks_nobody(pod: Obj, container: Container, check: str) -> bool:
    """Whether a probe asks a port that no container of the pod declares, while its own declares others."""
    probe, own = read(container, check), declared(container)
    asked = number(container, probe) if probe else None
    return bool(own) and asked is not None and asked not in declared_anywhere(pod)


def patience(container: Container, check: str) -> timedelta:
    """How long a probe fails before the kubelet acts on it (defaults: the probe's documentation above)."""
    spec = fields.mapping(container.spec, f"{check}Probe")
    period = fields.number(spec, "periodSeconds", default=10)
    threshold = fields.number(spec, "failureThreshold", default=3)
    seconds = fields.number(spec, "initialDelaySeconds") + period * (threshold - 1)
    return timedelta(seconds=min(max(seconds, 0), 10**6))


Answer = Literal["refused", "protocol", "path", "rights", "command", "file", "unwell", "slow", "other"]
"""What came back: nobody listens; another protocol; 404 and the like; 401 or 403; a command, or a file that it reads,
does not exist; the program itself says that it is unwell (5xx, NOT_SERVING); no answer in time."""

_ANSWERS: tuple[tuple[Answer, str], ...] = (
    (
        "protocol",
        r"(?i)malformed HTTP|server gave HTTP response to HTTPS|first record does not look like|frame too large",
    ),
    (
        "protocol",
        r"(?i)HTTP request to an HTTPS|does not implement the grpc health|unknown service|server preface|tls: ",
    ),
    # A gRPC probe keeps trying until its time is up: a refused connection shows as a time-out of the connection.
    ("refused", r"(?i)failed to connect service|connection refused|no route to host|connection reset"),
    ("slow", r"(?i)deadline exceeded|Client\.Timeout|i/o timeout|timed out|did not complete within"),
    ("command", r"executable file not found|OCI runtime exec failed.*no such file|stat \S+: no such file"),
    ("command", r": not found$|command not found"),
    ("file", r"No such file or directory|can't open|cannot open"),
    ("unwell", r"statuscode: (?:5\d\d|429)|service unhealthy"),
    ("rights", r"statuscode: 40[13]\b"),
    ("protocol", r"statuscode: (?:400|421|426)\b"),
    ("path", r"statuscode: (?:404|405|406|410|415)\b"),
)
_PATTERNS: tuple[tuple[Answer, re.Pattern[str]], ...] = tuple((found, re.compile(text)) for found, text in _ANSWERS)


def answer(message: str) -> Answer:
    """What an Unhealthy message says came back."""
    for found, pattern in _PATTERNS:
        if pattern.search(message):
            return found
    return "other"


def changed(before: Container | None, after: Container, check: str) -> tuple[Probe, Probe] | None:
    """What two revisions of a container's probe ask, where that differs; timing aside."""
    was, now = read(before, check) if before else None, read(after, check)
    if before is None or was is None or now is None:
        return None
    old = (was.method, number(before, was), fields.without(was.spec, "port"))
    return None if old == (now.method, number(after, now), fields.without(now.spec, "port")) else (was, now)
