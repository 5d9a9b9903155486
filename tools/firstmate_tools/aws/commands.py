"""Which commands the AWS command line has, by botocore's models: for checking what a runbook tells people to run.

`firstmate.runbooks.lint` asks. Reads model files of the installation; sends nothing and needs no credentials.
"""

import difflib
from functools import cache
from typing import Any, cast

_CUSTOM: dict[str, frozenset[str]] = {
    "configure": frozenset({"list", "get", "set", "sso", "list-profiles", "export-credentials", "import", "add-model"}),
    "ecr": frozenset({"get-login-password"}),
    "eks": frozenset({"get-token", "update-kubeconfig"}),
    "logs": frozenset({"tail"}),
    "s3": frozenset({"cp", "ls", "mb", "mv", "presign", "rb", "rm", "sync", "website"}),
    "sso": frozenset({"login", "logout"}),
    "cloudtrail": frozenset({"validate-logs"}),
}
"""What the AWS command line adds to the operations of the API (its reference, version 2)."""


def wrong_with(service: str, operation: str) -> str | None:
    """Why `aws SERVICE OPERATION` is no command, None where it is one.

    Args:
        service: as on the command line, `ec2`.
        operation: as on the command line, `describe-instances`; or `wait`, which every service with waiters has.
    """
    if operation in _CUSTOM.get(service, ()):
        return None
    if service not in _services():
        near = difflib.get_close_matches(service, [*_services(), *_CUSTOM], 1)
        return f"aws has no service {service!r}" + (f"; `{near[0]}`?" if near else "")
    every = _operations(service)
    if operation in every or operation == "wait":
        return None
    near = difflib.get_close_matches(operation, every, 1)
    return f"aws {service} has no command {operation!r}" + (f"; `{near[0]}`?" if near else "")


@cache
def _session() -> Any:
    import botocore.session  # pyright: ignore[reportMissingTypeStubs]

    return cast("Any", botocore.session).Session()


@cache
def _services() -> frozenset[str]:
    return frozenset(_session().get_available_services())


@cache
def _operations(service: str) -> frozenset[str]:
    import botocore  # pyright: ignore[reportMissingTypeStubs]

    spelled = cast("Any", botocore).xform_name
    return frozenset(spelled(name, "-") for name in _session().get_service_model(service).operation_names)
