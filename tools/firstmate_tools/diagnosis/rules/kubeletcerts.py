"""Certificates that kubelets ask for to serve with, and do not get: logs, exec and metrics fail on their nodes."""

import base64
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib, sicknodes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import fact
from firstmate_tools.diagnosis.rule import ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.sicknodes import Ill
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import CERTIFICATE_SIGNING_REQUEST
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

CAUSE = "kubelet-serving-csr-pending"
SIGNER = "kubernetes.io/kubelet-serving"
SOON = timedelta(seconds=3)
"""How long an approver may take: those that there are watch for requests and act at once."""
SURE = timedelta(minutes=1)
_USER = "system:node:"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a kubelet for a serving certificate.

    Attributes:
        state: `issued`, `pending`, `denied`, `failed` or `approved` (and not issued).
    """

    csr: Obj
    node: str
    made: datetime | None
    state: str


def _requests(facts: Facts) -> Iterable[Want]:
    """For questions about the cluster or a node: nothing else tells of it."""
    if facts.scope.namespace is None:
        yield ListWant(CERTIFICATE_SIGNING_REQUEST)


@rule(
    causes=(CAUSE,),
    observes=(kinds.NODE,),
    digs=(Read(CERTIFICATE_SIGNING_REQUEST, ("list",)),),
    wants=_requests,
)
def serving_certificates(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation

    No controller of Kubernetes approves these requests. One that waits is no fault where the node got another since.
    """
    by_node: dict[str, list[Asked]] = defaultdict(list)
    for csr in facts.all(CERTIFICATE_SIGNING_REQUEST):
        node = _node_of(csr) if fields.text(csr, "spec", "signerName") == SIGNER else ""
        if node:
            made = fields.time_at(csr, "metadata", "creationTimestamp")
            by_node[node].append(Asked(csr, node, made, _state(csr)))
    ills: list[Ill] = []
    states: set[str] = set()
    for node in sicknodes.concerned(facts):
        newest = max(by_node.get(fields.name_of(node), ()), key=_age, default=None)
        if newest is None or newest.state == "issued" or _young(facts, newest):
            continue
        states.add(newest.state)
        mine = [one for one in by_node[newest.node] if one.state == newest.state]
        ref = ref_of(newest.csr, CERTIFICATE_SIGNING_REQUEST)
        told = fact(ref, "status", _told(newest), newest.made)
        who = fact(ref, "spec.username", fields.text(newest.csr, "spec", "username"))
        ills.append(Ill(node, (told, who), lib.earliest(one.made for one in mine)))
    if ills:
        csrs = [Ref(e.object.kind, "", e.object.name) for ill in ills for e in ill.words[:1]]
        words = {
            "pending": "nobody approves it",
            "denied": "it was denied",
            "failed": "it could not be signed",
            "approved": "it was approved and is not signed",
        }
        asks = "asks for a certificate to serve with" if len(ills) == 1 else "each asks for a certificate to serve with"
        yield sicknodes.finding(
            facts,
            CAUSE,
            ills,
            f"{asks} ({lib.some(ref.name for ref in csrs)}), and "
            f"{'; '.join(words[state] for state in sorted(states))}: logs, exec and metrics fail there once the one in "
            "use ends",
            confidence="certain" if all(i.since and facts.now - i.since > SURE for i in ills) else "likely",
            victims=(),
            beside=csrs,
            severity="warning",
            following=(lib.ask("get", "the requests", kind="certificatesigningrequest"),),
        )


def _node_of(csr: Obj) -> str:
    """Whose certificate is asked for: by who asks, else by the name in the request; "" for none of a node's."""
    user = fields.text(csr, "spec", "username")
    if user.startswith(_USER):
        return user.removeprefix(_USER)
    return _common_name(fields.text(csr, "spec", "request")).removeprefix(_USER)


def _common_name(request: str) -> str:
    """The `system:node:…` in a request (base64 of PEM), "" where there is none.

    DER writes a text's length in the byte before it.
    """
    try:
        pem = base64.b64decode(request, validate=True)
        body = b"".join(line for line in pem.splitlines() if line and not line.startswith(b"-"))
        der = base64.b64decode(body, validate=True)
    except ValueError:
        return ""
    begins = der.find(_USER.encode())
    return der[begins : begins + der[begins - 1]].decode("ascii", "replace") if begins > 0 else ""


def _state(csr: Obj) -> str:
    types = {fields.text(c, "type") for c in fields.items(csr, "status", "conditions")}
    if fields.text(csr, "status", "certificate"):
        return "issued"
    return next((word for word in ("denied", "failed", "approved") if word.capitalize() in types), "pending")


def _age(one: Asked) -> tuple[float, str]:
    return (one.made.timestamp() if one.made else 0.0, fields.name_of(one.csr))


def _young(facts: Facts, one: Asked) -> bool:
    return one.made is not None and facts.now - one.made < SOON


def _told(one: Asked) -> str:
    conditions = fields.items(one.csr, "status", "conditions")
    said = "; ".join(f"{fields.text(c, 'type')}: {fields.text(c, 'message')}" for c in conditions)
    return said or "no condition, no certificate"
