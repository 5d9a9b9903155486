"""The `pod_status` tool: what `kubectl get pods` shows, and why each unhealthy pod is so, worst first."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from firstmate_tools import fields, podstate
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.facts import EventRow, event_row, newest_first
from firstmate_tools.diagnosis.slim import slimmer, unmanaged
from firstmate_tools.errors import ReadError, UsageError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, POD
from firstmate_tools.paging import page
from firstmate_tools.podstate import Container
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.results import Coverage, Cursor, Detail, Limit, Model, Namespace, NotChecked, Result
from firstmate_tools.text import FreeText, shorten, untrusted
from firstmate_tools.toolspec import tool

MOST_MESSAGE = 300
_TELLING_REASONS = frozenset(
    {"BackOff", "FailedScheduling", "Unhealthy", "Failed", "FailedMount", "FailedAttachVolume"}
)


class ContainerStatus(Model):
    """One container that is not as it should be, or any container where detail is asked."""

    name: str
    role: podstate.Role
    state: str = Field(description="running, waiting or terminated, with its reason")
    ready: bool
    restarts: int
    message: FreeText | None = None
    last_exit: str | None = Field(default=None, description="How the run before ended")
    image: str | None = None


class PodRow(Model):
    """One line of `kubectl get pods`, and why the pod is unwell."""

    namespace: str
    name: str
    ready: str
    status: str
    restarts: int
    age_s: int | None = None
    node: str | None = None
    owner: str | None = None
    healthy: bool
    why: list[FreeText] = Field(default_factory=list[FreeText], description="Worst first; empty where it is well")
    containers: list[ContainerStatus] = Field(default_factory=list[ContainerStatus])


class PodStatus(Result):
    """Pods, the unhealthy ones first."""

    lists: ClassVar[tuple[str, ...]] = ("pods",)

    healthy: int
    unhealthy: int
    pods: list[PodRow] = Field(default_factory=list[PodRow])


@tool(title="Pods and why they are unwell", reads=(Read(POD), Read(EVENT, ("list",))))
async def pod_status(
    cluster: Cluster,
    namespace: Namespace = None,
    name: Annotated[str | None, Field(description="One pod", max_length=253)] = None,
    selector: Annotated[str | None, Field(description="Label selector", max_length=1000)] = None,
    unhealthy_only: Annotated[bool, Field(description="Leave out pods that are well")] = False,
    detail: Detail = "concise",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PodStatus:
    """What `kubectl get pods` shows, and for each unhealthy pod why: waiting reasons, exits, restarts, probe and
    scheduling messages, init containers and native sidecars told apart. Worst first. Without namespace: all
    namespaces."""
    pods = await _pods(cluster, namespace, name, selector, detail)
    coverage, events = Coverage(checked=["pods"]), dict[Ref, list[EventRow]]()
    if any(not podstate.healthy(pod, cluster.now) for pod in pods):
        try:
            events = await _warnings(cluster, namespace, name)
            coverage = Coverage(checked=["events", "pods"])
        except ReadError as error:
            coverage = Coverage(checked=["pods"], not_checked=[NotChecked.of("events", error)])
    rows = sorted((_row(pod, cluster.now, events, detail) for pod in pods), key=_worst_first)
    unhealthy = sum(1 for row in rows if not row.healthy)
    listed = [row for row in rows if not (unhealthy_only and row.healthy)]
    shown, following = page(listed, limit, cursor, namespace, name, selector, unhealthy_only)
    return PodStatus(
        cluster=cluster.identity,
        observed_at=cluster.now,
        healthy=len(rows) - unhealthy,
        unhealthy=unhealthy,
        pods=shown,
        coverage=coverage.model_copy(update={"returned": len(shown), "total": len(listed), "cursor": following}),
    )


async def _pods(
    cluster: Cluster, namespace: str | None, name: str | None, selector: str | None, detail: str
) -> list[Obj]:
    if name is not None:
        place = namespace or cluster.default_namespace
        pod = await cluster.get(POD, name, place)
        if pod is None:
            raise UsageError(f"No pod {name!r} in namespace {place}.", "Leave out name to see which there are.")
        return [pod]
    now = cluster.now
    reduce = unmanaged if detail == "detailed" else slimmer(POD, now)
    return (await cluster.sweep(POD, reduce, namespace=namespace, labels=selector or "")).items


async def _warnings(cluster: Cluster, namespace: str | None, name: str | None) -> dict[Ref, list[EventRow]]:
    place = namespace or (cluster.default_namespace if name else None)
    chosen = "type!=Normal,involvedObject.kind=Pod" + (f",involvedObject.name={name}" if name else "")
    listing = await cluster.sweep(EVENT, event_row, namespace=place, fields=chosen, most=20_000)
    found: dict[Ref, list[EventRow]] = {}
    for row in sorted(listing.items, key=newest_first):
        found.setdefault(row.about, []).append(row)
    return found


def _row(pod: Obj, now: datetime, events: dict[Ref, list[EventRow]], detail: str) -> PodRow:
    ref = ref_of(pod, POD)
    well = podstate.healthy(pod, now)
    ready, wanted = podstate.ready_counts(pod)
    owner = controller_of(pod)
    started = fields.time_at(pod, "metadata", "creationTimestamp")
    return PodRow(
        namespace=ref.namespace,
        name=ref.name,
        ready=f"{ready}/{wanted}",
        status=podstate.status_text(pod),
        restarts=podstate.restarts(pod),
        age_s=int((now - started).total_seconds()) if started else None,
        node=fields.text(pod, "spec", "nodeName") or None,
        owner=str(owner) if owner else None,
        healthy=well,
        why=[] if well else [untrusted(shorten(reason, MOST_MESSAGE)) for reason in reasons(pod, events.get(ref, []))],
        containers=[
            _container(c) for c in podstate.containers(pod) if detail == "detailed" or (not well and _unwell(c))
        ],
    )


def _unwell(container: Container) -> bool:
    return not container.ready and not (container.role == "init" and container.terminated.get("exitCode") == 0)


def _container(container: Container) -> ContainerStatus:
    message = fields.text(container.waiting, "message") or fields.text(container.terminated, "message")
    return ContainerStatus(
        name=container.name,
        role=container.role,
        state=state_text(container),
        ready=container.ready,
        restarts=container.restarts,
        message=untrusted(shorten(message, MOST_MESSAGE)) if message else None,
        last_exit=exit_text(container.last_terminated) or None,
        image=fields.text(container.spec, "image") or None,
    )


def state_text(container: Container) -> str:
    """`waiting (CrashLoopBackOff)`, `running`, `terminated (OOMKilled, exit 137)`, `not reported`."""
    if container.waiting_reason:
        return f"waiting ({container.waiting_reason})"
    if container.terminated:
        return f"terminated ({exit_text(container.terminated)})"
    return "running" if container.running else "not reported"


def exit_text(ended: Obj) -> str:
    """`Error, exit 1`, "" where nothing ended."""
    if not ended:
        return ""
    signal = fields.number(ended, "signal")
    how = f"signal {signal}" if signal else f"exit {fields.number(ended, 'exitCode')}"
    return f"{fields.text(ended, 'reason') or 'ended'}, {how}"


def reasons(pod: Obj, events: list[EventRow]) -> list[str]:
    """Why a pod is unwell, the most telling first: what the pod's own status says, then what warnings add."""
    found = list(_own_reasons(pod))
    for row in events:
        if row.reason in _TELLING_REASONS and not any(row.message and row.message in said for said in found):
            times = f" ({row.count} times)" if row.count > 1 else ""
            found.append(f"{row.reason}: {row.message}{times}")
        if len(found) >= 4:
            break
    return found[:4] or ["not ready, and neither its status nor events say why"]


