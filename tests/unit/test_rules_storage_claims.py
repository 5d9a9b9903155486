"""Findings about claims that have no volume."""

from typing import Any

import pytest
from builders import ago, container, deployment, event, node, obj, pending, pod, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, renamed, roots, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.rule import ListWant, all_rules
from firstmate_tools.diagnosis.unwell import unwell
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

CLAIM = "persistentvolumeclaim/cart"
UNBOUND = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
EBS = "ebs.csi.aws.com"
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def claim(
    name: str = "cart", *, of_class: str | None = "gp3", phase: str = "Pending", age: float = 120, **spec: Any
) -> Obj:
    body: Obj = {
        "accessModes": spec.pop("modes", ["ReadWriteOnce"]),
        "resources": {"requests": {"storage": spec.pop("size", "10Gi")}},
        **({"storageClassName": of_class} if of_class is not None else {}),
        **spec.pop("rest", {}),
    }
    metadata = {"creationTimestamp": ago(age), "annotations": spec.pop("annotations", {})}
    return obj("PersistentVolumeClaim", name, metadata=metadata, spec=body, status={"phase": phase})


def storage_class(name: str = "gp3", provisioner: str = EBS, *, default: bool = False, later: bool = False) -> Obj:
    annotations = {DEFAULT: "true"} if default else {}
    binding = "WaitForFirstConsumer" if later else "Immediate"
    return obj(
        "StorageClass",
        name,
        None,
        metadata={"annotations": annotations},
        provisioner=provisioner,
        volumeBindingMode=binding,
    )


