"""Causes in identity, scaling, disruption, upgrades, delivery and tenancy."""

from firstmate_tools.diagnosis.cause import causes

CAUSES = (
    *causes("rbac-forbidden", rbac_forbidden="A program may not do what it needs, for want of a Role or binding"),
    *causes(
        "cluster-access-unauthorized",
        source="aws",
        cluster_access_entry_missing="The cluster does not know a principal",
    ),
    *causes(
        "irsa-assume-role-denied", irsa_not_injected="A pod did not get the token that its service account promises"
    ),
    *causes(
        "irsa-assume-role-denied",
        source="logs",
        irsa_trust_policy_mismatch="The role does not trust the pod's service account",
        irsa_oidc_provider_missing="The account has no identity provider for this cluster",
    ),
    *causes(
        "pod-identity-failure",
        source="logs",
        pod_identity_association_missing="No Pod Identity association exists for a service account",
        pod_identity_agent_not_running="A node has no working Pod Identity agent",
        pod_identity_agent_unauthorized="The node's role may not fetch credentials for pods",
    ),
    *causes("imds-access", source="logs", imds_hop_limit_blocks_pod="Pods cannot reach the instance's metadata"),
    *causes("static-aws-credentials", static_aws_credentials_in_pod="A pod carries long-lived AWS keys"),
    *causes(
        "secret-sync-failure",
        source="external-secrets",
        external_secret_sync_failed="A Secret is not fetched from its store",  # noqa: S106 - a title
    ),
    *causes(
        "hpa-no-metrics",
        hpa_metrics_unavailable="An autoscaler gets no metrics",
        hpa_missing_requests="An autoscaler needs requests that the pods do not set",
    ),
    *causes(
        "metrics-server-unavailable",
        metrics_server_cannot_scrape="metrics-server cannot read the kubelets",
    ),
    *causes(
        "hpa-cannot-scale",
        hpa_at_max_replicas="An autoscaler wants more replicas than it may",
        hpa_target_invalid="An autoscaler's target or selector is wrong, or claimed by two",
        hpa_conflicts_with_gitops="An autoscaler and a delivery tool change the same replicas",
    ),
    *causes("keda-scaler-failure", source="keda", keda_scaler_error="A KEDA trigger cannot be read"),
    *causes(
        "cluster-autoscaler-no-scale-up",
        autoscaler_scale_up_impossible="Cluster Autoscaler knows no node group that would help",
    ),
    *causes(
        "cluster-autoscaler-no-scale-down",
        autoscaler_scale_down_blocked="Cluster Autoscaler may not take a nearly empty node away",
    ),
    *causes(
        "karpenter-not-provisioning",
        source="karpenter",
        karpenter_nodepool_limit_reached="The Karpenter NodePools are at their limits",
        karpenter_requirements_unsatisfiable="No instance type meets what Karpenter is asked for",
        karpenter_nodeclass_not_ready="A Karpenter NodeClass names subnets, groups or images that do not exist",
    ),
    *causes(
        "karpenter-disruption-churn",
        source="karpenter",
        karpenter_disruption_blocked="Karpenter may not replace a node that it wants to",
        karpenter_consolidation_churn="Karpenter replaces nodes again and again",
    ),
    *causes(
        "instance-capacity-insufficient",
        source="karpenter",
        instance_capacity_insufficient="AWS has no such instances there at the moment",
        aws_service_quota_reached="A quota of the AWS account is reached",
    ),
    *causes(
        "pdb-blocks-drain",
        pdb_blocks_eviction="A disruption budget allows no eviction",
        pdb_overlapping="Two disruption budgets cover the same pod, so that it cannot be evicted",
    ),
    *causes(
        "workload-availability-gaps",
        single_replica_no_disruption_budget="One drain of a node interrupts the workload",
    ),
    *causes("spot-interruption", source="karpenter", spot_instance_interrupted="AWS took Spot instances back"),
    *causes(
        "deprecated-api-removed",
        deprecated_api_in_use="An API is in use that the next versions no longer have",
        removed_api_in_manifest="A manifest uses an API that this version no longer has",
    ),
    *causes("version-skew", kubelet_version_skew="A kubelet's version is too far from the API server's"),
    *causes(
        "argocd-outofsync",
        source="argo-cd",
        argocd_sync_failed="Argo CD cannot render or apply an application",
        argocd_persistent_drift="What Argo CD applies is changed back again",
    ),
    *causes("flux-not-reconciled", source="flux", flux_not_reconciled="Flux does not apply what it should"),
    *causes(
        "ack-resource-not-synced",
        source="ack",
        ack_resource_not_synced="AWS does not accept what an ACK resource asks for",
    ),
    *causes("noisy-neighbour", namespace_noisy_neighbour="Pods of one tenant starve those of another on the same node"),
    *causes(
        "vulnerable-images",
        source="aws",
        vulnerable_image_running="An image with known serious vulnerabilities is running",
    ),
)
