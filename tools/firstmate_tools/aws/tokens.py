"""Signs tokens for Amazon EKS, with the credentials that the AWS CLI would take.

`cluster/eks_token.py` asks for them. A token is a presigned STS GetCallerIdentity request that carries the cluster's
name in a signed header; the cluster replays it to STS. Must never send that request itself, nor sign any other URL.

Format: https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster and the
`eks get-token` command of the AWS CLI (v2).
"""

import base64
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4QueryAuth  # pyright: ignore[reportMissingTypeStubs]
from botocore.awsrequest import AWSRequest  # pyright: ignore[reportMissingTypeStubs]
from botocore.credentials import ReadOnlyCredentials  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

from firstmate_tools.errors import ConfigurationError

from .failures import LOG_IN, words_of
from .place import Place
from .session import open_session

SIGNED_FOR_S = 60
_PREFIX = "k8s-aws-v1."
_HEADER = "x-k8s-aws-id"


def sign(cluster: str, place: Place, role_session: str, settings: Mapping[str, str]) -> str:
    """The token of a cluster.

    Args:
        cluster: its name, on Outposts its id.
        place: whose credentials, for which region's STS.
        role_session: the session's name, where a role is assumed.
        settings: botocore settings that go before those of the process.

    Raises:
        ConfigurationError: no AWS credentials, no region, or the role cannot be assumed.
    """
    try:
        session = open_session(Place(place.profile), settings, roles=(place.role,) if place.role else ())
        region = place.region or session.get_config_variable("region")
        if not region:
            raise ConfigurationError(
                f"The token for EKS cluster {cluster!r} needs an AWS region.",
                "Name it in firstmate's configuration or the kubeconfig's exec entry (--region), or set AWS_REGION.",
            )
        client = session.create_client("sts", region_name=region)
        credentials: Any = session.get_credentials()
        if credentials is None:
            raise ConfigurationError(f"No AWS credentials to sign a token for EKS cluster {cluster!r}.", LOG_IN)
        frozen = _assumed(client, place.role, role_session) if place.role else credentials.get_frozen_credentials()
        return presign(client.meta.endpoint_url, region, frozen, cluster)
    except (BotoCoreError, ClientError) as error:
        raise ConfigurationError(
            f"No token for EKS cluster {cluster!r}: {words_of(error)}",
            "Log in to AWS again, or check profile and role.",
        ) from error


def _assumed(client: Any, role: str, role_session: str) -> Any:
    given = client.assume_role(RoleArn=role, RoleSessionName=role_session)["Credentials"]
    return ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def presign(endpoint: str, region: str, credentials: Any, cluster: str) -> str:
    """The token that proves to a cluster who holds these credentials.

    Args:
        endpoint: the address of STS in the region's partition.
        region: the region that the signature is for.
        credentials: frozen botocore credentials.
        cluster: the cluster's name.
    """
    address = f"{endpoint.rstrip('/')}/?Action=GetCallerIdentity&Version=2011-06-15"
    request: Any = AWSRequest(method="GET", url=address, headers={_HEADER: cluster})
    signer: Any = SigV4QueryAuth(credentials, "sts", region, expires=SIGNED_FOR_S)
    signer.add_auth(request)
    url: str = request.url
    return _PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
