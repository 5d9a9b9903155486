"""AWS identities of pods, as far as the cluster alone shows them: a role that was promised and not injected, and keys
that live as long as nobody revokes them.

What the EKS webhook injects is that of amazon-eks-pod-identity-webhook (pkg/handler/handler.go): two variables and a
token, in every container that does not set them itself.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import changed, lib, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.lib import pods_of
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, Verdicts, Want, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Severity

NOT_INJECTED, STATIC = "irsa-not-injected", "static-aws-credentials-in-pod"
ROLE_ARN = "eks.amazonaws.com/role-arn"
WEBHOOK = "pod-identity-webhook"
"""The MutatingWebhookConfiguration of every EKS cluster; kops and others install it by the same name."""
INJECTED = frozenset({"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"})
OTHERWISE = frozenset({"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ACCESS_KEY_ID"})
"""Pod Identity, and keys of one's own: such a pod does not look for the role of its account."""
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OBSERVED = (kinds.POD, kinds.REPLICA_SET, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB)
TEMPLATED = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.CRON_JOB, kinds.JOB, kinds.POD)
_REFUSED = re.compile(
    r"(?i)unable to locate credentials|NoCredentialProviders|no credential|InvalidIdentityToken|AccessDenied|"
    r"not authorized to perform|UnauthorizedOperation|is not authorized"
)


def accounts(facts: Facts) -> Iterable[Want]:
    """The service accounts, where pods have accounts of their own and no AWS identity; who injects it, where a role was
    promised."""
    if facts.derived(_bare_ones):
        yield ListWant(kinds.SERVICE_ACCOUNT, facts.scope.namespace)
    if facts.derived(_left_out):
        yield ListWant(kinds.MUTATING_WEBHOOK)


def _bare_ones(facts: Facts) -> list[Obj]:
    return [pod for pod in facts.all(kinds.POD) if _bare(pod)]


def _bare(pod: Obj) -> bool:
    account = fields.text(pod, "spec", "serviceAccountName")
    return account not in {"", "default"} and not _variables(pod) & (INJECTED | OTHERWISE)


def _variables(pod: Obj) -> set[str]:
    return {fields.text(e, "name") for c in _containers(pod) for e in fields.items(c, "env")}


def _containers(pod: Obj) -> list[Obj]:
    return [*fields.items(pod, "spec", "initContainers"), *fields.items(pod, "spec", "containers")]


Pods = dict[tuple[Ref, Ref], list[Obj]]


def _left_out(facts: Facts) -> Pods:
    """Live pods without the identity that their service account promises, by workload and account."""
    found: Pods = defaultdict(list)
    for pod in facts.derived(_bare_ones):
        namespace, name = fields.namespace_of(pod), fields.text(pod, "spec", "serviceAccountName")
        account = Ref("ServiceAccount", namespace, name)
        if fields.text(facts.get(account) or {}, "metadata", "annotations", ROLE_ARN):
            found[facts.workload(ref_of(pod, kinds.POD)), account].append(pod)
    return {
        key: live
        for key, pods in found.items()
        if (live := [p for p in pods if fields.uid_of(p) in {fields.uid_of(o) for o in pods_of(facts, key[0])}])
    }


@rule(
    causes=(NOT_INJECTED,),
    observes=OBSERVED,
    digs=(Read(kinds.SERVICE_ACCOUNT, ("list",)), Read(kinds.MUTATING_WEBHOOK, ("list",))),
    wants=accounts,
    explains=(
        *BACKENDS,
        *explains(
            "application-exits-on-error", "init-container-failing", "readiness-probe-misconfigured", along=("owns",)
        ),
    ),
)
def role_not_injected(facts: Facts) -> Verdicts:
    """https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html"""
    for (workload, account), pods in sorted(facts.derived(_left_out).items()):
        yield _not_injected(facts, workload, account, pods)


def _not_injected(facts: Facts, workload: Ref, account: Ref, pods: list[Obj]) -> Finding:
    promised = facts.get(account) or {}
    since = changed.annotated_at(promised, ROLE_ARN) or fields.time_at(promised, "metadata", "creationTimestamp")
    every = pods_of(facts, workload)
    first = ref_of(pods[0], kinds.POD)
    why, culprit, evidence = _why(facts, workload, pods, since)
    return Finding(
        cause=NOT_INJECTED,
        object=workload,
        severity=_severity(facts, workload, bool(culprit)),
        confidence="certain",
        summary=(
            f"{account} promises an AWS role to {workload}, and {len(pods)} of its {lib.count(len(every), 'pod')} "
            f"did not get it: {why}."
        ),
        evidence=(
            quote(account, promised, "metadata", "annotations", ROLE_ARN, at=since),
            fact(first, "spec.containers[*].env[AWS_WEB_IDENTITY_TOKEN_FILE]", None),
            *evidence,
        ),
        affects=tuple(ref_of(pod, kinds.POD) for pod in pods),
        culprit=culprit,
        next=(
            lib.ask("get", "the promise", kind="serviceaccount", name=account.name, namespace=account.namespace),
            lib.ask("get", "who injects it", kind="mutatingwebhookconfiguration", name=WEBHOOK),
        ),
    )


