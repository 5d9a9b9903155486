"""What a live cluster's reads give for good answers and for every bad one."""

from pathlib import Path
from typing import Any

import pytest
from contract.fake_api import EXPIRED, FakeApi, Reply, listing, named, status

from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.errors import (
    ConfigurationError,
    DeniedError,
    FailedReadError,
    NotInstalledError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from firstmate_tools.fields import Obj, name_of
from firstmate_tools.kinds import DEPLOYMENT, NODE, POD, SECRET, Kind
from firstmate_tools.reads import AnyKindButSecrets, Grant, Read

pytestmark = pytest.mark.anyio

GRANT = Grant.of([AnyKindButSecrets(), Read(SECRET)])
PODS = "/api/v1/namespaces/shop/pods"
WIDGET = Kind("Widget", "widgets", "example.com")


async def names(source: LiveSource, **arguments: Any) -> list[str]:
    async with source.open(GRANT) as cluster:
        found = await cluster.list(POD, namespace="shop", **arguments)
        return [name_of(pod) for pod in found.items]


async def refusal(source: LiveSource, kind: Kind = POD, namespace: str | None = "shop") -> Exception:
    """The one error that a list, a sweep and a get of this kind all raise; the list's is returned."""
    async with source.open(GRANT) as cluster:
        with pytest.raises(Exception) as caught:
            await cluster.list(kind, namespace=namespace)
        with pytest.raises(type(caught.value)):
            await cluster.sweep(kind, lambda obj: obj, namespace=namespace)
        return caught.value


async def test_a_list_says_who_asks_and_takes_gzip(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, listing(*named("a", "b")))
    assert await names(source, labels="app in (x,y)", fields="spec.nodeName=n 1") == ["a", "b"]
    (seen,) = api.asked(PODS)
    assert seen.headers["User-Agent"] == "firstmate/1.2.3"
    assert seen.headers["Authorization"] == "Bearer t0ken"
    assert seen.headers["Accept-Encoding"] == "gzip"
    assert seen.query == "limit=10000&labelSelector=app%20in%20%28x%2Cy%29&fieldSelector=spec.nodeName%3Dn%201"


async def test_a_paged_list_is_followed_to_its_end(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, listing(*named("a"), more="2", remaining=2), listing(*named("b"), more="3"), listing(*named("c")))
    assert await names(source) == ["a", "b", "c"]
    assert [one.query.partition("continue=")[2] for one in api.asked(PODS)] == ["", "2", "3"]


async def test_a_page_is_given_with_its_token_when_a_limit_is_asked(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, listing(*named("a", "b"), more="t/2+x=", remaining=7))
    async with source.open(GRANT) as cluster:
        page = await cluster.list(POD, namespace="shop", limit=2)
        assert (len(page.items), page.more, page.remaining, page.read_at) == (2, "t/2+x=", 7, "77")
        await cluster.list(POD, namespace="shop", limit=2, more=page.more)
    assert [one.query for one in api.asked(PODS)] == ["limit=2", "limit=2&continue=t%2F2%2Bx%3D"]


async def test_a_limit_over_several_pages_is_exact(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, listing(*named("a", "b"), more="2"), listing(*named("c"), more="3"))
    async with source.open(GRANT) as cluster:
        page = await cluster.list(POD, namespace="shop", limit=3)
    assert ([name_of(pod) for pod in page.items], page.more) == (["a", "b", "c"], "3")
    assert [one.query for one in api.asked(PODS)] == ["limit=3", "limit=1&continue=2"]


@pytest.mark.parametrize(
    ("version", "size"),
    [("v1.36.2", 10_000), ("v1.33.4-eks-1a2b3c", 10_000), ("v2.0.0", 10_000), ("v1.32.9", 500), ("v1", 500), ("", 500)],
)
async def test_servers_that_build_a_list_in_memory_are_asked_for_small_pages(
    api: FakeApi, source: LiveSource, version: str, size: int
) -> None:
    api.on("/version", Reply({"gitVersion": version}))
    api.on(PODS, listing(*named("a")))
    await names(source)
    assert api.asked(PODS)[0].query == f"limit={size}"


async def test_a_sweep_stops_after_the_page_on_which_enough_was_seen(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, listing(*named("a", "b"), more="2"), listing(*named("c"), more="3"), listing(*named("d")))
    async with source.open(GRANT) as cluster:
        swept = await cluster.sweep(
            POD, lambda pod: None if name_of(pod) == "b" else name_of(pod), namespace="shop", most=3
        )
    assert (swept.items, swept.more) == (["a", "c"], "3")
    assert [one.query for one in api.asked(PODS)] == ["limit=3", "limit=1&continue=2"]


async def test_a_list_that_expires_halfway_starts_again(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, listing(*named("old"), more="2"), EXPIRED, listing(*named("a"), more="2"), listing(*named("b")))
    assert await names(source) == ["a", "b"]


async def test_a_list_that_expires_twice_is_a_failed_read(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, listing(*named("a"), more="2"), EXPIRED, listing(*named("a"), more="2"), EXPIRED)
    error = await refusal_of_list(source)
    assert isinstance(error, FailedReadError)
    assert "expired twice" in error.message


async def refusal_of_list(source: LiveSource, **arguments: Any) -> Exception:
    async with source.open(GRANT) as cluster:
        with pytest.raises(Exception) as caught:
            await cluster.list(POD, namespace="shop", **arguments)
        return caught.value


async def test_a_callers_own_token_that_expired_is_not_replaced_by_the_first_page(
    api: FakeApi, source: LiveSource
) -> None:
    api.on(PODS, EXPIRED)
    error = await refusal_of_list(source, limit=5, more="old")
    assert isinstance(error, FailedReadError)
    assert "without the token" in error.hint
    assert len(api.asked(PODS)) == 1


async def test_a_denied_kind_names_the_rule_that_would_allow_it(api: FakeApi, source: LiveSource) -> None:
    words = 'pods is forbidden: User "me" cannot list resource "pods" in API group "" in the namespace "shop"'
    api.on(PODS, status(403, "Forbidden", words, kind="pods"))
    error = await refusal(source)
    assert isinstance(error, DeniedError)
    assert words in error.message
    assert 'a Role in namespace "shop"' in error.hint
    assert 'apiGroups: [""], resources: ["pods"], verbs: ["list"]' in error.hint


async def test_a_denied_kind_does_not_deny_another(api: FakeApi, source: LiveSource) -> None:
    api.on("/api/v1/nodes", status(403, "Forbidden", "nodes is forbidden", kind="nodes"))
    api.on(PODS, listing(*named("a")))
    error = await refusal(source, NODE)
    assert "a ClusterRole" in str(error)
    assert await names(source) == ["a"]


async def test_an_expired_token_is_said_to_be_one(api: FakeApi, source: LiveSource) -> None:
    async with source.open(GRANT):
        pass
    api.on(PODS, status(401, "Unauthorized", "Unauthorized"))
    error = await refusal(source)
    assert isinstance(error, DeniedError)
    assert "expired" in error.message
    assert "Log in again" in error.hint


async def test_a_source_whose_token_is_refused_at_once_cannot_be_opened(api: FakeApi, source: LiveSource) -> None:
    api.on("/version", status(401, "Unauthorized", "Unauthorized"))
    with pytest.raises(DeniedError, match="expired"):
        async with source.open(GRANT):
            pass


async def test_a_server_that_hides_its_version_still_answers(api: FakeApi, source: LiveSource) -> None:
    api.on("/version", status(403, "Forbidden", "no"))
    api.on(PODS, listing(*named("a")))
    assert await names(source) == ["a"]
    async with source.open(GRANT) as cluster:
        assert cluster.identity.version is None


async def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    dead = FakeApi()
    async with dead.running():
        path = dead.kubeconfig(tmp_path)
    source = LiveSource("dead", path)
    with pytest.raises(UnreachableError, match=dead.url):
        async with source.open(GRANT):
            pass
    await source.close()


async def test_a_server_whose_name_does_not_resolve_is_named(tmp_path: Path) -> None:
    api = FakeApi()
    api.url = "https://api.nowhere.invalid:6443"
    source = LiveSource("dead", api.kubeconfig(tmp_path))
    with pytest.raises(UnreachableError, match=r"nowhere\.invalid"):
        async with source.open(GRANT):
            pass
    await source.close()


async def test_a_wrong_context_lists_those_that_exist(api: FakeApi, tmp_path: Path) -> None:
    source = LiveSource("fake", api.kubeconfig(tmp_path), "prod")
    with pytest.raises(ConfigurationError, match="no context 'prod'") as caught:
        async with source.open(GRANT):
            pass
    assert "fake" in caught.value.hint
    assert not api.seen


@pytest.mark.parametrize(
    "reply",
    [
        Reply("404 page not found\n", 404, "text/plain; charset=utf-8"),
        status(404, "NotFound", "the server could not find the requested resource"),
    ],
)
async def test_a_kind_that_is_not_installed_is_not_an_empty_list(
    api: FakeApi, source: LiveSource, reply: Reply
) -> None:
    for path in ("/apis/example.com/v1/widgets", "/apis/example.com/v1/namespaces/shop/widgets/x"):
        api.on(path, reply)
    async with source.open(GRANT) as cluster:
        with pytest.raises(NotInstalledError, match=r"widgets\.example\.com"):
            await cluster.list(WIDGET)
        with pytest.raises(NotInstalledError):
            await cluster.get(WIDGET, "x", "shop")


async def test_an_object_that_does_not_exist_is_none(api: FakeApi, source: LiveSource) -> None:
    api.on(f"{PODS}/x", status(404, "NotFound", 'pods "x" not found', name="x", kind="pods"))
    async with source.open(GRANT) as cluster:
        assert await cluster.get(POD, "x", "shop") is None


async def test_a_get_without_namespace_of_a_namespaced_kind_is_a_usage_error(source: LiveSource) -> None:
    async with source.open(GRANT) as cluster:
        with pytest.raises(UsageError, match="namespace"):
            await cluster.get(POD, "x")


async def test_a_selector_that_the_server_cannot_read_is_a_usage_error(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, status(400, "BadRequest", "unable to parse requirement: found '?'"))
    error = await refusal(source)
    assert isinstance(error, UsageError)
    assert "unable to parse" in error.message


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_below_one_is_a_usage_error(source: LiveSource, limit: int) -> None:
    assert isinstance(await refusal_of_list(source, limit=limit), UsageError)


async def test_an_object_without_status_is_an_object(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, listing({"metadata": {"name": "a"}}, {"metadata": {"name": "b"}, "status": None}, {}))
    assert await names(source) == ["a", "b", ""]


async def test_an_empty_list_may_be_null(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, Reply({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": None}))
    assert await names(source) == []


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("<html><body>Sign in</body></html>", 200, "text/html"), "HTML"),
        (Reply("<!DOCTYPE html><p>no", 200), "HTML"),
        (Reply("<html>Forbidden by proxy</html>", 403, "text/html"), "HTML"),
        (Reply("<html>Sign in</html>", 401, "text/html"), "HTML"),
        (Reply("<html>Not here</html>", 404, "text/html"), "HTML"),
        (Reply('{"kind":"PodList","items":[{"metadata":{"na', 200), "torn"),
        (Reply(b"", 200), "torn or no JSON"),
        (Reply("[1,2]", 200), "no JSON object"),
        (Reply({"kind": "PodList", "items": [1]}, 200), "no list"),
        (Reply({"kind": "PodList", "items": {}}, 200), "no list"),
        (Reply({"kind": "Status", "status": "Success"}, 200), "no list"),
        (Reply("[" * 5000 + "]" * 5000, 200), "torn or no JSON"),
        (Reply(b"\x1f\x8b\x08\x00rubbish", 200, headers={"Content-Encoding": "gzip"}), "broke off"),
        (Reply(b"no gzip at all", 200, headers={"Content-Encoding": "gzip"}), "torn"),
        (Reply({"items": []}, 200, headers={"Content-Encoding": "br"}), "packed"),
        (Reply(b"", 302, headers={"Location": "/api/v1/secrets"}), "redirect"),
        (Reply("teapot", 418, "text/plain"), "418"),
        (Reply({"items": [{"metadata": {"name": "x" * 4000}}]}, torn=True), "broke off"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_a_failed_read(
    api: FakeApi, source: LiveSource, reply: Reply, words: str
) -> None:
    api.on(PODS, reply)
    error = await refusal(source)
    assert isinstance(error, FailedReadError), error
    assert words in str(error)


async def test_a_redirect_is_not_followed(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, Reply(b"", 307, headers={"Location": f"{api.url}/api/v1/namespaces/shop/secrets"}))
    await refusal(source)
    assert not api.asked("/api/v1/namespaces/shop/secrets")


async def test_invalid_utf8_becomes_replacement_characters(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, Reply(b'{"items":[{"metadata":{"name":"a\xff\xfe"}},{"metadata":{"name":"b\\ud800"}}]}'))
    found = await names(source)
    assert found[0] == "a��"
    assert found[1].encode()  # no lone surrogate: it could not be printed


async def test_a_server_that_fails_once_is_asked_again(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, Reply("oops", 500, "text/plain"), listing(*named("a")))
    assert await names(source) == ["a"]


async def test_a_server_that_fails_twice_is_a_failed_read(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, status(503, "ServiceUnavailable", "the server is currently unable to handle the request"))
    async with source.open(GRANT) as cluster:
        with pytest.raises(FailedReadError, match="unable to handle"):
            await cluster.list(POD, namespace="shop")
    assert len(api.asked(PODS)) == 2


@pytest.mark.parametrize("reply", [Reply("gateway timeout", 504, "text/plain"), status(500, "ServerTimeout", "slow")])
async def test_a_server_that_gave_up_timed_out(api: FakeApi, source: LiveSource, reply: Reply) -> None:
    api.on(PODS, reply)
    assert isinstance(await refusal(source), TimedOutError)


async def test_the_metadata_form_gives_metadata_and_nothing_else(api: FakeApi, source: LiveSource) -> None:
    whole = {"kind": "PodList", "items": [{"kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "n"}}]}
    api.on(PODS, Reply(whole))
    async with source.open(GRANT) as cluster:
        found = await cluster.list(POD, namespace="shop", form="metadata")
    assert found.items == [{"metadata": {"name": "a"}}]
    assert "as=PartialObjectMetadataList" in api.asked(PODS)[0].headers["Accept"]


SECRET_OBJECT: Obj = {
    "kind": "Secret",
    "apiVersion": "v1",
    "type": "Opaque",
    "metadata": {
        "name": "db",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"password":"aHVudGVyMg=="}}'},
        "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {}}}],
    },
    "data": {"password": "aHVudGVyMg=="},
    "stringData": {"user": "hunter2"},
}


async def test_secret_values_are_gone_before_anybody_sees_them(api: FakeApi, source: LiveSource) -> None:
    item = {key: value for key, value in SECRET_OBJECT.items() if key not in ("kind", "apiVersion")}
    api.on("/api/v1/secrets", listing(item, kind="SecretList"))
    api.on("/api/v1/namespaces/shop/secrets/db", Reply(SECRET_OBJECT))
    held: Obj = {"kind": "Held", "metadata": {"name": "x"}, "spec": {"manifests": [SECRET_OBJECT]}}
    api.on("/apis/example.com/v1/widgets", listing(held))
    seen: list[Obj] = []
    async with source.open(GRANT) as cluster:
        await cluster.sweep(SECRET, seen.append)
        seen += (await cluster.list(SECRET)).items
        seen.append(await cluster.get(SECRET, "db", "shop") or {})
        held_now = (await cluster.list(WIDGET)).items[0]
    assert all(secret["data"] == {"password": ""} for secret in seen)
    assert len(seen) == 3
    for text in (repr(seen), repr(held_now)):
        assert "aHVudGVyMg" not in text
        assert "hunter2" not in text
        assert "f:data" not in text
    assert seen[0]["metadata"]["managedFields"] == [{"manager": "kubectl", "operation": "Update"}]


async def test_wire_bytes_are_counted_as_sent(api: FakeApi, source: LiveSource) -> None:
    reply = listing(*named(*(f"pod-{i}" for i in range(500))))
    reply.packed = True
    api.on(PODS, reply)
    async with source.open(GRANT) as cluster:
        before = cluster.usage.bytes
        assert len((await cluster.list(POD, namespace="shop")).items) == 500
        assert cluster.usage.bytes - before == len(reply.raw())
        assert cluster.usage.requests == 2
        assert cluster.usage.by_resource == {"/version": 1, "pods": 1}
        assert cluster.usage.seconds > 0


async def test_the_version_is_asked_once_and_counted_once(api: FakeApi, source: LiveSource) -> None:
    async with source.open(GRANT) as first:
        assert (first.identity.name, first.identity.server, first.identity.version) == ("fake", api.url, "v1.36.2")
        assert first.default_namespace == "shop"
        assert first.is_live
        assert first.usage.requests == 1
    async with source.open(GRANT) as second:
        assert second.identity == first.identity
        assert second.usage.requests == 0
    assert len(api.asked("/version")) == 1


async def test_now_is_the_servers_clock(api: FakeApi, source: LiveSource) -> None:
    api.on("/version", Reply({"gitVersion": "v1"}, headers={"Date": "Tue, 03 Mar 2015 10:00:00 GMT"}))
    async with source.open(GRANT) as cluster:
        assert cluster.now.isoformat().startswith("2015-03-03T10:00:0")
        api.on(PODS, Reply({"items": []}, headers={"Date": "Tue, 03 Mar 2015 09:00:00 GMT"}))
        await cluster.list(POD, namespace="shop")
        assert cluster.now.isoformat().startswith("2015-03-03T09:00:0")
        api.on(PODS, Reply({"items": []}, headers={"Date": "yesterday"}))
        await cluster.list(POD, namespace="shop")
        assert cluster.now.isoformat().startswith("2015-03-03T09:00:0")


async def test_a_cluster_scoped_kind_ignores_a_namespace(api: FakeApi, source: LiveSource) -> None:
    api.on("/api/v1/nodes", listing(*named("n1"), kind="NodeList"))
    async with source.open(GRANT) as cluster:
        assert len((await cluster.list(NODE, namespace="shop")).items) == 1
        assert len((await cluster.list(NODE)).items) == 1


async def test_a_namespaced_kind_is_listed_across_namespaces_when_none_is_named(
    api: FakeApi, source: LiveSource
) -> None:
    api.on("/apis/apps/v1/deployments", listing(*named("cart"), kind="DeploymentList"))
    async with source.open(GRANT) as cluster:
        assert len((await cluster.list(DEPLOYMENT)).items) == 1
