"""Pods that were evicted for what they themselves used of the local disk, by limits of their own."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace

from firstmate_tools import fields, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.gone import RECENT, Gone, gone
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

CAUSE = "ephemeral-storage-limit-exceeded"
_VOLUME = re.compile(r"Usage of EmptyDir volume \"([^\"]+)\" exceeds the limit \"([^\"]+)\"")
_CONTAINER = re.compile(r"[Cc]ontainer (\S+) exceeded its local ephemeral storage limit \"([^\"]+)\"")
_POD = re.compile(r"[Pp]od ephemeral local storage usage exceeds the total limit of containers (\S+?)\.?(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Over:
    """Which limit a pod went over.

    Attributes:
        path: where the pod's spec sets it.
        limit: as the spec has it, "" where the spec has none (any more).
    """

    what: str
    path: str
    limit: str


@rule(causes=(CAUSE,), observes=OBSERVED, explains=BACKENDS)
def over_local_disk(facts: Facts) -> Verdicts:
    """Texts and limits of pkg/kubelet/eviction (localStorageEviction, helpers.go), v1.36.

    https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#local-ephemeral-storage
    """
    groups: dict[tuple[Ref, str], list[tuple[Gone, Over]]] = defaultdict(list)
    for one in gone(facts, "Evicted"):
        over = _over(one)
        if over is not None:
            groups[one.workload, over.path].append((one, over))
    for (workload, _), found in sorted(groups.items()):
        found.sort(key=lambda pair: pair[0].at.timestamp() if pair[0].at else 0.0, reverse=True)
        newest = found[0][0]
        old = newest.at is not None and facts.now - newest.at > RECENT
        if (old or _mended(facts, workload, *found[0])) and lib.serving(facts, workload):
            yield RuledOut(CAUSE, f"{workload} had a pod evicted long ago, or has another limit since, and serves")
            continue
        yield _finding(facts, workload, found)


def _over(one: Gone) -> Over | None:
    """The limit that the kubelet names, looked up in the spec."""
    spec = fields.mapping(one.spec, "spec")
    if match := _VOLUME.search(one.message):
        volume = next((v for v in fields.items(spec, "volumes") if v.get("name") == match.group(1)), None)
        limit = fields.at(volume, "emptyDir", "sizeLimit")
        path = f"spec.volumes[{match.group(1)}].emptyDir.sizeLimit"
        return Over(f"its emptyDir volume {match.group(1)}", path, _shown(limit))
    if match := _CONTAINER.search(one.message):
        mine = next((c for c in podstate.containers(one.spec) if c.name == match.group(1)), None)
        limit = fields.at(mine.spec if mine else None, "resources", "limits", "ephemeral-storage")
        path = f"spec.containers[{match.group(1)}].resources.limits.ephemeral-storage"
        return Over(f"container {match.group(1)}", path, _shown(limit))
    if _POD.search(one.message):
        limits = [_shown(_limit(c.spec)) for c in podstate.containers(one.spec) if _limit(c.spec)]
        own = fields.at(spec, "resources", "limits", "ephemeral-storage")
        return Over(
            "all its containers together",
            "spec.containers[*].resources.limits.ephemeral-storage",
            _shown(own) or " + ".join(limits),
        )
    return None


def _mended(facts: Facts, workload: Ref, one: Gone, over: Over) -> bool:
    """Whether the workload's template has another limit now than the pod that was evicted."""
    template = lib.named_template(facts, workload)
    now = _over(replace(one, spec=template)) if template else None
    return now is not None and now.limit != over.limit


def _limit(container: Obj) -> object:
    return fields.at(container, "resources", "limits", "ephemeral-storage")


def _shown(limit: object) -> str:
    return str(limit) if isinstance(limit, str | int) and not isinstance(limit, bool) else ""


def _finding(facts: Facts, workload: Ref, found: list[tuple[Gone, Over]]) -> Finding:
    newest, over = found[0]
    limit = f"its limit of {over.limit}" if over.limit else "a limit that its spec no longer has"
    pods = sorted({one.ref for one, _ in found})
    evidence: tuple[Evidence, ...] = (newest.words, fact(newest.ref, over.path, over.limit or None))
    return Finding(
        cause=CAUSE,
        object=workload,
        severity="warning" if workload.kind == "Pod" else lib.severity(facts, workload),
        confidence="certain" if over.limit else "likely",
        summary=(
            f"{lib.count(len(pods), 'pod')} of {workload} {'was' if len(pods) == 1 else 'were'} evicted: "
            f"{over.what} used more local disk than {limit}."
        ),
        evidence=evidence,
        affects=(workload, *pods),
        since=lib.earliest(one.at for one, _ in found),
        next=(
            lib.ask(
                "get", "its limits and volumes", kind=workload.kind, name=workload.name, namespace=workload.namespace
            ),
            lib.ask("events", "how often it happens", namespace=workload.namespace),
        ),
    )
