"""Findings about ConfigMaps, Secrets and keys that do not exist."""

from typing import Any

import pytest
from builders import ago, container, event, obj, owner, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.rule import GetWant, all_rules
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

CART = "deployment/cart"
ENV, VOLUME = "config-reference-missing", "volume-config-reference-missing"
CONFIG_ERROR: dict[str, Any] = {"waiting": "CreateContainerConfigError", "phase": "Pending"}


def env(kind: str, name: str, key: str, **more: Any) -> Obj:
    return container(env=[{"name": "A", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key, **more}}}])


def env_from(kind: str, name: str) -> Obj:
    return container(envFrom=[{f"{kind}Ref": {"name": name}}])


def config_map(name: str, **data: str) -> Obj:
    return obj("ConfigMap", name, data=data)


def waits(spec: Obj, message: str, name: str = "cart", **more: Any) -> list[Obj]:
    return app(name, spec=spec, message=message, **{**CONFIG_ERROR, **more})


def mounts(volume: Obj, message: str, name: str = "cart", *, seconds_ago: float = 20, **more: Any) -> list[Obj]:
    """A Deployment whose pod waits for a volume of which the kubelet says that it failed."""
    body = {"volumes": [{"name": "config", **volume}]}
    objects = app(name, body=body, waiting="ContainerCreating", phase="Pending", **more)
    said = f'MountVolume.SetUp failed for volume "config" : {message}'
    return [*objects, event(objects[-1], "FailedMount", said, seconds_ago=seconds_ago)]


@pytest.mark.parametrize(
    ("objects", "summary"),
    [
        (waits(env("secret", "db", "password"), 'secret "db" not found'), "Secret db does not exist"),
        (
            waits(env("secret", "db", "password"), "couldn't find key password in Secret shop/db"),
            "key password of Secret db",
        ),
        (waits(env("configMap", "web", "A"), 'configmap "web" not found'), "ConfigMap web does not exist"),
        (waits(env_from("configMap", "web"), 'configmap "web" not found'), "ConfigMap web does not exist"),
        (waits(env_from("secret", "db"), 'secret "db" not found'), "Secret db does not exist"),
        (
            [
                *waits(env("configMap", "web", "A"), "couldn't find key A in ConfigMap shop/web"),
                config_map("web", B="1"),
            ],
            "key A of ConfigMap web",
        ),
    ],
)
def test_what_a_containers_environment_needs_and_lacks_is_named(objects: list[Obj], summary: str) -> None:
    found = finding(*objects)
    assert (found.cause, str(found.object), found.severity, found.confidence) == (ENV, CART, "critical", "certain")
    assert summary in found.summary
    assert any(e.field.startswith("spec.containers[app].env") for e in found.evidence)


@pytest.mark.parametrize(
    ("volume", "message", "summary"),
    [
        ({"secret": {"secretName": "tls"}}, 'secret "tls" not found', "Secret tls does not exist"),
        ({"configMap": {"name": "web"}}, 'configmap "web" not found', "ConfigMap web does not exist"),
        (
            {"secret": {"secretName": "tls", "items": [{"key": "ca.crt", "path": "ca"}]}},
            "references non-existent secret key: ca.crt",
            "key ca.crt of Secret tls",
        ),
        (
            {"projected": {"sources": [{"secret": {"name": "tls"}}, {"configMap": {"name": "web"}}]}},
            '[secret "tls" not found, configmap "gone" not found]',
            "Secret tls does not exist",
        ),
        ({"csi": {"nodePublishSecretRef": {"name": "csi"}}}, 'secrets "csi" not found', "Secret csi does not exist"),
    ],
)
def test_what_a_volume_needs_and_lacks_is_named(volume: Obj, message: str, summary: str) -> None:
    found = finding(*mounts(volume, message))
    assert (found.cause, str(found.object)) == (VOLUME, CART)
    assert summary in found.summary


