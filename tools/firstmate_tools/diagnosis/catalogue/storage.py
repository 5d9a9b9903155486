"""Causes of volumes that are not made, bound, attached, mounted, or have no room left."""

from firstmate_tools.diagnosis.cause import causes, victims

CAUSES = (
    *causes(
        "pvc-pending-provisioning",
        storageclass_missing="The StorageClass that a claim names does not exist",
        no_default_storageclass="A claim names no StorageClass, and there is no default one",
        static_pv_mismatch="No existing volume has the size, mode, class or labels that the claim asks for",
        csi_provisioner_not_running="The driver that should make the volume does not run",
    ),
    *victims(
        "pvc-pending-provisioning",
        pvc_waiting_for_unschedulable_pod="A claim waits for its pod to be scheduled, which it is not",
    ),
    *causes("pv-stuck-terminating", pv_claimed_by_another_pvc="The volume that a claim wants belongs to another claim"),
    *causes("ebs-csi-permissions", csi_provisioner_unauthorized="AWS refuses the storage driver what it needs"),
    *causes("volume-multi-attach", volume_multi_attach="A volume is still attached to another node"),
    *causes("volume-attach-limit", volume_attach_limit_exceeded="The instance can attach no more volumes"),
    *causes("volume-mount-failure", volume_missing_in_cloud="The volume behind a claim no longer exists in the cloud"),
    *victims("volume-mount-failure", volume_mount_timeout="The kubelet gave up waiting for a volume"),
    *causes("efs-mount-failure", efs_mount_unreachable="The file system that a pod mounts cannot be reached"),
    *causes("volume-expansion-full", volume_expansion_stuck="A volume was to grow, and has not"),
    *causes("volume-expansion-full", source="prometheus", volume_full="A volume has no room left"),
)
