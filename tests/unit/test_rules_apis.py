"""Findings about versions of the API that are going, or gone."""

from typing import Any

import pytest
from builders import event, facts_of, obj
from hypothesis import given
from hypothesis import strategies as st
from verdicts import app, bystanders, linked, severe

from firstmate_tools.customkinds import APPLICATION, KUSTOMIZATION
from firstmate_tools.diagnosis.apiremovals import REMOVED
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.diagnosis.rule import TextWant, all_rules
from firstmate_tools.diagnosis.rules.apis import METRICS, deprecated_in_use, metrics
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj

USED, GONE = "deprecated-api-in-use", "removed-api-in-manifest"


def line(group: str, version: str, resource: str, removed: str = "", value: str = "1") -> str:
    labels = f'group="{group}",removed_release="{removed}",resource="{resource}",subresource="",version="{version}"'
    return f"apiserver_requested_deprecated_apis{{{labels}}} {value}"


def told(*lines: str) -> list[Finding | RuledOut]:
    facts = facts_of()
    facts.put_text(METRICS, "\n".join(lines))
    return list(deprecated_in_use(facts))


def test_an_api_that_a_release_removes_is_named_with_that_release() -> None:
    (found,) = told(line("flowcontrol.apiserver.k8s.io", "v1beta3", "flowschemas", "1.32"))
    assert isinstance(found, Finding)
    assert (str(found.object), found.severity) == ("apiservice/v1beta3.flowcontrol.apiserver.k8s.io", "info")
    assert "Kubernetes 1.32 no longer has it" in found.summary


def test_a_version_that_a_custom_resource_calls_deprecated() -> None:
    (found,) = told(line("shop.example", "v1alpha1", "widgets"))
    assert isinstance(found, Finding)
    assert str(found.object) == "customresourcedefinition/widgets.shop.example"


def test_what_no_release_removes_and_what_nobody_asked_for() -> None:
    (ruled_out,) = told(line("", "v1", "endpoints"))
    assert isinstance(ruled_out, RuledOut)
    assert told(line("policy", "v1beta1", "poddisruptionbudgets", "1.25", "0")) == []
    assert told("# HELP apiserver_requested_deprecated_apis words") == []


def test_resources_of_one_version_are_one_finding() -> None:
    found = told(line("batch", "v1beta1", "cronjobs", "1.25"), line("batch", "v1beta1", "jobs", "1.25"))
    assert len(found) == 1


def test_only_questions_about_the_whole_cluster_read_it() -> None:
    assert [type(w) for w in metrics(facts_of())] == [TextWant]
    assert list(metrics(facts_of(scope=Scope("shop")))) == []


@given(st.text(max_size=80))
def test_odd_lines_never_raise(text: str) -> None:
    told(text, "apiserver_requested_deprecated_apis{" + text + "} 1")


def message(kind: str = "CronJob", version: str = "batch/v1beta1", quote: str = '"') -> str:
    words = f"no matches for kind {quote}{kind}{quote} in version {quote}{version}{quote}"
    return f"unable to build kubernetes objects: {words}"


def release(**rest: Any) -> list[Obj]:
    one = obj("HelmRelease", "reports", api="helm.toolkit.fluxcd.io/v2")
    return [one, event(one, "InstallFailed", **{"message": message(), **rest})]


def events_alone(*objects: Obj) -> list[Finding]:
    found, _ = judge(facts_of(*objects), [r for r in all_rules() if GONE in r.causes])
    return found


def test_a_delivery_tool_that_applies_what_is_gone() -> None:
    (found,) = events_alone(*release())
    assert str(found.object) == "helmrelease/reports"
    assert "since 1.25: batch/v1 has it" in found.summary


@pytest.mark.parametrize(
    "rest",
    [
        {"message": message("Widget", "shop.example/v1")},
        {"message": message("CronJob", "batch/v1")},
        {"message": message(), "seconds_ago": 8000},
    ],
    ids=["a kind that nobody installed", "a version that is there", "long ago"],
)
def test_what_is_no_removed_api(rest: dict[str, Any]) -> None:
    assert events_alone(*release(**rest)) == []


ARGO = (
    'The Kubernetes API could not find version "v1beta1" of batch/CronJob for requested resource shop/report. '
    'Version "v1" of batch/CronJob is installed on the destination cluster.'
)


def test_what_argo_cd_says_of_a_sync_that_failed() -> None:
    result = {"resources": [{"kind": "CronJob", "status": "SyncFailed", "message": ARGO}]}
    state = {"phase": "Failed", "message": "one or more objects failed to apply", "syncResult": result}
    one = obj("Application", "reports", api="argoproj.io/v1alpha1", status={"operationState": state})
    facts = facts_of()
    facts.put(APPLICATION, None, [one])
    (found,) = judge(facts, [r for r in all_rules() if GONE in r.causes])[0]
    assert str(found.object) == "application/reports"
    assert "batch/v1beta1" in found.summary and "since 1.25" in found.summary
    facts.put(APPLICATION, None, [{**one, "status": {"operationState": {**state, "phase": "Succeeded"}}}])
    assert judge(facts, [r for r in all_rules() if GONE in r.causes])[0] == []


def test_what_flux_says_of_its_present_state() -> None:
    condition = {"type": "Ready", "status": "False", "reason": "BuildFailed", "message": message()}
    one = obj("Kustomization", "reports", api="kustomize.toolkit.fluxcd.io/v1", status={"conditions": [condition]})
    facts = facts_of()
    facts.put(KUSTOMIZATION, None, [one])
    (found,) = judge(facts, [r for r in all_rules() if GONE in r.causes])[0]
    assert str(found.object) == "kustomization/reports"


@pytest.mark.parametrize("quote", ['"', '\\"'])
def test_a_job_that_applies_manifests_says_it_in_its_log(quote: str) -> None:
    end = {"exitCode": 1, "reason": "Error"}
    objects = app(waiting="CrashLoopBackOff", restarts=3, last=end)
    log = {("shop", "cart-1-0", "app", True): f"error: {message('Ingress', 'extensions/v1beta1', quote)}"}
    (root,) = linked(*objects, *bystanders(), logs=log)
    assert (root.finding.cause, str(root.finding.object)) == (GONE, "deployment/cart")
    assert "networking.k8s.io/v1 has it" in root.finding.summary
    assert severe(*objects) == ["application-exits-on-error"]


def test_the_guide_holds_no_version_that_is_served() -> None:
    assert not {version for version, _ in REMOVED} & {"v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1"}
