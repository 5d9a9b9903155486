"""The tools over one recording: what replay cases ask, and whoever checks runbooks against recordings.

Tools are called as everywhere (`firstmate.calls`); the cluster is one snapshot, whatever is configured on this machine.
Must never ask a live cluster, nor AWS.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from firstmate.calls import Asking, Calls
from firstmate.catalogue import all_tools
from firstmate.runbooks.replay.playing import Tools
from firstmate_tools.aws.reader import Aws
from firstmate_tools.cluster.base import ClusterSource
from firstmate_tools.errors import ConfigurationError, UnknownClusterError
from firstmate_tools.reads import Grant
from firstmate_tools.results import ClusterIdentity


class OneCluster:
    """A set of clusters that has one, which answers whatever is named.

    Args:
        source: that one.
    """

    def __init__(self, source: ClusterSource) -> None:
        self._source = source

    def names(self) -> Sequence[str]:
        return [self._source.name]

    def default(self) -> str:
        return self._source.name

    def describe(self) -> Sequence[ClusterIdentity]:
        return [ClusterIdentity(name=self._source.name)]

    def source(self, name: str | None = None) -> ClusterSource:
        if name not in (None, self._source.name):
            raise UnknownClusterError(f"No cluster {name!r} here.", f"There is {self._source.name}.")
        return self._source

    def aws(self, grant: Grant, *, profile: str | None, region: str | None, deadline_s: float) -> Aws:
        raise ConfigurationError("A recording is asked, and no AWS account.")

    async def close(self) -> None:
        await self._source.close()


@asynccontextmanager
async def tools_over(source: ClusterSource) -> AsyncGenerator[Tools]:
    """Asks tools about one cluster, and closes it."""
    clusters = OneCluster(source)
    asking = Asking(Calls(clusters, all_tools()))

    async def ask(tool: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        return await asking.ask(tool, arguments, source.name)

    try:
        yield ask
    finally:
        await clusters.close()