def test_a_key_that_a_volume_names_and_the_config_map_lacks_is_named() -> None:
    volume = {"configMap": {"name": "web", "items": [{"key": "agent.yaml", "path": "agent.yaml"}]}}
    objects = mounts(volume, "configmap references non-existent config key: agent.yaml")
    found = finding(*objects, config_map("web", **{"agent.yml": "x"}))
    assert (found.cause, found.confidence) == (VOLUME, "certain")
    assert any("agent.yml" in e.value for e in found.evidence)


def test_a_pod_that_waits_in_silence_for_an_absent_config_map_is_found() -> None:
    body = {"volumes": [{"name": "config", "configMap": {"name": "web"}}]}
    objects = app(body=body, waiting="ContainerCreating", phase="Pending")
    assert roots(*objects) == [(VOLUME, CART)]
    assert roots(*objects, config_map("web")) == []
    assert roots(*objects, unknown=(kinds.CONFIG_MAP,)) == []


def test_config_maps_are_looked_at_again_and_secrets_never() -> None:
    objects = [
        *waits(env("configMap", "web", "A"), 'configmap "web" not found'),
        *waits(env("secret", "db", "password"), 'secret "db" not found', name="billing"),
    ]
    _, _, facts = verdicts(*objects, unknown=(kinds.CONFIG_MAP,))
    wants = {w for rule in all_rules() if rule.wants for w in rule.wants(facts) if isinstance(w, GetWant)}
    assert {want for want in wants if want.ref.namespace == "shop"} == {
        GetWant(kinds.CONFIG_MAP, Ref("ConfigMap", "shop", "web"))
    }


@pytest.mark.parametrize(
    "objects",
    [
        [*waits(env("configMap", "web", "A"), 'configmap "web" not found'), config_map("web", A="1")],
        [*waits(env_from("configMap", "web"), 'configmap "web" not found'), config_map("web")],
        [*mounts({"configMap": {"name": "web"}}, 'configmap "web" not found'), config_map("web")],
    ],
)
def test_a_config_map_that_has_come_meanwhile_is_ruled_out(objects: list[Obj]) -> None:
    found, ruled_out, _ = verdicts(*objects)
    assert not [f for f in found if f.cause in {ENV, VOLUME}]
    assert [r.cause for r in ruled_out if r.cause in {ENV, VOLUME}]


def test_a_config_map_that_came_without_the_key_is_still_a_gap() -> None:
    objects = [*waits(env("configMap", "web", "A"), 'configmap "web" not found'), config_map("web", B="1")]
    assert "key A" in finding(*objects).summary


LATE = "failed to sync configmap cache: timed out waiting for the condition"


@pytest.mark.parametrize(
    "objects",
    [
        waits(env("configMap", "web", "A"), LATE),
        [*mounts({"configMap": {"name": "web"}}, LATE), config_map("web")],
        mounts({"configMap": {"name": "web", "optional": True}}, 'configmap "web" not found'),
        mounts({"secret": {"secretName": "tls"}}, 'secret "other" not found'),
        mounts({"secret": {"secretName": "tls"}}, 'secret "tls" not found', seconds_ago=3000),
        mounts({"secret": {"secretName": "tls"}}, 'object "shop"/"tls" not registered'),
        waits(env("secret", "db", "password", optional=True), "couldn't find key password in Secret shop/db"),
    ],
)
def test_other_and_passing_troubles_are_no_missing_reference(objects: list[Obj]) -> None:
    assert roots(*objects) == []


@pytest.mark.parametrize(
    "state",
    [
        {},  # it runs, and is ready
        {
            "waiting": "ContainerCreating",
            "phase": "Pending",
            "conditions": [{"type": "PodReadyToStartContainers", "status": "True"}],
        },
    ],
)
def test_a_mount_that_failed_and_then_worked_is_past(state: dict[str, Any]) -> None:
    objects = app(body={"volumes": [{"name": "config", "secret": {"secretName": "tls"}}]}, **state)
    said = event(objects[-1], "FailedMount", 'MountVolume.SetUp failed for volume "config" : secret "tls" not found')
    assert roots(*objects, said) == []


