"""`firstmate diagnose` for people and for scripts."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract.cli import Ran, run
from contract.server_doubles import MESSAGE, record_shop


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(record_shop(tmp_path_factory.mktemp("shop")))


def test_a_person_reads_verdict_cause_proof_runbook_and_next_command(snapshot: str) -> None:
    ran = run("diagnose", "--snapshot", snapshot)
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == "✗ 1 problem in the cluster"
    assert "shop (v1.36.2), recording shop.tar.gz, 2026-11-21 02:00:00 UTC" in lines[1]
    assert "1. CRITICAL  image-not-found  Deployment shop/cart" in ran.out
    assert "image-pull-not-found  firstmate runbooks show image-pull-not-found" in ran.out
    assert MESSAGE[:60] in ran.out
    assert f"--snapshot {snapshot}" in " ".join(ran.out.split())
    assert "\x1b" not in ran.out and not any(line != line.rstrip() for line in lines)


def test_a_script_gets_the_structured_content_and_nothing_else(snapshot: str) -> None:
    ran = run("diagnose", "deployment/cart", "-n", "shop", "--snapshot", snapshot, "--format", "json")
    assert ran.code == 1 and ran.err == ""
    tree = json.loads(ran.out)
    assert list(tree)[:2] == ["cluster", "observed_at"] and list(tree)[-1] == "coverage"
    assert tree["outcome"] == "problems_found" and "null" not in ran.out
    assert MESSAGE in [one["value"] for one in tree["root_causes"][0]["evidence"]]  # no fence


def test_the_same_question_gives_the_same_bytes(snapshot: str) -> None:
    first, second = (run("diagnose", "--snapshot", snapshot, "--format", "json") for _ in range(2))
    assert first.out == second.out


def test_markdown_is_for_a_ticket(snapshot: str) -> None:
    ran = run("diagnose", "--snapshot", snapshot, "--format", "markdown")
    assert ran.out.startswith("# 1 problem in the cluster\n")
    assert "## 1. CRITICAL: `image-not-found` at Deployment shop/cart" in ran.out


def test_flags_may_stand_before_the_command_too(snapshot: str) -> None:
    before = run("--snapshot", snapshot, "-n", "shop", "--format", "json", "diagnose")
    after = run("diagnose", "--snapshot", snapshot, "-n", "shop", "--format", "json")
    assert before.out == after.out and before.code == 1


def test_what_is_well_exits_0(snapshot: str) -> None:
    ran = run("diagnose", "pod/web", "-n", "shop", "--snapshot", snapshot)
    assert (ran.code, ran.out.splitlines()[0][0]) in {(0, "✓"), (3, "?")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["diagnose", "everything"], "Unknown scope 'everything'"),
        (["diagnose", "deployment/nope", "-n", "shop"], "nope"),
        (["diagnose", "--snapshot", "/nowhere.tar.gz"], "There is no snapshot /nowhere.tar.gz."),
        (["diagnose", "--config", "/nowhere.toml"], "There is no configuration file /nowhere.toml."),
        (["diagnose", "--kubeconfig", "/nowhere", "--snapshot", "demo"], "exclude each other"),
    ],
)
def test_usage_and_configuration_exit_2_with_a_sentence(snapshot: str, arguments: list[str], words: str) -> None:
    named = [] if "--snapshot" in arguments else ["--snapshot", snapshot]
    ran = run(*arguments, *named)
    assert ran.code == 2
    assert words in ran.err and ran.out == ""
    assert "Traceback" not in ran.err


def test_an_unknown_option_exits_2(snapshot: str) -> None:
    assert run("diagnose", "--snapshoot", snapshot).code == 2


def test_an_unreachable_cluster_exits_3(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "{current-context: a, contexts: [{name: a, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: u, user: {token: hunter2}}]}"
    )
    ran = run("diagnose", "--kubeconfig", str(kubeconfig))
    assert ran.code == 3
    assert "Traceback" not in ran.err and "hunter2" not in ran.err and ran.err.startswith("firstmate: ")


def test_the_real_program_exits_likewise(snapshot: str) -> None:
    command = [sys.executable, "-m", "firstmate", "diagnose", "--snapshot", snapshot, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["outcome"] == "problems_found" and done.stderr == ""


def diagnosis(**rest: Any) -> dict[str, Any]:
    at = {"kind": "Deployment", "namespace": "shop", "name": "cart"}
    root = {
        "cause": "quota-exceeded",
        "object": {"kind": "ResourceQuota", "namespace": "shop", "name": "all"},
        "severity": "warning",
        "confidence": "likely",
        "since": "2026-11-21T00:00:00Z",
        "summary": "It is [bold]full[/bold].",
        "evidence": [{"object": at, "field": "status", "value": "a `tick` and [red]markup[/red]"}],
        "explains": [{"cause": "replicas-missing", "object": at}] * 20,
        "affects": [at],
        "runbook": "resourcequota-exceeded",
        "next": [{"tool": "diagnose", "arguments": {"scope": "deployment/cart", "namespace": "shop"}, "why": "again"}],
    }
    return {
        "cluster": {"name": "prod", "version": "v1.34.1"},
        "observed_at": "2026-11-21T02:00:00Z",
        "scope": "namespace/shop",
        "outcome": "problems_found",
        "root_causes": [root],
        "unexplained": [{"object": at, "symptom": "odd"}],
        "ruled_out": [{"cause": "oom-killed-container-limit", "why": "no kill was seen"}],
        "coverage": {"not_checked": [{"what": "events", "why": "timed_out", "how_to_enable": "Ask again."}]},
    } | rest


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[[dict[str, Any]], Ran]:
    from firstmate.cli.show_diagnosis import show

    def text(tree: dict[str, Any]) -> Ran:
        show(tree, ["--context", "prod"])
        return Ran(0, *capsys.readouterr())

    return text


def test_everything_that_a_diagnosis_says_is_shown(shown: Callable[[dict[str, Any]], Ran]) -> None:
    out = shown(diagnosis()).out
    assert "✗ 1 problem in namespace shop" in out
    assert "1. WARNING  quota-exceeded  ResourceQuota shop/all\n" in out
    assert "It is [bold]full[/bold].  likely, since 00:00 (2 h)\n" in out
    assert "and 8 more" in out and "├─ replicas-missing  Deployment shop/cart" in out
    assert "firstmate diagnose deployment/cart -n shop --context prod" in out
    assert "Deployment shop/cart: odd" in out
    assert "oom-killed-container-limit: no kill was seen" in out
    assert "events (timed out) — Ask again." in out


def test_cluster_text_is_never_taken_for_markup(shown: Callable[[dict[str, Any]], Ran]) -> None:
    out = shown(diagnosis()).out
    assert "It is [bold]full[/bold]." in out and "[red]markup[/red]" in out


def test_inconclusive_does_not_look_healthy(shown: Callable[[dict[str, Any]], Ran]) -> None:
    out = shown(diagnosis(outcome="inconclusive", root_causes=[], scope="cluster")).out
    assert out.splitlines()[0] == "? Inconclusive: not everything in the cluster could be looked at"


def test_cluster_text_cannot_leave_its_code_span_in_markdown() -> None:
    from firstmate.cli.show_markdown import diagnosis as markdown

    assert "``a `tick` and [red]markup[/red]``" in markdown(diagnosis(), [])
