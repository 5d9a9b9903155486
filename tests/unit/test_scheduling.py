"""The scheduler's predicates over plain objects."""

from datetime import timedelta
from typing import Any

import pytest
from builders import NOW, ago, container, node, owner, pending, pod
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools.fields import Obj
from firstmate_tools.scheduling import capacity, predicates
from firstmate_tools.scheduling.fit import Verdict, Why, judge
from firstmate_tools.scheduling.message import said
from firstmate_tools.scheduling.scene import Scene
from firstmate_tools.scheduling.spread import counted

TAINT = {"key": "dedicated", "value": "ml", "effect": "NoSchedule"}
CONTROL_PLANE: dict[str, Any] = {
    "labels": {"node-role.kubernetes.io/control-plane": ""},
    "taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
}


def asks(cpu: str = "1", memory: str = "1Gi", **more: str) -> list[Obj]:
    return [container(resources={"requests": {"cpu": cpu, "memory": memory, **more}})]


def waiting(**spec: Any) -> Obj:
    labels = spec.pop("labels", None)
    return pending("web-1", containers=spec.pop("containers", asks()), spec=spec, labels=labels or {"app": "web"})


def why(subject: Obj, nodes: list[Obj], pods: list[Obj] | None = None) -> Why:
    return verdict(subject, nodes, pods or []).why


def verdict(subject: Obj, nodes: list[Obj], pods: list[Obj]) -> Verdict:
    return judge(subject, Scene.of(nodes, pods, NOW))


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "dedicated", "value": "ml", "effect": "NoSchedule"}, True),
        ({"key": "dedicated", "operator": "Equal", "value": "ml"}, True),
        ({"key": "dedicated", "operator": "Equal", "value": "web"}, False),
        ({"key": "dedicated"}, False),
        ({"key": "dedicated", "operator": "Exists"}, True),
        ({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "dedicated", "operator": "Gt", "value": "3"}, False),
        ({"key": "dedicated", "operator": "Nonsense", "value": "ml"}, False),
        ({}, False),
    ],
)
def test_tolerations_cover_taints_as_the_api_says(toleration: Obj, tolerated: bool) -> None:
    assert predicates.tolerates(toleration, TAINT) is tolerated


@pytest.mark.parametrize(("operator", "value", "tolerated"), [("Gt", "3", True), ("Gt", "5", False), ("Lt", "9", True)])
def test_tolerations_compare_numbers(operator: str, value: str, tolerated: bool) -> None:
    taint = {"key": "sla", "value": "5", "effect": "NoSchedule"}
    assert predicates.tolerates({"key": "sla", "operator": operator, "value": value}, taint) is tolerated


def affinity(*terms: Obj) -> Obj:
    required = {"nodeSelectorTerms": list(terms)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def expression(key: str, operator: str, *values: str) -> Obj:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("terms", "matches"),
    [
        ([{"matchExpressions": [expression("zone", "In", "a", "b")]}], True),
        ([{"matchExpressions": [expression("zone", "In", "c")]}], False),
        ([{"matchExpressions": [expression("zone", "NotIn", "a")]}], False),
        ([{"matchExpressions": [expression("gone", "NotIn", "a")]}], True),
        ([{"matchExpressions": [expression("cores", "Gt", "4")]}], True),
        ([{"matchExpressions": [expression("cores", "Lt", "4")]}], False),
        ([{"matchExpressions": [expression("cores", "Exists"), expression("zone", "In", "c")]}], False),
        (
            [
                {"matchExpressions": [expression("zone", "In", "c")]},
                {"matchExpressions": [expression("cores", "Exists")]},
            ],
            True,
        ),
        ([{"matchFields": [expression("metadata.name", "In", "n1")]}], True),
        ([{"matchFields": [expression("metadata.name", "In", "n2")]}], False),
        ([{}], False),
        ([], False),
    ],
)
def test_required_node_affinity_has_alternatives_of_requirements(terms: list[Obj], matches: bool) -> None:
    here = node("n1", labels={"zone": "a", "cores": "8"})
    assert predicates.affinity_matches(waiting(affinity=affinity(*terms)), here) is matches


def test_a_node_has_what_bound_pods_have_not_asked_for() -> None:
    bound = pod("a", containers=asks("3"))
    ended = pod("b", containers=asks("3"), phase="Succeeded")
    [host] = capacity.hosts([node("n1", cpu="4")], [bound, ended, waiting()], NOW)
    assert capacity.shortages({"cpu": 1000}, host) == ()
    [short] = capacity.shortages({"cpu": 1001}, host)
    assert (short.resource, short.needs, short.free, short.hopeless) == ("cpu", 1001, 1000, False)


