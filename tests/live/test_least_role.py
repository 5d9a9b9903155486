"""The role that `firstmate rbac` prints, bound to a user in the lab: enough for everything, and every right needed.

The whole read suite runs as that user (every tool of the catalogue, diagnoses of namespaces with faults of several
rules, a snapshot) and meets no 403. Then each single right is taken away from a user of its own: what cannot be seen is
`not_checked`, never healthy, and never an exception. Secrets are looked at with `--secrets` alone.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract.cli import run as run_command

from evals.lab import apply, scenario
from evals.lab.client import LabClient
from evals.lab.lab import Lab
from firstmate.answers import tree_of
from firstmate.arguments import input_schema
from firstmate.calls import Calls, InternalError
from firstmate.catalogue import all_tools
from firstmate_tools.catalogue import declared_reads
from firstmate_tools.cluster.gateway import Gateway
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.errors import DeniedError, FirstmateError, UsageError
from firstmate_tools.kinds import KNOWN
from firstmate_tools.reads import Grant, NonResource
from firstmate_tools.recorder import record

pytestmark = pytest.mark.anyio

SCENARIOS = (
    "app-exits-database-refused",
    "config-key-missing-deployment",
    "image-pull-forbidden-cronjob",
    "image-tag-typo-rollout",
    "limitrange-max-memory",
    "pod-security-restricted-rollout",
    "quota-wants-requests-sidecar",
    "service-account-missing-daemonset",
    "service-target-port-name",
    "topology-label-missing",
    "webhook-backend-removed-breaks-shop",
)
"""Faults of several families, each in a namespace of its own; the last one's webhook comes when all others stand."""
FOLDER = Path(__file__).parents[2] / "evals" / "scenarios"
GROUP = "rbac.authorization.k8s.io"
SECRET_NS, SECRET_VALUE = "least-secrets", "hunter2-least"
ERROR = 'Error from server: configmap "checkout-config" not found'
EXAMPLES = {"kind": "configmaps", "error": ERROR, "runbook": "oomkilled"}
"""What required arguments of tools may be; a tool that needs another one adds it here. `scope` is a pod's."""

