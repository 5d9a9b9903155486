"""The official conformance suite against the server that people run, and against the same with the suite's fixtures."""

from pathlib import Path

import pytest

from tests.conformance.suite import expected, run, unexplained

NEW, OLD = "2026-07-28", "2025-11-25"
SKILLS = ("sep-2640-skills-directory", "sep-2640-skills-enumeration", "sep-2640-skills-manifest")
# Scenarios that need no fixtures. Others "pass" without as well, on any error at all: those are no evidence.
ON_ITS_OWN = {
    NEW: {
        "server-stateless",
        "completion-complete",
        "tools-list",
        "server-sse-multiple-streams",
        "resources-list",
        "sep-2164-resource-not-found",
        "prompts-list",
        "dns-rebinding-protection",
        "caching",
        "input-required-result-unsupported-methods",
        "http-header-validation",
    },
    OLD: {
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "completion-complete",
        "tools-list",
        "server-sse-multiple-streams",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
    },
}


@pytest.mark.parametrize("revision", [NEW, OLD])
def test_the_server_that_people_run_passes_what_needs_no_fixtures(
    installed: Path, demo_url: str, revision: str
) -> None:
    found = [
        one for one in run(installed, demo_url, "--requirements", revision) if one.scenario in ON_ITS_OWN[revision]
    ]
    assert {one.scenario for one in found if one.status == "SUCCESS"} == ON_ITS_OWN[revision]
    assert unexplained(found, expected(f"demo {revision}")) == []


@pytest.mark.parametrize("revision", [NEW, OLD])
def test_the_application_with_fixtures_meets_all_requirements(
    installed: Path, fixtures_url: str, revision: str
) -> None:
    found = run(installed, fixtures_url, "--requirements", revision)
    assert len({one.scenario for one in found}) >= 30
    assert unexplained(found, expected(f"fixtures {revision}")) == []


def test_our_runbooks_pass_the_scenarios_of_skills(installed: Path, demo_url: str) -> None:
    found = [one for scenario in SKILLS for one in run(installed, demo_url, "--scenario", scenario)]
    assert len([one for one in found if one.status == "SUCCESS"]) >= 44
    assert unexplained(found, expected("demo skills")) == []


def test_a_runbook_with_a_folder_of_its_own_passes_them_all(installed: Path, fixtures_url: str) -> None:
    found = run(installed, fixtures_url, "--scenario", "sep-2640-skills-directory")
    assert unexplained(found, expected("fixtures skills")) == []