def test_daemonset_and_static_pods_are_on_a_node_whatever_else_is() -> None:
    agent = pod("agent", owned_by=("DaemonSet", "agent"), containers=asks("1"))
    static = pod("proxy", metadata={"ownerReferences": owner("Node", "n1", api="v1")}, containers=asks("1"))
    assert why(waiting(containers=asks("7")), [node("n1")], [agent, static]) is Why.LARGER
    assert why(waiting(containers=asks("6")), [node("n1")], [agent, static]) is Why.FITS


def test_zero_requests_need_no_room() -> None:
    crowd = pod("a", containers=asks("9"))
    assert why(waiting(containers=[container()]), [node("n1")], [crowd]) is Why.FITS


@pytest.mark.parametrize(
    ("selector", "nodes", "expected"),
    [
        ({"disk": "ssd"}, [node("n1"), node("n2", labels={"disk": "hdd"})], Why.SELECTOR),
        (
            {"disk": "ssd", "zone": "a"},
            [node("n1", labels={"disk": "ssd"}), node("n2", labels={"zone": "a"})],
            Why.SELECTOR,
        ),
        ({"disk": "ssd"}, [node("n1", labels={"disk": "ssd"})], Why.FITS),
    ],
)
def test_a_selector_has_to_match_one_node_as_a_whole(selector: Obj, nodes: list[Obj], expected: Why) -> None:
    assert why(waiting(nodeSelector=selector), nodes) is expected


def test_an_affinity_that_no_node_satisfies_is_not_the_selectors_fault() -> None:
    wish = affinity({"matchExpressions": [expression("zone", "In", "z")]})
    nodes = [node("n1", labels={"disk": "ssd"})]
    assert why(waiting(affinity=wish), nodes) is Why.AFFINITY
    assert why(waiting(affinity=wish, nodeSelector={"disk": "ssd"}), nodes) is Why.AFFINITY


def test_taints_of_the_nodes_that_are_meant_decide() -> None:
    nodes = [node("n1", labels={"pool": "ml"}, taints=[TAINT]), node("n2")]
    assert why(waiting(nodeSelector={"pool": "ml"}), nodes) is Why.TAINT
    assert why(waiting(), nodes) is Why.FITS
    soft = [node("n1", taints=[{**TAINT, "effect": "PreferNoSchedule"}])]
    assert why(waiting(), soft) is Why.FITS


def test_control_plane_taints_are_never_the_cause_while_there_are_workers() -> None:
    assert why(waiting(containers=asks("9")), [node("c1", **CONTROL_PLANE), node("n1")]) is Why.LARGER
    assert why(waiting(), [node("c1", **CONTROL_PLANE), node("n1", cordoned=True)]) is Why.CORDON
    assert why(waiting(), [node("c1", **CONTROL_PLANE)]) is Why.TAINT


@pytest.mark.parametrize(
    "key", ["node.kubernetes.io/not-ready", "node.kubernetes.io/disk-pressure", "karpenter.sh/disrupted"]
)
def test_a_node_that_would_take_the_pod_but_is_ill_is_another_cause(key: str) -> None:
    ill = node("n2", taints=[{"key": key, "effect": "NoSchedule"}])
    assert why(waiting(containers=asks("5")), [node("n1", cpu="4"), ill]) is Why.NODE_STATE


def test_an_ill_node_that_is_too_small_anyway_changes_nothing() -> None:
    ill = node("n2", cpu="1", taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}])
    full = pod("a", containers=asks("3"))
    assert why(waiting(containers=asks("2")), [node("n1", cpu="4"), ill], [full]) is Why.FULL


def test_a_cordoned_node_that_would_take_the_pod_is_why() -> None:
    full = pod("a", containers=asks("3"))
    nodes = [node("n1", cpu="4"), node("n2", cordoned=True), node("n3", cpu="1", cordoned=True)]
    found = verdict(waiting(containers=asks("2")), nodes, [full])
    assert (found.why, [view.name for view in found.shown]) == (Why.CORDON, ["n2"])


def test_a_cordoned_node_that_would_not_take_the_pod_either_is_not_why() -> None:
    full = [pod("a", containers=asks("3")), pod("b", node="n2", containers=asks("3"))]
    nodes = [node("n1", cpu="4"), node("n2", cpu="4", cordoned=True)]
    assert why(waiting(containers=asks("2")), nodes, full) is Why.FULL
    assert why(waiting(containers=asks("5")), nodes, full) is Why.LARGER


