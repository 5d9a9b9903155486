"""Findings about pods that admission refuses."""

from typing import Any

import pytest
from builders import NOW, ago, container, deployment, event, facts_of, obj, pending, pod, replica_set, service

from firstmate_tools import kinds
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.facts import Facts, event_row
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.diagnosis.link import link, merge
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Rule, Want, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

RULES: tuple[Rule, ...] = tuple(
    rule
    for rule in all_rules()
    if rule.name
    in {
        "full_quota",
        "quota_demands_requests",
        "limit_range_broken",
        "missing_service_account",
        "pod_security_forbids",
        "webhook_without_backend",
    }
)
CART = Ref("Deployment", "shop", "cart")
QUOTA = (
    'Error creating: pods "cart-1-x" is forbidden: exceeded quota: team, requested: requests.cpu=1, '
    "used: requests.cpu=4, limited: requests.cpu=4"
)
DEMANDS = 'Error creating: pods "c" is forbidden: failed quota: team: must specify requests.cpu for: app'
LIMITS = 'Error creating: pods "c" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'
ACCOUNT = 'pods "c-" is forbidden: error looking up service account shop/cart: serviceaccount "cart" not found'
SECURITY = 'Error creating: pods "c" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (…)'
HOOK = (
    'Error creating: Internal error occurred: failed calling webhook "w.guard.example": failed to call webhook: Post '
    '"https://w.guard.svc:443/?timeout=10s": no endpoints available for service "w"'
)


