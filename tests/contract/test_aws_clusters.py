"""EKS clusters: listed by the tool `clusters`, and asked by name without a kubeconfig. AWS is a fake that is strict."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract.cli import run
from contract.fake_api import fake_api, listing, named
from contract.throwaway_pki import Pki
from fake_aws import ACCOUNT, FakeAws, Refusal, fake_aws

from firstmate.callerview import CallersView
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.settings import Settings, load
from firstmate_tools.clusters import Clusters
from firstmate_tools.errors import ConfigurationError, DeniedError, UnknownClusterError, UsageError

REGION = "eu-central-1"
WHO = {"UserId": "A", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/jane"}
CONFIG = """
[clusters.prod]
eks = "prod"
region = "eu-central-1"

[clusters.stage]
eks = "stage"
region = "eu-central-1"
profile = "stage"
role_arn = "arn:aws:iam::111122223333:role/reader"
"""


def cluster(name: str, **more: Any) -> dict[str, Any]:
    found = {
        "name": name,
        "arn": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}",
        "version": "1.36",
        "status": "ACTIVE",
        "platformVersion": "eks.7",
        "endpoint": f"https://{name.upper()}.gr7.{REGION}.eks.amazonaws.com",
        "resourcesVpcConfig": {
            "endpointPublicAccess": True,
            "endpointPrivateAccess": False,
            "publicAccessCidrs": ["203.0.113.0/24"],
        },
    }
    return {"cluster": {**found, **more}}


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[FakeAws]:
    config = f"[default]\nregion = {REGION}\n[profile stage]\nregion = {REGION}\nsource_profile = default\n"
    credentials = "[default]\naws_access_key_id = AKIAEXAMPLEEXAMPLE00\naws_secret_access_key = s\n"
    credentials += "[stage]\naws_access_key_id = AKIASTAGESTAGESTAGE0\naws_secret_access_key = s\n"
    with fake_aws() as found, found.environment(tmp_path, config=config, credentials=credentials):
        found.on("sts", "GetCallerIdentity", WHO)
        found.on("eks", "ListClusters", {"clusters": ["stage", "prod"]})
        found.on("eks", "DescribeCluster", lambda given: cluster(given["name"]))
        yield found
        assert found.broken == []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config.toml").write_text(CONFIG)
    return load(tmp_path / "config.toml")


def asked(settings: Settings, **arguments: Any) -> Clusters:
    answer = asyncio.run(Calls(ConfiguredClusters(settings), all_tools()).call("clusters", arguments))
    assert isinstance(answer, Clusters)
    return answer


def test_without_profile_or_region_aws_is_not_asked(aws: FakeAws, settings: Settings) -> None:
    answer = asked(settings)
    assert (answer.aws, answer.eks, answer.coverage.checked, aws.requests) == (None, [], ["configuration"], 0)
    assert [(one.name, one.aws and one.aws.eks) for one in answer.clusters] == [("prod", "prod"), ("stage", "stage")]


def test_the_clusters_of_a_region_are_listed_with_what_eks_says(aws: FakeAws, settings: Settings) -> None:
    answer = asked(settings, region=REGION)
    assert answer.aws is not None
    assert (answer.aws.account, answer.aws.region, answer.aws.profile) == (ACCOUNT, REGION, None)
    prod, stage = answer.eks
    assert prod.model_dump() == {
        "name": "prod",
        "arn": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/prod",
        "status": "ACTIVE",
        "version": "1.36",
        "platform_version": "eks.7",
        "endpoint_public": True,
        "endpoint_private": False,
        "public_cidrs": ["203.0.113.0/24"],
        "configured_as": "prod",
    }
    assert stage.configured_as is None  # it is configured with another profile: perhaps another account
    assert answer.coverage.checked == ["configuration", "eks"]
    assert (answer.coverage.returned, answer.coverage.total, answer.coverage.not_checked) == (2, 2, [])


def test_a_profile_is_asked_as_that_profile(aws: FakeAws, settings: Settings) -> None:
    answer = asked(settings, profile="stage")
    assert {one.key for one in aws.seen} == {"AKIASTAGESTAGESTAGE0"}
    assert answer.aws is not None and (answer.aws.profile, answer.aws.region) == ("stage", REGION)
    assert [one.configured_as for one in answer.eks] == [None, "stage"]


def test_a_context_of_the_kubeconfig_is_known_by_its_address(aws: FakeAws, tmp_path: Path) -> None:
    address = f"https://PROD.gr7.{REGION}.eks.amazonaws.com"
    kubeconfig = {
        "contexts": [{"name": "mine", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": address.lower()}}],
        "current-context": "mine",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    answer = asked(load(kubeconfig=str(tmp_path / "kubeconfig")), region=REGION)
    assert [(one.name, one.configured_as) for one in answer.eks] == [("prod", "mine"), ("stage", None)]


def test_pages_go_on_where_they_stopped(aws: FakeAws, settings: Settings) -> None:
    def page(given: dict[str, Any]) -> dict[str, Any]:
        assert given["maxResults"] == 1
        return {"clusters": ["stage"]} if given.get("nextToken") == "n" else {"clusters": ["prod"], "nextToken": "n"}

    aws.on("eks", "ListClusters", page)
    first = asked(settings, region=REGION, limit=1)
    assert ([one.name for one in first.eks], first.coverage.total) == (["prod"], None)
    second = asked(settings, region=REGION, limit=1, cursor=first.coverage.cursor)
    assert ([one.name for one in second.eks], second.coverage.total) == (["stage"], 2)
    assert second.coverage.cursor is None
    for wrong in ({"region": "eu-west-1"}, {}, {"profile": "stage", "region": REGION}):
        with pytest.raises(UsageError):
            asked(settings, cursor=first.coverage.cursor, **wrong)


def test_what_cannot_be_described_is_said_and_listed_all_the_same(aws: FakeAws, settings: Settings) -> None:
    refused = Refusal("AccessDeniedException", "no", 403)
    aws.on("eks", "DescribeCluster", lambda given: refused if given["name"] == "prod" else cluster("stage"))
    answer = asked(settings, region=REGION)
    assert [(one.name, one.status) for one in answer.eks] == [("prod", None), ("stage", "ACTIVE")]
    (left,) = answer.coverage.not_checked
    assert (left.what, left.why) == ("details of EKS cluster prod", "denied")
    assert "eks:DescribeCluster" in (left.how_to_enable or "")


def test_a_cluster_that_goes_meanwhile_is_left_out(aws: FakeAws, settings: Settings) -> None:
    gone = Refusal("ResourceNotFoundException", "gone", 404)
    aws.on("eks", "DescribeCluster", lambda given: gone if given["name"] == "prod" else cluster("stage"))
    assert [one.name for one in asked(settings, region=REGION).eks] == ["stage"]


def test_without_credentials_it_is_not_checked(tmp_path: Path, settings: Settings) -> None:
    with fake_aws() as aws, aws.environment(tmp_path, credentials=""):
        answer = asked(settings, region=REGION)
        (left,) = answer.coverage.not_checked
        assert (left.what, left.why, aws.requests) == ("EKS clusters", "not_configured", 0)
        assert "aws sso login" in (left.how_to_enable or "")
        (nowhere,) = asked(settings, profile="absent").coverage.not_checked
        assert nowhere.why == "not_configured"


def test_without_a_region_it_is_not_checked(tmp_path: Path, settings: Settings) -> None:
    with fake_aws() as aws, aws.environment(tmp_path, config="[profile other]\nsource_profile = default\n"):
        (left,) = asked(settings, profile="other").coverage.not_checked
        assert (left.why, "region" in (left.how_to_enable or "")) == ("not_configured", True)


@pytest.mark.parametrize("region", ["EU-CENTRAL-1", "x", "eu-central-1/../", "eu-central-1.evil.example", ""])
def test_a_region_that_is_none_is_a_usage_error(aws: FakeAws, settings: Settings, region: str) -> None:
    with pytest.raises(UsageError):
        asked(settings, region=region)
    assert aws.requests == 0


def test_two_answers_are_the_same(aws: FakeAws, settings: Settings) -> None:
    assert asked(settings, region=REGION) == asked(settings, region=REGION)


def test_a_caller_from_elsewhere_names_no_profile_but_those_of_the_clusters(aws: FakeAws, settings: Settings) -> None:
    calls = Calls(CallersView(ConfiguredClusters(settings), "firstmate:logs"), all_tools())
    with pytest.raises(UsageError, match="There are: stage"):
        asyncio.run(calls.call("clusters", {"profile": "default", "region": REGION}))
    assert aws.requests == 0
    for allowed in ({"profile": "stage"}, {"region": REGION}):
        assert asyncio.run(calls.call("clusters", allowed)).coverage.not_checked == []


# A cluster by its EKS name.


async def ask_pods(settings: Settings, name: str) -> Any:
    clusters = ConfiguredClusters(settings)
    try:
        return await Calls(clusters, all_tools()).call("pod_status", {"cluster": name, "namespace": "shop"})
    finally:
        await clusters.close()


async def asked_through_eks(aws: FakeAws, settings: Settings, name: str, pki: Pki) -> tuple[Any, list[Any]]:
    async with fake_api(pki.server("127.0.0.1")) as api:
        api.on("/api/v1/namespaces/shop/pods", listing(*named("cart")))
        api.on("/api/v1/namespaces/shop/events", listing())
        authority = base64.b64encode(pki.ca_pem).decode()
        aws.on("eks", "DescribeCluster", cluster(name, endpoint=api.url, certificateAuthority={"data": authority}))
        return await ask_pods(settings, name), list(api.seen)


def signed(header: str) -> str:
    token = header.removeprefix("Bearer k8s-aws-v1.")
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()


def test_a_cluster_that_is_configured_by_its_eks_name_needs_no_kubeconfig(
    aws: FakeAws, settings: Settings, tmp_path: Path
) -> None:
    pki = Pki(tmp_path)
    answer, seen = asyncio.run(asked_through_eks(aws, settings, "prod", pki))
    assert [pod.name for pod in answer.pods] == ["cart"]
    assert answer.cluster.aws.model_dump(exclude_none=True) == {"region": REGION, "eks": "prod"}
    assert {("Action=GetCallerIdentity" in signed(one.headers["Authorization"])) for one in seen} == {True}
    assert "AKIAEXAMPLEEXAMPLE00" in signed(seen[0].headers["Authorization"])
    assert aws.asked("eks", "DescribeCluster") == [{"name": "prod"}]
    assert [one.operation for one in aws.seen] == ["DescribeCluster"]  # the token is signed, never sent to AWS by us


def test_it_acts_in_the_role_that_is_configured(aws: FakeAws, settings: Settings, tmp_path: Path) -> None:
    assumed = {"AccessKeyId": "ASIAROLEROLEROLEROLE", "SecretAccessKey": "s", "SessionToken": "t"}
    aws.on("sts", "AssumeRole", {"Credentials": {**assumed, "Expiration": "2099-01-01T00:00:00Z"}})
    _, seen = asyncio.run(asked_through_eks(aws, settings, "stage", Pki(tmp_path)))
    assert "ASIAROLEROLEROLEROLE" in signed(seen[0].headers["Authorization"])
    assert {one["RoleArn"] for one in aws.asked("sts", "AssumeRole")} == {f"arn:aws:iam::{ACCOUNT}:role/reader"}
    (described,) = [one for one in aws.seen if one.operation == "DescribeCluster"]
    assert described.key == "ASIAROLEROLEROLEROLE"


def test_a_ca_that_is_not_the_servers_is_refused(aws: FakeAws, settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    async def ask() -> Any:
        async with fake_api(Pki(tmp_path).server("127.0.0.1")) as api:
            wrong = base64.b64encode(Pki(other).ca_pem).decode()
            aws.on("eks", "DescribeCluster", cluster("prod", endpoint=api.url, certificateAuthority={"data": wrong}))
            return await ask_pods(settings, "prod")

    with pytest.raises(Exception, match="No trusted TLS connection"):
        asyncio.run(ask())


def test_what_eks_says_of_a_cluster_that_cannot_be_asked(aws: FakeAws, settings: Settings) -> None:
    aws.on("eks", "DescribeCluster", {"cluster": {"name": "prod", "status": "CREATING"}})
    with pytest.raises(ConfigurationError, match="CREATING"):
        asyncio.run(ask_pods(settings, "prod"))
    aws.on("eks", "DescribeCluster", Refusal("ResourceNotFoundException", "No cluster found", 404))
    with pytest.raises(ConfigurationError, match="There is no EKS cluster 'prod' in eu-central-1"):
        asyncio.run(ask_pods(settings, "prod"))
    aws.on("eks", "DescribeCluster", Refusal("AccessDeniedException", "no", 403))
    with pytest.raises(DeniedError, match="eks:DescribeCluster"):
        asyncio.run(ask_pods(settings, "prod"))


def test_a_cluster_that_is_not_configured_is_an_error_that_lists_those_that_are(settings: Settings) -> None:
    with pytest.raises(UnknownClusterError) as caught:
        asyncio.run(ask_pods(settings, "dev"))
    assert caught.value.hint == "There are: prod, stage."


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('eks = "prod"\ncontext = "x"', "either context"),
        ('context = "x"\nregion = "eu-central-1"', "go with eks"),
        ('eks = "../x"', "match pattern"),
        ('eks = "prod"\nrole_arm = "x"', "Did you mean `role_arn`?"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(f"[clusters.prod]\n{written}\n")
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "c.toml")
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_rbac_prints_the_iam_policy() -> None:
    printed = json.loads(run("rbac", "--aws").out)
    (statement,) = printed["Statement"]
    assert {"eks:DescribeCluster", "eks:ListClusters"} <= set(statement["Action"])
    assert json.loads(run("rbac", "--aws", "--tool", "events").out)["Statement"] == []
    assert run("rbac", "--aws", "--secrets").code == 2
