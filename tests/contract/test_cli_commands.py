"""The other commands: tools, runbooks, snapshot, doctor, config, serve's refusals, the root."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from builders import obj
from contract.cli import run
from contract.server_doubles import Clusters, needed, record_shop, shop

from firstmate.catalogue import all_tools
from firstmate.cli import COMMANDS
from firstmate.cli.clients import CLIENTS
from firstmate_tools.toolspec import ToolSpec


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(record_shop(tmp_path_factory.mktemp("shop")))


def test_version_and_help() -> None:
    assert run("--version").out.startswith("firstmate 0.")
    helped = run("--help")
    assert helped.code == 0 and all(name in helped.out for name in ("demo", "diagnose", "serve", "doctor", "config"))
    assert run().code in {0, 2}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--snapshot", "demo"],
        ["--snapshot=demo"],
        ["-n", "tools"],
        ["-ntools"],
        ["--context", "serve", "--format", "json"],
    ],
)
def test_values_of_the_roots_options_are_no_commands(arguments: list[str]) -> None:
    helped = run(*arguments, "--help")
    assert helped.code == 0 and all(name in helped.out for name in COMMANDS)
    ran = run(*arguments, "config")
    assert ran.code == 0 and "cursor" in ran.out


def test_a_mistyped_command_is_told_with_the_nearest() -> None:
    ran = run("diagnos")
    assert ran.code == 2 and "diagnose" in ran.err


@pytest.mark.parametrize("spec", all_tools(), ids=lambda spec: spec.name)
def test_every_tool_can_be_called_from_the_shell(spec: ToolSpec, snapshot: str) -> None:
    words = {name: v if isinstance(v, str) else json.dumps(v) for name, v in needed(spec).items()}
    command = ["tools", "call", spec.name, *(f"{k}={v}" for k, v in words.items()), "--snapshot", snapshot]
    ran = run(*command)
    assert ran.code == 0, ran.err
    tree = json.loads(ran.out)
    assert "coverage" in tree
    for format in ("text", "markdown"):
        shown = run(*command, "--format", format)
        assert shown.code == 0 and "coverage" in shown.out


def test_arguments_come_as_pairs_or_json(snapshot: str) -> None:
    pairs = run(
        "tools", "call", "pod_status", "namespace=shop", "unhealthy_only=true", "limit=1", "--snapshot", snapshot
    )
    as_json = run(
        "tools",
        "call",
        "pod_status",
        "--json",
        '{"namespace": "shop", "unhealthy_only": true, "limit": 1}',
        "--snapshot",
        snapshot,
    )
    flag = run("tools", "call", "pod_status", "unhealthy_only=yes", "limit=1", "-n", "shop", "--snapshot", snapshot)
    assert pairs.out == as_json.out == flag.out and pairs.code == 0


def test_a_namespace_goes_only_to_tools_that_take_one(snapshot: str) -> None:
    for tool, *arguments in (["node_status"], ["clusters"], ["get_runbook", "runbook=oomkilled"]):
        ran = run("tools", "call", tool, *arguments, "-n", "shop", "--snapshot", snapshot)
        assert ran.code == 0, ran.err


def test_namespace_and_format_may_come_from_the_environment(snapshot: str) -> None:
    command = ["tools", "call", "pod_status", "--snapshot", snapshot]
    shop, other = run(*command, "-n", "shop"), run(*command, "-n", "default")
    assert shop.out != other.out
    assert run(*command, FIRSTMATE_NAMESPACE="shop").out == shop.out
    assert run(*command, "-n", "default", FIRSTMATE_NAMESPACE="shop").out == other.out
    assert run("-n", "default", *command, FIRSTMATE_NAMESPACE="shop").out == other.out
    assert json.loads(run("runbooks", "list", FIRSTMATE_FORMAT="json").out)
    assert run("runbooks", "list", FIRSTMATE_FORMAT="yaml").code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pod_status", "namspace=shop"], "did you mean `namespace`?"),
        (["pod_statu"], "Did you mean `pod_status`?"),
        (["pod_status", "shop"], "'shop' is no ARGUMENT=VALUE."),
        (["pod_status", "--json", "{"], "--json is not JSON"),
        (["pod_status", "--json", "[]"], "--json takes an object."),
        (["pod_status", "limit=many"], "Argument `limit` of pod_status is wrong"),
        (["pod_status", "cluster=other"], "There are: shop."),
    ],
)
def test_a_wrong_call_exits_2_and_says_what_is_right(snapshot: str, arguments: list[str], words: str) -> None:
    ran = run("tools", "call", *arguments, "--snapshot", snapshot)
    assert ran.code == 2 and words in ran.err and ran.out == ""


def test_tools_list_shows_arguments() -> None:
    assert "[namespace=STRING]" in run("tools", "list").out
    listed = json.loads(run("tools", "list", "--format", "json").out)
    assert [one["name"] for one in listed] == [spec.name for spec in all_tools()]


def test_runbooks_are_listed_and_shown_by_slug_or_cause() -> None:
    listed = json.loads(run("runbooks", "list", "--format", "json").out)
    assert "oomkilled" in [one["slug"] for one in listed]
    assert "oomkilled" in run("runbooks", "list").out
    by_slug, by_cause = run("runbooks", "show", "oomkilled"), run("runbooks", "show", "oom-killed-container-limit")
    assert by_slug.out == by_cause.out and by_slug.out.startswith("# ")
    assert json.loads(run("runbooks", "show", "oomkilled", "--format", "json").out)["slug"] == "oomkilled"
    missing = run("runbooks", "show", "oomkill")
    assert missing.code == 2 and "Did you mean `oomkilled`?" in missing.err


def test_a_recording_can_be_looked_into_and_recorded_again(snapshot: str, tmp_path: Path) -> None:
    told = json.loads(run("snapshot", "info", snapshot, "--format", "json").out)
    assert told["version"] == "v1.36.2" and "pods" in told["collected"] and told["namespaces"] == "all"
    again = str(tmp_path / "again.tar.gz")
    made = run("--snapshot", snapshot, "snapshot", "create", again, "--format", "json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["objects"] > 0
    first = json.loads(run("diagnose", "--snapshot", snapshot, "--format", "json").out)
    second = json.loads(run("diagnose", "--snapshot", again, "--format", "json").out)
    assert first["root_causes"] == second["root_causes"]
    assert run("--snapshot", snapshot, "snapshot", "create", again).code == 2  # it is there already


def test_secrets_are_recorded_when_asked_for_by_name_and_key_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = shop()
    secret = obj("Secret", "db", "shop", data={"password": "aHVudGVyMg=="}, type="Opaque")
    live.shelves["", "secrets"] = [secret]  # past the gateway's scrubbing: the recorder must do it as well
    monkeypatch.setattr("firstmate.clusters.ConfiguredClusters", lambda _: Clusters(shop=live))
    made = run("snapshot", "create", str(tmp_path / "without"))
    assert made.code == 0 and not (tmp_path / "without/objects/secrets").exists()
    made = run("snapshot", "create", str(tmp_path / "with"), "--secrets")
    assert made.code == 0, made.err
    (kept,) = (tmp_path / "with/objects/secrets").iterdir()
    found = json.loads(kept.read_text())
    assert found["metadata"]["name"] == "db" and found["data"] == {"password": ""}
    assert not any(b"aHVudGVyMg" in one.read_bytes() for one in (tmp_path / "with").rglob("*") if one.is_file())


@pytest.mark.parametrize("command", [["tools", "list"], ["runbooks", "list"], ["snapshot", "info"]])
def test_commands_about_no_cluster_take_the_flag_for_one_too(command: list[str]) -> None:
    after, before = run(*command, "--snapshot", "demo"), run("--snapshot", "demo", *command)
    assert after.code == 0 and after.out == before.out, after.err


def test_a_recording_must_be_named() -> None:
    ran = run("snapshot", "info")
    assert ran.code == 2 and "No recording is named" in ran.err


def test_doctor_says_who_answers_and_what_may_be_read(snapshot: str) -> None:
    told = json.loads(run("doctor", "--snapshot", snapshot, "--format", "json").out)
    assert told["cluster"]["name"] == "shop" and "pods" in told["may_read"]
    assert "✓ shop answers" in run("doctor", "--snapshot", snapshot).out


def _parsed(client: str, text: str) -> Any:
    if client == "codex":
        return tomllib.loads(text)
    if client == "continue":
        import yaml

        return yaml.safe_load(text)
    return json.loads(text)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_configuration_of_every_client_starts_the_server(client: Any) -> None:
    ran = run("config", client.name, "--context", 'a "b"')
    assert ran.code == 0 and client.where in ran.err
    text = json.dumps(_parsed(client.name, ran.out))
    assert "serve" in text and json.dumps('a "b"')[1:-1] in text
    command = next(word for word in _strings(_parsed(client.name, ran.out)) if "firstmate" in word and "/" in word)
    assert Path(command).is_absolute() and Path(command).is_file()


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [word for one in inner for word in _strings(one)]


def test_config_knows_clients_by_other_spellings_and_tells_the_nearest() -> None:
    assert run("config", "Claude_Code").out == run("config", "claude-code").out
    assert "Did you mean `cursor`?" in run("config", "curser").err
    assert "cursor" in run("config").out


def test_a_relative_snapshot_is_made_absolute_for_clients(snapshot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(snapshot).parent)
    assert snapshot in run("config", "cursor", "--snapshot", "shop.tar.gz").out
    assert '"demo"' in run("config", "cursor", "--snapshot", "demo").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "1"], "need --transport http"),
        (["--transport", "http", "--host", "0.0.0.0", "--port", "0"], "missing: --allow-unauthenticated and http"),
        (["--transport", "http", "--host", "0.0.0.0", "--allow-unauthenticated"], "missing: http.allow_unauth"),
    ],
)
def test_serve_refuses_what_it_should_not_do(arguments: list[str], words: str) -> None:
    ran = run("serve", "--snapshot", "demo", *arguments)
    assert ran.code == 2 and words in ran.err


def test_serve_listens_beyond_loopback_without_tokens_when_told_twice() -> None:
    beyond = ["serve", "--snapshot", "demo", "--transport", "http", "--host", "192.0.2.1", "--port", "0"]
    once = run(*beyond, FIRSTMATE_HTTP__ALLOW_UNAUTHENTICATED="true")
    assert once.code == 2 and "missing: --allow-unauthenticated." in once.err
    twice = run(*beyond, "--allow-unauthenticated", FIRSTMATE_HTTP__ALLOW_UNAUTHENTICATED="true")
    assert twice.code == 2 and "Cannot listen on 192.0.2.1" in twice.err  # an address that nobody has


def test_serve_fails_at_the_start_where_there_is_no_snapshot() -> None:
    for ran in (run("serve", "--snapshot", "/nope"), run("serve", FIRSTMATE_SNAPSHOT="/nope")):
        assert ran.code == 2 and "There is no snapshot /nope" in ran.err


@pytest.mark.parametrize("flag", ["--context", "--kubeconfig"])
def test_config_refuses_a_snapshot_beside_a_live_cluster(flag: str) -> None:
    ran = run("config", "cursor", "--snapshot", "./x", flag, "y")
    assert ran.code == 2 and f"--snapshot and {flag} exclude each other" in ran.err and ran.out == ""


def test_a_fault_of_ours_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("hunter2")

    monkeypatch.setattr("firstmate.runbooks.library.library", broken)
    ran = run("runbooks", "list")
    assert ran.code == 3 and ran.err.startswith("firstmate: Internal error")
    assert "hunter2" not in ran.err and "Traceback" not in ran.err
