"""Words for what is not there: an object, or a whole namespace, that somebody asked about.

Called by tools once a read came back empty. An empty list from a namespace that does not exist must never look like an
empty namespace: the API server answers both alike.
"""

import difflib

from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import ReadError, RefusedError, UsageError
from firstmate_tools.fields import name_of
from firstmate_tools.kinds import NAMESPACE, Kind
from firstmate_tools.results import NotChecked

_NEAR = 5


async def refuse_unknown_namespace(cluster: Cluster, namespace: str) -> list[NotChecked]:
    """Nothing where the namespace exists; where that cannot be found out, what the answer must say of it.

    The tool declares `Read(NAMESPACE, ("get",))`.

    Raises:
        UsageError: there is no such namespace.
    """
    try:
        found = await cluster.get(NAMESPACE, namespace)
    except ReadError as error:
        return [NotChecked.of(f"namespaces: whether {namespace} exists", error)]
    if found is None:
        raise UsageError(
            f"There is no namespace {namespace!r} in cluster {cluster.identity.name}.",
            "Look at its spelling and at the cluster; `get` with kind=namespace lists them.",
        )
    return []


async def no_such(cluster: Cluster, kind: Kind, name: str, namespace: str | None) -> UsageError:
    """The error for an object that does not exist, with names that are near, by one list of names where that is
    allowed."""
    where = f" in namespace {namespace}" if namespace else ""
    message = f"There is no {kind.kind.lower()} {name!r}{where} in cluster {cluster.identity.name}."
    try:
        listing = await cluster.list(kind, namespace=namespace, form="metadata", limit=500)
    except (ReadError, RefusedError):
        return UsageError(message, "Look at the name, the namespace and the cluster.")
    names = [name_of(obj) for obj in listing.items]
    near = difflib.get_close_matches(name, names, _NEAR, 0.4) or sorted(n for n in names if n[:3] == name[:3])[:_NEAR]
    if near:
        return UsageError(message, f"Near: {', '.join(near)}.")
    if names:
        return UsageError(message, f"Leave out the name to see the {len(names)} that there are.")
    return UsageError(message, f"There is none at all{where}: look at the namespace and the cluster.")
