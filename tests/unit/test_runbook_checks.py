"""What is wrong with the steps of a runbook is told with its line, and with what would be right."""

from pathlib import Path

import pytest

from firstmate.catalogue import all_tools
from firstmate.runbooks.checks import Problem, problems
from firstmate.runbooks.document import parsed
from firstmate.runbooks.library import library
from firstmate_tools.actions import ACTIONS
from firstmate_tools.diagnosis.causes import CAUSES

HEAD = """---
name: it-burns
description: Use when it burns.
---

# It burns

```yaml runbook
causes: [oom-killed-container-limit]
parameters:
  - {name: namespace, type: string, description: Where, required: true}
  - {name: workload, type: string, description: What}
  - {name: pod, type: string, description: Which}
owner: us
last_reviewed: 2026-11-21
kubernetes: '>=1.29'
```
"""
LOOK = """
## Diagnose

```yaml step
id: look
check: diagnose
arguments: {scope: "${params.workload}", namespace: "${params.namespace}"}
```
"""
DECIDE = """
```yaml step
id: which
decide:
  - when: "steps.look.root_causes[?cause=='oom-killed-container-limit']"
    reading: the kernel killed it
    go: how_much
otherwise: nothing
```
"""
ASK = """
```yaml step
id: how_much
ask: How much memory may it have?
answer: {name: limit, type: string, choices: [1Gi, 2Gi]}
then: raise_limit
```
"""
NOTHING = """
```yaml step
id: nothing
conclude: none
because: nothing was killed
runbook: liveness-probe-killing
```
"""
ACT = """
## Fix

```yaml step
id: raise_limit
act: set-resources
cause: oom-killed-container-limit
because: "${steps.look.root_causes[?cause=='oom-killed-container-limit'] | [0].summary}"
parameters:
  kind: "${steps.look.root_causes[0].object.kind}"
  namespace: "${params.namespace}"
  name: "${steps.look.root_causes[0].object.name}"
  container: app
  limits_memory: "${answers.limit}"
verify: settled
roll_back: {none: it is gone}
```
"""
VERIFY = """
## Verify

```yaml step
id: settled
verify: diagnose
arguments: {scope: "${params.workload}", namespace: "${params.namespace}"}
expect: "result.outcome == 'nothing_found'"
within_s: 300
otherwise: call
```
"""
ESCALATE = """
## Escalate

```yaml step
id: call
escalate: the owners
because: it goes on
hand_over: ["cause ${steps.look.root_causes[0].cause}"]
```
"""
WHOLE = HEAD + LOOK + DECIDE + ASK + NOTHING + ACT + VERIFY + ESCALATE


def found(text: str) -> list[Problem]:
    return problems(parsed(text, Path("it-burns/SKILL.md")), all_tools(), CAUSES, ACTIONS)


def test_a_sound_runbook_has_no_problems() -> None:
    assert found(WHOLE) == []
    assert found(HEAD) == []


