"""Which connections the workloads in scope need, as far as their settings, logs and Ingresses say. Pure.

For the rule about network policies: a policy that forbids what nobody asks for is no fault. Needed is a Service that a
setting names, or that a log could not reach; cluster DNS, for whoever names a host; and what an Ingress sends to, from
the pods of its controller. Probes come from the node, and no policy stops them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from firstmate_tools import fields, kinds, netpol, podstate
from firstmate_tools.diagnosis import backends, clusterdns, hosts, targets
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.hosts import Client, Host
from firstmate_tools.fields import Obj
from firstmate_tools.loglines import unreached
from firstmate_tools.netpol import Endpoint, Flow, Policy
from firstmate_tools.refs import Ref, controller_of, ref_of

DNS = Ref("Service", "kube-system", "kube-dns")
"""The Service of the cluster's DNS, under the name that every installer gives it."""
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:]*")
_UNANSWERED = re.compile(r"(?i)temporary failure|EAI_AGAIN|try again|time(?:d )?-?out")
"""Words of a name server that does not answer; one that says `no such host` was reached."""
_DNS_LABELS = {"k8s-app": "kube-dns"}
_GIVEN = re.compile(r"pod-template-hash|controller-revision-hash|(?:statefulset|apps|topology)\.kubernetes\.io/")
_CONTROLLER_PLACE = re.compile(r"(?i)ingress|traefik|contour|haproxy|kong|nginx")
_CONTROLLER = re.compile(r"(?i)ingress|traefik|contour-envoy|envoy|haproxy|kong")
MOST_PLACES = 2


@dataclass(frozen=True, slots=True)
class Need:
    """One connection that somebody needs.

    Attributes:
        who: the workload or Ingress that needs it.
        to: the Service.
        flows: any of these would do (ports of which the setting does not say which, several DNS ports).
        shown: what says so.
        said: the log line that misses it, None where no log does.
        label: what is reached, in words.
    """

    who: Ref
    to: Ref
    flows: tuple[Flow, ...]
    shown: Evidence
    label: str
    said: Evidence | None = field(default=None)


def labels_of_namespace(facts: Facts, name: str) -> dict[str, str] | None:
    """The labels of a namespace, None where it was not read."""
    obj = facts.get(Ref("Namespace", "", name))
    return fields.labels_of(obj) if obj is not None else None


def endpoint_of(facts: Facts, client: Client) -> Endpoint:
    namespace = client.ref.namespace
    return netpol.of_pod(client.template, namespace, labels_of_namespace(facts, namespace))


def needs(facts: Facts) -> tuple[Need, ...]:
    """What the workloads and Ingresses in scope need, in a stable order."""
    return facts.derived(_needs)


def _needs(facts: Facts) -> tuple[Need, ...]:
    return (*_of_clients(facts), *_of_ingresses(facts))


def _of_clients(facts: Facts) -> Iterator[Need]:
    for client in hosts.clients(facts):
        if not client.wanted:
            continue
        source = endpoint_of(facts, client)
        logged = _logged(facts, client)
        named = [*hosts.hosts(facts, client), *logged]
        if not named:
            continue
        yield from _dns(facts, client, source, named[0], logged)
        seen: set[tuple[Ref, int]] = set()
        for host in named:
            to = hosts.service(facts, client.ref.namespace, host.name)
            if to is None or to == DNS or (to, host.port) in seen or _is_own(facts, client.ref, to):
                continue
            seen.add((to, host.port))
            miss = next((_line(client, one) for one in logged if _same(facts, client, one, to)), None)
            miss = miss or _by_port(facts, client, logged, host, named)
            for flows in _flows(facts, source, to, host.port):
                shown = fact(host.holder or client.ref, host.field, host.value)
                yield Need(client.ref, to, flows, shown, str(to), miss)


def _by_port(facts: Facts, client: Client, logged: list[Host], host: Host, named: list[Host]) -> Evidence | None:
    """The line about an address that nobody has now, where its port is that of one setting alone.

    A Service that was made anew has another address, and a client may hold the old one, or that of a pod.
    """
    services = {hosts.service(facts, client.ref.namespace, one.name) for one in named if one.port == host.port}
    if not host.port or len(services - {None}) != 1:
        return None
    strays = (one for one in logged if one.port == host.port and _ADDRESS.fullmatch(one.name))
    return next((_line(client, one) for one in strays), None)


