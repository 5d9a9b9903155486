"""The `pod_status` tool: what `kubectl get pods` shows, and why each unhealthy pod is so, worst first."""

from collections import Counter
from datetime import datetime
from operator import not_
from typing import Annotated, ClassVar

from pydantic import Field

from firstmate_tools import fields, podstate
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.facts import EventRow, event_row, newest_first
from firstmate_tools.diagnosis.slim import slimmer
from firstmate_tools.errors import ReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, NAMESPACE, POD
from firstmate_tools.paging import page
from firstmate_tools.places import no_such, refuse_unknown_namespace
from firstmate_tools.podstate import Container
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.results import Coverage, Cursor, Detail, Limit, Model, Namespace, NotChecked, Result
from firstmate_tools.text import FreeText, Words, clipped, untrusted
from firstmate_tools.toolspec import tool
from firstmate_tools.views import podreasons

MOST_EVENTS = 20_000


class ContainerStatus(Model):
    """One container: those that are unwell, or all where detail is asked."""

    name: str
    role: podstate.Role
    state: Words = Field(description="running, waiting or terminated, with its reason")
    ready: bool
    restarts: int
    message: FreeText | None = None
    last_exit: Words | None = Field(default=None, description="How the run before ended")
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
    since: datetime | None = Field(default=None, description="Unwell since")
    why: list[FreeText] = Field(default_factory=list[FreeText], exclude_if=not_, description="Most telling first")
    same_as: str | None = Field(default=None, description="A pod above that is unwell for the same reasons")
    containers: list[ContainerStatus] = Field(default_factory=list[ContainerStatus], exclude_if=not_)


class PodStatus(Result):
    """Pods, the unhealthy ones first."""

    lists: ClassVar[tuple[str, ...]] = ("pods",)

    healthy: int
    unhealthy: int
    statuses: dict[str, int] = Field(
        default_factory=dict[str, int], description="How many pods have each STATUS, listed or not"
    )
    pods: list[PodRow] = Field(default_factory=list[PodRow])


