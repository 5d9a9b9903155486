"""How to reach an Amazon EKS cluster, by its name: address and CA as EKS tells them, so that no kubeconfig is needed.

`cluster/eks.py` asks when such a cluster is first called. Blocks, as botocore does: called off the event loop. Must
never ask for more than DescribeCluster.

https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeCluster.html
"""

import base64
import binascii
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.errors import ConfigurationError, ObjectNotFoundError
from firstmate_tools.reads import AwsRead

from .place import Place
from .reader import ask_now

READ = AwsRead("eks", "DescribeCluster")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a cluster's API server answers.

    Attributes:
        server: its address.
        authority: its CA, in PEM.
    """

    server: str
    authority: str


def endpoint_of(cluster: str, place: Place) -> Endpoint:
    """Asks EKS for a cluster's endpoint.

    Raises:
        ConfigurationError: there is no such cluster there, or it has no endpoint (yet).
        ReadError: AWS gave no answer.
    """
    try:
        found = fields.mapping(ask_now(place, READ, name=cluster), "cluster")
    except ObjectNotFoundError as error:
        where = f" in {place.region}" if place.region else ""
        raise ConfigurationError(
            f"There is no EKS cluster {cluster!r}{where}.",
            "Look at eks, region and profile in the configuration; the tool clusters lists those that there are.",
        ) from error
    server = fields.text(found, "endpoint")
    try:
        authority = base64.b64decode(fields.text(found, "certificateAuthority", "data"), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        authority = ""
    if not server.startswith("https://") or not authority:
        status = fields.text(found, "status") or "unknown"
        raise ConfigurationError(f"EKS cluster {cluster!r} has no endpoint to call: its status is {status}.")
    return Endpoint(server.rstrip("/"), authority)
