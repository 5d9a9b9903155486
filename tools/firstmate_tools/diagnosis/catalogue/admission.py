"""Causes of objects that are refused, altered on their way, or not let go."""

from firstmate_tools.diagnosis.cause import causes

CAUSES = (
    *causes(
        "resourcequota-exceeded",
        quota_exceeded="A ResourceQuota is full, so that new pods are refused",
        quota_requires_requests="A ResourceQuota demands requests or limits that the pods do not set",
        object_quota_exceeded="A quota on objects other than pods is full, so that one that is needed is missing",
    ),
    *causes(
        "limitrange-violation",
        limitrange_violation="A LimitRange refuses the pods' resources",
        limitrange_default_too_small="A LimitRange gives containers a default limit that is too small for them",
    ),
    *causes("service-account-missing", service_account_missing="The pods' service account does not exist"),
    *causes(
        "pod-security-violation",
        pod_security_violation="The namespace's Pod Security level refuses the pods",
        run_as_non_root_violation="A container must not run as root, and its image does",
    ),
    *causes(
        "admission-webhook-failure",
        webhook_unavailable="An admission webhook that must answer is not there",
        webhook_tls_invalid="An admission webhook's certificate is not trusted, or has expired",
        webhook_timeouts_cumulative="Slow admission webhooks together take longer than a request may",
        mutating_webhook_alters_pod="A mutating webhook changes pods into ones that fail",
    ),
    *causes("policy-engine-denied", policy_denied="An admission policy refuses the pods"),
    *causes(
        "namespace-stuck-terminating",
        namespace_content_finalizer_stuck="A namespace cannot go, because objects in it wait for their finalizers",
    ),
    *causes("apiservice-unavailable", apiservice_unavailable="An aggregated API does not answer"),
    *causes(
        "finalizer-stuck-resource",
        finalizer_owner_missing="An object cannot go: whoever should remove its finalizer is not there",
    ),
    *causes(
        "pod-stuck-terminating",
        pod_termination_not_confirmed="A pod's grace period is over, and no kubelet has confirmed its end",
    ),
    *causes("immutable-field-update", immutable_field_changed="An update changes a field that cannot be changed"),
    *causes("helm-release-stuck", helm_release_pending="A Helm release was interrupted and blocks the next one"),
)
