"""Causes of nodes that fail or do not join, and of a control plane that does not keep up."""

from firstmate_tools.diagnosis.cause import causes

CAUSES = (
    *causes(
        "node-notready-kubelet",
        kubelet_not_reporting="A node's kubelet no longer reports",
        container_runtime_down="A node's container runtime does not answer",
    ),
    *causes("sandbox-runtime-failure", pod_sandbox_creation_failed="A node's runtime cannot set pods up"),
    *causes(
        "vpc-cni-not-ready",
        cni_not_initialized="A node's network plugin is not ready",
        cni_iam_permissions_missing="AWS refuses the network plugin what it needs",
    ),
    *causes(
        "vpc-cni-ip-exhaustion",
        cni_ip_exhaustion="There are no addresses left for pods",
        cni_prefix_fragmentation="A subnet has addresses, but no free block of them",
    ),
    *causes("node-disk-pressure-eviction", node_disk_pressure="A node runs out of disk and evicts pods"),
    *causes(
        "node-memory-pressure-oom",
        node_out_of_memory="A node ran out of memory and its kernel killed a process",
        node_memory_pressure="A node runs out of memory and evicts pods",
    ),
    *causes("node-kernel-sysctl-limits", node_pid_pressure="A node runs out of process ids"),
    *causes(
        "kubelet-admission-rejected", kubelet_admission_rejected="A kubelet refuses pods that were given to its node"
    ),
    *causes(
        "kubelet-serving-csr-tls",
        kubelet_serving_csr_pending="Nobody approves the certificate that a kubelet serves with",
    ),
    *causes(
        "control-plane-cert-expired",
        source="logs",
        control_plane_certificate_expired="A certificate of the control plane has expired",
    ),
    *causes("control-plane-cert-expired", node_clock_skew="A node's clock is wrong"),
    *causes(
        "apiserver-throttling",
        source="prometheus",
        api_server_overloaded="The API server refuses requests because it has too many",
    ),
    *causes(
        "apiserver-throttling", source="audit", api_server_list_storm="A client lists whole collections again and again"
    ),
    *causes("apiserver-throttling", source="logs", client_side_throttling="A controller holds its own requests back"),
    *causes(
        "etcd-unavailable",
        source="logs",
        etcd_degraded="etcd is slow, or has no leader",
        etcd_object_too_large="An object is larger than etcd takes",
    ),
    *causes("etcd-space-exceeded", source="logs", etcd_space_exceeded="etcd is full and takes no more writes"),
    *causes("etcd-space-exceeded", source="prometheus", etcd_database_near_limit="etcd is nearly full"),
    *causes(
        "node-join-failure",
        source="aws",
        node_role_not_authorized="Instances start, but their role may not join the cluster",
        node_bootstrap_unreachable="Instances start, but cannot reach the cluster",
    ),
    *causes("eks-cluster-health", source="aws", eks_cluster_health_issue="EKS reports a fault of the cluster"),
    *causes("nodegroup-degraded", source="aws", nodegroup_health_issue="EKS reports a fault of a node group"),
    *causes("eks-addon-degraded", source="aws", eks_addon_degraded="EKS reports a fault of an add-on"),
    *causes(
        "cluster-deletion-protection",
        source="aws",
        cluster_deletion_unprotected="The cluster can be deleted by mistake",
    ),
)