def template(*containers: Obj, **spec: Any) -> Obj:
    return {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": list(containers) or [container()], **spec}}


def refused(
    message: str, *, wanted: int = 1, body: Obj | None = None, name: str = "cart", has: int = 0, seconds_ago: float = 60
) -> list[Obj]:
    """A Deployment whose ReplicaSet may not create its pods."""
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    status = {"replicas": has, "conditions": [failure]}
    sets = replica_set(f"{name}-1", of=name, replicas=wanted, template=body or template(), status=status)
    pods = [pod(f"{name}-1-{i}", owned_by=("ReplicaSet", f"{name}-1")) for i in range(has)]
    told = event(sets, "FailedCreate", message, seconds_ago=seconds_ago)
    return [deployment(name, replicas=wanted, template=body or template()), sets, *pods, told]


def found(*objects: Obj, **rest: Any) -> list[Finding]:
    return merge(judge(facts_of(*objects, **rest), RULES)[0])


def one(*objects: Obj, **rest: Any) -> Finding:
    [only] = found(*objects, **rest)
    return only


def ruled_out(*objects: Obj, **rest: Any) -> dict[str, str]:
    findings, refuted = judge(facts_of(*objects, **rest), RULES)
    assert findings == []
    return {verdict.cause: verdict.why for verdict in refuted}


def sized(**resources: Any) -> Obj:
    return container(resources=resources)


def quota(hard: str = "4", used: str = "4", name: str = "team", **rest: Any) -> Obj:
    body = {"requests.cpu": hard}
    return obj(
        "ResourceQuota", name, spec={"hard": body, **rest}, status={"hard": body, "used": {"requests.cpu": used}}
    )


ONE_CPU = template(sized(requests={"cpu": "1"}))


def test_a_full_quota_is_the_finding_and_the_workload_suffers():
    finding = one(*refused(QUOTA, body=ONE_CPU), quota())
    assert (finding.cause, finding.object) == ("quota-exceeded", Ref("ResourceQuota", "shop", "team"))
    assert (finding.severity, finding.confidence) == ("critical", "certain")
    assert "requests.cpu: 4 of 4 used, a pod needs 1" in finding.summary
    assert CART in finding.affects


def test_a_full_quota_names_who_holds_it():
    hog = pod("hog", containers=[sized(requests={"cpu": "3"})])
    assert "pod/hog 3" in one(*refused(QUOTA, body=ONE_CPU), quota(), hog).summary


def test_a_quota_that_stops_a_rollout_is_a_warning_while_the_old_pods_serve():
    old = replica_set("cart-0", of="cart")
    running = pod("cart-0-a", owned_by=("ReplicaSet", "cart-0"))
    finding = one(*refused(QUOTA, body=ONE_CPU), old, running, quota())
    assert finding.severity == "warning"
    assert "of its new revision" in finding.summary


def test_several_workloads_at_one_quota_are_one_finding():
    objects = [*refused(QUOTA, body=ONE_CPU), *refused(QUOTA, body=ONE_CPU, name="search"), quota()]
    assert {CART, Ref("Deployment", "shop", "search")} <= set(one(*objects).affects)


def test_the_named_quota_is_the_finding_where_several_are_full():
    assert one(*refused(QUOTA, body=ONE_CPU), quota(name="all"), quota()).object.name == "team"


@pytest.mark.parametrize(
    "policies", [[quota(used="3")], [], [quota(scopes=["Terminating"], used="0")], [quota(hard="8")]]
)
def test_a_quota_that_has_room_again_is_ruled_out(policies: list[Obj]):
    assert "quota-exceeded" in ruled_out(*refused(QUOTA, body=ONE_CPU), *policies)


def test_what_a_webhook_adds_to_pods_is_taken_from_the_refusal():
    small = template(sized(requests={"cpu": "100m"}))
    finding = one(*refused(QUOTA, body=small), quota(used="3500m"))
    assert (finding.cause, finding.confidence) == ("quota-exceeded", "likely")


def test_defaults_of_limit_ranges_count_against_quotas():
    defaults = obj("LimitRange", "d", spec={"limits": [{"type": "Container", "defaultRequest": {"cpu": "1"}}]})
    finding = one(*refused(QUOTA), quota(used="3500m"), defaults)
    assert (finding.cause, finding.confidence) == ("quota-exceeded", "certain")


def test_old_refusals_are_ruled_out_where_the_replicaset_is_complete():
    assert "old" in ruled_out(*refused(QUOTA, body=ONE_CPU, has=1), quota())["quota-exceeded"]
    assert "old" in ruled_out(*refused(ACCOUNT, has=1))["service-account-missing"]


def test_a_workload_scaled_to_zero_is_refused_nothing():
    assert found(*refused(QUOTA, wanted=0, body=ONE_CPU), quota()) == []


@pytest.mark.parametrize("what", ["persistentvolumeclaims=1", "requests.storage=5Gi", "count/services=1"])
def test_quotas_of_other_objects_are_left_to_others(what: str):
    message = f"create Claim d-cart-0 failed: exceeded quota: team, requested: {what}, used: {what}, limited: {what}"
    assert judge(facts_of(*refused(message), quota(used="1")), RULES) == ([], [])


def test_the_refusal_stands_in_for_quotas_that_may_not_be_read():
    finding = one(*refused(QUOTA, body=ONE_CPU), unknown=(kinds.RESOURCE_QUOTA,))
    assert (finding.object, finding.confidence) == (Ref("ResourceQuota", "shop", "team"), "likely")


def test_containers_without_requests_are_the_workloads_fault():
    body = template(sized(requests={"cpu": "1"}), container("side"))
    finding = one(*refused(DEMANDS, body=body), quota(used="0"))
    assert (finding.cause, finding.object) == ("quota-requires-requests", CART)
    assert "requests.cpu in side" in finding.summary


def test_a_limit_range_that_fills_requests_in_rules_the_demand_out():
    defaults = obj("LimitRange", "d", spec={"limits": [{"type": "Container", "defaultRequest": {"cpu": "1"}}]})
    assert "quota-requires-requests" in ruled_out(*refused(DEMANDS), quota(used="0"), defaults)


def limits(**bounds: Any) -> Obj:
    return obj("LimitRange", "limits", spec={"limits": [{"type": "Container", **bounds}]})


def test_a_broken_limit_is_the_workloads_fault_with_the_bound():
    finding = one(*refused(LIMITS, body=template(sized(limits={"memory": "2Gi"}))), limits(max={"memory": "1Gi"}))
    assert (finding.cause, finding.object) == ("limitrange-violation", CART)
    assert "memory limit 2Gi, limits allows at most 1Gi per Container" in finding.summary


CLAIM_TOO_SMALL = (
    'Create Claim data-cart-0 for Pod cart-0 in StatefulSet cart failed error: persistentvolumeclaims "data-cart-0" is '
    "forbidden: minimum storage usage per PersistentVolumeClaim is 10Gi, but request is 1Gi"
)


def test_a_claim_template_outside_a_limit_range_is_the_statefulsets_fault():
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    body = {"replicas": 1, "template": template(), "volumeClaimTemplates": [claim]}
    carts = obj("StatefulSet", "cart", spec=body, status={"replicas": 0})
    told = event(carts, "FailedCreate", CLAIM_TOO_SMALL, seconds_ago=30)
    sizes = {"type": "PersistentVolumeClaim", "min": {"storage": "10Gi"}, "max": {"storage": "1Ti"}}
    finding = one(carts, told, obj("LimitRange", "claims", spec={"limits": [sizes]}))
    assert (finding.cause, finding.object) == ("limitrange-violation", Ref("StatefulSet", "shop", "cart"))
    assert "claim template data has storage request 1Gi, claims allows at least 10Gi" in finding.summary
    lowered = obj("LimitRange", "claims", spec={"limits": [{**sizes, "min": {"storage": "1Gi"}}]})
    assert "keeps to every LimitRange" in ruled_out(carts, told, lowered)["limitrange-violation"]


def test_an_ephemeral_volumes_claim_outside_a_limit_range():
    waits = pending(
        "cart-1-0",
        "0/3 nodes are available: waiting for ephemeral volume controller",
        owned_by=("ReplicaSet", "cart-1"),
    )
    told = event(
        waits, "FailedBinding", "ephemeral volume controller: " + CLAIM_TOO_SMALL.partition("failed error: ")[2]
    )
    sizes = {"type": "PersistentVolumeClaim", "min": {"storage": "10Gi"}}
    owners = [deployment("cart"), replica_set("cart-1", of="cart")]
    finding = one(*owners, waits, told, obj("LimitRange", "claims", spec={"limits": [sizes]}))
    assert (finding.cause, finding.object) == ("limitrange-violation", CART)
    lowered = obj("LimitRange", "claims", spec={"limits": [{**sizes, "min": {"storage": "1Gi"}}]})
    assert "limitrange-violation" in ruled_out(*owners, waits, told, lowered)


def test_a_limit_that_was_lifted_is_ruled_out():
    body = template(sized(limits={"memory": "2Gi"}))
    assert "limitrange-violation" in ruled_out(*refused(LIMITS, body=body), limits(max={"memory": "4Gi"}))


def test_a_limit_that_stands_is_believed_even_where_the_template_keeps_to_it():
    finding = one(*refused(LIMITS, body=template(sized(limits={"memory": "1Gi"}))), limits(max={"memory": "1Gi"}))
    assert (finding.cause, finding.confidence) == ("limitrange-violation", "likely")


def account(name: str) -> Obj:
    return obj("ServiceAccount", name)


WITH_ACCOUNT = template(serviceAccountName="cart")


def test_a_service_account_that_nobody_created_is_the_finding():
    finding = one(*refused(ACCOUNT, body=WITH_ACCOUNT), account("default"), account("carts"))
    assert (finding.cause, finding.object, finding.confidence) == ("service-account-missing", CART, "certain")
    assert "one of a similar name is carts" in finding.summary


def test_a_service_account_that_came_late_is_ruled_out():
    assert "service-account-missing" in ruled_out(*refused(ACCOUNT, body=WITH_ACCOUNT), account("cart"))


def test_workloads_that_share_a_missing_account_are_one_finding():
    finding = one(*refused(ACCOUNT, body=WITH_ACCOUNT), *refused(ACCOUNT, body=WITH_ACCOUNT, name="search"))
    assert {CART, Ref("Deployment", "shop", "search")} <= set(finding.affects)


def namespace(name: str = "shop", **labels: str) -> Obj:
    return obj("Namespace", name, None, metadata={"labels": {"kubernetes.io/metadata.name": name, **labels}})


def enforcing(level: str) -> Obj:
    return namespace(**{"pod-security.kubernetes.io/enforce": level})


def test_a_namespaces_security_level_tells_what_the_pod_breaks():
    finding = one(*refused(SECURITY), enforcing("restricted"))
    assert (finding.cause, finding.object, finding.confidence) == ("pod-security-violation", CART, "certain")
    assert "runAsNonRoot != true (container app)" in finding.summary


@pytest.mark.parametrize("where", [namespace(), enforcing("privileged"), enforcing("baseline")])
def test_a_level_that_was_lowered_is_ruled_out(where: Obj):
    assert "pod-security-violation" in ruled_out(*refused(SECURITY), where)


def test_what_is_changed_after_the_template_is_an_inference():
    safe = {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}
    body = template(container(securityContext={**safe, "seccompProfile": {"type": "RuntimeDefault"}}))
    finding = one(*refused(SECURITY, body=body), enforcing("restricted"))
    assert (finding.cause, finding.confidence) == ("pod-security-violation", "likely")


@pytest.mark.parametrize(
    "message",
    [
        'Error creating: admission webhook "w" denied the request: violates PodSecurity "restricted:latest": no',
        "Error creating: pods \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        'Error creating: pods "c" is forbidden: no PriorityClass with name gold was found',
        "Error creating: Timeout: request did not complete within requested timeout - context deadline exceeded",
    ],
)
def test_refusals_of_others_are_left_to_them(message: str):
    assert judge(facts_of(*refused(message), enforcing("restricted")), RULES) == ([], [])


def test_the_newest_refusal_counts():
    objects = refused(ACCOUNT, body=WITH_ACCOUNT, seconds_ago=300)
    newer = event(objects[1], "FailedCreate", SECURITY, seconds_ago=10)
    assert one(*objects, newer, enforcing("restricted")).cause == "pod-security-violation"


def test_a_newer_refusal_that_nobody_here_knows_hides_older_ones():
    objects = refused(SECURITY, seconds_ago=300)
    newer = event(objects[1], "FailedCreate", 'admission webhook "x" denied the request: no', seconds_ago=10)
    assert found(*objects, newer, enforcing("restricted")) == []


def test_the_condition_stands_in_for_events_that_have_expired():
    deployed, sets, _ = refused(SECURITY)
    assert one(deployed, sets, enforcing("restricted")).cause == "pod-security-violation"


def job(**rest: Any) -> Obj:
    spec = {"parallelism": 2, "completions": 4, "template": ONE_CPU, **rest.pop("spec", {})}
    return obj("Job", "import", api="batch/v1", spec=spec, status=rest.pop("status", {"succeeded": 1}))


@pytest.mark.parametrize(
    ("creator", "refused_now"),
    [
        (obj("StatefulSet", "db", api="apps/v1", spec={"replicas": 2, "template": ONE_CPU}), True),
        (obj("StatefulSet", "db", api="apps/v1", spec={"replicas": 0, "template": ONE_CPU}), False),
        (
            obj("DaemonSet", "agent", api="apps/v1", spec={"template": ONE_CPU}, status={"desiredNumberScheduled": 3}),
            True,
        ),
        (
            obj("DaemonSet", "agent", api="apps/v1", spec={"template": ONE_CPU}, status={"desiredNumberScheduled": 0}),
            False,
        ),
        (obj("ReplicationController", "old", spec={"replicas": 1, "template": ONE_CPU}), True),
        (job(), True),
        (job(spec={"suspend": True}), False),
        (job(status={"succeeded": 4}), False),
        (job(status={"conditions": [{"type": "Failed", "status": "True"}]}), False),
    ],
)
def test_events_of_every_kind_of_creator_count_while_it_lacks_pods(creator: Obj, refused_now: bool):
    findings = found(creator, event(creator, "FailedCreate", QUOTA), quota())
    assert [f.cause for f in findings] == (["quota-exceeded"] if refused_now else [])


def test_events_about_an_object_of_the_same_name_before_do_not_count():
    creator = obj("StatefulSet", "db", api="apps/v1", spec={"replicas": 2, "template": ONE_CPU})
    former = obj("StatefulSet", "db", metadata={"uid": "another"})
    assert judge(facts_of(creator, event(former, "FailedCreate", QUOTA), quota()), RULES) == ([], [])


def webhook(policy: str = "Fail", kind: str = "ValidatingWebhookConfiguration", **spec: Any) -> Obj:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    hook = {
        "name": "w.guard.example",
        "failurePolicy": policy,
        "clientConfig": {"service": {"namespace": "guard", "name": "w"}},
        "rules": rules,
        **spec,
    }
    return obj(kind, "guard", None, webhooks=[hook])


BACKEND = service("w", "guard", ports=[{"port": 443}])
SHOP = namespace()


def ready(*states: bool) -> Obj:
    endpoints = [{"conditions": {"ready": state}} for state in states]
    labels = {"labels": {"kubernetes.io/service-name": "w"}}
    return obj("EndpointSlice", "w-x", "guard", metadata=labels, endpoints=endpoints, ports=[{"port": 8443}])


IN_SHOP = {"scope": Scope("shop")}


def test_a_webhook_about_claims_stops_a_statefulset_too():
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["persistentvolumeclaims"]}
    ]
    carts = obj("StatefulSet", "cart", spec={"replicas": 1, "template": template()}, status={"replicas": 0})
    claim = "create Claim data-cart-0 for Pod cart-0 in StatefulSet cart failed error: "
    told = event(carts, "FailedCreate", claim + HOOK.removeprefix("Error creating: "), seconds_ago=30)
    finding = one(carts, told, webhook(rules=rules), SHOP, **IN_SHOP)
    assert (finding.cause, finding.object.name) == ("webhook-unavailable", "guard")
    assert "webhook-unavailable" in ruled_out(carts, told, webhook(), SHOP, **IN_SHOP), "it is asked about pods alone"


