"""What a tool or a rule may read, declared beside its code.

From these declarations alone come the request plan of a diagnosis, what `snapshot create` records, what `doctor`
checks, the least ClusterRole, and the words of `not_checked`. The gateway refuses a read that the caller of the moment
did not declare.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .kinds import SECRET, Kind


@dataclass(frozen=True, slots=True)
class Read:
    """One declared read of a resource.

    Attributes:
        kind: the resource.
        verbs: RBAC verbs, of `get` and `list`.
        subresource: such as `log`; "" for the object itself.
        optional: the least role leaves it out; without it something is `not_checked`, and nothing is inconclusive.
    """

    kind: Kind
    verbs: tuple[str, ...] = ("get", "list")
    subresource: str = ""
    optional: bool = False

    @property
    def resource(self) -> str:
        """`pods`, `pods/log`, `replicasets.apps`."""
        return f"{self.kind.resource}/{self.subresource}" if self.subresource else self.kind.resource


@dataclass(frozen=True, slots=True)
class AnyKindButSecrets:
    """The declaration of the `get` tool: the caller names the kind. Adds nothing to the least role."""


@dataclass(frozen=True, slots=True)
class NonResource:
    """One declared read of a path that is no resource, such as `/metrics`. The verb is always `get`.

    Attributes:
        path: without query; a `*` at its end stands for whatever follows, as in a ClusterRole's nonResourceURLs
            (k8s.io/kubernetes pkg/apis/rbac/v1/evaluation_helpers.go, NonResourceURLMatches, v1.36).
        optional: as in `Read`.
    """

    path: str
    optional: bool = False

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or "*" in self.path[:-1] or "?" in self.path or self.path == "/*":
            raise TypeError(f"{self.path!r} is no path that can be declared")

    @property
    def resource(self) -> str:
        """The path: what counters, coverage and `doctor` call it."""
        return self.path

    def covers(self, path: str) -> bool:
        """Whether a path is meant by this declaration."""
        return path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path


@dataclass(frozen=True, slots=True)
class AwsRead:
    """One declared read of AWS: `AwsRead("eks", "DescribeCluster")`.

    Attributes:
        service: botocore's name of the service.
        operation: as in botocore's model; one of those that `aws/operations.py` lists.
        optional: as in `Read`.
    """

    service: str
    operation: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class PrometheusRead:
    """One declared question to Prometheus, PromQL and all: no other one is asked.

    Attributes:
        name: what counters, coverage and recordings call it, in lower-case words with hyphens.
        query: PromQL. `$scope` stands within the braces of every selector, for the matchers of the cluster's own labels
            and, where `namespaced`, of the namespace that is asked about. It should give what is out of the ordinary
            alone: few series, however large the cluster.
        metrics: the metrics that it needs: where Prometheus has none of them, nobody has looked.
        namespaced: its series carry the label `namespace`.
        window_s, step_s: a range of so many seconds up to now, a point every so many; 0 asks for this moment alone.
    """

    name: str
    query: str
    metrics: tuple[str, ...]
    namespaced: bool = False
    window_s: int = 0
    step_s: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z][a-z0-9-]*", self.name) or bool(self.window_s) != bool(self.step_s):
            raise TypeError(f"{self.name!r} is no question that can be declared")

    @property
    def resource(self) -> str:
        """What counters and coverage call it."""
        return f"prometheus/{self.name}"


Declared = Read | NonResource | AwsRead | PrometheusRead | AnyKindButSecrets


@dataclass(frozen=True, slots=True)
class Grant:
    """The reads that one tool call may make. The gateway asks it before anything leaves."""

    reads: frozenset[Declared]

    @staticmethod
    def of(reads: Iterable[Declared]) -> "Grant":
        return Grant(frozenset(reads))

    def allows(self, kind: Kind, verb: str, subresource: str = "") -> bool:
        """Whether a read was declared. Versions do not matter, groups and resources do."""
        for read in self.reads:
            if isinstance(read, AnyKindButSecrets):
                if not subresource and (kind.group, kind.plural) != (SECRET.group, SECRET.plural):
                    return True
            elif (
                isinstance(read, Read)
                and verb in read.verbs
                and (read.kind.group, read.kind.plural, read.subresource) == (kind.group, kind.plural, subresource)
            ):
                return True
        return False

    def allows_path(self, path: str) -> bool:
        """Whether a path that is no resource was declared."""
        return any(isinstance(read, NonResource) and read.covers(path) for read in self.reads)

    def allows_prometheus(self, read: PrometheusRead) -> bool:
        """Whether a question to Prometheus was declared, word by word."""
        return read in self.reads

    def allows_aws(self, service: str, operation: str) -> bool:
        """Whether an AWS operation was declared."""
        return any(
            isinstance(read, AwsRead) and (read.service, read.operation) == (service, operation) for read in self.reads
        )
