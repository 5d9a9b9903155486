"""What metrics tell of pods and their volumes while they look well: CPU that the limit takes away, disks that fill up.

A series counts only where the object that it names is there now; its numbers decide, and the objects say what to mend.
"""

from collections import defaultdict
from collections.abc import Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import claims, lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.metrics import asked, part, percent, told
from firstmate_tools.diagnosis.questions import (
    CPU_THROTTLED,
    METRICS_KNOWN,
    ROOM_LEFT,
    THROTTLED_SHARE,
    VOLUME_ROOM,
    WINDOW_S,
)
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, explains, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.rules.storage_full import CAUSE as FULL
from firstmate_tools.diagnosis.rules.storage_full import EXPLAINED
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import PERSISTENT_VOLUME_CLAIM
from firstmate_tools.podresources import amounts, container_limits
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.quantity import show
from firstmate_tools.refs import Ref

PERIOD_S = 0.1
"""Seconds of one period of the CPU limit, unless a kubelet is told otherwise (kubelet v1.36, `cpuCFSQuotaPeriod`)."""
_SLOWED = ("exec-probe-timeout", "startup-probe-never-passes", "liveness-probe-too-aggressive")
NONE_LEFT = 0.001
NEARLY = 0.9


@rule(
    causes=("cpu-throttled-by-limit",),
    observes=OBSERVED,
    digs=(METRICS_KNOWN, CPU_THROTTLED),
    wants=asked(CPU_THROTTLED),
    explains=(*BACKENDS, *explains(*_SLOWED, along=("owns",))),
)
def throttled(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-limits-are-run

    A container that runs seldom and in bursts is throttled in most of its few periods, and nobody notices: it hurts
    where the periods lost are a good part of all time, or where the pod does not run well.
    """
    answer = facts.series(CPU_THROTTLED)
    beside = {(one.label("of"), *_container(one)): one for one in answer}
    groups: dict[tuple[Ref, str], list[tuple[Series, Ref, Obj]]] = defaultdict(list)
    for share in part(answer, "share"):
        namespace, name, container = _container(share)
        ref = Ref(kinds.POD.kind, namespace, name)
        pod = facts.get(ref)
        if pod is None or podstate.finished(pod) or podstate.terminating(pod) or not _limit(pod, container):
            continue
        groups[facts.workload(ref), container].append((share, ref, pod))
    for (workload, container), found in sorted(groups.items(), key=lambda item: item[0]):
        share, ref, pod = max(found, key=lambda one: (one[0].value, one[1]))
        key = _container(share)
        lost = [_lost(one, beside.get(("periods", *_container(one)))) for one, _, _ in found]
        unwell = any(not podstate.runs_well(pod) for _, _, pod in found)
        hurts = unwell or max(lost) >= THROTTLED_SHARE
        limit = _limit(pod, container)
        used, periods = beside.get(("used", *key)), beside.get(("periods", *key))
        of_how_many = f" of {periods.value:.0f} periods" if periods else ""
        yield Finding(
            cause="cpu-throttled-by-limit",
            object=workload,
            severity=lib.severity(facts, workload) if hurts else "info",
            confidence="likely",
            summary=(
                f"Container {container} of {workload} is stopped at its CPU limit of "
                f"{show('cpu', limit)} in {percent(share.value)}{of_how_many} "
                f"of the last {WINDOW_S // 60} minutes ({lib.count(len(found), 'pod')}).{_mean(used, limit)}"
            ),
            evidence=(
                told(share, ref, "container_cpu_cfs_throttled_periods_total", f"{share.value:.3f} of its periods"),
                *([told(used, ref, "container_cpu_usage_seconds_total", f"{used.value:.3f} cores")] if used else []),
                fact(ref, f"spec.containers[{container}].resources.limits.cpu", show("cpu", limit)),
            ),
            affects=tuple(ref for _, ref, _ in found),
            culprit=f"{workload.namespace}/{workload}/{container}",
            next=(
                lib.ask(
                    "workload_status", "whether its pods keep up", scope=str(workload), namespace=workload.namespace
                ),
            ),
        )


def _container(series: Series) -> tuple[str, str, str]:
    return series.label("namespace"), series.label("pod"), series.label("container")


def _limit(pod: Obj, container: str) -> int:
    """The CPU limit that holds a container back, in thousandths of a core; 0 where there is none."""
    sections = ("containers", "initContainers")
    every = [
        c for section in sections for c in fields.items(pod, "spec", section) if fields.text(c, "name") == container
    ]
    own = container_limits(every[0]).get("cpu", 0) if every else 0
    return own or amounts(pod, "spec", "resources", "limits").get("cpu", 0)


def _mean(used: Series | None, limit: int) -> str:
    """What it uses on average, in a sentence: that the average is low is why nobody looks at the limit."""
    if used is None:
        return ""
    why = "all that it may" if used.value * 1000 >= limit * NEARLY else "less than it may: its bursts are cut"
    return f" On average it uses {used.value * 1000:.0f}m, {why}."


def _lost(share: Series, periods: Series | None) -> float:
    """The part of all periods of the window in which a container was held back."""
    return share.value * periods.value * PERIOD_S / WINDOW_S if periods else 0.0


@rule(
    causes=(FULL,),
    observes=(*OBSERVED, PERSISTENT_VOLUME_CLAIM),
    digs=(METRICS_KNOWN, VOLUME_ROOM),
    wants=asked(VOLUME_ROOM),
    explains=EXPLAINED,
)
def volumes_without_room(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/instrumentation/metrics/ (kubelet_volume_stats_*).

    Not of emptyDir, which the kubelet measures otherwise. A claim that is only ever read may be full for good."""
    groups: dict[Ref, list[Series]] = defaultdict(list)
    for series in facts.series(VOLUME_ROOM):
        ref = Ref("PersistentVolumeClaim", series.label("namespace"), series.label("persistentvolumeclaim"))
        claim = facts.get(ref)
        if claim is not None and fields.strings(claim, "spec", "accessModes") != ["ReadOnlyMany"]:
            groups[ref].append(series)
    for ref, found in sorted(groups.items()):
        yield _full(facts, ref, sorted(found, key=lambda one: (one.value, one.label("of"))))


def _full(facts: Facts, ref: Ref, found: list[Series]) -> Finding:
    worst = found[0]
    size = fields.text(facts.get(ref), "status", "capacity", "storage")
    users = claims.users(facts, ref)
    hurt = worst.value < NONE_LEFT or (worst.value < ROOM_LEFT and any(not podstate.runs_well(pod) for pod in users))
    what = "inodes" if worst.label("of") == "inodes" else "bytes"
    trend = "" if worst.value < ROOM_LEFT else ", and at the rate of the last 6 hours has none within 4 days"
    return Finding(
        cause=FULL,
        object=ref,
        severity="critical" if hurt else "warning",
        confidence="likely",
        summary=f"Claim {ref.name}{f' ({size})' if size else ''} has {percent(worst.value)} of its {what} left{trend}.",
        evidence=tuple(_evidence(ref, found)),
        affects=claims.sufferers(facts, ref),
        culprit=f"{ref.namespace}/{ref.name}",
        next=(lib.ask("get", "whether its class lets it grow", kind="pvc", name=ref.name, namespace=ref.namespace),),
        awaits=(ref,),
    )


def _evidence(ref: Ref, found: list[Series]) -> Iterator[Evidence]:
    for one in found:
        metric = "inodes_free" if one.label("of") == "inodes" else "available_bytes"
        yield told(one, ref, f"kubelet_volume_stats_{metric}", f"{one.value:.4f} of all")