def test_a_webhook_without_its_service_is_the_finding():
    finding = one(*refused(HOOK), webhook(), SHOP, **IN_SHOP)
    assert (finding.cause, finding.object) == (
        "webhook-unavailable",
        Ref("ValidatingWebhookConfiguration", "", "guard"),
    )
    assert (finding.severity, finding.confidence) == ("critical", "certain")
    assert "its Service guard/w does not exist" in finding.summary
    assert CART in finding.affects


@pytest.mark.parametrize("slices", [[], [ready(False)]])
def test_a_webhook_without_ready_endpoints_is_the_finding(slices: list[Obj]):
    finding = one(*refused(HOOK), webhook(), SHOP, BACKEND, *slices, **IN_SHOP)
    assert "has no ready endpoint" in finding.summary
    assert finding.awaits == ()


def test_a_webhook_awaits_the_service_and_the_workloads_behind_it():
    finding = one(*refused(HOOK), webhook(), SHOP, BACKEND, deployment("w", "guard"), **IN_SHOP)
    assert finding.awaits == (Ref("Service", "guard", "w"), Ref("Deployment", "guard", "w"))


def test_a_webhook_tells_how_the_pods_behind_it_are():
    broken = pod("w-1", "guard", labels={"app": "w"}, waiting="CrashLoopBackOff")
    finding = one(*refused(HOOK), webhook(), SHOP, BACKEND, ready(False), broken, **IN_SHOP)
    assert "pods behind it: CrashLoopBackOff" in finding.summary


