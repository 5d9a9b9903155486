"""Custom resources of products that rules read, and the name under which a kind stands in addresses.

For diagnosis, which reads them only where discovery names them, in the version that is served; the versions here are
those that the products write today. Nothing here says what their objects mean.

Two products may give one name to different kinds (ACK's IAM Role and Kubernetes' own, its Certificate of ACM and
cert-manager's): whoever comes first here, built-in kinds before all, keeps the plain name; the others bear their group,
as kubectl writes it (`Role.iam.services.k8s.aws`).
"""

from . import kinds
from .ackkinds import ACK
from .kinds import Kind

# Karpenter (https://karpenter.sh/docs/concepts/) and EKS Auto Mode
NODE_POOL = Kind("NodePool", "nodepools", "karpenter.sh", namespaced=False)
NODE_CLAIM = Kind("NodeClaim", "nodeclaims", "karpenter.sh", namespaced=False)
EC2_NODE_CLASS = Kind(
    "EC2NodeClass", "ec2nodeclasses", "karpenter.k8s.aws", namespaced=False, short=("ec2nc", "ec2ncs")
)
AUTO_NODE_CLASS = Kind("NodeClass", "nodeclasses", "eks.amazonaws.com", namespaced=False)

# Argo CD (https://argo-cd.readthedocs.io)
APPLICATION = Kind("Application", "applications", "argoproj.io", "v1alpha1", short=("app", "apps"))
APPLICATION_SET = Kind("ApplicationSet", "applicationsets", "argoproj.io", "v1alpha1", short=("appset", "appsets"))

# Flux (https://fluxcd.io/flux/components/)
_SOURCE = "source.toolkit.fluxcd.io"
GIT_REPOSITORY = Kind("GitRepository", "gitrepositories", _SOURCE, short=("gitrepo",))
OCI_REPOSITORY = Kind("OCIRepository", "ocirepositories", _SOURCE, short=("ocirepo",))
HELM_REPOSITORY = Kind("HelmRepository", "helmrepositories", _SOURCE, short=("helmrepo",))
HELM_CHART = Kind("HelmChart", "helmcharts", _SOURCE, short=("hc",))
BUCKET = Kind("Bucket", "buckets", _SOURCE)
KUSTOMIZATION = Kind("Kustomization", "kustomizations", "kustomize.toolkit.fluxcd.io", short=("ks",))
HELM_RELEASE = Kind("HelmRelease", "helmreleases", "helm.toolkit.fluxcd.io", "v2", short=("hr",))

# AWS Load Balancer Controller (https://kubernetes-sigs.github.io/aws-load-balancer-controller/)
TARGET_GROUP_BINDING = Kind("TargetGroupBinding", "targetgroupbindings", "elbv2.k8s.aws", "v1beta1")

# cert-manager (https://cert-manager.io/docs/reference/api-docs/)
CERTIFICATE = Kind("Certificate", "certificates", "cert-manager.io", "v1")
CERTIFICATE_REQUEST = Kind("CertificateRequest", "certificaterequests", "cert-manager.io", short=("cr", "crs"))
ISSUER = Kind("Issuer", "issuers", "cert-manager.io")
CLUSTER_ISSUER = Kind("ClusterIssuer", "clusterissuers", "cert-manager.io", namespaced=False)
ORDER = Kind("Order", "orders", "acme.cert-manager.io")
CHALLENGE = Kind("Challenge", "challenges", "acme.cert-manager.io")

# External Secrets Operator (https://external-secrets.io/latest/api/spec/)
EXTERNAL_SECRET = Kind("ExternalSecret", "externalsecrets", "external-secrets.io", short=("es",))
SECRET_STORE = Kind("SecretStore", "secretstores", "external-secrets.io", short=("ss",))
CLUSTER_SECRET_STORE = Kind(
    "ClusterSecretStore", "clustersecretstores", "external-secrets.io", namespaced=False, short=("css",)
)

# Secrets Store CSI driver (https://secrets-store-csi-driver.sigs.k8s.io/concepts)
SECRET_PROVIDER_CLASS = Kind("SecretProviderClass", "secretproviderclasses", "secrets-store.csi.x-k8s.io")

# KEDA (https://keda.sh/docs/)
SCALED_OBJECT = Kind("ScaledObject", "scaledobjects", "keda.sh", "v1alpha1", short=("so",))
SCALED_JOB = Kind("ScaledJob", "scaledjobs", "keda.sh", "v1alpha1", short=("sj",))
TRIGGER_AUTHENTICATION = Kind(
    "TriggerAuthentication", "triggerauthentications", "keda.sh", "v1alpha1", short=("ta", "triggerauth")
)
CLUSTER_TRIGGER_AUTHENTICATION = Kind(
    "ClusterTriggerAuthentication",
    "clustertriggerauthentications",
    "keda.sh",
    "v1alpha1",
    namespaced=False,
    short=("cta", "clustertriggerauth"),
)

CUSTOM: tuple[Kind, ...] = (*(value for value in list(vars().values()) if isinstance(value, Kind)), *ACK)
"""Every kind above, in the order written, and ACK's."""

_FIRST: dict[str, str] = {}
for _kind in (*kinds.KNOWN, *CUSTOM):
    _FIRST.setdefault(_kind.kind, _kind.group)
_BY_NAME: dict[str, Kind] = {}
for _kind in CUSTOM:
    for _name in _kind.names():
        _BY_NAME.setdefault(_name, _kind)


def address_kind(group: str, kind: str) -> str:
    """The name of a kind in addresses (`Ref.kind`): its own, with its group where another kind came first.

    Groups of Kubernetes itself have no dot, or end in `.k8s.io`: of those the older groups of a kind mean the same.
    """
    own = "." not in group or group.endswith(".k8s.io")
    return kind if own or _FIRST.get(kind, group) == group else f"{kind}.{group}"


def address_of(kind: Kind) -> str:
    """As `address_kind`, of a kind at hand."""
    return kind.kind if _FIRST.get(kind.kind) == kind.group else address_kind(kind.group, kind.kind)


_BY_ADDRESS = {address_of(kind): kind for kind in reversed(CUSTOM)}


def addressed(name: str) -> Kind | None:
    """The kind that an address names (as kubectl would), None for one that nobody declared."""
    return _BY_ADDRESS.get(name) or kinds.known(name)


def named(name: str) -> Kind | None:
    """The kind that a person means by a name (`nodepool`, `applications.argoproj.io`); built-in kinds come first."""
    return kinds.known(name) or _BY_NAME.get(name.strip().lower())
