"""Pods that get no AWS credentials, told by the SDK's own words in their logs: what is wrong lies mostly in AWS.

The words are those of STS, of the EKS Pod Identity agent and of the SDKs (Go v2, boto3, Java 2, JavaScript 3), and are
read together with what the pod was given: a pod with a web identity never asks the instance for credentials. A promise
of a role that was not injected is seen without any log (`awsidentity`).

Sources: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html (addresses of the agent),
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html,
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html#API_AssumeRoleWithWebIdentity_Errors
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, LogWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.awsidentity import INJECTED, ROLE_ARN
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.diagnosis.rules.controlplanelogs import Spoken, spoken
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence
from firstmate_tools.text import inline

TRUST, PROVIDER = "irsa-trust-policy-mismatch", "irsa-oidc-provider-missing"
ABSENT, DOWN, DENIED = (
    "pod-identity-association-missing",
    "pod-identity-agent-not-running",
    "pod-identity-agent-unauthorized",
)
IMDS = "imds-hop-limit-blocks-pod"
AGENT = Ref("DaemonSet", "kube-system", "eks-pod-identity-agent")
CONTAINER_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
MOST_LOGS = 3
NEWEST = 10
"""How many last lines of a program that runs on are believed."""

_NO_ANSWER = r"(?:time(?:d )?-?\s?out|deadline exceeded|refused|no route to host|unreachable|exceeded maximum number)"
_SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (PROVIDER, re.compile(r"No OpenIDConnect provider found in your account for ?(?P<what>https://[^\s\"',\\]+)?")),
    (
        TRUST,
        re.compile(
            r"(?i)not authorized to perform:? sts:AssumeRoleWithWebIdentity|"
            r"InvalidIdentityToken: Incorrect token audience"
        ),
    ),
    (DENIED, re.compile(r"(?i)not authorized to perform:? eks-auth:AssumeRoleForPodIdentity")),
    (ABSENT, re.compile(r"(?i)no (?:pod identity )?association(?:s)? (?:was |were )?found")),
    (DOWN, re.compile(rf"(?i)(?:169\.254\.170\.23|fd00:ec2::23).*{_NO_ANSWER}|{_NO_ANSWER}.*(?:169\.254\.170\.23)")),
    (
        IMDS,
        re.compile(
            rf"(?i)(?:169\.254\.169\.254|fd00:ec2::254|ec2imds|EC2Metadata|instance metadata).*{_NO_ANSWER}|"
            rf"{_NO_ANSWER}.*169\.254\.169\.254|no EC2 IMDS role found"
        ),
    ),
    (
        ABSENT,
        re.compile(
            r"(?i)unable to locate credentials|NoCredentialProviders|no valid credential sources|"
            r"unable to load (?:aws )?credentials|could not load credentials from any providers"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class _Told:
    """A pod's words, what they mean, and the pod."""

    cause: str
    one: Spoken
    line: str
    what: str
    pod: Obj
    ailing: bool


def _told(facts: Facts) -> list[_Told]:
    return list(_each(facts))


def _each(facts: Facts) -> Iterator[_Told]:
    ailing = {t.workload for t in trouble.troubled(facts)}
    for one in facts.derived(spoken):
        pod = facts.get(one.ref)
        if pod is None or one.component:
            continue
        ill = facts.workload(one.ref) in ailing
        lines = one.lines if ill else one.lines[-NEWEST:]
        for cause, pattern in _SIGNS:
            match = next((m for line in reversed(lines) if (m := pattern.search(line[:4000]))), None)
            if match is not None and _fits(cause, pattern, pod):
                what = match.groupdict().get("what") or ""
                yield _Told(cause, one, match.string.strip(), what, pod, ill)
                break


def _fits(cause: str, pattern: re.Pattern[str], pod: Obj) -> bool:
    """Whether what the pod was given allows of a cause: who has a web identity does not ask the instance."""
    given = given_to(pod)
    if cause == IMDS:
        return not given and not fields.flag(pod, "spec", "hostNetwork")
    if cause == ABSENT and "association" not in pattern.pattern:
        return not given
    return True


def given_to(pod: Obj) -> set[str]:
    """The variables of an AWS identity that a pod's containers have."""
    every = {fields.text(e, "name") for c in fields.items(pod, "spec", "containers") for e in fields.items(c, "env")}
    return every & {*INJECTED, CONTAINER_URI, "AWS_ACCESS_KEY_ID"}


def wanted(facts: Facts) -> Iterable[Want]:
    """Logs of pods with an AWS identity, where a namespace looks well; the agent, and accounts, where words speak of
    them."""
    yield from _logs(facts)
    told = facts.derived(_told)
    if any(t.cause in {DOWN, DENIED, ABSENT} for t in told):
        yield ListWant(kinds.DAEMON_SET, AGENT.namespace)
    for place in sorted({fields.namespace_of(t.pod) for t in told if t.cause in {TRUST, PROVIDER, ABSENT}})[:3]:
        yield ListWant(kinds.SERVICE_ACCOUNT, place)