Right = tuple[str, str, str]
"""Group, resource or path, verb."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Broken:
    """The lab with its faults."""

    lab: Lab
    namespaces: list[str]
    pod: tuple[str, str]
    role: dict[str, Any]
    bound: set[str] = field(default_factory=set)

    def bind(self, user: str, rules: list[dict[str, Any]]) -> Path:
        """A user who may do what these rules say, and nothing else but what every user may."""
        if user not in self.bound:
            metadata, api = {"name": user}, {"apiVersion": f"{GROUP}/v1"}
            self.lab.client.apply({**api, "kind": "ClusterRole", "metadata": metadata, "rules": rules})
            subject = {"kind": "User", "name": user, "apiGroup": GROUP}
            reference = {"kind": "ClusterRole", "name": user, "apiGroup": GROUP}
            binding = {**api, "kind": "ClusterRoleBinding", "metadata": metadata}
            self.lab.client.apply({**binding, "subjects": [subject], "roleRef": reference})
            self.bound.add(user)
        return self.lab.kubeconfig_for(user)

    def may(self, user: str, right: Right) -> bool:
        group, resource, verb = right
        plural, _, sub = resource.partition("/")
        attributes: dict[str, Any] = {
            "resourceAttributes": {"group": group, "resource": plural, "subresource": sub, "verb": verb}
        }
        if resource.startswith("/"):
            attributes = {"nonResourceAttributes": {"path": resource, "verb": verb}}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, **attributes},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return self.lab.client.request("POST", path, body=review)["status"]["allowed"]

    def settled(self, user: str, has: Right, lacks: Right | None) -> None:
        def holds() -> bool:
            return self.may(user, has) and not (lacks and self.may(user, lacks))

        self.lab.client.wait_until(f"RBAC of {user}", holds, timeout_s=15, every_s=0.05)


def take_a_key_away(client: LabClient) -> None:
    """A Deployment that runs, and whose Secret has lost a key since."""
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SECRET_NS}})
    client.apply(secret({"user": SECRET_VALUE}))
    variable = {"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    pod = {"containers": [{"name": "app", "image": "registry.example/app:1", "env": [variable]}]}
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "cart"}}, "template": template}
    metadata = {"name": "cart", "namespace": SECRET_NS}
    client.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    def runs() -> bool:
        found = client.get("Deployment", "cart", SECRET_NS) or {}
        return found.get("status", {}).get("readyReplicas") == 1

    client.wait_until("cart runs", runs, timeout_s=30)


def secret(keys: Mapping[str, str]) -> dict[str, Any]:
    metadata = {"name": "db", "namespace": SECRET_NS}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(keys)}


@pytest.fixture(scope="module")
def broken() -> Iterator[Broken]:
    with Lab(f"least-{os.getpid()}") as lab:
        take_a_key_away(lab.client)
        namespaces = []
        for name in SCENARIOS:
            one = scenario.load(FOLDER / name)
            apply.set_up(lab, one, apply.begin(lab))
            namespaces.append(one.namespace or str(one.scope).removeprefix("namespace/"))
        pods = [pod["metadata"] for pod in lab.client.list("Pod") if pod["metadata"]["namespace"] in namespaces]
        printed = run_command("rbac")
        assert printed.code == 0
        yield Broken(lab, namespaces, (pods[0]["namespace"], pods[0]["name"]), yaml.safe_load(printed.out))


def rights(role: Mapping[str, Any]) -> list[Right]:
    return [
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", rule.get("nonResourceURLs", []))
        for verb in rule["verbs"]
    ]


def without(role: Mapping[str, Any], right: Right) -> list[dict[str, Any]]:
    """The rules of a role, each right by itself, but one."""
    kept = [one for one in rights(role) if one != right]
    return [
        {"nonResourceURLs": [r], "verbs": [v]}
        if r.startswith("/")
        else {"apiGroups": [g], "resources": [r], "verbs": [v]}
        for g, r, v in kept
    ]


@dataclass
class Said:
    """One call: what was asked, what came, and which reads the API server refused."""

    tool: str
    arguments: dict[str, Any]
    answer: dict[str, Any] | None
    error: FirstmateError | None
    denied: Counter[tuple[str, str]]
    sent: set[tuple[str, str]]

    def left(self, why: str) -> list[str]:
        return [
            e["what"] for e in ((self.answer or {}).get("coverage") or {}).get("not_checked", []) if e["why"] == why
        ]


class One:
    """A `ClusterSet` of one source."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source

    def names(self) -> list[str]:
        return ["lab"]

    def default(self) -> str:
        return "lab"

    def source(self, name: str | None = None) -> LiveSource:
        return self._source


@asynccontextmanager
async def source_of(kubeconfig: Path, user: str) -> AsyncIterator[LiveSource]:
    source = LiveSource("lab", kubeconfig, user_agent=f"firstmate/{user}")
    try:
        yield source
    finally:
        await source.close()


