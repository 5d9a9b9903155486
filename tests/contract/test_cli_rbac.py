"""`firstmate rbac`: the least role from what the tools declare, and deploy/rbac.yaml, which it prints."""

import json
from pathlib import Path

import pytest
import yaml
from contract.cli import run

from firstmate import rbac
from firstmate.catalogue import all_tools
from firstmate_tools.catalogue import declared_reads
from firstmate_tools.kinds import NAMESPACE, NODE, POD, SECRET
from firstmate_tools.reads import AnyKindButSecrets, AwsRead, Grant, NonResource, Read
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import ToolSpec, spec_of, tool

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy" / "rbac.yaml"


def spec(*reads: object) -> ToolSpec:
    @tool(title="x", reads=reads)  # type: ignore[arg-type]
    async def later_tool() -> Answer:
        """Something that a later version looks at."""
        return Answer()

    found = spec_of(later_tool)
    assert found is not None
    return found


def role(*arguments: str) -> dict[str, object]:
    ran = run("rbac", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return yaml.safe_load(ran.out)


def rights(printed: dict[str, object]) -> set[tuple[str, str, str]]:
    rules = printed["rules"]
    assert isinstance(rules, list)
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", rule.get("nonResourceURLs", []))
        for verb in rule["verbs"]
    }


def test_the_deployed_role_is_what_the_command_prints() -> None:
    printed = run("rbac", "--service-account", "firstmate/firstmate").out
    assert DEPLOYED.read_text() == printed, (
        "run: firstmate rbac --service-account firstmate/firstmate > deploy/rbac.yaml"
    )


def test_the_role_gives_every_declared_read_and_no_other() -> None:
    declared = [read for read in declared_reads(all_tools()) if isinstance(read, Read) and not read.optional]
    named = {(r.kind.group, f"{r.kind.plural}/{r.subresource}".rstrip("/"), verb) for r in declared for verb in r.verbs}
    paths = {("", r.path, "get") for r in declared_reads(all_tools()) if isinstance(r, NonResource) and not r.optional}
    assert rights(role()) == named | paths


def test_no_wildcards_no_secrets_no_writes() -> None:
    printed = rights(role())
    assert not any("*" in part for right in printed for part in right)
    assert {verb for _, _, verb in printed} <= {"get", "list"}
    assert "secrets" not in {resource for _, resource, _ in printed}
    assert not {r for _, r, _ in printed} & {
        "pods/exec",
        "pods/proxy",
        "nodes/proxy",
        "pods/portforward",
        "pods/attach",
    }


def test_secrets_are_added_when_asked_for_and_never_listed() -> None:
    assert rights(role("--secrets")) - rights(role()) == {("", "secrets", "get"), ("", "/metrics", "get")}


def test_one_tool_needs_less() -> None:
    assert rights(role("--tool", "node_status")) == {
        ("", "nodes", "get"),
        ("", "nodes", "list"),
        ("", "pods", "list"),
    }
    assert rights(role("--tool", "get", "--tool", "clusters")) == set()


def test_comments_say_which_tools_need_each_rule() -> None:
    out = run("rbac", "--tool", "node_status", "--tool", "events").out
    assert "# nodes: node_status" in out and "# events: events" in out


def test_a_role_for_one_namespace_says_what_it_cannot_give() -> None:
    ran = run("rbac", "-n", "shop").out
    printed = yaml.safe_load(ran)
    assert (printed["kind"], printed["metadata"]["namespace"]) == ("Role", "shop")
    assert ("", "namespaces", "get") in rights(printed) and ("", "namespaces", "list") not in rights(printed)
    assert "nodes" not in {resource for _, resource, _ in rights(printed)}
    words = " ".join(line.lstrip("# ") for line in ran.splitlines() if line.startswith("#"))
    assert "no Role can give it" in words and "nodes" in words and "validatingwebhookconfigurations" in words


