"""The catalogue of causes: slug, what it means in one line, the runbook that fits.

A finding carries exactly one of these slugs. A cause is here once a rule can tell it.
"""

from dataclasses import dataclass
from typing import NewType

CauseSlug = NewType("CauseSlug", str)


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause.

    Attributes:
        slug: its name everywhere.
        title: what it is, in one line.
        runbook: slug of the runbook that treats it.
        victim: whether it is only ever a symptom of something else, and a root cause only where nothing explains it.
    """

    slug: CauseSlug
    title: str
    runbook: str
    victim: bool = False


def _causes(runbook: str, **titles: str) -> list[Cause]:
    return [Cause(CauseSlug(name.replace("_", "-")), title, runbook) for name, title in titles.items()]


_ALL = [
    *_causes(
        "unschedulable-resources",
        insufficient_node_resources="Pods ask for more than any node has free",
        pod_larger_than_any_node="A pod asks for more than the largest fitting node could ever give",
    ),
    *_causes(
        "unschedulable-taints-affinity",
        node_selector_unmatched="No node carries the labels that the pod selects",
        taint_not_tolerated="Every fitting node has a taint that the pod does not tolerate",
        nodes_cordoned="The nodes that the pod needs are cordoned",
        topology_spread_unsatisfiable="Spreading rules leave no node for the pod",
    ),
    *_causes(
        "resourcequota-exceeded",
        quota_exceeded="A ResourceQuota is full, so that new pods are refused",
        quota_requires_requests="A ResourceQuota demands requests or limits that the pods do not set",
    ),
    *_causes("limitrange-violation", limitrange_violation="A LimitRange refuses the pods' resources"),
    *_causes("service-account-missing", service_account_missing="The pods' service account does not exist"),
    *_causes("pod-security-violation", pod_security_violation="The namespace's Pod Security level refuses the pods"),
    *_causes("admission-webhook-failure", webhook_unavailable="An admission webhook that must answer is not there"),
    *_causes("image-pull-not-found", image_not_found="The image or its tag does not exist in the registry"),
    *_causes(
        "image-pull-auth",
        image_pull_unauthorized="The registry refuses the credentials, or there are none",
        image_pull_secret_missing="The pull secret that the pods name does not exist",  # noqa: S106 - a title
    ),
    *_causes("crashloop-container-exits", application_exits_on_error="The process ends with an error, again and again"),
    *_causes("oomkilled", oom_killed_container_limit="The container is killed at its memory limit"),
    *_causes("init-container-stuck", init_container_failing="An init container fails, so that the pod never starts"),
    *_causes(
        "config-reference-missing",
        config_reference_missing="A ConfigMap, Secret or key that the environment needs does not exist",
        volume_config_reference_missing="A ConfigMap or Secret that a volume needs does not exist",
    ),
    *_causes(
        "liveness-probe-killing", liveness_probe_misconfigured="A liveness probe that cannot pass kills the container"
    ),
    *_causes(
        "readiness-probe-failing", readiness_probe_misconfigured="A readiness probe that cannot pass keeps pods out"
    ),
    *_causes(
        "service-no-endpoints",
        service_selector_mismatch="A Service selects no pod",
        service_target_port_mismatch="A Service sends to a port on which no container listens",
    ),
    Cause(
        CauseSlug("service-endpoints-not-ready"),
        "None of a Service's pods is ready",
        "service-no-endpoints",
        victim=True,
    ),
]

CAUSES: dict[str, Cause] = {cause.slug: cause for cause in _ALL}