class Refusals(Counter[tuple[str, str]]):
    """The 403 of a call, and what it sent at all: verb and resource."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: set[tuple[str, str]] = set()

    def begin(self) -> None:
        self.clear()
        self.sent = set()


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Refusals:
    """Every 403, counted where the gateway gets it, before anybody makes something of it."""
    counted = Refusals()
    exchange = Gateway._exchange

    async def counting(self: Gateway, request: Any, *rest: Any) -> Any:
        counted.sent.add((request.verb, request.resource))
        answer = await exchange(self, request, *rest)
        if answer.status == 403:
            counted[request.verb, request.resource] += 1
        return answer

    monkeypatch.setattr(Gateway, "_exchange", counting)
    return counted


def suite(broken: Broken) -> list[tuple[str, dict[str, Any]]]:
    """Every tool that looks at a cluster, with arguments with which it answers; diagnoses of everything."""
    namespace, pod = broken.pod
    calls: list[tuple[str, dict[str, Any]]] = []
    for spec in all_tools():
        if spec.given != "cluster":
            continue
        schema = input_schema(spec)
        required = schema.get("required", [])
        unknown = [name for name in required if name not in EXAMPLES and name != "scope"]
        assert not unknown, f"{spec.name} needs {unknown}: add an example"
        arguments = {name: f"pod/{pod}" if name == "scope" else EXAMPLES[name] for name in required}
        place = {"namespace": namespace} if "namespace" in schema["properties"] else {}
        calls.append((spec.name, {**arguments, **place}))
        if place and "scope" not in required:
            calls.append((spec.name, arguments))
        if "scope" in schema["properties"] and "scope" not in required:
            calls.append((spec.name, {**arguments, **place, "scope": f"pod/{pod}"}))
    calls += [("diagnose", {"namespace": one}) for one in dict.fromkeys(broken.namespaces)]
    calls += [("get", {"kind": "nodes"}), ("get", {"kind": "deployments", "namespace": namespace})]
    calls += [("workload_status", {"namespace": one, "detail": "detailed"}) for one in broken.namespaces[:4]]
    calls += [("workload_status", {"namespace": "web", "scope": "deployment/web"})]
    calls += [("diagnose", {"namespace": "no-such-namespace"}), ("events", {"namespace": "no-such-namespace"})]
    return calls


async def asked(source: LiveSource, calls: list[tuple[str, dict[str, Any]]], refusals: Refusals) -> list[Said]:
    """Each call by itself, so that its refusals are its own."""
    found: list[Said] = []
    server = Calls(One(source), all_tools())  # type: ignore[arg-type]
    for tool, arguments in calls:
        refusals.begin()
        try:
            answer, error = tree_of(await server.call(tool, arguments)), None
        except FirstmateError as raised:
            assert not isinstance(raised, InternalError), f"{tool} {arguments}: {raised.__cause__!r}"
            answer, error = None, raised
        found.append(Said(tool, arguments, answer, error, Counter(refusals), refusals.sent))
    return found


async def test_the_printed_role_is_enough_for_everything(broken: Broken, refusals: Refusals, tmp_path: Path) -> None:
    kubeconfig = broken.bind("least", broken.role["rules"])
    broken.settled("least", rights(broken.role)[-1], None)
    causes: set[str] = set()
    async with source_of(kubeconfig, "least") as source:
        for said in await asked(source, suite(broken), refusals):
            assert not said.denied, (said.tool, said.arguments, said.denied)
            assert said.left("denied") == [], (said.tool, said.arguments)
            if said.error is not None:
                assert isinstance(said.error, UsageError), (said.tool, said.arguments, said.error)
            causes |= {root["cause"] for root in (said.answer or {}).get("root_causes", [])}
        reads = declared_reads(all_tools())
        async with source.open(Grant.of(reads), deadline_s=60) as cluster:
            report = await record(cluster, tmp_path / "least.tar.gz", reads=reads)
        assert not refusals
        assert [one.what for one in report.not_recorded if one.why == "denied"] == []
        assert report.objects > 50
    assert len(causes) >= 8, causes


async def test_get_reads_with_the_rights_that_there_are_and_says_what_it_lacks(
    broken: Broken, refusals: Refusals
) -> None:
    """It may read any kind but Secrets, and adds nothing to the role: that is what the role's owner decides."""
    kubeconfig = broken.bind("least", broken.role["rules"])
    namespace, pod = broken.pod
    async with source_of(kubeconfig, "least") as source:
        calls = [("get", {"kind": "pods", "name": pod, "namespace": namespace}), ("get", {"kind": "podtemplates"})]
        one, none = await asked(source, calls, refusals)
    assert one.answer is not None and set(one.left("denied")) == {kind for _, kind in one.denied}
    assert isinstance(none.error, DeniedError) and "podtemplates" in none.error.message


def named(right: Right) -> str:
    """A right's resource as our requests call it: `replicasets.apps`."""
    group, resource, _ = right
    plural, slash, sub = resource.partition("/")
    return f"{plural}.{group}{slash}{sub}" if group else resource


