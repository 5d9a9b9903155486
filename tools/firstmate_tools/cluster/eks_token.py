"""Signs a token for Amazon EKS in this process, in place of running `aws eks get-token` for every renewal.

`kubeconfig.py` asks `wanted` whether an exec entry is such a call with nothing but options that are known here;
otherwise the plugin itself runs. `aws/tokens.py` signs, under the guard of all that goes to AWS. Must never hand out a
token but to the credentials of a connection.

Life of a token: `eks get-token` of the AWS CLI (v2): 60 s of signature, accepted for 15 minutes, announced as 14.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from firstmate_tools.aws.place import Place

from .auth import Presented
from .exec_plugin import ExecEntry

USED_FOR_S = 13 * 60.0
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
    from firstmate_tools.aws import tokens  # loads botocore

    place = Place(token.profile, token.region, token.role)
    settings = {_SESSION[ours]: value for ours, value in token.settings.items()}
    return tokens.sign(token.cluster, place, token.session, settings)
