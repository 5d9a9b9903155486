"""Findings about secrets that the Secrets Store CSI driver does not mount."""

from builders import container, event, obj, service
from hypothesis import HealthCheck, given, settings
from verdicts import app, damaged, finding, linked, roots

from firstmate_tools.fields import Obj

CAUSE = "external-secret-sync-failed"
SAID = (
    'MountVolume.SetUp failed for volume "keys" : rpc error: code = Unknown desc = failed to mount secrets store '
    "objects for pod shop/cart-1-0, err: Failed to fetch secret from all regions: ResourceNotFoundException: not there"
)
VOLUME = {
    "name": "keys",
    "csi": {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "pay"}},
}
CLASS = obj(
    "SecretProviderClass",
    "pay",
    api="secrets-store.csi.x-k8s.io/v1",
    spec={"provider": "aws", "parameters": {"objects": "- objectName: prod/pay"}},
)


def waiting(said: str = SAID, volume: Obj = VOLUME, **rest: int) -> list[Obj]:
    mount = container(volumeMounts=[{"name": "keys", "mountPath": "/keys"}])
    made = app(spec=mount, body={"volumes": [volume]}, phase="Pending", waiting="ContainerCreating")
    return [*made, event(made[-1], "FailedMount", said, **rest), service("cart")]


def test_a_secret_that_the_store_does_not_hold_is_told_of_its_class() -> None:
    found = finding(*waiting(), CLASS)
    assert (found.cause, str(found.object), found.severity) == (CAUSE, "secretproviderclass/pay", "critical")
    assert "holds nothing of a name" in found.summary


def test_a_refusal_is_told_as_one() -> None:
    denied = SAID.replace("ResourceNotFoundException: not there", "AccessDeniedException: is not authorized to perform")
    assert "the store refuses it" in finding(*waiting(denied), CLASS).summary


def test_a_class_that_does_not_exist_is_the_workloads_fault() -> None:
    found = finding(*waiting())
    assert str(found.object) == "deployment/cart" and "that class does not exist" in found.summary


def test_other_drivers_and_old_words_are_left_alone() -> None:
    other = {"name": "keys", "csi": {"driver": "ebs.csi.aws.com", "volumeAttributes": {"secretProviderClass": "pay"}}}
    assert CAUSE not in {cause for cause, _ in roots(*waiting(volume=other), CLASS)}
    assert CAUSE not in {root.finding.cause for root in linked(*waiting(seconds_ago=3600), CLASS)}


@given(damaged([*waiting(), CLASS]))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects)
