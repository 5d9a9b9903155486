"""Whether a probe is in too much of a hurry: it gives up before the program has started, or before it can answer. Pure.

A liveness probe that kills at the first chance that it has, run after run, never saw the container up: the container
needs longer to start than `initialDelaySeconds + periodSeconds × failureThreshold`. One that times out asks faster
than the program, or its node, can answer.
"""

import re
from datetime import timedelta

from firstmate_tools import fields
from firstmate_tools.diagnosis import probing, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import fact
from firstmate_tools.diagnosis.heard import Check, heard
from firstmate_tools.diagnosis.probemistakes import Mistake, failures
from firstmate_tools.diagnosis.trouble import Trouble

GRACE = 30
"""terminationGracePeriodSeconds where nobody sets it."""
SLACK = timedelta(seconds=10)
_TOOK = re.compile(
    r"(?i)\b(?:started|ready|initiali[sz]ed|startup|boot(?:ed|strap)?)\b[^\n]{0,80}?\b(?:in|took|after)\W{1,3}"
    r"(\d{1,5}(?:\.\d+)?)\s?(?:s|sec|secs|seconds)\b"
)


def timing(one: Trouble, check: Check) -> str:
    """`initialDelaySeconds 5 + 3 × periodSeconds 10`, the budget as the spec has it."""
    spec = fields.mapping(one.container.spec, f"{check}Probe")
    delay = fields.number(spec, "initialDelaySeconds")
    threshold, period = (
        fields.number(spec, "failureThreshold", default=3),
        fields.number(spec, "periodSeconds", default=10),
    )
    return f"initialDelaySeconds {delay} + {threshold} × periodSeconds {period}"


def timeout(one: Trouble, check: Check) -> int:
    """The seconds that one answer may take."""
    return fields.number(fields.mapping(one.container.spec, f"{check}Probe"), "timeoutSeconds", default=1)


def times_out(facts: Facts, one: Trouble, check: Check) -> bool:
    """Whether the newest failure of a probe's command, or of a gRPC health check, is that its time was up."""
    probe, rows = probing.read(one.container, check), failures(facts, one, check)
    if probe is None or not rows or probe.method not in {"exec", "grpc"}:
        return False
    message = rows[0].message
    waited = "failed to connect service" in message and "timeout" in message
    return waited or (probe.method == "exec" and probing.answer(message) == "slow")


def too_hasty(facts: Facts, one: Trouble) -> Mistake | None:
    """Why a liveness probe that asks the right thing kills all the same; None where that does not show."""
    probe, rows = probing.read(one.container, "liveness"), failures(facts, one, "liveness")
    answers = {probing.answer(row.message) for row in rows}
    if probe is None or not answers <= {"refused", "slow", "other"}:
        return None
    took = _took(facts, one)
    budget = probing.patience(one.container, "liveness")
    if took is not None and took > budget:
        seconds = int(took.total_seconds())
        why = f"the program takes {seconds} s to start, and is killed after {_seconds(budget)} s"
        return Mistake("certain", why, (fact(one.ref, f"log[{one.container.name}]", f"started in {seconds} s"),))
    if "slow" in answers:
        why = f"no answer comes within {timeout(one, 'liveness')} s (timeoutSeconds)"
        return Mistake("likely", why)
    if one.container.spec.get("startupProbe") or not _port_is_plausible(one, probe):
        return None
    ran = _ran(one)
    if ran is None:
        return Mistake("possible", "it kills before the program answers") if one.container.restarts > 1 else None
    spoken = bool(heard(facts, one.ref, one.pod, one.container.name, "Killing"))
    if _first_chance(one, budget, ran, spoken=spoken):
        why = f"it kills at its first chance, {int(ran.total_seconds())} s after the start"
        return Mistake("likely", why)
    return None


def _port_is_plausible(one: Trouble, probe: probing.Probe) -> bool:
    """Whether the pod declares the port that is asked: otherwise it may as well be the wrong one."""
    number = probing.number(one.container, probe)
    return number is None or number in probing.declared_anywhere(one.pod)


def _seconds(budget: timedelta) -> int:
    return int(budget.total_seconds())


def _ran(one: Trouble) -> timedelta | None:
    began, finished = fields.time_at(one.end, "startedAt"), fields.time_at(one.end, "finishedAt")
    return finished - began if began and finished else None


def _first_chance(one: Trouble, budget: timedelta, ran: timedelta, *, spoken: bool) -> bool:
    """Whether a run ended when the probe could first end it: with its last period, and the grace after the kill.

    Args:
        spoken: whether the kubelet says that it killed, so that nothing else can have ended the run earlier.
    """
    spec = fields.mapping(one.container.spec, "livenessProbe")
    grace = fields.number(spec, "terminationGracePeriodSeconds") or fields.number(
        one.pod, "spec", "terminationGracePeriodSeconds", default=GRACE
    )
    spare = timedelta(seconds=min(max(fields.number(spec, "periodSeconds", default=10) + grace, 0), 10**6))
    return (spoken or ran >= budget - SLACK) and ran <= budget + spare + SLACK


def _took(facts: Facts, one: Trouble) -> timedelta | None:
    """How long the program says that its start took, the last time that it says so."""
    found = _TOOK.findall((trouble.log_of(facts, one) or "")[-20_000:])
    return timedelta(seconds=float(found[-1])) if found else None
