"""Containers that cannot start, or end as soon as they have: a wrong command, a user that is root, too little memory.

What a runtime says of a start that failed is read in `starting`; here it stands beside what the spec asks for.
"""

from collections.abc import Iterator

from firstmate_tools import fields, podstate
from firstmate_tools.diagnosis import ended, lib, starting, trouble
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.heard import heard, lately, said
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED, last_words
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.loglines import telling
from firstmate_tools.results import Confidence

MOST_SHOWN = 80


def _start_words(facts: Facts, one: Trouble) -> str:
    message = fields.text(one.end, "message") or fields.text(one.container.waiting, "message")
    return starting.words_of_start(facts, one.ref, one.pod, one.container, message)


def _said_at_start(facts: Facts, one: Trouble) -> Iterator[Evidence]:
    words = _start_words(facts, one)
    if words:
        state = "state.waiting" if not one.end else "lastState.terminated" if one.previous else "state.terminated"
        yield fact(one.ref, f"{ended.status_path(one)}.{state}.message", words)


@rule(causes=("container-command-not-found",), observes=OBSERVED, digs=LOGS, wants=last_words, explains=BACKENDS)
def command_not_found(facts: Facts) -> Verdicts:
    """A command that is not in the image or is not executable: the runtime says so, or a shell by exit 126 or 127.

    https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
    """
    for group in trouble.groups(facts, "command"):
        one = trouble.worst(group)
        code, words = fields.number(one.end, "exitCode"), telling((trouble.log_of(facts, one) or "").splitlines())
        never = not one.end or fields.text(one.end, "reason") in starting.NEVER_STARTED
        how = "its container never starts" if never else f"it ends with {ended.exit_words(code)}"
        told: list[Evidence] = list(_said_at_start(facts, one)) if never else []
        told += [ended.log_line(one, "\n".join(words))] if words and not never else []
        commands = [
            fact(one.ref, f"{ended.section(one)}.{key}", one.container.spec.get(key))
            for key in ("command", "args")
            if one.container.spec.get(key)
        ]
        yield ended.finding(
            facts,
            group,
            cause="container-command-not-found",
            confidence="certain" if never or _names_command(words) else "likely",
            summary=f"{_command(one)} of {ended.named(one)} cannot be run: {how}{ended.so_far(group)}.",
            evidence=(*told, *commands),
            next_=(ended.spec_step(one, "command and args, as they are"), *ended.follow_up(facts, one)),
        )


def _names_command(words: list[str]) -> bool:
    return any("not found" in line or "ermission denied" in line or "o such file" in line for line in words)


def _command(one: Trouble) -> str:
    asked = fields.strings(one.container.spec, "command")[:1] or fields.strings(one.container.spec, "args")[:1]
    return f"The command {asked[0][:MOST_SHOWN]!r}" if asked else "The command that the image brings"


@rule(causes=("container-process-completes",), observes=OBSERVED, digs=LOGS, wants=last_words, explains=BACKENDS)
def process_completes(facts: Facts) -> Verdicts:
    """A process that ends with code 0 in a pod that is to run on: it went to the background, or had nothing to do."""
    for group in trouble.groups(facts, "completes"):
        one = trouble.worst(group)
        lines = [line for line in (trouble.log_of(facts, one) or "").splitlines() if line.strip()]
        yield ended.finding(
            facts,
            group,
            cause="container-process-completes",
            confidence="certain",
            summary=(
                f"The process of {ended.named(one)} ends with exit code 0 as if all were done, and is started "
                f"again{ended.so_far(group)}: it does not stay in the foreground, or it is a task for a Job."
            ),
            evidence=(
                *([ended.log_line(one, "\n".join(lines[-2:]))] if lines else []),
                fact(one.ref, f"{ended.section(one)}.command", one.container.spec.get("command")),
                fact(one.ref, "spec.restartPolicy", fields.text(one.pod, "spec", "restartPolicy") or "Always"),
            ),
        )


