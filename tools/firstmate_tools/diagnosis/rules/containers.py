"""Containers that end when they should not: errors, kills at the memory limit, init containers that fail.

Which of these a container shows, if any, is decided in `trouble`; here it is said, with what the log tells.
"""

from collections.abc import Iterable
from dataclasses import replace

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import ended, lib, trouble
from firstmate_tools.diagnosis.ended import exit_words, so_far
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut, fact
from firstmate_tools.diagnosis.heard import KILLED, heard
from firstmate_tools.diagnosis.rule import BACKENDS, LogWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.loglines import telling
from firstmate_tools.reads import Read
from firstmate_tools.refs import ref_of

OBSERVED = (
    kinds.POD,
    kinds.REPLICA_SET,
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.SERVICE,
    kinds.EVENT,
)
LOGS = (Read(kinds.POD, ("get",), "log"),)


def last_words(facts: Facts) -> Iterable[Want]:
    """The log of the run that ended, of one pod for each workload and container."""
    for group in trouble.groups(facts, "exit", "init", "completes", "command"):
        one = trouble.worst(group)
        if one.end:
            yield LogWant(one.ref.namespace, one.ref.name, one.container.name, one.previous)


@rule(
    causes=("application-exits-on-error",),
    observes=OBSERVED,
    digs=LOGS,
    wants=last_words,
    explains=BACKENDS,
)
def application_exits(facts: Facts) -> Verdicts:
    """A process that ends with an error and is started again, or whose Job does not get over it.

    The first line of thought of https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/.
    """
    for group in trouble.groups(facts, "exit"):
        one = trouble.worst(group)
        code = fields.number(one.end, "exitCode")
        yield _ended(
            facts,
            group,
            cause="application-exits-on-error",
            summary=f"Container {one.container.name} of {one.workload} ends with {exit_words(code)}{so_far(group)}.",
            # Whoever sent SIGKILL or SIGTERM left no trace: the program's own doing is only the likeliest of several.
            sure=code not in KILLED,
        )
    yield from _got_over_it(facts)


def _got_over_it(facts: Facts) -> Verdicts:
    """Containers that events still call failing and that are ready."""
    ailing = {t.ref for t in trouble.troubled(facts)}
    for pod in lib.unsettled(facts):
        ref = ref_of(pod, kinds.POD)
        if ref in ailing or not podstate.ready(pod) or not facts.events(ref, "BackOff"):
            continue
        for container in podstate.containers(pod):
            if container.ready and container.restarts and heard(facts, ref, pod, container.name, "BackOff"):
                why = f"container {container.name} of {facts.workload(ref)} failed before and is ready now"
                yield RuledOut("application-exits-on-error", why)


@rule(causes=("init-container-failing",), observes=OBSERVED, digs=LOGS, wants=last_words, explains=BACKENDS)
def init_fails(facts: Facts) -> Verdicts:
    """An init container that ends with an error, so that no container after it starts.

    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#understanding-init-containers
    """
    for group in trouble.groups(facts, "init"):
        one = trouble.worst(group)
        code = fields.number(one.end, "exitCode")
        yield _ended(
            facts,
            group,
            cause="init-container-failing",
            summary=(
                f"Init container {one.container.name} of {one.workload} ends with {exit_words(code)}{so_far(group)}, "
                "so that the containers after it never start."
            ),
            sure=True,
        )


@rule(causes=("oom-killed-container-limit",), observes=OBSERVED, explains=BACKENDS)
def killed_at_limit(facts: Facts) -> Verdicts:
    """A container that the kernel kills at its own memory limit (reason OOMKilled; exit 137 alone proves nothing).

    https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/#exceed-a-container-s-memory-limit
    """
    for group in trouble.groups(facts, "oom"):
        one = trouble.worst(group)
        path, limit = trouble.memory_limit(one.pod, one.container)
        injected = "" if _in_template(facts, one) else " The limit is not in the template: something injects it."
        once = podstate.ready(one.pod) and one.container.restarts == 1
        yield Finding(
            cause="oom-killed-container-limit",
            object=one.workload,
            # Killed once and ready again: a weakness that may have been a single spike.
            severity="info" if once else ended.severity(facts, one),
            confidence="certain",
            summary=(
                f"Container {one.container.name} of {one.workload} is killed at its memory limit of "
                f"{limit}{so_far(group)}.{injected}"
            ),
            evidence=(ended.end_evidence(one), fact(one.ref, path, limit), *ended.backing_off(facts, one)),
            affects=trouble.affected(group),
            since=ended.since(facts, group),
            next=(
                ended.ask_logs(one, "what it did before it was killed"),
                lib.ask("pod_status", "limits and restarts", namespace=one.ref.namespace, name=one.ref.name),
            ),
        )


def _ended(facts: Facts, group: list[Trouble], *, cause: str, summary: str, sure: bool) -> Finding:
    one = trouble.worst(group)
    words = telling((trouble.log_of(facts, one) or "").splitlines())
    told = ended.finding(facts, group, cause=cause, summary=summary, confidence="certain" if sure else "possible")
    if not words:
        return told
    first, *rest = told.evidence
    return replace(told, evidence=(first, ended.log_line(one, "\n".join(words)), *rest))


def _in_template(facts: Facts, one: Trouble) -> bool:
    template = lib.named_template(facts, one.workload)
    wanted = podstate.containers(template)
    mine = [c for c in wanted if c.name == one.container.name]
    return not mine or bool(trouble.memory_limit(template, mine[0])[1])
