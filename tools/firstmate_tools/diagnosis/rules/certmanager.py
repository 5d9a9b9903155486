"""Certificates that cert-manager cannot get: the issuer, the request, the order or the challenge that stops them.

A Certificate that is being issued says Ready=False too: what counts is that an attempt failed, that the issuer is not
ready or does not exist, or that nothing has come of it for long. That a certificate has merely run out is told
elsewhere.

Source: cert-manager v1 (pkg/apis/certmanager/v1/types.go, pkg/apis/acme/v1/types.go), and
https://cert-manager.io/docs/troubleshooting/.
"""

from collections.abc import Iterable
from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.customkinds import CERTIFICATE, CERTIFICATE_REQUEST, CHALLENGE, CLUSTER_ISSUER, ISSUER, ORDER
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.conditions import failing, lasted, moment, quoted, reason
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, Verdicts, Want, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

LONG = timedelta(minutes=10)
"""An ACME order takes a minute or two, with DNS some more."""
OF_CERTIFICATE = "cert-manager.io/certificate-name"
DIGS = (CERTIFICATE_REQUEST, ORDER, CHALLENGE, CLUSTER_ISSUER)
_BROKEN = frozenset({"invalid", "errored", "expired"})
"""States of an order or challenge that lead nowhere."""


def wanted(facts: Facts) -> Iterable[Want]:
    """What stands between a Certificate and its issuer, where one is not ready."""
    if facts.scope.namespace is None and facts.knows(CLUSTER_ISSUER) is False:
        yield ListWant(CLUSTER_ISSUER)
    for one in facts.all(CERTIFICATE):
        if not _ready(one) or _attempts(one):
            place = fields.namespace_of(one)
            yield from (ListWant(kind, place) for kind in (CERTIFICATE_REQUEST, ORDER, CHALLENGE))
            yield ListWant(CLUSTER_ISSUER)


def _ready(one: Obj) -> bool:
    return fields.condition(one, "Ready").get("status") == "True"


def _attempts(one: Obj) -> int:
    return fields.number(one, "status", "failedIssuanceAttempts")


@rule(
    causes=("cert-manager-issuance-failed",),
    observes=(CERTIFICATE, ISSUER, kinds.INGRESS),
    digs=tuple(Read(kind, ("list",)) for kind in DIGS),
    wants=wanted,
    explains=(
        *explains("ingress-certificate-expired", "ingress-backend-missing", along=()),
        *explains("volume-config-reference-missing", "config-reference-missing", along=("mounts", "owns")),
        *explains("volume-mount-timeout", along=("mounts", "owns")),
        *BACKENDS,
    ),
    confirms=(CERTIFICATE, ISSUER),
)
def issuance(facts: Facts) -> Verdicts:
    """One finding for each issuer that is not ready, with its certificates; else one for each certificate."""
    hurt: dict[Ref, list[Obj]] = {}
    for one in facts.all(CERTIFICATE):
        if podstate.terminating(one):
            continue
        issuer = _issuer(one)
        state = _issuer_trouble(facts, issuer) if issuer is not None else None
        if state == "not ready" and issuer is not None and not (_ready(one) and not _attempts(one)):
            hurt.setdefault(issuer, []).append(one)
        elif not _ready(one) or _attempts(one):
            proof = _stopped(facts, one, issuer if state == "gone" else None)
            if proof is not None:
                yield _certificate(facts, one, *proof)
    for kind in (ISSUER, CLUSTER_ISSUER):
        for one in facts.all(kind):
            if not podstate.terminating(one) and _issuer_trouble(facts, ref_of(one, kind)) == "not ready":
                yield _not_ready(facts, one, kind, hurt.get(ref_of(one, kind), []))


def _issuer(certificate: Obj) -> Ref | None:
    """The issuer of a Certificate, None where it is another product's."""
    named = fields.mapping(certificate, "spec", "issuerRef")
    kind = fields.text(named, "kind") or ISSUER.kind
    if fields.text(named, "group") not in {"", ISSUER.group} or kind not in {ISSUER.kind, CLUSTER_ISSUER.kind}:
        return None
    return Ref(kind, fields.namespace_of(certificate) if kind == ISSUER.kind else "", fields.text(named, "name"))


def _issuer_trouble(facts: Facts, ref: Ref) -> str:
    one = facts.get(ref)
    if one is None:
        return "gone" if facts.exists(ref) is False else ""
    return "not ready" if failing(one, "Ready") is not None else ""


