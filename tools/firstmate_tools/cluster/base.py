"""The seam to a cluster: every tool is given a `Cluster` and cannot tell a live one from a recording.

    async with source.open(Grant.of(tool.reads)) as cluster:
        pods = await cluster.list(POD, namespace="shop")
        if (pod := await cluster.get(POD, "cart-1", "shop")) is not None: ...

A `ClusterSource` is a cluster that firstmate is configured to look at (connections, files); `open` gives the `Cluster`
of one tool call, with the reads that the call may make, its deadline and its own counters. Reads that give no answer
raise a `ReadError`; an empty list means that the cluster has none.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, Protocol, TypeVar

from firstmate_tools.aws.reader import Aws
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.reads import Grant, NonResource, PrometheusRead, Read
from firstmate_tools.results import ClusterIdentity

T = TypeVar("T")


@dataclass(slots=True)
class Usage:
    """What one tool call cost: requests sent, bytes received (as sent over the wire, compressed), seconds waited.

    Questions to Prometheus are no burden of the API server: they stand in `by_resource` alone.
    """

    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0
    by_resource: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(slots=True)
class Listing(Generic[T]):
    """One list, whole unless `more` says otherwise.

    Attributes:
        items: the objects, or what `reduce` made of them, in the server's order.
        more: the continue token of the next page where `limit` cut the list, else "".
        remaining: how many are known to follow, where the server says so.
        read_at: the resourceVersion of the list, "" in recordings.
    """

    items: list[T]
    more: str = ""
    remaining: int | None = None
    read_at: str = ""


@dataclass(frozen=True, slots=True)
class LogRequest:
    """Which log to read. `since_seconds` and `tail_lines` are applied by the server.

    `timestamps` puts the time of each line (RFC 3339, nanoseconds) and a space before it; a recording that does not
    hold them raises NotCollectedError.
    """

    namespace: str
    pod: str
    container: str
    previous: bool = False
    tail_lines: int | None = 200
    since_seconds: int | None = None
    limit_bytes: int = 1_000_000
    timestamps: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Whether the caller may make a declared read. `allowed` is None where that could not be found out."""

    read: Read | NonResource
    namespace: str
    allowed: bool | None
    reason: str = ""


Form = Literal["full", "metadata"]


class Cluster(Protocol):
    """What a tool sees of a cluster during one call."""

    @property
    def identity(self) -> ClusterIdentity: ...

    @property
    def default_namespace(self) -> str:
        """The namespace of the kubeconfig context, "default" where it names none."""
        ...

    @property
    def now(self) -> datetime:
        """The cluster's clock: the API server's Date header, or the moment of recording. In UTC."""
        ...

    @property
    def is_live(self) -> bool:
        """False for a recording, in which reading again gives the same."""
        ...

    @property
    def usage(self) -> Usage: ...

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        form: Form = "full",
        limit: int | None = None,
        more: str = "",
    ) -> Listing[Obj]:
        """The objects of a kind; pages are followed to the end unless `limit` is given.

        Args:
            kind: a namespaced kind is listed across namespaces when `namespace` is None.
            labels: label selector.
            fields: field selector.
            form: `metadata` asks for names, labels, annotations and owners alone.
            limit: at most so many objects; the rest by `more`.
            more: the token of the page before.

        Raises:
            ReadError: no answer; the subclass says why.
        """
        ...

    async def sweep(
        self,
        kind: Kind,
        reduce: Callable[[Obj], T | None],
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        most: int | None = None,
    ) -> Listing[T]:
        """As `list`, for lists that may be huge: page by page, each object given to `reduce` and let go.

        Args:
            reduce: makes a small row of an object, or None to leave it out. It must add nothing up elsewhere: where a
                list has to start again, it sees every object again.
            most: stop after the page on which so many objects have been seen; `more` is then set.
        """
        ...

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Obj | None:
        """One object, or None where the cluster says that it does not exist.

        Raises:
            ReadError: no answer.
        """
        ...

    async def logs(self, request: LogRequest) -> str:
        """The text of a container's log, its end kept where it was cut; invalid UTF-8 becomes �.

        Raises:
            ReadError: no answer (for `previous`, ObjectNotFoundError where the container has no previous run).
        """
        ...

    async def text(self, path: str, *, limit_bytes: int = 50_000_000, only: str = "") -> str:
        """What a path that is no resource answers with, such as `/metrics` or `/readyz?verbose`.

        Health endpoints answer with the checks that failed; that is their text, no error. Invalid UTF-8 becomes �,
        control characters and what is a secret by its shape are taken out.

        Args:
            path: declared as `NonResource` (without the query), or the metrics of an EKS control plane, declared as
                `Read` with the subresource `metrics`.
            limit_bytes: the most that is taken; more is a failed read, since sums over a part would be wrong.
            only: of a text that is long the lines that hold this, which costs a tenth.

        Raises:
            ReadError: no answer.
        """
        ...

    async def measure(self, read: PrometheusRead, namespace: str | None = None) -> Sequence[Series]:
        """What the cluster's Prometheus says, sorted; a range or a moment, as the question is declared.

        Args:
            read: as declared.
            namespace: the one that is asked about, None for all.

        Raises:
            ReadError: no answer; NotConfiguredError where nobody said that there is one.
        """
        ...

    async def kinds(self) -> Sequence[Kind]:
        """Every kind that the cluster serves, in its preferred version (discovery)."""
        ...

    async def access(self, reads: Sequence[Read | NonResource], namespace: str | None) -> Sequence[Access]:
        """Whether each declared read is allowed, asked by access reviews (a recording: whether it was collected)."""
        ...


