"""Rollouts of which the new revision does not become ready, and such that may take everything down at once.

The first is a victim: whatever keeps the pods of the new revision from being ready explains it, and it stands alone
only where nothing is known that does; then what the revision changed is the best that is known. How far a rollout may
go follows pkg/controller/deployment/util/deployment_util.go (ResolveFenceposts), v1.36.
"""

from datetime import datetime

from firstmate_tools import fields, kinds, podstate, rollout
from firstmate_tools.diagnosis import lib, revisions
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact, quote
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

OBSERVED = (kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.POD)
MOST_CHANGES = 3


@rule(causes=("rollout-new-revision-failing",), observes=OBSERVED, explains=BACKENDS)
def new_revision(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment"""
    for deployment in facts.all(kinds.DEPLOYMENT):
        if rollout.standing(kinds.DEPLOYMENT, deployment).state != "stuck":
            continue
        ref = ref_of(deployment, kinds.DEPLOYMENT)
        pair = revisions.newest_two(facts, ref)
        if pair is None:
            continue
        (new_ref, new), older = pair
        ready, wanted = fields.number(new, "status", "readyReplicas"), fields.number(new, "spec", "replicas")
        serving = fields.number(older[1], "status", "readyReplicas") if older else 0
        progressing = fields.condition(deployment, "Progressing")
        changed = revisions.changed(facts, ref)
        yield Finding(
            cause="rollout-new-revision-failing",
            object=ref,
            severity="warning" if lib.serving(facts, ref) else "critical",
            confidence="certain",
            summary=(
                f"The rollout of {ref} is stuck: {ready} of {lib.count(wanted, 'pod')} of the new revision are ready; "
                f"{_serving(serving)}.{_changed([change.field for change in changed])}"
            ),
            evidence=(
                quote(new_ref, new, "status", "readyReplicas"),
                fact(
                    ref,
                    "status.conditions[Progressing]",
                    fields.text(progressing, "message") or fields.text(progressing, "reason"),
                    fields.time_at(progressing, "lastTransitionTime"),
                ),
                *(
                    fact(ref, f"spec.template.{change.field}", f"was {change.before}, is {change.after}", _made(new))
                    for change in changed[:MOST_CHANGES]
                ),
            ),
            affects=(ref, new_ref),
            since=_made(new),
            next=(
                lib.ask("workload_status", "what the new revision changed", scope=str(ref), namespace=ref.namespace),
            ),
        )


def _serving(pods: int) -> str:
    return f"{lib.count(pods, 'pod')} of the one before still serve" if pods else "none of the one before is left"


def _changed(names: list[str]) -> str:
    return f" It changed {lib.some(names)}." if names else ""


def _made(obj: Obj) -> datetime | None:
    return fields.time_at(obj, "metadata", "creationTimestamp")


@rule(causes=("rollout-max-unavailable-too-high",), observes=OBSERVED)
def everything_at_once(facts: Facts) -> Verdicts:
    """A rolling update that may replace all pods before one of the new ones has shown that it works, and did."""
    for deployment in facts.all(kinds.DEPLOYMENT):
        ref = ref_of(deployment, kinds.DEPLOYMENT)
        replicas = fields.number(deployment, "spec", "replicas", default=1)
        spare = may_be_unavailable(deployment, replicas)
        if replicas < 2 or spare < replicas or lib.serving(facts, ref):
            continue
        pair = revisions.newest_two(facts, ref)
        if pair is None or pair[1] is None or not _failing(facts, pair[0][0]):
            continue
        strategy = fields.mapping(deployment, "spec", "strategy", "rollingUpdate")
        yield Finding(
            cause="rollout-max-unavailable-too-high",
            object=ref,
            severity="warning",
            confidence="certain",
            summary=(
                f"{ref} may replace all of its {replicas} pods at once (maxUnavailable "
                f"{strategy.get('maxUnavailable')}): its new revision fails, and nothing of the one before is left."
            ),
            evidence=(
                fact(ref, "spec.strategy.rollingUpdate.maxUnavailable", strategy.get("maxUnavailable")),
                quote(ref, deployment, "status", "availableReplicas"),
                quote(pair[1][0], pair[1][1], "spec", "replicas"),
            ),
            since=_made(pair[0][1]),
            next=(lib.ask("workload_status", "how the rollout stands", scope=str(ref), namespace=ref.namespace),),
        )


def may_be_unavailable(deployment: Obj, replicas: int) -> int:
    """How many pods a rolling update may take away before new ones are ready; 0 for other strategies.

    A percentage is rounded down; the default is 25 %.
    """
    strategy = fields.mapping(deployment, "spec", "strategy")
    if fields.text(strategy, "type") not in {"", "RollingUpdate"}:
        return 0
    given = fields.mapping(strategy, "rollingUpdate").get("maxUnavailable", "25%")
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    percent = given.removesuffix("%") if isinstance(given, str) else ""
    return int(percent) * replicas // 100 if percent.isdecimal() and len(percent) < 4 else 0


def _failing(facts: Facts, replica_set: Ref) -> bool:
    """Whether pods of a revision have had the time to become ready and have not."""
    pods = [facts.get(ref) or {} for ref in facts.graph.after(replica_set, "owns") if ref.kind == "Pod"]
    return any(not podstate.healthy(pod, facts.now) for pod in pods) and not any(podstate.ready(pod) for pod in pods)