@rule(causes=("post-start-hook-failing",), observes=OBSERVED, explains=BACKENDS)
def post_start_hook(facts: Facts) -> Verdicts:
    """The kubelet kills a container whose postStart hook fails.

    https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#hook-handler-execution
    """
    for group in trouble.groups(facts, "hook"):
        one = trouble.worst(group)
        hook = fields.mapping(one.container.spec, "lifecycle", "postStart")
        rows = heard(facts, one.ref, one.pod, one.container.name, "FailedPostStartHook")
        message = fields.text(one.container.waiting, "message") if not one.end else ""
        yield ended.finding(
            facts,
            group,
            cause="post-start-hook-failing",
            confidence="certain" if hook else "likely",
            summary=(
                f"The postStart hook of {ended.named(one)} fails, and the kubelet kills the container for "
                f"it{ended.so_far(group)}."
            ),
            evidence=(
                fact(one.ref, f"{ended.section(one)}.lifecycle.postStart", hook or None),
                *([fact(one.ref, f"{ended.status_path(one)}.state.waiting.message", message)] if message else []),
                *(said(row) for row in rows[:1]),
            ),
        )


@rule(causes=("run-as-non-root-violation",), observes=OBSERVED, explains=BACKENDS)
def runs_as_root(facts: Facts) -> Verdicts:
    """A container that may not run as root and would, or of which nobody can tell (verifyRunAsNonRoot, v1.36)."""
    for group in trouble.groups(facts, "user"):
        one = trouble.worst(group)
        path, holder = _demand(one)
        user, words = _user(one), _start_words(facts, one)
        if user is None:
            named = "names its user by a word" if "non-numeric" in words else "runs as root"
            why = f"its image {named}, and no runAsUser is set"
        else:
            why = f"runAsUser is {user}" + (", which is root" if user == 0 else "")
        sure: Confidence = "certain" if holder and not user else "likely"
        yield ended.finding(
            facts,
            group,
            cause="run-as-non-root-violation",
            confidence=sure,
            summary=f"{ended.named(one).capitalize()} must not run as root ({path}), but {why}: it is never created.",
            evidence=(
                *_said_at_start(facts, one),
                fact(one.ref, path, True if holder else None),
                fact(one.ref, f"{ended.section(one)}.securityContext.runAsUser", user),
            ),
            next_=(ended.spec_step(one, "its security context"),),
        )


def _demand(one: Trouble) -> tuple[str, bool]:
    """Where the spec says that root is forbidden; the container's own word beats the pod's."""
    own = fields.at(one.container.spec, "securityContext", "runAsNonRoot")
    if isinstance(own, bool):
        return f"{ended.section(one)}.securityContext.runAsNonRoot", own
    return "spec.securityContext.runAsNonRoot", fields.flag(one.pod, "spec", "securityContext", "runAsNonRoot")


def _user(one: Trouble) -> int | None:
    for holder in (one.container.spec, fields.mapping(one.pod, "spec")):
        user = fields.at(holder, "securityContext", "runAsUser")
        if isinstance(user, int) and not isinstance(user, bool):
            return user
    return None


@rule(causes=("memory-limit-too-low-to-start",), observes=OBSERVED, explains=BACKENDS)
def too_little_memory_to_start(facts: Facts) -> Verdicts:
    """A memory limit that leaves no room even for the runtime's first process: nothing of the program has run."""
    for group in trouble.groups(facts, "lowmem"):
        one = trouble.worst(group)
        limits = [(c.name, *trouble.memory_limit(one.pod, c)) for c in podstate.containers(one.pod)]
        limits = [entry for entry in limits if entry[2]]
        mine = [entry for entry in limits if entry[0] == one.container.name] if one.end or _begun(one) else limits
        shown = lib.some(f"{limit} of {name}" for name, _, limit in mine)
        sandbox = (
            [row for row in heard(facts, one.ref, one.pod, "", "FailedCreatePodSandBox") if _about_memory(facts, row)]
            if not (one.end or _begun(one))
            else []
        )
        yield ended.finding(
            facts,
            group,
            cause="memory-limit-too-low-to-start",
            confidence="certain" if mine else "likely",
            summary=(
                f"The memory limit ({shown or 'not in the spec'}) of {one.workload} is too low for its "
                f"{'pods' if sandbox else 'container'} even to start{ended.so_far(group)}."
            ),
            evidence=(
                *(said(row) for row in sandbox[:1]),
                *(_said_at_start(facts, one) if not sandbox else ()),
                *(fact(one.ref, path, limit) for _, path, limit in mine[:2]),
            ),
            next_=(ended.spec_step(one, "its limits, as they are"),),
        )


def _about_memory(facts: Facts, row: EventRow) -> bool:
    return lately(facts, row) and starting.low_memory(row.message)


def _begun(one: Trouble) -> bool:
    return one.container.waiting_reason not in starting.CALM_WAITING
