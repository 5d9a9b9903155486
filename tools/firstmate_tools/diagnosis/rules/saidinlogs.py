"""Causes that a container's own last lines name: a port in use, a volume's rights, shared memory, open files.

Lines decide only together with the spec: the ports that the pod's containers declare, the mounts and the user, what
stands at /dev/shm. Which container shows which is decided in `trouble`, from `logsigns`.
"""

from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import ended, lib, logged, logsigns, probing, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.logsigns import Told
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, Want, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.fields import Obj
from firstmate_tools.refs import ref_of
from firstmate_tools.results import Confidence


def current_logs(facts: Facts) -> Iterable[Want]:
    """What containers that run and are not ready say, and those that somebody asks about."""
    return logged.wants(facts)


def _told(facts: Facts, one: Trouble) -> Told | None:
    lines = (trouble.log_of(facts, one) or fields.text(one.end, "message")).splitlines()
    if one.end:
        return logsigns.told(lines, one.container)
    return logsigns.repeated(lines, one.container, trouble.RUNS_ON)


def _shown(facts: Facts, group: list[Trouble]) -> tuple[Trouble, Told | None]:
    """The container whose log was read, and its line."""
    for one in sorted(group, key=lambda t: (-t.container.restarts, t.ref)):
        told = _told(facts, one)
        if told is not None and told.sign == one.kind:
            return one, told
    return trouble.worst(group), None


def _line(one: Trouble, told: Told | None) -> tuple[Evidence, ...]:
    return (ended.log_line(one, told.line),) if told else ()


@rule(causes=("container-port-conflict",), observes=OBSERVED, digs=LOGS, wants=current_logs, explains=BACKENDS)
def port_conflict(facts: Facts) -> Verdicts:
    """Containers of a pod share one network, and pods on the host's network share the node's.

    https://kubernetes.io/docs/concepts/workloads/pods/#pod-networking
    """
    for group in trouble.groups(facts, "port"):
        one, told = _shown(facts, group)
        port = logsigns.port_in(told.line) if told else None
        number = f"port {port}" if port else "a port"
        rival = _rival(facts, one, port)
        host = fields.flag(one.pod, "spec", "hostNetwork")
        if rival:
            why, sure = f"{rival[0]} has it", "certain"
        elif host:
            why, sure = f"the pod is on the network of node {fields.text(one.pod, 'spec', 'nodeName')}", "likely"
        elif len([c for c in podstate.containers(one.pod) if c.role in {"app", "sidecar"}]) > 1:
            why, sure = "another container of the pod may have it", "likely"
        else:
            why, sure = "the program itself may open it twice", "possible"
        where = f"{ended.named(one).capitalize()} cannot open {number}"
        yield ended.finding(
            facts,
            group,
            cause="container-port-conflict",
            confidence=_confidence(sure),
            summary=f"{where}, which is in use{ended.so_far(group)}: {why}.",
            evidence=(
                *_line(one, told),
                *(rival[1:] if rival else ()),
                fact(one.ref, f"{ended.section(one)}.ports", one.container.spec.get("ports")),
            ),
        )


def _confidence(word: str) -> Confidence:
    return "certain" if word == "certain" else "likely" if word == "likely" else "possible"


def _rival(facts: Facts, one: Trouble, port: int | None) -> tuple[str, Evidence] | None:
    """Who else declares the port: another container of the pod, or a pod on the network of the same node."""
    mine = {port} if port else set(probing.declared(one.container).values())
    for other in podstate.containers(one.pod):
        shared = mine & set(probing.declared(other).values())
        if other.name != one.container.name and other.role in {"app", "sidecar"} and shared:
            part = "containers" if other.role == "app" else "initContainers"
            return f"container {other.name}", fact(one.ref, f"spec.{part}[{other.name}].ports", other.spec.get("ports"))
    if not fields.flag(one.pod, "spec", "hostNetwork") or not port:
        return None
    for pod in facts.everywhere(kinds.POD):
        ref = ref_of(pod, kinds.POD)
        beside = fields.text(pod, "spec", "nodeName") == fields.text(one.pod, "spec", "nodeName")
        if ref != one.ref and beside and not podstate.finished(pod) and port in _host_ports(pod):
            return f"{ref} in namespace {ref.namespace}", fact(
                ref, "spec.containers[*].ports", sorted(_host_ports(pod))
            )
    return None


def _host_ports(pod: Obj) -> set[int]:
    every = [p for c in podstate.containers(pod) for p in fields.items(c.spec, "ports")]
    host = fields.flag(pod, "spec", "hostNetwork")
    return {fields.number(p, "hostPort") or (fields.number(p, "containerPort") if host else 0) for p in every} - {0}


