"""The least IAM policy for declared AWS reads. Pure; `firstmate rbac --aws` prints it.

An action has the operation's name under the service's IAM prefix. Where prefix or name differ, the Service
Authorization Reference says so (https://docs.aws.amazon.com/service-authorization/latest/reference/), from which the
tables below are taken. Must never name an action for what nobody declared.
"""

from collections.abc import Iterable
from typing import Any

from firstmate_tools.reads import AwsRead, Declared

_PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
_ACTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    # "No permissions are required to perform this operation" (STS API reference, GetCallerIdentity).
    ("sts", "GetCallerIdentity"): (),
}
_SID = "FirstmateRead"


def actions(read: AwsRead) -> tuple[str, ...]:
    """The IAM actions that an operation needs; none for what everybody may."""
    plain = (f"{_PREFIXES.get(read.service, read.service)}:{read.operation}",)
    return _ACTIONS.get((read.service, read.operation), plain)


def policy(reads: Iterable[Declared]) -> dict[str, Any]:
    """An identity policy that allows what is declared, in all regions and on all resources of the account."""
    wanted = sorted({action for read in reads if isinstance(read, AwsRead) for action in actions(read)})
    statement = {"Sid": _SID, "Effect": "Allow", "Action": wanted, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement] if wanted else []}