@pytest.mark.parametrize(
    "objects",
    [
        [webhook(), SHOP, BACKEND, ready(True)],
        [webhook("Ignore"), SHOP],
        [SHOP],
        [webhook(rules=[]), SHOP],
        [webhook(namespaceSelector={"matchLabels": {"guarded": "yes"}}), SHOP],
        [webhook(objectSelector={"matchLabels": {"guarded": "yes"}}), SHOP],
    ],
)
def test_a_webhook_that_is_back_or_concerns_nobody_is_ruled_out(objects: list[Obj]):
    assert "webhook-unavailable" in ruled_out(*refused(HOOK), *objects, **IN_SHOP)


def test_a_cronjob_that_may_not_create_jobs_is_looked_up_and_refused_too():
    jobs = [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}]
    report = obj("CronJob", "report", api="batch/v1", spec={}, status={"lastScheduleTime": ago(400)})
    told = event(report, "FailedCreate", f"Error creating job: {HOOK}")
    facts = facts_of(told, **IN_SHOP)
    facts.put_events([event_row(told)])
    assert GetWant(kinds.CRON_JOB, Ref("CronJob", "shop", "report")) in wants(facts)
    assert one(report, told, webhook(rules=jobs), SHOP, **IN_SHOP).cause == "webhook-unavailable"
    report["status"]["lastScheduleTime"] = ago(5)
    assert "old" in ruled_out(report, told, webhook(rules=jobs), SHOP, **IN_SHOP)["webhook-unavailable"]


