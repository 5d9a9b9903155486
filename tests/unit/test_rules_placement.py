"""Findings about pods that neighbours, volumes, pod slots or devices keep from every node."""

from typing import Any

import pytest
from builders import ago, container, deployment, facts_of, node, obj, pending, pod, replica_set
from hypothesis import given
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, renamed, roots, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.placement.wants import wanted
from firstmate_tools.diagnosis.rule import GetWant, ListWant
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

CART = "deployment/cart"
SAYS = "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."


def asks(**requests: str) -> Obj:
    return container(resources={"requests": {"cpu": "1", **requests}})


def waits(spec: Obj | None = None, body: Obj | None = None, message: str = SAYS, **rest: Any) -> list[Obj]:
    """A Deployment `cart` whose one pod finds no node."""
    made = app(spec=spec or asks(), body=body, **rest)
    for one in made:
        if one["kind"] == "Pod":
            one["spec"].pop("nodeName", None)
            fresh = pending(one["metadata"]["name"], message)
            one["status"] = fresh["status"]
    return made


def required(kind: str, term: Obj) -> Obj:
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def apart(label: str = "cart", key: str = "kubernetes.io/hostname") -> Obj:
    return required("podAntiAffinity", {"topologyKey": key, "labelSelector": {"matchLabels": {"app": label}}})


def beside(label: str, key: str = "zone", **more: Any) -> Obj:
    return required("podAffinity", {"topologyKey": key, "labelSelector": {"matchLabels": {"app": label}}, **more})


def ports(number: int, **more: Any) -> Obj:
    return asks() | {"ports": [{"containerPort": number, "hostPort": number, **more}]}


def nodes(*names: str, **rest: Any) -> list[Obj]:
    return [node(name, labels={"zone": "a"}, **rest) for name in names or ("n1", "n2")]


# Pods that are there


def older(on: str, name: str = "") -> Obj:
    return pod(name or f"cart-0-{on}", owned_by=("ReplicaSet", "cart-0"), labels={"app": "cart"}, node=on)


