"""The linter of runbooks: what it refuses, at which line, and that the bundled runbooks give it nothing to refuse."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from cli import run

from firstmate.cli.lintrunbooks import own_command
from firstmate.runbooks.knownalerts import AWS, KUBERNETES_MIXIN, NO_RUNBOOK
from firstmate.runbooks.library import library
from firstmate.runbooks.lint.commands import Script, faults, is_inline_command
from firstmate.runbooks.lint.linting import Report, Surroundings, lint
from firstmate.runbooks.lint.prose import SECTIONS
from firstmate.runbooks.lint.shell import ShellError, assigned, calls
from firstmate_tools.aws.commands import wrong_with

TODAY = date(2026, 11, 21)
SOUND = """---
name: it-burns
description: Use when it burns.
---

# It burns

```yaml runbook
causes: [fire]
alerts: [KubePodCrashLooping]
parameters:
  - name: cluster
    type: string
    description: Which cluster
  - name: namespace
    type: string
    description: Where
    required: true
owner: us
last_reviewed: 2026-11-21
kubernetes: '>=1.29'
```

## When this applies

Smoke rises.

## When it does not

| sign | runbook |
|---|---|
| only steam | `it-steams` |

## Diagnose

```bash
kubectl --context "$CONTEXT" -n "$NAMESPACE" get pods
```

## Fix

Put it out.

## Verify

No smoke.

## Roll back

None.

## Escalate

