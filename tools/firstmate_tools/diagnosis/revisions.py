"""Which revision of a Deployment a pod belongs to, and what the revision before looked like. Pure."""

from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref
from firstmate_tools.template_diff import Change, changes

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


Revision = tuple[Ref, Obj]


@dataclass(frozen=True, slots=True)
class Revised:
    """What a revision that fails changed against the last that served, and when it was made."""

    changes: list[Change]
    at: datetime | None


def newest_two(facts: Facts, deployment: Ref) -> tuple[Revision, Revision | None] | None:
    """The newest revision of a Deployment, and the one to compare it with: the newest older one that serves, else the
    newest older one, None where it is the first. None where no revision was observed."""
    every = [(ref, obj) for ref in facts.graph.after(deployment, "owns") if (obj := facts.get(ref)) is not None]
    numbered = [(ref, obj) for ref, obj in every if revision(obj)]
    if not numbered:
        return None
    newest = max(numbered, key=lambda s: (revision(s[1]), s[0]))
    older = [one for one in numbered if revision(one[1]) < revision(newest[1])]
    return newest, max(older, key=lambda s: (serves(s[1]), revision(s[1]), s[0])) if older else None


def changed(facts: Facts, deployment: Ref) -> list[Change]:
    """What the newest revision of a Deployment changed against the one before; [] where nothing is known of that."""
    pair = newest_two(facts, deployment)
    if pair is None or pair[1] is None:
        return []
    return changes(fields.mapping(pair[1][1], "spec", "template"), fields.mapping(pair[0][1], "spec", "template"))


def revised(facts: Facts, workload: Ref) -> Revised | None:
    """What may be why a Deployment fails: its newest revision is not all ready, and an older one was."""
    pair = newest_two(facts, workload) if workload.kind == "Deployment" else None
    if pair is None or pair[1] is None:
        return None
    new = pair[0][1]
    if fields.number(new, "status", "readyReplicas") >= fields.number(new, "spec", "replicas", default=1):
        return None
    found = changed(facts, workload)
    return Revised(found, fields.time_at(new, "metadata", "creationTimestamp")) if found else None