@rule(causes=("volume-permission-denied",), observes=OBSERVED, digs=LOGS, wants=current_logs, explains=BACKENDS)
def volume_permission(facts: Facts) -> Verdicts:
    """A process that may not use a path of one of its volumes.

    https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#set-the-security-context-for-a-pod
    """
    for group in trouble.groups(facts, "volume"):
        one, told = _shown(facts, group)
        if told is None:
            continue
        mount = logsigns.mounted(one.container, told.path)
        volume = _volume(fields.mapping(one.pod, "spec"), told.volume)
        source = next((key for key in volume if key != "name"), "volume")
        user, group_id = _security(one, "runAsUser"), fields.at(one.pod, "spec", "securityContext", "fsGroup")
        if fields.flag(mount, "readOnly") or source in {"configMap", "secret", "projected", "downwardAPI"}:
            why = f"it is mounted read-only ({source})"
        else:
            who = f"user {user}" if user is not None else "the image's user"
            why = f"the process is {who}, and fsGroup is {'not set' if group_id is None else group_id}"
        yield ended.finding(
            facts,
            group,
            cause="volume-permission-denied",
            confidence="likely",
            summary=(
                f"{ended.named(one).capitalize()} may not use {told.path[:120]} of its volume "
                f"{told.volume}{ended.so_far(group)}: {why}."
            ),
            evidence=(
                *_line(one, told),
                fact(one.ref, f"{ended.section(one)}.volumeMounts", mount),
                fact(one.ref, f"spec.volumes[{told.volume}]", volume or None),
                fact(one.ref, "spec.securityContext", fields.mapping(one.pod, "spec", "securityContext") or None),
            ),
            next_=(
                ended.spec_step(one, "its security context and volumes"),
                ended.ask_logs(one, "which paths it names"),
            ),
        )


def _volume(spec: Obj, name: str) -> Obj:
    """The volume of a pod spec by its name, {} where it has none."""
    for volume in fields.items(spec, "volumes"):
        if name and volume.get("name") == name:
            return volume
    return {}


def _security(one: Trouble, key: str) -> object:
    own = fields.at(one.container.spec, "securityContext", key)
    return own if own is not None else fields.at(one.pod, "spec", "securityContext", key)


SHM = "/dev/shm"  # noqa: S108 - the path that programs name, nothing is written there


@rule(causes=("shared-memory-too-small",), observes=OBSERVED, digs=LOGS, wants=current_logs, explains=BACKENDS)
def shared_memory(facts: Facts) -> Verdicts:
    """A runtime gives a container 64 MiB of /dev/shm; more takes an emptyDir of medium Memory there.

    https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
    """
    for one, told, group in _lacking(facts, "shm"):
        mount = logsigns.mounted(one.container, SHM)
        name = fields.text(mount, "name") if fields.text(mount, "mountPath").rstrip("/") == SHM else ""
        spec = fields.mapping(one.pod, "spec")
        if name and "volumes" not in spec:
            spec = fields.mapping(lib.named_template(facts, one.workload), "spec")
        volume = _volume(spec, name)
        limit = fields.at(volume, "emptyDir", "sizeLimit")
        size = (
            f"limited to {limit}"
            if limit
            else "a volume without a limit of its own"
            if name
            else "the default of 64 MiB"
        )
        yield _of_log(
            facts,
            group,
            "shared-memory-too-small",
            "likely" if told else "possible",
            f"{ended.named(one).capitalize()} has too little shared memory{ended.so_far(group)}: its {SHM} is {size}.",
            (*_line(one, told), fact(one.ref, f"{ended.section(one)}.volumeMounts[{SHM}]", mount if name else None)),
        )


@rule(causes=("open-file-limit-reached",), observes=OBSERVED, digs=LOGS, wants=current_logs, explains=BACKENDS)
def open_files(facts: Facts) -> Verdicts:
    """A process at its limit of open files (EMFILE, ENFILE), or of the node's inotify watches (ENOSPC of inotify)."""
    for one, told, group in _lacking(facts, "files"):
        watches = told is not None and any(word in told.line.lower() for word in ("inotify", "watch"))
        what = "inotify watches, which all pods of a node share" if watches else "open files"
        node = fields.text(one.pod, "spec", "nodeName")
        yield _of_log(
            facts,
            group,
            "open-file-limit-reached",
            "likely" if told else "possible",
            f"{ended.named(one).capitalize()} has reached its limit of {what}{ended.so_far(group)}.",
            (*_line(one, told), fact(one.ref, "spec.nodeName", node)),
        )


def _lacking(facts: Facts, sign: logsigns.Sign) -> Iterator[tuple[Trouble, Told | None, list[Trouble]]]:
    for group in trouble.groups(facts, sign):
        yield (*_shown(facts, group), group)
    for one, told in logged.complaints(facts):
        if told.sign == sign:
            yield one, told, [one]


def _of_log(
    facts: Facts, group: list[Trouble], cause: str, sure: Confidence, summary: str, evidence: tuple[Evidence, ...]
) -> Finding:
    return ended.finding(facts, group, cause=cause, confidence=sure, summary=summary, evidence=evidence)
