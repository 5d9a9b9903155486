"""Steps of runbooks: read with the lines of their faults, written back as the same."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstmate.runbooks.document import Runbook, RunbookError, parse, parsed, render
from firstmate.runbooks.library import library, runbooks_folder
from firstmate.runbooks.steps import KINDS, Step, written
from firstmate.runbooks.stepyaml import StepError, read_step

PATH = Path("books/it-burns/SKILL.md")
HEAD = """---
name: it-burns
description: Use when it burns.
---

# It burns

```yaml runbook
causes: [fire]
owner: us
last_reviewed: 2026-11-21
kubernetes: '>=1.29'
```

## Diagnose

"""


def same(one: Runbook, other: Runbook) -> bool:
    facts = ("slug", "title", "front", "block", "text", "parts")
    return all(getattr(one, fact) == getattr(other, fact) for fact in facts)


@pytest.mark.parametrize("slug", library().slugs)
def test_every_runbook_is_the_same_after_it_was_written_and_read(slug: str) -> None:
    first = parse(runbooks_folder() / slug / "SKILL.md")
    assert same(first, parsed(render(first), first.path))


def test_steps_stand_between_the_prose_with_their_section_and_their_lines() -> None:
    found = parsed(
        HEAD
        + "1. Look.\n\n   ```yaml step\n   id: look\n   check: diagnose\n   arguments:\n     scope: pod/x\n   ```\n\n"
        + "2. Think.\n"
        + "\n## Escalate\n\n```yaml step\nid: call\nescalate: us\nbecause: it burns\n```\n",
        PATH,
    )
    look, call = found.steps
    assert (look.step.id, look.section, look.line, look.line_of("arguments", "scope")) == ("look", "Diagnose", 19, 23)
    assert (call.step.id, call.section, look.line_of("expect")) == ("call", "Escalate", 19)
    assert "yaml" not in found.text and "1. Look.\n\n2. Think.\n\n## Escalate\n" in found.text
    assert "id: call" in found.source and found.step("call") is call.step and found.step("nobody") is None
    assert same(found, parsed(render(found), PATH))


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("id: a\ncheck: diagnose\nexpct: x\n", 13, "step a: unknown key `expct`; did you mean `expect`?"),
        ("id: a\nchek: diagnose\n", 10, "step a: no kind; it needs one of the keys check, decide"),
        ("id: a\ncheck: x\nask: y\n", 10, "step a: several kinds at once: check, ask"),
        ("id: a-b\ncheck: x\n", 11, "step a-b: `id`: String should match pattern"),
        ("check: x\n", 10, "step without id: the key `id` is missing"),
        ("id: a\ncheck: x\nexpect: a\n", 10, "step a: `expect` and `otherwise` go together"),
        ("id: a\ncheck: x\nthen: a\nthen: b\n", 14, "step a: the key `then` stands twice"),
        (
            "id: a\ndecide:\n  - {when: 'a ==', reading: x, go: b}\notherwise: c\n",
            13,
            "step a: `decide.0.when`: no JMESPath",
        ),
        ("id: a\ndecide:\n  - {when: a, go: b}\notherwise: c\n", 13, "the key `decide.0.reading` is missing"),
        ("id: a\ncheck: x\narguments:\n  scope: '${a'\n", 13, "a ${ that is never closed"),
        ("id: a\ncheck: x\narguments: {since: 2026-11-21}\n", 13, "input was not a valid JSON value"),
        ("id: a\nact: scale\ncause: x\nbecause: y\nverify: v\nroll_back: {}\n", 16, "either `act` with `parameters`"),
        ("id: a\nwait: 0\nwhy: x\n", 12, "`wait`: Input should be greater than or equal to 1"),
        ("- a\n", 10, "a step is a mapping"),
        ("id: [a\n", 12, "not YAML"),
    ],
)
def test_a_fault_is_told_with_the_line_of_its_key(content: str, line: int, words: str) -> None:
    with pytest.raises(StepError) as caught:
        read_step(content, 10)
    assert words in str(caught.value)
    assert caught.value.wrong[0][0] == line


def test_all_faults_of_a_document_are_told_at_once() -> None:
    two = "```yaml step\nid: a\nchek: x\n```\n\n```yaml step\nid: b\nwait: x\nwhy: y\n```\n"
    with pytest.raises(RunbookError) as caught:
        parsed(HEAD + two, PATH)
    assert str(caught.value).startswith(f"{PATH}:17: step a: no kind")
    assert f"\n{PATH}:24: step b: `wait`" in str(caught.value)
    with pytest.raises(RunbookError, match="begins a line of its own"):
        parsed(HEAD + "> ```yaml step\n> id: a\n> ```\n", PATH)


IDS = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
SLUGS = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,2}", fullmatch=True)
PLAIN = (
    st.text(min_size=1)
    .filter(lambda text: "$" not in text)
    .filter(lambda t: not any(0xD800 <= ord(c) < 0xE000 for c in t))
)
TEXTS = st.one_of(PLAIN, st.tuples(PLAIN, st.just("${steps.a.b[?c=='}'] | [0]}"), PLAIN).map("".join))
EXPRESSIONS = st.sampled_from(["steps.a", "a.b[?c=='x'].d", "length(a) > `5`", "{x: a, y: [b, 'c']}", "!a && b"])
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), TEXTS
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(PLAIN, inner, max_size=3)),
    max_leaves=4,
)
MAPS = st.dictionaries(PLAIN, JSON, max_size=3)


def fixed(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"id": IDS, **required}, optional={"title": st.from_regex(r"[a-z ]{1,20}", fullmatch=True), **optional}
    )


BRANCHES = st.lists(st.fixed_dictionaries({"when": EXPRESSIONS, "reading": PLAIN, "go": IDS}), min_size=1, max_size=3)
RAW: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "check": st.one_of(
        fixed({"check": IDS}, arguments=MAPS, then=IDS, unknown=IDS),
        fixed({"check": IDS, "expect": EXPRESSIONS, "otherwise": IDS}, arguments=MAPS),
    ),
    "decide": fixed({"decide": BRANCHES, "otherwise": IDS}, unknown=IDS),
    "ask": fixed(
        {
            "ask": TEXTS,
            "answer": st.fixed_dictionaries(
                {"name": IDS, "type": st.sampled_from(["string", "integer"])},
                optional={"choices": st.lists(PLAIN, min_size=1, max_size=3)},
            ),
        },
        then=IDS,
    ),
    "act": fixed(
        {
            "act": SLUGS.filter(lambda slug: slug[0].isalpha()),
            "cause": SLUGS,
            "because": TEXTS,
            "verify": IDS,
            "roll_back": st.one_of(
                st.fixed_dictionaries({"none": PLAIN}), st.fixed_dictionaries({"act": IDS, "parameters": MAPS})
            ),
        },
        parameters=MAPS,
    ),
    "verify": fixed(
        {"verify": IDS, "expect": EXPRESSIONS, "otherwise": IDS}, arguments=MAPS, then=IDS, within_s=st.integers(0, 900)
    ),
    "wait": fixed({"wait": st.integers(1, 900), "why": TEXTS}, then=IDS),
    "conclude": fixed({"conclude": SLUGS, "because": TEXTS}, fix=TEXTS, runbook=SLUGS),
    "escalate": fixed({"escalate": TEXTS, "because": TEXTS}, cause=SLUGS, hand_over=st.lists(TEXTS, max_size=3)),
}
STEPS: st.SearchStrategy[Step] = st.one_of([raw.map(KINDS[kind].model_validate) for kind, raw in RAW.items()])


def test_every_kind_of_step_is_generated() -> None:
    assert RAW.keys() == KINDS.keys()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])  # steps are large
@given(steps=st.lists(STEPS, min_size=1, max_size=2), indent=st.sampled_from(["", "   "]))
def test_any_step_is_the_same_after_it_was_written_and_read(steps: list[Step], indent: str) -> None:
    from dataclasses import replace

    from firstmate.runbooks.steps import Placed

    empty = parsed(HEAD + ("1. Look.\n" if indent else "Look.\n"), PATH)
    parts = [part for step in steps for part in (Placed(step, "Diagnose", indent=indent), "")]
    full = replace(empty, parts=(*empty.parts, *parts))
    again = parsed(render(full), PATH)
    assert [placed.step for placed in again.steps] == steps
    assert [written(placed.step) for placed in again.steps] == [written(step) for step in steps]
    assert again.text.strip() == empty.text.strip()
    assert same(again, parsed(render(again), PATH))
