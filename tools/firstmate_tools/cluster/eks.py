"""The connection to a cluster that is configured by its EKS name: no kubeconfig, no AWS CLI.

`LiveSource.eks` calls it when the cluster is first asked. Endpoint and CA come from EKS, tokens are signed in this
process (`eks_token.py`). Must never be called on the event loop.
"""

from typing import Any

from firstmate_tools.aws.place import Place

from . import eks_token
from .auth import Connection, Renewed
from .kubeconfig import configured


def connection_of(cluster: str, place: Place) -> Connection:
    """Asks EKS where the cluster is.

    Raises:
        ConfigurationError: there is no such cluster, or it has no endpoint.
        ReadError: AWS gave no answer.
    """
    from firstmate_tools.aws.eks import endpoint_of  # loads botocore

    endpoint = endpoint_of(cluster, place)
    token = eks_token.Wanted(cluster, place.region, place.profile, place.role)
    configuration: Any = configured(endpoint.server, endpoint.authority)
    return Connection(endpoint.server, "", "default", Renewed(lambda: eks_token.fetch(token)), configuration)
