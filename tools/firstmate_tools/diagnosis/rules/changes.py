"""What changed shortly before a workload failed: its command, or the configuration that it reads.

A change is never enough. Each rule sets what was well before against what fails since: pods of one template that differ
only in which values they read, or a revision that differs only in what it runs. Values are not compared, and are not
read: who owns which field, and since when, tells that something changed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import changed, ended, lib, revisions, trouble
from firstmate_tools.diagnosis.configrefs import Need, needs
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.fields import Obj
from firstmate_tools.loglines import ERROR, rank
from firstmate_tools.podstate import Container
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

ENTRYPOINT, STALE, REGRESSION = "container-wrong-entrypoint", "config-stale-after-rotation", "config-change-regression"
MOST_HOLDERS = 4
SOON = timedelta(minutes=30)
"""How long after a change a failure may begin to be laid to it."""
SLACK = timedelta(seconds=2)
_FAILURES = (
    "application-exits-on-error",
    "container-process-completes",
    "init-container-failing",
    "readiness-probe-misconfigured",
    "liveness-probe-misconfigured",
    "liveness-probe-too-aggressive",
    "startup-probe-never-passes",
)
BROKEN = (*BACKENDS, *explains(*_FAILURES, along=("owns",)))
_RUNS: tuple[trouble.Kind, ...] = ("readiness", "liveness", "startup", "other")
_CRASHES: tuple[trouble.Kind, ...] = ("exit", "init", "completes")
_ENTRY = re.compile(r"^spec\.(?:initContainers|containers)\[([^\]]+)\]\.(?:command|args)(?:\W|$)")
_IDLE = re.compile(r"^metadata\.(?:annotations|labels)(?:\W|$)")
_UNAUTHENTICATED = re.compile(
    r"""(?i)(?:password|peer|ident|ldap|scram|sasl)?\s?authentication\ (?:failed|failure|error) | SQLSTATE\ 28
    | access\ denied\ for\ user | WRONGPASS | NOAUTH | ACCESS_REFUSED
    | invalid\ (?:username|user|login|password|credential|api[ _-]?key|token|client[ _]secret)
    | (?:bad|wrong|incorrect|expired)\ (?:password|credentials?|api[ _-]?key|token)
    | (?:token|key|secret|password|credentials?)\ (?:has\ |is\ |was\ )?(?:expired|revoked|rotated)
    | \b401\b.{0,40}unauthori[sz]ed | \bunauthori[sz]ed\b | login\ failed | SignatureDoesNotMatch | InvalidAccessKeyId
    | ExpiredToken | InvalidClientTokenId""",
    re.VERBOSE,
)


@rule(causes=(ENTRYPOINT,), observes=OBSERVED, explains=BROKEN)
def wrong_entrypoint(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/"""
    for group in trouble.groups(facts, *_RUNS):
        one = trouble.worst(group)
        if one.workload.kind != "Deployment" or one.container.role == "init":
            continue
        pair = revisions.newest_two(facts, one.workload)
        found = [c for c in revisions.changed(facts, one.workload) if not _IDLE.match(c.field)]
        names = {match.group(1) for c in found if (match := _ENTRY.match(c.field))}
        only = all(_ENTRY.match(c.field) for c in found)
        if pair is None or pair[1] is None or not only or one.container.name not in names:
            continue
        serves = revisions.serves(pair[1][1])
        was = f"{lib.count(fields.number(pair[1][1], 'status', 'readyReplicas'), 'pod')} of the one before still serve"
        yield ended.finding(
            facts,
            group,
            cause=ENTRYPOINT,
            confidence="likely" if serves else "possible",
            summary=(
                f"{ended.named(one).capitalize()} runs and does not get ready since a revision that changed nothing "
                f"but its {_what(c.field for c in found)}{'; ' + was if serves else ''}."
            ),
            evidence=tuple(
                fact(one.workload, f"spec.template.{c.field}", f"was {c.before}, is {c.after}") for c in found[:3]
            ),
            next_=(ended.spec_step(one, "what it runs now"),),
        )


def _what(names: Iterable[str]) -> str:
    parts = {"command" if ".command" in name else "arguments" for name in names}
    return " and ".join(sorted(parts, reverse=True))


