"""Discovery and access reviews, from the answers of servers new and old."""

from typing import Any

import orjson
import pytest
from contract.fake_api import FakeApi, Reply, Seen, status

from firstmate_tools.cluster.access import Rules
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.errors import DeniedError
from firstmate_tools.kinds import CLUSTER_ROLE, DEPLOYMENT, NODE, POD, SECRET, Kind
from firstmate_tools.reads import Grant, Read

NOTHING = Grant.of([])
RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
POD_LOG = Read(POD, ("get",), "log")


def resource(kind: str, plural: str, *verbs: str, scope: str = "Namespaced", short: str = "") -> dict[str, Any]:
    return {
        "resource": plural,
        "responseKind": {"kind": kind},
        "scope": scope,
        "verbs": list(verbs),
        "shortNames": [short] if short else [],
        "subresources": [{"subresource": "status", "responseKind": {"kind": kind}, "verbs": ["get"]}],
    }


def groups(*items: dict[str, Any]) -> Reply:
    return Reply({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": list(items)})


@pytest.mark.anyio
async def test_kinds_come_from_two_requests_and_are_kept(api: FakeApi, source: LiveSource) -> None:
    core = {"version": "v1", "resources": [resource("Pod", "pods", "get", "list", short="po")]}
    core["resources"].append(resource("Binding", "bindings", "create"))
    new = {"version": "v2", "resources": [resource("Widget", "widgets", "list")]}
    old = {"version": "v1", "resources": [resource("Widget", "widgets", "list"), resource("Rack", "racks", "get")]}
    api.on("/api", groups({"metadata": {}, "versions": [core]}))
    api.on("/apis", groups({"metadata": {"name": "example.com"}, "versions": [new, old]}))
    async with source.open(NOTHING) as cluster:
        found = await cluster.kinds()
        assert await cluster.kinds() == found
    async with source.open(NOTHING) as cluster:
        assert await cluster.kinds() == found
    assert list(found) == [
        POD,
        Kind("Widget", "widgets", "example.com", "v2"),
        Kind("Rack", "racks", "example.com", "v1"),
    ]
    assert len(api.asked("/api") + api.asked("/apis")) == 2
    assert "as=APIGroupDiscoveryList" in api.asked("/apis")[0].headers["Accept"]


@pytest.mark.anyio
async def test_a_server_without_aggregated_discovery_is_asked_group_by_group(api: FakeApi, source: LiveSource) -> None:
    def listed(*rows: tuple[str, str, bool]) -> Reply:
        verbs = ["get", "list"]
        found = [{"kind": kind, "name": name, "namespaced": inside, "verbs": verbs} for kind, name, inside in rows]
        return Reply({"kind": "APIResourceList", "resources": found})

    api.on("/api", Reply({"kind": "APIVersions", "versions": ["v1"]}))
    group = {"name": "example.com", "versions": [{"version": "v1"}, {"version": "v2"}]}
    down = {"name": "down.io", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}
    group["preferredVersion"] = {"version": "v2"}
    api.on("/apis", Reply({"kind": "APIGroupList", "groups": [group, down]}))
    api.on("/api/v1", listed(("Pod", "pods", True), ("Pod", "pods/status", True), ("Node", "nodes", False)))
    api.on("/apis/example.com/v1", listed(("Widget", "widgets", True), ("Rack", "racks", True)))
    api.on("/apis/example.com/v2", listed(("Widget", "widgets", True)))
    api.on("/apis/down.io/v1", status(503, "ServiceUnavailable", "no"))
    async with source.open(NOTHING) as cluster:
        found = await cluster.kinds()
    assert [(kind.resource, kind.version, kind.namespaced) for kind in found] == [
        ("pods", "v1", True),
        ("nodes", "v1", False),
        ("widgets.example.com", "v2", True),
        ("racks.example.com", "v1", True),
    ]


@pytest.mark.anyio
async def test_discovery_that_is_denied_is_not_an_empty_cluster(api: FakeApi, source: LiveSource) -> None:
    api.on("/api", status(403, "Forbidden", "no"))
    api.on("/apis", status(403, "Forbidden", "no"))
    async with source.open(NOTHING) as cluster:
        with pytest.raises(DeniedError):
            await cluster.kinds()


def rules(*entries: dict[str, Any], incomplete: bool = False) -> Reply:
    return Reply(
        {"kind": "SelfSubjectRulesReview", "status": {"resourceRules": list(entries), "incomplete": incomplete}}, 201
    )


def rule(resources: list[str], verbs: list[str], groups: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {"resources": resources, "verbs": verbs, "apiGroups": [""] if groups is None else groups, **more}


def reviewed(*allowed: tuple[str, str]) -> Any:
    """Allows these pairs of verb and resource."""

    def answer(seen: Seen) -> Reply:
        asked = orjson.loads(seen.body)["spec"]["resourceAttributes"]
        good = (asked["verb"], "/".join(filter(None, (asked["resource"], asked["subresource"])))) in allowed
        return Reply({"status": {"allowed": good, "reason": "" if good else "says the authorizer"}}, 201)

    return answer


@pytest.mark.anyio
async def test_one_rules_review_answers_for_a_whole_namespace(api: FakeApi, source: LiveSource) -> None:
    api.on(RULES, rules(rule(["pods", "pods/log"], ["get", "list"]), rule(["deployments"], ["*"], ["apps"])))
    async with source.open(NOTHING) as cluster:
        found = await cluster.access([Read(POD), POD_LOG, Read(DEPLOYMENT), Read(SECRET)], "shop")
    assert [one.allowed for one in found] == [True, True, True, False]
    assert found[3].reason == "no rule allows get or list secrets"
    assert orjson.loads(api.asked(RULES)[0].body)["spec"] == {"namespace": "shop"}
    assert len(api.seen) == 2


@pytest.mark.anyio
async def test_where_rules_are_incomplete_each_missing_read_is_asked(api: FakeApi, source: LiveSource) -> None:
    api.on(RULES, rules(rule(["pods"], ["get", "list"]), incomplete=True))
    api.on(ACCESS, reviewed(("get", "secrets")))
    async with source.open(NOTHING) as cluster:
        found = await cluster.access([Read(POD), Read(SECRET), Read(SECRET, ("get",))], "shop")
    assert [one.allowed for one in found] == [True, False, True]
    assert found[1].reason == "says the authorizer"
    assert len(api.asked(ACCESS)) == 3


@pytest.mark.anyio
async def test_across_namespaces_a_namespaces_rules_can_only_deny(api: FakeApi, source: LiveSource) -> None:
    api.on(RULES, rules(rule(["pods"], ["get", "list"])))
    api.on(ACCESS, reviewed(("get", "pods")))
    async with source.open(NOTHING) as cluster:
        found = await cluster.access([Read(POD), Read(SECRET)], None)
    assert [one.allowed for one in found] == [False, False]
    specs = [orjson.loads(one.body)["spec"]["resourceAttributes"] for one in api.asked(ACCESS)]
    assert [(spec["verb"], spec["namespace"]) for spec in specs] == [("get", ""), ("list", "")]


@pytest.mark.anyio
async def test_cluster_scoped_kinds_are_asked_one_by_one(api: FakeApi, source: LiveSource) -> None:
    api.on(ACCESS, reviewed(("get", "nodes"), ("list", "nodes")))
    async with source.open(NOTHING) as cluster:
        found = await cluster.access([Read(NODE), Read(CLUSTER_ROLE)], "shop")
    assert [(one.allowed, one.namespace) for one in found] == [(True, ""), (False, "")]
    assert not api.asked(RULES)


@pytest.mark.anyio
async def test_reviews_that_are_refused_leave_it_unknown(api: FakeApi, source: LiveSource) -> None:
    for path in (RULES, ACCESS):
        api.on(path, status(403, "Forbidden", "reviews are off"))
    async with source.open(NOTHING) as cluster:
        (found,) = await cluster.access([Read(POD)], "shop")
    assert found.allowed is None
    assert "reviews are off" in found.reason


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        (rule(["*"], ["*"], ["*"]), True),
        (rule(["pods/log"], ["get"]), True),
        (rule(["*/log"], ["get"]), True),
        (rule(["*"], ["get"]), True),  # subresources too: pkg/apis/rbac/v1/evaluation_helpers.go
        (rule(["pods"], ["get"]), False),
        (rule(["pods/log"], ["get"], ["apps"]), False),
        (rule(["pods/log"], ["list"]), False),
        (rule(["pods/log"], ["get"], resourceNames=["one"]), False),
        ({}, False),
    ],
)
def test_which_rule_allows_logs(entry: dict[str, Any], allowed: bool) -> None:
    assert Rules((entry,), complete=True).allow(POD_LOG, "get") is allowed
