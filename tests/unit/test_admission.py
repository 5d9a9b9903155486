"""What admission would say, over plain objects: words of refusals, quotas, limit ranges, pod security, webhooks."""

from typing import Any

import pytest
from builders import container, obj, pod
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools import kinds
from firstmate_tools.admission import limits, podsecurity, quota, texts, webhooks
from firstmate_tools.admission.defaults import admitted
from firstmate_tools.admission.texts import Gate
from firstmate_tools.fields import Obj

GI = 1024**3 * 1000


@pytest.mark.parametrize(
    ("message", "gate", "name"),
    [
        (
            'Error creating: pods "cart-x" is forbidden: exceeded quota: team, requested: cpu=1,pods=1, '
            "used: cpu=3,pods=9, limited: cpu=4,pods=10",
            Gate.QUOTA,
            "team",
        ),
        (
            'pods "a" is forbidden: failed quota: compute: must specify limits.memory for: c1,c2; requests.cpu for: c1',
            Gate.QUOTA_NEEDS_REQUESTS,
            "compute",
        ),
        (
            'pods "a" is forbidden: [maximum memory usage per Container is 1Gi, but limit is 2Gi, minimum cpu usage '
            "per Container is 100m.  No request is specified]",
            Gate.LIMIT_RANGE,
            "maximum memory usage",
        ),
        (
            'pods "a" is forbidden: cpu max limit to request ratio per Pod is 2, but provided ratio is 4.000000',
            Gate.LIMIT_RANGE,
            "cpu max limit to request ratio",
        ),
        (
            'Error creating: pods "a-" is forbidden: error looking up service account shop/pay: serviceaccount "pay" '
            "not found",
            Gate.SERVICE_ACCOUNT,
            "pay",
        ),
        (
            'pods "a" is forbidden: violates PodSecurity "restricted:v1.30": allowPrivilegeEscalation != false (…)',
            Gate.POD_SECURITY,
            "restricted",
        ),
        (
            'Internal error occurred: failed calling webhook "w.example": failed to call webhook: Post '
            '"https://w.g.svc:443": no endpoints available for service "w"',
            Gate.WEBHOOK,
            "w.example",
        ),
        ('admission webhook "w" denied the request: exceeded quota: x, requested: a=1, used: b=1', Gate.POLICY, "w"),
        (
            "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: violates "
            'PodSecurity "baseline:latest"',
            Gate.POLICY,
            "p",
        ),
        (
            'pods "a" is forbidden: unable to create new content in namespace old because it is being terminated',
            Gate.TERMINATING,
            "old",
        ),
        (
            "Error creating: Timeout: request did not complete within requested timeout - context deadline exceeded",
            Gate.SLOW,
            "",
        ),
        (
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2097200 vs. 2097152)",
            Gate.TOO_LARGE,
            "",
        ),
        ('pods "a" is forbidden: no PriorityClass with name gold was found', Gate.PRIORITY_CLASS, "gold"),
        (
            'persistentvolumeclaims "d" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but …',
            Gate.LIMIT_RANGE,
            "maximum storage usage",
        ),
        ("", Gate.OTHER, ""),
    ],
)
def test_refusals_tell_who_refused(message: str, gate: Gate, name: str):
    told = texts.read(message)
    assert (told.gate, told.name) == (gate, name)


def test_a_quotas_refusal_tells_what_was_asked_for():
    told = texts.read(
        "exceeded quota: q, requested: limits.memory=2Gi,pods=1, used: limits.memory=7Gi,pods=3, limited: x"
    )
    assert texts.requested(told) == {"limits.memory": 2 * GI, "pods": 1000}


def template(*containers: Obj, **spec: Any) -> Obj:
    return {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": list(containers) or [container()], **spec}}


def sized(name: str = "app", **resources: Any) -> Obj:
    return container(name, resources=resources)


def limit_range(*items: Obj, name: str = "limits") -> Obj:
    return obj("LimitRange", name, spec={"limits": list(items)})


def a_quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> Obj:
    return obj("ResourceQuota", "team", spec={"hard": hard, **spec}, status={"hard": hard, "used": used or {}})


def test_defaults_fill_in_only_what_is_missing():
    ranges = [
        limit_range({"type": "Container", "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"}})
    ]
    filled = admitted(template(sized(requests={"cpu": "100m"}), sized("b")), "shop", ranges)
    first, second = (c["resources"] for c in filled["spec"]["containers"])
    assert first == {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "2"}}
    assert second == {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}