def test_pods_that_tolerate_cordons_do_not_mind_them() -> None:
    daemon = waiting(tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}])
    assert why(daemon, [node("n1", cordoned=True)]) is Why.FITS


def test_a_node_with_as_many_pods_as_it_may_have_is_another_cause() -> None:
    assert why(waiting(), [node("n1", pods="1")], [pod("a")]) is Why.POD_COUNT


def test_a_device_that_no_node_has_is_another_cause() -> None:
    gpu = waiting(containers=asks(**{"nvidia.com/gpu": "1"}))
    assert why(gpu, [node("n1")]) is Why.NOT_ADVERTISED
    with_gpu = node("n2")
    with_gpu["status"]["allocatable"] = {**with_gpu["status"]["allocatable"], "nvidia.com/gpu": "1"}
    taken = pod("a", node="n2", containers=asks(**{"nvidia.com/gpu": "1"}))
    assert why(gpu, [node("n1"), with_gpu], [taken]) is Why.FULL
    many = waiting(containers=asks(**{"nvidia.com/gpu": "8"}))
    assert why(many, [node("n1"), with_gpu]) is Why.LARGER


def test_a_device_is_a_wish_for_the_nodes_that_have_it():
    with_gpu = node("n2", taints=[{"key": "nvidia.com/gpu", "effect": "NoSchedule"}])
    with_gpu["status"]["allocatable"] = {**with_gpu["status"]["allocatable"], "nvidia.com/gpu": "1"}
    gpu = waiting(containers=asks(**{"nvidia.com/gpu": "1"}))
    assert why(gpu, [node("n1"), with_gpu]) is Why.TAINT


def test_room_that_terminating_pods_are_about_to_leave_is_waited_for() -> None:
    def leaving(ends_in: float) -> Obj:
        return pod("a", containers=asks("8"), metadata={"deletionTimestamp": ago(-ends_in)})

    assert why(waiting(), [node("n1")], [leaving(20)]) is Why.LEAVING
    assert why(waiting(), [node("n1")], [leaving(-20)]) is Why.FULL


def zoned(name: str, zone: str, **rest: Any) -> Obj:
    return node(name, labels={"zone": zone}, **rest)


def spread(**rest: Any) -> Obj:
    constraint = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
        **rest,
    }
    return {"topologySpreadConstraints": [{k: v for k, v in constraint.items() if v is not None}]}


def web(name: str, on: str, **rest: Any) -> Obj:
    return pod(name, node=on, labels={"app": "web"}, **rest)


def test_a_full_zone_holds_the_others_back() -> None:
    nodes = [zoned("n1", "a"), zoned("n2", "b", cpu="500m")]
    found = verdict(waiting(**spread()), nodes, [web("w1", "n1")])
    assert (found.why, [view.name for view in found.shown]) == (Why.SPREAD, ["n1"])
    assert found.spread[0].open_domains() == ["b"]


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (spread(), Why.SPREAD),
        (spread(maxSkew=2), Why.FITS),
        (spread(whenUnsatisfiable="ScheduleAnyway"), Why.FITS),
        (spread(labelSelector=None), Why.FITS),
        (spread(labelSelector={}), Why.FITS),
        (spread(labelSelector={"matchLabels": {"app": "other"}}), Why.FITS),
        (spread(matchLabelKeys=["hash"]), Why.FITS),
        (spread(nodeTaintsPolicy="Honor"), Why.FITS),
        (spread(minDomains=3), Why.SPREAD),
        (spread(topologyKey="rack"), Why.SPREAD),
        (spread(minDomains=3, maxSkew=2), Why.FITS),
    ],
)
def test_spread_constraints_count_as_the_scheduler_counts(constraint: Obj, expected: Why) -> None:
    nodes = [zoned("n1", "a"), zoned("n2", "b", taints=[TAINT])]
    subject = waiting(labels={"app": "web", "hash": "2"}, **constraint)
    assert why(subject, nodes, [web("w1", "n1")]) is expected


def test_pods_of_other_namespaces_terminating_and_finished_ones_do_not_count_for_spreading() -> None:
    others = [
        web("w1", "n1", namespace="other"),
        web("w2", "n1", metadata={"deletionTimestamp": ago(-5)}),
        web("w3", "n1", phase="Succeeded"),
    ]
    [counts] = counted(waiting(**spread()), [zoned("n1", "a"), zoned("n2", "b")], others)
    assert counts.pods == {"a": 0, "b": 0}