def surge() -> list[Obj]:
    old = replica_set("cart-0", of="cart", replicas=2)
    old["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "0"}
    return [*waits(body=apart()), old, older("n1"), older("n2"), *nodes()]


def test_replicas_that_keep_apart_fill_all_nodes():
    told = finding(*surge())
    assert (told.cause, str(told.object), told.severity) == ("pod-anti-affinity-unsatisfiable", CART, "warning")
    assert "n1 by pod shop/cart-0-n1, n2 by pod shop/cart-0-n2" in told.summary


def test_another_workload_that_keeps_away_is_named():
    hermit = app("hermit", body=apart("cart"))
    told = finding(*waits(), *hermit, node("n1"))
    assert told.cause == "pod-anti-affinity-unsatisfiable"
    assert "the anti-affinity of deployment/hermit" in told.summary


def test_anti_affinity_with_a_free_node_is_no_finding():
    assert roots(*surge(), node("n3")) == []


def test_pods_in_the_way_that_are_terminating_are_waited_for():
    going = older("n2") | {"metadata": {**older("n2")["metadata"], "deletionTimestamp": ago(-20)}}
    assert roots(*(one for one in surge() if one["metadata"]["name"] != "cart-0-n2"), going) == []
    late = older("n2") | {"metadata": {**older("n2")["metadata"], "deletionTimestamp": ago(20)}}
    kept = [one for one in surge() if one["metadata"]["name"] != "cart-0-n2"]
    assert "pod-anti-affinity-unsatisfiable" in dict(roots(*kept, late))


def test_a_node_that_is_too_small_is_no_place_apart():
    assert finding(*surge(), node("n3", cpu="500m")).cause == "pod-anti-affinity-unsatisfiable"


def test_a_full_node_apart_is_short_of_room():
    fuller = app("fuller", spec=asks(cpu="8"))
    fuller[2]["spec"]["nodeName"] = "n3"
    assert [cause for cause, _ in roots(*surge(), *fuller, node("n3"))] == ["insufficient-node-resources"]


def test_a_partner_that_is_nowhere_is_looked_for_by_its_labels():
    told = finding(*waits(body=beside("cache")), *app("redis"), *nodes())
    assert (told.cause, str(told.object)) == ("pod-affinity-unmatched", CART)
    assert "app=cache" in told.summary
    assert "pods there have app redis" in told.summary


def test_a_partner_scaled_to_zero_is_named():
    told = finding(*waits(body=beside("cache")), *app("cache", pods=0, replicas=0), *nodes())
    assert "deployment/cache makes such pods and wants none" in told.summary


def test_a_partner_without_a_node_of_its_own_comes_first():
    partner = [
        deployment("cache"),
        replica_set("cache-1", of="cache"),
        pending(
            "cache-1-a",
            owned_by=("ReplicaSet", "cache-1"),
            labels={"app": "cache"},
            spec={"nodeSelector": {"disk": "ssd"}},
        ),
    ]
    assert roots(*waits(body=beside("cache")), *partner, *nodes()) == [("node-selector-unmatched", "deployment/cache")]


def test_a_partner_that_is_held_up_by_a_cordon_is_explained_by_it():
    partner = [
        deployment("cache"),
        replica_set("cache-1", of="cache"),
        pending(
            "cache-1-a",
            owned_by=("ReplicaSet", "cache-1"),
            labels={"app": "cache"},
            spec={"nodeSelector": {"disk": "ssd"}},
        ),
    ]
    closed = node("n9", labels={"disk": "ssd"}, cordoned=True)
    assert roots(*waits(body=beside("cache")), *partner, *nodes(), closed) == [("nodes-cordoned", "node/n9")]


def test_a_pod_that_may_be_the_first_of_its_kind_is_not_alone():
    assert roots(*waits(body=beside("cart")), *nodes()) == []


def test_a_missing_topology_label_is_why_even_the_first_is_alone():
    told = finding(*waits(body=beside("cart", key="rack")), *nodes())
    assert told.cause == "pod-affinity-unmatched"
    assert "no node that it may run on has that label" in told.summary


def test_partners_in_chosen_namespaces_count_only_there():
    body = beside("cache", namespaceSelector={"matchLabels": {"team": "data"}})
    cache = pod("cache", "lake", labels={"app": "cache"})
    lake = obj("Namespace", "lake", None, metadata={"labels": {"team": "data"}})
    other = obj("Namespace", "lake", None, metadata={"labels": {"team": "web"}})
    assert roots(*waits(body=body), cache, lake, *nodes()) == []
    assert finding(*waits(body=body), cache, other, *nodes()).cause == "pod-affinity-unmatched"
    assert ListWant(kinds.NAMESPACE) in wanted(facts_of(*waits(body=body), *nodes()))


def test_a_taken_host_port_names_its_holder_wherever_it_is():
    agent = pod("agent", "monitoring", containers=[ports(9100)])
    told = finding(*waits(spec=ports(9100)), agent, node("n1"))
    assert (told.cause, str(told.object)) == ("host-port-conflict", CART)
    assert "9100/TCP" in told.summary
    assert "n1 by pod monitoring/agent" in told.summary


@pytest.mark.parametrize("other", [ports(9101), ports(9100, protocol="UDP"), ports(9100, hostIP="10.0.0.9")])
def test_other_ports_are_no_conflict(other: Obj):
    mine = ports(9100, hostIP="10.0.0.8") if other["ports"][0].get("hostIP") else ports(9100)
    assert roots(*waits(spec=mine), pod("agent", containers=[other]), node("n1")) == []


# Volumes


def claim(name: str = "data", volume: str = "pv-1", modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any) -> Obj:
    body = {"accessModes": list(modes), "storageClassName": "gp3", **({"volumeName": volume} if volume else {}), **spec}
    phase = "Bound" if volume else "Pending"
    return obj("PersistentVolumeClaim", name, spec=body, status={"phase": phase})


def volume(name: str = "pv-1", zone: str = "b", claimed: str = "data", **spec: Any) -> Obj:
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}
    body: Obj = {
        "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": f"vol-{name}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}} if zone else None,
        "claimRef": {"namespace": "shop", "name": claimed, "uid": f"uid-persistentvolumeclaim-{claimed}"},
        "capacity": {"storage": "1Gi"},
        **spec,
    }
    return obj("PersistentVolume", name, None, spec=body, status={"phase": "Bound"})


def mounting(name: str = "data") -> Obj:
    return {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]}


def test_a_volume_in_a_zone_without_nodes_pins_the_pod():
    told = finding(*waits(body=mounting()), claim(), volume(), *nodes())
    assert (told.cause, str(told.object), told.confidence) == ("volume-zone-mismatch", CART, "certain")
    assert "zone in b, and there is no such node" in told.summary