@pytest.mark.parametrize(
    ("right", "wrong", "what", "mend"),
    [
        ("id: nothing", "id: which", "the id `which` is taken", "rename it"),
        ("otherwise: nothing", "otherwise: nothin", "goes on to `nothin`, which is no step", "did you mean `nothing`?"),
        ("go: how_much", "go: look", "steps go in a circle: look → which → look", "come to an end"),
        ("go: how_much", "go: nothing", "no way leads to step how_much", "let a step go on to it"),
        ("verify: settled", "verify: call", "`verify: call` is no verify step", "name one"),
        ("otherwise: call", "otherwise: nothing", "`otherwise: nothing` is no escalate step", "people"),
        ("## Verify", "## Prove", "step settled (verify) stands in the section Prove", "it belongs in Verify"),
        ("cause: oom-killed-container-limit", "cause: oom-killed", "`oom-killed` is no cause", "did you mean"),
        (
            "cause: oom-killed-container-limit",
            "cause: quota-exceeded",
            "the cause `quota-exceeded` is none of this runbook's",
            "conclude none with runbook: resourcequota-exceeded",
        ),
        ("conclude: none", "conclude: oom-killed-container-limit", "`runbook` goes with `conclude: none`", ""),
        (
            "runbook: liveness-probe-killing",
            "runbook: liveness-killing",
            "no runbook `liveness-killing`",
            "did you mean",
        ),
        ("check: diagnose", "check: diagnos", "`diagnos` is no tool that only reads", "did you mean `diagnose`?"),
        (
            "check: diagnose\narguments: {s",
            "check: get\narguments: {kind: poddd, s",
            "nobody knows the kind `poddd`",
            "",
        ),
        ("check: diagnose", "check: run_runbook", "`run_runbook` is no tool that only reads", ""),
        (
            "act: set-resources",
            "act: set-resource",
            "there is no action `set-resource`",
            "did you mean `set-resources`?",
        ),
        ("steps.look.root_causes[?c", "steps.look.root_cause[?c", "has no `root_cause`", "did you mean `root_causes`?"),
        (
            "root_causes[?cause==",
            "root_causes[?caus==",
            "an entry of root_causes has no `caus`",
            "did you mean `cause`?",
        ),
        ("root_causes[0].object.kind", "root_causes.object.kind", "root_causes is a list", "take one of its entries"),
        ("'nothing_found'", "'nothing_fund'", "`outcome` is never 'nothing_fund'", "did you mean 'nothing_found'?"),
        (
            "=='oom-killed-container-limit']\"\n    r",
            "=='oom-killed-contaner-limit']\"\n    r",
            "'oom-killed-contaner-limit' is no cause",
            "did you mean",
        ),
        (
            "result.outcome ==",
            "length(result.outcome) > `1` && result.observed_at > `5` &&",
            "compares a text with a",
            "",
        ),
        ("result.outcome ==", "steps.settled.outcome ==", "reads its own result as `result`", ""),
        (
            "result.outcome == 'nothing_found'",
            "lenght(result.root_causes)",
            "no function lenght()",
            "did you mean length()?",
        ),
        ("${steps.look.root_causes[0].cause}", "${length(result.x)}", "`result` is there in the `expect`", ""),
        ("${params.workload}", "${params.workloads}", "params has no `workloads`", "did you mean `workload`?"),
        ("${answers.limit}", "${answers.limits}", "answers has no `limits`", "did you mean `limit`?"),
        (
            "because: nothing was killed",
            "because: '${answers.limit}'",
            "`answers.limit` was not asked on every way",
            "",
        ),
        (
            "because: nothing was killed",
            "because: '${steps.settled.outcome}'",
            "step settled has not run on every way",
            "",
        ),
        ("because: nothing was killed", "because: '${steps.which.outcome}'", "step which (decide) has no result", ""),
        (
            '{scope: "${params.workload}", n',
            '{scop: "${params.workload}", n',
            "diagnose has no `scop`",
            "did you mean `scope`?",
        ),
        (
            "check: diagnose",
            "check: logs",
            "logs cannot do without `scope`, and the parameter `workload` is",
            "find it out",
        ),
        (
            "check: diagnose\narguments: {s",
            "check: diagnose\narguments: {limit: 9999, s",
            "`limit` of diagnose: Input should be less",
            "",
        ),
        (
            "check: diagnose\narguments: {s",
            "check: diagnose\narguments: {cluster: x, s",
            "the cluster is that of the run",
            "leave",
        ),
        ("  container: app\n", "", "set-resources needs `container`", ""),
        ("  container: app\n", "  contaner: app\n", "set-resources has no `contaner`", "did you mean `container`?"),
        ("container: app", "container: 'a b'", "`container` of set-resources: String should match", ""),
        (
            "container: app",
            "container: '${steps.look.root_causes}'",
            "`container` of set-resources is a string, and",
            "",
        ),
        ("choices: [1Gi, 2Gi]", "choices: [1Gi, 2]", "2 is no string", ""),
        (
            "roll_back: {none: it is gone}",
            "roll_back: {act: scael}",
            "there is no action `scael`",
            "did you mean `scale`?",
        ),
    ],
)
def test_a_fault_is_found_with_its_line(right: str, wrong: str, what: str, mend: str) -> None:
    assert right in WHOLE
    text = WHOLE.replace(right, wrong, 1)
    every = found(text)
    one = next((one for one in every if what in one.what), None)
    assert one is not None, every
    assert mend in one.mend
    before = WHOLE[: WHOLE.index(right)].count("\n") + 1
    assert (
        what.startswith(("no way leads", "steps go in", "set-resources needs"))
        or before - 2 <= one.line <= before + right.count("\n") + 2
    ), one


def test_what_may_be_absent_is_no_argument_for_a_function() -> None:
    text = WHOLE.replace("result.outcome == 'nothing_found'", "length(result.coverage.cursor) > `1`")
    (one,) = found(text)
    assert (one.what, one.mend) == (
        "step settled: length() fails where `cursor` is absent",
        "write length(… || '')",
    )
    assert found(WHOLE.replace("result.outcome == 'nothing_found'", "length(result.root_causes) < `1`")) == []


def test_the_last_step_of_the_document_has_to_say_where_it_goes() -> None:
    (one,) = found(HEAD + LOOK)
    assert "is the last of the document and has no `then`" in one.what and one.line == 21


def test_a_check_that_goes_the_same_way_either_way_is_told() -> None:
    step = "id: look\ncheck: diagnose\n"
    (one,) = found(WHOLE.replace(step, step + "expect: result.outcome\notherwise: which\n"))
    assert one.what == "step look goes on to `which` whether it is as expected or not" and "`then`" in one.mend


def test_a_result_is_not_there_where_its_tool_may_have_failed() -> None:
    text = WHOLE.replace('"${params.namespace}"}\n```', '"${params.namespace}"}\nunknown: call\n```', 1)
    (one,) = found(text)
    assert one.what == "step call: step look has not run on every way to here, so that its result cannot be read"


@pytest.mark.parametrize("slug", library().slugs)
def test_the_steps_of_every_runbook_are_sound(slug: str) -> None:
    assert problems(library().get(slug), all_tools(), CAUSES, ACTIONS) == []
