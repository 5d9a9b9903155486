"""Findings about volumes that a pod's node cannot attach or mount."""

from typing import Any

import pytest
from builders import ago, event, node, obj, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.fields import Obj

CART, CLAIM = "deployment/cart", "persistentvolumeclaim/cart"
MULTI = 'Multi-Attach error for volume "pv-1" Volume is already used by pod(s) cart-1-0'
STALE = (
    'Multi-Attach error for volume "pv-1" Volume is already exclusively attached to one node and can\'t be attached to '
    "another"
)
GAVE_UP = (
    "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[data kube-api-access-x], failed "
    "to process volumes=[]: timed out waiting for the condition"
)
BODY: Obj = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart"}}]}
CREATING: dict[str, Any] = {"waiting": "ContainerCreating", "phase": "Pending"}
LIMIT = 'rpc error: code = ResourceExhausted desc = Attachment limit exceeded for volume "vol-1" on node "i-1"'
GONE = "rpc error: code = Internal desc = api error InvalidVolume.NotFound: The volume 'vol-1' does not exist."
NOT_ALLOWED = (
    "rpc error: code = Internal desc = UnauthorizedOperation: You are not authorized to perform this operation."
)
TIMED_OUT = (
    'MountVolume.SetUp failed for volume "pv-1" : rpc error: mount failed: exit status 32 mount.nfs4: '
    "Connection timed out"
)


def claim(*modes: str) -> Obj:
    spec = {"accessModes": list(modes or ("ReadWriteOnce",)), "volumeName": "pv-1"}
    return obj("PersistentVolumeClaim", "cart", spec=spec, status={"phase": "Bound"})


def volume(driver: str = "ebs.csi.aws.com", handle: str = "vol-1", **spec: Any) -> Obj:
    source = {"csi": {"driver": driver, "volumeHandle": handle}}
    body = {"accessModes": ["ReadWriteOnce"], **(spec or source)}
    return obj("PersistentVolume", "pv-1", None, spec=body, status={"phase": "Bound"})


def attachment(
    on: str, *, attached: bool = True, error: str = "", code: int = 0, name: str = "", of: str = "pv-1"
) -> Obj:
    status: Obj = {"attached": attached}
    if error or code:
        status["attachError"] = {"time": ago(30), "message": error, **({"errorCode": code} if code else {})}
    spec = {"attacher": "ebs.csi.aws.com", "nodeName": on, "source": {"persistentVolumeName": of}}
    return obj("VolumeAttachment", name or f"csi-{of}-{on}", None, spec=spec, status=status)


def placed(*said: tuple[str, str], on: str = "n2", age: float = 20, seconds_ago: float = 10, **more: Any) -> list[Obj]:
    """A Deployment whose pod has a node and waits there for its volume."""
    made = app(body=BODY, node=on, age=age, revision=2, **{**CREATING, **more})
    return [*made, *(event(made[-1], reason, message, seconds_ago=seconds_ago) for reason, message in said)]


def old_pod(on: str = "n1", **more: Any) -> list[Obj]:
    """The pod of the revision before, which uses the same claim."""
    return app(body=BODY, node=on, deployed=False, **more)


def test_a_rollout_onto_another_node_is_stopped_by_a_volume_for_one_node() -> None:
    found = finding(*placed(("FailedAttachVolume", MULTI)), *old_pod(), claim(), attachment("n1"), volume())
    assert (found.cause, str(found.object), found.confidence) == ("volume-multi-attach", CART, "certain")
    assert "still attached to n1, where cart-1-0 uses it" in found.summary
    assert found.severity == "warning"


def test_an_event_of_long_ago_counts_while_the_volume_is_attached_elsewhere() -> None:
    said = ("FailedAttachVolume", MULTI)
    objects = [*placed(said, age=4000, seconds_ago=3900), *old_pod(), claim(), attachment("n1"), volume()]
    assert roots(*objects) == [("volume-multi-attach", CART)]


def test_an_attachment_that_nobody_uses_is_told_with_its_node() -> None:
    objects = [claim(), attachment("n1"), volume(), node("n1", ready="Unknown"), node("n2")]
    (root,) = linked(*placed(("FailedAttachVolume", STALE), age=120), *objects)
    assert (root.finding.cause, root.finding.object.name) == ("kubelet-not-reporting", "n1")
    (found,) = [f for f in root.explained if f.cause == "volume-multi-attach"]
    assert "node n1 is not ready" in found.summary
    assert "no pod there uses it" in found.summary