def volume(
    name: str = "pv-1",
    *,
    of_class: str = "",
    size: str = "10Gi",
    modes: tuple[str, ...] = ("ReadWriteOnce",),
    phase: str = "Available",
    held_by: tuple[str, str] | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Obj:
    """A volume made by hand; `held_by` gives name and uid of the claim that it is reserved for."""
    held = {"claimRef": {"namespace": "shop", "name": held_by[0], "uid": held_by[1]}} if held_by else {}
    return obj(
        "PersistentVolume",
        name,
        None,
        metadata={"labels": labels or {}, "annotations": annotations or {}},
        spec={"capacity": {"storage": size}, "accessModes": list(modes), "storageClassName": of_class, **held, **spec},
        status={"phase": phase},
    )


def waiting_app(name: str = "cart", message: str = UNBOUND, *, uses: str = "") -> list[Obj]:
    """A Deployment of one pod that the scheduler does not place, because of its claim."""
    body = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": uses or name}}]}
    made = app(name, body=body)
    waits = pending(f"{name}-1-0", message, owned_by=("ReplicaSet", f"{name}-1"), labels={"app": name}, spec=body)
    return [*made[:-1], waits, node("n0")]


def driver(name: str = "ebs-csi-controller", *, ready: int = 2, replicas: int = 2) -> list[Obj]:
    body = {"metadata": {}, "spec": {"containers": [container("csi-provisioner"), container("ebs-plugin")]}}
    made = deployment(name, "kube-system", replicas=replicas, template=body, status={"readyReplicas": ready})
    return [made, obj("CSIDriver", EBS, None)]


def test_a_class_that_does_not_exist_is_named_with_those_that_do() -> None:
    found = finding(*waiting_app(), service("cart"), claim(of_class="fast"), storage_class("gp2", default=True))
    assert (found.cause, str(found.object)) == ("storageclass-missing", CLAIM)
    assert (found.severity, found.confidence) == ("critical", "certain")
    assert "StorageClass fast does not exist (there are gp2 (default))" in found.summary
    assert "deployment/cart (1 pod) waits for it" in found.summary


def test_a_claim_explains_the_service_without_endpoints() -> None:
    (root,) = linked(*waiting_app(), service("cart"), claim(of_class="fast"), storage_class("gp2"))
    assert [e.cause for e in root.explained] == ["service-endpoints-not-ready"]


def test_claims_of_one_missing_class_are_one_problem() -> None:
    objects = [*waiting_app(), *waiting_app("search"), claim(of_class="fast"), claim("search", of_class="fast")]
    assert roots(*objects) == [("storageclass-missing", CLAIM)]


def test_a_class_without_object_is_enough_for_a_volume_made_by_hand() -> None:
    small = volume(of_class="manual", size="5Gi")
    assert roots(*waiting_app(), claim(of_class="manual"), small) == [("static-pv-mismatch", CLAIM)]
    bound = volume(
        of_class="fast", phase="Bound", held_by=("x", "u"), annotations={"pv.kubernetes.io/provisioned-by": EBS}
    )
    assert roots(*waiting_app(), claim(of_class="fast"), bound) == [("storageclass-missing", CLAIM)]


@pytest.mark.parametrize("classes", [[], [storage_class()], [storage_class("local", "kubernetes.io/no-provisioner")]])
def test_a_claim_without_class_where_none_is_the_default(classes: list[Obj]) -> None:
    found = finding(*waiting_app(), claim(of_class=None), *classes)
    assert (found.cause, str(found.object)) == ("no-default-storageclass", CLAIM)


@pytest.mark.parametrize(
    "decoy",
    [
        volume(of_class="gp3"),
        volume(of_class="local", size="100Gi"),
        volume(phase="Bound", held_by=("other", "u1")),
        volume(phase="Bound", size="500Gi", held_by=("other", "u1")),
    ],
)
def test_volumes_of_others_do_not_hide_that_there_is_no_default(decoy: Obj) -> None:
    objects = [
        *waiting_app(),
        claim(of_class=None),
        storage_class(),
        storage_class("local", "kubernetes.io/no-provisioner"),
    ]
    assert roots(*objects, decoy) == [("no-default-storageclass", CLAIM)]


def test_with_a_default_class_a_claim_without_one_gets_it_in_a_moment() -> None:
    assert roots(*waiting_app(), claim(of_class=None), storage_class(default=True)) == []


@pytest.mark.parametrize(
    ("asks", "has", "words"),
    [
        ({"size": "20Gi"}, {"size": "10Gi"}, "it has 10Gi and 20Gi is asked for"),
        ({"modes": ["ReadWriteMany"]}, {}, "its access modes are RWO and the claim wants RWX"),
        ({}, {"of_class": "slow"}, "its class is slow and the claim's none"),
        ({}, {"volumeMode": "Block"}, "its mode is Block and the claim's Filesystem"),
        (
            {"rest": {"selector": {"matchLabels": {"disk": "ssd"}}}},
            {"labels": {"disk": "hdd"}},
            "disk=hdd, not disk=ssd",
        ),
    ],
)
def test_what_differs_between_claim_and_volume_is_named(asks: dict[str, Any], has: dict[str, Any], words: str) -> None:
    found = finding(*waiting_app(), claim(of_class="", **asks), volume("cart-data", **has))
    assert (found.cause, str(found.object), found.confidence) == ("static-pv-mismatch", CLAIM, "certain")
    assert words in found.summary


def test_a_volume_named_by_the_claim_is_the_one_that_is_compared() -> None:
    named = claim(of_class="gp3", rest={"volumeName": "pv-9"})
    objects = [*waiting_app(), named, storage_class()]
    assert "which does not exist" in finding(*objects).summary
    assert (
        "pv-9, does not fit: its class is none"
        in finding(*objects, volume("pv-9"), volume("pv-1", of_class="gp3")).summary
    )
    assert roots(*objects, volume("pv-9", of_class="gp3")) == []


def test_a_free_volume_that_fits_is_about_to_be_bound() -> None:
    assert roots(*waiting_app(), claim(of_class=""), volume()) == []


@pytest.mark.parametrize(
    "held",
    [
        volume(phase="Released", held_by=("cart", "an-older-uid")),
        volume(phase="Released", held_by=("gone", "u7")),
        volume(phase="Bound", held_by=("orders", "u8")),
    ],
)
def test_a_volume_that_would_do_and_is_held_is_named_with_its_holder(held: Obj) -> None:
    found = finding(*waiting_app(), claim(of_class=""), held)
    assert (found.cause, str(found.object)) == ("pv-claimed-by-another-pvc", CLAIM)
    assert "pv-1 belongs to" in found.summary


def test_the_volume_that_a_claim_names_and_another_holds() -> None:
    objects = [
        *waiting_app(),
        claim(of_class="", rest={"volumeName": "pv-1"}),
        volume(phase="Bound", held_by=("b", "u")),
    ]
    assert "pv-1 belongs to claim b in shop" in finding(*objects).summary


def test_a_released_volume_that_nobody_wants_is_well() -> None:
    objects = [volume(phase="Released", held_by=("gone", "u7")), claim("other", phase="Bound"), storage_class()]
    assert severe(*objects) == []


@pytest.mark.parametrize(
    "state", [[], [obj("CSIDriver", "efs.csi.aws.com", None)], driver(ready=0), driver(replicas=0, ready=0)]
)
def test_a_driver_that_does_not_run_is_the_reason(state: list[Obj]) -> None:
    found = finding(*waiting_app(), claim(), storage_class(), *state)
    assert (found.cause, found.confidence) == ("csi-provisioner-not-running", "certain")
    assert str(found.object) == (CLAIM if len(state) < 2 else "deployment/ebs-csi-controller")


def test_an_in_tree_class_is_served_by_the_driver_that_took_over() -> None:
    found = finding(*waiting_app(), claim(of_class="gp2"), storage_class("gp2", "kubernetes.io/aws-ebs"))
    assert found.cause == "csi-provisioner-not-running"
    assert EBS in found.summary


@pytest.mark.parametrize(
    "running",
    [
        driver(),
        driver("ebs-csi-controller", ready=1),
        [
            deployment(
                "prov",
                "infra",
                template={"spec": {"containers": [container(args=[f"--driver={EBS}"])]}},
                status={"readyReplicas": 1},
            )
        ],
    ],
)
def test_with_a_running_driver_a_volume_is_on_its_way(running: list[Obj]) -> None:
    objects = [*waiting_app(), claim(), storage_class(), *running]
    assert roots(*objects) == []
    assert Ref("PersistentVolumeClaim", "shop", "cart") in unwell(verdicts(*objects)[2])


@pytest.mark.parametrize(
    "provisioner", ["ebs.csi.eks.amazonaws.com", "pd.csi.storage.gke.io", "k8s.io/minikube-hostpath"]
)
def test_drivers_that_run_outside_are_never_missed(provisioner: str) -> None:
    assert roots(*waiting_app(), claim(), storage_class(provisioner=provisioner)) == []


def test_a_registered_driver_without_workload_is_given_a_minute() -> None:
    theirs = [storage_class(provisioner="csi.vendor.example"), obj("CSIDriver", "csi.vendor.example", None)]
    assert roots(*waiting_app(), claim(age=20), *theirs) == []
    found = finding(*waiting_app(), claim(age=300), *theirs)
    assert (found.cause, found.confidence) == ("csi-provisioner-not-running", "likely")
    left = [storage_class(), obj("CSIDriver", EBS, None)]
    assert roots(*waiting_app(), claim(age=20), *left) == [("csi-provisioner-not-running", CLAIM)]


def test_a_driver_is_not_missed_where_workloads_may_not_be_read() -> None:
    objects = [*waiting_app(), claim(), storage_class()]
    assert roots(*objects, unknown=(kinds.DEPLOYMENT,)) == []


DENIED = (
    'failed to provision volume with StorageClass "gp3": rpc error: code = Internal desc = Could not create volume '
    '"pvc-1": could not create volume in EC2: UnauthorizedOperation: You are not authorized to perform this operation.'
)


def test_what_the_cloud_refuses_is_told_with_the_drivers_account() -> None:
    wanted = claim()
    objects = [*waiting_app(), wanted, storage_class(), *driver(), event(wanted, "ProvisioningFailed", DENIED)]
    found = finding(*objects)
    assert (found.cause, str(found.object), found.confidence) == ("csi-provisioner-unauthorized", CLAIM, "likely")
    old = event(wanted, "ProvisioningFailed", DENIED, seconds_ago=1200)
    assert roots(*objects[:-1], old) == []
    bound = claim(phase="Bound")
    assert roots(*app(), bound, storage_class(), *driver(), event(bound, "ProvisioningFailed", DENIED)) == []


def test_a_driver_that_answers_runs_wherever_that_may_be() -> None:
    wanted = claim()
    objects = [*waiting_app(), wanted, storage_class()]
    assert roots(*objects, event(wanted, "ProvisioningFailed", DENIED)) == [("csi-provisioner-unauthorized", CLAIM)]
    assert roots(*objects, event(wanted, "ProvisioningFailed", "rpc error: code = InvalidArgument desc = iops")) == []


def test_a_driver_that_crashes_is_explained_by_its_crash() -> None:
    made = app(
        "ebs-csi-controller", namespace="kube-system", waiting="CrashLoopBackOff", restarts=4, last={"exitCode": 1}
    )
    made[0]["status"] = {"replicas": 1}
    objects = [*waiting_app(), claim(), storage_class(), obj("CSIDriver", EBS, None), *made]
    (root,) = linked(*objects)
    assert (root.finding.cause, str(root.finding.object)) == (
        "application-exits-on-error",
        "deployment/ebs-csi-controller",
    )
    assert "csi-provisioner-not-running" in [e.cause for e in root.explained]


def test_lost_and_long_pending_claims_are_unwell() -> None:
    lost, waits = claim("lost", phase="Lost"), claim("waits")
    told = event(lost, "ClaimLost", "Bound claim has lost its PersistentVolume.")
    facts = verdicts(lost, waits, told, storage_class())[2]
    found = {ref.name: symptom for ref, symptom in unwell(facts).items()}
    assert found == {"lost": "Lost: Bound claim has lost its PersistentVolume.", "waits": "Pending"}


def test_two_claims_bound_to_one_volume() -> None:
    lost = claim(of_class="", phase="Lost", rest={"volumeName": "pv-1"})
    objects = [*waiting_app(), lost, volume(phase="Bound", held_by=("other", "u"))]
    assert roots(*objects) == [("pv-claimed-by-another-pvc", CLAIM)]


def test_a_claim_whose_volume_was_deleted() -> None:
    lost = claim(of_class="", phase="Lost", rest={"volumeName": "pv-1"})
    (root,) = linked(*waiting_app(), lost)
    assert (root.finding.cause, str(root.finding.object)) == ("volume-missing-in-cloud", CLAIM)
    assert "pv-1, to which it was bound, does not exist any more" in root.finding.summary


def test_a_claim_that_waits_for_its_first_pod_is_well() -> None:
    objects = [claim(of_class="late"), storage_class("late", later=True)]
    found, ruled_out, facts = verdicts(*objects)
    assert found == []
    assert unwell(facts) == {}
    assert "csi-provisioner-not-running" in {r.cause for r in ruled_out}


def test_a_static_class_has_no_provisioner_to_miss() -> None:
    local = storage_class("local", "kubernetes.io/no-provisioner", later=True)
    assert severe(claim(of_class="local"), local) == []
    assert roots(*waiting_app(), claim(of_class="local"), local) == [("static-pv-mismatch", CLAIM)]
    assert roots(*waiting_app(), claim(of_class="local"), local, volume(of_class="local")) == [
        ("pvc-waiting-for-unschedulable-pod", CLAIM)
    ]


def test_a_claim_that_waits_for_an_unschedulable_pod_is_its_victim() -> None:
    objects = [*waiting_app(message="0/1 nodes are available: 1 Insufficient cpu."), claim(of_class="late")]
    objects += [storage_class("late", later=True), *driver()]
    assert roots(*objects) == [("pvc-waiting-for-unschedulable-pod", CLAIM)]
    cordoned = roots(*(o for o in objects if o["kind"] != "Node"), node("n1", cordoned=True))
    assert cordoned == [("nodes-cordoned", "node/n1")]


def test_a_pod_put_on_a_node_by_name_waits_for_a_volume_that_nobody_chooses() -> None:
    body = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "cart"}}]}
    pinned = pod("cart", phase="Pending", waiting="ContainerCreating", spec=body)
    found = verdicts(pinned, claim(of_class="late"), storage_class("late", later=True))[0]
    assert "past the scheduler" in found[0].summary


