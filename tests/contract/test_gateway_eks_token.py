"""EKS tokens that are signed here: which kubeconfig entries, and what the signature says."""

import asyncio
import base64
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from firstmate_tools.aws.tokens import presign
from firstmate_tools.cluster import eks_token
from firstmate_tools.cluster.auth import Presented, Renewed
from firstmate_tools.cluster.eks_token import Wanted, sign, wanted
from firstmate_tools.cluster.exec_plugin import ExecEntry
from firstmate_tools.errors import ConfigurationError

NOON = datetime.datetime(2026, 3, 3, 12, 0, 0)
AWS_CLI = ("--region", "eu-west-1", "eks", "get-token", "--cluster-name", "prod", "--output", "json")


def entry(command: str, *args: str, **env: str) -> ExecEntry:
    return ExecEntry(command, args, env)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (entry("aws", *AWS_CLI), Wanted("prod", "eu-west-1")),
        (entry("/usr/local/bin/aws", *AWS_CLI), Wanted("prod", "eu-west-1")),
        (entry("C:\\Program Files\\aws.exe", *AWS_CLI), Wanted("prod", "eu-west-1")),
        (entry("aws", "eks", "get-token", "--cluster-name=prod"), Wanted("prod")),
        (entry("aws", "eks", "get-token", "--cluster-id", "1-2-3"), Wanted("1-2-3")),
        (
            entry("aws", *AWS_CLI, "--role-arn", "arn:aws:iam::1:role/r", "--profile", "p"),
            Wanted("prod", "eu-west-1", "p", "arn:aws:iam::1:role/r"),
        ),
        (entry("aws", *AWS_CLI, AWS_PROFILE="p"), Wanted("prod", "eu-west-1", "p")),
        (entry("aws", *AWS_CLI, "--profile", "p", AWS_PROFILE="q"), Wanted("prod", "eu-west-1", "p")),
        (
            entry("aws", "eks", "get-token", "--cluster-name", "prod", AWS_REGION="a", AWS_DEFAULT_REGION="b"),
            Wanted("prod", "a"),
        ),
        (
            entry("aws", *AWS_CLI, AWS_STS_REGIONAL_ENDPOINTS="regional", AWS_CONFIG_FILE="c"),
            Wanted("prod", "eu-west-1", settings={"endpoints": "regional", "config_file": "c"}),
        ),
        (entry("aws-iam-authenticator", "token", "-i", "prod"), Wanted("prod")),
        (
            entry("aws-iam-authenticator", "token", "--cluster-id=prod", "-r", "arn:r", "--region", "x", "-s", "me"),
            Wanted("prod", "x", "", "arn:r", "me"),
        ),
    ],
)
def test_a_plain_call_for_a_token_is_signed_here(given: ExecEntry, expected: Wanted) -> None:
    assert wanted(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        entry("aws", "eks", "list-clusters"),
        entry("aws", *AWS_CLI, "--endpoint-url", "https://sts.example"),
        entry("aws", *AWS_CLI, "--no-verify-ssl"),
        entry("aws", "eks", "get-token"),
        entry("aws", "eks", "get-token", "--cluster-name"),
        entry("aws", *AWS_CLI, AWS_ACCESS_KEY_ID="AKIA"),
        entry("aws", *AWS_CLI, HTTPS_PROXY="http://p"),
        entry("aws-iam-authenticator", "token", "-i", "prod", "--forward-session-name"),
        entry("aws-vault", "exec", "p", "--", "aws", *AWS_CLI),
        entry("gke-gcloud-auth-plugin"),
    ],
)
def test_anything_else_is_left_to_the_plugin(given: ExecEntry) -> None:
    assert wanted(given) is None


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_noon(remove_tzinfo: bool = True) -> datetime.datetime:
        return NOON if remove_tzinfo else NOON.replace(tzinfo=datetime.UTC)

    monkeypatch.setattr("botocore.auth.get_current_datetime", at_noon)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """AWS settings of this test alone: no file, variable or metadata service of the machine."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"
        "[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = secret2\naws_session_token = sess\n"
    )
    (tmp_path / "config").write_text("[default]\nregion = eu-central-1\n[profile other]\nregion = cn-north-1\n")
    return tmp_path


def opened(token: str) -> Any:
    assert token.startswith("k8s-aws-v1.")
    body = token.removeprefix("k8s-aws-v1.")
    assert "=" not in body
    return urlsplit(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode())


def test_the_token_is_a_presigned_call_for_one_minute_and_one_cluster(aws: Path, frozen: None) -> None:
    url = opened(sign(Wanted("prod", "us-east-2")))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    signature = query.pop("X-Amz-Signature")
    assert (url.scheme, url.netloc, url.path) == ("https", "sts.us-east-2.amazonaws.com", "/")
    assert query == {
        "Action": "GetCallerIdentity",
        "Version": "2011-06-15",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "AKIDEXAMPLE/20260303/us-east-2/sts/aws4_request",
        "X-Amz-Date": "20260303T120000Z",
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host;x-k8s-aws-id",
    }
    assert len(signature) == 64


def test_botocores_own_presigner_signs_the_same(aws: Path, frozen: None) -> None:
    """The AWS CLI's way: a client whose request gets the header before it is signed."""
    import botocore.session

    client = botocore.session.Session().create_client("sts", region_name="us-east-2")

    def add_header(request: Any, **_: Any) -> None:
        request.headers["x-k8s-aws-id"] = "prod"

    client.meta.events.register("before-sign.sts.GetCallerIdentity", add_header)
    theirs = client.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    ours = opened(sign(Wanted("prod", "us-east-2"))).geturl()
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(theirs).query)


