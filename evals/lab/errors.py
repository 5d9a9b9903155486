"""What can go wrong in the lab, for its callers to catch by name.

LabError
├── BuildError       a binary is missing and could not be built
├── StartError       a component did not start (carries the tail of its log)
├── ScenarioError    a scenario folder is not valid: the message names file and field
├── SetupError       a scenario could not be applied, or one of its waits did not hold
└── ApiError         the API server refused a request (status, reason, message)

Every message says what happened, to which thing, and what to do next where there is something to do.
"""

from __future__ import annotations


class LabError(Exception):
    """Anything that the lab reports instead of going on."""


class BuildError(LabError):
    """A binary is missing and could not be built."""


class StartError(LabError):
    """A component of the control plane did not become ready."""


class ScenarioError(LabError):
    """A scenario folder cannot be read; names the file and the field."""


class SetupError(LabError):
    """A scenario could not be set up on a running lab."""


class ApiError(LabError):
    """The API server answered with a failure.

    Args:
        status: HTTP status code.
        reason: the machine-readable reason of the Status object, or an empty string.
        message: the Status message, or the start of the body.
        what: the request, for the message, e.g. `PATCH /api/v1/nodes/n1`.
    """

    def __init__(self, status: int, reason: str, message: str, what: str) -> None:
        super().__init__(f"{what}: {status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
