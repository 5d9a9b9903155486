"""What may leave for an API server, as tables, and the proof at a socket that nothing else does."""

import subprocess
import sys
from urllib.parse import quote

import pytest
from contract.fake_api import FakeApi
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools.cluster import policy
from firstmate_tools.cluster.base import LogRequest
from firstmate_tools.cluster.gateway import Call, Gateway
from firstmate_tools.cluster.limits import Deadline, Limits
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.cluster.wire import Request, get_request, list_request, review_request
from firstmate_tools.errors import RefusedError, UsageError
from firstmate_tools.kinds import CLUSTER_ROLE, DEPLOYMENT, NAMESPACE, NODE, POD, SECRET, Kind
from firstmate_tools.reads import AnyKindButSecrets, Grant, Read

EVERYTHING = Grant.of(
    [
        AnyKindButSecrets(),
        *(Read(kind) for kind in (POD, NODE, SECRET, NAMESPACE, DEPLOYMENT)),
        *(Read(POD, ("get",), sub) for sub in ("log", "status", "exec", "attach", "portforward", "proxy", "eviction")),
        *(Read(NODE, ("get",), sub) for sub in ("proxy", "status")),
        Read(NAMESPACE, ("get",), "status"),
        Read(DEPLOYMENT, ("get",), "scale"),
        *(Read(Kind("Service", "services"), ("get",), sub) for sub in ("proxy", "status")),
    ]
)
NOTHING = Grant.of([])
SSAR = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}}
AUTH = "/apis/authorization.k8s.io/v1"


@pytest.mark.parametrize(
    "target",
    [
        "/version",
        "/api",
        "/apis",
        "/api/v1",
        "/apis/apps/v1",
        "/api/v1/pods",
        "/api/v1/pods?limit=500&continue=abc%3D&labelSelector=app%3Dx",
        "/api/v1/namespaces/shop/pods?fieldSelector=spec.nodeName%3Dn1",
        "/api/v1/namespaces/shop/pods/cart-1",
        "/api/v1/namespaces/shop",
        "/api/v1/namespaces/shop/status",
        "/api/v1/namespaces/shop/pods/cart-1/log?container=app&tailLines=10&previous=true&sinceSeconds=60",
        "/apis/apps/v1/namespaces/shop/deployments/cart/scale",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
        "/apis/karpenter.sh/v1/nodepools",
    ],
)
def test_reads_may_leave(target: str) -> None:
    policy.check("GET", target, None, EVERYTHING)


@pytest.mark.parametrize("target", ["/version", "/api", "/apis", "/api/v1", "/apis/apps/v1"])
def test_version_and_discovery_need_no_grant(target: str) -> None:
    policy.check("GET", target, None, NOTHING)


@pytest.mark.parametrize(
    "target",
    [
        # streams and tunnels that open by GET
        "/api/v1/namespaces/shop/pods/cart-1/exec?command=id",
        "/api/v1/namespaces/shop/pods/cart-1/attach",
        "/api/v1/namespaces/shop/pods/cart-1/portforward",
        "/api/v1/namespaces/shop/pods/cart-1/proxy",
        "/api/v1/namespaces/shop/pods/cart-1/proxy/admin/delete",
        "/api/v1/namespaces/shop/services/cart/proxy",
        "/api/v1/nodes/n1/proxy",
        "/api/v1/nodes/n1/proxy/run/shop/cart-1/app?cmd=id",
        "/api/v1/proxy/namespaces/shop/services/cart",
        "/apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachineinstances/vm/console",
        # what never ends
        "/api/v1/watch/pods",
        "/api/v1/pods?watch=true",
        "/api/v1/pods?watch=1",
        "/api/v1/pods?watch",
        "/api/v1/pods?sendInitialEvents=true",
        "/api/v1/namespaces/shop/pods/cart-1/log?follow=true",
        # paths that are not what they seem
        "/api/v1/namespaces/shop/pods/..",
        "/api/v1/namespaces/shop/pods/%2E%2E",
        "/api/v1/namespaces/shop/pods/a%2Fexec",
        "/api/v1/namespaces/shop/pods/a%252Fexec",
        "/api/v1/namespaces/shop/pods/cart-1//exec",
        "/api/v1//pods",
        "/api/v1/pods#fragment",
        "/api/v1/pods/a\r\nX-Injected:%201",
        "//evil.example/api/v1/pods",
        "api/v1/pods",
        "/api/v2/pods",
        "/metrics",
        "/logs/kube-apiserver.log",
        "/openapi/v2",
        "/",
        "",
        # queries
        "/api/v1/pods?dryRun=All",
        "/api/v1/pods?limit=1&limit=2",
        "/api/v1/namespaces/shop/pods/cart-1?command=id",
        "/version?watch=true",
    ],
)
def test_these_are_refused_by_get_whatever_was_declared(target: str) -> None:
    with pytest.raises(RefusedError):
        policy.check("GET", target, None, EVERYTHING)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "get", "", "POST"])
