"""Callers over HTTP against a real API server: RBAC answers each of them, not the server that asks in their name.

The server's own user may impersonate a few users and groups, and nothing else: whatever comes back, it came to a
caller.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract.test_http_tokens import entry, written
from contract.web_doubles import LEGACY, MODERN, Served, result_of, serving

from evals.lab.lab import Lab
from firstmate.settings import Settings
from firstmate_tools.cluster.impersonation import Impersonated
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.kinds import POD
from firstmate_tools.reads import Grant, Read

pytestmark = pytest.mark.anyio

SELF = "firstmate-over-http"
A, B = "impersonation-a", "impersonation-b"
RBAC = "rbac.authorization.k8s.io"
READS = [{"apiGroups": ["", "apps", "batch", "events.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]}]
MAY_ACT_AS = [
    {
        "apiGroups": [""],
        "resources": ["users"],
        "verbs": ["impersonate"],
        "resourceNames": ["fm:ann", "fm:bob", "fm:eve"],
    },
    {"apiGroups": [""], "resources": ["groups"], "verbs": ["impersonate"], "resourceNames": ["fm:team-a", "fm:team-b"]},
]


@pytest.fixture(scope="module")
def lab(own_lab: Lab) -> Lab:
    """Its pods are ended by nobody."""
    return own_lab


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def bound(kind: str, name: str, rules: list[dict[str, Any]], subject: dict[str, str], **place: str) -> Iterator[Any]:
    """A role and its binding."""
    api = {"apiVersion": f"{RBAC}/v1"}
    yield {**api, "kind": kind, "metadata": {"name": name, **place}, "rules": rules}
    yield {
        **api,
        "kind": f"{kind}Binding",
        "metadata": {"name": name, **place},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [{"apiGroup": RBAC, **subject}],
    }


@pytest.fixture(scope="module")
def teams(lab: Lab) -> Iterator[None]:
    """Two namespaces with a pod each, and a team for each that may read there."""
    client = lab.setup_client
    for team, namespace in (("a", A), ("b", B)):
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        metadata = {"name": f"pod-of-{team}", "namespace": namespace, "labels": {"sim.firstmate.dev/mode": "none"}}
        lab.client.wait_until(
            "the default service account",
            lambda namespace=namespace: client.get("ServiceAccount", "default", namespace) is not None,
        )
        spec = {"containers": [{"name": "app", "image": "registry.shop.example/app:1"}]}
        client.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        group = {"kind": "Group", "name": f"fm:team-{team}"}
        for document in bound("Role", "readers", READS, group, namespace=namespace):
            client.apply(document)
    cluster_wide = list(bound("ClusterRole", SELF, MAY_ACT_AS, {"kind": "User", "name": SELF}))
    for document in cluster_wide:
        client.apply(document)
    yield
    for document in reversed(cluster_wide):
        client.delete(document["kind"], SELF)
    for namespace in (A, B):
        client.delete("Namespace", namespace)


@pytest.fixture
async def served(lab: Lab, teams: None, tmp_path: Path) -> AsyncIterator[Served]:
    tokens = written(
        tmp_path / "tokens.toml",
        entry("ann", "t-ann", more='groups = ["team-a"]'),
        entry("bob", "t-bob", more='groups = ["team-b"]'),
        entry("eve", "t-eve"),
        entry("mallory", "t-mallory"),
    )
    settings = Settings(kubeconfig=str(lab.kubeconfig_for(SELF)))
    prefixes = {"impersonate": "user-and-groups", "user_prefix": "fm:", "groups_prefix": "fm:"}
    async with serving(settings, tokens_file=str(tokens), **prefixes) as found:
        yield found


async def ask(served: Served, name: str, tool: str, version: str = MODERN, **arguments: Any) -> dict[str, Any]:
    session = {} if version == MODERN else {"mcp-session-id": await served.open_session(f"t-{name}")}
    smuggled = {"impersonate-user": "fm:ann", "impersonate-group": "system:masters"}
    answer = await served.call(tool, arguments, token=f"t-{name}", version=version, **session, **smuggled)
    assert answer.status_code == 200, answer.text
    return result_of(answer)


def pods_in(result: dict[str, Any]) -> list[str]:
    return [one["name"] for one in result.get("structuredContent", {}).get("pods", [])]


@pytest.mark.parametrize("version", [MODERN, LEGACY])
async def test_two_callers_get_different_answers_to_the_same_question(served: Served, version: str) -> None:
    questions = [(name, namespace) for name in ("ann", "bob", "eve") for namespace in (A, B)] * 3
    answers = await asyncio.gather(
        *(ask(served, name, "pod_status", version, namespace=namespace) for name, namespace in questions)
    )
    for (name, namespace), answer in zip(questions, answers, strict=True):
        allowed = (name, namespace) in {("ann", A), ("bob", B)}
        assert pods_in(answer) == ([f"pod-of-{namespace[-1]}"] if allowed else [])
        if not allowed:
            assert f"fm:{name}" in str(answer) and "denied" in str(answer)


async def test_a_diagnosis_for_somebody_without_rights_is_inconclusive_not_healthy(served: Served) -> None:
    found = (await ask(served, "eve", "diagnose", namespace=A))["structuredContent"]
    assert found["outcome"] == "inconclusive" and found["root_causes"] == []
    assert {one["why"] for one in found["coverage"]["not_checked"] if one["what"] == "pods"} == {"denied"}
    mine = (await ask(served, "ann", "diagnose", namespace=A))["structuredContent"]
    assert "pods" in mine["coverage"]["checked"]


async def test_whom_the_server_may_not_impersonate_is_told_what_is_missing(served: Served) -> None:
    text = str(await ask(served, "mallory", "pod_status", namespace=A))
    assert "cannot impersonate" in text and 'verbs: ["impersonate"]' in text and "pod-of-a" not in text


async def test_the_api_servers_own_audit_log_names_the_caller(lab: Lab, served: Served) -> None:
    await ask(served, "ann", "pod_status", namespace=A)
    lines = [json.loads(line) for line in lab.audit_log.read_text().splitlines()]
    mine = [one for one in lines if one["user"].get("username") == SELF and "/pods" in one["requestURI"]]
    mine = [one for one in mine if one["stage"] == "ResponseComplete" and "responseStatus" in one]
    answered = [one["impersonatedUser"] for one in mine if one["responseStatus"].get("code") == 200]
    ann = [one for one in answered if one["username"] == "fm:ann"]
    assert ann and {frozenset(one["groups"]) for one in ann} == {frozenset({"fm:team-a", "system:authenticated"})}
    as_itself = [one["responseStatus"].get("code") for one in mine if "impersonatedUser" not in one]
    assert set(as_itself) <= {403}  # those that it was not let impersonate


async def test_access_reviews_answer_for_the_caller(lab: Lab, teams: None) -> None:
    ann = Impersonated("fm:ann", ("fm:team-a",))
    source = LiveSource("lab", lab.kubeconfig_for(SELF), act_as=lambda: ann)
    try:
        async with source.open(Grant.of([Read(POD)])) as cluster:
            there = await cluster.access([Read(POD)], A)
            elsewhere = await cluster.access([Read(POD)], B)
    finally:
        await source.close()
    assert [one.allowed for one in there] == [True] and [one.allowed for one in elsewhere] == [False]