def test_a_claim_of_this_moment_is_given_time() -> None:
    assert roots(*waiting_app(), claim(of_class="fast", age=1)) == []


def test_a_claim_without_pods_is_a_warning() -> None:
    assert finding(claim(of_class="fast"), storage_class()).severity == "warning"


def test_events_of_a_bound_claim_are_history() -> None:
    bound = claim(phase="Bound")
    said = event(bound, "ProvisioningFailed", 'storageclass.storage.k8s.io "gp3" not found')
    found, ruled_out, _ = verdicts(*app(), bound, said)
    assert found == []
    assert [r.cause for r in ruled_out] == ["storageclass-missing"]


@pytest.mark.parametrize(
    ("of_class", "reason", "message", "cause"),
    [
        ("fast", "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found', "storageclass-missing"),
        (
            None,
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
            "no-default-storageclass",
        ),
        ("", "VolumeMismatch", 'Cannot bind to requested volume "v": incompatible accessMode', "static-pv-mismatch"),
        ("", "FailedBinding", 'volume "v" already bound to a different claim.', "pv-claimed-by-another-pvc"),
        ("gp3", "ProvisioningFailed", DENIED, "csi-provisioner-unauthorized"),
        ("gp3", "ProvisioningFailed", "rpc error: code = ResourceExhausted", None),
    ],
)
def test_without_classes_and_volumes_the_controllers_words_have_to_do(
    of_class: str | None, reason: str, message: str, cause: str | None
) -> None:
    wanted = claim(of_class=of_class)
    objects = [*waiting_app(), wanted, event(wanted, reason, message)]
    unread = (kinds.STORAGE_CLASS, kinds.PERSISTENT_VOLUME)
    found = linked(*objects, unknown=unread)
    assert [(r.finding.cause, r.finding.confidence) for r in found] == ([(cause, "likely")] if cause else [])


def test_volumes_and_drivers_are_read_only_where_a_claim_needs_it() -> None:
    def lists(*objects: Obj) -> set[str]:
        unread = (kinds.STORAGE_CLASS, kinds.PERSISTENT_VOLUME, kinds.CSI_DRIVER)
        _, _, facts = verdicts(*objects, unknown=unread)
        (rule,) = [rule for rule in all_rules() if rule.name == "claims_without_volume"]
        assert rule.wants is not None
        wants = [want for want in rule.wants(facts) if isinstance(want, ListWant)]
        return {w.kind.plural for w in wants}

    assert lists(*app(), claim(phase="Bound")) == set()
    assert lists(*app(), claim()) == {"storageclasses"}
    assert lists(*app(), claim(of_class=None)) == {"storageclasses", "persistentvolumes"}


CASES = {
    "missing": [*waiting_app(), service("cart"), claim(of_class="fast"), storage_class("gp2")],
    "no default": [*waiting_app(), service("cart"), claim(of_class=None), storage_class("gp2")],
    "mismatch": [*waiting_app(), service("cart"), claim(of_class=""), volume(size="1Gi")],
    "claimed": [*waiting_app(), service("cart"), claim(of_class=""), volume(phase="Released", held_by=("cart", "u0"))],
    "driver": [*waiting_app(), service("cart"), claim(), storage_class(), *driver(ready=0)],
    "refused": [*waiting_app(), claim(), storage_class(), *driver(), event(claim(), "ProvisioningFailed", DENIED)],
    "waits": [*waiting_app(), claim(of_class="late"), storage_class("late", later=True)],
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
