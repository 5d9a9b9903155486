"""What a failure of botocore means, as one of our errors: pure, from the exception and what was asked.

`reader.py` and `tokens.py` call it. What AWS says is text from outside: cleaned, redacted and cut before it enters a
message. Must never turn a refusal into an empty result.

Codes: the common errors of the AWS APIs (https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html) and of
the query, JSON and EC2 protocols.
"""

from typing import Any

from botocore import exceptions as boto  # pyright: ignore[reportMissingTypeStubs]

from firstmate_tools import fields
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    FirstmateError,
    NotConfiguredError,
    ObjectNotFoundError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from firstmate_tools.reads import AwsRead
from firstmate_tools.text import shorten, untrusted

from .iam import actions

LOG_IN = "Log in to AWS (aws sso login), or set AWS_PROFILE."
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.UnauthorizedSSOTokenError,
    boto.RefreshWithMFAUnsupportedError,
    boto.MetadataRetrievalError,
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_STRANGER = frozenset(
    {"UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "SignatureDoesNotMatch"}
    | {"InvalidAccessKeyId", "MissingAuthenticationToken", "IncompleteSignature"}
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "OptInRequired"})
_ABSENT = frozenset({"ResourceNotFoundException", "NoSuchEntity", "NotFoundException", "NoSuchResourceException"})
_BUSY = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
    | {"LimitExceededException", "RequestThrottled", "SlowDown", "PriorRequestNotComplete"}
)
_WRONG = frozenset(
    {"ValidationException", "ValidationError", "InvalidParameterException", "InvalidParameterValue"}
    | {"InvalidParameterCombination", "MalformedQueryException", "InvalidInput", "BadRequestException"}
)


def words_of(error: Exception) -> str:
    """What the exception says, fit for a message."""
    return shorten(" ".join(untrusted(str(error)).split()), 300)


def error_of(error: Exception, read: AwsRead) -> FirstmateError:
    """The error that a failed operation stands for.

    Args:
        error: of botocore.
        read: what was asked.
    """
    what = f"{read.service}:{read.operation}"
    if isinstance(error, boto.ClientError):
        return _refused(error, read, what)
    if isinstance(error, boto.ProfileNotFound):
        return NotConfiguredError(f"{words_of(error)}.", "Name a profile of the AWS configuration of this server.")
    if isinstance(error, _NO_CREDENTIALS):
        return NotConfiguredError(f"No AWS credentials for {what}: {words_of(error)}", LOG_IN)
    if isinstance(error, boto.NoRegionError):
        return NotConfiguredError(f"No AWS region for {what}.", "Name a region, or set AWS_REGION.")
    if isinstance(error, boto.InvalidRegionError):
        return UsageError("This is no AWS region.", "Such as eu-central-1.")
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return TimedOutError(f"AWS did not answer {what}: {words_of(error)}", "Check the network, VPN and proxy.")
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError):
        return UnreachableError(
            f"No connection to AWS for {what}: {words_of(error)}", "Check region, network and proxy."
        )
    if isinstance(error, boto.ParamValidationError):
        return UsageError(f"AWS takes no such arguments for {what}: {words_of(error)}")
    return FailedReadError(f"AWS could not be asked for {what}: {words_of(error)}")


def _refused(error: boto.ClientError, read: AwsRead, what: str) -> FirstmateError:
    response: Any = error.response
    code = fields.text(response, "Error", "Code")
    said = words_of(error)
    if code in _DENIED or code.endswith(".AccessDenied"):
        needed = ", ".join(actions(read)) or what
        return DeniedError(f"AWS denied {what}: {said}", f"To enable it, allow {needed} (firstmate rbac --aws).")
    if code in _EXPIRED or code in _STRANGER:
        return DeniedError(f"AWS does not accept the credentials for {what}: {said}", LOG_IN)
    if code in _ABSENT or code.endswith(".NotFound"):
        return ObjectNotFoundError(f"AWS knows no such thing ({what}): {said}")
    if code in _BUSY:
        return TimedOutError(f"AWS is too busy for {what}: {said}", "Ask again later, or for less.")
    if code in _WRONG:
        return UsageError(f"AWS cannot make sense of the question ({what}): {said}")
    return FailedReadError(f"AWS failed on {what}: {said}")
