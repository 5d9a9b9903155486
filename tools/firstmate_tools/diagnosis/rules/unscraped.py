"""Kubelets that metrics-server cannot read: the API answers, and knows nothing of some nodes and of what runs there.

Looked at where an autoscaler gets no metrics, and where the question is about the whole cluster. metrics-server is
ready as soon as one kubelet has answered, and its APIService with it: what is missing shows only in its lists.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.rule import GetWant, ListWant, LogWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.autoscaling import HPA, OBSERVED, api_of, autoscalers, blind
from firstmate_tools.diagnosis.rules.containers import LOGS
from firstmate_tools.diagnosis.rules.neighbours import NODE_METRICS
from firstmate_tools.fields import Obj
from firstmate_tools.graph import scale_target
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

CAUSE, GROUP = "metrics-server-cannot-scrape", "metrics.k8s.io"
API = api_of(GROUP)
SCRAPES, EVERY_S = 2, 60
"""So many scrapes has a node to be there before metrics-server tells of it; the time between them is its flag's default
(cmd/metrics-server/app/options, v0.8), the manifests set less."""
MOST_NAMED = 3
_EVERY = re.compile(r"--metric-resolution=(\d{1,4})(s|m)")
_FAILED = re.compile(r"Failed to scrape node|unable to fully scrape metrics")
_WHY = (
    (re.compile(r"x509|tls:"), "the kubelets' certificates are not trusted"),
    (re.compile(r"(?i)forbidden|unauthorized|\b40[13]\b"), "it may not read them"),
    (re.compile(r"(?i)no such host|lookup "), "their names are not found"),
    (re.compile(r"(?i)timeout|deadline exceeded|refused|no route"), "they cannot be reached on their port"),
)
"""Words of metrics-server's log (pkg/scraper/scraper.go, v0.8) and of what Go says of a failed request."""


def without_metrics(facts: Facts) -> list[Obj]:
    """The nodes that are ready, were so for a while, and of which the metrics API does not know."""
    if not facts.knows(NODE_METRICS) or facts.exists(API) is False or not _answers(facts):
        return []
    return [node for node in _nodes(facts) if not _known(facts, node) and _settled(facts, node)]


def _nodes(facts: Facts) -> list[Obj]:
    return facts.everywhere(kinds.NODE)


def _known(facts: Facts, node: Obj) -> bool:
    """Whether the metrics API knows of a node."""
    return facts.get(Ref(NODE_METRICS.kind, "", fields.name_of(node))) is not None


def _answers(facts: Facts) -> bool:
    """Whether the API is registered with a backend that answers: one whose kind is a plain CRD is none of ours."""
    return fields.condition(facts.get(API) or {}, "Available").get("status") == "True"


def _patience(facts: Facts) -> timedelta:
    """How long metrics-server takes to tell of a new node."""
    service = _service(facts)
    template = lib.named_template(facts, Ref("Deployment", service.namespace, service.name)) if service else {}
    flags = [arg for c in fields.items(template, "spec", "containers") for arg in fields.strings(c, "args")]
    match = next((m for flag in flags if (m := _EVERY.fullmatch(flag))), None)
    return timedelta(seconds=SCRAPES * (int(match[1]) * (60 if match[2] == "m" else 1) if match else EVERY_S))


def _settled(facts: Facts, node: Obj) -> bool:
    ready = fields.condition(node, "Ready")
    since = fields.time_at(ready, "lastTransitionTime") or fields.time_at(node, "metadata", "creationTimestamp")
    return ready.get("status") == "True" and (since is None or facts.now - since >= facts.derived(_patience))


def _wants(facts: Facts) -> Iterable[Want]:
    whole = facts.scope.namespace is None
    if not whole and not any(blind(hpa) == GROUP for hpa in autoscalers(facts)):
        return
    yield ListWant(NODE_METRICS)
    yield GetWant(kinds.API_SERVICE, API)
    where = _service(facts)
    if where is None or not facts.knows(NODE_METRICS) or all(_known(facts, node) for node in _nodes(facts)):
        return
    yield GetWant(kinds.DEPLOYMENT, Ref("Deployment", where.namespace, where.name))
    if facts.derived(without_metrics):
        yield ListWant(kinds.POD, where.namespace)
        for pod in _servers(facts, where)[:1]:
            for container in podstate.containers(pod)[:1]:
                yield LogWant(where.namespace, fields.name_of(pod), container.name, aside=True)


