"""Probes that keep a working container from serving: they ask the wrong thing, or they ask in too much of a hurry.

Which of these a probe shows is decided in one place here, so that a container has one of them at most: a command that
runs out of time, a mistake that is proved (`probemistakes`), a budget that is too short (`hasty`).
"""

from collections.abc import Iterable
from typing import Literal

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import hasty, lib, probemistakes, probing, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut, fact
from firstmate_tools.diagnosis.heard import Check, heard, said
from firstmate_tools.diagnosis.probemistakes import Mistake, failures, refused
from firstmate_tools.diagnosis.rule import BACKENDS, LogWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

OBSERVED = (kinds.POD, kinds.REPLICA_SET, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.EVENT)
LOGS = (Read(kinds.POD, ("get",), "log"),)
LIVENESS, READINESS = "liveness-probe-misconfigured", "readiness-probe-misconfigured"
HASTY, STARTUP, SLOW = "liveness-probe-too-aggressive", "startup-probe-never-passes", "exec-probe-timeout"
_EFFECT: dict[Check, str] = {
    "liveness": "the container is killed and restarted",
    "startup": "the container is killed and restarted",
    "readiness": "the pod never gets ready",
}


def telling_logs(facts: Facts) -> Iterable[Want]:
    """The log of a container whose probe is refused, or gives up on it, where the spec alone proves nothing."""
    for group in trouble.groups(facts, "liveness", "readiness", "startup"):
        one = trouble.worst(group)
        check = _check(one)
        found = probemistakes.mistake(facts, one, check)
        open_ = found is None or found.confidence == "possible"
        if open_ and (check != "readiness" or refused(failures(facts, one, check))):
            yield LogWant(one.ref.namespace, one.ref.name, one.container.name, one.previous)


@rule(
    causes=(LIVENESS, READINESS, HASTY, STARTUP, SLOW),
    observes=OBSERVED,
    digs=LOGS,
    wants=telling_logs,
    explains=BACKENDS,
)
def failing_probes(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/"""
    for group in trouble.groups(facts, "liveness", "readiness", "startup"):
        one = trouble.worst(group)
        check = _check(one)
        verdict = _verdict(facts, one, check)
        wrong = READINESS if check == "readiness" else LIVENESS
        if verdict is not None:
            yield _finding(facts, group, check, *verdict)
        elif any(probing.answer(row.message) == "unwell" for row in failures(facts, one, check)):
            yield RuledOut(wrong, f"container {one.container.name} of {one.workload} answers its {check} probe itself")


def _check(one: Trouble) -> Check:
    return "liveness" if one.kind == "liveness" else "startup" if one.kind == "startup" else "readiness"


Said = Literal["cannot pass", "gives up too soon", "runs out of time"]


def _verdict(facts: Facts, one: Trouble, check: Check) -> tuple[str, Said, Mistake] | None:
    """The cause, what the probe does, and why."""
    mistake = probemistakes.mistake(facts, one, check)
    proved = mistake is not None and mistake.confidence == "certain"
    if check == "startup":
        budget = f"it waits {hasty.timing(one, check)} s for the start"
        return STARTUP, "cannot pass" if proved else "gives up too soon", mistake or Mistake("certain", budget)
    if not proved and hasty.times_out(facts, one, check):
        seconds = hasty.timeout(one, check)
        path = f"{_path(one, check)}.timeoutSeconds"
        asked = fields.at(one.container.spec, f"{check}Probe", "timeoutSeconds")
        why = f"it may take {seconds} s, and its answer takes longer"
        return SLOW, "runs out of time", Mistake("certain", why, (fact(one.ref, path, asked),))
    if mistake is not None:
        return READINESS if check == "readiness" else LIVENESS, "cannot pass", mistake
    soon = hasty.too_hasty(facts, one) if check == "liveness" else None
    if soon is None:
        return None
    why = f"{soon.why} ({hasty.timing(one, check)}), and there is no startup probe"
    if one.container.spec.get("startupProbe"):
        why = soon.why
    return HASTY, "gives up too soon", Mistake(soon.confidence, why, soon.evidence)


def _path(one: Trouble, check: Check) -> str:
    section = "containers" if one.container.role == "app" else "initContainers"
    return f"spec.{section}[{one.container.name}].{check}Probe"


def _finding(facts: Facts, group: list[Trouble], check: Check, cause: str, does: Said, mistake: Mistake) -> Finding:
    one = trouble.worst(group)
    rows = failures(facts, one, check)
    kills = check != "readiness"
    restarts = f" ({lib.count(one.container.restarts, 'restart')})" if kills else ""
    killing = [
        row
        for row in heard(facts, one.ref, one.pod, one.container.name, "Killing")
        if f"failed {check} " in row.message
    ]
    return Finding(
        cause=cause,
        object=one.workload,
        severity=lib.severity(facts, one.workload),
        confidence=mistake.confidence,
        summary=(
            f"The {check} probe of container {one.container.name} of {one.workload} {does}: {mistake.why}; "
            f"{_EFFECT[check]}{restarts}."
        ),
        evidence=(
            fact(one.ref, _path(one, check), one.container.spec.get(f"{check}Probe")),
            *mistake.evidence,
            *(said(row) for row in (*rows[:1], *killing[:1])),
        ),
        affects=trouble.affected(group),
        since=lib.earliest(
            [
                *(row.first for row in rows),
                *(podstate.not_ready_since(t.pod) for t in group if not podstate.ready(t.pod)),
            ]
        ),
        next=(
            lib.ask("workload_status", "what the last revision changed", **_scope(one.workload)),
            lib.ask_logs(one.ref, one.container.name, "the port on which it listens", previous=one.previous),
        ),
    )


def _scope(ref: Ref) -> dict[str, str]:
    return {"scope": f"{ref.kind.lower()}/{ref.name}", "namespace": ref.namespace}