def _same(facts: Facts, client: Client, host: Host, to: Ref) -> bool:
    return hosts.service(facts, client.ref.namespace, host.name) == to


def _line(client: Client, host: Host) -> Evidence:
    return fact(client.ref, host.field, host.value)


def _is_own(facts: Facts, workload: Ref, service: Ref) -> bool:
    return workload in {facts.workload(ref) for ref in facts.graph.before(service, "selects")}


def _logged(facts: Facts, client: Client) -> list[Host]:
    """The hosts that logs of a workload's pods could not reach; addresses as the Service that has them."""
    by_address = facts.derived(_addresses)
    found: set[Host] = set()
    for pod, container, log in hosts.logs_read(facts, client.ref.namespace):
        if facts.workload(pod) != client.ref:
            continue
        for line in log.splitlines():
            for peer in unreached([line]):
                ref = by_address.get(peer.host)
                name = f"{ref.name}.{ref.namespace}.svc" if ref else peer.host
                found.add(Host(name.lower(), peer.port, f"log[{container}]", line.strip()[:400]))
    return sorted(found)


def _addresses(facts: Facts) -> dict[str, Ref]:
    return {
        address: ref_of(service, kinds.SERVICE)
        for service in facts.everywhere(kinds.SERVICE)
        for address in {fields.text(service, "spec", "clusterIP"), *fields.strings(service, "spec", "clusterIPs")}
    }


def _dns(facts: Facts, client: Client, source: Endpoint, host: Host, logged: list[Host]) -> Iterator[Need]:
    """Whoever names a host asks the cluster's DNS for it, unless the pod has name servers of its own."""
    if fields.text(client.template, "spec", "dnsPolicy") not in {"", "ClusterFirst", "ClusterFirstWithHostNet"}:
        return
    service = facts.get(DNS)
    labels = fields.string_map(service or {}, "spec", "selector") or _DNS_LABELS
    target = Endpoint(DNS.namespace, labels, labels_of_namespace(facts, DNS.namespace), partial=True)
    ports = {53} | {
        there for port in fields.items(service or {}, "spec", "ports") if isinstance(there := targets.target(port), int)
    }
    flows = tuple(Flow(source, target, port, "UDP") for port in sorted(ports))
    shown = fact(host.holder or client.ref, host.field, host.value)
    miss = next((_line(client, one) for one in logged if _asks_names(one.value)), None)
    line = clusterdns.complaints(facts).get(client.ref, "")
    if miss is None and _UNANSWERED.search(line):  # such a line need not name whom it asks for
        miss = fact(client.ref, "log", line)
    yield Need(client.ref, DNS, flows, shown, "the cluster's DNS", miss)


def _asks_names(line: str) -> bool:
    return bool(re.search(r"(?i)lookup|resol|no such host|EAI_AGAIN|ENOTFOUND|getaddrinfo|:53\b|unknown ?host", line))


def _flows(facts: Facts, source: Endpoint, to: Ref, port: int) -> Iterator[tuple[Flow, ...]]:
    """For each kind of pod behind a Service: the connections of which at least one has to be possible."""
    service = facts.get(to)
    if service is None or fields.text(service, "spec", "type") == "ExternalName":
        return
    every = fields.items(service, "spec", "ports")
    headless = fields.text(service, "spec", "clusterIP") == "None"
    chosen = [one for one in every if not port or fields.number(one, "port") == port]
    for target in _behind(facts, to):
        if headless and port and not chosen:
            yield (Flow(source, target, port),)
            continue
        flows = tuple(flow for one in chosen if (flow := _flow(source, target, one, port if headless else 0)))
        if flows:
            yield flows


def _flow(source: Endpoint, target: Endpoint, port: Obj, direct: int) -> Flow | None:
    """The connection that a port of a Service leads to; None where the name of its target is not known."""
    wanted, protocol = targets.target(port), fields.text(port, "protocol") or "TCP"
    number = direct or (target.ports.get((wanted, protocol), 0) if isinstance(wanted, str) else wanted)
    return Flow(source, target, number, protocol) if number else None