def by_url(reason: str) -> str:
    return f'failed calling webhook "w.guard.example": failed to call webhook: Post "https://10.0.0.9": {reason}'


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("dial tcp 10.0.0.9:443: connect: connection refused", True),
        ("dial tcp: lookup hooks.example: no such host", True),
        ("context deadline exceeded", True),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", False),
        ('an error on the server ("") has prevented the request from succeeding', False),
    ],
)
def test_a_webhook_that_is_called_by_url_is_judged_by_the_refusal(reason: str, said: bool):
    hook = webhook(clientConfig={"url": "https://10.0.0.9"})
    findings = found(*refused(by_url(reason)), hook, SHOP, **IN_SHOP)
    assert [(f.cause, f.confidence) for f in findings] == ([("webhook-unavailable", "likely")] if said else [])


def test_ready_endpoints_where_nobody_listens_are_an_inference():
    long_ready = pod("w-1", "guard", labels={"app": "w"}, age=3000)
    message = by_url("dial tcp 10.0.0.9:443: connect: connection refused")
    finding = one(*refused(message), webhook(), SHOP, BACKEND, ready(True), long_ready, **IN_SHOP)
    assert (finding.cause, finding.confidence) == ("webhook-unavailable", "likely")
    just_ready = pod("w-1", "guard", labels={"app": "w"}, age=30)
    assert found(*refused(message), webhook(), SHOP, BACKEND, ready(True), just_ready, **IN_SHOP) == []


