"""Findings about AWS identities of pods that the cluster alone shows."""

from typing import Any

import pytest
from builders import ago, container, obj
from hypothesis import HealthCheck, given, settings
from verdicts import app, bystanders, damaged, linked, renamed, roots, severe, verdicts

from firstmate_tools.fields import Obj

MISSING, STATIC = "irsa-not-injected", "static-aws-credentials-in-pod"
ARN = "arn:aws:iam::111122223333:role/cart"
HOOK = obj("MutatingWebhookConfiguration", "pod-identity-webhook", None, api="admissionregistration.k8s.io/v1")
INJECTED = [
    {"name": "AWS_ROLE_ARN", "value": ARN},
    {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"},
]


def account(name: str = "cart", *, made: float = 3600, arn: str = ARN, **metadata: Any) -> Obj:
    notes = {"eks.amazonaws.com/role-arn": arn} if arn else {}
    return obj("ServiceAccount", name, metadata={"annotations": notes, "creationTimestamp": ago(made), **metadata})


def workload(env: list[Obj] | None = None, **rest: Any) -> list[Obj]:
    return app(spec=container(env=env or []), body={"serviceAccountName": "cart"}, **rest)


def found(*objects: Obj, **how: Any) -> list[tuple[str, str]]:
    return roots(*objects, *bystanders(), **how)


def test_pods_that_were_admitted_without_the_webhook_are_told() -> None:
    (root,) = linked(*workload(pods=2), account(), HOOK)
    assert (root.finding.cause, str(root.finding.object), root.finding.severity) == (
        MISSING,
        "deployment/cart",
        "warning",
    )
    assert "2 of its 2 pods" in root.finding.summary and "admitted without the webhook" in root.finding.summary


def test_pods_older_than_the_promise_need_a_restart() -> None:
    (root,) = linked(*workload(), account(made=10), HOOK)
    assert "older than the promise" in root.finding.summary


def test_managed_fields_tell_when_the_promise_was_made() -> None:
    owned = {"f:metadata": {"f:annotations": {"f:eks.amazonaws.com/role-arn": {}}}}
    entry = {"manager": "terraform", "operation": "Update", "time": ago(20), "fieldsV1": owned}
    (root,) = linked(*workload(), account(managedFields=[entry]), HOOK)
    assert "older than the promise" in root.finding.summary


def test_without_any_webhook_all_workloads_have_one_problem() -> None:
    others = app("web", body={"serviceAccountName": "web"})
    (root,) = linked(*workload(), *others, account(), account("web"))
    assert "there is no pod-identity-webhook" in root.finding.summary
    assert (root.finding.culprit, root.finding.severity) == ("pod-identity-webhook", "info")


@pytest.mark.parametrize(
    "env",
    [
        INJECTED,
        INJECTED[:1],
        [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"}],
    ],
)
def test_pods_with_an_identity_of_whatever_kind_are_well(env: list[Obj]) -> None:
    assert found(*workload(env), account(), HOOK) == []


def test_accounts_without_a_promise_and_pods_of_other_accounts_are_well() -> None:
    assert found(*workload(), account(arn=""), HOOK) == []
    assert found(*app(), account(), HOOK) == []


CRASH: dict[str, Any] = {"waiting": "CrashLoopBackOff", "restarts": 4, "last": {"exitCode": 1, "reason": "Error"}}


def test_a_crash_for_want_of_credentials_is_explained_and_another_is_not() -> None:
    log = {("shop", "cart-1-0", "app", True): "ERROR NoCredentialProviders: no valid providers in chain"}
    (root,) = linked(*workload(**CRASH), account(), HOOK, logs=log)
    assert (root.finding.cause, root.finding.severity) == (MISSING, "critical")
    assert "application-exits-on-error" in {e.cause for e in root.explained}
    log = {("shop", "cart-1-0", "app", True): "ERROR no such table: baskets"}
    assert severe(*workload(**CRASH), account(), HOOK, logs=log) == ["application-exits-on-error"]


KEYS = [
    {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "id"}}},
    {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "secret"}}},
]


def test_keys_in_the_environment_are_a_weakness_of_the_workload() -> None:
    (root,) = linked(*workload(KEYS), *bystanders())
    assert (root.finding.cause, str(root.finding.object), root.finding.severity) == (STATIC, "deployment/cart", "info")
    assert "key id of Secret aws" in root.finding.evidence[0].value


def test_a_key_in_plain_sight_is_never_repeated() -> None:
    value = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    (root,) = linked(*workload([{"name": "AWS_SECRET_ACCESS_KEY", "value": value}]))
    assert value not in repr(root)


def test_a_credentials_file_from_a_secret_counts_too() -> None:
    one = container(volumeMounts=[{"name": "aws", "mountPath": "/root/.aws"}])
    body = {"volumes": [{"name": "aws", "secret": {"secretName": "aws"}}]}
    assert found(*app(spec=one, body=body)) == [(STATIC, "deployment/cart")]
    body = {"volumes": [{"name": "aws", "configMap": {"name": "aws-config"}}]}
    assert STATIC not in dict(found(*app(spec=one, body=body)))


def test_keys_for_another_store_than_aws_are_ruled_out() -> None:
    objects = workload([*KEYS, {"name": "AWS_ENDPOINT_URL_S3", "value": "http://minio.store:9000"}])
    assert found(*objects) == []
    assert STATIC in {r.cause for r in verdicts(*objects)[1]}


def test_temporary_keys_and_empty_ones_are_none() -> None:
    assert found(*workload([{"name": "AWS_ACCESS_KEY_ID", "value": "ASIAEXAMPLE"}])) == []
    assert found(*workload([{"name": "AWS_SECRET_ACCESS_KEY", "value": ""}])) == []


def test_a_cron_job_is_named_itself_and_its_jobs_are_not() -> None:
    spec = {"containers": [container(env=KEYS)]}
    cron = obj(
        "CronJob", "cart", api="batch/v1", spec={"jobTemplate": {"spec": {"template": {"spec": spec}}}, "suspend": True}
    )
    (root,) = linked(cron)
    assert str(root.finding.object) == "cronjob/cart"
    assert root.finding.evidence[0].field.startswith("spec.jobTemplate.spec.template.spec.containers")


WHOLE = [*workload(KEYS[:1]), *app("till", body={"serviceAccountName": "cart"}), account(), *bystanders()]


@given(damaged(WHOLE))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects)


def test_names_do_not_matter() -> None:
    assert [c for c, _ in roots(*renamed(WHOLE, "kasse"))] == [c for c, _ in roots(*WHOLE)]
