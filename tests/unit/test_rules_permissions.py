"""Findings about what the API server refuses programs, and the evaluator of roles and bindings behind them."""

from typing import Any

import pytest
from builders import event, obj, pod
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, linked, renamed, roots, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.authorization import Account, Attempt, Bound, allows, names_subject, nearest, obstacles
from firstmate_tools.diagnosis.denials import parsed
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

CAUSE = "rbac-forbidden"
RBAC = "rbac.authorization.k8s.io/v1"
LINE = (
    'E1121 01:58:02.000000 1 reflector.go:204] failed to list *v1.Secret: secrets is forbidden: User "system:'
    'serviceaccount:shop:cart" cannot list resource "secrets" in API group "" in the namespace "shop"'
)
CRASH: dict[str, Any] = {
    "waiting": "CrashLoopBackOff",
    "restarts": 4,
    "last": {"exitCode": 1, "reason": "Error"},
}
LIST_SECRETS = Attempt("list", "", "secrets", "shop")


def rule(verbs: str, resources: str, groups: str = "", **more: Any) -> Obj:
    return {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": groups.split(",")} | more


def role(name: str, *rules: Obj, namespace: str | None = "shop", **rest: Any) -> Obj:
    return obj("Role" if namespace else "ClusterRole", name, namespace, api=RBAC, rules=list(rules), **rest)


def binding(
    to: str, account: str = "cart", of: str = "shop", *, namespace: str | None = "shop", kind: str = "Role"
) -> Obj:
    return obj(
        "RoleBinding" if namespace else "ClusterRoleBinding",
        f"{account}-{to}",
        namespace,
        api=RBAC,
        roleRef={"apiGroup": RBAC.split("/")[0], "kind": kind, "name": to},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": of}],
    )


def crashing(account: str = "cart") -> list[Obj]:
    objects = app(body={"serviceAccountName": account}, **CRASH)
    return [*objects, obj("ServiceAccount", account)]


LOG = {("shop", "cart-1-0", "app", True): LINE}


def found(*objects: Obj, logs: Any = LOG) -> list[tuple[str, str]]:
    return roots(*crashing(), *bystanders(), *objects, logs=logs)


def test_a_role_that_lost_a_verb_is_named_with_what_it_still_gives() -> None:
    objects = [*crashing(), role("cart", rule("get watch", "secrets configmaps")), binding("cart")]
    (root,) = linked(*objects, logs=LOG)
    assert (root.finding.cause, str(root.finding.object)) == (CAUSE, "role/cart")
    assert "get, watch on secrets, not list" in root.finding.summary
    assert root.finding.confidence == "certain" and root.finding.severity == "critical"
    assert [e.cause for e in root.explained] == ["application-exits-on-error"]


@pytest.mark.parametrize(
    ("objects", "target", "words"),
    [
        ([], "serviceaccount/cart", "no Role or ClusterRole that is bound to it"),
        ([binding("gone")], "rolebinding/cart-gone", "does not exist"),
        ([role("cart", rule("list", "secrets")), binding("cart", of="web")], "rolebinding/cart-cart", "which is anoth"),
        ([role("cart", rule("list", "secrets", "apps")), binding("cart")], "role/cart", "API group 'apps', not in ''"),
        ([role("cart", rule("list", "configmaps")), binding("cart")], "role/cart", "not on secrets"),
        ([role("cart", rule("list", "secrets", resourceNames=["a"])), binding("cart")], "role/cart", "on a alone"),
        (
            [
                role("cart", rule("list", "secrets"), namespace=None),
                binding("cart", namespace="web", kind="ClusterRole"),
            ],
            "serviceaccount/cart",
            "",
        ),
        (
            [
                role(
                    "view",
                    rule("list", "pods"),
                    namespace=None,
                    metadata={"labels": {"kubernetes.io/bootstrapping": "x"}},
                ),
                binding("view", kind="ClusterRole"),
            ],
            "rolebinding/cart-view",
            "not on secrets",
        ),
    ],
)
def test_what_has_to_be_mended(objects: list[Obj], target: str, words: str) -> None:
    (root,) = linked(*crashing(), *objects, logs=LOG)
    assert (root.finding.cause, str(root.finding.object)) == (CAUSE, target)
    assert words in root.finding.summary


def test_a_right_in_one_namespace_is_not_one_in_the_whole_cluster() -> None:
    line = LINE.replace(' in the namespace "shop"', " at the cluster scope")
    objects = [role("cart", rule("list", "secrets")), binding("cart")]
    assert found(*objects, logs={("shop", "cart-1-0", "app", True): line}) == [(CAUSE, "rolebinding/cart-cart")]


def test_a_workload_that_forgot_its_service_account_is_what_has_to_be_mended() -> None:
    objects = [*crashing("default"), role("cart", rule("list", "secrets")), binding("cart")]
    log = {("shop", "cart-1-0", "app", True): LINE.replace("shop:cart", "shop:default")}
    (root,) = linked(*objects, logs=log)
    assert (root.finding.cause, str(root.finding.object)) == (CAUSE, "deployment/cart")


def test_what_is_allowed_by_now_is_ruled_out() -> None:
    objects = [*crashing(), role("cart", rule("list", "secrets")), binding("cart")]
    _, ruled_out, _ = verdicts(*objects, logs=LOG)
    assert CAUSE in {r.cause for r in ruled_out}
    assert found(role("cart", rule("list", "secrets")), binding("cart")) == [
        ("application-exits-on-error", "deployment/cart")
    ]


def test_what_a_log_says_of_another_account_is_hearsay() -> None:
    log = {("shop", "cart-1-0", "app", True): LINE.replace("shop:cart", "web:admin")}
    assert found(logs=log) == [("application-exits-on-error", "deployment/cart")]


def test_a_refusal_that_does_not_decide_explains_no_crash() -> None:
    errors = "\n".join(f"ERROR step {w} failed" for w in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta"))
    log = {("shop", "cart-1-0", "app", True): f"{LINE}\n{errors}\nFATAL database gone"}
    (worst, *others) = linked(*crashing(), logs=log)
    assert worst.finding.cause == "application-exits-on-error"
    assert [(o.finding.cause, o.finding.severity) for o in others] == [(CAUSE, "info")]


def test_a_controller_that_is_refused_and_runs_on_is_a_warning() -> None:
    objects = [*app(body={"serviceAccountName": "cart"}), *bystanders()]
    (root,) = linked(*objects, logs={("shop", "cart-1-0", "app", False): LINE})
    assert (root.finding.cause, root.finding.severity) == (CAUSE, "warning")


def test_roles_that_may_not_be_read_leave_it_likely() -> None:
    unknown = (kinds.ROLE, kinds.ROLE_BINDING, kinds.CLUSTER_ROLE, kinds.CLUSTER_ROLE_BINDING)
    (root,) = linked(*crashing(), logs=LOG, unknown=unknown)
    assert (root.finding.cause, root.finding.confidence) == (CAUSE, "likely")


def test_an_event_may_tell_it_too() -> None:
    objects = app(body={"serviceAccountName": "cart"})
    assert severe(*objects, event(objects[2], "SyncFailed", LINE)) == [CAUSE]
    assert severe(*objects, event(objects[2], "SyncFailed", LINE, seconds_ago=7200)) == []


@pytest.mark.parametrize(
    ("line", "attempt"),
    [
        (LINE, LIST_SECRETS),
        (LINE.replace('"', '\\"'), LIST_SECRETS),
        (
            'leases.coordination.k8s.io "x-lock" is forbidden: User "system:serviceaccount:a:b" cannot update resource '
            '"leases" in API group "coordination.k8s.io" in the namespace "kube-system"',
            Attempt("update", "coordination.k8s.io", "leases", "kube-system", "x-lock"),
        ),
        (
            'User "system:serviceaccount:a:b" cannot get resource "pods/log" in API group "" at the cluster scope',
            Attempt("get", "", "pods/log"),
        ),
        ('User "alice" cannot list resource "secrets" in API group ""', None),
        ("permission denied", None),
    ],
)
def test_lines_are_read_in_every_dress(line: str, attempt: Attempt | None) -> None:
    told = parsed(line)
    assert (told[1] if told else None) == attempt


@pytest.mark.parametrize(
    ("given_rule", "attempt", "expected"),
    [
        (rule("*", "*", "*"), LIST_SECRETS, set()),
        (rule("list", "secrets"), LIST_SECRETS, set()),
        (rule("get", "secrets"), LIST_SECRETS, {"verb"}),
        (rule("list", "secrets", "apps"), LIST_SECRETS, {"group"}),
        (rule("list", "pods"), Attempt("list", "", "pods/log"), {"resource"}),
        (rule("get", "pods/*"), Attempt("get", "", "pods/log"), {"resource"}),
        (rule("get", "*/log"), Attempt("get", "", "pods/log"), set()),
        (rule("get", "secrets", resourceNames=["a"]), Attempt("get", "", "secrets", "shop", "a"), set()),
        (rule("list", "secrets", resourceNames=["a"]), LIST_SECRETS, {"name"}),
        ({}, LIST_SECRETS, {"verb", "group", "resource"}),
    ],
)
def test_rules_of_roles_allow_what_kubernetes_allows(given_rule: Obj, attempt: Attempt, expected: set[str]) -> None:
    assert obstacles(given_rule, attempt) == expected
    assert allows({"rules": [given_rule]}, attempt) == (not expected)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ({"kind": "ServiceAccount", "name": "cart", "namespace": "shop"}, True),
        ({"kind": "ServiceAccount", "name": "cart"}, True),
        ({"kind": "ServiceAccount", "name": "cart", "namespace": "web"}, False),
        ({"kind": "User", "name": "system:serviceaccount:shop:cart"}, True),
        ({"kind": "Group", "name": "system:serviceaccounts:shop"}, True),
        ({"kind": "Group", "name": "system:authenticated"}, True),
        ({"kind": "Group", "name": "system:masters"}, False),
        ({"kind": "Group", "name": "cart"}, False),
        ({}, False),
    ],
)
def test_subjects(subject: Obj, expected: bool) -> None:
    one = obj("RoleBinding", "b", api=RBAC, subjects=[subject])
    assert names_subject(one, Account("shop", "cart")) is expected


def test_the_nearest_rule_lacks_the_least() -> None:
    given_role = role("cart", rule("get", "pods"), rule("get", "secrets"))
    near = nearest([Bound(binding("cart"), Ref("Role", "shop", "cart"), given_role, True)], LIST_SECRETS)
    assert near is not None and near.rule["resources"] == ["secrets"]


WHOLE = [*crashing(), role("cart", rule("get", "secrets")), binding("cart"), *bystanders()]


@given(damaged(WHOLE))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects, logs=LOG)


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_order_does_not_matter(seed: int) -> None:
    assert roots(*shuffled(WHOLE, seed), logs=LOG) == [(CAUSE, "role/cart")]


def test_names_do_not_matter() -> None:
    logs = {("shop", "till-1-0", "app", True): LINE.replace("cart", "till")}
    assert roots(*renamed(WHOLE, "till"), logs=logs) == [(CAUSE, "role/till")]


def test_a_pod_without_a_controller_is_its_own_workload() -> None:
    alone = pod("cart", spec={"serviceAccountName": "cart"})
    assert severe(alone, logs={("shop", "cart", "app", False): LINE}) == [CAUSE]
