"""Findings about what does not go when it is deleted, and about APIs that somebody else serves and does not."""

from typing import Any

import pytest
from builders import ago, deployment, event, node, obj, pod, service
from hypothesis import given
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, named, renamed, roots, severe, shuffled, verdicts

from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj

SHOP = Scope(namespace="shop")
FINALIZER = "ledgers.acme.example/archive"


def going(
    *waits: str, since: float = 30, remaining: str = "ledgers.acme.example has 2 resource instances", **rest: Any
) -> Obj:
    """A namespace `shop` that is being deleted, with what its content waits for."""
    said = [("NamespaceContentRemaining", f"Some resources are remaining: {remaining}")] if remaining else []
    if waits:
        words = ", ".join(f"{one} in 2 resource instances" for one in waits)
        said.append(
            ("NamespaceFinalizersRemaining", f"Some content in the namespace has finalizers remaining: {words}")
        )
    conditions = [{"type": kind, "status": "True", "message": words} for kind, words in said]
    conditions += rest.pop("conditions", [])
    meta = {"deletionTimestamp": ago(since), **rest.pop("metadata", {})}
    return obj(
        "Namespace", "shop", None, metadata=meta, status={"phase": "Terminating", "conditions": conditions}, **rest
    )


def controller(
    name: str = "ledger-operator", namespace: str = "ledger-system", *, replicas: int = 1, ready: int = 1
) -> Obj:
    return deployment(name, namespace, replicas=replicas, status={"replicas": replicas, "readyReplicas": ready})


def test_a_namespace_whose_finalizers_nobody_removes():
    one = finding(going(FINALIZER), scope=SHOP)
    assert (one.cause, str(one.object), one.severity) == (
        "namespace-content-finalizer-stuck",
        "namespace/shop",
        "warning",
    )
    assert "2 objects wait for finalizer ledgers.acme.example/archive (no workload in the cluster" in one.summary
    assert "it still holds 2 ledgers.acme.example" in one.summary


def test_a_controller_that_was_scaled_to_zero_is_named():
    one = finding(going(FINALIZER), controller(replicas=0, ready=0), scope=SHOP)
    assert (
        "deployment/ledger-operator in namespace ledger-system should remove it, and is scaled to zero" in one.summary
    )


def test_why_the_controller_is_not_there_is_the_root():
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": ago(60)}
    failing = {"waiting": "CrashLoopBackOff", "last": ended, "restarts": 6, "ready": False}
    broken = app("ledger-operator", namespace="ledger-system", **failing)
    found, _, facts = verdicts(going(FINALIZER), *broken, scope=SHOP)
    (stuck,) = [f for f in found if f.cause == "namespace-content-finalizer-stuck"]
    assert [str(ref) for ref in stuck.awaits] == ["deployment/ledger-operator"]
    assert roots(going(FINALIZER), *broken) == [("application-exits-on-error", "deployment/ledger-operator")]
    del facts


@pytest.mark.parametrize(
    "objects",
    [
        [going(since=20, remaining="pods. has 3 resource instances")],
        [going(since=20, remaining="")],
        [going(FINALIZER, since=60), controller()],
        [going(FINALIZER, since=1)],
        [going("kubernetes.io/pvc-protection", since=60)],
        [going("foregroundDeletion", since=60)],
        [going("finalizers.example.com/cleanup", since=60)],
    ],
)
def test_a_namespace_that_is_on_its_way_out_is_no_fault(objects: list[Obj]):
    assert severe(*objects, scope=SHOP) == []


def test_a_namespace_that_keeps_its_content_for_long_is_one_even_without_finalizers():
    one = finding(going(since=3000, remaining="pods. has 3 resource instances"), scope=SHOP)
    assert (one.confidence, "it still holds 3 pods" in one.summary) == ("possible", True)


def test_a_controller_that_runs_for_long_and_does_nothing_is_possible():
    assert finding(going(FINALIZER, since=3000), controller(), scope=SHOP).confidence == "possible"


def test_an_application_of_the_same_name_is_not_its_controller():
    assert "no workload" in finding(going(FINALIZER), *app("ledger", namespace="shop-2"), scope=SHOP).summary