def test_two_configurations_with_one_backend_are_one_finding():
    mutating = webhook(kind="MutatingWebhookConfiguration")
    assert one(*refused(HOOK), webhook(), mutating, SHOP, **IN_SHOP).object.kind == "MutatingWebhookConfiguration"


def test_a_webhook_that_blocks_its_own_backend_is_one_root_that_explains_the_silent_service():
    own = refused(HOOK, name="w")
    for one_object in own:
        one_object["metadata"]["namespace"] = "guard"
    own[-1]["involvedObject"]["namespace"] = "guard"
    own[0]["spec"]["template"]["metadata"]["labels"] = {"app": "w"}
    facts = facts_of(*refused(HOOK), *own, webhook(), SHOP, namespace("guard"), BACKEND, ready())
    findings = merge(judge(facts, RULES)[0])
    silent = Finding("service-endpoints-not-ready", Ref("Service", "guard", "w"), "critical", "certain", "", ())
    every = all_rules()
    roots = link([*findings, silent], every, facts.graph) if any(silent.cause in r.causes for r in every) else []
    assert [f.object.name for f in findings] == ["guard"]
    assert [root.finding.cause for root in roots] in (["webhook-unavailable"], [])


def test_events_of_other_kinds_tell_of_a_webhook_too():
    about = service("cart")
    told = event(about, "FailedToUpdateEndpointSlices", HOOK)
    finding = one(about, told, webhook(), SHOP, **IN_SHOP)
    assert (finding.cause, finding.severity) == ("webhook-unavailable", "warning")


def test_a_deployment_that_may_not_create_its_replicaset_is_refused_too():
    broken = deployment(
        "cart",
        status={
            "conditions": [
                {"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError", "message": HOOK}
            ]
        },
    )
    everything = [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]
    assert one(broken, webhook(rules=everything), SHOP, **IN_SHOP).cause == "webhook-unavailable"
    assert found(broken, webhook(), SHOP, **IN_SHOP) == []


WORKLOAD = [deployment("cart"), replica_set("cart-1", of="cart"), pod("cart-1-a", owned_by=("ReplicaSet", "cart-1"))]


def test_a_webhook_that_will_refuse_the_next_pod_is_warned_about_in_a_cluster_question():
    finding = one(*WORKLOAD, webhook(), SHOP)
    assert (finding.cause, finding.severity) == ("webhook-unavailable", "warning")
    assert "when pods are created in shop" in finding.summary
    assert found(*WORKLOAD, webhook(), SHOP, **IN_SHOP) == []


@pytest.mark.parametrize(
    "hook",
    [
        webhook("Ignore"),
        webhook(rules=[]),
        webhook(namespaceSelector={"matchLabels": {"guarded": "yes"}}),
        webhook(objectSelector={"matchLabels": {"guarded": "yes"}}),
        webhook(matchConditions=[{"name": "x", "expression": "false"}]),
        webhook(clientConfig={"url": "https://hooks.example"}),
    ],
)
def test_webhooks_that_cannot_hurt_are_left_in_peace(hook: Obj):
    assert found(*WORKLOAD, hook, SHOP) == []


def test_namespaces_where_nothing_runs_are_not_warned_about():
    asleep = deployment("cart", replicas=0)
    assert found(asleep, obj("Job", "once", api="batch/v1", spec={"template": template()}), webhook(), SHOP) == []


