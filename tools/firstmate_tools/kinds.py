"""The kinds that firstmate knows by heart, under the names that kubectl takes.

A known kind needs no discovery request. Custom resources are found by discovery (`Cluster.kinds`) when somebody asks
for one. Groups, versions and short names are those of the Kubernetes API reference, v1.36.
"""

from dataclasses import dataclass

from .errors import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the Kubernetes API.

    Attributes:
        kind: CamelCase name, as in manifests.
        plural: resource name, as in URLs and RBAC.
        group: API group, "" for core.
        version: the version that is asked for.
        namespaced: False for cluster-scoped kinds.
        short: kubectl's short names.
    """

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`replicasets.apps`, the name that coverage and RBAC hints use; `pods` for the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def base_path(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def names(self) -> set[str]:
        """Every lower-case name by which a person may mean this kind."""
        singular = self.kind.lower()
        names = {singular, self.plural, *self.short}
        return names | ({f"{singular}.{self.group}", self.resource} if self.group else set())


POD = Kind("Pod", "pods", short=("po",))
NODE = Kind("Node", "nodes", namespaced=False, short=("no",))
NAMESPACE = Kind("Namespace", "namespaces", namespaced=False, short=("ns",))
SERVICE = Kind("Service", "services", short=("svc",))
CONFIG_MAP = Kind("ConfigMap", "configmaps", short=("cm",))
SECRET = Kind("Secret", "secrets")
SERVICE_ACCOUNT = Kind("ServiceAccount", "serviceaccounts", short=("sa",))
EVENT = Kind("Event", "events", short=("ev",))
ENDPOINTS = Kind("Endpoints", "endpoints", short=("ep",))
LIMIT_RANGE = Kind("LimitRange", "limitranges", short=("limits",))
RESOURCE_QUOTA = Kind("ResourceQuota", "resourcequotas", short=("quota",))
PERSISTENT_VOLUME = Kind("PersistentVolume", "persistentvolumes", namespaced=False, short=("pv",))
PERSISTENT_VOLUME_CLAIM = Kind("PersistentVolumeClaim", "persistentvolumeclaims", short=("pvc",))
REPLICATION_CONTROLLER = Kind("ReplicationController", "replicationcontrollers", short=("rc",))
DEPLOYMENT = Kind("Deployment", "deployments", "apps", short=("deploy",))
REPLICA_SET = Kind("ReplicaSet", "replicasets", "apps", short=("rs",))
STATEFUL_SET = Kind("StatefulSet", "statefulsets", "apps", short=("sts",))
DAEMON_SET = Kind("DaemonSet", "daemonsets", "apps", short=("ds",))
CONTROLLER_REVISION = Kind("ControllerRevision", "controllerrevisions", "apps")
JOB = Kind("Job", "jobs", "batch")
CRON_JOB = Kind("CronJob", "cronjobs", "batch", short=("cj",))
ENDPOINT_SLICE = Kind("EndpointSlice", "endpointslices", "discovery.k8s.io")
INGRESS = Kind("Ingress", "ingresses", "networking.k8s.io", short=("ing",))
INGRESS_CLASS = Kind("IngressClass", "ingressclasses", "networking.k8s.io", namespaced=False)
NETWORK_POLICY = Kind("NetworkPolicy", "networkpolicies", "networking.k8s.io", short=("netpol",))
POD_DISRUPTION_BUDGET = Kind("PodDisruptionBudget", "poddisruptionbudgets", "policy", short=("pdb",))
HORIZONTAL_POD_AUTOSCALER = Kind(
    "HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling", "v2", short=("hpa",)
)
STORAGE_CLASS = Kind("StorageClass", "storageclasses", "storage.k8s.io", namespaced=False, short=("sc",))
CSI_DRIVER = Kind("CSIDriver", "csidrivers", "storage.k8s.io", namespaced=False)
CSI_NODE = Kind("CSINode", "csinodes", "storage.k8s.io", namespaced=False)
VOLUME_ATTACHMENT = Kind("VolumeAttachment", "volumeattachments", "storage.k8s.io", namespaced=False)
PRIORITY_CLASS = Kind("PriorityClass", "priorityclasses", "scheduling.k8s.io", namespaced=False, short=("pc",))
CERTIFICATE_SIGNING_REQUEST = Kind(
    "CertificateSigningRequest", "certificatesigningrequests", "certificates.k8s.io", namespaced=False, short=("csr",)
)
LEASE = Kind("Lease", "leases", "coordination.k8s.io")
ROLE = Kind("Role", "roles", "rbac.authorization.k8s.io")
ROLE_BINDING = Kind("RoleBinding", "rolebindings", "rbac.authorization.k8s.io")
CLUSTER_ROLE = Kind("ClusterRole", "clusterroles", "rbac.authorization.k8s.io", namespaced=False)
CLUSTER_ROLE_BINDING = Kind("ClusterRoleBinding", "clusterrolebindings", "rbac.authorization.k8s.io", namespaced=False)
VALIDATING_WEBHOOK = Kind(
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    "admissionregistration.k8s.io",
    namespaced=False,
)
MUTATING_WEBHOOK = Kind(
    "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "admissionregistration.k8s.io", namespaced=False
)
API_SERVICE = Kind("APIService", "apiservices", "apiregistration.k8s.io", namespaced=False)
CUSTOM_RESOURCE_DEFINITION = Kind(
    "CustomResourceDefinition", "customresourcedefinitions", "apiextensions.k8s.io", namespaced=False, short=("crd",)
)
EVENTS_V1 = Kind("Event", "events", "events.k8s.io")

KNOWN: tuple[Kind, ...] = tuple(value for value in list(vars().values()) if isinstance(value, Kind))
"""Every kind above, in the order written; the first wins where two share a name (core Events before events.k8s.io)."""

_BY_NAME: dict[str, Kind] = {}
for _kind in KNOWN:
    for _name in _kind.names():
        _BY_NAME.setdefault(_name, _kind)
_BY_GROUP_KIND = {(kind.group, kind.kind): kind for kind in reversed(KNOWN)}
_BUILT_IN = frozenset((kind.group, kind.plural) for kind in KNOWN)


def known(name: str) -> Kind | None:
    """The kind that kubectl would take for this name (`po`, `Deployment`, `deployments.apps`), or None."""
    return _BY_NAME.get(name.strip().lower())


def known_or_refused(name: str) -> Kind:
    """As `known`, but a UsageError where no built-in kind has the name."""
    kind = known(name)
    if kind is None:
        raise UsageError(f"Unknown kind {name!r}.", "Use kubectl's names, such as deployment, sts, pod, svc, node.")
    return kind


def custom(kind: Kind) -> bool:
    """Whether a kind is none of the above: the resource of some product, which a cluster may or may not serve."""
    return (kind.group, kind.plural) not in _BUILT_IN


def by_api_version(api_version: str, kind: str) -> Kind | None:
    """The known kind of an `apiVersion` and `kind` pair, whatever the version."""
    group = api_version.rpartition("/")[0]
    return _BY_GROUP_KIND.get((group, kind))
