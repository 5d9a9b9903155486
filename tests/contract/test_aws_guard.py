"""What may leave for AWS: listed reads alone, whichever way a tool tries. The fake AWS counts."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSRequest
from fake_aws import ACCOUNT, FakeAws, Refusal, fake_aws

from firstmate_tools.aws.iam import policy
from firstmate_tools.aws.operations import CREDENTIALS, READS
from firstmate_tools.aws.place import Place
from firstmate_tools.aws.reader import Aws
from firstmate_tools.aws.session import open_session, shared_client, shared_session
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    NotConfiguredError,
    ObjectNotFoundError,
    RefusedError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from firstmate_tools.reads import AwsRead, Grant

HERE = Place(region="eu-central-1")
EVERYTHING = Grant.of(AwsRead(service, name) for service, names in READS.items() for name in names)
WHO = {"UserId": "A", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/jane"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/reader"
ASSUMED = {
    "Credentials": {
        "AccessKeyId": "ASIAEXAMPLEEXAMPLE00",
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    }
}


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[FakeAws]:
    with fake_aws() as found, found.environment(tmp_path):
        found.on("sts", "GetCallerIdentity", WHO)
        yield found
        assert found.broken == []


def call(
    service: str, operation: str, *, place: Place = HERE, grant: Grant = EVERYTHING, s: float = 20, **given: Any
) -> Any:
    return asyncio.run(Aws(place, grant, deadline_s=s).call(service, operation, **given))


# The list.


def test_every_listed_operation_is_one_of_botocores_models() -> None:
    session = botocore.session.get_session()
    for listed in (READS, CREDENTIALS):
        for service, names in listed.items():
            assert names <= set(session.get_service_model(service).operation_names), service


def test_nothing_listed_changes_anything_or_hands_out_a_secret() -> None:
    reads = re.compile(r"(List|Describe|Get|BatchGet|Lookup|Filter|Simulate|Validate|StartQuery|StopQuery)")
    secret = re.compile(r"(?i)secret|password|token|authorization|credential|sessionkey|presign|downloadurl|accesskey")
    for service, names in READS.items():
        for name in names:
            assert reads.match(name), f"{service}:{name}"
            assert not secret.search(name), f"{service}:{name}"
    assert not READS.keys() & {"secretsmanager", "ssm", "kms", "s3", "lambda", "organizations"}
    assert not {"StartInsightsRefresh", "UpdateClusterConfig", "CreateCluster"} & READS["eks"]


def test_every_declared_operation_is_listed_and_in_the_policy() -> None:
    from firstmate.catalogue import all_tools
    from firstmate_tools.catalogue import declared_reads

    declared = [read for read in declared_reads(all_tools()) if isinstance(read, AwsRead)]
    assert all(read.operation in READS[read.service] for read in declared)
    (statement,) = policy(declared)["Statement"]
    assert statement["Effect"] == "Allow" and not any("*" in action for action in statement["Action"])


def test_the_policy_says_what_the_service_calls_it() -> None:
    reads = [
        AwsRead("elbv2", "DescribeRules"),
        AwsRead("service-quotas", "GetServiceQuota"),
        AwsRead("sts", "GetCallerIdentity"),
        AwsRead("cloudwatch", "GetMetricData"),
    ]
    (statement,) = policy(reads)["Statement"]
    assert statement["Action"] == [
        "cloudwatch:GetMetricData",
        "elasticloadbalancing:DescribeRules",
        "servicequotas:GetServiceQuota",
    ]
    assert policy([])["Statement"] == []


# The ways of a tool.


def test_a_read_arrives_with_our_name_and_region(aws: FakeAws) -> None:
    aws.on("eks", "ListClusters", {"clusters": ["prod"]})
    assert call("eks", "ListClusters", maxResults=10) == {"clusters": ["prod"]}
    (seen,) = aws.seen
    assert (seen.parameters, seen.region) == ({"maxResults": 10}, "eu-central-1")
    assert re.search(r"\bfirstmate/\d", seen.user_agent)


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("eks", "DeleteCluster"),
        ("eks", "UpdateClusterConfig"),
        ("eks", "StartInsightsRefresh"),
        ("iam", "PassRole"),
        ("iam", "CreateAccessKey"),
        ("iam", "GetCredentialReport"),
        ("secretsmanager", "GetSecretValue"),
        ("ssm", "GetParameter"),
        ("ecr", "GetAuthorizationToken"),
        ("sts", "AssumeRole"),
        ("sts", "GetSessionToken"),
        ("ec2", "TerminateInstances"),
        ("logs", "DeleteLogGroup"),
        ("s3", "GetObject"),
        ("eks", "describe_cluster"),
    ],
)
def test_the_reader_refuses_what_is_not_listed(aws: FakeAws, service: str, operation: str) -> None:
    with pytest.raises(RefusedError):
        call(service, operation, grant=Grant.of([AwsRead(service, operation)]))
    assert aws.requests == 0


def test_the_reader_refuses_what_nobody_declared(aws: FakeAws) -> None:
    with pytest.raises(RefusedError, match="nobody declared eks:ListClusters"):
        call("eks", "ListClusters", grant=Grant.of([AwsRead("eks", "DescribeCluster")]))
    assert aws.requests == 0


@pytest.mark.parametrize(
    ("service", "method", "given"),
    [
        ("eks", "delete_cluster", {"name": "prod"}),
        ("eks", "create_access_entry", {"clusterName": "prod", "principalArn": "arn:x"}),
        ("eks", "update_cluster_config", {"name": "prod"}),
        ("iam", "create_access_key", {}),
        ("iam", "attach_role_policy", {"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("ec2", "terminate_instances", {"InstanceIds": ["i-1"]}),
        ("ec2", "terminate_instances", {"InstanceIds": ["i-1"], "DryRun": True}),
        ("ecr", "get_authorization_token", {}),
        ("logs", "delete_log_group", {"logGroupName": "x"}),
        ("sts", "assume_role", {"RoleArn": ROLE, "RoleSessionName": "x"}),
        ("sts", "get_session_token", {}),
        ("sts", "get_federation_token", {"Name": "x"}),
        ("networkflowmonitor", "delete_scope", {"scopeId": "x"}),
    ],
)
def test_a_client_that_a_tool_gets_hold_of_refuses_the_same(
    aws: FakeAws, service: str, method: str, given: dict[str, Any]
) -> None:
    client = shared_client(HERE, service)
    with pytest.raises(RefusedError):
        getattr(client, method)(**given)
    assert aws.requests == 0


@pytest.mark.parametrize("service", ["s3", "secretsmanager", "ssm", "kms", "lambda", "cloudformation", "ssm-incidents"])
def test_a_session_makes_no_client_for_other_services(aws: FakeAws, service: str) -> None:
    with pytest.raises(RefusedError):
        shared_session(HERE).create_client(service, region_name="eu-central-1")


def test_no_url_is_presigned(aws: FakeAws) -> None:
    for service, method, given in (("sts", "get_caller_identity", {}), ("eks", "list_clusters", {})):
        with pytest.raises(RefusedError):
            shared_client(HERE, service).generate_presigned_url(method, Params=given)
    with pytest.raises(RefusedError):
        shared_client(HERE, "eks").generate_presigned_url("delete_cluster", Params={"name": "prod"})


def test_a_request_of_ones_own_make_is_refused_at_the_http_session(aws: FakeAws) -> None:
    client = shared_client(HERE, "eks")
    forged = AWSRequest(method="DELETE", url=f"{aws.url}/clusters/prod", headers={}).prepare()
    with pytest.raises(RefusedError):
        client._endpoint.http_session.send(forged)
    with pytest.raises(RefusedError):
        client._endpoint._send(forged)
    model = client.meta.service_model.operation_model("DeleteCluster")
    with pytest.raises(RefusedError):
        client._endpoint.make_request(
            model,
            {
                "url_path": "/clusters/prod",
                "query_string": {},
                "method": "DELETE",
                "headers": {},
                "body": b"",
                "url": f"{aws.url}/clusters/prod",
                "context": {},
            },
        )
    assert aws.requests == 0


def test_a_listener_cannot_turn_a_read_into_a_write(aws: FakeAws) -> None:
    client = shared_client(HERE, "sts")

    def turned(request: Any, **_: Any) -> None:
        request.url = request.url + "/?Action=AssumeRole"

    client.meta.events.register("before-send", turned)
    aws.on("sts", "GetCallerIdentity", WHO)
    with pytest.raises(RefusedError):
        client.get_caller_identity()
    assert aws.requests == 0


# Roles.


def test_a_role_that_the_configuration_names_is_assumed_and_no_other(aws: FakeAws) -> None:
    aws.on("sts", "AssumeRole", ASSUMED)
    place = Place(region="eu-central-1", role=ROLE)
    assert call("sts", "GetCallerIdentity", place=place)["Account"] == ACCOUNT
    assert [(one.operation, one.key[:4]) for one in aws.seen] == [("AssumeRole", "AKIA"), ("GetCallerIdentity", "ASIA")]
    assert aws.asked("sts", "AssumeRole")[0]["RoleArn"] == ROLE
    session = open_session(place)
    with pytest.raises(RefusedError):
        session.create_client("sts", region_name="eu-central-1").assume_role(RoleArn=f"{ROLE}2", RoleSessionName="x")


def test_a_role_of_a_profile_is_assumed(tmp_path: Path) -> None:
    config = f"[profile other]\nrole_arn = {ROLE}\nsource_profile = default\nregion = eu-west-1\n"
    with fake_aws() as aws, aws.environment(tmp_path, config=config):
        aws.on("sts", "AssumeRole", ASSUMED)
        aws.on("sts", "GetCallerIdentity", WHO)
        assert call("sts", "GetCallerIdentity", place=Place("other"))["Account"] == ACCOUNT
        assert [one.operation for one in aws.seen] == ["AssumeRole", "GetCallerIdentity"]


# What AWS says.


@pytest.mark.parametrize(
    ("code", "status", "error", "hint"),
    [
        ("AccessDeniedException", 403, DeniedError, "eks:DescribeCluster"),
        ("ExpiredTokenException", 403, DeniedError, "Log in"),
        ("UnrecognizedClientException", 403, DeniedError, "Log in"),
        ("ResourceNotFoundException", 404, ObjectNotFoundError, ""),
        ("InvalidParameterException", 400, UsageError, ""),
        ("ThrottlingException", 429, TimedOutError, "later"),
        ("ServerException", 500, FailedReadError, ""),
    ],
)
def test_a_refusal_says_why(aws: FakeAws, code: str, status: int, error: type[Exception], hint: str) -> None:
    aws.on("eks", "DescribeCluster", Refusal(code, "because", status))
    with pytest.raises(error, match="because") as caught:
        call("eks", "DescribeCluster", name="prod")
    assert hint in caught.value.hint  # type: ignore[attr-defined]


def test_query_and_ec2_errors_are_understood_too(aws: FakeAws) -> None:
    aws.on("ec2", "DescribeSubnets", Refusal("UnauthorizedOperation", "no", 403))
    with pytest.raises(DeniedError, match="ec2:DescribeSubnets"):
        call("ec2", "DescribeSubnets")
    aws.on("cloudwatch", "ListMetrics", Refusal("AccessDenied", "no", 403))
    with pytest.raises(DeniedError):
        call("cloudwatch", "ListMetrics")


def test_without_credentials_it_is_not_configured(tmp_path: Path) -> None:
    with fake_aws() as aws, aws.environment(tmp_path, credentials=""):
        with pytest.raises(NotConfiguredError) as caught:
            call("eks", "ListClusters")
        assert "aws sso login" in caught.value.hint and aws.requests == 0
        with pytest.raises(NotConfiguredError, match="absent"):
            call("eks", "ListClusters", place=Place("absent", "eu-central-1"))


def test_without_a_region_it_is_not_configured(aws: FakeAws) -> None:
    with pytest.raises(NotConfiguredError, match="region"):
        call("eks", "ListClusters", place=Place())
    with pytest.raises(NotConfiguredError, match="region"):
        asyncio.run(Aws(Place(), EVERYTHING).region())


def test_a_region_that_is_none_is_a_usage_error(aws: FakeAws) -> None:
    for region in ("../x", "a b", "x@evil.example/"):
        with pytest.raises(UsageError):
            call("eks", "ListClusters", place=Place(region=region))
    assert aws.requests == 0


def test_an_aws_that_does_not_answer_ends_at_the_deadline(aws: FakeAws) -> None:
    aws.delay_s = 2.0
    aws.on("eks", "ListClusters", {"clusters": []})

    async def ask() -> float:
        loop = asyncio.get_running_loop()
        began, ticks = loop.time(), 0
        task = asyncio.create_task(Aws(HERE, EVERYTHING, deadline_s=0.5).call("eks", "ListClusters"))
        while not task.done():
            await asyncio.sleep(0.02)
            ticks += 1
        with pytest.raises(TimedOutError):
            task.result()
        assert ticks > 4  # the event loop went on meanwhile
        return loop.time() - began

    assert asyncio.run(ask()) < 1.5


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with fake_aws() as aws:
        pass
    with aws.environment(tmp_path), pytest.raises(UnreachableError):
        call("eks", "ListClusters")


# Protocols, of which later tools speak each.


def test_every_protocol_is_spoken_both_ways(aws: FakeAws) -> None:
    aws.on("ec2", "DescribeSubnets", {"Subnets": [{"SubnetId": "subnet-1", "AvailableIpAddressCount": 3}]})
    asked = {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1", "vpc-2"]}], "SubnetIds": ["subnet-1"]}
    assert call("ec2", "DescribeSubnets", **asked)["Subnets"][0]["AvailableIpAddressCount"] == 3
    assert aws.asked("ec2", "DescribeSubnets") == [asked]

    role = {
        "Path": "/",
        "RoleName": "r",
        "RoleId": "AROAEXAMPLEEXAMPLE00",
        "Arn": ROLE,
        "CreateDate": "2026-01-01T00:00:00Z",
    }
    aws.on("iam", "GetRole", {"Role": role})
    assert call("iam", "GetRole", RoleName="r")["Role"]["CreateDate"].year == 2026

    aws.on("logs", "DescribeLogGroups", {"logGroups": [{"logGroupName": "/aws/eks/prod/cluster"}]})
    assert call("logs", "DescribeLogGroups", limit=5)["logGroups"][0]["logGroupName"] == "/aws/eks/prod/cluster"

    point = {"Id": "a", "Timestamps": ["2026-01-01T00:00:00Z"], "Values": [1.5], "StatusCode": "Complete"}
    aws.on("cloudwatch", "GetMetricData", {"MetricDataResults": [point]})
    query = {"Id": "a", "Expression": "1"}
    given = {"MetricDataQueries": [query], "StartTime": 1_700_000_000, "EndTime": 1_700_000_600}
    assert call("cloudwatch", "GetMetricData", **given)["MetricDataResults"][0]["Values"] == [1.5]

    aws.on("elbv2", "DescribeTargetHealth", {"TargetHealthDescriptions": [{"Target": {"Id": "i-1"}}]})
    arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/t/1"
    answer = call("elbv2", "DescribeTargetHealth", TargetGroupArn=arn, Targets=[{"Id": "i-1", "Port": 80}])
    assert answer["TargetHealthDescriptions"][0]["Target"]["Id"] == "i-1"
    assert aws.asked("elbv2", "DescribeTargetHealth") == [
        {"TargetGroupArn": arn, "Targets": [{"Id": "i-1", "Port": 80}]}
    ]


def test_the_fake_refuses_what_no_model_allows(tmp_path: Path) -> None:
    from fake_aws_wire import BrokenError

    with fake_aws() as aws, aws.environment(tmp_path):
        with pytest.raises(BrokenError):
            aws.on("eks", "ListClusters", {"clusters": "prod"})
        with pytest.raises(BrokenError, match="none of"):
            aws.on("eks", "DescribeCluster", {"cluster": {"name": "prod", "status": "FINE"}})
        with pytest.raises(UsageError):
            call("eks", "ListClusters", maxResults=1000)
        assert "1000 is more than 100" in aws.broken[0]


def test_pages_are_joined_up_to_a_most(aws: FakeAws) -> None:
    names = [f"c{i}" for i in range(25)]

    def page(given: dict[str, Any]) -> dict[str, Any]:
        start = int(given.get("nextToken", "0"))
        end = start + 10
        return {"clusters": names[start:end], **({"nextToken": str(end)} if end < len(names) else {})}

    aws.on("eks", "ListClusters", page)
    aws_ = Aws(HERE, EVERYTHING)
    assert asyncio.run(aws_.collect("eks", "ListClusters", "clusters")) == (names, False)
    assert asyncio.run(aws_.collect("eks", "ListClusters", "clusters", most=12)) == (names[:12], True)
