"""Names that a workload cannot resolve: of a Service that does not exist, or because of the pod's own DNS settings.

A setting that names nothing is benign until somebody uses it, so that a missing Service needs the word of a log. Pods
with settings of their own are judged where they name Services of the cluster.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import clusterdns, dnsconfig, hosts, lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.hosts import Client, Host
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, LogWant, Verdicts, Want, explains, rule
from firstmate_tools.loglines import unreached
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

CAUSE = "service-host-reference-invalid"
MOST_LOGS = 3
MOST_ASKED = 3
OBSERVED = (
    kinds.SERVICE,
    kinds.POD,
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.CRON_JOB,
)
_VICTIMS = (
    "application-exits-on-error",
    "readiness-probe-misconfigured",
    "liveness-probe-misconfigured",
    "init-container-failing",
)
_ELSEWHERE = re.compile(
    r"(?i)(?:UnknownHostException:|can't (?:find|resolve)|getaddrinfo(?: failed)?(?: for)?:?)\s+"
    r"(?:E[A-Z]+(?:_[A-Z]+)?\s+)?'?"  # Node names its error before the host
    r"([a-z0-9][a-z0-9.-]{0,251})"
)
_OWN = frozenset({"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"})


@dataclass(frozen=True, slots=True)
class Lost:
    """A name that a workload asks for in vain.

    Attributes:
        to: the Service that it would be.
        alias: the ExternalName Service by which the name leads there, None where it names the Service itself.
        line: of the log, as evidence.
        setting: where the name comes from, None where no setting was seen.
    """

    client: Client
    name: str
    to: Ref
    line: Evidence
    setting: Host | None
    alias: Ref | None = None


def logs(facts: Facts) -> Iterable[Want]:
    """The logs of workloads that name Services that do not exist, and what those of other namespaces are."""
    seen: list[Ref] = []
    for client, _, to in facts.derived(hosts.named_services):
        if facts.exists(to) is False and client.wanted and client.ref not in seen:
            seen.append(client.ref)
    for ref in seen[:MOST_LOGS]:
        for pod in lib.pods_of(facts, ref)[:1]:
            for container in podstate.containers(pod):
                if container.role == "app" and (container.running or container.restarts):
                    well = container.running and container.ready
                    yield LogWant(ref.namespace, fields.name_of(pod), container.name, not container.running, aside=well)
    unknown = sorted({one.to for one in facts.derived(_lost) if facts.exists(one.to) is None})
    yield from (GetWant(kinds.SERVICE, ref) for ref in unknown[:MOST_ASKED])


@rule(
    causes=(CAUSE,),
    observes=OBSERVED,
    digs=(Read(kinds.POD, ("get",), "log"), Read(kinds.SERVICE, ("get",))),
    wants=logs,
    explains=(*BACKENDS, *explains(*_VICTIMS, along=("owns",))),
    confirms=(kinds.SERVICE,),
)
def host_reference(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/"""
    complained: set[tuple[Ref, Ref]] = set()
    for one in facts.derived(_lost):
        if facts.exists(one.to) is False and (one.client.ref, one.to) not in complained:
            complained.add((one.client.ref, one.to))
            yield _invalid(facts, one)
    for client, host, to in facts.derived(hosts.named_services):
        if facts.exists(to) is False and (client.ref, to) not in complained:
            yield RuledOut(CAUSE, f"{client.ref} names {host.name}, which does not exist, and no log misses it")


def _lost(facts: Facts) -> tuple[Lost, ...]:
    return tuple(lost for client in hosts.clients(facts) for lost in _lost_by(facts, client))


def _lost_by(facts: Facts, client: Client) -> Iterator[Lost]:
    settings = {host.name: host for host in hosts.hosts(facts, client)}
    for pod, container, log in hosts.logs_read(facts, client.ref.namespace):
        if facts.workload(pod) != client.ref or not _runs(facts, pod, container):
            continue
        for line in log.splitlines():
            for name in sorted(_missed(line, settings)):
                to = hosts.service(facts, client.ref.namespace, name)
                if to is not None and name not in _OWN:
                    said = fact(client.ref, f"log[{container}]", line.strip())
                    setting, beyond = _setting(facts, client, settings, to), _beyond(facts, to)
                    yield Lost(client, name, beyond or to, said, setting, to if beyond else None)


