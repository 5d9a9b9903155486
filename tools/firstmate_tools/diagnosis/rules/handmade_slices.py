"""Services without a selector whose backends somebody writes by hand, under port names that are not the Service's.

Nothing fails and no event comes: kube-proxy joins a port of a Service with the port of the same name in its
EndpointSlices, and finds none.
"""

from collections.abc import Iterable

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import hosts, lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact, quote
from firstmate_tools.diagnosis.rule import ListWant, Verdicts, Want, rule
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

MOST_PLACES = 3
_OF = "kubernetes.io/service-name"
_OWN = Ref("Service", "default", "kubernetes")
"""The API server writes its slice itself."""


def slices(facts: Facts) -> Iterable[Want]:
    """The EndpointSlices of namespaces that have such Services."""
    places = sorted({fields.namespace_of(service) for service in _by_hand(facts)})
    yield from (ListWant(kinds.ENDPOINT_SLICE, place) for place in places[:MOST_PLACES])


def _by_hand(facts: Facts) -> list[Obj]:
    """Services that have an address and ports, and select nothing. Behind a headless one, ports are the caller's."""
    return [
        service
        for service in facts.all(kinds.SERVICE)
        if not fields.mapping(service, "spec", "selector")
        and fields.text(service, "spec", "type") != "ExternalName"
        and fields.text(service, "spec", "clusterIP") not in {"", "None"}
        and ref_of(service, kinds.SERVICE) != _OWN
        and not podstate.terminating(service)
    ]


def _name(port: Obj) -> str:
    return fields.text(port, "name")


@rule(
    causes=("service-target-port-mismatch",),
    observes=(kinds.SERVICE,),
    digs=(Read(kinds.ENDPOINT_SLICE, ("list",)),),
    wants=slices,
    confirms=(kinds.SERVICE,),
)
def handmade_slices(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors

    Ports are joined by name, a nameless one with a nameless one (kube-proxy, pkg/proxy/endpointslicecache.go, v1.36). A
    Service for which nobody has written an address is unfinished work, and not judged.
    """
    for service in _by_hand(facts):
        ref = ref_of(service, kinds.SERVICE)
        mine = [
            one
            for one in facts.all(kinds.ENDPOINT_SLICE, ref.namespace)
            if fields.labels_of(one).get(_OF) == ref.name and fields.items(one, "endpoints")
        ]
        there = {_name(port) for one in mine for port in fields.items(one, "ports")}
        ports = fields.items(service, "spec", "ports")
        lost = [port for port in ports if _name(port) not in there]
        if there and lost:
            yield _lost(facts, service, ref, mine, lost, there)


def _lost(facts: Facts, service: Obj, ref: Ref, mine: list[Obj], lost: list[Obj], there: set[str]) -> Finding:
    named = " and ".join(_name(port) or "without a name" for port in lost[:3])
    has = lib.some(sorted(name or "(no name)" for name in there))
    whole = len(lost) == len(fields.items(service, "spec", "ports"))
    users = [client.ref for client, _ in hosts.users(facts, ref)]
    held = [ref_of(one, kinds.ENDPOINT_SLICE) for one in mine]
    return Finding(
        cause="service-target-port-mismatch",
        object=ref,
        severity="critical" if whole and users else "warning",
        confidence="certain",
        summary=(
            f"Service {ref.name} has no selector, and the EndpointSlices written for it name no port like its port "
            f"{named} (they name {has}): what is sent to that port reaches nobody."
        ),
        evidence=(
            quote(ref, service, "spec", "ports"),
            *(quote(held_ref, one, "ports") for held_ref, one in list(zip(held, mine, strict=True))[:2]),
            fact(ref, "spec.selector", None),
        ),
        affects=(*held[:3], *users[:10]),
        next=(lib.ask("get", "the Service as it is", kind="service", name=ref.name, namespace=ref.namespace),),
    )
