"""Services that work on some nodes only: traffic that may not leave its node, kube-proxy that does not run.

Everything is green in both: it depends on the node of the caller.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, hosts, lib, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Verdicts, Want, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.loglines import unreached
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

LOCAL = "traffic-policy-local-no-endpoint"
PROXY = Ref("DaemonSet", "kube-system", "kube-proxy")
MOST_NAMED = 20
_VICTIMS = (
    "application-exits-on-error",
    "readiness-probe-misconfigured",
    "liveness-probe-misconfigured",
    "init-container-failing",
    "init-container-waiting",
)


@rule(
    causes=(LOCAL,),
    observes=(
        kinds.SERVICE,
        kinds.POD,
        kinds.NODE,
        kinds.DEPLOYMENT,
        kinds.REPLICA_SET,
        kinds.STATEFUL_SET,
        kinds.DAEMON_SET,
        kinds.JOB,
        kinds.CRON_JOB,
    ),
    explains=(*BACKENDS, *explains(*_VICTIMS, along=("owns",))),
    confirms=(kinds.SERVICE, kinds.POD),
)
def traffic_policy_local(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-policies

    A load balancer asks the health check port of each node and leaves out those without a pod, so that the external
    policy is a fault only for node ports, which nobody asks about their health. A Service of which no pod at all is
    ready is another matter.
    """
    for service in facts.all(kinds.SERVICE):
        ref = ref_of(service, kinds.SERVICE)
        if not backends.serves(service) or podstate.terminating(service) or not facts.knows(kinds.POD, ref.namespace):
            continue
        there = {_node(pod) for pod in backends.pods_behind(facts, ref) if podstate.ready(pod)} - {""}
        if not there:
            continue
        if fields.text(service, "spec", "internalTrafficPolicy") == "Local":
            yield from _internal(facts, service, ref, there)
        if fields.text(service, "spec", "externalTrafficPolicy") == "Local":
            yield from _external(facts, service, ref, there)


def _node(pod: Obj) -> str:
    return fields.text(pod, "spec", "nodeName")


def _internal(facts: Facts, service: Obj, ref: Ref, there: set[str]) -> Iterator[Finding]:
    lost: dict[Ref, set[str]] = defaultdict(set)
    shown: list[Evidence] = []
    for client, host in hosts.users(facts, ref):
        far = {_node(pod) for pod in lib.pods_of(facts, client.ref)} - there - {""}
        if far:
            lost[client.ref] |= far
            shown.append(fact(host.holder or client.ref, host.field, host.value))
    if not lost:
        yield from _unknown_callers(facts, service, ref, there)
        return
    nodes = {node for far in lost.values() for node in far}
    yield Finding(
        cause=LOCAL,
        object=ref,
        severity="critical",
        confidence="certain",
        summary=(
            f"Service {ref.name} keeps traffic on its caller's node (internalTrafficPolicy Local), and has no ready "
            f"pod on {lib.some(nodes)}, where {lib.some(map(str, lost))} runs: connections from there are dropped."
        ),
        evidence=(
            quote(ref, service, "spec", "internalTrafficPolicy"),
            fact(ref, "nodes with a ready pod", ", ".join(sorted(there)[:10])),
            fact(sorted(lost)[0], "nodes of its pods", ", ".join(sorted(lost[sorted(lost)[0]])[:10])),
            *shown[:2],
        ),
        affects=(*backends.workloads_behind(facts, ref), *_claimed(facts, sorted(lost), ref)[:MOST_NAMED], ref),
        next=(lib.ask("get", "the Service as it is", kind="service", name=ref.name, namespace=ref.namespace),),
    )


def _claimed(facts: Facts, callers: list[Ref], service: Ref) -> list[Ref]:
    """The callers, without those that are in trouble and do not say that it is for this."""
    ailing = {one.workload for one in trouble.troubled(facts)}
    says = {
        facts.workload(pod)
        for pod, _, log in hosts.logs_read(facts)
        for peer in unreached(log.splitlines())
        if hosts.service(facts, pod.namespace, peer.host) == service
    }
    return [ref for ref in callers if ref not in ailing or ref in says]