def _why(facts: Facts, workload: Ref, pods: list[Obj], since: datetime | None) -> tuple[str, str, list[Evidence]]:
    """Why pods did not get it, what several workloads may share, and the proof."""
    made = [moment for pod in pods if (moment := fields.time_at(pod, "metadata", "creationTimestamp"))]
    ref = ref_of(pods[0], kinds.POD)
    if since is not None and made and max(made) < since:
        return (
            "they are older than the promise, and a restart gives it to them",
            "",
            [quote(ref, pods[0], "metadata", "creationTimestamp")],
        )
    hook = Ref("MutatingWebhookConfiguration", "", WEBHOOK)
    if facts.exists(hook) is False:
        return (
            f"nobody injects it: there is no {WEBHOOK}",
            WEBHOOK,
            [fact(hook, "metadata.name", "(does not exist)")],
        )
    return "they were admitted without the webhook, which lets pods pass when it does not answer", "", []


def _severity(facts: Facts, workload: Ref, nowhere: bool) -> Severity:
    """A workload that fails for another reason is not explained by this: then it is a weakness beside.

    Args:
        nowhere: whether nobody injects roles in this cluster at all. Then programs that look well have done without.
    """
    ailing = [one for one in trouble.troubled(facts) if one.workload == workload]
    if not ailing:
        return "info" if nowhere else "warning"
    words = [trouble.log_of(facts, one) or "" for one in ailing]
    return lib.severity(facts, workload) if any(_REFUSED.search(text) for text in words) else "info"


@rule(causes=(STATIC,), observes=(*OBSERVED, kinds.CRON_JOB))
def static_keys(facts: Facts) -> Verdicts:
    """https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html"""
    for kind in TEMPLATED:
        for obj in lib.lone(facts) if kind == kinds.POD else facts.all(kind):
            ref = ref_of(obj, kind)
            if facts.workload(ref) != ref:
                continue  # whoever made it is judged
            template = obj if kind == kinds.POD else lib.named_template(facts, ref)
            held = list(_held(template))
            if not held:
                continue
            other = _endpoint(template)
            if other:
                yield RuledOut(STATIC, f"the keys of {ref} are for {other}, which is not AWS")
                continue
            yield _static(ref, held, "spec" if kind == kinds.POD else _TEMPLATE.get(kind.kind, "spec.template.spec"))


_TEMPLATE = {"CronJob": "spec.jobTemplate.spec.template.spec"}


def _static(ref: Ref, held: list[tuple[str, str]], prefix: str) -> Finding:
    return Finding(
        cause=STATIC,
        object=ref,
        severity="info",
        confidence="likely",
        summary=(
            f"{ref} gets AWS keys as {lib.some(path for path, _ in held)}: they do not expire, and whoever reads the "
            "pod has them. A role by Pod Identity or IRSA needs none."
        ),
        evidence=tuple(fact(ref, f"{prefix}.{path}", value) for path, value in held[:3]),
        next=(lib.ask("get", "where the keys come from", kind=ref.kind, name=ref.name, namespace=ref.namespace),),
    )


def _held(template: Obj) -> Iterator[tuple[str, str]]:
    """Where a pod template has keys: path and what stands there, never the key itself."""
    for container in _containers(template):
        name = fields.text(container, "name")
        for entry in fields.items(container, "env"):
            variable, value = fields.text(entry, "name"), fields.text(entry, "value")
            source = fields.mapping(entry, "valueFrom", "secretKeyRef")
            if variable == KEYS[1] or (variable == KEYS[0] and not value.startswith("ASIA")):
                origin = f"key {fields.text(source, 'key')} of Secret {fields.text(source, 'name')}"
                if source or value or fields.mapping(entry, "valueFrom", "configMapKeyRef"):
                    yield f"containers[{name}].env[{variable}]", origin if source else "(a value)"
        for mount in fields.items(container, "volumeMounts"):
            path, volume = fields.text(mount, "mountPath").rstrip("/"), fields.text(mount, "name")
            if re.search(r"/\.aws(?:/credentials)?$", path) and _of_secret(template, volume):
                yield f"containers[{name}].volumeMounts[{path}]", f"Secret volume {volume}"


def _of_secret(template: Obj, volume: str) -> bool:
    return any(v.get("name") == volume and "secret" in v for v in fields.items(template, "spec", "volumes"))


def _endpoint(template: Obj) -> str:
    """The host that keys are for where it is no AWS (MinIO, LocalStack, another cloud), "" where nothing says so."""
    for container in _containers(template):
        for entry in fields.items(container, "env"):
            name, value = fields.text(entry, "name"), fields.text(entry, "value")
            named = name.startswith("AWS_ENDPOINT_URL") or re.search(r"(?:^|_)S3_?(?:ENDPOINT|URL|HOST)", name)
            if named and value and "amazonaws.com" not in value:
                return value[:80]
    return ""
