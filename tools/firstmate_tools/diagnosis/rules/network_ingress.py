"""Ingresses that nobody takes, that lead nowhere, or that show an expired certificate; Services without load balancer.

A load balancer takes minutes to come, and a cluster may have nobody who makes any: silence counts only when it is old.
Certificates are not read, for they lie in Secrets: that one has expired is what cert-manager says of it.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from difflib import get_close_matches

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, lib
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import ListWant, Verdicts, Want, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

LEGACY = "kubernetes.io/ingress.class"
IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
"""The finalizer that a cloud's controller puts on a Service before it makes a load balancer."""
SILENCE = timedelta(minutes=3)
"""After which a load balancer of which nobody speaks is missing; before that it is told, and alarms nobody."""
REFUSALS = ("SyncLoadBalancerFailed", "UnAvailableLoadBalancer", "CreatingLoadBalancerFailed")
"""Reasons of k8s.io/cloud-provider controllers/service/controller.go (v0.36) and of older ones."""
OTHERS = ("FailedBuildModel", "FailedDeployModel")
"""What the AWS Load Balancer Controller says, which is a cause of its own."""
CERTIFICATE = Kind("Certificate", "certificates", "cert-manager.io", "v1")


def classes(facts: Facts) -> Iterable[Want]:
    """The classes that there are, where an Ingress has no address."""
    if any(not _addresses(one) for one in facts.all(kinds.INGRESS)):
        yield ListWant(kinds.INGRESS_CLASS)


def _addresses(obj: Obj) -> list[Obj]:
    return fields.items(obj, "status", "loadBalancer", "ingress")


