"""Who should remove a finalizer, and whether it is there. Pure; called by the rules about what cannot go.

A finalizer names no program. The control plane's own are known by heart, and so are some products whose programs bear
another name; for every other one the words of its domain are looked for among the workloads of the cluster.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.rule import ListWant
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

RUNNERS = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET)
State = Literal["missing", "scaled to zero", "not ready", "runs", "control plane", "unknown"]
AT_WORK: dict[State, timedelta] = {
    "missing": timedelta(seconds=2),
    "scaled to zero": timedelta(seconds=2),
    "not ready": timedelta(seconds=2),
    "runs": timedelta(minutes=10),
    "control plane": timedelta(minutes=10),
    "unknown": timedelta(minutes=10),
}
"""How long an object may wait for a finalizer before that is a fault, by the state of whoever should remove it."""
_CONTROL_PLANE = re.compile(
    r"""^(?:foregroundDeletion|orphan|kubernetes)$
    |^kubernetes\.io/(?:pvc|pv)-protection$ |^batch\.kubernetes\.io/ |^service\.kubernetes\.io/
    |^customresourcecleanup\.apiextensions\.k8s\.io$ |^resource\.kubernetes\.io/ |^apiregistration
    |^networking\.k8s\.aws/ |^vpcresources\.k8s\.aws/ |^eks\.amazonaws\.com/""",
    re.VERBOSE,
)
"""Removed by kube-controller-manager, the cloud's controller manager, or what EKS runs outside of the cluster."""
_CALLED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"(?:elbv2|service|ingress)\.k8s\.aws", ("aws-load-balancer-controller", "aws-alb-ingress-controller")),
    (r"argoproj\.io", ("argocd-application-controller", "argo-cd")),
    (r"fluxcd\.io", ("kustomize-controller", "helm-controller", "source-controller")),
    (r"ebs-csi-aws-com|ebs\.csi\.aws\.com", ("ebs-csi-controller",)),
    (r"efs-csi|efs\.csi\.aws\.com", ("efs-csi-controller",)),
    (r"snapshot\.storage\.kubernetes\.io", ("snapshot-controller", "csi-snapshotter")),
    (r"keda\.sh", ("keda-operator",)),
    (r"external-secrets", ("external-secrets",)),
)
"""Products whose programs are not called as their finalizers are."""
_WORD = re.compile(r"[a-z0-9]+")
_NOT_TELLING = frozenset(
    _WORD.findall(
        """finalizer finalizers finalize finalizing cleanup protection protect delete deletion before hook block wait
        resources resource services service controller operator manager external attacher kubernetes example internal
        local cluster custom system platform object test prod amazonaws apps core storage company kopf zalando"""
    )
)
_CONTROLLERS = frozenset(
    _WORD.findall(
        """controller controllers operator operators manager reconciler janitor cleaner provisioner syncer driver
        provider karpenter crossplane"""
    )
)
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class Owner:
    """Who should remove a finalizer.

    Attributes:
        workload: the program in the cluster, None where none was found.
        words: how it stands, for a summary.
    """

    finalizer: str
    state: State
    workload: Ref | None
    words: str


def wanted() -> Iterator[ListWant]:
    """What has to be read to find owners: the workloads of all namespaces."""
    return (ListWant(kind) for kind in RUNNERS)


def owner(facts: Facts, finalizer: str) -> Owner:
    """Who should remove a finalizer, as it stands now."""
    if _CONTROL_PLANE.search(finalizer):
        return Owner(finalizer, "control plane", None, "the control plane should remove it")
    if not any(facts.knows(kind) for kind in RUNNERS):
        return Owner(finalizer, "unknown", None, "workloads of all namespaces were not read")
    sets = _words(finalizer)
    if not any(sets):
        return Owner(finalizer, "unknown", None, "its name does not tell who should remove it")
    for words, program in zip(sets, (False, True), strict=True):
        found = list(_alike(facts, words, program=program))
        if found:
            most = max(score for score, _, _ in found)
            best: list[tuple[State, Ref]] = [(state, ref) for score, state, ref in found if score == most]
            state, ref = min(best, key=lambda entry: (_ORDER.index(entry[0]), entry[1]))
            return Owner(finalizer, state, ref, f"{ref} in namespace {ref.namespace} {_SAID[state]}")
    return Owner(finalizer, "missing", None, "no workload in the cluster looks like its controller")


def _alike(facts: Facts, words: tuple[str, ...], *, program: bool) -> Iterator[tuple[int, State, Ref]]:
    """The workloads whose names, labels or images have some of these words, with how many.

    Args:
        program: only those that call themselves a controller. This is asked anyway where a single word is all that
            there is in common: an application is often called like the objects that it uses.
    """
    for kind in RUNNERS:
        for obj in facts.everywhere(kind) if words else ():
            ref, pieces = ref_of(obj, kind), _pieces(obj)
            score = sum(any(_same(word, piece) for piece in pieces) for word in words)
            controls = any(piece in _CONTROLLERS for piece in pieces) or any("-" in word for word in words)
            if score and (controls or (not program and score > 1)):
                yield score, _state(obj, ref), ref


def _pieces(workload: Obj) -> set[str]:
    containers = fields.items(workload, "spec", "template", "spec", "containers")
    images = [fields.text(c, "image").rpartition("/")[2].partition(":")[0] for c in containers]
    whole = [fields.name_of(workload), *fields.labels_of(workload).values(), *images]
    return {piece for text in whole for piece in (text.lower(), *_WORD.findall(text.lower()))}


def _same(word: str, piece: str) -> bool:
    if "-" in word:
        return word in piece
    stem = word.rstrip("s")
    return piece.rstrip("s") == stem or (len(stem) > _SHORTEST and piece.startswith(stem))


_ORDER: tuple[State, ...] = ("runs", "not ready", "scaled to zero")
_SAID: dict[State, str] = {
    "scaled to zero": "should remove it, and is scaled to zero",
    "not ready": "should remove it, and has no ready pod",
    "runs": "should remove it, and runs",
}


def _words(finalizer: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to look for in names: what is the finalizer's own, and what is its maker's."""
    low = finalizer.lower()
    for pattern, names in _CALLED:
        if re.search(pattern, low):
            return names, ()
    if re.search(r"(?:^|[./])([a-z0-9-]+)\.services\.k8s\.aws", low):  # ACK: finalizers.s3.services.k8s.aws/Bucket
        return (f"ack-{low.split('.services.k8s.aws')[0].rpartition('.')[2]}",), ()
    domain, _, rest = low.partition("/")
    labels = domain.split(".")
    # The last label is a top-level domain, and the one before it an organisation: only where nothing else tells.
    near, maker = (labels[:-2], labels[-2:-1]) if len(labels) > 1 else (labels, [])
    return _telling([*near, *rest.split(".")]), _telling(maker)


def _telling(labels: list[str]) -> tuple[str, ...]:
    words = [word for label in labels for word in _WORD.findall(label)]
    return tuple(dict.fromkeys(w for w in words if len(w) >= _SHORTEST and w not in _NOT_TELLING))


def _state(workload: Obj, ref: Ref) -> State:
    status = fields.mapping(workload, "status")
    if ref.kind != "DaemonSet" and not fields.number(workload, "spec", "replicas", default=1):
        return "scaled to zero"
    ready = fields.number(status, "numberReady" if ref.kind == "DaemonSet" else "readyReplicas")
    return "runs" if ready else "not ready"
