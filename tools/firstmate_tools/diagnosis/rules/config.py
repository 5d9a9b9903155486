"""ConfigMaps, Secrets and keys that containers need and that do not exist.

That a Secret is missing is what the kubelet says, of a container that waits now. Only where it says no more than that
volumes do not come is a Secret looked for, and only by who may (`firstmate rbac --secrets`). A ConfigMap is looked at
again, so that one that has come meanwhile is no finding, and one that is absent is certain.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, trouble
from firstmate_tools.diagnosis.configrefs import Lack, Need, lacks, needed, needs
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, RuledOut, fact
from firstmate_tools.diagnosis.heard import heard, lately, said
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

_WAITED = "unmounted volumes=["
"""How the kubelet sums up that volumes did not come in time (pkg/kubelet/volumemanager, v1.36 as before)."""
ENV, VOLUME = "config-reference-missing", "volume-config-reference-missing"


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a workload's pod needs and that seems to be missing.

    Attributes:
        cause: by where it is needed.
        need: what, and where the spec says so.
        words: the kubelet's, as evidence; () where it has said nothing yet.
        stated: whether the container's own state says it, and not only an event.
    """

    one: Trouble
    group: list[Trouble]
    cause: str
    need: Need
    words: tuple[Evidence, ...]
    stated: bool

    @property
    def holder(self) -> Ref:
        """The ConfigMap or Secret."""
        return Ref(self.need.kind, self.one.ref.namespace, self.need.name)


def config_maps(facts: Facts) -> Iterable[Want]:
    """The ConfigMaps that seem to be missing, and Secrets of which nobody has said anything."""
    for gap in facts.derived(_gaps):
        if gap.need.kind == "ConfigMap":
            yield GetWant(kinds.CONFIG_MAP, gap.holder)
        elif not gap.words:
            yield GetWant(kinds.SECRET, gap.holder, optional=True)


