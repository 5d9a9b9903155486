"""Findings about pods that get no AWS credentials, by the words of the SDKs in their logs."""

import pytest
from builders import container, node, obj
from hypothesis import HealthCheck, given, settings
from test_rules_awsidentity import ARN, INJECTED
from verdicts import app, bystanders, damaged, finding, roots, verdicts

from firstmate_tools.diagnosis.rule import LogWant
from firstmate_tools.diagnosis.rules.awscredentials import wanted
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj

TRUST = "operation error STS: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"
PROVIDER = "InvalidIdentityToken: No OpenIDConnect provider found in your account for https://oidc.eks.example/id/0F"
AGENT = "dial tcp 169.254.170.23:80: i/o timeout while reading http://169.254.170.23/v1/credentials"
DENIED = "AccessDeniedException: User: role/node is not authorized to perform: eks-auth:AssumeRoleForPodIdentity"
IMDS = 'Put "http://169.254.169.254/latest/api/token": context deadline exceeded, no EC2 IMDS role found'
BARE = "botocore.exceptions.NoCredentialsError: Unable to locate credentials"
POD_IDENTITY = [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"}]
DIED = {"waiting": "CrashLoopBackOff", "restarts": 5, "last": {"exitCode": 1, "reason": "Error"}}


def dying(env: list[Obj] | None = None, name: str = "cart") -> list[Obj]:
    return app(name, spec=container(env=env or []), body={"serviceAccountName": name}, **DIED)


def log(*lines: str, name: str = "cart", previous: bool = True) -> dict[tuple[str, str, str, bool], str]:
    return {("shop", f"{name}-1-0", "app", previous): "\n".join(lines)}


def agent(ready: int, wanted_: int = 3) -> Obj:
    status = {"desiredNumberScheduled": wanted_, "numberReady": ready}
    return obj("DaemonSet", "eks-pod-identity-agent", "kube-system", api="apps/v1", spec={}, status=status)


def account(name: str = "cart", arn: str = ARN) -> Obj:
    return obj("ServiceAccount", name, metadata={"annotations": {"eks.amazonaws.com/role-arn": arn} if arn else {}})


@pytest.mark.parametrize(
    ("line", "env", "cause", "target"),
    [
        (TRUST, INJECTED, "irsa-trust-policy-mismatch", "serviceaccount/cart"),
        (PROVIDER, INJECTED, "irsa-oidc-provider-missing", "serviceaccount/cart"),
        (AGENT, POD_IDENTITY, "pod-identity-agent-not-running", "daemonset/eks-pod-identity-agent"),
        (DENIED, POD_IDENTITY, "pod-identity-agent-unauthorized", "daemonset/eks-pod-identity-agent"),
    ],
)
def test_what_the_sdk_says_explains_the_crash(line: str, env: list[Obj], cause: str, target: str) -> None:
    found = roots(*dying(env), account(), agent(1), *bystanders(), logs=log("booting", line))
    assert found == [(cause, target)]


def test_who_has_no_identity_and_is_not_answered_by_the_instance_is_told_of_its_hop_limit() -> None:
    assert roots(*dying(), account(arn=""), logs=log(IMDS)) == [("imds-hop-limit-blocks-pod", "deployment/cart")]


def test_who_has_a_web_identity_does_not_suffer_from_the_hop_limit() -> None:
    assert "imds-hop-limit-blocks-pod" not in {cause for cause, _ in roots(*dying(INJECTED), logs=log(IMDS))}


def test_without_any_identity_an_association_is_missing_where_the_agent_is_installed() -> None:
    absent = ("pod-identity-association-missing", "serviceaccount/cart")
    assert roots(*dying(), account(arn=""), agent(3), logs=log(BARE)) == [absent]
    assert absent not in roots(*dying(), account(arn=""), logs=log(BARE))
    assert absent not in roots(*dying(), account(), agent(3), logs=log(BARE))


def test_one_provider_that_is_missing_is_one_problem_of_many_workloads() -> None:
    both = [*dying(INJECTED), *dying(INJECTED, "web"), account(), account("web")]
    found = finding(*both, logs={**log(PROVIDER), **log(PROVIDER, name="web")})
    assert found.cause == "irsa-oidc-provider-missing" and "web" in found.summary


def test_an_agent_that_is_ready_everywhere_is_only_possibly_at_fault() -> None:
    assert finding(*dying(POD_IDENTITY), agent(3), logs=log(AGENT)).confidence == "possible"


def test_an_old_line_of_a_program_that_runs_on_is_no_finding() -> None:
    well = app(spec=container(env=INJECTED), body={"serviceAccountName": "cart"})
    lines = [TRUST, *(f"uploaded part {n}" for n in range(30))]
    assert roots(*well, account(), logs=log(*lines, previous=False)) == []
    assert roots(*well, account(), logs=log(*reversed(lines), previous=False)) == [
        ("irsa-trust-policy-mismatch", "serviceaccount/cart")
    ]


def test_logs_of_pods_with_an_identity_are_read_where_a_namespace_looks_well() -> None:
    well = app(spec=container(env=INJECTED), body={"serviceAccountName": "cart"})
    _, _, facts = verdicts(*well, scope=Scope(namespace="shop"))
    assert [w for w in wanted(facts) if isinstance(w, LogWant)] == [LogWant("shop", "cart-1-0", "app", aside=True)]
    _, _, facts = verdicts(*app(), scope=Scope(namespace="shop"))
    assert [w for w in wanted(facts) if isinstance(w, LogWant)] == []


@given(damaged([*dying(POD_IDENTITY), account(), agent(1), node("n1")]))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects, logs=log(TRUST, AGENT, BARE))
