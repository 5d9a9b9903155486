"""Which admission plugin refused an object, by the words of its refusal.

The words are no stable API: they choose which objects are looked at, and never decide alone where those can be read.
Wording of Kubernetes v1.24 to v1.36: resourcequota (admission/plugin/resourcequota/controller.go), limitranger,
serviceaccount, priority, pod-security-admission (admission/admission.go), webhook
(plugin/webhook/errors/statuserror.go), validating (plugin/policy/validating/dispatcher.go), namespace/lifecycle, and of
the request itself: apiserver's finisher.go and etcd's rpctypes.
"""

import re
from dataclasses import dataclass
from enum import Enum

from firstmate_tools.podresources import Amounts
from firstmate_tools.quantity import milli


class Gate(Enum):
    """Who refused."""

    QUOTA = "quota-exceeded"
    QUOTA_NEEDS_REQUESTS = "quota-requires-requests"
    LIMIT_RANGE = "limitrange-violation"
    SERVICE_ACCOUNT = "service-account-missing"
    POD_SECURITY = "pod-security-violation"
    PRIORITY_CLASS = "priority-class-missing"
    WEBHOOK = "webhook-unavailable"
    POLICY = "policy-denied"
    SLOW = "webhook-timeouts-cumulative"
    TERMINATING = "namespace-content-finalizer-stuck"
    TOO_LARGE = "etcd-object-too-large"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Told:
    """What a refusal says.

    Attributes:
        name: of the quota, the service account, the security level, the policy or the webhook.
        detail: the rest: `requested` amounts, the version of the level, the reason why the webhook gave no answer, the
            binding of a ValidatingAdmissionPolicy ("" where a webhook denied).
    """

    gate: Gate
    name: str = ""
    detail: str = ""


_ANSWERED = (
    re.compile(r"ValidatingAdmissionPolicy '(?P<name>[^']+)' with binding '(?P<detail>[^']+)' denied request"),
    re.compile(r'admission webhook "(?P<name>[^"]+)" denied the request(?P<detail>)'),
)
_BOUND = r"(?:minimum|maximum) \S+ usage|\S+ max limit to request ratio"
_PATTERNS: tuple[tuple[Gate, re.Pattern[str]], ...] = (
    (Gate.WEBHOOK, re.compile(r'failed calling webhook "(?P<name>[^"]+)":\s*(?P<detail>.*)', re.DOTALL)),
    (Gate.QUOTA, re.compile(r"exceeded quota: (?P<name>[^\s,]+), requested: (?P<detail>.*?), used: ")),
    (Gate.QUOTA_NEEDS_REQUESTS, re.compile(r"failed quota: (?P<name>[^\s:]+): must specify (?P<detail>.*)")),
    (
        Gate.LIMIT_RANGE,
        re.compile(rf"(?P<name>{_BOUND}) per (?P<detail>(?:Container|Pod|PersistentVolumeClaim) is .*)"),
    ),
    (Gate.SERVICE_ACCOUNT, re.compile(r"error looking up service account (?P<detail>[^/\s]+)/(?P<name>[^:\s]+): ")),
    (Gate.PRIORITY_CLASS, re.compile(r"(?P<detail>no PriorityClass with name )(?P<name>\S+) was found")),
    (Gate.POD_SECURITY, re.compile(r'violates PodSecurity "(?P<name>[a-z]+):(?P<detail>[^"]+)"')),
    (
        Gate.TERMINATING,
        re.compile(
            r"unable to create new content in namespace (?P<name>\S+) because it is (?P<detail>being terminated)"
        ),
    ),
    (Gate.SLOW, re.compile(r"(?P<name>)Timeout: request did not complete within (?P<detail>.*)", re.DOTALL)),
    (
        Gate.TOO_LARGE,
        re.compile(
            r"(?P<name>)(?P<detail>etcdserver: request is too large"
            r"|trying to send message larger than max|Request entity too large: limit is \d+)"
        ),
    ),
)


def read(message: str) -> Told:
    """Who refused, by the message of an event or a condition; OTHER where it is none of those known here."""
    for pattern in _ANSWERED:  # whatever else the answer's own words say
        match = pattern.search(message)
        if match is not None:
            return Told(Gate.POLICY, match["name"], match["detail"])
    for gate, pattern in _PATTERNS:
        match = pattern.search(message)
        if match is not None:
            return Told(gate, match["name"], match["detail"])
    return Told(Gate.OTHER)


def requested(told: Told) -> Amounts:
    """The amounts that a quota's refusal says were asked for (`requested: cpu=1,pods=1`)."""
    pairs = (pair.partition("=") for pair in told.detail.split(","))
    parsed = ((name.strip(), milli(value.strip())) for name, _, value in pairs)
    return {name: value for name, value in parsed if value is not None}


_REFUSED = ("connection refused", "no route to host", "no such host", "host is unreachable", "network is unreachable")


def answers_nobody(told: Told) -> bool:
    """Whether a webhook's refusal says that nobody listens there, rather than that the answer was bad."""
    return any(words in told.detail for words in _REFUSED)


def times_out(told: Told) -> bool:
    return any(words in told.detail for words in ("context deadline exceeded", "i/o timeout", "Client.Timeout"))


_DISTRUST = ("x509:", "tls: failed to verify certificate", "remote error: tls", "first record does not look like a TLS")


def distrusts(told: Told) -> bool:
    """Whether a call failed because the API server does not trust what answered."""
    return any(words in told.detail for words in _DISTRUST)
