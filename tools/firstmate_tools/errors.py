"""Every error that this package raises on purpose, as a tree, so that a caller knows what to catch.

    FirstmateError                     says what happened, to what, and what to do next
    ├── UsageError                     the caller's words are off: unknown scope, bad name, bad argument
    │   ├── UnknownClusterError        no such cluster in the configuration
    │   └── UnknownKindError           the cluster serves no such kind: misspelt, or not installed
    ├── ConfigurationError             kubeconfig, settings or snapshot file cannot be used
    │   └── SnapshotError              a snapshot that is damaged, hostile or not a snapshot
    ├── ReadError                      a read did not give an answer: becomes an entry of `not_checked`, never "empty"
    │   ├── DeniedError                401 or 403
    │   ├── NotInstalledError          the API server does not know this kind
    │   ├── NotConfiguredError         nobody said how to get there: no AWS credentials, no region
    │   ├── NotCollectedError          the snapshot does not hold it
    │   ├── TimedOutError              the deadline passed, or the server gave up
    │   ├── UnreachableError           no connection to the API server at all
    │   └── FailedReadError            anything else: 5xx, torn JSON, a paged list that expired twice
    ├── ObjectNotFoundError            the read worked and the object is not there: a fact, not a failure
    └── RefusedError                   the gateway would not send it: undeclared read, or anything that writes

`ReadError.why` is one of the words of the result contract's `not_checked[].why`.
"""

from typing import ClassVar, Literal

Why = Literal["denied", "failed", "timed_out", "not_collected", "not_installed", "not_configured", "not_asked"]


class FirstmateError(Exception):
    """Base of all errors below.

    Args:
        message: what happened and to which object, without secrets; one sentence.
        hint: what to do next; one sentence, may be empty.

    Attributes:
        said: what the message or the hint quotes of others (an API server, a webhook), which is fenced where it leaves.
    """

    said: str = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint


class UsageError(FirstmateError):
    """The question itself is wrong; asking the cluster again will not help."""


class UnknownClusterError(UsageError):
    """The named cluster is not configured; the hint lists those that are."""


class UnknownKindError(UsageError):
    """A cluster serves no kind of this name: it is misspelt, or what defines it is not installed."""


class ConfigurationError(FirstmateError):
    """A kubeconfig, settings file or snapshot cannot be used as it is."""


class SnapshotError(ConfigurationError):
    """A snapshot is damaged, hostile (links, climbing paths, bombs) or in no known layout."""


class ReadError(FirstmateError):
    """A read that gave no answer. Never treat it as an empty list."""

    why: ClassVar[Why] = "failed"


class DeniedError(ReadError):
    """The API server refused it (401, 403), or the recording notes that it was refused."""

    why: ClassVar[Why] = "denied"


class NotInstalledError(ReadError):
    """The API server does not serve this kind (a CRD that is not installed, an old version)."""

    why: ClassVar[Why] = "not_installed"


class NotConfiguredError(ReadError):
    """A source that nobody has said how to reach: no AWS credentials, no region."""

    why: ClassVar[Why] = "not_configured"


class NotCollectedError(ReadError):
    """A snapshot that does not hold what was asked."""

    why: ClassVar[Why] = "not_collected"


class TimedOutError(ReadError):
    """No answer within the deadline."""

    why: ClassVar[Why] = "timed_out"


class UnreachableError(ReadError):
    """No connection: refused, no route, name not found, TLS failure."""


class FailedReadError(ReadError):
    """The server answered with something that cannot be used."""


class ObjectNotFoundError(FirstmateError):
    """The API server, or a snapshot that holds the whole kind, says that the object does not exist."""


class RefusedError(FirstmateError):
    """The gateway did not send the request: nobody declared this read, or it is not a read."""