Holding = tuple[Ref, Need]


def _holders(facts: Facts, workload: Ref, *, env_only: bool = False) -> list[Holding]:
    """What a workload reads its configuration from: by environment, and by volumes where those count."""
    template = lib.named_template(facts, workload)
    chosen = [n for n in needs(template) if n.kind != "Secret" or _named_secret(n)]
    return [
        (Ref(need.kind, workload.namespace, need.name), need)
        for need in chosen
        if need.name != "kube-root-ca.crt" and (need.place == "env" or not env_only)
    ]


def _named_secret(need: Need) -> bool:
    return "nodePublishSecretRef" not in need.path


def changed_holders(facts: Facts) -> Iterable[Want]:
    """The ConfigMaps of workloads that fail; Secrets too where a running one says that its credentials are refused."""
    wanted: dict[Ref, None] = {}
    for group in trouble.groups(facts, *_CRASHES, *_RUNS):
        wanted |= {ref: None for ref, need in _holders(facts, group[0].workload) if need.kind == "ConfigMap"}
    for ref in list(wanted)[:MOST_HOLDERS]:
        yield GetWant(kinds.CONFIG_MAP, ref)
    for workload, *_ in _refused(facts):
        for ref, need in _holders(facts, workload, env_only=True)[:MOST_HOLDERS]:
            secret = need.kind == "Secret"
            yield GetWant(kinds.SECRET if secret else kinds.CONFIG_MAP, ref, optional=secret)


DIGS = (*LOGS, Read(kinds.CONFIG_MAP, ("get", "list")), Read(kinds.SECRET, ("get",), optional=True))


@rule(causes=(STALE,), observes=OBSERVED, digs=DIGS, wants=changed_holders, explains=BROKEN)
def stale_after_rotation(facts: Facts) -> Verdicts:
    """Environment variables are those of the moment at which a container started.

    https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-environment-variables
    """
    for workload, pod, container, line in _refused(facts):
        began = fields.time_at(container.status, "state", "running", "startedAt")
        for ref, need in _holders(facts, workload, env_only=True):
            at = changed.data_changed_at(facts.get(ref) or {})
            if need.container != container.name or at is None or began is None or at <= began:
                continue
            status = f"status.containerStatuses[{container.name}].state.running.startedAt"
            yield Finding(
                cause=STALE,
                object=workload,
                severity=lib.severity(facts, workload) if not podstate.ready(facts.get(pod) or {}) else "warning",
                confidence="likely",
                summary=(
                    f"Container {container.name} of {workload} started before {ref} last changed, still has the values "
                    "of then in its environment, and is refused with them. A restart gives it the new ones."
                ),
                evidence=(
                    fact(pod, f"log[{container.name}]", line),
                    *_who(facts, ref),
                    fact(pod, status, began.isoformat(), began),
                    fact(workload, f"spec.template.{need.path}", need.name),
                ),
                affects=(pod,),
                since=at,
                next=(lib.ask("logs", "since when it is refused", scope=str(pod), namespace=pod.namespace),),
            )
            break


def _refused(facts: Facts) -> Iterator[tuple[Ref, Ref, Container, str]]:
    """Containers that run, and whose log says that their credentials are refused: one pod's for each workload."""
    seen: set[tuple[Ref, str]] = set()
    for (namespace, name, container_name, previous), content in facts.logs():
        pod = Ref("Pod", namespace, name)
        workload = facts.workload(pod)
        if previous or (workload, container_name) in seen:
            continue
        for container in podstate.containers(facts.get(pod) or {}):
            lines = [x for x in content.splitlines() if rank(x) >= ERROR and _UNAUTHENTICATED.search(x[:2000])]
            if container.name == container_name and container.running and lines:
                seen.add((workload, container_name))
                yield workload, pod, container, lines[-1].strip()


def _who(facts: Facts, ref: Ref) -> Iterator[Evidence]:
    """Who changed it last, and when."""
    newest = next((c for c in changed.changes(facts.get(ref) or {}) if c.at), None)
    if newest is not None and newest.at is not None:
        yield fact(ref, "metadata.managedFields", f"changed by {newest.manager} at {newest.at.isoformat()}", newest.at)


