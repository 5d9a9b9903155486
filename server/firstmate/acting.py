"""From a caller to the user of the API server as whom their questions are asked (`http.impersonate`).

`serve` hands what `act_as` makes to the clusters, which ask it at every call. Must never fall back to firstmate's own
rights: who cannot be impersonated is refused.
"""

from firstmate.caller import current
from firstmate.httpsettings import HttpSettings
from firstmate_tools.cluster.impersonation import ActAs, Impersonated, impersonated
from firstmate_tools.errors import DeniedError


def act_as(http: HttpSettings) -> ActAs | None:
    """Says for the call of the moment as whom to ask; None where firstmate asks as itself.

    Args:
        http: whether callers are impersonated, and what is put before their names.
    """
    if http.impersonate == "off":
        return None
    with_groups = http.impersonate == "user-and-groups"

    def chosen() -> Impersonated:
        caller = current()
        if caller.kind not in ("token", "oauth") or not caller.user:
            raise DeniedError(
                "Callers are asked for in their own name here, and nobody is authenticated.", "Call with a token."
            )
        groups = [http.groups_prefix + group for group in caller.groups] if with_groups else []
        return impersonated(http.user_prefix + caller.user, groups)

    return chosen
