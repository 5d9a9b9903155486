"""A live cluster as it is configured; `livecluster.py` is what one tool call sees of it.

Tools are given these behind the protocols of `base.py` and cannot tell them from a recording. Everything goes out
through the source's one gateway. Must never import the Kubernetes client, aiohttp or botocore before a cluster is
asked.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from firstmate_tools import fields as read
from firstmate_tools.aws.place import Place
from firstmate_tools.errors import ConfigurationError, DeniedError
from firstmate_tools.kinds import Kind
from firstmate_tools.prometheus.place import PrometheusPlace
from firstmate_tools.prometheus.reader import LivePrometheus
from firstmate_tools.reads import Grant
from firstmate_tools.results import AwsPlace, ClusterIdentity

from .answers import UnauthenticatedError
from .auth import Connection
from .base import ClusterSource
from .discovery import discover
from .gateway import Call, Gateway
from .impersonation import ActAs
from .limits import Deadline, Limits
from .livecluster import LiveCluster
from .parse import parse_object
from .remembered import Memory
from .wire import plain_request


class LiveSource:
    """A cluster behind an API server, as a kubeconfig context describes it.

    Args:
        name: what results call it.
        kubeconfig: the file; None for KUBECONFIG or the default place.
        context: the context; None for the current one.
        user_agent: None for `firstmate/<version>`.
        limits: how hard the cluster may be asked.
        act_as: says for each call as whom to ask; None to ask always as firstmate itself.
        prometheus: where its metrics are; None where nobody said.
    """

    def __init__(
        self,
        name: str,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        *,
        user_agent: str | None = None,
        limits: Limits | None = None,
        act_as: ActAs | None = None,
        prometheus: PrometheusPlace | None = None,
    ) -> None:
        self._name = name
        self._user_agent = user_agent
        self._limits = limits or Limits()
        self._connect: Callable[[], Connection] = lambda: _from_kubeconfig(kubeconfig, context)
        self._act_as = act_as
        self._prometheus = prometheus
        self._gateway: Gateway | None = None
        self._memory = Memory()
        self._aws: AwsPlace | None = None

    @classmethod
    def in_cluster(
        cls,
        name: str = "in-cluster",
        *,
        folder: Path | None = None,
        user_agent: str | None = None,
        limits: Limits | None = None,
        act_as: ActAs | None = None,
        prometheus: PrometheusPlace | None = None,
    ) -> "LiveSource":
        """The cluster that this process runs in, as its pod's service account.

        Args:
            name: what results call it.
            folder: where token, CA and namespace lie; None for the place where Kubernetes mounts them.
            user_agent: None for `firstmate/<version>`.
            limits: how hard the cluster may be asked.
            act_as: says for each call as whom to ask; None to ask always as firstmate itself.
            prometheus: where its metrics are; None where nobody said.
        """
        source = cls(name, user_agent=user_agent, limits=limits, act_as=act_as, prometheus=prometheus)
        source._connect = lambda: _from_pod(folder)
        return source

    @classmethod
    def eks(
        cls,
        name: str,
        cluster: str,
        place: Place,
        *,
        user_agent: str | None = None,
        limits: Limits | None = None,
        act_as: ActAs | None = None,
        prometheus: PrometheusPlace | None = None,
    ) -> "LiveSource":
        """A cluster by its name in Amazon EKS.

        Args:
            name: what results call it.
            cluster: its name in EKS.
            place: region, profile and role.
            user_agent: None for `firstmate/<version>`.
            limits: how hard the cluster may be asked.
            act_as: says for each call as whom to ask; None to ask always as firstmate itself.
            prometheus: where its metrics are; None where nobody said.
        """
        source = cls(name, user_agent=user_agent, limits=limits, act_as=act_as, prometheus=prometheus)
        source._connect = lambda: _from_eks(cluster, place)
        source._aws = AwsPlace(region=place.region or None, profile=place.profile or None, eks=cluster)
        return source

    @property
    def name(self) -> str:
        return self._name

    @asynccontextmanager
    async def open(self, grant: Grant, *, deadline_s: float = 30.0) -> AsyncGenerator["LiveCluster"]:
        """See `ClusterSource.open`. The first call asks for the version, which shows that the server answers.

        Raises:
            DeniedError: the caller of the moment cannot be impersonated.
        """
        acting = self._act_as() if self._act_as is not None else None
        call = Call(grant, Deadline.after(deadline_s), acting=acting)
        gateway = await self._ready()
        seen = self._memory.of(acting)
        if not seen.asked_version:
            seen.version = await _version_of(gateway, call)
            seen.asked_version = True
        identity = ClusterIdentity(
            name=self._name, server=gateway.connection.server, version=seen.version, aws=self._aws
        )
        prometheus = self._prometheus_for(call)
        try:
            yield LiveCluster(self, gateway, call, identity, prometheus)
        finally:
            if prometheus is not None:
                await prometheus.close()

    def why_no_prometheus(self) -> tuple[str, str]:
        """Why it is not asked, and what to do about it."""
        if self._prometheus is None:
            how = f'Name it in the configuration: [clusters.{self._name}.prometheus] url = "https://...".'
            return f"No Prometheus is configured for {self._name}.", how
        how = "Prometheus knows nothing of the caller's rights, so it is not asked where http.impersonate is on."
        return "Prometheus cannot be asked with the rights of a caller.", how

    def _prometheus_for(self, call: Call) -> LivePrometheus | None:
        if self._prometheus is None or call.acting is not None:
            return None
        return LivePrometheus(self._prometheus, call.grant, call.deadline.left, self._user_agent or _user_agent())

    async def answers(self, *, deadline_s: float) -> None:
        """Asks for the version as firstmate itself, whoever calls: nothing of it is kept or told.

        Raises:
            ConfigurationError: it cannot be used as configured.
            ReadError: it does not answer, or refuses the credentials.
        """
        gateway = await self._ready()
        await _version_of(gateway, Call(Grant.of(()), Deadline.after(deadline_s)))

    async def close(self) -> None:
        if self._gateway is not None:
            gateway, self._gateway = self._gateway, None
            await gateway.close()

    async def _ready(self) -> Gateway:
        if self._gateway is not None and self._gateway.loop is not asyncio.get_running_loop():
            self._gateway = None  # its event loop has ended, and its connections with it
        if self._gateway is None:
            connection = await asyncio.to_thread(self._connect)
            if self._act_as is not None and connection.headers:
                raise ConfigurationError(
                    f"The kubeconfig context of {self._name} acts as another user already, so callers cannot be.",
                    "Take `as` and `as-groups` out of its user, or turn http.impersonate off.",
                )
            agent = self._user_agent or _user_agent()
            self._gateway = self._gateway or Gateway(connection, agent, self._limits)
        return self._gateway

    async def kinds(self, gateway: Gateway, call: Call) -> Sequence[Kind]:
        """Discovery, kept for five minutes for each user as whom it was asked."""
        seen = self._memory.of(call.acting)
        return seen.kinds or seen.learn(await discover(lambda request: gateway.fetch(request, call)))


def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"firstmate/{version('firstmate')}"
    except PackageNotFoundError:
        return "firstmate"


def _from_kubeconfig(kubeconfig: Path | str | None, context: str | None) -> Connection:
    from .kubeconfig import connection_of

    return connection_of(kubeconfig, context)


def _from_eks(cluster: str, place: Place) -> Connection:
    from .eks import connection_of

    return connection_of(cluster, place)


def _from_pod(folder: Path | None) -> Connection:
    from .kubeconfig import SERVICE_ACCOUNT, in_cluster_connection

    return in_cluster_connection(folder or SERVICE_ACCOUNT)


async def _version_of(gateway: Gateway, call: Call) -> str | None:
    """The server's version; None where it answers, but keeps that to itself.

    Raises:
        ReadError: it does not answer, or refuses the credentials.
    """
    try:
        body = await gateway.fetch(plain_request("/version"), call)
    except UnauthenticatedError:
        raise
    except DeniedError:
        return None
    return read.text(parse_object(body, "/version"), "gitVersion") or None


if TYPE_CHECKING:  # a recording and this are equals behind the same seam
    _source: type[ClusterSource] = LiveSource