@rule(
    causes=("ingress-class-invalid",),
    observes=(kinds.INGRESS,),
    digs=(Read(kinds.INGRESS_CLASS, ("list",)),),
    wants=classes,
    confirms=(kinds.INGRESS,),
)
def ingress_class(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class

    An Ingress that was made without a class while there was no default one never gets one. The older annotation names
    what the controller was told to look for, and needs no object. A cluster without any class has controllers that ask
    for none, or no controller.
    """
    if not facts.knows(kinds.INGRESS_CLASS):
        return
    known = {fields.name_of(one): one for one in facts.everywhere(kinds.INGRESS_CLASS)}
    defaults = [name for name, one in known.items() if _annotation(one, IS_DEFAULT) == "true"]
    for ingress in facts.all(kinds.INGRESS):
        if podstate.terminating(ingress) or _addresses(ingress):
            continue
        wanted, legacy = fields.text(ingress, "spec", "ingressClassName"), _annotation(ingress, LEGACY)
        if wanted and wanted not in known:
            there = f"; there is {lib.some(known)}" if known else "; there is no class at all"
            yield _unclassed(facts, ingress, f"names the class {wanted}, which does not exist{there}", known)
        elif wanted and legacy and legacy != wanted:
            yield _unclassed(facts, ingress, f"names two classes, {wanted} and by its annotation {legacy}", known)
        elif not wanted and not legacy and known and not defaults:
            yield _unclassed(facts, ingress, f"names no class, and none of {lib.some(known)} is the default", known)


def _annotation(obj: Obj, key: str) -> str:
    return fields.string_map(obj, "metadata", "annotations").get(key, "")


def _unclassed(facts: Facts, ingress: Obj, why: str, known: dict[str, Obj]) -> Finding:
    ref = ref_of(ingress, kinds.INGRESS)
    wanted = fields.text(ingress, "spec", "ingressClassName")
    near = get_close_matches(wanted, known, 1) if wanted else []
    meant = f" Probably {near[0]} is meant." if near else ""
    return Finding(
        cause="ingress-class-invalid",
        object=ref,
        severity="critical" if wanted else "warning",
        confidence="certain" if wanted else "likely",
        summary=f"Ingress {ref.name} {why}, so that no controller takes it: it has no address.{meant}",
        evidence=(
            quote(ref, ingress, "spec", "ingressClassName"),
            fact(ref, "status.loadBalancer.ingress", None),
            *(fact(Ref("IngressClass", "", name), "metadata.name", name) for name in sorted(known)[:3]),
        ),
        affects=tuple(sorted(facts.graph.before(ref, "routes"))[:10]),
        since=fields.time_at(ingress, "metadata", "creationTimestamp"),
        next=(lib.ask("get", "the classes that there are", kind="ingressclass"),),
    )


@rule(
    causes=("ingress-backend-missing",),
    observes=(kinds.INGRESS, kinds.SERVICE),
    confirms=(kinds.INGRESS, kinds.SERVICE),
)
def ingress_backend(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/ingress/#the-ingress-resource

    What the AWS Load Balancer Controller reads from an annotation (`use-annotation`) is no Service; a resource backend
    neither; and an ExternalName Service needs no port.
    """
    for ingress in facts.all(kinds.INGRESS):
        ref = ref_of(ingress, kinds.INGRESS)
        if podstate.terminating(ingress) or not facts.knows(kinds.SERVICE, ref.namespace):
            continue
        lacks = [lack for path, backend in backends.of_ingress(ingress) if (lack := _lack(facts, ref, path, backend))]
        if lacks:
            yield _leads_nowhere(ref, lacks, [*backends.of_ingress(ingress)])


def _lack(facts: Facts, ingress: Ref, path: str, backend: Obj) -> tuple[str, Evidence, Evidence] | None:
    """What is missing of a backend, where that is said, and what is there instead."""
    name = fields.text(backend, "service", "name")
    port = fields.mapping(backend, "service", "port")
    number, by_name = fields.number(port, "number"), fields.text(port, "name")
    if not name or by_name == "use-annotation":
        return None
    ref = Ref("Service", ingress.namespace, name)
    service = facts.get(ref)
    wanted = fact(ingress, path, backend)
    if service is None:
        every = [fields.name_of(one) for one in facts.all(kinds.SERVICE, ingress.namespace)]
        near = get_close_matches(name, every, 1)
        meant = f" (there is {near[0]})" if near else ""
        return f"Service {name}, which does not exist{meant}", wanted, fact(ref, "metadata.name", "(does not exist)")
    if fields.text(service, "spec", "type") == "ExternalName" or not (number or by_name):
        return None
    ports = fields.items(service, "spec", "ports")
    if any((number and fields.number(p, "port") == number) or (by_name and p.get("name") == by_name) for p in ports):
        return None
    has = lib.some(f"{fields.text(p, 'name') or 'unnamed'} {fields.number(p, 'port')}" for p in ports)
    words = f"port {by_name or number} of Service {name}, which has only {has or 'no port'}"
    return words, wanted, quote(ref, service, "spec", "ports")


def _leads_nowhere(ref: Ref, lacks: list[tuple[str, Evidence, Evidence]], every: list[tuple[str, Obj]]) -> Finding:
    others = f"{len(lacks) - 1} more of its {len(every)} backends"
    more = f" {others} lead nowhere either." if len(lacks) > 1 else ""
    return Finding(
        cause="ingress-backend-missing",
        object=ref,
        severity="critical",
        confidence="certain",
        summary=f"Ingress {ref.name} sends to {lacks[0][0]}: whoever comes there gets an error.{more}",
        evidence=tuple(evidence for lack in lacks[:2] for evidence in lack[1:]),
        affects=tuple(sorted({lack[2].object for lack in lacks})[:10]),
        next=(lib.ask("get", "the Ingress as it is", kind="ingress", name=ref.name, namespace=ref.namespace),),
    )


def certificates(facts: Facts) -> Iterable[Want]:
    """cert-manager's certificates, where an Ingress shows one."""
    places = {fields.namespace_of(one) for one in facts.all(kinds.INGRESS) if fields.items(one, "spec", "tls")}
    yield from (ListWant(CERTIFICATE, place) for place in sorted(places))


@rule(
    causes=("ingress-certificate-expired",),
    observes=(kinds.INGRESS,),
    digs=(Read(CERTIFICATE, ("list",)),),
    wants=certificates,
)
def certificate_expired(facts: Facts) -> Verdicts:
    """`status.notAfter` of the Certificate that writes the Secret (https://cert-manager.io/docs/reference/api-docs/)."""
    for ingress in facts.all(kinds.INGRESS):
        ref = ref_of(ingress, kinds.INGRESS)
        for tls in fields.items(ingress, "spec", "tls"):
            secret = fields.text(tls, "secretName")
            for one in facts.all(CERTIFICATE, ref.namespace):
                if secret and fields.text(one, "spec", "secretName") == secret:
                    yield from _expired(facts, ref, one, fields.strings(tls, "hosts"))


def _expired(facts: Facts, ingress: Ref, certificate: Obj, hosts: list[str]) -> Iterator[Finding]:
    ref, ended = ref_of(certificate, CERTIFICATE), fields.time_at(certificate, "status", "notAfter")
    if ended is None or ended > facts.now:
        return
    days = (facts.now - ended).days
    ready = fields.condition(certificate, "Ready")
    yield Finding(
        cause="ingress-certificate-expired",
        object=ref,
        severity="critical",
        confidence="certain",
        summary=(
            f"The certificate that Ingress {ingress.name} shows for {lib.some(hosts) or 'its hosts'} expired "
            f"{lib.count(days, 'day') if days else 'less than a day'} ago, and was not renewed."
        ),
        evidence=(
            quote(ref, certificate, "status", "notAfter", at=ended),
            fact(ref, "status.conditions[Ready]", f"{ready.get('status')}: {fields.text(ready, 'message')}"),
            fact(ingress, "spec.tls.secretName", fields.text(certificate, "spec", "secretName")),
        ),
        affects=(ingress,),
        since=ended,
        next=(
            lib.ask(
                "get", "the certificate", kind="certificates.cert-manager.io", name=ref.name, namespace=ref.namespace
            ),
            lib.ask("events", "what stops its renewal", scope=f"namespace/{ref.namespace}"),
        ),
    )


@rule(
    causes=("load-balancer-not-provisioned",),
    observes=(kinds.SERVICE, kinds.EVENT),
    confirms=(kinds.SERVICE,),
)
def load_balancer(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/service/#loadbalancer"""
    for service in facts.all(kinds.SERVICE):
        ref = ref_of(service, kinds.SERVICE)
        kind = fields.text(service, "spec", "type")
        if kind != "LoadBalancer" or podstate.terminating(service):
            continue
        rows = [row for row in facts.events(ref, *REFUSALS) if lately(facts, row) and _of(row, service)]
        if rows:
            yield _refused(service, rows, has_one=bool(_addresses(service)))
        elif not _addresses(service):
            yield from _silent(facts, service)


def _of(row: EventRow, service: Obj) -> bool:
    return row.about_uid in {"", fields.uid_of(service)}


def _refused(service: Obj, rows: list[EventRow], *, has_one: bool) -> Finding:
    """An old load balancer serves on while changes to it are refused."""
    ref = ref_of(service, kinds.SERVICE)
    nodes = rows[0].reason == "UnAvailableLoadBalancer"
    why = "there is no node that it could send to" if nodes else f"its controller fails ({rows[0].reason})"
    what = "cannot bring its load balancer up to date" if has_one else "gets no load balancer"
    return Finding(
        cause="load-balancer-not-provisioned",
        object=ref,
        severity="warning" if has_one else "critical",
        confidence="certain",
        summary=f"Service {ref.name} {what}: {why}, {lib.count(sum(row.count for row in rows), 'time')} so far.",
        evidence=(said(rows[0]), fact(ref, "status.loadBalancer.ingress", _addresses(service) or None)),
        since=lib.earliest(row.first for row in rows),
        next=(lib.ask("events", "what the controller says", scope=f"namespace/{ref.namespace}"),),
    )


def _silent(facts: Facts, service: Obj) -> Iterator[Finding]:
    ref, made = ref_of(service, kinds.SERVICE), fields.time_at(service, "metadata", "creationTimestamp")
    if made is None or any(lately(facts, row) for row in facts.events(ref, *OTHERS)):
        return
    young = facts.now - made < SILENCE
    taken = CLEANUP in fields.strings(service, "metadata", "finalizers")
    one_class = fields.text(service, "spec", "loadBalancerClass")
    others = [
        fields.name_of(one)
        for one in facts.everywhere(kinds.SERVICE)
        if _addresses(one) and fields.text(one, "spec", "loadBalancerClass") == one_class
    ]
    seconds = int((facts.now - made).total_seconds())
    waited = f"{seconds} s" if young else f"{seconds // 60} min"
    if young and (taken or others or facts.events(ref, *REFUSALS)):
        return  # somebody is there who makes them
    whose = f"class {one_class}" if one_class else "the default class"
    why = "a controller has taken it and says nothing" if taken else f"no controller seems to serve {whose}"
    why = f"{lib.some(others)} has one, and nobody speaks of this" if others else why
    yield Finding(
        cause="load-balancer-not-provisioned",
        object=ref,
        severity="info" if young else "warning",
        confidence="possible" if young else "likely",
        summary=f"Service {ref.name} has waited for its load balancer for {waited}: {why}.",
        evidence=(
            fact(ref, "status.loadBalancer.ingress", None),
            quote(ref, service, "spec", "loadBalancerClass"),
            quote(ref, service, "metadata", "finalizers"),
        ),
        since=made,
        next=(lib.ask("get", "the Service as it is", kind="service", name=ref.name, namespace=ref.namespace),),
    )