def test_defaults_leave_the_template_as_it_was():
    body = template(sized("a"))
    admitted(body, "shop", [limit_range({"type": "Container", "default": {"cpu": "2"}})])
    assert body == template(sized("a"))


@pytest.mark.parametrize(
    ("hard", "used", "over"),
    [
        ({"pods": "3"}, {"pods": "3"}, ["pods"]),
        ({"pods": "3"}, {"pods": "2"}, []),
        ({"cpu": "4"}, {"cpu": "3500m"}, ["cpu"]),
        ({"requests.cpu": "4"}, {"requests.cpu": "3"}, []),
        ({"limits.memory": "4Gi"}, {"limits.memory": "3Gi"}, ["limits.memory"]),
        ({"memory": "4Gi", "requests.cpu": "2"}, {"memory": "4Gi", "requests.cpu": "2"}, ["memory", "requests.cpu"]),
        ({"services": "0", "requests.storage": "0"}, {}, []),
        ({"count/pods": "1"}, {"count/pods": "1"}, ["count/pods"]),
        ({"requests.nvidia.com/gpu": "1"}, {"requests.nvidia.com/gpu": "1"}, ["requests.nvidia.com/gpu"]),
    ],
)
def test_a_quota_is_over_where_used_and_asked_for_exceed_it(
    hard: dict[str, str], used: dict[str, str], over: list[str]
):
    asks = sized(requests={"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}, limits={"memory": "2Gi"})
    subject = admitted(template(asks), "shop")
    assert [o.resource for o in quota.exceeded(a_quota(hard, used), quota.usage(subject))] == over


@pytest.mark.parametrize(
    ("scopes", "spec", "counts"),
    [
        ({"scopes": ["BestEffort"]}, {}, False),
        ({"scopes": ["NotBestEffort"]}, {}, True),
        ({"scopes": ["Terminating"]}, {}, False),
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, True),
        ({"scopes": ["NotTerminating", "NotBestEffort"]}, {}, True),
        ({"scopes": ["CrossNamespacePodAffinity"]}, {}, False),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["gold"]}]
                }
            },
            {},
            False,
        ),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["gold"]}]
                }
            },
            {"priorityClassName": "gold"},
            True,
        ),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}, {}, False),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "BestEffort", "operator": "Exists"}]}}, {}, False),
        ({}, {}, True),
    ],
)
def test_a_quota_counts_the_pods_of_its_scopes(scopes: Obj, spec: Obj, counts: bool):
    subject = template(sized(requests={"cpu": "1"}), **spec)
    assert quota.counts(a_quota({"pods": "1"}, **scopes), subject) is counts


def test_a_quota_on_cpu_or_memory_demands_them_of_every_container():
    subject = template(sized(requests={"cpu": "1"}), container("side"), initContainers=[container("init")])
    hard = {"requests.cpu": "4", "limits.memory": "4Gi", "requests.ephemeral-storage": "1Gi", "pods": "3"}
    assert quota.undemanded(a_quota(hard), admitted(subject, "shop")) == {
        "limits.memory": ["app", "init", "side"],
        "requests.cpu": ["init", "side"],
    }


def test_resources_of_the_pod_as_a_whole_meet_a_quotas_demands():
    subject = template(container(), resources={"requests": {"cpu": "1"}})
    assert quota.undemanded(a_quota({"requests.cpu": "4"}), subject) == {}