def test_nodes_that_the_selector_excludes_are_no_domains_unless_the_policy_says_so() -> None:
    nodes = [zoned("n1", "a"), zoned("n2", "b", cordoned=True)]
    nodes[0]["metadata"]["labels"]["pool"] = "web"
    chosen = {"nodeSelector": {"pool": "web"}}
    assert why(waiting(**chosen, **spread()), nodes, [web("w1", "n1")]) is Why.FITS
    assert why(waiting(**chosen, **spread(nodeAffinityPolicy="Ignore")), nodes, [web("w1", "n1")]) is Why.SPREAD


def test_cordoned_zones_hold_the_others_back_and_the_cordon_is_why() -> None:
    nodes = [zoned("n1", "a"), zoned("n2", "b", cordoned=True)]
    assert why(waiting(**spread()), nodes, [web("w1", "n1")]) is Why.CORDON


def apart(key: str = "kubernetes.io/hostname", **rest: Any) -> Obj:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}, **rest}
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def together(key: str = "zone", app: str = "db", **rest: Any) -> Obj:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **rest}
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def test_nodes_that_anti_affinity_closes_are_out_of_the_question():
    taken = [web("w1", "n1"), web("w2", "n2")]
    full = pod("x", node="n3", containers=asks("8"))
    assert why(waiting(**apart()), [node("n1"), node("n2"), node("n3")], [*taken, full]) is Why.FULL
    assert why(waiting(**apart()), [node("n1"), node("n2"), node("n3", cordoned=True)], taken) is Why.CORDON
    assert why(waiting(**apart()), [node("n1"), node("n2")], taken) is Why.ANTI_AFFINITY
    assert why(waiting(containers=asks("9"), **apart()), [node("n1"), node("n2")], taken) is Why.LARGER


@pytest.mark.parametrize(
    ("other", "kept_off"),
    [
        (web("w1", "n1"), True),
        (web("w1", "n1", namespace="other"), False),
        (web("w1", "n1", phase="Failed"), False),
        (pod("d1", node="n1", labels={"app": "db"}), False),
        (web("w1", "gone"), False),
    ],
)
def test_anti_affinity_is_about_the_pods_that_its_term_names(other: Obj, kept_off: bool):
    expected = Why.ANTI_AFFINITY if kept_off else Why.FITS
    assert why(waiting(**apart()), [node("n1")], [other]) is expected
    assert (
        why(waiting(**apart(namespaceSelector={})), [node("n1")], [web("w", "n1", namespace="x")]) is Why.ANTI_AFFINITY
    )
    assert why(waiting(**apart(namespaces=["x"])), [node("n1")], [web("w", "n1", namespace="x")]) is Why.ANTI_AFFINITY


def test_anti_affinity_of_the_pods_that_are_there_counts_too():
    assert why(waiting(), [node("n1")], [pod("hermit", spec=apart())]) is Why.ANTI_AFFINITY
    assert why(waiting(labels={"app": "db"}), [node("n1")], [pod("hermit", spec=apart())]) is Why.FITS


def test_pod_affinity_wants_a_partner_in_the_same_domain():
    nodes = [zoned("n1", "a"), zoned("n2", "b", cordoned=True)]
    partner = pod("db", node="n2", labels={"app": "db"})
    assert why(waiting(**together()), nodes, [partner]) is Why.CORDON
    assert why(waiting(**together()), nodes, []) is Why.ALONE
    assert why(waiting(**together(app="web")), nodes, []) is Why.FITS
    assert why(waiting(**together(key="rack", app="web")), nodes, []) is Why.ALONE


def test_a_taken_host_port_takes_a_node_out_of_the_question():
    def on_port(number: int, **rest: Any) -> list[Obj]:
        return [container(ports=[{"containerPort": 80, "hostPort": number, **rest}])]

    there = pod("a", containers=on_port(80))
    assert why(waiting(containers=on_port(80)), [node("n1")], [there]) is Why.PORTS
    assert why(waiting(containers=on_port(81)), [node("n1")], [there]) is Why.FITS
    assert why(waiting(containers=on_port(80, protocol="UDP")), [node("n1")], [there]) is Why.FITS
    assert why(waiting(containers=on_port(80)), [node("n1"), node("n2", cordoned=True)], [there]) is Why.CORDON