@rule(causes=(REGRESSION,), observes=OBSERVED, digs=DIGS, wants=changed_holders, explains=BROKEN)
def configuration_regression(facts: Facts) -> Verdicts:
    """Pods of one template, of which only those fail that read a ConfigMap as it is since its last change."""
    by_holder: dict[Ref, list[tuple[list[Trouble], datetime, str]]] = defaultdict(list)
    for group in trouble.groups(facts, *_CRASHES, *_RUNS):
        for ref, need in _holders(facts, group[0].workload):
            at = changed.data_changed_at(facts.get(ref) or {}) if need.kind == "ConfigMap" else None
            was = _well_before(facts, group, at) if at is not None else ""
            if at is not None and was:
                by_holder[ref].append((group, at, was))
                break
    for ref, several in sorted(by_holder.items()):
        group, at, was = several[0]
        one = trouble.worst(group)
        found = ended.finding(
            facts,
            group,
            cause=REGRESSION,
            confidence="likely",
            summary=f"{one.workload} fails since {ref}, which it reads, was changed: {was}.",
            evidence=(*_who(facts, ref), fact(ref, "data", sorted(fields.mapping(facts.get(ref), "data"))[:10])),
        )
        others = tuple(a for g, *_ in several[1:] for a in trouble.affected(g))
        yield Finding(
            cause=REGRESSION,
            object=ref,
            severity=lib.worst(ended.severity(facts, trouble.worst(g)) for g, *_ in several),
            confidence="likely",
            summary=found.summary,
            evidence=found.evidence,
            affects=tuple(dict.fromkeys((*found.affects, *others))),
            since=at,
            next=(
                lib.ask("get", "the values as they are", kind="configmap", name=ref.name, namespace=ref.namespace),
                *found.next[:1],
            ),
        )


def _well_before(facts: Facts, group: list[Trouble], at: datetime) -> str:
    """What shows that the workload was well with the values of before, "" where nothing does.

    Either pods that started before the change are ready and those that started since are not, of one template; or a
    pod that was ready before ceased to be so after the change.
    """
    failing = [_started(t) for t in group]
    if any(start is None or start < at - SLACK for start in failing) or not _one_template(facts, group[0].workload):
        return ""
    ailing = {t.ref for t in group}
    well = [
        pod
        for pod in lib.pods_of(facts, group[0].workload)
        if ref_of(pod, kinds.POD) not in ailing and podstate.ready(pod)
    ]
    older = [pod for pod in well if _running_since(pod, group[0]) < at]
    if len(older) < len(well):
        return ""  # a pod that reads the new values is ready too
    if older:
        return f"{lib.count(len(older), 'pod')} that started before are ready, those that started since are not"
    for one in group:
        ceased, made = podstate.not_ready_since(one.pod), fields.time_at(one.pod, "status", "startTime")
        if ceased and made and made < at - SLACK and at - SLACK <= ceased <= at + SOON and ceased > made + 2 * SLACK:
            return f"{one.ref} was ready until then"
    return ""


def _started(one: Trouble) -> datetime | None:
    """When the run began that fails."""
    return fields.time_at(one.end, "startedAt") or fields.time_at(one.container.status, "state", "running", "startedAt")


def _running_since(pod: Obj, one: Trouble) -> datetime:
    """When the same container of another pod began, the cluster's last moment where that is not known."""
    starts = [
        fields.time_at(c.status, "state", "running", "startedAt")
        for c in podstate.containers(pod)
        if c.name == one.container.name
    ]
    return next((s for s in starts if s), datetime.max.replace(tzinfo=UTC))


def _one_template(facts: Facts, workload: Ref) -> bool:
    """Whether the revisions that have pods differ in nothing but notes (a restart is such a revision)."""
    return all(_IDLE.match(change.field) for change in revisions.changed(facts, workload)) or not _several(
        facts, workload
    )


def _several(facts: Facts, workload: Ref) -> bool:
    live = [ref for ref in facts.graph.after(workload, "owns") if fields.number(facts.get(ref), "status", "replicas")]
    return len(live) > 1