@pytest.mark.parametrize(
    ("item", "resources", "actual"),
    [
        ({"type": "Container", "max": {"memory": "1Gi"}}, {"limits": {"memory": "2Gi"}}, "limit 2Gi"),
        ({"type": "Container", "max": {"memory": "1Gi"}}, {"requests": {"memory": "512Mi"}}, "no limit"),
        ({"type": "Container", "max": {"memory": "1Gi"}}, {"limits": {"memory": "1Gi"}}, None),
        ({"type": "Container", "min": {"cpu": "100m"}}, {"requests": {"cpu": "50m"}}, "request 50m"),
        ({"type": "Container", "min": {"cpu": "100m"}}, {}, "no request"),
        (
            {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "1"}, "limits": {"cpu": "4"}},
            "ratio 4",
        ),
        (
            {"type": "Container", "maxLimitRequestRatio": {"cpu": "4"}},
            {"requests": {"cpu": "1"}, "limits": {"cpu": "4"}},
            None,
        ),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "4"}}, {"requests": {"cpu": "1"}}, "no limit"),
        ({"type": "Pod", "max": {"cpu": "3"}}, {"limits": {"cpu": "2"}}, "limit 4"),
        ({"type": "Pod", "max": {"cpu": "4"}}, {"limits": {"cpu": "2"}}, None),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}, {}, None),
    ],
)
def test_limit_ranges_refuse_as_the_api_server_does(item: Obj, resources: Obj, actual: str | None):
    containers = [sized("a", **resources)] + ([sized("b", **resources)] if item["type"] == "Pod" else [])
    found = limits.broken([limit_range(item)], admitted(template(*containers), "shop"))
    assert [b.actual for b in found] == ([actual] if actual else [])


SAFE: Obj = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.parametrize(
    ("spec", "controls"),
    [
        ({"hostNetwork": True, "hostPID": True}, {"host namespaces"}),
        ({"containers": [container(securityContext={"privileged": True})]}, {"privileged"}),
        (
            {"containers": [container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}})]},
            {"non-default capabilities"},
        ),
        ({"containers": [container(securityContext={"capabilities": {"add": ["CHOWN"]}})]}, set[str]()),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, {"hostPath volumes"}),
        ({"containers": [container(ports=[{"containerPort": 1, "hostPort": 80}])]}, {"hostPort"}),
        ({"containers": [container(ports=[{"containerPort": 1, "hostPort": 0}])]}, set[str]()),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, {"seccompProfile"}),
        ({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}, {"seLinuxOptions"}),
        ({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}, {"forbidden sysctls"}),
        ({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies"}]}}, set[str]()),
        ({"containers": [container(securityContext={"procMount": "Unmasked"})]}, {"procMount"}),
        ({"containers": [container(livenessProbe={"httpGet": {"host": "other"}})]}, {"probe or lifecycle host"}),
        ({"securityContext": {"windowsOptions": {"hostProcess": True}}}, {"hostProcess"}),
        ({"initContainers": [container("init", securityContext={"privileged": True})]}, {"privileged"}),
        ({}, set[str]()),
    ],
)
def test_the_baseline_level_forbids_known_escapes(spec: Obj, controls: set[str]):
    subject = {"spec": {"containers": [container()], **spec}}
    assert {v.control for v in podsecurity.violations(subject, "baseline")} == controls
    assert podsecurity.violations(subject, "privileged") == []


def test_the_restricted_level_wants_four_things_said():
    assert {v.control for v in podsecurity.violations(template(), "restricted")} == {
        "allowPrivilegeEscalation != false",
        "unrestricted capabilities",
        "seccompProfile",
        "runAsNonRoot != true",
    }
    assert podsecurity.violations(template(container(securityContext=SAFE)), "restricted") == []


def test_containers_inherit_what_the_pod_says_of_users_and_seccomp():
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    shared = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert podsecurity.violations(template(container(securityContext=own), securityContext=shared), "restricted") == []


def test_restricted_volumes_replace_the_hostpath_control():
    volumes = [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "nfs": {}}, {"name": "c", "emptyDir": {}}]
    subject = template(container(securityContext=SAFE), volumes=volumes)
    assert [(v.control, v.where) for v in podsecurity.violations(subject, "restricted")] == [
        ("restricted volume types", "volumes a, b")
    ]


def test_policy_versions_matter_where_controls_came_later():
    subject = template(container(readinessProbe={"tcpSocket": {"host": "x"}}))
    assert podsecurity.violations(subject, "baseline", podsecurity.minor_of("v1.33")) == []
    assert podsecurity.violations(subject, "baseline", podsecurity.minor_of("latest")) != []


