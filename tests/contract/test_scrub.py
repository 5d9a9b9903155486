"""What is dropped from every object while it is parsed, by the gateway and by snapshots alike."""

import pytest

from firstmate_tools.cluster.scrub import scrub
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import POD, SECRET

COPY = "kubectl.kubernetes.io/last-applied-configuration"


def secret(**more: object) -> Obj:
    return {
        "metadata": {"name": "db", "annotations": {COPY: "{...}", "team": "a"}},
        "data": {"password": "cGFzcw=="},
        **more,
    }


def test_a_secret_keeps_its_keys_and_loses_its_values() -> None:
    seen = scrub(secret(kind="Secret", stringData={"password": "pass"}))
    assert seen["data"] == {"password": ""}
    assert "stringData" not in seen
    assert seen["metadata"]["annotations"] == {"team": "a"}


def test_an_item_of_a_list_is_known_by_the_kind_that_was_asked_for() -> None:
    assert scrub(secret(), SECRET)["data"] == {"password": ""}


@pytest.mark.parametrize("kind", ["SecretList", "List"])
def test_a_list_object_is_scrubbed_with_its_items(kind: str) -> None:
    item = secret() if kind == "SecretList" else secret(kind="Secret")
    assert scrub({"kind": kind, "items": [item, "odd"]})["items"][0]["data"] == {"password": ""}


def test_other_objects_keep_their_data_and_lose_field_ownership() -> None:
    seen = scrub(
        {"metadata": {"managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]}, "data": {"a": "b"}}
    )
    assert seen == {"metadata": {"managedFields": [{"manager": "kubectl"}]}, "data": {"a": "b"}}


@pytest.mark.parametrize(
    "odd",
    [{}, {"metadata": None}, {"metadata": {"annotations": [], "managedFields": {}}}, {"kind": 7}, {"kind": "PodList"}],
)
def test_an_odd_object_is_no_error(odd: Obj) -> None:
    assert scrub(dict(odd), POD) == odd


@pytest.mark.parametrize("data", ["text", ["a"], None, 3])
def test_a_secret_with_odd_data_loses_it(data: object) -> None:
    assert "data" not in scrub({"kind": "Secret", "data": data})