def _logs(facts: Facts) -> Iterator[LogWant]:
    if facts.scope.namespace is None or facts.scope.object is not None or trouble.troubled(facts):
        return
    seen: set[Ref] = set()
    for pod in facts.all(kinds.POD):
        ref = ref_of(pod, kinds.POD)
        workload = facts.workload(ref)
        running = [c for c in podstate.containers(pod) if c.running and c.role == "app"]
        if workload in seen or not running or not given_to(pod) - {"AWS_ACCESS_KEY_ID"}:
            continue
        seen.add(workload)
        if len(seen) > MOST_LOGS:
            return
        yield LogWant(ref.namespace, ref.name, running[0].name, aside=True)


@rule(
    causes=(TRUST, PROVIDER, ABSENT, DOWN, DENIED, IMDS),
    observes=OBSERVED,
    digs=(*LOGS, Read(kinds.DAEMON_SET, ("list",)), Read(kinds.SERVICE_ACCOUNT, ("list",))),
    wants=wanted,
    explains=(
        *BACKENDS,
        *explains(
            "application-exits-on-error",
            "init-container-failing",
            "container-process-completes",
            "readiness-probe-misconfigured",
            "liveness-probe-misconfigured",
            along=("owns",),
        ),
    ),
)
def aws_credentials(facts: Facts) -> Verdicts:
    """One finding for each workload and cause; what AWS lacks for all of them is one."""
    seen: set[tuple[str, Ref]] = set()
    for told in facts.derived(_told):
        workload = facts.workload(told.one.ref)
        account = Ref(
            "ServiceAccount", workload.namespace, fields.text(told.pod, "spec", "serviceAccountName") or "default"
        )
        promised = fields.text(facts.get(account) or {}, "metadata", "annotations", ROLE_ARN)
        known_agent = facts.get(AGENT) is not None
        if (told.cause, workload) in seen or (told.cause == ABSENT and (promised or not known_agent)):
            continue
        seen.add((told.cause, workload))
        yield _finding(facts, told, workload, account)


def _finding(facts: Facts, told: _Told, workload: Ref, account: Ref) -> Finding:
    one = told.one
    target, why, evidence, sure = _about(facts, told, workload, account)
    return Finding(
        cause=told.cause,
        object=target,
        severity=lib.severity(facts, workload) if told.ailing else "warning",
        confidence=sure,
        summary=f"{workload} gets no AWS credentials: {why}.",
        evidence=(fact(one.ref, f"log[{one.container}]", told.line), *evidence),
        affects=tuple(dict.fromkeys((workload, one.ref, account))),
        culprit=_culprit(told, workload),
        awaits=(AGENT,) if target == AGENT else (),
        next=(
            lib.ask(
                "get", "which role it names", kind="serviceaccount", name=account.name, namespace=account.namespace
            ),
            lib.ask_logs(one.ref, one.container, "what else it says", previous=False),
        ),
    )


def _culprit(told: _Told, workload: Ref) -> str:
    if told.cause == PROVIDER:
        return f"{PROVIDER} {told.what}"
    return told.cause if told.cause in {DOWN, DENIED} else f"{workload} {workload.namespace}"


def _about(facts: Facts, told: _Told, workload: Ref, account: Ref) -> tuple[Ref, str, list[Evidence], Confidence]:
    """What has to be mended, why in words, the proof, and how sure that is."""
    holder = facts.get(account)
    role: list[Evidence] = [quote(account, holder, "metadata", "annotations", ROLE_ARN)] if holder else []
    if told.cause == TRUST:
        return account, f"the role of {account} does not trust it (its subject, or the audience)", role, "likely"
    if told.cause == PROVIDER:
        issuer = f" {inline(told.what)}" if told.what else ""
        return account, f"the AWS account knows no identity provider for the cluster's issuer{issuer}", role, "certain"
    if told.cause == ABSENT:
        return account, f"{account} has no Pod Identity association, and no role by its annotation", role, "possible"
    if told.cause == IMDS:
        why = "it asks the instance's metadata service, which does not answer pods (hop limit 1, or blocked)"
        return workload, why, [fact(told.one.ref, "spec.containers[*].env[AWS identity]", None)], "likely"
    agent = facts.get(AGENT)
    if told.cause == DENIED:
        target = AGENT if agent is not None else workload
        return target, "the node's role may not fetch credentials for pods (AssumeRoleForPodIdentity)", [], "certain"
    wanted_, ready = (fields.number(agent, "status", key) for key in ("desiredNumberScheduled", "numberReady"))
    if agent is None:
        gone = facts.exists(AGENT) is False
        words = "there is no Pod Identity agent in the cluster" if gone else "the Pod Identity agent does not answer"
        return (AGENT if gone else workload), words, [], "certain" if gone else "likely"
    state = [quote(AGENT, agent, "status", "numberReady")]
    if ready < wanted_:
        return AGENT, f"the Pod Identity agent is ready on {ready} of {wanted_} nodes", state, "certain"
    return AGENT, "the Pod Identity agent does not answer on its node, though its pods are ready", state, "possible"
