"""What is kept of field ownership, and what is read from it."""

from builders import ago, obj
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools.cluster.ownership import reduced
from firstmate_tools.cluster.scrub import scrub
from firstmate_tools.diagnosis.changed import changes, data_changed_at
from firstmate_tools.diagnosis.slim import unmanaged

OWNED = {
    "f:metadata": {"f:labels": {"f:team": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"app"}': {
                        ".": {},
                        "f:image": {},
                        "f:resources": {"f:limits": {".": {}, "f:memory": {}}},
                        "f:env": {'k:{"name":"A"}': {"f:value": {}}},
                        "f:ports": {},
                    }
                },
                "f:dnsPolicy": {},
            }
        },
    },
}


def test_names_of_telling_fields_stay_and_the_rest_goes() -> None:
    one = {"kind": "Deployment", "metadata": {"managedFields": [{"manager": "m", "time": ago(5), "fieldsV1": OWNED}]}}
    (change,) = changes(scrub(one))
    assert change.manager == "m"
    assert change.paths == (
        "containers[app].env",
        "containers[app].image",
        "containers[app].resources.limits.memory",
        "replicas",
    )


def test_values_of_sets_go() -> None:
    owned = {"f:data": {"f:KEY": {}, 'v:"hunter2"': {}}, "f:metadata": {"f:finalizers": {'v:"x"': {}}}}
    assert reduced(owned, "ConfigMap") == {"f:data": {"f:KEY": {}}}
    assert reduced(owned, "Pod") == {}


def test_reducing_twice_changes_nothing() -> None:
    once = reduced(OWNED, "Deployment")
    assert reduced(once, "Deployment") == once


def test_data_that_was_never_changed_has_no_time_of_change() -> None:
    def held(at: float) -> dict[str, object]:
        entry = {"manager": "kubectl", "time": ago(at), "fieldsV1": {"f:data": {"f:A": {}}}}
        return obj("ConfigMap", "c", metadata={"managedFields": [entry], "creationTimestamp": ago(600)})

    assert data_changed_at(held(600)) is None
    assert data_changed_at(held(60)) is not None
    assert data_changed_at({}) is None


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["f:spec", "f:template", "f:data", "k:{", 'k:{"name":"a"}', "."]), inner)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["f:spec", "f:data", "f:metadata", "x"]), JSON), JSON)
def test_odd_ownership_never_raises(owned: dict[str, object], entry: object) -> None:
    for kind in ("Deployment", "ConfigMap", "ServiceAccount", ""):
        one = {"kind": kind, "metadata": {"managedFields": [{"fieldsV1": owned}, {"fieldsV1": entry}, entry]}}
        changes(scrub(one))


def test_what_rules_read_of_annotations_and_changes_outlives_slimming() -> None:
    owned = {"f:metadata": {"f:annotations": {"f:eks.amazonaws.com/role-arn": {}}}}
    entries = [{"manager": "a", "fieldsV1": owned}, {"manager": "b"}]
    notes = {"eks.amazonaws.com/role-arn": "arn", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "x": "y"}
    slim = unmanaged(obj("ServiceAccount", "a", metadata={"annotations": notes, "managedFields": entries}))
    assert slim["metadata"]["managedFields"] == entries[:1]
    assert slim["metadata"]["annotations"].keys() == notes.keys() - {"x"}