def test_a_volume_whose_zone_is_full_says_so_although_others_have_room():
    full = app("full", spec=asks(cpu="8"))
    full[2]["spec"]["nodeName"] = "b1"
    home = node("b1", labels={"zone": "b"})
    told = finding(*waits(body=mounting()), claim(), volume(), *full, home, *nodes("a1"))
    assert told.cause == "volume-zone-mismatch"
    assert "b1 has too little room; a1 would take it" in told.summary


def test_a_cordoned_node_where_the_volume_is_is_the_cordons_fault():
    home = node("b1", labels={"zone": "b"}, cordoned=True)
    assert roots(*waits(body=mounting()), claim(), volume(), home, *nodes("a1")) == [("nodes-cordoned", "node/b1")]


def test_a_full_cluster_is_not_the_volumes_fault():
    small = [node("a1", labels={"zone": "a"}, cpu="2"), node("b1", labels={"zone": "b"}, cpu="2")]
    full = [pod(f"x{i}", "other", node=n, containers=[asks(cpu="2")]) for i, n in enumerate(("a1", "b1"))]
    found = roots(*waits(body=mounting()), claim(), volume(), *small, *full)
    assert found == [("insufficient-node-resources", CART)]


def test_zone_labels_of_a_volume_pin_too():
    labelled = volume(zone="")
    labelled["metadata"]["labels"] = {"topology.kubernetes.io/zone": "eu-1c__eu-1d"}
    here = node("n1", labels={"topology.kubernetes.io/zone": "eu-1a"})
    assert finding(*waits(body=mounting()), claim(), labelled, here).cause == "volume-zone-mismatch"
    there = node("n1", labels={"topology.kubernetes.io/zone": "eu-1d"})
    assert roots(*waits(body=mounting()), claim(), labelled, there) == []
    assert roots(*waits(body=mounting()), claim(), labelled, node("n1")) == []


def test_a_class_that_allows_other_zones_only_pins_a_claim_that_is_not_bound_yet():
    allowed = [{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}]
    late = obj(
        "StorageClass",
        "gp3",
        None,
        provisioner="ebs.csi.aws.com",
        volumeBindingMode="WaitForFirstConsumer",
        allowedTopologies=allowed,
    )
    found = dict(roots(*waits(body=mounting()), claim(volume=""), late, *nodes()))
    assert "volume-zone-mismatch" in found
    assert "volume-zone-mismatch" not in dict(
        roots(*waits(body=mounting()), claim(volume=""), late, node("n1", labels={"zone": "b"}))
    )


def csi_node(name: str, count: int | None) -> Obj:
    driver = {"name": "ebs.csi.aws.com", "nodeID": name, "allocatable": {"count": count}}
    return obj("CSINode", name, None, api="storage.k8s.io/v1", spec={"drivers": [driver]})


def attached(count: int, on: str = "n1") -> list[Obj]:
    made: list[Obj] = []
    for i in range(count):
        made += [claim(f"d{i}", f"v{i}"), volume(f"v{i}", "", f"d{i}")]
        made += app(f"db{i}", body=mounting(f"d{i}"), spec=asks(cpu="100m"), node=on)
    return made


def test_attach_slots_that_are_used_up_are_counted():
    told = finding(*waits(body=mounting()), claim(), volume(zone=""), *attached(2), csi_node("n1", 2), node("n1"))
    assert (told.cause, str(told.object)) == ("node-volume-limit-reached", CART)
    assert "ebs.csi.aws.com: n1 2 of 2, and each pod brings 1 more" in told.summary


@pytest.mark.parametrize("count", [3, None])
def test_free_attach_slots_and_unknown_limits_are_no_finding(count: int | None):
    objects = [*waits(body=mounting()), claim(), volume(zone=""), *attached(2), csi_node("n1", count), node("n1")]
    assert roots(*objects) == []


def test_a_volume_that_is_attached_there_already_needs_no_slot():
    sharing = app("reader", body=mounting(), spec=asks(cpu="100m"))
    objects = [*waits(body=mounting()), claim(modes=("ReadWriteMany",)), volume(zone=""), *sharing, csi_node("n1", 1)]
    assert roots(*objects, node("n1")) == []


