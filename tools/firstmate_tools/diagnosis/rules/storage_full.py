"""Volumes without room, as far as the programs that use them say so; how full a healthy one is, only metrics tell.

A line decides only where it says that there is no space left and names a path in a mount of a claim: an image's own
file system, an emptyDir or /dev/shm fill up with the same words. A relative path is taken for one in a claim only where
the container writes to that and to nothing else but its image's own file system.
"""

import re
from dataclasses import replace

from firstmate_tools import fields
from firstmate_tools.diagnosis import claims, ended, logsigns, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import fact
from firstmate_tools.diagnosis.lib import ask
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.diagnosis.rules.saidinlogs import current_logs
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.kinds import PERSISTENT_VOLUME_CLAIM
from firstmate_tools.refs import Ref

CAUSE = "volume-full"
LAST = 30
"""Lines from the end of a log that count."""
_NO_SPACE = re.compile(r"(?i)no space left on device|\bENOSPC\b|disk quota exceeded|\bEDQUOT\b|disk is full")
_PATH = re.compile(r"(?<![\w/:.])(/[^\s'\"`:,;()\[\]<>]+)")
_ELSEWHERE = re.compile(r"(?i)shared memory|semaphore|inotify|watche[rs]|epoll")
"""What runs out of something else with the same error number."""
_RELATIVE = re.compile(r"(?<![\w/.:])(?:\./)?[\w#.-]+/[\w#./-]+|(['\"`])[\w#.-]+\1")
_SUFFERS = ("application-exits-on-error", "init-container-failing", "readiness-probe-misconfigured")
EXPLAINED = (*BACKENDS, *explains(*_SUFFERS, "liveness-probe-misconfigured", along=("owns",)))
"""What a volume without room explains, whoever tells of it."""


@rule(
    causes=(CAUSE,),
    observes=(*OBSERVED, PERSISTENT_VOLUME_CLAIM),
    digs=LOGS,
    wants=current_logs,
    explains=EXPLAINED,
)
def full_volume(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims"""
    for group in trouble.groups(facts, "exit", "init", "readiness", "liveness", "other"):
        for one in group:
            for claim, path, line in _said(facts, one) or _said_of_no_place(facts, one):
                size = fields.text(facts.get(claim) or {}, "status", "capacity", "storage")
                found = ended.finding(
                    facts,
                    group,
                    cause=CAUSE,
                    confidence="likely" if path else "possible",
                    summary=(
                        f"{ended.named(one).capitalize()} finds no space left on claim {claim.name}"
                        f"{f' ({size})' if size else ''}, {_where(path)}{ended.so_far(group)}."
                    ),
                    evidence=(ended.log_line(one, line), fact(claim, "status.capacity.storage", size)),
                    culprit=f"{claim.namespace}/{claim.name}",
                    next_=(
                        ended.ask_logs(one, "what it writes"),
                        ask(
                            "get",
                            "whether its class lets it grow",
                            kind="pvc",
                            name=claim.name,
                            namespace=claim.namespace,
                        ),
                    ),
                )
                yield replace(found, object=claim, awaits=(*found.awaits, claim))
                break
            else:
                continue
            break


def _where(path: str) -> str:
    return f"mounted where {path[:120]} lies" if path else "the one volume that it writes to"


def _lines(facts: Facts, one: Trouble) -> list[str]:
    """The last lines that say that there is no space left, the newest first."""
    log = trouble.log_of(facts, one) or fields.text(one.end, "message")
    filled = [line for line in log.splitlines() if line.strip()]
    return [line for line in reversed(filled[-LAST:]) if _NO_SPACE.search(line)]


def _claims(one: Trouble) -> dict[str, Ref]:
    """The claims behind the pod's volumes, by the volume's name."""
    found = {fields.text(v, "name"): claims.claim_of(one.ref, v) for v in fields.items(one.pod, "spec", "volumes")}
    return {name: claim for name, claim in found.items() if claim is not None}


def _said(facts: Facts, one: Trouble) -> list[tuple[Ref, str, str]]:
    """What says that a claim of the pod has no space left: the claim, the path, the line."""
    by_name = _claims(one)
    return [
        (claim, path, line.strip())
        for line in _lines(facts, one)
        for path in _PATH.findall(line)
        if (claim := by_name.get(fields.text(logsigns.mounted(one.container, path), "name"))) is not None
    ]


def _said_of_no_place(facts: Facts, one: Trouble) -> list[tuple[Ref, str, str]]:
    """The same of a relative path, in a container that writes to one claim and to nothing else."""
    by_name, sources = _claims(one), {fields.text(v, "name"): v for v in fields.items(one.pod, "spec", "volumes")}
    written = [m for m in fields.items(one.container.spec, "volumeMounts") if not fields.flag(m, "readOnly")]
    names = {fields.text(m, "name") for m in written}
    if len(names & by_name.keys()) != 1 or any("emptyDir" in sources.get(name, {}) for name in names):
        return []
    claim = by_name[next(iter(names & by_name.keys()))]
    bare = [
        line
        for line in _lines(facts, one)
        if _RELATIVE.search(line) and not _PATH.search(line) and not _ELSEWHERE.search(line)
    ]
    return [(claim, "", line.strip()) for line in bare]
