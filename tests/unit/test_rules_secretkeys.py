"""Secrets that a running workload would miss at its next start, and what is said where nobody may look."""

import asyncio

from builders import container, obj
from doubles import FakeCluster, ask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, severe

from firstmate_tools import kinds
from firstmate_tools.diagnose import diagnose
from firstmate_tools.diagnosis.report import Diagnosis
from firstmate_tools.errors import DeniedError
from firstmate_tools.fields import Obj

KEYED = container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}])
MOUNTED: Obj = {
    "volumes": [{"name": "tls", "secret": {"secretName": "tls", "items": [{"key": "ca.crt", "path": "c"}]}}]
}


def unread(answer):
    """What was not read, without the causes that nothing can show."""
    return [entry for entry in answer.coverage.not_checked if "cause" not in entry.what]


def secret(name: str, *keys: str, namespace: str = "shop") -> Obj:
    return obj("Secret", name, namespace, data=dict.fromkeys(keys, "aHVudGVyMg=="))


def place(*objects: Obj, namespace: str = "shop") -> list[Obj]:
    return [obj("Namespace", namespace, None), *objects]


def asked(cluster: FakeCluster, **arguments: str) -> Diagnosis:
    return asyncio.run(ask(diagnose, cluster, **arguments))


def test_a_key_that_was_taken_away_from_a_running_workload_is_named() -> None:
    found = finding(*app(spec=KEYED), secret("db", "user"))
    assert (found.cause, str(found.object), found.severity) == (
        "config-reference-missing",
        "deployment/cart",
        "warning",
    )
    assert "key password of Secret db does not exist" in found.summary and "runs" in found.summary
    assert "keys: user" in [e.value for e in found.evidence]


def test_a_key_of_a_volume_too() -> None:
    found = finding(*app(body=MOUNTED), secret("tls", "tls.key"))
    assert (found.cause, "key ca.crt of Secret tls" in found.summary) == ("volume-config-reference-missing", True)


def test_a_secret_that_has_what_is_needed_is_no_finding() -> None:
    assert severe(*app(spec=KEYED, body=MOUNTED), secret("db", "password"), secret("tls", "ca.crt")) == []


def test_optional_references_and_workloads_at_zero_are_no_finding() -> None:
    loose = container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "x", "optional": True}}}])
    assert severe(*app(spec=loose), secret("db", "user")) == []
    assert severe(*app(spec=KEYED, pods=0), secret("db", "user")) == []


def test_a_diagnosis_of_a_namespace_looks_where_it_may() -> None:
    cluster = FakeCluster(*place(*app(spec=KEYED), *bystanders()), secret("db", "user"))
    answer = asked(cluster, namespace="shop")
    assert [(r.cause, r.object.name) for r in answer.root_causes] == [("config-reference-missing", "cart")]
    assert "secrets" in answer.coverage.checked
    assert 'get secrets "db" in namespace "shop"' in cluster.asked
    assert "aHVudGVy" not in answer.model_dump_json()


def test_where_it_may_not_it_says_so_without_trying_and_stays_conclusive() -> None:
    cluster = FakeCluster(*place(*app(spec=KEYED)), denied={kinds.SECRET: DeniedError("no")})
    answer = asked(cluster, namespace="shop")
    (left,) = unread(answer)
    assert (left.what, left.why, "firstmate rbac --secrets" in (left.how_to_enable or "")) == (
        "secrets",
        "not_configured",
        True,
    )
    assert answer.outcome == "nothing_found"
    assert not [one for one in cluster.asked if "secrets" in one]


def test_a_question_about_the_whole_cluster_does_not_look_into_every_secret() -> None:
    answer = asked(FakeCluster(*place(*app(spec=KEYED))))
    told = [(e.what, e.why) for e in unread(answer) if e.what != "/metrics"]
    assert told == [("secrets", "not_asked")]
    assert answer.outcome == "nothing_found"


def test_nobody_asks_for_secrets_where_nothing_needs_one() -> None:
    answer = asked(FakeCluster(*place(*app())), namespace="shop")
    assert unread(answer) == []


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged([*app(spec=KEYED, body=MOUNTED), secret("db", "user"), secret("tls")]))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects)


@settings(max_examples=50, deadline=None)
@given(st.sets(st.sampled_from(["password", "user", "host"])))
def test_only_a_missing_key_is_found(keys: set[str]) -> None:
    assert bool(severe(*app(spec=KEYED), secret("db", *keys))) == ("password" not in keys)