def unsaid(said: Said, right: Right) -> str:
    """What is wrong with an answer of somebody who lacks a right; "" where it says what it could not see."""
    verb, name, plural = right[2], named(right), right[1].partition("/")[0]
    if extra := set(said.denied) - {(verb, name)}:
        return f"more was refused: {extra}"
    if isinstance(said.error, UsageError) or not said.denied:
        return f"denied without a refusal: {said.left('denied')}" if said.left("denied") else ""
    if said.error is not None:
        # What the question itself is about cannot be read: a refusal in words, with the right that helps.
        words = f"{said.error.message} {said.error.hint}"
        return "" if isinstance(said.error, DeniedError) and plural in words else f"{said.error!r}"
    answer = said.answer or {}
    # The newer API serves the same events: who may read those has seen all.
    seen = [one for one in answer["coverage"].get("checked", []) if one != name and one.partition(".")[0] == plural]
    if not seen and not any(plural in what for what in said.left("denied")):
        return f"not said to be denied: {answer['coverage']}"
    return "nothing_found" if answer.get("outcome") == "nothing_found" else ""


async def test_each_right_is_missed_when_it_is_taken_away(broken: Broken, refusals: Refusals, tmp_path: Path) -> None:
    served = {(kind.group, kind.plural) for kind in KNOWN}
    # What products bring is served by no lab: without it, no request is made that could be refused.
    every = [one for one in rights(broken.role) if (one[0], one[1].partition("/")[0]) in served]
    assert len(every) > 30
    calls, reads = suite(broken), declared_reads(all_tools())
    async with source_of(broken.bind("least", broken.role["rules"]), "least") as source:
        whole = await asked(source, calls, refusals)
        refusals.begin()
        async with source.open(Grant.of(reads), deadline_s=60) as cluster:
            await record(cluster, tmp_path / "whole.tar.gz", reads=reads)
        recorded = refusals.sent
    # Who has every right sends nothing that needs one of the others: without it, nothing could be refused either.
    sent = recorded.union(*(one.sent for one in whole))
    needed = [right for right in every if (right[2], named(right)) in sent]
    users = {right: f"least-without-{number}" for number, right in enumerate(needed)}
    kubeconfigs = {right: broken.bind(user, without(broken.role, right)) for right, user in users.items()}
    unmissed = [right for right in every if right not in needed]
    wrong: list[tuple[Any, ...]] = []
    for right in needed:
        request = (right[2], named(right))
        broken.settled(users[right], next(one for one in every if one != right), right)
        async with source_of(kubeconfigs[right], users[right]) as source:
            concerned = [(one.tool, one.arguments) for one in whole if request in one.sent]
            answers = await asked(source, concerned, refusals)
            wrong += [(right, said.tool, said.arguments, why) for said in answers if (why := unsaid(said, right))]
            refusals.begin()
            if request in recorded:
                async with source.open(Grant.of(reads), deadline_s=60) as cluster:
                    report = await record(cluster, tmp_path / "less.tar.gz", reads=reads, force=True)
                word = "log of" if right[1] == "pods/log" else right[1]
                if refusals and not any(word in one.what and one.why == "denied" for one in report.not_recorded):
                    wrong.append((right, "snapshot", {}, "not said to be denied"))
        if not refusals and not any(said.denied for said in answers):
            unmissed.append(right)
    assert wrong == []
    # What is read by name alone (`get`) is mostly what a question's scope may name.
    lists = [one for one in every if one[2] == "list"]
    assert len([one for one in unmissed if one[2] == "list"]) < len(lists) / 5, unmissed
    assert len(unmissed) < len(every) / 2, unmissed


async def test_without_the_right_keys_of_secrets_are_not_checked_and_nothing_is_refused(
    broken: Broken, refusals: Refusals
) -> None:
    kubeconfig = broken.bind("least", broken.role["rules"])
    async with source_of(kubeconfig, "least") as source:
        (said,) = await asked(source, [("diagnose", {"namespace": SECRET_NS})], refusals)
    assert said.answer is not None and not said.denied
    assert said.answer["outcome"] == "nothing_found"
    (left,) = [one for one in said.answer["coverage"]["not_checked"] if one["what"] == "secrets"]
    assert (left["what"], left["why"]) == ("secrets", "not_configured")
    assert "firstmate rbac --secrets" in left["how_to_enable"]