@rule(
    causes=(ENV, VOLUME),
    observes=(
        kinds.POD,
        kinds.REPLICA_SET,
        kinds.DEPLOYMENT,
        kinds.STATEFUL_SET,
        kinds.DAEMON_SET,
        kinds.JOB,
        kinds.EVENT,
    ),
    digs=(Read(kinds.CONFIG_MAP, ("get", "list")), Read(kinds.SECRET, ("get",), optional=True)),
    wants=config_maps,
    explains=BACKENDS,
)
def config_reference(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/#restrictions"""
    missing: dict[tuple[Ref, str], list[Gap]] = defaultdict(list)
    for gap in facts.derived(_gaps):
        key = _missing_key(facts, gap)
        if key is None and gap.words:
            why = f"{_called(gap.holder, gap.need.key)} exists now; the kubelet has yet to try again"
            yield RuledOut(gap.cause, why)
        elif key is not None and (gap.words or facts.exists(gap.holder) is not None):
            missing[gap.holder, key].append(gap)
    for (holder, key), gaps in sorted(missing.items(), key=lambda entry: entry[0]):
        yield from _findings(facts, holder, key, gaps)


def _gaps(facts: Facts) -> list[Gap]:
    gaps: list[Gap] = []
    for group in trouble.groups(facts, "config", "mount"):
        of_group = [
            gap for one in group for gap in (_of_state if one.kind == "config" else _of_mount)(facts, group, one)
        ]
        gaps += {(gap.need.kind, gap.need.name, gap.need.key): gap for gap in reversed(of_group)}.values()
    return gaps


def _of_state(facts: Facts, group: list[Trouble], one: Trouble) -> Iterator[Gap]:
    """What a container's CreateContainerConfigError names."""
    message = fields.text(one.container.waiting, "message")
    section = "containerStatuses" if one.container.role == "app" else "initContainerStatuses"
    words = [fact(one.ref, f"status.{section}[{one.container.name}].state.waiting.message", message)]
    if not lacks(message):
        rows = heard(facts, one.ref, one.pod, one.container.name, "Failed")
        rows = [row for row in rows if lately(facts, row) and lacks(row.message)][:1]
        message, words = "".join(row.message for row in rows), [said(row) for row in rows]
    for lack in lacks(message):
        for need in needed(one.pod, lack, one.container.name)[:1]:
            yield Gap(one, group, ENV, _narrowed(need, lack), tuple(words), True)


def _of_mount(facts: Facts, group: list[Trouble], one: Trouble) -> Iterator[Gap]:
    """What the newest FailedMount of each volume names; where nobody says anything, whatever the volumes need.

    The kubelet repeats that it waited in vain more often than why, so that its own words may be all that is left.
    """
    silent, vague, heard_of = True, False, set[str]()
    for row in heard(facts, one.ref, one.pod, "", *trouble.STOPS_BEFORE_SANDBOX):
        if _WAITED in row.message and row.reason == "FailedMount" and lately(facts, row):
            vague = True
            continue
        silent = False
        found = lacks(row.message) if row.reason == "FailedMount" and lately(facts, row) else []
        for lack in found:
            if lack.volume not in heard_of:
                for need in needed(one.pod, lack, "")[:1]:
                    yield Gap(one, group, VOLUME, _narrowed(need, lack), (said(row),), False)
        heard_of |= {lack.volume for lack in found}
    if silent and one is group[0]:
        for need in needs(one.pod):
            if need.place != "env" and (need.kind == "ConfigMap" or vague):
                yield Gap(one, group, VOLUME, need, (), False)


def _narrowed(need: Need, lack: Lack) -> Need:
    return Need(need.kind, need.name, lack.key, need.place, need.path, need.container)


def _missing_key(facts: Facts, gap: Gap) -> str | None:
    """The key that is missing, "" for the whole object, None where nothing is missing any more."""
    if gap.need.kind == "Secret" and not gap.words:
        return "" if facts.exists(gap.holder) is False else None
    if gap.need.kind == "Secret" or not facts.exists(gap.holder):
        return gap.need.key if gap.words else ""
    held = _keys(facts.get(gap.holder) or {}, gap.cause)
    same = [
        n
        for n in needs(gap.one.pod)
        if (n.kind, n.name, n.container) == (gap.need.kind, gap.need.name, gap.need.container)
    ]
    lost = sorted({n.key for n in same if n.key and n.key not in held})
    if gap.need.key:
        return gap.need.key if gap.need.key not in held else None
    return lost[0] if lost else None


def _keys(config_map: Obj, cause: str) -> set[str]:
    """Environments see `data` alone, volumes `binaryData` too."""
    binary = fields.mapping(config_map, "binaryData") if cause == VOLUME else {}
    return {*fields.mapping(config_map, "data"), *binary}


def _findings(facts: Facts, holder: Ref, key: str, gaps: list[Gap]) -> Iterator[Finding]:
    """One finding for each workload; all of one cause, since one missing thing is one problem."""
    counts = {cause: sum(1 for gap in gaps if gap.cause == cause) for cause in (ENV, VOLUME)}
    cause = VOLUME if counts[VOLUME] > counts[ENV] else ENV
    for gap in gaps:
        yield Finding(
            cause=cause,
            object=gap.one.workload,
            severity=lib.severity(facts, gap.one.workload),
            confidence="certain" if gap.stated or _looked_at(facts, holder) else "likely",
            summary=(
                f"{gap.one.workload} cannot start: {_called(holder, key)} does not exist "
                f"in namespace {holder.namespace}."
            ),
            evidence=(*gap.words, *_evidence(facts, holder, key, gap)),
            affects=trouble.affected(gap.group),
            since=lib.earliest(podstate.not_ready_since(t.pod) for t in gap.group),
            culprit=f"{holder.kind} {holder.namespace}/{holder.name} {key}",
            next=tuple(_next(holder, gap)),
        )


def _looked_at(facts: Facts, holder: Ref) -> bool:
    return facts.exists(holder) is False or (holder.kind == "ConfigMap" and facts.exists(holder) is not None)


def _called(holder: Ref, key: str) -> str:
    return f"key {key} of {holder.kind} {holder.name}" if key else f"{holder.kind} {holder.name}"


def _evidence(facts: Facts, holder: Ref, key: str, gap: Gap) -> Iterator[Evidence]:
    yield fact(gap.one.ref, gap.need.path, f"{holder.name}{f', key {key}' if key else ''}, not optional")
    found = facts.get(holder) if holder.kind == "ConfigMap" else None
    if found is not None:
        yield fact(holder, "data", f"keys: {', '.join(sorted(_keys(found, gap.cause))) or 'none'}")
    elif facts.exists(holder) is False:
        yield fact(holder, "metadata.name", f"no such {holder.kind}")


def _next(holder: Ref, gap: Gap) -> Iterator[NextStep]:
    place = holder.namespace
    yield lib.ask("events", "what the kubelet says", scope=f"pod/{gap.one.ref.name}", namespace=place)
    if holder.kind == "ConfigMap":
        yield lib.ask("get", "a ConfigMap of a similar name", kind="configmap", namespace=place)