def _beyond(facts: Facts, service: Ref) -> Ref | None:
    """The Service of this cluster to which an ExternalName leads. Its name is taken whole, without search domains."""
    obj = facts.get(service) or {}
    if fields.text(obj, "spec", "type") != "ExternalName":
        return None
    parts = fields.text(obj, "spec", "externalName").rstrip(".").lower().split(".")
    return Ref("Service", parts[1], parts[0]) if len(parts) > 3 and parts[2] == "svc" else None


def _runs(facts: Facts, pod: Ref, container: str) -> bool:
    """Whether it is one of the containers that serve; those that come before have causes of their own."""
    every = podstate.containers(facts.get(pod) or {})
    return any(one.name == container and one.role in {"app", "sidecar"} for one in every)


def _setting(facts: Facts, client: Client, settings: dict[str, Host], to: Ref) -> Host | None:
    return next(
        (host for name, host in settings.items() if hosts.service(facts, client.ref.namespace, name) == to), None
    )


def _missed(line: str, settings: dict[str, Host]) -> set[str]:
    """The names that a line says do not resolve."""
    line = line[:1000]
    if not clusterdns.UNRESOLVED.search(line):
        return set()
    found = {peer.host.lower().rstrip(".") for peer in unreached([line])} | {
        name.lower().rstrip(".") for name in _ELSEWHERE.findall(line)
    }
    found |= {name for name in settings if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", line)}
    return {name for name in found if not name.replace(".", "").isdigit()}


def _invalid(facts: Facts, one: Lost) -> Finding:
    ref, to = one.client.ref, one.to
    every = [fields.name_of(s) for s in facts.all(kinds.SERVICE, to.namespace)]
    near = get_close_matches(to.name, every, 1, 0.7)
    meant = f" Probably {near[0]} is meant." if near else ""
    where = f" ({one.setting.field.rpartition('.')[2]})" if one.setting else ""
    place = "" if to.namespace == ref.namespace else f" in namespace {to.namespace}"
    evidence = [one.line, fact(to, "metadata.name", "(does not exist)")]
    if one.setting is not None:
        evidence.insert(0, fact(one.setting.holder or ref, one.setting.field, one.setting.value))
    by = ""
    if one.alias is not None:
        by = f", which Service {one.alias.name} passes on"
        evidence.append(quote(one.alias, facts.get(one.alias) or {}, "spec", "externalName"))
    return Finding(
        cause=CAUSE,
        object=one.alias or ref,
        severity=lib.severity(facts, ref),
        confidence="certain" if one.setting is not None or one.alias is not None else "likely",
        summary=f"{ref} calls {one.name}{where}{by}, but there is no Service {to.name}{place}.{meant}",
        evidence=tuple(evidence),
        affects=(ref,),
        next=(lib.ask("get", "the Services that there are", kind="service", namespace=to.namespace),),
    )


def dns_service(facts: Facts) -> Iterator[Want]:
    """The address of the cluster's DNS, where a pod brings name servers of its own."""
    if any(
        fields.text(client.template, "spec", "dnsPolicy") == "None" and client.wanted for client in hosts.clients(facts)
    ):
        yield GetWant(kinds.SERVICE, clusterdns.SERVICE)


@rule(
    causes=("pod-dns-config-invalid",),
    observes=(*OBSERVED, kinds.EVENT),
    digs=(Read(kinds.SERVICE, ("get",)),),
    wants=dns_service,
    explains=(*BACKENDS, *explains(*_VICTIMS, CAUSE, along=("owns",))),
)
def pod_dns(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy"""
    yield from dnsconfig.verdicts(facts)