def test_another_cluster_gives_another_signature(aws: Path, frozen: None) -> None:
    assert sign(Wanted("prod", "us-east-2")) != sign(Wanted("test", "us-east-2"))


def test_profile_and_region_are_found_as_the_cli_finds_them(aws: Path, frozen: None) -> None:
    assert opened(sign(Wanted("prod"))).netloc == "sts.eu-central-1.amazonaws.com"
    other = opened(sign(Wanted("prod", profile="other")))
    assert other.netloc == "sts.cn-north-1.amazonaws.com.cn"
    assert parse_qs(other.query)["X-Amz-Security-Token"] == ["sess"]


def test_settings_of_the_entry_go_before_those_of_the_process(aws: Path, frozen: None) -> None:
    mine = aws / "mine"
    mine.write_text("[default]\nregion = ap-south-1\n")
    assert opened(sign(Wanted("prod", settings={"config_file": str(mine)}))).netloc == "sts.ap-south-1.amazonaws.com"


def test_a_role_is_assumed_first(aws: Path, frozen: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def assume(client: Any, operation: str, arguments: dict[str, str]) -> dict[str, Any]:
        assert operation == "AssumeRole"
        asked.append(arguments)
        return {"Credentials": {"AccessKeyId": "AKIDROLE", "SecretAccessKey": "s", "SessionToken": "tok"}}

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", assume)
    url = opened(sign(Wanted("prod", "us-east-2", role="arn:aws:iam::1:role/r")))
    assert parse_qs(url.query)["X-Amz-Credential"][0].startswith("AKIDROLE/")
    assert asked == [{"RoleArn": "arn:aws:iam::1:role/r", "RoleSessionName": "EKSGetTokenAuth"}]


@pytest.mark.parametrize(
    ("token", "credentials", "words"),
    [
        (Wanted("prod", "us-east-2"), "", "No AWS credentials"),
        (Wanted("prod", "us-east-2", profile="absent"), "", "absent"),
    ],
)
def test_missing_aws_settings_say_what_to_do(aws: Path, token: Wanted, credentials: str, words: str) -> None:
    (aws / "credentials").write_text(credentials)
    with pytest.raises(ConfigurationError, match=words) as caught:
        sign(token)
    assert caught.value.hint


def test_a_missing_region_is_said(aws: Path) -> None:
    (aws / "config").write_text("")
    with pytest.raises(ConfigurationError, match="needs an AWS region"):
        sign(Wanted("prod"))


def test_presign_takes_an_endpoint_as_it_is(frozen: None) -> None:
    from botocore.credentials import ReadOnlyCredentials

    token = presign("https://sts.example/", "r", ReadOnlyCredentials("A", "b", None), "prod")
    assert opened(token).netloc == "sts.example"


def test_a_token_is_renewed_before_fourteen_minutes_and_not_before_twelve() -> None:
    now, made = 0.0, 0

    async def fetch() -> tuple[Presented, float]:
        nonlocal made
        made += 1
        return Presented(f"Bearer {made}"), eks_token.USED_FOR_S

    async def at(minutes: float) -> str:
        nonlocal now
        now = minutes * 60
        return (await credentials.present()).authorization

    async def check(ask: Callable[[float], Any]) -> list[str]:
        return [await ask(minutes) for minutes in (0, 5, 12, 13.9, 20, 27)]

    credentials = Renewed(fetch, lambda: now)
    assert asyncio.run(check(at)) == [f"Bearer {i}" for i in (1, 1, 1, 2, 2, 3)]
