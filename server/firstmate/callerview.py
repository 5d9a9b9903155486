"""The clusters as the caller of the moment may see them: without log text for those who have no scope for it.

`serve` puts it around the configured clusters where callers are authenticated. It stands at the seam to the clusters,
so that every tool is held to it, also one that quotes a log among other things, as `diagnose` does: it goes on without,
and says that it did. Must never let a tool reach a cluster past it.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from firstmate.caller import current
from firstmate_tools.aws.reader import Aws
from firstmate_tools.cluster.base import Cluster, ClusterSet, ClusterSource, LogRequest
from firstmate_tools.errors import DeniedError, UsageError
from firstmate_tools.reads import Grant
from firstmate_tools.results import ClusterIdentity


class CallersView:
    """A `ClusterSet` like the one behind it, seen by the caller of the moment.

    Args:
        clusters: all that there are.
        logs_scope: what the scope for log text is called.
    """

    def __init__(self, clusters: ClusterSet, logs_scope: str) -> None:
        self._clusters, self._logs_scope = clusters, logs_scope

    def names(self) -> Sequence[str]:
        return self._clusters.names()

    def default(self) -> str:
        return self._clusters.default()

    def describe(self) -> Sequence[ClusterIdentity]:
        return self._clusters.describe()

    def source(self, name: str | None = None) -> ClusterSource:
        return _Source(self._clusters.source(name), self._logs_scope)

    def aws(self, grant: Grant, *, profile: str | None, region: str | None, deadline_s: float) -> Aws:
        """As firstmate itself, whoever calls: so a caller from elsewhere names no profile but those of the clusters.

        Raises:
            UsageError: no configured cluster names this profile.
        """
        known = sorted({one.aws.profile for one in self.describe() if one.aws and one.aws.profile})
        if profile and profile not in known:
            raise UsageError(
                f"No configured cluster names the AWS profile {profile[:80]!r}.",
                f"There are: {', '.join(known) or 'none'}; without profile, firstmate's own is asked.",
            )
        return self._clusters.aws(grant, profile=profile, region=region, deadline_s=deadline_s)

    async def close(self) -> None:
        await self._clusters.close()


class _Source:
    def __init__(self, source: ClusterSource, logs_scope: str) -> None:
        self._behind, self._logs_scope = source, logs_scope

    @property
    def name(self) -> str:
        return self._behind.name

    @asynccontextmanager
    async def open(self, grant: Grant, *, deadline_s: float = 30.0) -> AsyncGenerator[Cluster]:
        async with self._behind.open(grant, deadline_s=deadline_s) as cluster:
            yield cluster if "logs" in current().families else cast("Cluster", _WithoutLogs(cluster, self._logs_scope))

    async def answers(self, *, deadline_s: float) -> None:
        await self._behind.answers(deadline_s=deadline_s)

    async def close(self) -> None:
        await self._behind.close()


class _WithoutLogs:
    """A cluster whose logs are not read."""

    def __init__(self, cluster: Cluster, logs_scope: str) -> None:
        self._behind, self._logs_scope = cluster, logs_scope

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def logs(self, request: LogRequest) -> str:
        raise DeniedError(
            f"The log of pod {request.pod} was not read: the caller's token lacks the scope {self._logs_scope}.",
            f"Call with a token that has {self._logs_scope}.",
        )
