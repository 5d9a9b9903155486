"""As whom a request is made, where firstmate asks in the name of its caller.

A server makes an `Impersonated` of each caller and hands it to `LiveSource`; the transport sends it as headers, the
flights keep the reads of different ones apart. Must never let a caller name a `system:` user or group, nor put anything
into a header that is not one plain value.

Source: https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from firstmate_tools.errors import DeniedError

_SYSTEM = "system:"
_LONGEST = 256
_MOST_GROUPS = 200


@dataclass(frozen=True, slots=True)
class Impersonated:
    """A user of the API server and their groups. Make it with `impersonated`."""

    user: str
    groups: tuple[str, ...] = ()

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What goes with every request. The API server adds `system:authenticated` by itself."""
        return (("Impersonate-User", self.user), *(("Impersonate-Group", group) for group in self.groups))


ActAs = Callable[[], Impersonated]
"""Says as whom the call of the moment asks. Raises DeniedError where it may ask as nobody."""


def impersonated(user: str, groups: Iterable[str] = ()) -> Impersonated:
    """A user to ask as, checked.

    Args:
        user: as RBAC knows them, prefix included.
        groups: likewise; their order does not matter.

    Raises:
        DeniedError: nobody may be asked as under these names.
    """
    known = tuple(sorted(set(groups)))
    if len(known) > _MOST_GROUPS:
        raise DeniedError(f"The caller is in {len(known)} groups; at most {_MOST_GROUPS} are sent to the API server.")
    for what, name in (("user", user), *(("group", group) for group in known)):
        _check(what, name)
    return Impersonated(user, known)


def _check(what: str, name: str) -> None:
    plain = name.isascii() and name.isprintable() and name == name.strip() and len(name) <= _LONGEST
    if not name or not plain:
        raise DeniedError(
            f"The caller's {what} cannot be named to the API server.",
            "It must be 1 to 256 printable ASCII characters: choose another claim or mapping.",
        )
    if name.lower().startswith(_SYSTEM):
        raise DeniedError(
            f"The caller's {what} {name!r} belongs to Kubernetes itself and is never impersonated.",
            "Give callers a prefix of their own.",
        )
