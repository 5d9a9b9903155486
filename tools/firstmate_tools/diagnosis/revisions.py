"""Which revision of a Deployment a pod belongs to, and what the revision before looked like. Pure."""

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

REVISION = "deployment.kubernetes.io/revision"
"""Set on ReplicaSets by the Deployment controller (k8s.io/kubectl pkg/util/deployment, v0.36)."""


def revision(replica_set: Obj) -> int:
    """The number of a ReplicaSet's revision, 0 where it has none."""
    number = fields.text(replica_set, "metadata", "annotations", REVISION)
    return int(number) if number.isascii() and number.isdigit() else 0


def owning(facts: Facts, pod: Ref) -> Ref | None:
    """The ReplicaSet above a pod, None where something else owns it."""
    owner = next(facts.graph.owners(pod), None)
    return owner if owner is not None and owner.kind == "ReplicaSet" else None


def before(facts: Facts, pod: Ref) -> tuple[Ref, Obj] | None:
    """The ReplicaSet of an older revision to compare a pod's with: the newest that has ready pods, else the newest.

    Returns:
        Its address and itself; None for the first revision and for what no Deployment owns.
    """
    own = owning(facts, pod)
    current = facts.get(own) if own else None
    deployment = next(facts.graph.owners(own), None) if own else None
    if current is None or deployment is None:
        return None
    siblings = [(ref, facts.get(ref) or {}) for ref in facts.graph.after(deployment, "owns")]
    older = [(ref, obj) for ref, obj in siblings if 0 < revision(obj) < revision(current)]
    if not older:
        return None
    return max(older, key=lambda s: (serves(s[1]), revision(s[1])))


def serves(replica_set: Obj) -> bool:
    """Whether pods of this revision are ready now, which proves its template."""
    return fields.number(replica_set, "status", "readyReplicas") > 0
