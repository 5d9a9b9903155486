"""Findings about images that cannot be pulled."""

import pytest
from builders import container, deployment, event, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, named, renamed, roots, severe, shuffled

from firstmate_tools.diagnosis.pulls import image_parts, meaning
from firstmate_tools.fields import Obj

IMAGE = "registry.shop.example/cart:2"
CART = "deployment/cart"
PULL = f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}"'
NOT_FOUND = f'{PULL}: failed to resolve reference "{IMAGE}": {IMAGE}: not found'
REFUSED = (
    f'failed to resolve reference "{IMAGE}": failed to authorize: failed to fetch oauth token: unexpected status from '
    "POST request to https://registry.shop.example/token: 401 Unauthorized"
)
HUB = "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope"
LOST = "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed."


def pulling(
    message: str,
    *,
    image: str = IMAGE,
    waiting: str = "ImagePullBackOff",
    secrets: tuple[str, ...] = (),
    name: str = "cart",
) -> list[Obj]:
    body: Obj = {"imagePullSecrets": [{"name": s} for s in secrets]} if secrets else {}
    return app(name, spec=container(image=image), body=body, waiting=waiting, message=message, phase="Pending")


def lost_secret(objects: list[Obj], message: str = LOST, seconds_ago: float = 30) -> Obj:
    return event(objects[-1], "FailedToRetrieveImagePullSecret", message, seconds_ago=seconds_ago)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NOT_FOUND, "not-found"),
        ("reading manifest 9.9 in docker.io/library/nginx: manifest unknown", "not-found"),
        ("manifest for ecr.example/a:1 not found: manifest unknown: Requested image not found", "not-found"),
        ("name unknown: The repository with name 'a' does not exist in the registry with id '1'", "not-found"),
        ("unknown: Tag v1 was deleted or has expired. To pull, revive via time machine", "not-found"),
        (REFUSED, "refused"),
        ("failed to fetch anonymous token: unexpected status from GET https://g/token: 403 Forbidden", "refused"),
        ("unauthorized: authentication required", "refused"),
        ("denied: requested access to the resource is denied", "refused"),
        ("denied: Your authorization token has expired. Reauthenticate and try again.", "refused"),
        (f"{HUB}: authorization failed: no basic auth credentials", "refused"),
        (HUB, "refused-or-not-found"),
        ("pull access denied, repository does not exist or may require 'docker login': denied", "refused-or-not-found"),
        ('denied: Permission "x" denied on resource "y" (or it may not exist)', "refused-or-not-found"),
        ('failed to do request: Head "https://r/v2/a": dial tcp: lookup r on 10.0.0.2:53: no such host', "unreachable"),
        ('failed to do request: Head "https://r/v2/a": EOF', "unreachable"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "untrusted"),
        ('Get "https://r:5000/v2/": http: server gave HTTP response to HTTPS client', "untrusted"),
        ("toomanyrequests: You have reached your unauthenticated pull rate limit: 429 Too Many Requests", "throttled"),
        ("no match for platform in manifest sha256:abc: not found", "platform"),
        ("failed to extract layer sha256:abc: write /var/lib/x: no space left on device", "disk"),
        ("failed to prepare extraction snapshot: parent snapshot sha256:abc does not exist: not found", "other"),
        ('Back-off pulling image "registry.shop.example/not-found:404"', "unknown"),
        ("Error: ErrImagePull", "unknown"),
        ("", "unknown"),
    ],
)  # fmt: skip
def test_a_pull_error_is_read_by_its_words_and_not_by_the_names_in_it(text: str, expected: str) -> None:
    assert meaning(text) == expected


@pytest.mark.parametrize(
    ("reference", "registry", "repository", "tag"),
    [
        ("nginx", "docker.io", "library/nginx", "latest"),
        ("acme/app:1", "docker.io", "acme/app", "1"),
        ("localhost:5000/a/b:1", "localhost:5000", "a/b", "1"),
        ("ghcr.io/a/b@sha256:ab", "ghcr.io", "a/b", "sha256:ab"),
    ],
)
def test_an_image_reference_falls_into_its_parts(reference: str, registry: str, repository: str, tag: str) -> None:
    parts = image_parts(reference)
    assert (parts.registry, parts.repository, parts.tag) == (registry, repository, tag)