def test_attachments_of_pods_that_are_gone_count():
    left = obj(
        "VolumeAttachment",
        "csi-1",
        None,
        api="storage.k8s.io/v1",
        spec={"attacher": "ebs.csi.aws.com", "nodeName": "n1", "source": {"persistentVolumeName": "old"}},
        status={"attached": True},
    )
    objects = [*waits(body=mounting()), claim(), volume(zone=""), volume("old", "", "gone"), left, csi_node("n1", 1)]
    assert "node-volume-limit-reached" in dict(roots(*objects, node("n1")))


def test_a_claim_for_one_pod_is_held_by_the_older_revision():
    objects = [*waits(body=mounting()), claim(modes=("ReadWriteOncePod",)), volume(zone=""), *nodes()]
    holder = {**older("n1"), "spec": {**older("n1")["spec"], **mounting()}}
    old = replica_set("cart-0", of="cart")
    told = finding(*objects, holder, old)
    assert (told.cause, str(told.object), told.severity) == ("rwop-volume-in-use", CART, "warning")
    assert "pod/cart-0-n1 of the same workload uses it on n1" in told.summary


def test_a_claim_for_one_pod_counts_although_its_holder_fills_the_node():
    objects = [*waits(body=mounting(), spec=asks(cpu="5")), claim(modes=("ReadWriteOncePod",)), volume(zone="")]
    holder = pod("other", containers=[asks(cpu="5")], spec=mounting())
    assert finding(*objects, holder, node("n1")).cause == "rwop-volume-in-use"


@pytest.mark.parametrize(
    ("modes", "holder"),
    [
        (("ReadWriteOnce",), pod("other", spec=mounting())),
        (("ReadWriteOncePod",), pod("other", spec=mounting(), phase="Succeeded", ready=False)),
        (("ReadWriteOncePod",), pod("other", "elsewhere", spec=mounting())),
        (("ReadWriteOncePod",), pod("other", spec=mounting(), metadata={"deletionTimestamp": ago(-20)})),
    ],
)
def test_claims_that_others_do_not_hold_are_no_finding(modes: tuple[str, ...], holder: Obj):
    assert roots(*waits(body=mounting()), claim(modes=modes), volume(zone=""), holder, node("n1")) == []


def test_reads_go_step_by_step_from_claims_to_volumes_to_everybodys():
    objects = [*waits(body=mounting()), *nodes()]
    everything = (kinds.PERSISTENT_VOLUME_CLAIM, kinds.PERSISTENT_VOLUME, kinds.CSI_NODE, kinds.VOLUME_ATTACHMENT)
    facts = facts_of(*objects, unknown=everything)
    assert list(wanted(facts)) == [ListWant(kinds.PERSISTENT_VOLUME_CLAIM, "shop")]
    facts.put(kinds.PERSISTENT_VOLUME_CLAIM, "shop", [claim()])
    one = GetWant(kinds.PERSISTENT_VOLUME, Ref("PersistentVolume", "", "pv-1"))
    assert {*wanted(facts)} == {ListWant(kinds.PERSISTENT_VOLUME_CLAIM, "shop"), one, ListWant(kinds.CSI_NODE)}
    facts.put_one(kinds.PERSISTENT_VOLUME, one.ref, volume(zone=""))
    facts.put(kinds.CSI_NODE, None, [csi_node("n1", 2)])
    assert ListWant(kinds.PERSISTENT_VOLUME_CLAIM) in wanted(facts)
    assert ListWant(kinds.VOLUME_ATTACHMENT) in wanted(facts)


def test_nothing_of_storage_is_read_for_pods_without_claims():
    assert list(wanted(facts_of(*waits(spec=asks(cpu="9")), node("n1")))) == []


def test_the_schedulers_word_stands_in_for_volumes_that_may_not_be_read():
    message = "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity."
    objects = [*waits(body=mounting(), message=message), claim(), *nodes()]
    told = finding(*objects, unknown=(kinds.PERSISTENT_VOLUME,))
    assert (told.cause, told.confidence) == ("volume-zone-mismatch", "likely")


# Slots for pods, devices, interfaces


def test_nodes_that_hold_as_many_pods_as_they_may_have_room_otherwise():
    told = finding(*waits(), node("n1", pods="2"), *app("x", pods=2, spec=asks(cpu="100m")))
    assert (told.cause, str(told.object)) == ("node-pod-limit-reached", CART)
    assert "n1 2 of 2" in told.summary
    assert "n1 has 7800m cpu" in told.summary