def _behind(facts: Facts, service: Ref) -> list[Endpoint]:
    """What stands behind a Service: workloads by template where those were read, else their pods, each kind once."""
    labels = labels_of_namespace(facts, service.namespace)
    found: dict[str, Endpoint] = {}
    for ref in facts.graph.before(service, "selects"):
        obj = facts.get(ref)
        if obj is None:
            continue
        if ref.kind == "Pod":
            owner = controller_of(obj)
            if podstate.finished(obj) or (owner is not None and facts.get(owner) is not None):
                continue
            plain = {key: value for key, value in fields.labels_of(obj).items() if not _GIVEN.match(key)}
            bare = {**obj, "metadata": {**fields.mapping(obj, "metadata"), "labels": plain}, "status": {}}
            end = netpol.of_pod(bare, service.namespace, labels)
        elif ref in facts.derived(_awake):
            end = netpol.of_pod(fields.mapping(obj, "spec", "template"), service.namespace, labels)
        else:
            continue
        found.setdefault(repr(end), end)
    return [found[key] for key in sorted(found)]


def _awake(facts: Facts) -> set[Ref]:
    """The workloads that want pods."""
    return {client.ref for client in hosts.clients(facts) if client.wanted}


def is_shut(facts: Facts, policies: list[Policy]) -> bool:
    """Whether policies isolate what an Ingress sends to, so that it matters where its controller runs."""
    stranger = Endpoint("-", {}, partial=True)
    for ingress in facts.all(kinds.INGRESS):
        for to, _ in _sent(ingress):
            for target in _behind(facts, to):
                if netpol.selecting(policies, target, "ingress"):
                    flows = [Flow(stranger, target, number) for number in sorted(set(target.ports.values()) or {80})]
                    if any(netpol.verdict(policies, flow).allowed is not True for flow in flows):
                        return True
    return False


def ingress_places(facts: Facts) -> list[str]:
    """The namespaces in which, by their names, controllers of Ingresses run."""
    names = sorted(fields.name_of(one) for one in facts.everywhere(kinds.NAMESPACE))
    return [name for name in names if _CONTROLLER_PLACE.search(name)][:MOST_PLACES]


def _controllers(facts: Facts) -> list[Endpoint]:
    found: dict[str, Endpoint] = {}
    for place in ingress_places(facts):
        for pod in facts.all(kinds.POD, place):
            labels = fields.labels_of(pod)
            of_it = any(_CONTROLLER.search(labels.get(key, "")) for key in ("app.kubernetes.io/name", "app", "name"))
            helper = labels.get("app.kubernetes.io/component", "") in {"admission-webhook", "default-backend"}
            if of_it and not helper and not podstate.finished(pod) and controller_of(pod) is not None:
                plain = {key: value for key, value in labels.items() if not _GIVEN.match(key)}
                bare = {**pod, "metadata": {**fields.mapping(pod, "metadata"), "labels": plain}, "status": {}}
                end = netpol.of_pod(bare, place, labels_of_namespace(facts, place))
                found.setdefault(repr(end), end)
    return [found[key] for key in sorted(found)]


def _of_ingresses(facts: Facts) -> Iterator[Need]:
    """Where several controllers run, one that comes through is enough: which takes an Ingress is not looked at."""
    sources = _controllers(facts)
    for ingress in facts.all(kinds.INGRESS) if sources else []:
        ref = ref_of(ingress, kinds.INGRESS)
        for to, port in _sent(ingress):
            service = facts.get(to) or {}
            chosen = [p for p in fields.items(service, "spec", "ports") if port in (p.get("port"), p.get("name"))]
            for one in chosen[:1]:
                for target in _behind(facts, to):
                    flows = tuple(flow for source in sources if (flow := _flow(source, target, one, 0)))
                    if flows:
                        shown = fact(ref, "spec.rules", f"sends to {to.name}:{port}")
                        yield Need(ref, to, flows, shown, str(to))


def _sent(ingress: Obj) -> Iterable[tuple[Ref, int | str]]:
    found: set[tuple[Ref, int | str]] = set()
    for _, backend in backends.of_ingress(ingress):
        name, port = fields.text(backend, "service", "name"), fields.mapping(backend, "service", "port")
        number: int | str = fields.number(port, "number") or fields.text(port, "name")
        if name and number:
            found.add((Ref("Service", fields.namespace_of(ingress), name), number))
    return sorted(found, key=repr)