@pytest.mark.parametrize(
    ("message", "short", "selector", "taint", "cordon", "spread_"),
    [
        (
            "0/6 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient memory, 3 node(s) didn't "
            "match Pod's node affinity/selector. no new claims to deallocate, preemption: 0/6 nodes are available: 2 "
            "No preemption victims found for incoming pod, 4 Preemption is not helpful for scheduling.",
            ("memory",),
            3,
            1,
            0,
            0,
        ),
        (
            "0/4 nodes are available: 1 node(s) had untolerated taint {dedicated: a, b}, 1 node(s) were unschedulable, "
            "2 Insufficient cpu, 2 Insufficient nvidia.com/gpu.",
            ("cpu", "nvidia.com/gpu"),
            0,
            1,
            1,
            0,
        ),
        ("0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.", (), 0, 0, 0, 3),
        ('persistentvolumeclaim "x" not found', (), 0, 0, 0, 0),
        ("", (), 0, 0, 0, 0),
    ],
)
def test_the_schedulers_sentence_is_read_in_the_wordings_of_several_versions(
    message: str, short: tuple[str, ...], selector: int, taint: int, cordon: int, spread_: int
) -> None:
    told = said(message)
    assert (told.short, told.selector, told.taint, told.cordon, told.spread) == (
        short,
        selector,
        taint,
        cordon,
        spread_,
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6) | st.floats(allow_nan=True),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "status",
                    "metadata",
                    "name",
                    "labels",
                    "taints",
                    "key",
                    "effect",
                    "allocatable",
                    "cpu",
                    "containers",
                    "resources",
                    "requests",
                    "topologySpreadConstraints",
                    "topologyKey",
                    "tolerations",
                    "nodeSelector",
                    "affinity",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(["spec", "status", "metadata"]), json_values, max_size=3)


@given(objects, st.lists(objects, max_size=3), st.lists(objects, max_size=3))
def test_objects_of_any_shape_get_a_verdict(subject: Obj, nodes: list[Obj], pods: list[Obj]) -> None:
    assert isinstance(judge(subject, Scene.of(nodes, pods, NOW + timedelta(days=1))).why, Why)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[Obj, list[Obj], list[Obj]]:
    """A waiting pod, nodes and bound pods, in which every reason may come up."""
    cpus = st.sampled_from(["500m", "1", "2", "4"])
    nodes = [
        node(
            f"n{i}",
            cpu=draw(cpus),
            pods=draw(st.sampled_from(["1", "10"])),
            cordoned=draw(st.booleans()),
            labels={"zone": draw(st.sampled_from(["a", "b"])), "disk": draw(st.sampled_from(["ssd", "hdd"]))},
            taints=draw(
                st.sampled_from([[], [], [TAINT], [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]])
            ),
        )
        for i in range(draw(st.integers(0, 4)))
    ]
    pods = [
        web(f"w{i}", f"n{draw(st.integers(0, 3))}", containers=asks(draw(cpus))) for i in range(draw(st.integers(0, 4)))
    ]
    spec = draw(
        st.sampled_from(
            [{}, {}, {"nodeSelector": {"disk": "ssd"}}, spread(), {"tolerations": [{"operator": "Exists"}]}]
        )
    )
    return waiting(containers=asks(draw(cpus)), **spec), nodes, pods


@given(clusters(), st.randoms())
def test_the_order_of_objects_never_changes_the_verdict(cluster: tuple[Obj, list[Obj], list[Obj]], random: Any) -> None:
    subject, nodes, pods = cluster
    before = verdict(subject, nodes, pods)
    random.shuffle(nodes)
    random.shuffle(pods)
    after = verdict(subject, nodes, pods)
    assert (before.why, [v.name for v in before.shown]) == (after.why, [v.name for v in after.shown])


@given(clusters())
def test_nodes_that_are_not_meant_and_pods_elsewhere_never_change_the_verdict(
    cluster: tuple[Obj, list[Obj], list[Obj]],
) -> None:
    subject, nodes, pods = cluster
    subject["spec"].setdefault("nodeSelector", {})["pool"] = "web"
    for one in nodes:
        one["metadata"]["labels"]["pool"] = "web"
    more = [*nodes, node("x1"), node("x2", cordoned=True, taints=[TAINT])]
    busy = [*pods, web("y1", "x1", namespace="other"), pod("y2", node="x2")]
    assert why(subject, nodes, pods) is why(subject, more, busy)


@given(clusters())
def test_names_never_change_the_verdict(cluster: tuple[Obj, list[Obj], list[Obj]]) -> None:
    subject, nodes, pods = cluster
    before = why(subject, nodes, pods)
    for one in nodes:
        one["metadata"]["name"] = f"renamed-{one['metadata']['name']}"
    for one in pods:
        one["spec"]["nodeName"] = f"renamed-{one['spec']['nodeName']}"
    assert why(subject, nodes, pods) is before
