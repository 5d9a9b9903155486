"""The `clusters` tool: which clusters there are, which one answers, and which EKS clusters an AWS account has.

AWS is asked only where the caller names a profile or a region: without, the answer is the configuration's alone, and
the same wherever it is given.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from firstmate_tools import fields, paging
from firstmate_tools.cluster.base import Granted
from firstmate_tools.errors import ObjectNotFoundError, ReadError, UsageError
from firstmate_tools.reads import AwsRead
from firstmate_tools.results import Answer, AwsPlace, ClusterIdentity, Coverage, Cursor, Model, NotChecked
from firstmate_tools.toolspec import tool

_MOST_AT_ONCE = 100
"""Names a page of eks:ListClusters, and its most (API reference, maxResults)."""
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")
_LIST, _DESCRIBE = AwsRead("eks", "ListClusters"), AwsRead("eks", "DescribeCluster")
_WHO = AwsRead("sts", "GetCallerIdentity")

Profile = Annotated[str | None, Field(description="AWS profile to list EKS clusters of", max_length=128)]
Region = Annotated[str | None, Field(description="AWS region to list EKS clusters of", max_length=64)]
Page = Annotated[int, Field(ge=1, le=_MOST_AT_ONCE, description="At most so many EKS clusters")]


class EksCluster(Model):
    """One cluster of Amazon EKS."""

    name: str
    arn: str | None = None
    status: str | None = Field(default=None, description="As EKS has it: ACTIVE, UPDATING, FAILED ...")
    version: str | None = Field(default=None, description="Kubernetes version")
    platform_version: str | None = None
    endpoint_public: bool | None = None
    endpoint_private: bool | None = None
    public_cidrs: list[str] = Field(default_factory=list[str], description="From where the public endpoint answers")
    configured_as: str | None = Field(default=None, description="Its name here; absent: add it to ask it")


class Clusters(Answer):
    """The configured clusters, and those of an AWS account where one was asked."""

    lists: ClassVar[tuple[str, ...]] = ("clusters", "eks")

    default: str = Field(description="The one that answers where a call names none")
    clusters: list[ClusterIdentity] = Field(default_factory=list[ClusterIdentity])
    aws: AwsPlace | None = Field(default=None, description="Who answered for eks")
    eks: list[EksCluster] = Field(default_factory=list[EksCluster])


@tool(title="Which clusters there are", given="clusters", reads=(_LIST, _DESCRIBE, _WHO), untrusted=False)
async def clusters(
    known: Granted, profile: Profile = None, region: Region = None, limit: Page = 50, cursor: Cursor = None
) -> Clusters:
    """Which clusters can be asked (kubeconfig contexts, configured names, snapshots) and which one answers by default.
    Name one in the argument cluster of any tool. Asks no cluster, so it says nothing about their health. With profile
    or region: also the EKS clusters of that AWS account and region, and which of them are configured."""
    described = list(known.describe())
    coverage = Coverage(checked=["configuration"], returned=len(described), total=len(described))
    answer = Clusters(default=known.default(), clusters=described, coverage=coverage)
    if profile is None and region is None:
        if cursor is not None:
            raise UsageError("The cursor goes on with EKS clusters.", "Name profile and region as before.")
        return answer
    question = ("eks", profile, region)
    if region is not None and not _REGION.fullmatch(region):
        raise UsageError(f"{region[:40]!r} is not an AWS region.", "Such as eu-central-1.")
    seen, more = paging.resume(cursor, *question)
    place = AwsPlace(profile=profile, region=region)
    try:
        aws = known.aws(profile, region)
        place = place.model_copy(update={"region": await aws.region()})
        place = place.model_copy(update={"account": await aws.account()})
        page = await aws.call("eks", "ListClusters", maxResults=limit, **({"nextToken": more} if more else {}))
    except ReadError as error:
        left = [NotChecked.of("EKS clusters", error)]
        return answer.model_copy(update={"aws": place, "coverage": coverage.model_copy(update={"not_checked": left})})
    names = fields.strings(page, "clusters")
    found, left = await _described(aws, names)
    onward = paging.onward(fields.text(page, "nextToken"), seen + len(names), *question)
    rows = [_row(name, cluster, place, described) for name, cluster in found]
    update = {
        "checked": ["configuration", "eks"],
        "not_checked": left,
        "returned": len(rows),
        "total": None if onward else seen + len(names),
        "cursor": onward,
    }
    return answer.model_copy(update={"aws": place, "eks": rows, "coverage": coverage.model_copy(update=update)})


async def _described(aws: Any, names: Sequence[str]) -> tuple[list[tuple[str, fields.Obj]], list[NotChecked]]:
    """What EKS says of each, {} where it would not; by name, without those that have gone meanwhile."""

    async def one(name: str) -> tuple[str, fields.Obj] | tuple[str, ReadError] | None:
        try:
            return name, fields.mapping(await aws.call("eks", "DescribeCluster", name=name), "cluster")
        except ObjectNotFoundError:
            return None
        except ReadError as error:
            return name, error

    answers = [answer for answer in await asyncio.gather(*map(one, sorted(names))) if answer is not None]
    failed = [(name, what) for name, what in answers if isinstance(what, ReadError)]
    rows = [(name, {} if isinstance(what, ReadError) else what) for name, what in answers]
    if not failed:
        return rows, []
    first = NotChecked.of("", failed[0][1])
    what = f"details of EKS {'cluster' if len(failed) == 1 else 'clusters'} {', '.join(name for name, _ in failed[:5])}"
    more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
    return rows, [first.model_copy(update={"what": what + more})]


def _row(name: str, cluster: fields.Obj, place: AwsPlace, known: Sequence[ClusterIdentity]) -> EksCluster:
    access = fields.mapping(cluster, "resourcesVpcConfig")
    return EksCluster(
        name=name,
        arn=fields.text(cluster, "arn") or None,
        status=fields.text(cluster, "status") or None,
        version=fields.text(cluster, "version") or None,
        platform_version=fields.text(cluster, "platformVersion") or None,
        endpoint_public=_flag(access, "endpointPublicAccess"),
        endpoint_private=_flag(access, "endpointPrivateAccess"),
        public_cidrs=fields.strings(access, "publicAccessCidrs"),
        configured_as=_configured(name, fields.text(cluster, "endpoint"), place, known),
    )


def _flag(holder: fields.Obj, key: str) -> bool | None:
    value = holder.get(key)
    return value if isinstance(value, bool) else None


def _configured(name: str, endpoint: str, place: AwsPlace, known: Sequence[ClusterIdentity]) -> str | None:
    """The configured cluster that this is: by its address, or by its name in EKS, region and profile."""
    for one in known:
        if endpoint and one.server and one.server.rstrip("/").lower() == endpoint.rstrip("/").lower():
            return one.name
        if (
            one.aws
            and one.aws.eks == name
            and one.aws.region in (None, place.region)
            and one.aws.profile == place.profile
        ):
            return one.name
    return None
