"""What a diagnosis is asked about: the whole cluster, a namespace, or one object."""

from dataclasses import dataclass

from firstmate_tools import kinds
from firstmate_tools.customkinds import CUSTOM, address_of, named
from firstmate_tools.errors import UsageError
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref

USUAL: tuple[Kind, ...] = (
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.REPLICA_SET,
    kinds.JOB,
    kinds.CRON_JOB,
    kinds.POD,
    kinds.SERVICE,
    kinds.INGRESS,
    kinds.PERSISTENT_VOLUME_CLAIM,
    kinds.NODE,
)
"""What people ask about most."""
SUPPORTED: tuple[Kind, ...] = (
    *USUAL,
    kinds.HORIZONTAL_POD_AUTOSCALER,
    kinds.POD_DISRUPTION_BUDGET,
    kinds.RESOURCE_QUOTA,
    kinds.LIMIT_RANGE,
    kinds.CONFIG_MAP,
    kinds.SERVICE_ACCOUNT,
    kinds.NETWORK_POLICY,
    kinds.PERSISTENT_VOLUME,
    kinds.STORAGE_CLASS,
    kinds.PRIORITY_CLASS,
    kinds.VALIDATING_WEBHOOK,
    kinds.MUTATING_WEBHOOK,
    kinds.API_SERVICE,
    *CUSTOM,
)
"""Whatever a finding may be about, but for Secrets, which are not read."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`namespace` is None where the question is about the whole cluster; `object` is None unless it is about one."""

    namespace: str | None = None
    object: Ref | None = None

    def __str__(self) -> str:
        if self.object is not None:
            return f"{self.object}" + (f" in namespace {self.object.namespace}" if self.object.namespace else "")
        return f"namespace/{self.namespace}" if self.namespace else "cluster"


def parse_scope(scope: str | None, namespace: str | None, default_namespace: str) -> Scope:
    """The scope that a caller means.

    Args:
        scope: `cluster`, `namespace/NAME` or KIND/NAME in kubectl's kind names; None means the namespace where one is
            given, else the cluster.
        namespace: for KIND/NAME.
        default_namespace: the context's, for KIND/NAME where no namespace is given.

    Raises:
        UsageError: says which scopes there are.
    """
    if scope is None or not scope.strip():
        return Scope(namespace=namespace)
    words = scope.strip()
    if words == "cluster":
        return Scope()
    kind_name, slash, name = words.partition("/")
    if words == "namespace" and namespace:
        return Scope(namespace=namespace)
    if not slash or not name or "/" in name:
        raise UsageError(
            f"Unknown scope {words!r}.", "Use cluster, namespace/NAME, or KIND/NAME such as deployment/cart."
        )
    kind = named(kind_name)
    if kind is kinds.NAMESPACE:
        if namespace and namespace != name:
            raise UsageError(f"Scope {words!r} and namespace {namespace!r} differ.", "Give one of them.")
        return Scope(namespace=name)
    if kind is None or kind not in SUPPORTED:
        usual = ", ".join(k.kind.lower() for k in USUAL)
        more = "or another kind that a diagnosis reads, such as hpa, nodepool, application, certificate"
        raise UsageError(f"Cannot diagnose a {kind_name!r}.", f"Use cluster, namespace/NAME, one of {usual}, {more}.")
    if not kind.namespaced:
        return Scope(object=Ref(address_of(kind), "", name))
    place = namespace or default_namespace
    return Scope(namespace=place, object=Ref(address_of(kind), place, name))
