"""Signs a token for Amazon EKS in this process, in place of running `aws eks get-token` for every renewal.

`kubeconfig.py` asks `wanted` whether an exec entry is such a call with nothing but options that are known here;
otherwise the plugin itself runs. A token is a presigned STS GetCallerIdentity request that carries the cluster's name
in a signed header; the cluster replays it to STS. Must never send that request itself.

Format: https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster and the
`eks get-token` command of the AWS CLI (v2): 60 s of signature, accepted for 15 minutes, announced as 14.
"""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from firstmate_tools.errors import ConfigurationError
from firstmate_tools.text import shorten, untrusted

from .auth import Presented
from .exec_plugin import ExecEntry

USED_FOR_S = 13 * 60.0
_SIGNED_FOR_S = 60
_PREFIX = "k8s-aws-v1."
_HEADER = "x-k8s-aws-id"
_ROLE_SESSION = "EKSGetTokenAuth"

_AWS_OPTIONS = {
    "--cluster-name": "cluster",
    "--cluster-id": "cluster",
    "--region": "region",
    "--profile": "profile",
    "--role-arn": "role",
    "--output": "",
}
_AUTHENTICATOR_OPTIONS = {
    "-i": "cluster",
    "--cluster-id": "cluster",
    "--region": "region",
    "-r": "role",
    "--role": "role",
    "-s": "session",
    "--session-name": "session",
}
_ENVIRONMENT = {
    "AWS_PROFILE": "profile",
    "AWS_DEFAULT_PROFILE": "profile",
    "AWS_REGION": "region",
    "AWS_DEFAULT_REGION": "region",
    "AWS_CONFIG_FILE": "config_file",
    "AWS_SHARED_CREDENTIALS_FILE": "credentials_file",
    "AWS_STS_REGIONAL_ENDPOINTS": "endpoints",
}
_SESSION = {"config_file": "config_file", "credentials_file": "credentials_file", "endpoints": "sts_regional_endpoints"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token that a kubeconfig asks for.

    Attributes:
        cluster: the cluster's name (on Outposts its id).
        region, profile, role: as in the AWS CLI, "" where not given.
        session: the role session's name.
        settings: botocore settings that the entry's environment gives, by our names for them.
    """

    cluster: str
    region: str = ""
    profile: str = ""
    role: str = ""
    session: str = _ROLE_SESSION
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


def wanted(entry: ExecEntry) -> Wanted | None:
    """The token that an exec entry asks for, or None where it is another plugin or has options that only it knows."""
    name = entry.name.lower().removesuffix(".exe")
    if name == "aws":
        found = _options(entry.args, _AWS_OPTIONS, ("eks", "get-token"))
    elif name == "aws-iam-authenticator":
        found = _options(entry.args, _AUTHENTICATOR_OPTIONS, ("token",))
    else:
        return None
    if found is None or not found.get("cluster") or not set(entry.env) <= set(_ENVIRONMENT):
        return None
    from_env: dict[str, str] = {_ENVIRONMENT[key]: value for key, value in entry.env.items() if value}
    # The CLI prefers AWS_PROFILE to AWS_DEFAULT_PROFILE and AWS_REGION to AWS_DEFAULT_REGION.
    from_env |= {_ENVIRONMENT[key]: entry.env[key] for key in ("AWS_PROFILE", "AWS_REGION") if entry.env.get(key)}
    found = from_env | found
    settings = {ours: found[ours] for ours in _SESSION if ours in found}
    return Wanted(
        found["cluster"],
        found.get("region", ""),
        found.get("profile", ""),
        found.get("role", ""),
        found.get("session", _ROLE_SESSION),
        settings,
    )


def _options(args: Sequence[str], known: Mapping[str, str], words: tuple[str, ...]) -> dict[str, str] | None:
    """Options by our names, None where an argument is not known or the command is another."""
    found: dict[str, str] = {}
    plain: list[str] = []
    rest = list(args)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            plain.append(argument)
            continue
        option, equals, value = argument.partition("=")
        if option not in known or (not equals and not rest):
            return None
        found[known[option]] = value if equals else rest.pop(0)
    return found if tuple(plain) == words else None


async def fetch(token: Wanted) -> tuple[Presented, float]:
    """A signed token and the seconds for which to use it. Finding AWS credentials may take a network call to AWS.

    Raises:
        ConfigurationError: no AWS credentials, no region, or the role cannot be assumed.
    """
    return Presented(f"Bearer {await asyncio.to_thread(sign, token)}"), USED_FOR_S


def sign(token: Wanted) -> str:
    """The token, signed with the credentials that the AWS CLI would take.

    Raises:
        ConfigurationError: see `fetch`.
    """
    import botocore.session  # pyright: ignore[reportMissingTypeStubs]
    from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

    try:
        session: Any = botocore.session.Session(profile=token.profile or None)
        for ours, value in token.settings.items():
            session.set_config_variable(_SESSION[ours], value)
        region = token.region or session.get_config_variable("region")
        if not region:
            raise ConfigurationError(
                f"The token for EKS cluster {token.cluster!r} needs an AWS region.",
                "Add --region to the kubeconfig's exec entry, or set AWS_REGION.",
            )
        client: Any = session.create_client("sts", region_name=region)
        credentials: Any = session.get_credentials()
        if credentials is None:
            raise ConfigurationError(
                f"No AWS credentials to sign a token for EKS cluster {token.cluster!r}.",
                "Log in to AWS (aws sso login), or set AWS_PROFILE.",
            )
        frozen = _assumed(client, token) if token.role else credentials.get_frozen_credentials()
        return presign(client.meta.endpoint_url, region, frozen, token.cluster)
    except (BotoCoreError, ClientError) as error:
        words = shorten(" ".join(untrusted(str(error)).split()), 300)
        raise ConfigurationError(
            f"No token for EKS cluster {token.cluster!r}: {words}", "Log in to AWS again, or check profile and role."
        ) from error


def _assumed(client: Any, token: Wanted) -> Any:
    from botocore.credentials import ReadOnlyCredentials  # pyright: ignore[reportMissingTypeStubs]

    given = client.assume_role(RoleArn=token.role, RoleSessionName=token.session)["Credentials"]
    return ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def presign(endpoint: str, region: str, credentials: Any, cluster: str) -> str:
    """The token that proves to a cluster who holds these credentials.

    Args:
        endpoint: the address of STS in the region's partition.
        region: the region that the signature is for.
        credentials: frozen botocore credentials.
        cluster: the cluster's name.
    """
    from botocore.auth import SigV4QueryAuth  # pyright: ignore[reportMissingTypeStubs]
    from botocore.awsrequest import AWSRequest  # pyright: ignore[reportMissingTypeStubs]

    address = f"{endpoint.rstrip('/')}/?Action=GetCallerIdentity&Version=2011-06-15"
    request: Any = AWSRequest(method="GET", url=address, headers={_HEADER: cluster})
    signer: Any = SigV4QueryAuth(credentials, "sts", region, expires=_SIGNED_FOR_S)
    signer.add_auth(request)
    url: str = request.url
    return _PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