def _stopped(facts: Facts, one: Obj, gone: Ref | None) -> tuple[str, list[Evidence]] | None:
    """What stops a Certificate, in words and evidence; None where it may merely be on its way."""
    ref = ref_of(one, CERTIFICATE)
    if gone is not None:
        named = quote(ref, one, "spec", "issuerRef")
        return f"its {gone.kind} {gone.name} does not exist", [named, fact(gone, "metadata.name", "(does not exist)")]
    names = {fields.text(one, "spec", "commonName"), *fields.strings(one, "spec", "dnsNames")} - {""}
    for challenge in facts.all(CHALLENGE, ref.namespace):
        state, name = fields.text(challenge, "status", "state"), fields.text(challenge, "spec", "dnsName")
        if name.removeprefix("*.") in {n.removeprefix("*.") for n in names} and _stuck(facts, challenge, state):
            where = ref_of(challenge, CHALLENGE)
            how = fields.text(challenge, "spec", "type")
            return f"the {how or 'ACME'} challenge for {name} does not pass ({state or 'no state'})", [
                quote(where, challenge, "status", "reason"),
                quote(where, challenge, "status", "state"),
            ]
    for order in facts.all(ORDER, ref.namespace):
        if _belongs(facts, order, ORDER, ref) and fields.text(order, "status", "state") in _BROKEN:
            where = ref_of(order, ORDER)
            state = fields.text(order, "status", "state")
            return f"its order is {state}", [
                quote(where, order, "status", "reason"),
                quote(where, order, "status", "state"),
            ]
    for request in facts.all(CERTIFICATE_REQUEST, ref.namespace):
        for kind, bad in (("Denied", "True"), ("InvalidRequest", "True"), ("Ready", "False")):
            found = fields.condition(request, kind)
            told = found.get("status") == bad and (kind != "Ready" or reason(found) in {"Failed", "Denied"})
            if told and _belongs(facts, request, CERTIFICATE_REQUEST, ref):
                words = f"its request {fields.name_of(request)} is {'refused' if kind != 'Ready' else 'failed'}"
                return words, [quoted(ref_of(request, CERTIFICATE_REQUEST), found)]
    issuing = fields.condition(one, "Issuing")
    if _attempts(one) or (issuing.get("status") == "False" and reason(issuing) == "Failed"):
        return f"{lib.count(max(1, _attempts(one)), 'attempt')} failed", [
            quote(ref, one, "status", "failedIssuanceAttempts"),
            *([quoted(ref, issuing)] if issuing else []),
        ]
    ready = fields.condition(one, "Ready")
    expired = fields.time_at(one, "status", "notAfter") is not None
    if ready.get("status") == "False" and not expired and lasted(ready, facts.now, LONG) and _old(facts, one):
        return "nothing has come of it for more than ten minutes", []
    return None


def _stuck(facts: Facts, challenge: Obj, state: str) -> bool:
    """A challenge that has failed, or that has been told the same trouble for long."""
    return state in _BROKEN or (
        state == "pending" and bool(fields.text(challenge, "status", "reason")) and _old(facts, challenge)
    )


def _old(facts: Facts, obj: Obj) -> bool:
    made = fields.time_at(obj, "metadata", "creationTimestamp")
    return made is not None and facts.now - made > LONG


def _belongs(facts: Facts, obj: Obj, kind: Kind, certificate: Ref) -> bool:
    named = fields.string_map(obj, "metadata", "annotations").get(OF_CERTIFICATE)
    return named == certificate.name or certificate in facts.graph.owners(ref_of(obj, kind))


def _certificate(facts: Facts, one: Obj, why: str, proof: list[Evidence]) -> Finding:
    ref, ready = ref_of(one, CERTIFICATE), fields.condition(one, "Ready")
    ends = fields.time_at(one, "status", "notAfter")
    serves = ends is not None and ends > facts.now
    days = (ends - facts.now).days if ends is not None and serves else 0
    rest = f"; the present one serves for {lib.count(days, 'more day')}" if serves else ""
    users = _users(facts, one)
    return Finding(
        cause="cert-manager-issuance-failed",
        object=ref,
        severity="critical" if users and not serves else "warning",
        confidence="certain" if proof else "likely",
        summary=f"Certificate {ref.name} is not issued: {why}{rest}.",
        evidence=(*proof, *([quoted(ref, ready)] if ready else []), quote(ref, one, "spec", "dnsNames")),
        affects=tuple(users) + (() if ends else (_secret(one),)),
        since=moment(ready),
        next=(
            lib.ask(
                "get", "the challenges that are open", kind="challenges.acme.cert-manager.io", namespace=ref.namespace
            ),
        ),
    )


def _secret(certificate: Obj) -> Ref:
    return Ref("Secret", fields.namespace_of(certificate), fields.text(certificate, "spec", "secretName"))


def _users(facts: Facts, certificate: Obj) -> list[Ref]:
    """The Ingresses that show a certificate."""
    secret = _secret(certificate)
    return [
        ref_of(one, kinds.INGRESS)
        for one in facts.all(kinds.INGRESS, secret.namespace)
        if any(fields.text(tls, "secretName") == secret.name for tls in fields.items(one, "spec", "tls"))
    ]


def _not_ready(facts: Facts, one: Obj, kind: Kind, certificates: list[Obj]) -> Finding:
    ref, ready = ref_of(one, kind), fields.condition(one, "Ready")
    names = lib.some(fields.name_of(c) for c in certificates)
    waits = f"{lib.count(len(certificates), 'certificate')} wait for it ({names})" if certificates else ""
    users = [user for c in certificates if not fields.at(c, "status", "notAfter") for user in _users(facts, c)]
    fresh = [_secret(c) for c in certificates if not fields.at(c, "status", "notAfter")]
    return Finding(
        cause="cert-manager-issuance-failed",
        object=ref,
        severity="critical" if users else "warning",
        confidence="certain",
        summary=(
            f"{ref.kind} {ref.name} is not ready ({reason(ready) or 'no reason given'}); "
            f"{waits or 'whatever it has to renew will not be'}."
        ),
        evidence=(
            quoted(ref, ready),
            *(quote(ref_of(c, CERTIFICATE), c, "spec", "issuerRef") for c in certificates[:2]),
        ),
        affects=tuple(dict.fromkeys([*(ref_of(c, CERTIFICATE) for c in certificates), *users, *fresh])),
        since=moment(ready),
        next=(lib.ask("get", "how it is set up", kind=f"{kind.plural}.{kind.group}", name=ref.name),),
    )