@pytest.mark.parametrize("waiting", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_the_registry_does_not_have_is_not_found(waiting: str) -> None:
    objects = pulling(NOT_FOUND, waiting=waiting)
    found = finding(*objects)
    assert (found.cause, str(found.object), found.severity) == ("image-not-found", CART, "critical")
    assert "not found" in found.evidence[0].value


def test_the_newest_event_decides_where_the_state_only_backs_off() -> None:
    objects = pulling(f'Back-off pulling image "{IMAGE}"')
    old = event(objects[-1], "Failed", f'Failed to pull image "{IMAGE}": {REFUSED}', seconds_ago=500)
    new = event(objects[-1], "Failed", f'Failed to pull image "{IMAGE}": {NOT_FOUND}', seconds_ago=20)
    assert roots(*objects, old, new) == [("image-not-found", CART)]


def test_events_of_an_earlier_pod_of_the_same_name_say_nothing() -> None:
    objects = pulling(f'Back-off pulling image "{IMAGE}"')
    other = event(objects[-1], "Failed", f'Failed to pull image "{IMAGE}": {NOT_FOUND}')
    other["involvedObject"]["uid"] = "uid-of-another"
    assert roots(*objects, other) == []


def test_events_about_another_image_of_the_pod_say_nothing() -> None:
    objects = pulling(f'Back-off pulling image "{IMAGE}"')
    text = NOT_FOUND.replace("cart:2", "side:1")
    other = event(objects[-1], "Failed", f'Failed to pull image "registry.shop.example/side:1": {text}')
    assert roots(*objects, other) == []


def test_the_decisive_end_of_a_long_message_is_read_and_quoted() -> None:
    objects = pulling("x" * 600 + " " + REFUSED)
    found = finding(*objects)
    assert found.cause == "image-pull-unauthorized"
    assert found.evidence[0].value.endswith("401 Unauthorized")


def test_refused_credentials_are_certain_and_no_credentials_likely() -> None:
    assert finding(*pulling(REFUSED, secrets=("regcred",))).confidence == "certain"
    assert finding(*pulling(REFUSED)).confidence == "likely"


def test_a_missing_pull_secret_is_the_cause_of_a_refused_pull() -> None:
    objects = pulling(REFUSED, secrets=("regcred",))
    found = finding(*objects, lost_secret(objects))
    assert (found.cause, str(found.object)) == ("image-pull-secret-missing", CART)
    assert "regcred" in found.summary


def test_a_missing_pull_secret_that_the_service_account_names_is_said_so() -> None:
    objects = pulling(REFUSED, secrets=("regcred",))
    named(objects, "Deployment", "cart")["spec"]["template"]["spec"].pop("imagePullSecrets")
    assert "service account default" in finding(*objects, lost_secret(objects)).summary


@pytest.mark.parametrize(
    "message",
    [
        "Unable to retrieve some image pull secrets (another); attempting to pull the image may not succeed.",
        "Unable to retrieve some image pull secrets ",
    ],
)
def test_a_secret_that_the_pod_does_not_name_is_not_missing(message: str) -> None:
    objects = pulling(REFUSED, secrets=("regcred",))
    assert roots(*objects, lost_secret(objects, message)) == [("image-pull-unauthorized", CART)]


def test_a_missing_pull_secret_does_not_hide_an_image_that_does_not_exist() -> None:
    objects = pulling(NOT_FOUND, secrets=("regcred",))
    assert roots(*objects, lost_secret(objects)) == [("image-not-found", CART)]


def test_a_missing_pull_secret_of_a_pod_that_runs_is_no_finding() -> None:
    objects = app(spec=container(image=IMAGE), body={"imagePullSecrets": [{"name": "regcred"}]})
    assert roots(*objects, lost_secret(objects)) == []


def test_an_official_image_that_is_denied_has_a_wrong_name() -> None:
    objects = pulling(HUB, image="ngnix:1.29")
    assert roots(*objects) == [("image-not-found", CART)]


def test_an_ambiguous_answer_is_possible_only() -> None:
    found = finding(*pulling(HUB, image="acme/cart:2"))
    assert (found.cause, found.confidence) == ("image-pull-unauthorized", "possible")


def test_an_ambiguous_answer_for_a_repository_that_runs_elsewhere_is_a_refusal() -> None:
    found = finding(*pulling(HUB, image="acme/cart:2"), *app("other", spec=container(image="acme/cart:1")))
    assert (found.cause, found.confidence) == ("image-pull-unauthorized", "likely")


def test_an_ambiguous_answer_after_the_repository_changed_is_a_wrong_name() -> None:
    objects = pulling(HUB, image="acme/crat:2")
    named(objects, "ReplicaSet", "cart-1")["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "2"}
    old = app(spec=container(image="acme/cart:1"), revision=1, deployed=False, pods=0)
    old[0]["metadata"].update(name="cart-0", uid="uid-cart-0")
    found = finding(*objects, *old)
    assert (found.cause, found.confidence) == ("image-not-found", "possible")


def test_an_image_that_cannot_be_looked_at_is_no_failed_pull() -> None:
    assert roots(*pulling(NOT_FOUND, waiting="ImageInspectError")) == []


def test_one_image_of_many_workloads_is_one_problem() -> None:
    found = finding(*pulling(NOT_FOUND), *pulling(NOT_FOUND, name="billing"))
    assert str(found.object) == "deployment/billing"
    assert "deployment/cart" in found.summary


def test_one_refused_credential_of_many_images_is_one_problem() -> None:
    second = pulling(REFUSED, secrets=("regcred",), image="registry.shop.example/billing:1", name="billing")
    assert len(roots(*pulling(REFUSED, secrets=("regcred",)), *second)) == 1


def test_two_different_images_are_two_problems() -> None:
    assert len(roots(*pulling(NOT_FOUND), *pulling(NOT_FOUND, image="registry.shop.example/b:1", name="billing"))) == 2


def test_a_rollout_that_cannot_pull_is_a_warning_while_the_old_version_serves() -> None:
    old = app(spec=container(image="registry.shop.example/cart:1"), pods=2, revision=1)
    new = app(
        spec=container(image=IMAGE),
        revision=2,
        deployed=False,
        waiting="ErrImagePull",
        message=NOT_FOUND,
        phase="Pending",
    )
    found = finding(*old, *new, service("cart"))
    assert (found.cause, found.severity) == ("image-not-found", "warning")
    assert any(e.value.endswith("cart:1") for e in found.evidence)


def test_a_bad_image_that_a_newer_bad_image_replaced_is_not_named() -> None:
    old = pulling(NOT_FOUND, image="registry.shop.example/cart:1")
    new = app(
        spec=container(image=IMAGE),
        revision=2,
        deployed=False,
        waiting="ErrImagePull",
        message=NOT_FOUND,
        phase="Pending",
    )
    (found,) = linked(*old, *new)
    assert IMAGE in found.finding.summary


def test_a_service_without_backends_is_explained_by_the_image() -> None:
    (root,) = linked(*pulling(NOT_FOUND), service("cart"))
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


def test_init_containers_and_lone_pods_are_looked_at_too() -> None:
    waiting = {
        "name": "setup",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "ErrImagePull", "message": NOT_FOUND}},
    }
    lone = pod(
        "debug",
        phase="Pending",
        init=[container("setup", image=IMAGE)],
        init_statuses=[waiting],
        waiting="PodInitializing",
    )
    assert roots(lone) == [("image-not-found", "pod/debug")]