@pytest.mark.parametrize(
    ("finalizer", "program"),
    [
        ("elbv2.k8s.aws/resources", "aws-load-balancer-controller"),
        ("resources-finalizer.argocd.argoproj.io", "argocd-application-controller"),
        ("finalizers.fluxcd.io", "kustomize-controller"),
        ("karpenter.sh/termination", "karpenter"),
        ("external-attacher/ebs-csi-aws-com", "ebs-csi-controller"),
        ("finalizers.s3.services.k8s.aws/Bucket", "ack-s3-controller"),
        ("finalizer.acme.io", "acme-controller-manager"),
        ("acme.io/widget-cleanup", "widget-controller"),
        ("finalizer.keda.sh", "keda-operator"),
        ("acme.cert-manager.io/finalizer", "cert-manager"),
    ],
)
def test_programs_are_found_by_what_a_finalizer_is_called(finalizer: str, program: str):
    assert severe(going(finalizer), controller(program, "infra"), scope=SHOP) == []
    assert severe(going(finalizer), controller("web", "infra"), scope=SHOP) == ["namespace-content-finalizer-stuck"]


# Objects


def held(*finalizers: str, since: float = 30, kind: str = "Service", **rest: Any) -> Obj:
    meta = {"deletionTimestamp": ago(since), "finalizers": list(finalizers)}
    made = service("cart") if kind == "Service" else obj(kind, "cart", **rest)
    return {**made, "metadata": {**made["metadata"], **meta}}


def test_an_object_whose_finalizer_nobody_removes():
    one = finding(held("service.k8s.aws/resources"), obj("Namespace", "shop", None), *app("cart"), scope=SHOP)
    assert (one.cause, str(one.object)) == ("finalizer-owner-missing", "service/cart")
    assert "has been deleted for 30 s and waits for service.k8s.aws/resources" in one.summary


@pytest.mark.parametrize(
    "objects",
    [
        [held("service.k8s.aws/resources", since=60), controller("aws-load-balancer-controller", "kube-system")],
        [held("service.kubernetes.io/load-balancer-cleanup", since=60)],
        [held("service.k8s.aws/resources", since=1)],
        [held(FINALIZER), going(FINALIZER, since=1)],
    ],
)
def test_a_finalizer_whose_controller_is_at_work_is_no_fault(objects: list[Obj]):
    assert severe(*objects, *app("cart"), scope=SHOP) == []


def test_a_claim_that_a_pod_uses_is_kept_for_it():
    claim = held("kubernetes.io/pvc-protection", since=5000, kind="PersistentVolumeClaim", status={"phase": "Bound"})
    volume = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "cart"}}]}
    assert "finalizer-owner-missing" not in severe(claim, *app("cart", body=volume), scope=SHOP)


# Pods


def ending(
    name: str = "cart-0", *, over: float = 30, owner: tuple[str, str] | None = None, at: str = "n1", **meta: Any
) -> Obj:
    """A pod whose grace period has been over for some seconds."""
    more = {"deletionTimestamp": ago(over), "deletionGracePeriodSeconds": 30, **meta}
    return pod(name, metadata=more, node=at, owned_by=owner, age=9000)


def stateful(name: str = "cart") -> Obj:
    spec = {"replicas": 1, "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": []}}}
    return obj("StatefulSet", name, api="apps/v1", spec=spec, status={"replicas": 1})


def test_a_pod_that_should_be_gone():
    one = finding(stateful(), ending(owner=("StatefulSet", "cart")), node("n1"))
    assert (one.cause, str(one.object)) == ("pod-termination-not-confirmed", "pod/cart-0")
    assert (one.severity, one.confidence) == ("critical", "likely")
    assert "its grace period is over for 30 s, and the kubelet of node n1, which is ready" in one.summary


def test_the_kubelets_own_words_count_at_once():
    stuck = ending(over=3)
    told = event(stuck, "FailedKillPod", "error killing pod: failed to unmount", seconds_ago=5)
    one = finding(stuck, told, node("n1"))
    assert (one.confidence, "says that it cannot end it" in one.summary) == ("certain", True)
    old = event(stuck, "FailedKillPod", "error killing pod", seconds_ago=500)
    assert severe(stuck, old, node("n1")) == []


def test_a_node_that_is_not_heard_of_explains_its_pods():
    sick = node("n1", ready="Unknown")
    sick["status"]["conditions"][0]["reason"] = "NodeStatusUnknown"
    (root,) = linked(stateful(), ending(over=3, owner=("StatefulSet", "cart")), sick)
    assert root.finding.object.kind == "Node"
    assert "pod-termination-not-confirmed" in {f.cause for f in root.explained}


@pytest.mark.parametrize(
    "one",
    [
        ending(over=-20),
        ending(over=5),
        ending(over=40, finalizers=["batch.kubernetes.io/job-tracking"]),
        ending(over=40, at="gone"),
    ],
)
def test_a_pod_in_its_grace_period_or_on_its_way_out_is_no_fault(one: Obj):
    assert severe(one, node("n1"), scope=SHOP) == []


# Aggregated APIs


