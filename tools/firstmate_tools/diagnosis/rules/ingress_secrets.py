"""Ingresses that are to serve with a certificate of a Secret that does not exist.

Looking at a Secret is a right that the least role leaves out (`firstmate rbac --secrets` adds it), and of one that is
read only the names of its keys are left. A Secret that cert-manager is to write is its matter; what serves with AWS'
own certificates reads none (AWS Load Balancer Controller, guide "Certificate Discovery").
"""

from collections.abc import Iterable

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.customkinds import CERTIFICATE
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact, quote
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

MOST = 5
_OTHERS = ("alb.ingress.kubernetes.io/", "cert-manager.io/")
"""Annotations by which somebody else sees to the certificate."""


def tls_secrets(facts: Facts) -> Iterable[Want]:
    """The Secrets that Ingresses serve with. Of a whole cluster none is read, and the answer says so."""
    named = {ref for one in facts.all(kinds.INGRESS) for ref in _secrets(one)}
    yield from (GetWant(kinds.SECRET, ref, optional=True) for ref in sorted(named)[:MOST])
    if facts.scope.namespace is not None:
        yield from (ListWant(CERTIFICATE, place) for place in sorted({ref.namespace for ref in named}))


def _secrets(ingress: Obj) -> list[Ref]:
    notes = fields.string_map(ingress, "metadata", "annotations")
    classes = (fields.text(ingress, "spec", "ingressClassName"), notes.get("kubernetes.io/ingress.class", ""))
    if any("alb" in name for name in classes) or any(key.startswith(_OTHERS) for key in notes):
        return []
    names = [fields.text(tls, "secretName") for tls in fields.items(ingress, "spec", "tls")]
    return [Ref("Secret", fields.namespace_of(ingress), name) for name in dict.fromkeys(names) if name]


@rule(
    causes=("ingress-backend-missing",),
    observes=(kinds.INGRESS,),
    digs=(Read(kinds.SECRET, ("get",), optional=True), Read(CERTIFICATE, ("list",))),
    wants=tls_secrets,
    confirms=(kinds.INGRESS,),
)
def ingress_certificate(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/ingress/#tls"""
    for ingress in facts.all(kinds.INGRESS):
        absent = [secret for secret in _secrets(ingress) if facts.exists(secret) is False]
        made = {fields.text(c, "spec", "secretName") for c in facts.all(CERTIFICATE, fields.namespace_of(ingress))}
        absent = [secret for secret in absent if secret.name not in made]
        if absent and not podstate.terminating(ingress):
            yield _serves_without(ingress, ref_of(ingress, kinds.INGRESS), absent)


def _serves_without(ingress: Obj, ref: Ref, absent: list[Ref]) -> Finding:
    """A controller then serves with a certificate of its own, or not at all for these hosts."""
    names = {secret.name for secret in absent}
    hosts = [
        host
        for tls in fields.items(ingress, "spec", "tls")
        if fields.text(tls, "secretName") in names
        for host in fields.strings(tls, "hosts")
    ]
    return Finding(
        cause="ingress-backend-missing",
        object=ref,
        severity="warning",
        confidence="certain",
        summary=(
            f"Ingress {ref.name} is to serve {lib.some(hosts) or 'its hosts'} with Secret {absent[0].name}, which does "
            "not exist: visitors get no certificate for it, or the controller's own."
        ),
        evidence=(
            quote(ref, ingress, "spec", "tls"),
            *(fact(secret, "metadata.name", "(does not exist)") for secret in absent[:3]),
        ),
        affects=tuple(absent),
        next=(lib.ask("get", "the Ingress as it is", kind="ingress", name=ref.name, namespace=ref.namespace),),
    )