def test_every_other_method_is_refused(method: str) -> None:
    with pytest.raises(RefusedError):
        policy.check(method, "/api/v1/namespaces/shop/pods/cart-1", None, EVERYTHING)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"{AUTH}/selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        (f"{AUTH}/selfsubjectrulesreviews", "SelfSubjectRulesReview"),
        (f"{AUTH}/subjectaccessreviews", "SubjectAccessReview"),
        (f"{AUTH}/namespaces/shop/localsubjectaccessreviews", "LocalSubjectAccessReview"),
    ],
)
def test_the_four_reviews_may_be_posted(path: str, kind: str) -> None:
    policy.check("POST", path, {**SSAR, "kind": kind}, NOTHING)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/api/v1/namespaces/shop/pods", {"kind": "Pod", "apiVersion": "v1"}),
        ("/api/v1/namespaces/shop/pods?dryRun=All", {"kind": "Pod", "apiVersion": "v1"}),
        ("/api/v1/namespaces/shop/pods/cart-1/exec", None),
        ("/api/v1/namespaces/shop/pods/cart-1/eviction", {"kind": "Eviction", "apiVersion": "policy/v1"}),
        ("/apis/authentication.k8s.io/v1/tokenreviews", {"kind": "TokenReview"}),
        (f"{AUTH}/selfsubjectaccessreviews?dryRun=All", SSAR),
        (f"{AUTH}/selfsubjectaccessreviews", None),
        (f"{AUTH}/selfsubjectaccessreviews", {"kind": "Pod", "apiVersion": "v1"}),
        (f"{AUTH}/selfsubjectaccessreviews/x", SSAR),
        (f"{AUTH}/namespaces/shop/selfsubjectaccessreviews", SSAR),
        (f"{AUTH}/localsubjectaccessreviews", {**SSAR, "kind": "LocalSubjectAccessReview"}),
        ("/apis/authorization.k8s.io/v1beta1/selfsubjectaccessreviews", SSAR),
        ("/apis/evil.example/v1/selfsubjectaccessreviews", SSAR),
        ("/version", SSAR),
    ],
)
def test_nothing_else_may_be_posted(target: str, body: dict[str, object] | None) -> None:
    with pytest.raises(RefusedError):
        policy.check("POST", target, body, EVERYTHING)


def test_a_get_carries_no_body() -> None:
    with pytest.raises(RefusedError):
        policy.check("GET", "/api/v1/pods", SSAR, EVERYTHING)


@pytest.mark.parametrize(
    ("grant", "target", "allowed"),
    [
        (Grant.of([Read(POD)]), "/api/v1/pods", True),
        (Grant.of([Read(POD)]), "/api/v1/namespaces/shop/pods/x", True),
        (Grant.of([Read(POD, ("list",))]), "/api/v1/namespaces/shop/pods/x", False),
        (Grant.of([Read(POD, ("get",))]), "/api/v1/pods", False),
        (Grant.of([Read(POD)]), "/api/v1/namespaces/shop/pods/x/log", False),
        (Grant.of([Read(POD)]), "/api/v1/namespaces/shop/pods/x/status", False),
        (Grant.of([Read(POD)]), "/apis/metrics.k8s.io/v1beta1/pods", False),
        (Grant.of([Read(POD)]), "/api/v1/secrets", False),
        (Grant.of([Read(DEPLOYMENT)]), "/apis/apps/v1/deployments", True),
        (Grant.of([Read(DEPLOYMENT)]), "/apis/extensions/v1beta1/deployments", False),
        (Grant.of([AnyKindButSecrets()]), "/api/v1/namespaces/shop/secrets/x", False),
        (Grant.of([AnyKindButSecrets()]), "/api/v1/secrets", False),
        (Grant.of([AnyKindButSecrets()]), "/apis/example.com/v1/widgets", True),
        (Grant.of([AnyKindButSecrets()]), "/api/v1/namespaces/shop/pods/x/log", False),
    ],
)
def test_a_read_outside_the_grant_is_refused(grant: Grant, target: str, allowed: bool) -> None:
    if allowed:
        policy.check("GET", target, None, grant)
    else:
        with pytest.raises(RefusedError, match="nobody declared"):
            policy.check("GET", target, None, grant)


@given(st.text(max_size=300), st.sampled_from([POD, CLUSTER_ROLE, DEPLOYMENT]))
def test_no_name_changes_what_a_path_addresses(name: str, kind: Kind) -> None:
    try:
        request = get_request(kind, name, "shop")
    except UsageError:
        return
    target = policy.target_of(request.path)
    assert (target.plural, target.name, target.subresource) == (kind.plural, name, "")
    assert target.namespace == ("shop" if kind.namespaced else "")
    assert request.path.isascii() and request.target == request.path


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_namespace_or_selector_changes_what_a_list_addresses(namespace: str, selector: str) -> None:
    try:
        request = list_request(POD, namespace, (("labelSelector", selector),))
    except UsageError:
        return
    assert policy.target_of(request.target.partition("?")[0]).namespace == namespace
    policy.check("GET", request.target, None, Grant.of([Read(POD)]))