def api(name: str = "v1beta1.metrics.k8s.io", *, since: float = 300, reason: str = "MissingEndpoints") -> Obj:
    version, _, group = name.partition(".")
    spec = {"service": {"namespace": "kube-system", "name": "metrics", "port": 443}, "group": group, "version": version}
    condition = {
        "type": "Available",
        "status": "False",
        "reason": reason,
        "message": "x",
        "lastTransitionTime": ago(since),
    }
    return obj("APIService", name, None, api="apiregistration.k8s.io/v1", spec=spec, status={"conditions": [condition]})


def metrics(*, ready: bool) -> list[Obj]:
    labels = {"kubernetes.io/service-name": "metrics"}
    ends = [{"addresses": ["10.1.0.1"], "conditions": {"ready": ready}}]
    made = obj("EndpointSlice", "metrics-x", "kube-system", metadata={"labels": labels}, endpoints=ends)
    slices = {**made, "ports": [{"name": "", "port": 8443}]}
    return [service("metrics", "kube-system", ports=[{"port": 443, "targetPort": 8443}]), slices]


def blind() -> Obj:
    condition = {
        "type": "ScalingActive",
        "status": "False",
        "reason": "FailedGetResourceMetric",
        "message": "unable to fetch metrics from resource metrics API",
        "lastTransitionTime": ago(250),
    }
    target = {"kind": "Deployment", "name": "cart", "apiVersion": "apps/v1"}
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5, "metrics": [metric]}
    return obj("HorizontalPodAutoscaler", "cart", api="autoscaling/v2", spec=spec, status={"conditions": [condition]})


def sized() -> list[Obj]:
    return app("cart", spec={"name": "app", "image": "x", "resources": {"requests": {"cpu": "1"}}})


def test_an_api_whose_service_is_gone_explains_autoscalers_without_metrics():
    (root,) = linked(api(), blind(), *sized())
    assert (root.finding.cause, str(root.finding.object)) == (
        "apiservice-unavailable",
        "apiservice/v1beta1.metrics.k8s.io",
    )
    assert "its Service kube-system/metrics does not exist" in root.finding.summary
    assert [f.cause for f in root.explained] == ["hpa-metrics-unavailable"]


def test_why_its_backend_is_down_is_the_root():
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": ago(60)}
    failing = {"waiting": "CrashLoopBackOff", "last": ended, "restarts": 6, "ready": False}
    broken = app("metrics", namespace="kube-system", **failing)
    found = roots(api(), blind(), *sized(), *metrics(ready=False), *broken)
    assert found == [("application-exits-on-error", "deployment/metrics")]


def test_a_backend_that_is_there_again_is_given_a_moment():
    listening = {"name": "app", "image": "x", "ports": [{"containerPort": 8443}]}
    _, ruled_out, _ = verdicts(api(since=20), *metrics(ready=True))
    assert "apiservice-unavailable" in {v.cause for v in ruled_out}
    there = [*metrics(ready=True), *app("metrics", namespace="kube-system", spec=listening)]
    assert finding(api(reason="FailedDiscoveryCheck"), *there).confidence == "likely"


def test_two_versions_of_one_backend_are_one_problem_and_those_available_are_none():
    other = api("v1beta2.metrics.k8s.io")
    assert len(roots(api(), other)) == 1
    well = api()
    well["status"]["conditions"][0]["status"] = "True"
    local = obj("APIService", "v1.apps", None, spec={"group": "apps"}, status=api()["status"])
    assert severe(well, local) == []


def test_an_api_that_is_down_keeps_a_namespace_from_going():
    lost = {
        "type": "NamespaceDeletionDiscoveryFailure",
        "status": "True",
        "message": "Discovery failed for some groups",
    }
    (root,) = linked(going(since=900, remaining="", conditions=[lost]), api(), scope=SHOP)
    assert (root.finding.cause, "namespace/shop" in {str(r) for r in root.finding.affects}) == (
        "apiservice-unavailable",
        True,
    )


ALL = [
    going(FINALIZER, since=700),
    held("service.k8s.aws/resources", since=50),
    stateful(),
    ending(owner=("StatefulSet", "cart")),
    node("n1"),
    api(),
    *metrics(ready=False),
    blind(),
    controller("ledger-operator", "x", replicas=0, ready=0),
]


@given(st.integers(0, 999))
def test_order_does_not_matter(seed: int):
    assert roots(*shuffled(ALL, seed)) == roots(*ALL)


@given(damaged(ALL))
def test_absurd_fields_break_nothing(objects: list[Obj]):
    linked(*objects)


def test_names_and_bystanders_change_nothing():
    there = [stateful(), ending(owner=("StatefulSet", "cart")), node("n1"), *bystanders()]
    assert [cause for cause, _ in roots(*renamed(there, "kitten"))] == ["pod-termination-not-confirmed"]
    assert named(there, "Deployment", "bystander")