def _unknown_callers(facts: Facts, service: Obj, ref: Ref, there: set[str]) -> Iterator[Finding]:
    """Nobody here is seen to call it: nodes without a pod are a weakness, unless each has one by design."""
    behind = backends.workloads_behind(facts, ref)
    nodes = {fields.name_of(node) for node in facts.everywhere(kinds.NODE) if _serves(node)}
    if hosts.users(facts, ref) or all(one.kind == "DaemonSet" for one in behind) or nodes <= there:
        return
    yield Finding(
        cause=LOCAL,
        object=ref,
        severity="info",
        confidence="possible",
        summary=(
            f"Service {ref.name} keeps traffic on its caller's node (internalTrafficPolicy Local), and "
            f"{lib.count(len(nodes - there), 'node')} ({lib.some(nodes - there)}) has no ready pod: callers there fail."
        ),
        evidence=(
            quote(ref, service, "spec", "internalTrafficPolicy"),
            fact(ref, "nodes with a ready pod", ", ".join(sorted(there)[:10])),
        ),
        affects=tuple(behind),
    )


def _external(facts: Facts, service: Obj, ref: Ref, there: set[str]) -> Iterator[Finding]:
    if not facts.knows(kinds.NODE):
        return
    without = sorted({fields.name_of(node) for node in facts.everywhere(kinds.NODE) if _serves(node)} - there)
    balanced = fields.text(service, "spec", "type") == "LoadBalancer"
    if not without or balanced:
        return
    behind = backends.workloads_behind(facts, ref)
    on_purpose = all(one.kind == "DaemonSet" for one in behind)
    yield Finding(
        cause=LOCAL,
        object=ref,
        severity="info" if on_purpose else "warning",
        confidence="likely",
        summary=(
            f"Service {ref.name} keeps outside traffic on the node that it reaches (externalTrafficPolicy Local), and "
            f"{lib.count(len(without), 'node')} ({lib.some(without)}) has no ready pod: its node port is dead there."
        ),
        evidence=(
            quote(ref, service, "spec", "externalTrafficPolicy"),
            quote(ref, service, "spec", "type"),
            fact(ref, "nodes with a ready pod", ", ".join(sorted(there)[:10])),
        ),
        affects=tuple(behind),
        next=(lib.ask("get", "the Service as it is", kind="service", name=ref.name, namespace=ref.namespace),),
    )


def _serves(node: Obj) -> bool:
    """Whether traffic may be sent to a node: it is ready, takes pods, and is none of the control plane."""
    labels = fields.labels_of(node)
    kept_out = "node.kubernetes.io/exclude-from-external-load-balancers" in labels
    control = "node-role.kubernetes.io/control-plane" in labels
    ready = fields.condition(node, "Ready").get("status") == "True"
    return ready and not kept_out and not control and not fields.flag(node, "spec", "unschedulable")


def proxies(facts: Facts) -> Iterable[Want]:
    """kube-proxy's DaemonSet where something here is in trouble, its pods where that has not all of them."""
    if facts.scope.namespace in {None, PROXY.namespace} or not _suspected(facts):
        return
    yield GetWant(kinds.DAEMON_SET, PROXY)
    proxy = facts.get(PROXY)
    if proxy is not None and _ready(proxy) < fields.number(proxy, "status", "desiredNumberScheduled"):
        yield ListWant(kinds.POD, PROXY.namespace)


def _ready(proxy: Obj) -> int:
    return fields.number(proxy, "status", "numberReady")


def _suspected(facts: Facts) -> bool:
    return bool(facts.derived(_missing)) or trouble.has_run(facts)


def _missing(facts: Facts) -> dict[Ref, str]:
    """Pods in scope of which a log could not reach something, with such a line."""
    found: dict[Ref, str] = {}
    for ref, _, log in hosts.logs_read(facts):
        lines = [line for line in log.splitlines() if unreached([line])]
        if lines:
            found.setdefault(ref, lines[-1].strip())
    return found