@tool(title="Pods and why they are unwell", reads=(Read(POD), Read(EVENT, ("list",)), Read(NAMESPACE, ("get",))))
async def pod_status(
    cluster: Cluster,
    namespace: Namespace = None,
    name: Annotated[str | None, Field(description="One pod, with all its containers", max_length=253)] = None,
    selector: Annotated[str | None, Field(description="Label selector", max_length=1000)] = None,
    unhealthy_only: Annotated[bool, Field(description="Leave out pods that are well")] = False,
    detail: Detail = "concise",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PodStatus:
    """What `kubectl get pods` shows, and why each unhealthy pod is so, since when: waiting reasons, exits, restarts,
    probe, mount and scheduling messages, init containers and native sidecars told apart. Worst first. Without
    namespace: all namespaces."""
    pods, unknown = await _pods(cluster, namespace, name, selector)
    now = cluster.now
    ranked = sorted(pods, key=lambda pod: _worst_first(pod, now))
    unhealthy = sum(1 for pod in ranked if not podstate.healthy(pod, now))
    listed = ranked[:unhealthy] if unhealthy_only else ranked
    shown, following = page(
        listed, limit, cursor, "pods", cluster.identity.name, namespace, name, selector, unhealthy_only
    )
    coverage = Coverage(checked=["pods"], not_checked=unknown, returned=len(shown), total=len(listed), cursor=following)
    events = dict[Ref, list[EventRow]]()
    if any(not podstate.healthy(pod, now) for pod in shown):
        events, coverage = await _warnings(cluster, namespace, name, coverage)
    whole = detail == "detailed" or name is not None
    rows = [_row(pod, now, events, whole=whole) for pod in shown]
    return PodStatus(
        cluster=cluster.identity,
        observed_at=now,
        healthy=len(ranked) - unhealthy,
        unhealthy=unhealthy,
        statuses=dict(Counter(podstate.status_text(pod) for pod in ranked).most_common()),
        pods=rows if whole else _said_once(rows),
        coverage=coverage,
    )


async def _pods(
    cluster: Cluster, namespace: str | None, name: str | None, selector: str | None
) -> tuple[list[Obj], list[NotChecked]]:
    """The pods, and what could not be found out where there are none.

    Raises:
        UsageError: there is no such pod, or no such namespace.
    """
    if name is not None:
        place = namespace or cluster.default_namespace
        pod = await cluster.get(POD, name, place)
        if pod is None:
            raise await no_such(cluster, POD, name, place)
        return [pod], []
    listing = await cluster.sweep(POD, slimmer(POD, cluster.now), namespace=namespace, labels=selector or "")
    if listing.items or namespace is None:
        return listing.items, []
    return [], await refuse_unknown_namespace(cluster, namespace)


async def _warnings(
    cluster: Cluster, namespace: str | None, name: str | None, coverage: Coverage
) -> tuple[dict[Ref, list[EventRow]], Coverage]:
    """The warnings about pods, newest first for each, and what is known of their coverage."""
    place = namespace or (cluster.default_namespace if name else None)
    chosen = "type!=Normal,involvedObject.kind=Pod" + (f",involvedObject.name={name}" if name else "")
    try:
        listing = await cluster.sweep(EVENT, event_row, namespace=place, fields=chosen, most=MOST_EVENTS)
    except ReadError as error:
        return {}, coverage.model_copy(update={"not_checked": [NotChecked.of("events", error)]})
    found: dict[Ref, list[EventRow]] = {}
    for row in sorted(listing.items, key=newest_first):
        found.setdefault(row.about, []).append(row)
    cut = [f"events after the first {MOST_EVENTS}; ask about one namespace"] if listing.more else []
    return found, coverage.model_copy(update={"checked": ["events", "pods"], "cut": cut})


def _row(pod: Obj, now: datetime, events: dict[Ref, list[EventRow]], *, whole: bool) -> PodRow:
    ref = ref_of(pod, POD)
    well = podstate.healthy(pod, now)
    ready, wanted = podstate.ready_counts(pod)
    owner = controller_of(pod) if whole or not well else None
    created = fields.time_at(pod, "metadata", "creationTimestamp")
    why = [] if well else podreasons.reasons(pod, _about(pod, events.get(ref, [])), now)
    return PodRow(
        namespace=ref.namespace,
        name=ref.name,
        ready=f"{ready}/{wanted}",
        status=podstate.status_text(pod),
        restarts=podstate.restarts(pod),
        age_s=int((now - created).total_seconds()) if created else None,
        node=(fields.text(pod, "spec", "nodeName") or None) if whole or not well else None,
        owner=str(owner) if owner else None,
        healthy=well,
        since=None if well else podreasons.unwell_since(pod),
        why=[untrusted(line) for line in why],
        containers=[_container(c) for c in podstate.containers(pod)] if whole else [],
    )


def _about(pod: Obj, rows: list[EventRow]) -> list[EventRow]:
    """Events about this pod, not about one that had its name before (StatefulSets give names again)."""
    uid = fields.uid_of(pod)
    return [row for row in rows if not uid or not row.about_uid or row.about_uid == uid]


def _said_once(rows: list[PodRow]) -> list[PodRow]:
    """The same rows; of pods of one owner that are unwell for the same reasons the first alone says them."""
    first: dict[tuple[object, ...], str] = {}
    made: list[PodRow] = []
    for row in rows:
        key = (row.namespace, row.owner, row.status, podreasons.alike(row.why, row.name))
        if row.why and row.owner and first.setdefault(key, row.name) != row.name:
            row = row.model_copy(update={"why": [], "same_as": first[key]})
        made.append(row)
    return made


def _container(container: Container) -> ContainerStatus:
    message = fields.text(container.waiting, "message") or fields.text(container.newest_end, "message")
    return ContainerStatus(
        name=container.name,
        role=container.role,
        state=podreasons.state_text(container),
        ready=container.ready,
        restarts=container.restarts,
        message=clipped(message, podreasons.MOST_MESSAGE) if message else None,
        last_exit=podreasons.exit_text(container.last_terminated) or None,
        image=fields.text(container.spec, "image") or None,
    )


def _worst_first(pod: Obj, now: datetime) -> tuple[bool, int, int, str, str]:
    """Unhealthy first: what fails, then what waits, then what has ended for good; the most restarts first."""
    well = podstate.healthy(pod, now)
    if podstate.finished(pod):
        rank = 2
    else:
        status = podstate.status_text(pod)
        rank = 1 if status in {"Pending", "ContainerCreating", "PodInitializing", "Running", "Terminating"} else 0
    return (well, 0 if well else rank, -podstate.restarts(pod), fields.namespace_of(pod), fields.name_of(pod))
