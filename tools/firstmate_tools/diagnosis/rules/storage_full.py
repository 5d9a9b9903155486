"""Volumes without room, as far as the programs that use them say so; how full a healthy one is, only metrics tell.

A line decides only where it says that there is no space left and names a path in a mount of a claim: an image's own
file system, an emptyDir or /dev/shm fill up with the same words.
"""

import re
from collections.abc import Iterator
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
_SUFFERS = ("application-exits-on-error", "init-container-failing", "readiness-probe-misconfigured")


@rule(
    causes=(CAUSE,),
    observes=(*OBSERVED, PERSISTENT_VOLUME_CLAIM),
    digs=LOGS,
    wants=current_logs,
    explains=(*BACKENDS, *explains(*_SUFFERS, "liveness-probe-misconfigured", along=("owns",))),
)
def full_volume(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims"""
    for group in trouble.groups(facts, "exit", "init", "readiness", "liveness", "other"):
        for one in group:
            for claim, path, line in _said(facts, one):
                size = fields.text(facts.get(claim) or {}, "status", "capacity", "storage")
                found = ended.finding(
                    facts,
                    group,
                    cause=CAUSE,
                    confidence="likely",
                    summary=(
                        f"{ended.named(one).capitalize()} finds no space left on claim {claim.name}"
                        f"{f' ({size})' if size else ''}, mounted where {path[:120]} lies{ended.so_far(group)}."
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


def _said(facts: Facts, one: Trouble) -> Iterator[tuple[Ref, str, str]]:
    """The newest line that says that a claim of the pod has no space left: the claim, the path, the line."""
    log = trouble.log_of(facts, one) or fields.text(one.end, "message")
    filled = [line for line in log.splitlines() if line.strip()]
    by_name = {fields.text(v, "name"): claims.claim_of(one.ref, v) for v in fields.items(one.pod, "spec", "volumes")}
    for line in reversed(filled[-LAST:]):
        if not _NO_SPACE.search(line):
            continue
        for path in _PATH.findall(line):
            mount = logsigns.mounted(one.container, path)
            claim = by_name.get(fields.text(mount, "name"))
            if claim is not None:
                yield claim, path, line.strip()
