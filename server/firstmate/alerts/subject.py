"""What an alert is about, as a scope that `diagnose` takes: read from its labels.

The prompt `explain-alert` calls `subject_of`. Labels are text of strangers: a name goes into a scope only where it can
be the name of an object in Kubernetes. Which label means what, where the name alone misleads:

- `job` is Prometheus' scrape job; a Job of Kubernetes is `job_name`. `instance` is what was scraped. `service` is what
  was scraped through; only CloudWatch's dimension `Service` is a Service that somebody may mean.
- `exported_…` is the label of the thing itself where the exporter's own one stood in its way.
- CloudWatch's `PodName` is the name of a workload of unknown kind; the pod is `FullPodName`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from firstmate.alerts.payloads import Alert

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")

# First found wins. Keys are compared in lower case.
_NAMESPACE = (
    "exported_namespace",
    "namespace",
    "kube_namespace",
    "kubernetes_namespace",
    "k8s.namespace.name",
    "namespace_name",
)
_CLUSTER = ("cluster", "clustername", "cluster_name", "kube_cluster_name", "k8s.cluster.name", "eks_cluster")
_NAMESPACED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("deployment", ("exported_deployment", "deployment", "kube_deployment", "k8s.deployment.name")),
    ("statefulset", ("exported_statefulset", "statefulset", "kube_stateful_set", "k8s.statefulset.name")),
    ("daemonset", ("exported_daemonset", "daemonset", "kube_daemon_set", "k8s.daemonset.name")),
    ("cronjob", ("exported_cronjob", "cronjob", "kube_cronjob", "k8s.cronjob.name")),
    ("job", ("job_name", "kube_job", "k8s.job.name")),
    ("pod", ("exported_pod", "pod", "pod_name", "kubernetes_pod_name", "k8s.pod.name", "fullpodname")),
    ("ingress", ("exported_ingress", "ingress")),
)
_NODE = ("exported_node", "node", "nodename", "kubernetes_node", "k8s.node.name")
_WORKLOAD_KINDS = {"deployment", "statefulset", "daemonset", "cronjob", "job"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What to diagnose.

    Attributes:
        scope: as `diagnose` takes it.
        namespace: for KIND/NAME; None where the alert names none.
        cluster: the label, as sent and unchecked; "" where there is none.
        since: when it began, None where the alert does not say.
        certain: whether a label named the object, and not only its namespace or nothing.
    """

    scope: str
    namespace: str | None
    cluster: str
    since: datetime | None
    certain: bool


def subject_of(alert: Alert) -> Subject:
    """What an alert is about: the workload that it names, else the pod, the node, the namespace, the cluster."""
    labels = {key.lower(): value for key, value in alert.labels.items()}
    namespace = _first(labels, _NAMESPACE)
    found = _namespaced(alert, labels)
    node = _first(labels, _NODE)
    if namespace and found:
        scope, certain = found, True
    elif node:
        scope, namespace, certain = f"node/{node}", None, True
    elif namespace:
        scope, namespace, certain = f"namespace/{namespace}", None, False
    else:
        scope, certain = "cluster", False
    cluster = next((labels[key] for key in _CLUSTER if labels.get(key)), "")
    return Subject(scope, namespace, cluster, _time(alert.since), certain)


def _namespaced(alert: Alert, labels: Mapping[str, str]) -> str | None:
    for kind, keys in _NAMESPACED:
        if name := _first(labels, keys):
            return f"{kind}/{name}"
        owner = labels.get("workload_type", "").lower() if kind == "job" else ""  # before the pod's turn
        if owner in _WORKLOAD_KINDS and (name := _first(labels, ("workload",))):
            return f"{owner}/{name}"
    if name := _first(alert.labels, ("Service",)):  # as CloudWatch spells it
        return f"service/{name}"
    return None


def _first(labels: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((labels[key] for key in keys if key in labels and _NAME.fullmatch(labels[key])), None)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if time.year < 2000:  # Go's zero time: the sender does not know
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
