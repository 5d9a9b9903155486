"""What is kept of each object that a diagnosis sweeps, so that ten thousand of them fit in memory.

A slim object has the shape of the whole one, with less in it: rules read both alike. Pods that are well keep what
scheduling, selection and ownership need; whatever looks unwell is kept whole, but for managed fields.
"""

from collections.abc import Callable
from datetime import datetime

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.cluster.ownership import SHAPES
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

_METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "labels",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
)
_CONTAINER = ("name", "image", "ports", "resources", "restartPolicy")
_POD_SPEC = (
    "nodeName",
    "serviceAccountName",
    "priorityClassName",
    "schedulerName",
    "overhead",
    "resources",
    "priority",
)
_KEPT_ANNOTATIONS = (
    "deployment.kubernetes.io/",
    "kubernetes.io/limit-ranger",
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "pv.kubernetes.io/",
    "storageclass.kubernetes.io/",
    "storageclass.beta.kubernetes.io/",
    "kubernetes.io/ingress.class",
    "ingressclass.kubernetes.io/",
    "service.beta.kubernetes.io/aws-load-balancer-",
    "eks.amazonaws.com/",
    "cluster-autoscaler.kubernetes.io/",
)
_ON_CLAIMS = ("persistentVolumeClaim", "ephemeral")
"""Volume sources that stand for a claim: whoever holds a volume may be a pod that is well."""

_AWS_IDENTITY = frozenset(
    {
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_ACCESS_KEY_ID",
    }
)
"""Variables by which a pod has an AWS identity: that they are there tells whether it got what it was promised."""
_EVICTABLE = ("cluster-autoscaler.kubernetes.io/", "karpenter.sh/do-not-disrupt")

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
"""Of a pod that runs, the affinity that still keeps others off its node."""


def slimmer(kind: Kind, now: datetime) -> Callable[[Obj], Obj]:
    """What makes a slim object of one of this kind.

    Args:
        now: the cluster's clock, by which a pod on its way up is told from one that is stuck.
    """
    if kind == kinds.POD:
        return lambda pod: slim_pod(pod, now)
    if kind == kinds.NODE:
        return slim_node
    return unmanaged if kind.kind in SHAPES else written


def slim_node(node: Obj) -> Obj:
    """A node without its images, and without what every heartbeat changes: one that is as it was reads the same."""
    kept = unmanaged(node)
    status = fields.without(fields.mapping(kept, "status"), "images")
    if "conditions" in status:
        status["conditions"] = [fields.without(c, "lastHeartbeatTime") for c in fields.items(status, "conditions")]
    metadata = fields.without(fields.mapping(kept, "metadata"), "resourceVersion")
    return {**kept, "metadata": metadata, **({"status": status} if "status" in kept else {})}


def unmanaged(obj: Obj) -> Obj:
    """An object with those annotations that rules read, and those managed fields of which `scrub` left any."""
    metadata = fields.mapping(obj, "metadata")
    if "managedFields" not in metadata and "annotations" not in metadata:
        return obj
    lean = fields.without(metadata, "managedFields", "annotations")
    kept = {k: v for k, v in fields.string_map(metadata, "annotations").items() if k.startswith(_KEPT_ANNOTATIONS)}
    changes = [entry for entry in fields.items(metadata, "managedFields") if entry.get("fieldsV1")]
    return {
        **obj,
        "metadata": {
            **lean,
            **({"annotations": kept} if kept else {}),
            **({"managedFields": changes} if changes else {}),
        },
    }


def written(obj: Obj) -> Obj:
    """As `unmanaged`, and of an object without a generation when it was written to, its status aside.

    Where the API server counts no generations, that alone tells whether an object is as it was made.
    """
    lean, metadata = unmanaged(obj), fields.mapping(obj, "metadata")
    if "generation" in metadata:
        return lean
    entries = [e for e in fields.items(metadata, "managedFields") if fields.text(e, "subresource") != "status"]
    times = [entry if entry.get("fieldsV1") else _only(entry, ("time",)) for entry in entries]
    return {**lean, "metadata": {**fields.mapping(lean, "metadata"), "managedFields": times}} if times else lean


def slim_pod(pod: Obj, now: datetime) -> Obj:
    """A pod that is well reduced to what others need to know of it; any other whole, and so is one on its way up."""
    settled = podstate.ready(pod) or podstate.finished(pod) or podstate.terminating(pod)
    if not podstate.runs_well(pod) and (not settled or not podstate.healthy(pod, now) or podstate.restarts(pod)):
        return unmanaged(pod)
    spec, status = fields.mapping(pod, "spec"), fields.mapping(pod, "status")
    lean: Obj = {
        "metadata": _only(fields.mapping(pod, "metadata"), _METADATA),
        "spec": _only(spec, _POD_SPEC),
        "status": {
            **_only(status, ("phase", "reason")),
            "conditions": _conditions(status, initial="initContainers" in spec),
        },
    }
    claims = [v for v in fields.items(spec, "volumes") if any(source in v for source in _ON_CLAIMS)]
    if claims:
        lean["spec"]["volumes"] = claims
    repels = fields.at(spec, "affinity", "podAntiAffinity", _REQUIRED)
    if repels:
        lean["spec"]["affinity"] = {"podAntiAffinity": {_REQUIRED: repels}}
    held = {k: v for k, v in fields.string_map(pod, "metadata", "annotations").items() if k.startswith(_EVICTABLE)}
    if held:
        lean["metadata"]["annotations"] = held
    for section in ("containers", "initContainers"):
        if section in spec:
            lean["spec"][section] = [_slim_container(c) for c in fields.items(spec, section)]
    for section in ("containerStatuses", "initContainerStatuses"):
        if section in status:
            lean["status"][section] = [
                _only(c, ("name", "ready", "started", "restartCount", "state")) for c in fields.items(status, section)
            ]
    return lean


def _slim_container(container: Obj) -> Obj:
    lean = _only(container, _CONTAINER)
    env = [{"name": e["name"]} for e in fields.items(container, "env") if fields.text(e, "name") in _AWS_IDENTITY]
    return {**lean, "env": env} if env else lean


_CONDITIONS = frozenset({"Ready", "PodScheduled", "DisruptionTarget"})
_INITIAL = _CONDITIONS | {"Initialized"}
_CONDITION = ("type", "status", "reason", "lastTransitionTime")


def _conditions(status: Obj, *, initial: bool) -> list[Obj]:
    """Those that readers ask for; `Initialized` decides on the STATUS column only where there are init containers."""
    kept = _INITIAL if initial else _CONDITIONS
    return [_only(c, _CONDITION) for c in fields.items(status, "conditions") if c.get("type") in kept]


def _only(obj: Obj, keys: tuple[str, ...]) -> Obj:
    return {key: obj[key] for key in keys if key in obj}
