"""The alerts of well-known rule sets, by name: which of them a runbook may claim, and which need none, and why.

The linter refuses an alert that nobody has; a test holds that every alert of the kubernetes-mixin leads to a runbook or
to a reason. Names are those of the projects' rule files: kubernetes-mixin (August 2026), node-mixin of node_exporter,
etcd's own mixin, the mixins for CoreDNS, cert-manager and Argo CD; for AWS, where people name alarms themselves, it is
`namespace/metric` of what the alarm watches (CloudWatch's and Container Insights' documentation).
"""

from collections.abc import Mapping


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


KUBERNETES_MIXIN = _named(
    """
    CPUThrottlingHigh KubeAPIDown KubeAPIErrorBudgetBurn KubeAPITerminatedRequests KubeAggregatedAPIDown
    KubeAggregatedAPIErrors KubeCPUOvercommit KubeCPUQuotaOvercommit KubeClientCertificateExpiration KubeClientErrors
    KubeContainerWaiting KubeControllerManagerDown KubeDaemonSetMisScheduled KubeDaemonSetNotScheduled
    KubeDaemonSetRolloutStuck KubeDeploymentGenerationMismatch KubeDeploymentReplicasMismatch KubeDeploymentRolloutStuck
    KubeHpaMaxedOut KubeHpaReplicasMismatch KubeJobFailed KubeJobNotCompleted KubeMemoryOvercommit
    KubeMemoryQuotaOvercommit KubeNodeEviction KubeNodeNotReady KubeNodePressure KubeNodeReadinessFlapping
    KubeNodeUnreachable KubePdbNotEnoughHealthyPods KubePersistentVolumeErrors KubePersistentVolumeFillingUp
    KubePersistentVolumeInodesFillingUp KubePodCrashLooping KubePodNotReady KubeProxyDown KubeQuotaAlmostFull
    KubeQuotaExceeded KubeQuotaFullyUsed KubeSchedulerDown KubeStatefulSetGenerationMismatch
    KubeStatefulSetReplicasMismatch KubeStatefulSetUpdateNotRolledOut KubeVersionMismatch
    KubeletClientCertificateExpiration KubeletClientCertificateRenewalErrors KubeletDown KubeletPlegDurationHigh
    KubeletPodStartUpLatencyHigh KubeletServerCertificateExpiration KubeletServerCertificateRenewalErrors
    KubeletTooManyPods
    """
)

OTHERS = _named(
    """
    NodeBondingDegraded NodeCPUHighUsage NodeClockNotSynchronising NodeClockSkewDetected NodeDiskIOSaturation
    NodeFileDescriptorLimit NodeFilesystemAlmostOutOfFiles NodeFilesystemAlmostOutOfSpace NodeFilesystemFilesFillingUp
    NodeFilesystemSpaceFillingUp NodeHighNumberConntrackEntriesUsed NodeMemoryHighUtilization NodeMemoryMajorPagesFaults
    NodeNetworkReceiveErrs NodeNetworkTransmitErrs NodeRAIDDegraded NodeRAIDDiskFailure NodeSystemSaturation
    NodeSystemdServiceCrashlooping NodeSystemdServiceFailed NodeTextFileCollectorScrapeError
    etcdDatabaseHighFragmentationRatio etcdDatabaseQuotaLowSpace etcdExcessiveDatabaseGrowth etcdGRPCRequestsSlow
    etcdHighCommitDurations etcdHighFsyncDurations etcdHighNumberOfFailedGRPCRequests etcdHighNumberOfFailedProposals
    etcdHighNumberOfLeaderChanges etcdInsufficientMembers etcdMemberCommunicationSlow etcdMembersDown etcdNoLeader
    CoreDNSDown CoreDNSErrorsHigh CoreDNSForwardErrorsHigh CoreDNSForwardHealthcheckBrokenCount
    CoreDNSForwardHealthcheckFailureCount CoreDNSForwardLatencyHigh CoreDNSLatencyHigh CoreDNSPanicCount
    CertManagerAbsent CertManagerCertExpirySoon CertManagerCertNotReady CertManagerHittingRateLimits
    ArgoCdAppAutoSyncDisabled ArgoCdAppOutOfSync ArgoCdAppSyncFailed ArgoCdAppUnhealthy ArgoCdNotificationDeliveryFailed
    """
)

AWS: Mapping[str, str] = {
    "AWS/ApplicationELB/HTTPCode_ELB_5XX_Count": "ingress-5xx-upstream",
    "AWS/ApplicationELB/HTTPCode_Target_5XX_Count": "ingress-5xx-upstream",
    "AWS/ApplicationELB/TargetConnectionErrorCount": "target-group-unhealthy",
    "AWS/ApplicationELB/UnHealthyHostCount": "target-group-unhealthy",
    "AWS/NetworkELB/UnHealthyHostCount": "target-group-unhealthy",
    "AWS/NetworkELB/TCP_Target_Reset_Count": "nlb-hairpin-timeout",
    "AWS/EC2/StatusCheckFailed": "node-notready-kubelet",
    "AWS/EKS/apiserver_request_total_429": "apiserver-throttling",
    "AWS/EKS/apiserver_request_total_LIST_PODS": "apiserver-throttling",
    "AWS/EKS/apiserver_storage_size_bytes": "etcd-space-exceeded",
    "AWS/EKS/apiserver_admission_webhook_rejection_count": "admission-webhook-failure",
    "AWS/EKS/scheduler_pending_pods_UNSCHEDULABLE": "unschedulable-resources",
    "AWS/NATGateway/ErrorPortAllocation": "pod-egress-snat",
    "ContainerInsights/cluster_failed_node_count": "node-notready-kubelet",
    "ContainerInsights/node_cpu_utilization": "noisy-neighbour",
    "ContainerInsights/node_filesystem_utilization": "node-disk-pressure-eviction",
    "ContainerInsights/node_memory_utilization": "node-memory-pressure-oom",
    "ContainerInsights/pod_cpu_utilization_over_pod_limit": "cpu-throttling",
    "ContainerInsights/pod_memory_utilization_over_pod_limit": "oomkilled",
    "ContainerInsights/pod_number_of_container_restarts": "crashloop-container-exits",
}
"""Common AWS alarms by what they watch, and the runbook to begin with."""

NO_RUNBOOK: Mapping[str, str] = {
    "KubeAPIDown": "no check can be made through an API server that does not answer: look at its process and at etcd; "
    "on EKS, eks-cluster-health says what AWS sees",
    "KubeCPUQuotaOvercommit": "the quotas together promise more than the cluster has: a plan for capacity, no fault",
    "KubeMemoryQuotaOvercommit": "the quotas together promise more than the cluster has: a plan for capacity, no fault",
    "KubeControllerManagerDown": "look at the control plane's own logs; on EKS AWS runs it, and it is no target",
    "KubeDaemonSetMisScheduled": "pods run where the DaemonSet no longer wants them; they hurt nobody",
}
"""Alerts of the kubernetes-mixin without a runbook, and why."""


def every() -> frozenset[str]:
    """All alert names that are known here."""
    return KUBERNETES_MIXIN | OTHERS | frozenset(AWS)
