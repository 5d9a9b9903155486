"""What a container waits for before it goes on, read from its command and from what it says. Pure.

Used for init containers that only wait. A name counts where it is that of a Service or of a workload of the namespace,
or where a tool that looks up or connects to hosts is given it (`nslookup db`, `nc -z db 5432`, `pg_isready -h db`,
`kubectl wait job/migrate`); a word that merely looks like a name does not.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.peers import awaited
from firstmate_tools.fields import Obj
from firstmate_tools.loglines import unreached
from firstmate_tools.refs import Ref

_NAME = r"([a-z0-9](?:[a-z0-9.-]{0,200}[a-z0-9])?)"
_WORD = re.compile(rf"(?<![\w./$-]){_NAME}(?![\w-])")
_ASKED = re.compile(
    r"(?:\b(?:nslookup|dig|getent\s+\w+|host)\s+|\b(?:nc|ncat|ping|telnet)(?:\s+-\w+(?:\s+\d+)?)*\s+"
    r"|\bwait-for(?:-it)?(?:\.sh)?\s+|(?:\s|^)(?:-h|--host|-host|-addr)[= ]|\b(?:tcp|https?|postgres(?:ql)?|redis|amqp|mongodb)://"
    rf"(?:[^@/\s]+@)?|/dev/tcp/){_NAME}"
)
_OBJECT = re.compile(
    r"\b(jobs?|deployments?|deploy|statefulsets?|sts|daemonsets?|ds|pods?|services?|svc)(?:\.[a-z.]+)?[/ ]"
    r"([a-z0-9](?:[a-z0-9.-]{0,200}[a-z0-9])?)\b"
)
_WAITS = re.compile(r"(?i)\bwait|not (?:yet )?(?:ready|available|reachable|up|complete)|retry|sleeping|until\b|still\b")


@dataclass(frozen=True, slots=True)
class Awaited:
    """What is waited for.

    Attributes:
        there: Services and workloads that exist.
        missing: Services that do not, though somebody asks for them.
        says_so: whether the program says that it waits.
    """

    there: tuple[Ref, ...]
    missing: tuple[Ref, ...]
    says_so: bool


def awaited_by(facts: Facts, workload: Ref, spec: Obj, lines: list[str]) -> Awaited:
    """What a container of a workload waits for."""
    script = _script(spec)
    own = facts.graph.reach([workload], "owns", "selects")
    asked = asked_for(workload, spec, lines)
    named = {ref for word in _words(script) if (ref := _service(workload.namespace, word))}
    there = {ref for ref in asked | named if facts.get(ref) is not None}
    there |= set(_objects(facts, workload.namespace, script)) | set(awaited(facts, workload, lines))
    missing = {ref for ref in asked if facts.exists(ref) is False and _local(ref, workload)}
    return Awaited(tuple(sorted(there - own)), tuple(sorted(missing)), any(_WAITS.search(line) for line in lines[-20:]))


def asked_for(workload: Ref, spec: Obj, lines: list[str]) -> set[Ref]:
    """The Services that a container asks for by its command or did not reach by its log, whether they exist or not."""
    asked = {ref for host in _ASKED.findall(_script(spec)) if (ref := _service(workload.namespace, host))}
    return asked | {ref for peer in unreached(lines) if (ref := _service(workload.namespace, peer.host))}


def _script(spec: Obj) -> str:
    """The command with what the container's own variables put into it."""
    texts = [*fields.strings(spec, "command"), *fields.strings(spec, "args")]
    script = " ".join(texts)
    for entry in fields.items(spec, "env"):
        name, value = fields.text(entry, "name"), fields.text(entry, "value")
        if name and value:
            script = re.sub(
                rf"\$(?:\({re.escape(name)}\)|\{{{re.escape(name)}\}}|{re.escape(name)}\b)",
                lambda _, v=value: v,
                script,
            )
    return script


def _words(script: str) -> Iterable[str]:
    return set(_WORD.findall(script))


def _service(namespace: str, host: str) -> Ref | None:
    """The Service that a host name would mean to a pod of a namespace, None for what lies outside the cluster."""
    parts = host.rstrip(".").lower().split(".")
    if all(part.isdigit() for part in parts) or (len(parts) > 2 and parts[2] != "svc"):
        return None
    return Ref("Service", parts[1] if len(parts) > 1 else namespace, parts[0])


def _local(ref: Ref, workload: Ref) -> bool:
    """Whether nothing but a Service of the workload's own namespace can be meant."""
    return ref.namespace == workload.namespace and ref.name not in {"localhost", "kubernetes"}


_KINDS = {
    "job": kinds.JOB,
    "deployment": kinds.DEPLOYMENT,
    "deploy": kinds.DEPLOYMENT,
    "statefulset": kinds.STATEFUL_SET,
    "st": kinds.STATEFUL_SET,
    "daemonset": kinds.DAEMON_SET,
    "d": kinds.DAEMON_SET,
    "pod": kinds.POD,
    "service": kinds.SERVICE,
    "svc": kinds.SERVICE,
}


def _objects(facts: Facts, namespace: str, script: str) -> Iterator[Ref]:
    for word, name in _OBJECT.findall(script):
        kind = _KINDS.get(word.rstrip("s")) or _KINDS.get(word)
        ref = Ref(kind.kind, namespace, name) if kind else None
        if ref is not None and facts.get(ref) is not None:
            yield ref
            yield facts.workload(ref)
