"""`firstmate demo`: a real client, a real server, and what a newcomer sees."""

import subprocess
import sys
from pathlib import Path

import pytest
from contract.cli import run
from contract.server_doubles import MESSAGE, record_shop

from firstmate import clusters
from firstmate.clusters import BUNDLED


def demo(snapshot: str) -> str:
    command = [sys.executable, "-m", "firstmate", "demo", "--snapshot", snapshot]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_newcomer_sees_cause_proof_runbook_and_how_to_connect(tmp_path: Path) -> None:
    out = demo(str(record_shop(tmp_path)))
    together = " ".join(out.split())
    assert "1. CRITICAL image-not-found Deployment shop/cart" in together
    assert MESSAGE in together
    assert "its runbook: image-pull-not-found" in out and "The image, tag or repository does not exist" in out
    assert "claude mcp add" in out and "firstmate config CLIENT" in out
    assert "untrusted" not in out and "</" not in out  # the fence is for models
    assert max(len(line) for line in out.splitlines() if "claude mcp add" not in line) <= 100


@pytest.mark.skipif(not BUNDLED.exists(), reason="the bundled recording is not there")
def test_the_bundled_recording_shows_several_faults_with_their_chains() -> None:
    out = demo("demo")
    assert "4. " in out and "explains" in out
    assert BUNDLED.stat().st_size <= 2_000_000


def test_without_the_bundled_recording_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clusters, "BUNDLED", tmp_path / "none")
    ran = run("demo")
    assert ran.code == 2 and "no bundled snapshot" in ran.err
