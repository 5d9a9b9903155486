"""`firstmate runbooks run` over the recording that is bundled: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest
from contract.cli import run

IMAGE = ("runbooks", "run", "image-pull-not-found", "--snapshot", "demo")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_a_run_prints_its_steps_and_ends_in_a_proposal() -> None:
    done = run(*IMAGE, "--param", "namespace=storefront")
    assert done.code == 1, done.err
    lines = done.out.splitlines()
    assert lines[0] == (
        "? check ask_firstmate (what keeps the image away): problems_found: service-selector-mismatch, image-not-found"
    )
    assert "proposed image-not-found" in lines
    assert "  command  kubectl --context CONTEXT -n storefront rollout undo deployment/web --to-revision=1" in lines
    assert "  undo     kubectl --context CONTEXT -n storefront rollout undo deployment/web --to-revision=2" in lines


def test_namespace_may_come_by_its_own_flag_and_json_holds_all() -> None:
    done = run(*IMAGE, "-n", "storefront", "--format", "json")
    found = json.loads(done.out)
    assert (found["ended"], found["cause"], found["slug"]) == ("proposed", "image-not-found", "image-pull-not-found")
    assert [one["id"] for one in found["visited"]][-1] == "go_back"
    assert found["proposal"]["verify"]["step"] == "rolled_back" and found["handle"].startswith("v1.")


def test_a_question_waits_for_its_answer_with_the_handle_to_go_on() -> None:
    quota = ("runbooks", "run", "resourcequota-exceeded", "--snapshot", "demo")
    waits = run(*quota, "--param", "namespace=orders", "--format", "json")
    found = json.loads(waits.out)
    assert (waits.code, found["ended"], found["question"]["name"]) == (3, "waiting", "hard")
    goes = run(*quota, "--handle", found["handle"], "--answer", "hard=6", "--format", "json")
    proposal = json.loads(goes.out)["proposal"]
    assert goes.code == 1 and proposal["parameters"] == {
        "namespace": "orders",
        "name": "orders-budget",
        "resource": "requests.cpu",
        "hard": "6",
    }
    assert proposal["roll_back"]["parameters"]["hard"] == "4"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("oomkilled", "--param", "namespace=storefront"), 0, "concluded none"),
        (("oomkilled", "--param", "namespace=nowhere"), 3, "inconclusive"),
        (("oomkilled",), 2, "needs the parameter `namespace`"),
        (("oomkiled",), 2, "Did you mean `oomkilled`?"),
        (("oomkilled", "--param", "namespace"), 2, "is no NAME=VALUE"),
        (("oomkilled", "--param", "namespace=a", "--from", "nobody"), 2, "has no step 'nobody'"),
        (("oomkilled", "--handle", "v1.x"), 2, "none that this server has made"),
    ],
)
def test_every_end_has_its_exit_code(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = run("runbooks", "run", *arguments, "--snapshot", "demo")
    assert done.code == code, done
    assert words in done.out + done.err