class ClusterSource(Protocol):
    """One cluster that firstmate is configured to look at."""

    @property
    def name(self) -> str: ...

    def open(self, grant: Grant, *, deadline_s: float = 30.0) -> AbstractAsyncContextManager[Cluster]:
        """The cluster as one tool call sees it.

        Args:
            grant: the reads that the call may make; others raise RefusedError.
            deadline_s: seconds after which every further read raises TimedOutError.

        Raises:
            ConfigurationError: it cannot be used as configured.
            ReadError: it cannot be reached, or refuses to say who it is.
        """
        ...

    async def answers(self, *, deadline_s: float) -> None:
        """Returns where it can be asked at all, as cheaply as that can be found out.

        Raises:
            ConfigurationError: it cannot be used as configured.
            ReadError: it does not answer, or refuses the credentials.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections and files."""
        ...


class ClusterSet(Protocol):
    """All configured clusters. The first one named by flags, file or kubeconfig answers where a call names none."""

    def names(self) -> Sequence[str]: ...

    def default(self) -> str: ...

    def describe(self) -> Sequence[ClusterIdentity]:
        """Who each is, from configuration alone, without a request."""
        ...

    def source(self, name: str | None = None) -> ClusterSource:
        """The named one, or the default.

        Raises:
            UnknownClusterError: lists those that are configured.
        """
        ...

    def aws(self, grant: Grant, *, profile: str | None, region: str | None, deadline_s: float) -> Aws:
        """AWS as this process may ask it, at a place that the caller names.

        Args:
            grant: the operations that the call may make.
            profile: of the AWS configuration; None for the one that the environment gives.
            region: None for the profile's.
            deadline_s: seconds after which every further read raises TimedOutError.

        Raises:
            UsageError: the caller may not name this profile.
        """
        ...

    async def close(self) -> None: ...


class Granted:
    """The clusters as one tool call sees them, with the AWS operations that the tool declared.

    Args:
        clusters: all that are configured.
        grant: what the call may read.
        deadline_s: until when.
    """

    def __init__(self, clusters: ClusterSet, grant: Grant, deadline_s: float) -> None:
        self._clusters, self._grant, self._deadline_s = clusters, grant, deadline_s

    def default(self) -> str:
        """See `ClusterSet.default`."""
        return self._clusters.default()

    def describe(self) -> Sequence[ClusterIdentity]:
        """See `ClusterSet.describe`."""
        return self._clusters.describe()

    def aws(self, profile: str | None = None, region: str | None = None) -> Aws:
        """AWS at a place, for what the tool declared.

        Raises:
            UsageError: the caller may not name this profile.
        """
        return self._clusters.aws(self._grant, profile=profile, region=region, deadline_s=self._deadline_s)