@rule(
    causes=("kube-proxy-not-running",),
    observes=(kinds.POD, kinds.NODE, kinds.DAEMON_SET),
    digs=(Read(kinds.DAEMON_SET, ("get",)), Read(kinds.POD, ("list",))),
    wants=proxies,
    explains=(*BACKENDS, *explains(*_VICTIMS, along=("owns",))),
    confirms=(kinds.POD,),
)
def kube_proxy(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/#is-the-kube-proxy-working

    A cluster whose network plugin replaces kube-proxy has no such DaemonSet. A node that is itself unwell explains its
    pods; Fargate and virtual nodes have none, and nodes of EKS Auto Mode run it outside of the cluster.
    """
    proxy = facts.get(PROXY)
    if proxy is None or not (facts.knows(kinds.NODE) and facts.knows(kinds.POD, PROXY.namespace)):
        return
    pods = [facts.get(ref) for ref in facts.graph.after(PROXY, "owns") if ref.kind == "Pod"]
    mine: dict[str, Obj] = {_node(pod): pod for pod in sorted((p for p in pods if p), key=podstate.ready)}
    bad: dict[str, str] = {}
    for node in facts.everywhere(kinds.NODE):
        name, pod = fields.name_of(node), mine.get(fields.name_of(node))
        if not _needs_proxy(node) or (podstate.healthy(pod, facts.now) if pod is not None else _is_young(facts, node)):
            continue
        bad[name] = podstate.status_text(pod) if pod is not None else "no pod"
    if bad:
        yield _not_running(facts, proxy, mine, bad)


def _needs_proxy(node: Obj) -> bool:
    labels = fields.labels_of(node)
    elsewhere = (
        labels.get("kubernetes.io/os", "linux") != "linux"
        or labels.get("eks.amazonaws.com/compute-type") in {"fargate", "auto"}
        or labels.get("type") == "virtual-kubelet"
    )
    return fields.condition(node, "Ready").get("status") == "True" and not elsewhere


def _is_young(facts: Facts, node: Obj) -> bool:
    made = fields.time_at(node, "metadata", "creationTimestamp")
    return made is not None and facts.now - made < podstate.START_UP


def _not_running(facts: Facts, proxy: Obj, mine: dict[str, Obj], bad: dict[str, str]) -> Finding:
    missing = facts.derived(_missing)
    hurt = sorted(ref for ref in missing if _node(facts.get(ref) or {}) in bad)
    states = ", ".join(f"{node}: {state}" for node, state in sorted(bad.items())[:3])
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return Finding(
        cause="kube-proxy-not-running",
        object=PROXY,
        severity="critical",
        confidence="certain",
        summary=(
            f"kube-proxy does not run on {lib.count(len(bad), 'node')} ({states}{more}): addresses of Services do not "
            f"work there, or lead to pods of the past."
        ),
        evidence=(
            fact(
                PROXY,
                "status.numberReady",
                f"{_ready(proxy)} of {fields.number(proxy, 'status', 'desiredNumberScheduled')}",
            ),
            *(_state(mine.get(node), node) for node in sorted(bad)[:3]),
            *(fact(ref, "log", missing[ref]) for ref in hurt[:2]),
        ),
        affects=(
            *(ref_of(mine[node], kinds.POD) for node in sorted(bad)[:MOST_NAMED] if node in mine),
            *hurt[:MOST_NAMED],
            *sorted({facts.workload(ref) for ref in hurt})[:MOST_NAMED],
        ),
        since=lib.earliest(podstate.not_ready_since(mine[node]) for node in bad if node in mine),
        next=(
            lib.ask("diagnose", "why its pods do not run", scope="daemonset/kube-proxy", namespace=PROXY.namespace),
            *(lib.ask("node_status", "the node", node=node) for node in sorted(bad)[:1]),
        ),
    )


def _state(pod: Obj | None, node: str) -> Evidence:
    if pod is None:
        return fact(Ref("Node", "", node), "kube-proxy", "no pod")
    return fact(ref_of(pod, kinds.POD), "status", f"{podstate.status_text(pod)} on {node}")