def test_a_cluster_question_looks_behind_webhooks_only_where_one_may_surprise():
    facts = facts_of(*WORKLOAD)
    assert set(wants(facts)) == {ListWant(kinds.VALIDATING_WEBHOOK), ListWant(kinds.MUTATING_WEBHOOK)}
    facts.put(kinds.VALIDATING_WEBHOOK, None, [webhook()])
    assert ListWant(kinds.ENDPOINT_SLICE, "guard") in wants(facts)


def test_a_webhook_that_has_only_just_been_configured_is_left_in_peace():
    fresh = webhook()
    fresh["metadata"]["creationTimestamp"] = ago(20)
    assert found(*WORKLOAD, fresh, SHOP) == []


def wants(facts: Facts) -> list[Want]:
    return [want for rule in RULES if rule.wants for want in rule.wants(facts)]


def test_nothing_more_is_read_where_nothing_was_refused():
    assert wants(facts_of(*WORKLOAD, pending("p"), **IN_SHOP)) == []


def test_webhooks_are_looked_up_before_their_backends():
    facts = facts_of(*refused(HOOK), **IN_SHOP)
    first = wants(facts)
    assert ListWant(kinds.VALIDATING_WEBHOOK) in first
    assert GetWant(kinds.NAMESPACE, Ref("Namespace", "", "shop")) in first
    facts.put(kinds.VALIDATING_WEBHOOK, None, [webhook()])
    assert ListWant(kinds.ENDPOINT_SLICE, "guard") in wants(facts)


def test_everything_that_may_be_wanted_is_declared():
    facts = facts_of(
        *(o for i, m in enumerate((QUOTA, DEMANDS, LIMITS, ACCOUNT, SECURITY, HOOK)) for o in refused(m, name=f"a{i}")),
        webhook(),
    )
    for rule in RULES:
        declared = {(read.kind, verb) for read in rule.reads() for verb in read.verbs}
        for want in rule.wants(facts) if rule.wants else ():
            verb = "list" if isinstance(want, ListWant) else "get"
            assert (getattr(want, "kind", None), verb) in declared


def test_facts_of_absurd_shape_give_no_error():
    odd: list[Obj] = [
        obj(
            "ReplicaSet",
            "r",
            spec=None,
            status={
                "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}]
            },
        ),
        obj(
            "ValidatingWebhookConfiguration", "v", None, webhooks=[{"name": "w.guard.example"}, 5, {"clientConfig": []}]
        ),
        obj("ResourceQuota", "team", spec=[], status={"hard": {"requests.cpu": {}}}),
        obj("LimitRange", "l", spec={"limits": [None, {"type": 5, "max": []}]}),
        obj("Job", "j", spec={"parallelism": "x"}, status=None),
        event(obj("Job", "j"), "FailedCreate", HOOK),
    ]
    for verdict in [v for rule in RULES for v in rule.judge(facts_of(*odd))]:
        assert isinstance(verdict, Finding | RuledOut)


NEIGHBOUR = [
    obj("ResourceQuota", "team", "other", status={"hard": {"requests.cpu": "0"}, "used": {"requests.cpu": "9"}}),
    obj("LimitRange", "limits", "other", spec={"limits": [{"type": "Container", "max": {"memory": "1"}}]}),
    obj("ServiceAccount", "cart", "other"),
    namespace("other", **{"pod-security.kubernetes.io/enforce": "restricted"}),
    deployment("cart", "other"),
    pod("cart-x", "other", waiting="CrashLoopBackOff"),
]


@pytest.mark.parametrize("message", [QUOTA, DEMANDS, LIMITS, ACCOUNT, SECURITY, HOOK])
def test_what_is_in_other_namespaces_never_changes_the_verdict(message: str):
    body = template(sized(requests={"cpu": "1"}), sized(limits={"memory": "2Gi"}), serviceAccountName="cart")
    around = [quota(), limits(max={"memory": "1Gi"}), enforcing("restricted"), webhook(), account("default")]
    alone = judge(facts_of(*refused(message, body=body), *around, **IN_SHOP), RULES)
    crowd = judge(facts_of(*NEIGHBOUR, *reversed(around), *refused(message, body=body), **IN_SHOP), RULES)
    assert alone[0]
    assert alone == crowd


def test_findings_say_since_when():
    since = one(*refused(QUOTA, body=ONE_CPU), quota()).since
    assert since is not None
    assert since < NOW