async def test_with_the_right_the_check_runs_and_no_value_comes_out(
    broken: Broken, refusals: Refusals, tmp_path: Path
) -> None:
    role = yaml.safe_load(run_command("rbac", "--secrets").out)
    kubeconfig = broken.bind("least-secrets", role["rules"])
    broken.settled("least-secrets", ("", "secrets", "get"), ("", "secrets", "list"))
    async with source_of(kubeconfig, "least-secrets") as source:
        (said,) = await asked(source, [("diagnose", {"namespace": SECRET_NS})], refusals)
        assert said.answer is not None and not said.denied
        (root,) = said.answer["root_causes"]
        assert (root["cause"], root["object"]["name"], root["severity"]) == (
            "config-reference-missing",
            "cart",
            "warning",
        )
        assert "key password of Secret db" in root["summary"] and "secrets" in said.answer["coverage"]["checked"]
        assert SECRET_VALUE not in json.dumps(said.answer)
        broken.lab.client.apply(secret({"user": SECRET_VALUE, "password": SECRET_VALUE}))
        (mended,) = await asked(source, [("diagnose", {"namespace": SECRET_NS})], refusals)
    assert mended.answer is not None
    assert mended.answer["outcome"] == "nothing_found"
    assert "secrets" not in [one["what"] for one in mended.answer["coverage"].get("not_checked", [])]


async def test_health_and_metrics_are_read_through_the_seam(broken: Broken, tmp_path: Path) -> None:
    reads = [NonResource("/readyz"), NonResource("/metrics"), NonResource("/debug/api_priority_and_fairness/*")]
    role = [{"nonResourceURLs": [one.path for one in reads], "verbs": ["get"]}]
    kubeconfig = broken.bind("least-paths", role)
    broken.settled("least-paths", ("", "/metrics", "get"), None)
    dump = "/debug/api_priority_and_fairness/dump_priority_levels"
    async with source_of(kubeconfig, "least-paths") as source, source.open(Grant.of(reads)) as cluster:
        assert "[+]etcd ok" in await cluster.text("/readyz?verbose")
        assert "apiserver_request_total{" in await cluster.text("/metrics")
        assert "PriorityLevelName" in await cluster.text(dump)
        assert [one.allowed for one in await cluster.access(reads, None)] == [True, True, True]
        report = await record(cluster, tmp_path / "paths.tar.gz", reads=reads)
        assert [path for path, entry in report.manifest.paths.items() if entry.outcome == "collected"] == [
            f"{dump.removesuffix('priority_levels')}{name}" for name in ("priority_levels", "queues", "requests")
        ] + ["/metrics", "/readyz"]
    least = broken.bind("least", broken.role["rules"])
    async with source_of(least, "least") as source, source.open(Grant.of(reads)) as cluster:
        assert [one.allowed for one in await cluster.access(reads[1:], None)] == [False, False]
        with pytest.raises(DeniedError, match="/metrics"):
            await cluster.text("/metrics")


async def test_the_audit_log_knows_of_reads_and_reviews_alone(broken: Broken) -> None:
    """All that the users of this module sent, by the API server's own account."""
    await asyncio.sleep(1)
    events = [json.loads(line) for line in broken.lab.audit_log.read_text().splitlines() if '"firstmate/least' in line]
    assert len(events) > 100
    verbs = Counter((one["verb"], one.get("objectRef", {}).get("resource", one["requestURI"])) for one in events)
    writes = {what for what in verbs if what[0] not in ("get", "list")}
    assert writes <= {("create", "selfsubjectaccessreviews"), ("create", "selfsubjectrulesreviews")}
    assert not [one for one in events if one.get("objectRef", {}).get("subresource", "log") not in ("log", "")]
