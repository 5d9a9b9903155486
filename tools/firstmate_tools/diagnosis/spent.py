"""Which failed pods still matter: those of Jobs that have not got over the failure, and pods that nobody owns. Pure."""

from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, controller_of

_SETTLED = ("Complete", "SuccessCriteriaMet")
"""Conditions of a Job that has succeeded (https://kubernetes.io/docs/concepts/workloads/controllers/job/)."""


def counts(facts: Facts, ref: Ref, pod: Obj) -> bool:
    """Whether a finished pod is still a problem of its program.

    Not where it succeeded, was ended from outside (evicted, preempted, node shut down, past its deadline), where a
    controller has replaced it, or where its Job succeeded, is about to, or ran well the next time.
    """
    if fields.text(pod, "status", "phase") != "Failed" or fields.text(pod, "status", "reason"):
        return False
    if fields.condition(pod, "DisruptionTarget").get("status") == "True":
        return False
    owner = controller_of(pod)
    if owner is None:
        return True
    job = facts.get(owner) if owner.kind == "Job" else None
    return job is not None and not overcome(facts, owner, job)


def overcome(facts: Facts, ref: Ref, job: Obj) -> bool:
    """Whether a Job has got over the failures of its pods."""
    if any(fields.condition(job, kind).get("status") == "True" for kind in _SETTLED):
        return True
    cron = controller_of(job)
    if cron is not None and cron.kind == "CronJob" and _succeeded_since(facts, cron, job):
        return True
    return fields.condition(job, "Failed").get("status") != "True" and _retry_goes_well(facts, ref)


def _succeeded_since(facts: Facts, cron: Ref, job: Obj) -> bool:
    created = fields.time_at(job, "metadata", "creationTimestamp")
    for other in facts.all(kinds.JOB, cron.namespace):
        later = fields.time_at(other, "metadata", "creationTimestamp")
        done = any(fields.condition(other, kind).get("status") == "True" for kind in _SETTLED)
        if done and controller_of(other) == cron and created and later and later > created:
            return True
    return False


def _retry_goes_well(facts: Facts, job: Ref) -> bool:
    """Whether a pod of the Job runs, and has run longer than those that failed."""
    pods = [facts.get(ref) or {} for ref in facts.graph.after(job, "owns") if ref.kind == "Pod"]
    failed = [_lasted(pod, None) for pod in pods if fields.text(pod, "status", "phase") == "Failed"]
    alive = [_lasted(pod, facts.now) for pod in pods if podstate.ready(pod) and not podstate.finished(pod)]
    return bool(alive) and max(alive) > max(failed, default=timedelta()) + timedelta(seconds=5)


def _lasted(pod: Obj, until: datetime | None) -> timedelta:
    longest = timedelta()
    for container in podstate.containers(pod):
        began = fields.time_at(container.status, "state", "running" if until else "terminated", "startedAt")
        ended = until or fields.time_at(container.terminated, "finishedAt")
        if began and ended:
            longest = max(longest, ended - began)
    return longest
