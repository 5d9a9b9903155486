"""Causes of images that do not come, and of containers that do not start, stay or become ready."""

from firstmate_tools.diagnosis.cause import causes, victims

CAUSES = (
    *causes(
        "image-pull-not-found",
        image_not_found="The image or its tag does not exist in the registry",
        image_never_pull_absent="The image may not be pulled, and is not on the node",
        image_name_invalid="The image's name cannot be read as one",
    ),
    *causes(
        "image-pull-auth",
        image_pull_unauthorized="The registry refuses the credentials, or there are none",
        image_pull_secret_missing="The pull secret that the pods name does not exist",  # noqa: S106 - a title
    ),
    *causes("image-registry-unreachable", image_registry_unreachable="The registry cannot be reached from the nodes"),
    *causes("image-pull-rate-limit", image_pull_rate_limited="The registry limits how often images are pulled"),
    *causes("image-arch-mismatch", image_architecture_mismatch="The image is not made for the node's architecture"),
    *causes("node-disk-pressure-eviction", image_filesystem_full="The node's disk has no room for the image"),
    *causes(
        "crashloop-container-exits",
        application_exits_on_error="The process ends with an error, again and again",
        container_process_completes="The process ends as if all were done, though it should go on",
        container_command_not_found="The command does not exist in the image, or cannot be run",
        post_start_hook_failing="The hook that runs after the start fails, which kills the container",
        container_port_conflict="Two processes of a pod want the same port",
    ),
    *causes(
        "oomkilled",
        oom_killed_container_limit="The container is killed at its memory limit",
        memory_limit_too_low_to_start="The memory limit is too low for the container even to start",
    ),
    *causes(
        "config-reference-missing",
        config_reference_missing="A ConfigMap, Secret or key that the environment needs does not exist",
        volume_config_reference_missing="A ConfigMap or Secret that a volume needs does not exist",
    ),
    *causes(
        "change-regression",
        container_wrong_entrypoint="A change of command or arguments runs something else than before",
        config_stale_after_rotation="A running container still has the value from before a rotation",
        config_change_regression="Errors began when the configuration changed",
        limits_changed_by_automation="Something other than the owner changed the workload's resources",
        duplicate_env_var="An environment variable is set twice, and the last one wins",
    ),
    *causes("volume-permission-denied", volume_permission_denied="The process may not use the files of its volume"),
    *causes(
        "liveness-probe-killing",
        liveness_probe_misconfigured="A liveness probe that cannot pass kills the container",
        liveness_probe_too_aggressive="A liveness probe kills the container before it has started",
        startup_probe_never_passes="The startup probe gives up before the container is up",
        exec_probe_timeout="A probe's command takes longer than it may",
    ),
    *causes(
        "readiness-probe-failing", readiness_probe_misconfigured="A readiness probe that cannot pass keeps pods out"
    ),
    *causes(
        "init-container-stuck",
        init_container_failing="An init container fails, so that the pod never starts",
        init_container_waiting="An init container waits for something that does not come",
    ),
    *causes(
        "job-cronjob-failure",
        job_blocked_by_sidecar="A Job does not end because a sidecar outlives its main container",
        job_retries_or_deadline_exceeded="A Job gave up: too many failures, or too long",
        cronjob_schedule_missed="A CronJob does not start its Jobs when it should",
    ),
    *causes(
        "node-disk-pressure-eviction",
        ephemeral_storage_limit_exceeded="A pod was evicted for using more local disk than it may",
    ),
    *causes(
        "node-kernel-sysctl-limits",
        source="logs",
        shared_memory_too_small="The container's shared memory is too small for the process",
        open_file_limit_reached="The process may not open more files",
    ),
    *causes("node-kernel-sysctl-limits", unsafe_sysctl_forbidden="The kubelet forbids a sysctl that the pod sets"),
    *causes("cpu-throttling", source="prometheus", cpu_throttled_by_limit="The CPU limit slows the container down"),
    *victims("rollout-stuck", rollout_new_revision_failing="A new revision does not become ready; the old one serves"),
    *causes("rollout-stuck", rollout_max_unavailable_too_high="A rollout may take down more than can be spared"),
)
