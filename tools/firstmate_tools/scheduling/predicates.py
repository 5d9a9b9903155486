"""Which nodes a pod is meant for and which refuse it: labels, taints and cordons.

Rules of kube-scheduler v1.36: plugins nodeaffinity, nodeunschedulable and tainttoleration, with
k8s.io/component-helpers scheduling/corev1 (nodeaffinity.go, helpers.go) and k8s.io/api core/v1/toleration.go.
"""

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.selectors import expression_holds

CORDON_TAINT = "node.kubernetes.io/unschedulable"
CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_STATE_PREFIXES = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
_STATE_KEYS = frozenset(
    {
        "ToBeDeletedByClusterAutoscaler",
        "karpenter.sh/disrupted",
        "karpenter.sh/unregistered",
    }
)
_NOT_SCHEDULED = frozenset({"NoSchedule", "NoExecute"})


def selector_matches(pod: Obj, node: Obj) -> bool:
    """Whether a node carries every label of the pod's `nodeSelector` (true where it has none)."""
    return has_all(node_selector(pod), fields.labels_of(node))


def has_all(wanted: dict[str, str], labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())


def node_selector(pod: Obj) -> dict[str, str]:
    return fields.string_map(pod, "spec", "nodeSelector")


def affinity_matches(pod: Obj, node: Obj) -> bool:
    """Whether a node satisfies the required node affinity (true where there is none)."""
    return satisfies(required_affinity(pod), fields.labels_of(node), fields.name_of(node))


def satisfies(required: Obj | None, labels: dict[str, str], name: str) -> bool:
    """Whether a node of these labels and this name satisfies a required affinity.

    Terms are alternatives; an empty term matches no node, and so does an empty list of terms.
    """
    if required is None:
        return True
    return any(_term_matches(term, labels, name) for term in fields.items(required, "nodeSelectorTerms"))


def required_affinity(pod: Obj) -> Obj | None:
    """`requiredDuringSchedulingIgnoredDuringExecution` of the node affinity, None where there is none."""
    path = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return fields.mapping(pod, *path) if isinstance(fields.at(pod, *path), dict) else None


def _term_matches(term: Obj, labels: dict[str, str], name: str) -> bool:
    expressions, names = fields.items(term, "matchExpressions"), fields.items(term, "matchFields")
    if not expressions and not names:
        return False
    own = {"metadata.name": name}
    return all(expression_holds(e, labels) for e in expressions) and all(expression_holds(f, own) for f in names)


def tolerates(toleration: Obj, taint: Obj) -> bool:
    """Whether one toleration covers one taint. An absent effect covers all effects, an absent key all keys."""
    effect, key = fields.text(toleration, "effect"), fields.text(toleration, "key")
    if effect and effect != fields.text(taint, "effect"):
        return False
    if key and key != fields.text(taint, "key"):
        return False
    operator = fields.text(toleration, "operator") or "Equal"
    if operator == "Exists":
        return True
    wanted, value = fields.text(toleration, "value"), fields.text(taint, "value")
    if operator == "Equal":
        return wanted == value
    return operator in {"Gt", "Lt"} and _compares(operator, value, wanted)


def _compares(operator: str, value: str, wanted: str) -> bool:
    try:
        left, right = int(value), int(wanted)
    except ValueError:
        return False
    return left > right if operator == "Gt" else left < right


def repelling_taints(node: Obj) -> list[Obj]:
    """The NoSchedule and NoExecute taints of a node, the cordon's own taint left out."""
    return [
        taint
        for taint in fields.items(node, "spec", "taints")
        if fields.text(taint, "effect") in _NOT_SCHEDULED and fields.text(taint, "key") != CORDON_TAINT
    ]


def tolerations(pod: Obj) -> list[Obj]:
    return fields.items(pod, "spec", "tolerations")


def refusing_taints(pod: Obj, node: Obj) -> list[Obj]:
    """The NoSchedule and NoExecute taints of a node that the pod does not tolerate, the cordon's own left out."""
    return untolerated(tolerations(pod), repelling_taints(node))


def untolerated(tolerations: list[Obj], taints: list[Obj]) -> list[Obj]:
    """The taints that no toleration covers."""
    return [taint for taint in taints if not any(tolerates(toleration, taint) for toleration in tolerations)]


def tells_state(taint: Obj) -> bool:
    """Whether a taint reports the state of its node (ill, starting, going) and is no wish about which pods come.

    Source: https://kubernetes.io/docs/reference/labels-annotations-taints/; agents of CNI and CSI drivers take their
    `…/agent-not-ready` away once they run; Cluster Autoscaler and Karpenter mark nodes that they remove.
    """
    key = fields.text(taint, "key")
    return key.startswith(_STATE_PREFIXES) or key in _STATE_KEYS or key.endswith("/agent-not-ready")


def cordoned(pod: Obj, node: Obj) -> bool:
    """Whether a node is cordoned, and the pod does not tolerate that (pods of DaemonSets do)."""
    return is_cordoned(node) and not ignores_cordons(pod)


def ignores_cordons(pod: Obj) -> bool:
    taint: Obj = {"key": CORDON_TAINT, "effect": "NoSchedule"}
    return any(tolerates(toleration, taint) for toleration in tolerations(pod))


def is_cordoned(node: Obj) -> bool:
    """`spec.unschedulable`, or the taint that stands for it."""
    return fields.flag(node, "spec", "unschedulable") or any(
        fields.text(taint, "key") == CORDON_TAINT for taint in fields.items(node, "spec", "taints")
    )


def is_control_plane(node: Obj) -> bool:
    """Whether a node belongs to the control plane, by its role label or taint."""
    keys = {fields.text(taint, "key") for taint in fields.items(node, "spec", "taints")} | set(fields.labels_of(node))
    return any(key in keys for key in CONTROL_PLANE)


def show_taint(taint: Obj) -> str:
    """A taint as kubectl writes it: `dedicated=gpu:NoSchedule`."""
    key, value = fields.text(taint, "key"), fields.text(taint, "value")
    return f"{key}={value}:{fields.text(taint, 'effect')}" if value else f"{key}:{fields.text(taint, 'effect')}"