def test_finished_pods_take_no_slot():
    ended = pod("done", phase="Succeeded", ready=False)
    assert severe(*waits(), node("n1", pods="1"), ended) == []


def with_devices(made: Obj, count: str | None, resource: str = "nvidia.com/gpu", capacity: str | None = None) -> Obj:
    status = made["status"]
    status["allocatable"] = {**status["allocatable"], **({resource: count} if count is not None else {})}
    given = capacity if capacity is not None else count
    status["capacity"] = {**status["capacity"], **({resource: given} if given is not None else {})}
    return made


GPU = asks(**{"nvidia.com/gpu": "1"})


def test_nodes_that_offer_no_gpu_although_they_should_are_named():
    nodes_ = [node("n1"), node("g1", labels={"node.kubernetes.io/instance-type": "g5.xlarge"})]
    told = finding(*waits(spec=GPU), *nodes_)
    assert (told.cause, str(told.object)) == ("gpu-not-advertised", CART)
    assert "no node that it may run on (2 of 2) offers any; g1 should (instance type g5.xlarge)" in told.summary


def test_one_silent_node_beside_full_ones_is_why():
    kind = {"node.kubernetes.io/instance-type": "x9.large"}
    full = with_devices(node("g1", labels=kind), "1")
    silent = with_devices(node("g2", labels=kind), None)
    told = finding(*waits(spec=GPU), *app("train", spec=GPU, node="g1"), full, silent)
    assert told.cause == "gpu-not-advertised"
    assert "g1 has none left, and g2 offers none at all" in told.summary


def test_gpus_that_are_all_in_use_are_too_little_room():
    full = with_devices(node("g1"), "1")
    found = roots(*waits(spec=GPU), *app("train", spec=GPU, node="g1"), full, node("n2"))
    assert found == [("insufficient-node-resources", CART)]


def test_gpus_that_a_node_has_and_does_not_offer_are_unhealthy():
    told = finding(*waits(spec=GPU), with_devices(node("g1"), "0", capacity="1"))
    assert (told.cause, str(told.object)) == ("gpu-device-unhealthy", "node/g1")
    assert "g1 offers 0 of its 1" in told.summary


def test_branch_interfaces_are_told_from_other_room():
    eni = asks(**{"vpc.amazonaws.com/pod-eni": "1"})
    has = with_devices(node("n1"), "1", "vpc.amazonaws.com/pod-eni")
    told = finding(*waits(spec=eni), *app("x", spec=eni), has, node("n2"))
    assert (told.cause, str(told.object)) == ("branch-eni-exhausted", CART)
    assert "n1 1 of 1" in told.summary
    assert finding(*waits(spec=eni), node("n2")).cause == "branch-eni-exhausted"
    busy = [*waits(spec=eni), *app("x", spec=asks(cpu="8")), has]
    assert finding(*busy).cause == "insufficient-node-resources"


# Whatever the objects look like

CASES: dict[str, list[Obj]] = {
    "anti-affinity": surge(),
    "affinity": [*waits(body=beside("cache")), *app("redis"), *nodes()],
    "ports": [*waits(spec=ports(9100)), pod("agent", containers=[ports(9100)]), node("n1")],
    "zone": [*waits(body=mounting()), claim(), volume(), *nodes()],
    "slots": [*waits(body=mounting()), claim(), volume(zone=""), *attached(2), csi_node("n1", 2), node("n1")],
    "rwop": [
        *waits(body=mounting()),
        claim(modes=("ReadWriteOncePod",)),
        volume(zone=""),
        pod("other", spec=mounting()),
        node("n1"),
    ],
    "pods": [*waits(), node("n1", pods="2"), *app("x", pods=2)],
    "gpu": [*waits(spec=GPU), node("n1"), with_devices(node("g1"), "0", capacity="0")],
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_order_and_names_change_nothing(name: str):
    expected = roots(*CASES[name])
    assert len(expected) == 1
    assert roots(*shuffled(CASES[name], 7)) == expected
    assert [cause for cause, _ in roots(*renamed(CASES[name], "basket"))] == [cause for cause, _ in expected]


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"pods"}))  # bystanders take slots for pods
def test_bystanders_change_nothing(name: str):
    assert roots(*CASES[name], *bystanders()) == roots(*CASES[name])


@given(st.data(), st.sampled_from(sorted(CASES)))
def test_damaged_objects_never_raise(data: st.DataObject, name: str):
    verdicts(*data.draw(damaged(CASES[name])))
