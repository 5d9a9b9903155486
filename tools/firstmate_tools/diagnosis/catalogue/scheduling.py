"""Causes of pods that find no node, or lose theirs."""

from firstmate_tools.diagnosis.cause import causes

CAUSES = (
    *causes(
        "unschedulable-resources",
        insufficient_node_resources="Pods ask for more than any node has free",
        pod_larger_than_any_node="A pod asks for more than the largest fitting node could ever give",
    ),
    *causes("max-pods-per-node", node_pod_limit_reached="The fitting nodes run as many pods as they may"),
    *causes(
        "unschedulable-taints-affinity",
        node_selector_unmatched="No node carries the labels that the pod selects",
        node_affinity_unmatched="No node satisfies the node affinity that the pod requires",
        taint_not_tolerated="Every fitting node has a taint that the pod does not tolerate",
        nodes_cordoned="The nodes that the pod needs are cordoned",
        pod_anti_affinity_unsatisfiable="Pods that must keep apart have no place left to do so",
        pod_affinity_unmatched="The pod must be near another one, which is nowhere",
        topology_spread_unsatisfiable="Spreading rules leave no node for the pod",
        host_port_conflict="The host port that the pod wants is taken on every fitting node",
    ),
    *causes(
        "pod-pending-no-events",
        pinned_node_missing="The pod is pinned to a node that does not exist",
        scheduler_not_running="Nothing schedules: kube-scheduler is not running",
        scheduler_name_unknown="The pod names a scheduler that nobody runs",
        scheduling_gate_not_removed="A scheduling gate was never taken off the pod",
    ),
    *causes(
        "pod-priority-preemption",
        preempted_by_higher_priority="Pods were evicted to make room for ones of higher priority",
        priority_class_missing="The PriorityClass that the pods name does not exist",
    ),
    *causes("volume-node-affinity-conflict", volume_zone_mismatch="No fitting node is where the pod's volume is"),
    *causes("volume-attach-limit", node_volume_limit_reached="The fitting nodes can attach no more volumes"),
    *causes("volume-multi-attach", rwop_volume_in_use="A volume for a single pod is still used by another one"),
    *causes("pod-security-groups-eni", branch_eni_exhausted="No node has a branch network interface left for the pod"),
    *causes(
        "gpu-unschedulable",
        gpu_not_advertised="No node offers the GPUs, or other devices, that the pod asks for",
        gpu_device_unhealthy="A node's GPUs have failed, in whole or in part",
    ),
)
