"""Asking the API server in the caller's name: whose headers go with a read, and that no answer is shared."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from contract.fake_api import FakeApi, Reply, Seen, listing, named, status
from contract.test_http_tokens import entry, written
from contract.web_doubles import LEGACY, MODERN, result_of, serving

from firstmate.acting import act_as
from firstmate.caller import LOCAL, Caller, calling
from firstmate.httpsettings import HttpSettings
from firstmate.settings import Settings
from firstmate_tools.cluster.impersonation import Impersonated, impersonated
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.errors import ConfigurationError, DeniedError
from firstmate_tools.kinds import POD
from firstmate_tools.reads import Grant, Read

pytestmark = pytest.mark.anyio

PODS = Grant.of([Read(POD)])
PATH = "/api/v1/namespaces/shop/pods"
ANN, BOB = Impersonated("oidc:ann", ("dev", "sre")), Impersonated("oidc:bob")


def by_user(seen: Seen) -> Reply:
    """Each user sees a pod of their own; firstmate itself sees one called root."""
    return listing(*named(seen.headers.get("Impersonate-User", "root")))


class Asking:
    """A source that asks as whoever is named here."""

    def __init__(self, api: FakeApi, tmp_path: Path, **user: Any) -> None:
        self.who = ANN
        config = api.kubeconfig(tmp_path, {"token": "t", **user})
        self.source = LiveSource("fake", config, act_as=lambda: self.who)

    async def pods(self, who: Impersonated) -> list[str]:
        self.who = who
        async with self.source.open(PODS) as cluster:
            return [one["metadata"]["name"] for one in (await cluster.list(POD, namespace="shop")).items]


async def test_user_and_groups_go_with_every_request(api: FakeApi, tmp_path: Path) -> None:
    api.on(PATH, by_user)
    asking = Asking(api, tmp_path)
    assert await asking.pods(ANN) == ["oidc:ann"]
    assert {one.headers["Impersonate-User"] for one in api.seen} == {"oidc:ann"}
    assert all(one.groups == ["dev", "sre"] and one.headers["Authorization"] == "Bearer t" for one in api.seen)
    await asking.source.close()


async def test_the_same_question_of_two_users_at_the_same_moment_is_sent_twice(api: FakeApi, tmp_path: Path) -> None:
    def slowly(seen: Seen) -> Reply:
        reply = by_user(seen)
        reply.after = 0.3
        return reply

    api.on(PATH, slowly)
    asking = Asking(api, tmp_path)
    await asyncio.gather(asking.pods(ANN), asking.pods(BOB))
    api.seen.clear()
    answers = await asyncio.gather(*(asking.pods(who) for who in (ANN, BOB, ANN, BOB, ANN)))
    assert answers == [["oidc:ann"], ["oidc:bob"], ["oidc:ann"], ["oidc:bob"], ["oidc:ann"]]
    assert len(api.asked(PATH)) == 2  # one for each user, however many ask
    other_groups = Impersonated("oidc:ann", ("dev",))
    api.seen.clear()
    await asyncio.gather(asking.pods(ANN), asking.pods(other_groups))
    assert sorted(len(one.groups) for one in api.asked(PATH)) == [1, 2]
    await asking.source.close()


async def test_version_and_kinds_are_remembered_for_each_user_alone(api: FakeApi, tmp_path: Path) -> None:
    def kinds(seen: Seen) -> Reply:
        plural = "secretsauces" if seen.headers["Impersonate-User"] == "oidc:ann" else "pods"
        resource = {"resource": plural, "responseKind": {"kind": "X"}, "scope": "Namespaced", "verbs": ["list"]}
        group = {"metadata": {"name": "x"}, "versions": [{"version": "v1", "resources": [resource]}]}
        return Reply({"kind": "APIGroupDiscoveryList", "items": [group]})

    api.on("/api", kinds)
    api.on("/apis", kinds)
    asking = Asking(api, tmp_path)
    found = {}
    for who in (ANN, BOB, ANN):
        asking.who = who
        async with asking.source.open(PODS) as cluster:
            found[who] = [one.plural for one in await cluster.kinds()]
    assert found == {ANN: ["secretsauces"], BOB: ["pods"]}
    assert len(api.asked("/apis")) == 2 and len(api.asked("/version")) == 2
    await asking.source.close()


async def test_a_kubeconfig_that_acts_for_another_is_not_mixed_with_callers(api: FakeApi, tmp_path: Path) -> None:
    asking = Asking(api, tmp_path, **{"as": "somebody"})
    with pytest.raises(ConfigurationError, match="acts as another user already"):
        await asking.pods(ANN)
    assert api.seen == []


async def test_readiness_is_asked_as_firstmate_itself(api: FakeApi, tmp_path: Path) -> None:
    asking = Asking(api, tmp_path)
    await asking.source.answers(deadline_s=2)
    assert "Impersonate-User" not in api.seen[0].headers and api.seen[0].path == "/version"
    await asking.source.close()


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ("", ()),
        ("system:admin", ()),
        ("System:Admin", ()),
        ("ann", ("system:masters",)),
        ("ann", ("dev", "system:authenticated")),
        ("ann\r\nImpersonate-Group: system:masters", ()),
        ("ann", ("dev\nImpersonate-User: root",)),
        ("ann", ("",)),
        (" ann", ()),
        ("ännä", ()),
        ("a" * 257, ()),
        ("ann", tuple(f"g{number}" for number in range(201))),
    ],
)
def test_nobody_becomes_part_of_kubernetes_nor_smuggles_a_header(user: str, groups: tuple[str, ...]) -> None:
    with pytest.raises(DeniedError):
        impersonated(user, groups)


def test_callers_are_named_with_their_prefix() -> None:
    http = HttpSettings(tokens_file="t", impersonate="user-and-groups", user_prefix="oidc:", groups_prefix="oidc:")
    chosen, alone = act_as(http), act_as(http.model_copy(update={"impersonate": "user"}))
    assert chosen is not None and alone is not None and act_as(HttpSettings()) is None
    with calling(Caller("oauth", "u-1", "ann", groups=("system:masters",))):
        assert chosen() == Impersonated("oidc:ann", ("oidc:system:masters",))
        assert alone() == Impersonated("oidc:ann")
    for nobody in (LOCAL, Caller("anonymous", "anonymous", "anonymous"), Caller("oauth", "u-1", "")):
        with calling(nobody), pytest.raises(DeniedError):
            chosen()


@pytest.mark.parametrize("version", [MODERN, LEGACY])
async def test_over_http_each_caller_sees_what_rbac_lets_them_see(api: FakeApi, tmp_path: Path, version: str) -> None:
    def judged(seen: Seen) -> Reply:
        if seen.headers.get("Impersonate-User") == "fm:ann" and seen.groups == ["fm:sre"]:
            return listing(*named("cart-1"))
        who = seen.headers.get("Impersonate-User", "root")
        return status(403, "Forbidden", f'pods is forbidden: User "{who}" cannot list resource "pods"')

    api.on(PATH, judged)
    for path in ("/api/v1/namespaces/shop/events", "/apis/events.k8s.io/v1/namespaces/shop/events"):
        api.on(path, listing(kind="EventList"))
    tokens = written(
        tmp_path / "tokens.toml",
        entry("ann", "t-ann", more='groups = ["sre"]'),
        entry("bob", "t-bob", more='groups = ["dev"]'),
        entry("eve", "t-eve", more='groups = ["sre"]').replace('"eve"', '"system:eve"'),
    )
    settings = Settings(kubeconfig=str(api.kubeconfig(tmp_path)))
    prefixes = {"impersonate": "user-and-groups", "user_prefix": "fm:", "groups_prefix": "fm:"}
    async with serving(settings, tokens_file=str(tokens), **prefixes) as served:

        async def ask(name: str) -> dict[str, Any]:
            session = {} if version == MODERN else {"mcp-session-id": await served.open_session(f"t-{name}")}
            smuggled = {"impersonate-user": "fm:ann", "impersonate-group": "fm:sre"}
            answer = await served.call(
                "pod_status", {"namespace": "shop"}, token=f"t-{name}", version=version, **session, **smuggled
            )
            return result_of(answer)

        ann, bob, again = await asyncio.gather(ask("ann"), ask("bob"), ask("ann"))
    for one in (ann, again):
        assert [pod["name"] for pod in one["structuredContent"]["pods"]] == ["cart-1"]
    seen = str(bob)
    assert "cart-1" not in seen and "denied" in seen
    assert {one.headers.get("Impersonate-User") for one in api.asked(PATH)} == {"fm:ann", "fm:bob"}


async def test_without_a_prefix_a_caller_cannot_become_part_of_kubernetes(api: FakeApi, tmp_path: Path) -> None:
    tokens = written(tmp_path / "tokens.toml", entry("system:x", "t-x").replace('"system:x"', '"s"'))
    tokens.write_text(tokens.read_text() + 'groups = ["system:masters"]\n')
    settings = Settings(kubeconfig=str(api.kubeconfig(tmp_path)))
    async with serving(settings, tokens_file=str(tokens), impersonate="user-and-groups") as served:
        result = result_of(await served.call("pod_status", {"namespace": "shop"}, token="t-x"))
    assert result["isError"] and "never impersonated" in str(result)
    assert api.seen == []