def test_a_pod_that_cannot_get_its_network_does_not_wait_for_a_config_map() -> None:
    body = {"volumes": [{"name": "config", "configMap": {"name": "web"}}]}
    objects = app(body=body, waiting="ContainerCreating", phase="Pending")
    assert roots(*objects, event(objects[-1], "FailedCreatePodSandBox", "plugin type aws-cni failed")) == []


def test_one_missing_thing_of_many_workloads_is_one_problem() -> None:
    message = 'secret "db" not found'
    objects = [*waits(env("secret", "db", "a"), message), *waits(env_from("secret", "db"), message, name="billing")]
    found = finding(*objects)
    assert str(found.object) == "deployment/billing"
    assert "deployment/cart" in found.summary


def test_one_missing_thing_is_one_problem_in_environments_and_volumes() -> None:
    volume = mounts({"secret": {"secretName": "db"}}, 'secret "db" not found', name="billing")
    objects = [*waits(env("secret", "db", "a"), 'secret "db" not found'), *volume]
    assert len(roots(*objects)) == 1


def test_two_missing_things_are_two_problems() -> None:
    objects = [
        *waits(env("secret", "a", "x"), 'secret "a" not found'),
        *waits(env("secret", "b", "x"), 'secret "b" not found', name="z"),
    ]
    assert len(roots(*objects)) == 2


def test_the_event_is_read_where_the_state_has_no_words() -> None:
    objects = waits(env("secret", "db", "a"), "")
    assert roots(*objects, event(objects[-1], "Failed", 'Error: secret "db" not found')) == [(ENV, CART)]


def test_an_init_container_lacks_what_an_application_would() -> None:
    setup = {**env("secret", "db", "a"), "name": "setup"}
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
    status = {"name": "setup", "ready": False, "restartCount": 0, "state": {"waiting": waiting}}
    body = {"initContainers": [setup]}
    objects = app(body=body, init=[setup], init_statuses=[status], waiting="PodInitializing", phase="Pending")
    assert roots(*objects) == [(ENV, CART)]


def test_a_job_that_cannot_start_is_a_warning() -> None:
    job = obj("Job", "export", api="batch/v1", status={})
    objects = waits(env("secret", "db", "a"), 'secret "db" not found')
    objects[-1]["metadata"]["ownerReferences"] = owner("Job", "export", "batch/v1")
    found = finding(job, objects[-1])
    assert (str(found.object), found.severity) == ("job/export", "warning")


def test_a_service_without_backends_is_explained() -> None:
    (root,) = linked(*waits(env("secret", "db", "a"), 'secret "db" not found'), service("cart"))
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


def test_a_container_whose_reference_went_missing_after_it_started_is_found_at_its_restart() -> None:
    last = {"exitCode": 1, "reason": "Error", "startedAt": ago(400), "finishedAt": ago(60)}
    objects = waits(
        env("secret", "db", "a"), 'secret "db" not found', last=last, restarts=1, phase="Running", ready=False
    )
    assert roots(*objects) == [(ENV, CART)]


def test_nothing_is_found_in_a_healthy_workload() -> None:
    objects = app(
        spec=env("configMap", "web", "A"), body={"volumes": [{"name": "config", "secret": {"secretName": "tls"}}]}
    )
    assert severe(*objects, service("cart")) == []


CASES = [
    waits(env("secret", "db", "password"), 'secret "db" not found'),
    waits(env("configMap", "web", "A"), 'configmap "web" not found'),
    mounts({"configMap": {"name": "web", "items": [{"key": "a", "path": "a"}]}}, 'configmap "web" not found'),
    mounts({"projected": {"sources": [{"secret": {"name": "tls"}}]}}, 'secret "tls" not found'),
]


@settings(max_examples=30, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects in CASES:
        assert roots(*shuffled([*objects, *(bystanders() if crowded else [])], seed)) == roots(*objects)


@settings(max_examples=20, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects in CASES:
        found = [(cause, ref.replace(name, "cart")) for cause, ref in roots(*renamed(objects, name))]
        assert found == roots(*objects)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects)
