"""Versions of the API that Kubernetes has removed, by kind: since when, and what to use. Pure data.

https://kubernetes.io/docs/reference/using-api/deprecation-guide/ (as of v1.36). Custom resources are not in it: a kind
that nobody knows may just not be installed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removal:
    """Since which minor version an API is gone, and its successor ("" where it has none)."""

    since: str
    successor: str


def _rows(since: str, version: str, successor: str, kinds: str) -> dict[tuple[str, str], Removal]:
    return {(version, kind): Removal(since, successor) for kind in kinds.split()}


_WEBHOOKS = "MutatingWebhookConfiguration ValidatingWebhookConfiguration"
_REVIEWS = "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview"
_RBAC = "ClusterRole ClusterRoleBinding Role RoleBinding"
_FLOWS = "FlowSchema PriorityLevelConfiguration"

REMOVED: dict[tuple[str, str], Removal] = {
    **_rows("1.16", "extensions/v1beta1", "networking.k8s.io/v1", "NetworkPolicy"),
    **_rows("1.16", "extensions/v1beta1", "apps/v1", "DaemonSet Deployment ReplicaSet"),
    **_rows("1.16", "extensions/v1beta1", "", "PodSecurityPolicy"),
    **_rows("1.16", "apps/v1beta1", "apps/v1", "Deployment StatefulSet ReplicaSet"),
    **_rows("1.16", "apps/v1beta2", "apps/v1", "DaemonSet Deployment StatefulSet ReplicaSet"),
    **_rows("1.22", "admissionregistration.k8s.io/v1beta1", "admissionregistration.k8s.io/v1", _WEBHOOKS),
    **_rows("1.22", "apiextensions.k8s.io/v1beta1", "apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    **_rows("1.22", "apiregistration.k8s.io/v1beta1", "apiregistration.k8s.io/v1", "APIService"),
    **_rows("1.22", "authentication.k8s.io/v1beta1", "authentication.k8s.io/v1", "TokenReview"),
    **_rows("1.22", "authorization.k8s.io/v1beta1", "authorization.k8s.io/v1", _REVIEWS),
    **_rows("1.22", "certificates.k8s.io/v1beta1", "certificates.k8s.io/v1", "CertificateSigningRequest"),
    **_rows("1.22", "coordination.k8s.io/v1beta1", "coordination.k8s.io/v1", "Lease"),
    **_rows("1.22", "extensions/v1beta1", "networking.k8s.io/v1", "Ingress"),
    **_rows("1.22", "networking.k8s.io/v1beta1", "networking.k8s.io/v1", "Ingress IngressClass"),
    **_rows("1.22", "rbac.authorization.k8s.io/v1beta1", "rbac.authorization.k8s.io/v1", _RBAC),
    **_rows("1.22", "scheduling.k8s.io/v1beta1", "scheduling.k8s.io/v1", "PriorityClass"),
    **_rows("1.22", "storage.k8s.io/v1beta1", "storage.k8s.io/v1", "CSIDriver CSINode StorageClass VolumeAttachment"),
    **_rows("1.25", "batch/v1beta1", "batch/v1", "CronJob"),
    **_rows("1.25", "discovery.k8s.io/v1beta1", "discovery.k8s.io/v1", "EndpointSlice"),
    **_rows("1.25", "events.k8s.io/v1beta1", "events.k8s.io/v1", "Event"),
    **_rows("1.25", "autoscaling/v2beta1", "autoscaling/v2", "HorizontalPodAutoscaler"),
    **_rows("1.25", "policy/v1beta1", "policy/v1", "PodDisruptionBudget"),
    **_rows("1.25", "policy/v1beta1", "", "PodSecurityPolicy"),
    **_rows("1.25", "node.k8s.io/v1beta1", "node.k8s.io/v1", "RuntimeClass"),
    **_rows("1.26", "autoscaling/v2beta2", "autoscaling/v2", "HorizontalPodAutoscaler"),
    **_rows("1.26", "flowcontrol.apiserver.k8s.io/v1beta1", "flowcontrol.apiserver.k8s.io/v1", _FLOWS),
    **_rows("1.27", "storage.k8s.io/v1beta1", "storage.k8s.io/v1", "CSIStorageCapacity"),
    **_rows("1.29", "flowcontrol.apiserver.k8s.io/v1beta2", "flowcontrol.apiserver.k8s.io/v1", _FLOWS),
    **_rows("1.32", "flowcontrol.apiserver.k8s.io/v1beta3", "flowcontrol.apiserver.k8s.io/v1", _FLOWS),
}