@pytest.mark.parametrize(("where", "kind"), [((), "ClusterRoleBinding"), (("-n", "shop"), "RoleBinding")])
def test_a_service_account_comes_bound(where: tuple[str, ...], kind: str) -> None:
    documents = list(yaml.safe_load_all(run("rbac", *where, "--service-account", "ops/firstmate").out))
    found = {one["kind"]: one for one in documents}
    assert found[kind]["roleRef"]["name"] == documents[0]["metadata"]["name"]
    assert found[kind]["subjects"] == [{"kind": "ServiceAccount", "name": "firstmate", "namespace": "ops"}]
    assert found["ServiceAccount"]["metadata"] == {"name": "firstmate", "namespace": "ops"}


def test_json_is_the_same() -> None:
    arguments = ("--service-account", "ops/firstmate", "--secrets")
    as_json = json.loads(run("rbac", *arguments, "--format", "json").out)
    assert as_json["items"] == list(yaml.safe_load_all(run("rbac", *arguments).out))
    assert json.loads(run("rbac", "--format", "json").out)["kind"] == "ClusterRole"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tool", "pod_statu"), "Did you mean `pod_status`?"),
        (("--toolsets", "cor"), "core"),
        (("--service-account", "firstmate"), "NAMESPACE/NAME"),
        (("--service-account", "Ops/firstmate"), "not a namespace"),
        (("-n", "a b"), "not a namespace"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments: tuple[str, ...], said: str) -> None:
    ran = run("rbac", *arguments)
    assert (ran.code, ran.out) == (2, "") and said in ran.err


def test_an_odd_account_name_stays_a_string_in_yaml() -> None:
    for name in ("on", "12", "1e3", "null", "a: b", "x # y", "- z"):
        documents = list(yaml.safe_load_all(run("rbac", "--service-account", f"ops/{name}").out))
        assert documents[1]["metadata"]["name"] == name


def test_what_a_later_tool_declares_comes_by_itself() -> None:
    later = spec(NonResource("/metrics"), NonResource("/debug/api_priority_and_fairness/*"), Read(POD, ("list",)))
    wanted = rbac.Wanted([later])
    assert rbac.documents(wanted)[0]["rules"][-1] == {
        "nonResourceURLs": ["/debug/api_priority_and_fairness/*", "/metrics"],
        "verbs": ["get"],
    }
    assert yaml.safe_load(rbac.manifest(wanted)) == rbac.documents(wanted)[0]
    assert "# /metrics: later_tool" in rbac.manifest(wanted)
    assert rbac.left_out(wanted.reads()) == ["/debug/api_priority_and_fairness/*", "/metrics"]


def test_what_one_needs_and_another_takes_where_it_may_is_needed() -> None:
    one, other = spec(Read(SECRET, ("get", "list"), optional=True)), spec(Read(SECRET, ("get",)), NonResource("/livez"))
    joined = declared_reads([one, other, spec(NonResource("/livez", optional=True), AnyKindButSecrets())])
    assert joined == (
        Read(SECRET, ("get",)),
        Read(SECRET, ("list",), optional=True),
        AnyKindButSecrets(),
        NonResource("/livez"),
    )


def test_a_grant_holds_paths_and_aws_operations_apart() -> None:
    grant = Grant.of([NonResource("/readyz/*"), AwsRead("eks", "ListClusters"), Read(NODE), Read(NAMESPACE, ("get",))])
    assert grant.allows_path("/readyz/etcd") and not grant.allows_path("/readyz") and not grant.allows_path("/metrics")
    assert grant.allows_aws("eks", "ListClusters") and not grant.allows_aws("eks", "DescribeCluster")
    assert not Grant.of([AnyKindButSecrets()]).allows_path("/metrics")


@pytest.mark.parametrize("path", ["metrics", "/*", "/a*b", "/metrics?x=1"])
def test_a_path_that_could_mean_anything_cannot_be_declared(path: str) -> None:
    with pytest.raises(TypeError):
        NonResource(path)