def _own_reasons(pod: Obj) -> Iterator[str]:
    if fields.text(pod, "status", "reason"):
        yield f"{fields.text(pod, 'status', 'reason')}: {fields.text(pod, 'status', 'message')}"
    if podstate.unschedulable(pod):
        yield f"Unschedulable: {fields.text(fields.condition(pod, 'PodScheduled'), 'message')}"
    for container in podstate.containers(pod):
        if container.role == "ephemeral" or not _unwell(container):
            continue
        where = f"{container.role} container {container.name}"
        if container.waiting_reason and container.waiting_reason != "PodInitializing":
            ended = exit_text(container.last_terminated)
            message = fields.text(container.waiting, "message")
            yield f"{where} waits: {container.waiting_reason}" + (
                f", last run: {ended}" if ended else f" {message}".rstrip()
            )
        elif container.terminated and container.terminated.get("exitCode") != 0:
            yield f"{where} ended: {exit_text(container.terminated)}"
        elif container.running:
            yield f"{where} runs but is not ready" + (f", {container.restarts} restarts" if container.restarts else "")


def _worst_first(row: PodRow) -> tuple[bool, int, int, str, str]:
    """Unhealthy first; of those the failing before the waiting, the most restarts first; then by name."""
    waiting = row.status in {"Pending", "ContainerCreating", "PodInitializing", "Running"}
    return (row.healthy, int(waiting), -row.restarts, row.namespace, row.name)
