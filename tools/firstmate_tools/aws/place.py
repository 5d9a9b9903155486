"""Where in AWS, and as whom. Apart from the rest, so that configuration can name a place without loading botocore."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A profile, a region and a role to assume; "" leaves it to the AWS configuration and environment, as the AWS CLI
    does."""

    profile: str = ""
    region: str = ""
    role: str = ""