The fire brigade.
"""


def report(folder: Path, text: str = SOUND, **around: object) -> Report:
    path = folder / "it-burns" / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    given: dict[str, object] = {
        "causes": {"fire": "it-burns"},
        "own": lambda words: None,
        "steps": lambda runbook: (),
        "replayed": None,
        "today": TODAY,
        "others": {"it-steams"},
        **around,
    }
    return lint([path], Surroundings(**given))  # type: ignore[arg-type]


def test_a_sound_runbook_is_not_complained_about(tmp_path: Path) -> None:
    found = report(tmp_path)
    assert found.complaints == () and found.uncovered == ()
    assert found.without_steps == ("it-burns",) and found.readings["it-burns"].commands == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("## Roll back", "## Rollback", 48, "there is no section 'Rollback'"),
        ("\n## Escalate\n\nThe fire brigade.\n", "", 1, "no section Escalate"),
        ("causes: [fire]", "causes: [fire, flood]", 9, "there is no cause flood"),
        ("KubePodCrashLooping", "KubePodBurning", 10, "nobody knows an alert KubePodBurning"),
        ("2026-11-21", "2025-11-20", 20, "last reviewed 366 days ago"),
        ("2026-11-21", "2027-11-21", 20, "which is to come"),
        ("`it-steams`", "`it-streams`", 32, "there is no runbook it-streams"),
        ('--context "$CONTEXT" ', "", 37, "it does not say which cluster"),
        ("get pods", "got pods", 37, "there is no subcommand 'got'; `get`?"),
        ("get pods", "get pods POD_NAME", 37, "the placeholder POD_NAME is no parameter"),
        ("$NAMESPACE", "$NAMSPACE", 37, "the placeholder $NAMSPACE is no parameter"),
        ("get pods", "get 'pods", 37, "a quote does not close"),
        ("Put it out.", "Put it [out](../out.md).", 42, "the link ../out.md leads nowhere"),
        ("Put it out.", "See http://example.com/fire.", 42, "is not https"),
        (
            "  - name: cluster",
            "  - name: colour\n    type: string\n    description: x\n  - name: cluster",
            12,
            "nothing uses",
        ),
        ("description: Which cluster", "description: Which cluster\n    required: true", 12, "cluster is required"),
    ],
)
def test_what_is_refused_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in SOUND
    found = report(tmp_path, SOUND.replace(old, new))
    assert any(one.line == line and words in one.what for one in found.complaints), found.complaints
    assert all(one.mend for one in found.complaints)


def test_what_is_no_runbook_is_told_with_its_line(tmp_path: Path) -> None:
    (found,) = report(tmp_path, SOUND.replace("owner: us", "ownr: us")).complaints
    assert "owner" in found.what and found.line > 1


def test_a_cause_of_another_runbook_is_refused(tmp_path: Path) -> None:
    (found,) = report(tmp_path, causes={"fire": "it-steams"}).complaints
    assert found.what == "the cause fire belongs to it-steams"


def test_a_cause_without_a_runbook_is_told(tmp_path: Path) -> None:
    assert report(tmp_path, causes={"fire": "it-burns", "flood": "it-floods"}).uncovered == ("flood",)


def test_people_name_their_own_alerts(tmp_path: Path) -> None:
    mine = SOUND.replace("KubePodCrashLooping", "ShopIsOnFire")
    assert report(tmp_path, mine).complaints
    assert not report(tmp_path, mine, complete=False).complaints


def test_steps_are_judged_and_want_a_replay_case(tmp_path: Path) -> None:
    step = "```yaml step\nid: look\ncheck: pod_status\n```\n\n## Fix"
    text = SOUND.replace("## Fix", step)
    found = report(tmp_path, text, steps=lambda runbook: [(38, "it loops", "end it")], replayed=set())
    assert [one.what for one in found.complaints] == ["it has steps and no replay case", "it loops"]
    assert not report(tmp_path, text, replayed={"it-burns"}).complaints


def test_no_two_runbooks_share_a_paragraph(tmp_path: Path) -> None:
    long = "When smoke rises from the rack, cut the power first and ask questions of the owner afterwards."
    paths: list[Path] = []
    for name in ("it-burns", "it-floods"):
        path = tmp_path / name / "SKILL.md"
        path.parent.mkdir()
        path.write_text(SOUND.replace("name: it-burns", f"name: {name}").replace("Smoke rises.", long))
        paths.append(path)
    around = Surroundings({"fire": "it-burns"}, lambda words: None, lambda one: (), None, TODAY, others={"it-steams"})
    whats = [one.what for one in lint(paths, around).complaints if one.path == paths[1]]
    assert "the same paragraph stands in it-burns, line 26" in whats
    assert "the cause fire has a runbook already, it-burns" in whats


def test_programs_of_a_script_are_found_wherever_they_stand() -> None:
    script = (
        "A=1 B=2 kubectl get pods | grep -v Running > out.txt 2>&1 && helm list\n"
        'for pod in $(kubectl get pods -o name); do kubectl logs "$pod" \\\n  --tail=5; done\n'
        "cat <<'EOF' | kubectl apply -f -\nkind: 'Pod\nEOF\n"
        'echo "$(aws sts get-caller-identity)" # helm nonsense\n'
        "kubectl get pods -o jsonpath='{range .items[*]}\n{end}'\n"
    )
    found = [" ".join(call.words[:2]) for call in calls(script)]
    assert found == [
        "kubectl get", "grep -v", "helm list", "for pod", "kubectl get", "kubectl logs", "done", "cat", "kubectl apply",
        "aws sts", "echo $(aws sts get-caller-identity)", "kubectl get",
    ]  # fmt: skip
    assert assigned(script) == {"A", "B", "pod"}
    for broken in ("kubectl get 'x", "cat <<EOF\nx\n"):
        with pytest.raises(ShellError):
            calls(broken)


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ('kubectl --context "$CONTEXT" rollout restart deployment/x', None),
        ('kubectl --context "$CONTEXT" rollout again deployment/x', "rollout is followed by"),
        ("kubectl config get-contexts", None),
        ("helm history x", "--kube-context"),
        ('helm --kube-context "$CONTEXT" history x', None),
        ("aws ec2 describe-instances --instance-ids i-1", None),
        ("aws --region eu-west-1 eks update-kubeconfig --name x", None),
        ("aws ec2 describe-instance --instance-ids i-1", "aws ec2 has no command 'describe-instance'"),
        ("aws ecs2 describe-x", "aws has no service 'ecs2'"),
        ("aws eks", "a service and an operation are missing"),
        ('kubectl --context "$CONTEXT" get nodes -o custom-columns=NAME:.metadata.name', None),
        ('kubectl --context "$CONTEXT" patch svc x -p \'{"spec":{"type":"NODE_PORT"}}\'', None),
    ],
)
def test_commands_that_do_not_exist_are_refused(command: str, wrong: str | None) -> None:
    found = list(faults([Script(1, command)], ["cluster"], lambda words: None))
    assert [wrong in one.what for one in found] == [True] if wrong else not found


def test_commands_of_firstmate_itself_are_held_against_it() -> None:
    assert own_command(["diagnose", "deployment/x", "-n", "shop", "--format", "json"]) is None
    assert own_command(["--context", "prod", "runbooks", "show", "oomkilled"]) is None
    assert own_command(["diagnos"]) == "there is no subcommand 'diagnos'; `diagnose`?"
    assert own_command(["diagnose", "--formt=json"]) == "there is no option --formt; `--format`?"
    assert own_command(["runbooks"]) == "the subcommand is missing"


def test_the_name_of_a_command_is_no_command() -> None:
    assert not is_inline_command("kubectl drain") and not is_inline_command("kubectl get … -o yaml of it all")
    assert is_inline_command('kubectl --context "$CONTEXT" get pods')


def test_aws_commands_come_from_the_vendors_own_model() -> None:
    assert wrong_with("eks", "describe-cluster-versions") is None and wrong_with("s3", "ls") is None
    assert wrong_with("eks", "describe-clusters") == "aws eks has no command 'describe-clusters'; `describe-cluster`?"


def test_a_year_ends_for_every_bundled_runbook_one_day(tmp_path: Path) -> None:
    later = TODAY + timedelta(days=366)
    assert [one.what for one in report(tmp_path, today=later).complaints] == ["last reviewed 366 days ago"]


def test_the_command_line_tells_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "it-burns" / "SKILL.md"
    path.parent.mkdir()
    path.write_text(SOUND.replace("get pods", "got pods"))
    done = run("runbooks", "lint", str(tmp_path), "--format", "json")
    whats = [one["what"] for one in json.loads(done.out)["complaints"]]
    assert done.code == 1 and "`kubectl`: there is no subcommand 'got'; `get`?" in whats
    told = run("runbooks", "lint", str(tmp_path))
    assert f"{path}:37: `kubectl`: there is no subcommand 'got'" in told.out and "1 without steps" in told.out
    assert run("runbooks", "lint", str(tmp_path / "none")).code == 2


def test_every_alert_of_the_kubernetes_mixin_leads_somewhere() -> None:
    named = {alert for one in library().every() for alert in one.block.alerts}
    assert KUBERNETES_MIXIN - named - set(NO_RUNBOOK) == set()
    assert not named & set(NO_RUNBOOK) and all(NO_RUNBOOK.values())


def test_common_alarms_of_aws_lead_to_their_runbook() -> None:
    for alarm, slug in AWS.items():
        assert alarm in library().get(slug).block.alerts, f"{slug} does not name {alarm}"


def test_all_seven_sections_are_there_in_every_bundled_runbook() -> None:
    for one in library().every():
        found = [line.removeprefix("## ") for line in one.text.splitlines() if line.startswith("## ")]
        assert tuple(found) == SECTIONS, one.slug