def hook(**spec: Any) -> webhooks.Hook:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    body = {"name": "w", "clientConfig": {"service": {"namespace": "guard", "name": "w"}}, "rules": rules, **spec}
    [found] = webhooks.hooks(
        [obj("ValidatingWebhookConfiguration", "w", None, webhooks=[body])], kinds.VALIDATING_WEBHOOK
    )
    return found


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}, True),
        ({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["*/*"]}, True),
        ({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/*"]}, True),
        ({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/exec"]}, False),
        ({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]}, False),
        ({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"]}, False),
        (
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"], "scope": "Cluster"},
            False,
        ),
        ({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}, False),
        ({}, False),
    ],
)
def test_a_webhook_is_asked_about_what_its_rules_name(rule: Obj, asked: bool):
    assert webhooks.asked_about(hook(rules=[rule])) is asked


@pytest.mark.parametrize(
    ("spec", "selected"),
    [
        ({}, True),
        ({"namespaceSelector": {}, "objectSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"guarded": "yes"}}}, False),
        ({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["web"]}]}}, False),
        ({"objectSelector": {"matchLabels": {"app": "cart"}}}, True),
        ({"objectSelector": {"matchLabels": {"inject": "yes"}}}, False),
    ],
)
def test_a_webhooks_selectors_exclude(spec: Obj, selected: bool):
    assert webhooks.selects(hook(**spec), {"team": "web"}, {"app": "cart"}) is selected


def slices(*ready: bool | None, name: str = "w", port: str = "") -> Obj:
    endpoints = [{"addresses": ["10.0.0.1"], "conditions": {"ready": r}} for r in ready]
    labels = {"kubernetes.io/service-name": name}
    return obj(
        "EndpointSlice",
        f"{name}-x",
        "guard",
        metadata={"labels": labels},
        endpoints=endpoints,
        ports=[{"name": port, "port": 8443}],
    )


@pytest.mark.parametrize(
    ("service", "found", "missing"),
    [
        (None, [], "does not exist"),
        ({"ports": [{"port": 443}]}, [], "has no ready endpoint"),
        ({"ports": [{"port": 443}]}, [slices(False)], "has no ready endpoint"),
        ({"ports": [{"port": 443}]}, [slices(True, name="other")], "has no ready endpoint"),
        ({"ports": [{"port": 443, "name": "https"}]}, [slices(True)], "has no ready endpoint"),
        ({"ports": [{"port": 443}]}, [slices(False, True)], ""),
        ({"ports": [{"port": 443}]}, [slices(None)], ""),
        ({"ports": [{"port": 8443}]}, [slices(True)], "has no port 443"),
        ({"type": "ExternalName"}, [], ""),
    ],
)
def test_a_webhooks_backend_is_there_where_an_endpoint_is_ready(service: Obj | None, found: list[Obj], missing: str):
    spec = obj("Service", "w", "guard", spec=service) if service is not None else None
    assert webhooks.missing_backend(hook(), spec, found) == missing


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "status",
                    "metadata",
                    "labels",
                    "hard",
                    "used",
                    "limits",
                    "type",
                    "min",
                    "max",
                    "containers",
                    "name",
                    "resources",
                    "requests",
                    "securityContext",
                    "volumes",
                    "rules",
                    "clientConfig",
                    "service",
                    "webhooks",
                    "ports",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(["spec", "status", "metadata", "webhooks"]), json_values, max_size=3)


@given(objects, objects, st.sampled_from(["baseline", "restricted"]))
def test_objects_of_any_shape_never_raise(policy: Obj, subject: Obj, level: str):
    filled = admitted(subject, "shop", [policy])
    quota.exceeded(policy, quota.usage(filled))
    quota.undemanded(policy, filled)
    quota.counts(policy, filled)
    limits.broken([policy], filled)
    podsecurity.violations(subject, level)
    podsecurity.enforced(policy)
    for one in webhooks.hooks([policy], kinds.MUTATING_WEBHOOK):
        webhooks.asked_about(one)
        webhooks.selects(one, {}, {})
        webhooks.missing_backend(one, subject, [policy])


@given(st.text())
def test_words_of_any_kind_are_read(message: str):
    texts.requested(texts.read(message))


@given(st.permutations(["a", "b", "c"]))
def test_the_order_of_limit_ranges_never_changes_what_is_broken(names: list[str]):
    items = {n: {"type": "Container", "max": {"cpu": str(i + 1)}, "default": {"cpu": "9"}} for i, n in enumerate("abc")}
    ranges = [limit_range(items[name], name=name) for name in names]
    found = limits.broken(ranges, admitted(template(), "shop", ranges))
    assert [b.limit_range for b in found] == ["a", "b", "c"]


def test_pods_that_run_count_in_quotas_as_they_were_admitted():
    assert quota.usage(pod("p", containers=[sized(requests={"cpu": "1"})]))["requests.cpu"] == 1000
