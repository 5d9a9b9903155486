"""A small broken shop behind a `ClusterSet`, and the same recorded, for tests of server, transports and CLI."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from builders import container, deployment, event, node, obj, pod, replica_set, service
from doubles import FakeCluster

from firstmate.arguments import input_schema
from firstmate.catalogue import all_tools
from firstmate_tools.catalogue import declared_reads
from firstmate_tools.errors import ConfigurationError, FirstmateError, NotConfiguredError, UnknownClusterError
from firstmate_tools.reads import Grant
from firstmate_tools.recorder import record
from firstmate_tools.results import ClusterIdentity
from firstmate_tools.toolspec import ToolSpec

MESSAGE = 'Back-off pulling image "registry.shop.example/cart:2": registry.shop.example/cart:2: not found'


def shop() -> FakeCluster:
    """A namespace in which `cart` has no image, and `web` is well."""
    broken = container(image="registry.shop.example/cart:2")
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [broken]}}
    stuck = pod(
        "cart-7d-x",
        owned_by=("ReplicaSet", "cart-7d"),
        labels={"app": "cart"},
        waiting="ImagePullBackOff",
        message=MESSAGE,
        phase="Pending",
        containers=[broken],
    )
    return FakeCluster(
        obj("Namespace", "shop", None),
        obj("ServiceAccount", "default", "shop"),
        node("n1"),
        deployment("cart", template=template, status={"replicas": 1, "unavailableReplicas": 1}),
        replica_set("cart-7d", of="cart", template=template),
        stuck,
        service("cart"),
        event(stuck, "Failed", f"Failed to pull image: {MESSAGE}"),
        pod("web", labels={"app": "web"}),
        logs={"web/app": "GET / 200\n", "cart-7d-x/app": ""},
    )


class Source:
    """A source of one fake cluster, or of the error of opening it."""

    def __init__(self, name: str, cluster: FakeCluster | FirstmateError) -> None:
        self.name, self.cluster, self.opened = name, cluster, 0

    @asynccontextmanager
    async def open(self, grant: Grant, *, deadline_s: float = 30.0) -> AsyncGenerator[FakeCluster]:
        if isinstance(self.cluster, FirstmateError):
            raise self.cluster
        self.opened += 1
        self.cluster.grant = grant
        yield self.cluster

    async def answers(self, *, deadline_s: float) -> None:
        if isinstance(self.cluster, FirstmateError):
            raise self.cluster

    async def close(self) -> None:
        pass


class NoAws:
    """AWS where nobody has logged in."""

    async def region(self) -> str:
        raise NotConfiguredError("No AWS credentials.", "Log in to AWS.")


class Clusters:
    """A `ClusterSet` of doubles, the first the default."""

    def __init__(self, **clusters: FakeCluster | FirstmateError) -> None:
        self.sources = {name: Source(name, cluster) for name, cluster in clusters.items()}

    def names(self) -> Sequence[str]:
        return list(self.sources)

    def default(self) -> str:
        if not self.sources:
            raise ConfigurationError("No cluster is configured.")
        return next(iter(self.sources))

    def describe(self) -> Sequence[ClusterIdentity]:
        return [ClusterIdentity(name=name) for name in self.sources]

    def source(self, name: str | None = None) -> Source:
        chosen = name or self.default()
        if chosen not in self.sources:
            raise UnknownClusterError(f"No cluster {chosen!r}.", f"There are: {', '.join(self.sources)}.")
        return self.sources[chosen]

    def aws(self, grant: Grant, *, profile: str | None, region: str | None, deadline_s: float) -> NoAws:
        return NoAws()

    async def close(self) -> None:
        pass


def record_shop(folder: Path) -> Path:
    """The shop as a snapshot file."""
    path = folder / "shop.tar.gz"
    asyncio.run(record(shop(), path, reads=declared_reads(all_tools())))
    return path


EXAMPLES = {
    "kind": "pods",
    "runbook": "oomkilled",
    "scope": "pod/web",
    "name": "web",
    "pod": "web",
    "error": "ImagePullBackOff",
    "query": "ImagePullBackOff",
}
"""What a tool's required arguments may be in the shop; a tool that needs another one adds it here."""


def needed(spec: ToolSpec) -> dict[str, Any]:
    """Arguments with which a tool answers over the shop."""
    required = input_schema(spec).get("required", [])
    place: dict[str, Any] = {"namespace": "shop"} if "scope" in required else {}
    if spec.name == "run_runbook":
        place = {"params": {"namespace": "shop"}}
    return {**{name: EXAMPLES[name] for name in required}, **place}