def _service(facts: Facts) -> Ref | None:
    """The Service behind the metrics API."""
    service = fields.mapping(facts.get(API) or {}, "spec", "service")
    name, namespace = fields.text(service, "name"), fields.text(service, "namespace")
    return Ref("Service", namespace, name) if name and namespace else None


def _servers(facts: Facts, service: Ref) -> list[Obj]:
    """The pods behind it: those of the workload that bears its name, as every chart has it, that run."""
    workload = Ref("Deployment", service.namespace, service.name)
    labels = fields.string_map(facts.get(workload), "spec", "selector", "matchLabels")
    if not labels:
        return []
    return [
        pod
        for pod in facts.all(kinds.POD, service.namespace)
        if labels.items() <= fields.labels_of(pod).items() and podstate.ready(pod)
    ]


@rule(
    causes=(CAUSE,),
    observes=(*OBSERVED, kinds.NODE),
    digs=(
        Read(NODE_METRICS, ("list",)),
        Read(kinds.API_SERVICE, ("get", "list")),
        Read(kinds.DEPLOYMENT, ("get",)),
        Read(kinds.POD, ("list",)),
        *LOGS,
    ),
    wants=_wants,
    explains=explains("hpa-metrics-unavailable", along=("scales",)),
)
def unscraped_nodes(facts: Facts) -> Verdicts:
    """https://github.com/kubernetes-sigs/metrics-server/blob/master/KNOWN_ISSUES.md"""
    missing = facts.derived(without_metrics)
    if not missing:
        return
    names = sorted(fields.name_of(node) for node in missing)
    total = sum(1 for node in _nodes(facts) if _settled(facts, node))
    where = _service(facts)
    workload = Ref("Deployment", where.namespace, where.name) if where else API
    target = workload if facts.get(workload) is not None else where or API
    line, why = _logged(facts, where, names) if where else (None, "")
    hit = [ref_of(hpa, HPA) for hpa in autoscalers(facts) if blind(hpa) == GROUP and _lives_on(facts, hpa, set(names))]
    scaled = f" {lib.some(map(str, hit))} {'scales' if len(hit) == 1 else 'scale'} nothing for that." if hit else ""
    which = (
        "all of the cluster's nodes" if len(names) == total else f"{lib.some(names)} ({len(names)} of {total} nodes)"
    )
    yield Finding(
        cause=CAUSE,
        object=target,
        severity="warning",
        confidence="certain" if line is not None else "likely",
        summary=f"The metrics API answers, and has no metrics of {which}{f': {why}' if why else ''}.{scaled}",
        evidence=(
            *([line] if line is not None else []),
            *(
                fact(Ref(NODE_METRICS.kind, "", name), "metadata.name", "(does not exist)")
                for name in names[:MOST_NAMED]
            ),
            *_evidence(facts),
        ),
        affects=tuple(hit),
        culprit=CAUSE,
        next=(
            lib.ask("logs", "what it says of these nodes", namespace=target.namespace, scope=str(target))
            if target.kind == "Deployment"
            else lib.ask("get", "what is behind the API", kind="apiservice", name=API.name),
        ),
    )


def _evidence(facts: Facts) -> Iterator[Evidence]:
    available = fields.condition(facts.get(API) or {}, "Available")
    since = fields.time_at(available, "lastTransitionTime")
    yield fact(API, "status.conditions[Available]", f"{available.get('status')} {available.get('reason', '')}", since)


def _logged(facts: Facts, service: Ref, names: list[str]) -> tuple[Evidence | None, str]:
    """The newest line of the server's log about one of these nodes, and what it says in words of ours."""
    for pod in _servers(facts, service):
        for container in podstate.containers(pod):
            log = facts.log(service.namespace, fields.name_of(pod), container.name) or ""
            lines = [line for line in log.splitlines() if _FAILED.search(line) and any(name in line for name in names)]
            if lines:
                why = next((words for pattern, words in _WHY if pattern.search(lines[-1])), "")
                return fact(ref_of(pod, kinds.POD), f"log[{container.name}]", lines[-1]), why
    return None, ""


def _lives_on(facts: Facts, hpa: Obj, names: set[str]) -> bool:
    """Whether all that an autoscaler scales runs on these nodes."""
    target = scale_target(hpa)
    pods = lib.pods_of(facts, target) if target else []
    return bool(pods) and all(fields.text(pod, "spec", "nodeName") in names for pod in pods)