@given(st.text(max_size=80))
def test_any_path_is_either_canonical_or_refused(path: str) -> None:
    try:
        target = policy.target_of(path)
    except RefusedError:
        return
    for part in (target.namespace, target.name, target.subresource):
        assert part not in (".", "..")
        assert "/" not in part
        if part:
            assert quote(part, safe="") in path


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../../secrets/x", "a%2Fb", "a\nb", "a\0b", "a" * 254, "\ud800", "a\u202eb"]
)
def test_names_that_no_object_can_have_are_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError):
        get_request(POD, name, "shop")


@pytest.mark.parametrize("namespace", ["", "a/b", "Shop", "..", "--all", "x" * 64, "shop?watch=true", "shop pods"])
def test_namespaces_that_cannot_exist_are_a_usage_error(namespace: str) -> None:
    with pytest.raises(UsageError):
        list_request(POD, namespace)


@pytest.mark.parametrize(
    "kind", [Kind("X", "pods/exec"), Kind("X", "x", "g/h"), Kind("X", "x", "g", ".."), Kind("X", "")]
)
def test_kinds_that_cannot_exist_are_a_usage_error(kind: Kind) -> None:
    with pytest.raises(UsageError):
        list_request(kind, None)


@pytest.mark.anyio
async def test_nothing_reaches_the_server_that_the_policy_refuses(api: FakeApi, source: LiveSource) -> None:
    async with source.open(Grant.of([Read(POD)])) as cluster:
        before = len(api.seen)
        for kind, name in ((SECRET, "db"), (NODE, "n1"), (DEPLOYMENT, "cart")):
            with pytest.raises(RefusedError):
                await cluster.list(kind)
            with pytest.raises(RefusedError):
                await cluster.sweep(kind, lambda obj: obj)
            with pytest.raises(RefusedError):
                await cluster.get(kind, name, "shop")
        with pytest.raises(RefusedError):
            await cluster.logs(LogRequest("shop", "cart-1", "app"))
        assert len(api.seen) == before
        assert cluster.usage.requests == before


@pytest.mark.anyio
async def test_no_request_of_any_make_gets_past_the_gateway(api: FakeApi, source: LiveSource) -> None:
    async with source.open(EVERYTHING):
        pass
    before = len(api.seen)
    gateway: Gateway = await source._ready()
    call = Call(EVERYTHING, Deadline.after(5))
    pod = "/api/v1/namespaces/shop/pods/cart-1"
    forged = [
        Request("DELETE", pod, "pods", "pods", "get"),  # type: ignore[arg-type]
        Request("PATCH", pod, "pods", "pods", "get", (), "application/json", {"spec": {}}),  # type: ignore[arg-type]
        Request("POST", "/api/v1/namespaces/shop/pods", "pods", "pods", "create", (("dryRun", "All"),), body={}),
        Request("GET", f"{pod}/exec", "pods", "pods", "get", (("command", "id"),)),
        Request("GET", f"{pod}/portforward", "pods", "pods", "get"),
        Request("GET", "/api/v1/pods", "pods", "pods", "list", (("watch", "true"),)),
        Request("GET", f"{pod}/log", "pods/log", "pods/log", "get", (("follow", "true"),)),
        Request("GET", "/api/v1/../v1/secrets", "pods", "pods", "list"),
    ]
    for request in forged:
        with pytest.raises(RefusedError):
            await gateway.fetch(request, call)
    assert len(api.seen) == before


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["-rf", "--kubeconfig=x", "$(id)", "a?watch=true", "a#b", "a;b", "a b", "ü", "a&b=c"])
async def test_a_name_with_shell_or_flag_characters_stays_a_name(api: FakeApi, source: LiveSource, name: str) -> None:
    async with source.open(Grant.of([Read(POD)])) as cluster:
        from contract.fake_api import status

        path = f"/api/v1/namespaces/shop/pods/{quote(name, safe='')}"
        api.on(path, status(404, "NotFound", f'pods "{name}" not found', name=name, kind="pods"))
        assert await cluster.get(POD, name, "shop") is None
        assert [(one.path, one.query) for one in api.seen[-1:]] == [(path, "")]


def test_reviews_are_built_as_the_policy_wants_them() -> None:
    request = review_request("SelfSubjectAccessReview", "selfsubjectaccessreviews", {})
    policy.check(request.method, request.target, request.body, NOTHING)


def test_nothing_heavy_is_imported_before_a_cluster_is_asked() -> None:
    heavy = "('kubernetes', 'aiohttp', 'boto3', 'botocore', 'yaml')"
    code = f"import sys, firstmate_tools.cluster.live; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_limits_are_gentle_by_default() -> None:
    assert (Limits().in_flight, Limits().per_second, Limits().burst) == (8, 50.0, 100)