@pytest.mark.parametrize(
    "objects",
    [
        app(spec=container(image=IMAGE)),
        [deployment("cart", replicas=0)],
        [o for o in pulling(NOT_FOUND) if o["kind"] != "Pod"],
    ],
)
def test_nothing_is_found_where_images_are_pulled(objects: list[Obj]) -> None:
    stale = event(app(spec=container(image=IMAGE))[-1], "Failed", f'Failed to pull image "{IMAGE}": {NOT_FOUND}')
    assert severe(*objects, stale) == []


def test_a_terminating_pod_is_left_alone() -> None:
    objects = pulling(NOT_FOUND)
    objects[-1]["metadata"]["deletionTimestamp"] = "2026-11-21T01:59:00Z"
    assert severe(*objects) == []


SECRET_CASE = [*pulling(REFUSED, secrets=("regcred",)), lost_secret(pulling(REFUSED, secrets=("regcred",)))]


@settings(max_examples=30, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    others = bystanders() if crowded else []
    for objects in (pulling(NOT_FOUND), pulling(REFUSED), SECRET_CASE):
        assert roots(*shuffled([*objects, *others], seed)) == roots(*objects)


@settings(max_examples=20, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects in (pulling(NOT_FOUND), pulling(REFUSED), SECRET_CASE):
        found = [(cause, ref.replace(name, "cart")) for cause, ref in roots(*renamed(objects, name))]
        assert found == roots(*objects)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged([*SECRET_CASE, *pulling(NOT_FOUND, name="billing"), service("cart")]))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects)