def test_a_volume_on_a_node_that_is_gone_comes_from_nowhere() -> None:
    said = (
        "FailedAttachVolume",
        'Multi-Attach error for volume "pv-1" Volume is already exclusively attached to one node',
    )
    made = placed(said)
    assert roots(*made, claim(), volume(), attachment("gone")) == []
    made[-1]["count"] = 7
    assert roots(*made, claim(), volume(), attachment("gone"))[0][0] == "volume-multi-attach"


def test_a_volume_on_its_way_from_node_to_node_is_no_fault() -> None:
    objects = [claim(), attachment("n1"), volume()]
    assert roots(*placed(("FailedAttachVolume", STALE), age=8), *objects) == []
    going = old_pod(metadata={"deletionTimestamp": ago(-20)})
    assert roots(*placed(("FailedAttachVolume", MULTI), age=8), *going, *objects) == []


def test_a_volume_that_has_arrived_is_none_either() -> None:
    found, ruled_out, _ = verdicts(*placed(("FailedAttachVolume", MULTI)), claim(), attachment("n2"), volume())
    assert found == []
    found, ruled_out, _ = verdicts(*placed(("FailedAttachVolume", MULTI)), claim(), volume())
    assert found == []
    assert "volume-multi-attach" in {r.cause for r in ruled_out}


def test_a_volume_for_many_nodes_is_attached_to_many() -> None:
    many = volume(accessModes=["ReadWriteMany"], csi={"driver": "x", "volumeHandle": "y"})
    objects = [
        *placed(("FailedAttachVolume", MULTI), age=90),
        *old_pod(),
        claim("ReadWriteMany"),
        attachment("n1"),
        many,
    ]
    assert roots(*objects) == []


def test_two_workloads_that_share_a_claim_for_one_node() -> None:
    other = pod("report", node="n1", spec=BODY)
    objects = [*placed(("FailedAttachVolume", MULTI)), other, claim(), attachment("n1"), volume()]
    assert roots(*objects) == [("volume-multi-attach", CLAIM)]


def test_where_attachments_may_not_be_read_the_event_and_the_other_pod_tell() -> None:
    objects = [*placed(("FailedAttachVolume", MULTI)), *old_pod(), claim(), volume()]
    assert finding(*objects, unknown=(kinds.VOLUME_ATTACHMENT,)).confidence == "likely"


def test_an_instance_that_takes_no_more_volumes() -> None:
    csi_node = obj("CSINode", "n2", None, spec={"drivers": [{"name": "ebs.csi.aws.com", "allocatable": {"count": 26}}]})
    full = [attachment("n2", of=f"pv-{i}", name=f"a{i}") for i in range(10, 14)]
    refused = attachment("n2", attached=False, error=LIMIT)
    found = finding(*placed(age=60), claim(), volume(), csi_node, *full, refused)
    assert (found.cause, str(found.object)) == ("volume-attach-limit-exceeded", "node/n2")
    assert "4 are attached there; CSINode says that it takes 26" in found.summary


@pytest.mark.parametrize(
    ("objects", "cause", "target"),
    [
        ([attachment("n2", attached=False, error="no", code=8)], "volume-attach-limit-exceeded", "node/n2"),
        ([attachment("n2", attached=False, error=GONE)], "volume-missing-in-cloud", CLAIM),
        ([attachment("n2", attached=False, error=NOT_ALLOWED)], "csi-provisioner-unauthorized", CLAIM),
        ([attachment("n2", attached=False, error='NotFound desc = Instance "i-1" not found')], None, None),
        ([attachment("n2", error=GONE)], None, None),
    ],
)
def test_what_the_driver_answers_decides(objects: list[Obj], cause: str | None, target: str | None) -> None:
    assert roots(*placed(age=60), claim(), volume(), *objects) == ([(cause, target)] if cause else [])


def test_what_the_driver_answers_may_stand_in_an_event_only() -> None:
    said = ("FailedAttachVolume", f'AttachVolume.Attach failed for volume "pv-1" : {GONE}')
    assert roots(*placed(said), claim(), volume()) == [("volume-missing-in-cloud", CLAIM)]
    assert roots(*placed(said, seconds_ago=1200, age=1500), claim(), volume()) == []
    long = ("FailedAttachVolume", f'AttachVolume.Attach failed for volume "pv-1" : {"x" * 600} {GONE}')
    assert roots(*placed(long), claim(), volume()) == [("volume-missing-in-cloud", CLAIM)]


