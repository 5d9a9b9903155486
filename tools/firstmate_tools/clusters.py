"""The `clusters` tool: which clusters there are, and which one answers."""

from typing import ClassVar

from pydantic import Field

from firstmate_tools.cluster.base import ClusterSet
from firstmate_tools.results import Answer, ClusterIdentity, Coverage
from firstmate_tools.toolspec import tool


class Clusters(Answer):
    """The configured clusters."""

    lists: ClassVar[tuple[str, ...]] = ("clusters",)

    default: str = Field(description="The one that answers where a call names none")
    clusters: list[ClusterIdentity] = Field(default_factory=list[ClusterIdentity])


@tool(title="Which clusters there are", given="clusters", untrusted=False)
async def clusters(known: ClusterSet) -> Clusters:
    """Which clusters can be asked (kubeconfig contexts, configured names, snapshots) and which one answers by default.
    Name one in the argument cluster of any tool. Asks no cluster, so it says nothing about their health."""
    described = list(known.describe())
    return Clusters(
        default=known.default(),
        clusters=described,
        coverage=Coverage(checked=["configuration"], returned=len(described), total=len(described)),
    )
