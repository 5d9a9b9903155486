"""Findings about images that do not come for reasons that are not the image's, and about names that cannot be read."""

import pytest
from builders import container, event, facts_of, node, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled

from firstmate_tools.diagnosis.imagenames import unreadable
from firstmate_tools.diagnosis.rule import ListWant
from firstmate_tools.diagnosis.rules.registries import nodes_of_full_disks
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT

CART = "deployment/cart"
IMAGE = "registry.shop.example/cart:2"
NEVER, INVALID = "image-never-pull-absent", "image-name-invalid"
NO_WAY, LIMITED, FULL = "image-registry-unreachable", "image-pull-rate-limited", "image-filesystem-full"
TIMEOUT = 'failed to do request: Head "https://registry.shop.example/v2/": dial tcp 10.1.2.3:443: i/o timeout'
THROTTLED = "unexpected status from HEAD request: 429 Too Many Requests toomanyrequests: rate limit"
NO_ROOM = "failed to extract layer sha256:abc: write /var/lib/containerd/x: no space left on device: unknown"


def pulling(message: str, *, waiting: str = "ImagePullBackOff", image: str = IMAGE, name: str = "cart") -> list[Obj]:
    return app(name, spec=container(image=image), waiting=waiting, message=message, phase="Pending", ready=False)


@pytest.mark.parametrize(
    ("waiting", "image", "cause", "words"),
    [
        ("ErrImageNeverPull", IMAGE, NEVER, "not on node n1"),
        ("InvalidImageName", "registry.shop.example/Cart:2", INVALID, "'Cart' in"),
        ("RegistryUnavailable", IMAGE, NO_WAY, "cannot be reached"),
    ],
)
def test_reasons_that_say_it_all(waiting: str, image: str, cause: str, words: str) -> None:
    (root,) = linked(*pulling("", waiting=waiting, image=image), service("cart"))
    found = root.finding
    assert (found.cause, str(found.object), found.severity, found.confidence) == (cause, CART, "critical", "certain")
    assert words in found.summary
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("Cart:2", "capitals"),
        ("registry.shop.example/Cart:2", "capitals"),
        ("cart:${VERSION}", "placeholder"),
        ("https://registry.shop.example/cart:2", "scheme"),
        ("cart: 2", "space"),
        ("cart:2:3", "tag '2:3'"),
        ("cart@sha256:abc", "is no digest"),
        ("registry.shop.example//cart", "is no part"),
        ("-shop.example.com/cart", "is no registry"),
        ("", "empty"),
    ],
)
def test_why_a_name_cannot_be_read(reference: str, words: str) -> None:
    assert words in unreadable(reference)


@pytest.mark.parametrize(("message", "cause"), [(TIMEOUT, NO_WAY), (THROTTLED, LIMITED)])
def test_a_registry_that_gives_nothing_is_one_problem_of_all_its_images(message: str, cause: str) -> None:
    other = pulling(message, image="registry.shop.example/tax:1", name="tax")
    found = finding(*pulling(message), *other)
    assert (found.cause, str(found.object)) == (cause, CART)
    assert "deployment/tax" in found.summary and "registry.shop.example" in found.summary


def test_a_registry_whose_certificate_nobody_trusts_answers_in_vain() -> None:
    found = finding(*pulling('Head "https://registry.shop.example/v2/": x509: certificate signed by unknown authority'))
    assert (found.cause, found.confidence) == (NO_WAY, "likely")
    assert "no TLS that nodes trust" in found.summary


def test_two_registries_are_two_problems() -> None:
    other = pulling(TIMEOUT, image="images.corp.example/tax:1", name="tax")
    assert roots(*pulling(TIMEOUT), *other) == [(NO_WAY, CART), (NO_WAY, "deployment/tax")]


def elsewhere(objects: list[Obj], on: str = "n2", image: str = IMAGE) -> list[Obj]:
    """The same with a second pod of the workload that runs on another node."""
    well = app(spec=container(image=image), pods=2)[-1]
    well["spec"]["nodeName"] = on
    return [*objects, well]


def test_one_node_that_reaches_nothing_is_at_fault_itself() -> None:
    found = finding(*elsewhere(pulling(TIMEOUT)))
    assert (found.cause, str(found.object), found.confidence) == (NO_WAY, "node/n1", "likely")
    assert finding(*elsewhere(pulling(TIMEOUT), image="registry.shop.example/cart:1")).object.kind == "Deployment"
    assert finding(*elsewhere(pulling(TIMEOUT), on="n1")).object.kind == "Deployment"


def full(name: str = "n1") -> list[Obj]:
    words = "Failed to garbage collect required amount of images. Attempted to free 9 bytes, but only found 0 bytes"
    return [node(name), event(node(name), "FreeDiskSpaceFailed", words)]


def test_a_disk_without_room_is_the_nodes() -> None:
    (root,) = linked(*pulling(NO_ROOM), *full(), service("cart"))
    assert (root.finding.cause, str(root.finding.object), root.finding.severity) == (FULL, "node/n1", "critical")
    assert any("garbage collect" in e.value for e in root.finding.evidence)
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


def test_all_pods_of_one_full_node_are_one_problem() -> None:
    assert roots(*pulling(NO_ROOM), *pulling(NO_ROOM, name="tax"), node("n1")) == [(FULL, "node/n1")]


def test_a_kubelet_that_cannot_free_space_is_a_warning_before_anybody_suffers() -> None:
    assert finding(*full()).severity == "warning"
    old = event(node("n1"), "FreeDiskSpaceFailed", "x", seconds_ago=3000)
    start = event(node("n1"), "ImageGCFailed", "failed to get imageFs info: unable to find data in memory cache")
    assert severe(node("n1"), old, start) == []


def test_events_of_nodes_are_wanted_only_where_a_disk_is_full() -> None:
    asked = Scope("shop")
    assert list(nodes_of_full_disks(facts_of(*pulling(NO_ROOM), scope=asked))) == [ListWant(EVENT, "default")]
    assert list(nodes_of_full_disks(facts_of(*pulling(TIMEOUT), scope=asked))) == []
    assert list(nodes_of_full_disks(facts_of(*pulling(NO_ROOM)))) == []


def test_a_pull_that_failed_before_and_has_come_is_history() -> None:
    objects = app(spec=container(image=IMAGE))
    assert severe(*objects, event(objects[-1], "Failed", f'Failed to pull image "{IMAGE}": {TIMEOUT}')) == []


CASES = [
    pulling("", waiting="ErrImageNeverPull"),
    pulling("", waiting="InvalidImageName"),
    elsewhere(pulling(TIMEOUT)),
    pulling(THROTTLED),
    [*pulling(NO_ROOM), *full()],
]


@settings(max_examples=15, deadline=None)
@given(st.integers(), st.booleans())
def test_order_and_bystanders_change_nothing(seed: int, crowded: bool) -> None:
    for objects in CASES:
        assert roots(*shuffled([*objects, *(bystanders() if crowded else [])], seed)) == roots(*objects)


@settings(max_examples=10, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9]{2,12}-x", fullmatch=True))
def test_names_change_nothing(name: str) -> None:
    for objects in CASES:
        found = [(cause, ref.replace(name, "cart")) for cause, ref in roots(*renamed(objects, name))]
        assert found == roots(*objects)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES).flatmap(damaged))
def test_absurd_fields_never_raise(objects: list[Obj]) -> None:
    linked(*objects)


@given(st.text(max_size=60))
def test_any_name_gets_a_reason(reference: str) -> None:
    assert unreadable(reference)