@pytest.mark.parametrize(
    ("source", "message", "found"),
    [
        (volume("efs.csi.aws.com", "fs-1"), TIMED_OUT, True),
        (
            volume("efs.csi.aws.com", "fs-1"),
            'MountVolume.SetUp failed for volume "pv-1" : rpc error: code = DeadlineExceeded',
            True,
        ),
        (
            volume("efs.csi.aws.com", "fs-1"),
            'MountVolume.SetUp failed for volume "pv-1" : Failed to resolve "fs-1.efs"',
            True,
        ),
        (volume(nfs={"server": "nas", "path": "/x"}), TIMED_OUT, True),
        (volume("efs.csi.aws.com", "fs-1"), TIMED_OUT.replace("pv-1", "data"), True),
        (
            volume(nfs={"server": "nas", "path": "/x"}),
            'MountVolume.SetUp failed for volume "pv-1" : mount.nfs: access denied by server',
            False,
        ),
        (volume(), 'MountVolume.MountDevice failed for volume "pv-1" : rpc error: code = DeadlineExceeded', False),
    ],
)
def test_a_file_server_that_nobody_reaches(source: Obj, message: str, found: bool) -> None:
    objects = [*placed(("FailedMount", message), ("FailedMount", GAVE_UP)), claim("ReadWriteMany"), source]
    assert roots(*objects) == [("efs-mount-unreachable", CLAIM) if found else ("volume-mount-timeout", CART)]


def test_a_file_server_that_the_pod_names_itself() -> None:
    body = {"volumes": [{"name": "data", "nfs": {"server": "nas", "path": "/x"}}]}
    made = app(body=body, age=20, **CREATING)
    said = event(made[-1], "FailedMount", TIMED_OUT.replace("pv-1", "data"))
    assert roots(*made, said) == [("efs-mount-unreachable", CART)]


def test_a_kubelet_that_gave_up_is_a_victim_of_whatever_is_wrong() -> None:
    alone = [*placed(("FailedMount", GAVE_UP), age=200), claim(), volume(), service("cart")]
    (root,) = linked(*alone)
    assert root.finding.cause == "volume-mount-timeout"
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]
    (root,) = linked(*alone, attachment("n1"), *old_pod(), event(alone[2], "FailedAttachVolume", MULTI))
    assert root.finding.cause == "volume-multi-attach"
    assert "volume-mount-timeout" in [e.cause for e in root.explained]


def test_a_missing_secret_explains_the_timeout() -> None:
    body = {"volumes": [{"name": "tls", "secret": {"secretName": "tls"}}]}
    made = app(body=body, age=200, **CREATING)
    said = [
        event(made[-1], "FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "tls" not found'),
        event(made[-1], "FailedMount", GAVE_UP.replace("data", "tls")),
    ]
    assert roots(*made, *said) == [("volume-config-reference-missing", CART)]


def test_a_pod_that_runs_has_got_over_it() -> None:
    made = app(body=BODY)
    said = [event(made[-1], "FailedMount", GAVE_UP), event(made[-1], "FailedAttachVolume", MULTI)]
    assert roots(*made, *said, claim(), volume(), attachment("n1")) == []


CASES = {
    "multi": [*placed(("FailedAttachVolume", MULTI)), *old_pod(), claim(), attachment("n1"), volume()],
    "limit": [*placed(age=60), claim(), volume(), attachment("n2", attached=False, error=LIMIT)],
    "gone": [*placed(age=60), claim(), volume(), attachment("n2", attached=False, error=GONE)],
    "server": [*placed(("FailedMount", TIMED_OUT)), claim("ReadWriteMany"), volume("efs.csi.aws.com", "fs-1")],
    "gave up": [*placed(("FailedMount", GAVE_UP)), claim(), volume()],
}


@pytest.mark.parametrize("case", CASES)
def test_neither_order_nor_bystanders_nor_names_change_the_verdict(case: str) -> None:
    objects = CASES[case]
    expected = roots(*objects)
    assert len(expected) == 1
    assert roots(*shuffled(objects, 7), *bystanders()) == expected
    assert [(c, o.replace("basket", "cart")) for c, o in roots(*renamed(objects, "basket"))] == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.sampled_from(sorted(CASES)).flatmap(lambda name: damaged(CASES[name])))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    linked(*objects)
