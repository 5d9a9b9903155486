"""Runbooks that are run over MCP: all at once, step by step, with questions, and with handles that nobody can forge."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from contract.eras import EVERY, MODERN, connected
from contract.server_doubles import Clusters, shop
from mcp.types import ElicitResult

from firstmate.caller import Caller, calling
from firstmate.calls import CallRecord, Calls
from firstmate.catalogue import all_tools
from firstmate.mcp import egress
from firstmate.mcp.server import FirstmateServer, build
from firstmate.runbooks.handle import MOST, TTL, Handles
from firstmate.runbooks.library import Library
from firstmate_tools.errors import FirstmateError, UsageError
from firstmate_tools.text import redact, redact_shapes

pytestmark = pytest.mark.anyio

KEY = b"0123456789abcdef0123456789abcdef"
BOOK = """---
name: no-image
description: Use when there is no image.
---

# No image

```yaml runbook
causes: [image-not-found]
parameters:
  - {name: namespace, type: string, description: Where, required: true}
owner: us
last_reviewed: 2026-11-21
kubernetes: '>=1.29'
```

## Diagnose

```yaml step
id: look
check: diagnose
arguments: {namespace: "${params.namespace}"}
```

```yaml step
id: which
decide:
  - when: "steps.look.root_causes[?cause=='image-not-found']"
    reading: no such image
    go: which_tag
otherwise: nothing
```

```yaml step
id: which_tag
ask: Which tag of ${steps.look.root_causes[0].object.name} works? ${steps.look.root_causes[0].evidence[0].value}
answer: {name: tag, type: string, choices: ["1", "3"]}
then: use_tag
```

```yaml step
id: nothing
conclude: none
because: every image is there
```

## Fix

```yaml step
id: use_tag
act: set-image
cause: image-not-found
because: "${steps.look.root_causes[0].summary}"
parameters:
  kind: "${steps.look.root_causes[0].object.kind}"
  namespace: "${params.namespace}"
  name: "${steps.look.root_causes[0].object.name}"
  container: app
  image: "registry.shop.example/cart:${answers.tag}"
verify: settled
roll_back: {none: the image before never ran}
```

## Verify

```yaml step
id: settled
verify: diagnose
arguments: {scope: "deployment/${steps.look.root_causes[0].object.name}", namespace: "${params.namespace}"}
expect: "result.outcome == 'nothing_found'"
otherwise: call
```

## Escalate

```yaml step
id: call
escalate: us
because: it still does not pull
```
"""


def books(folder: Path, text: str = BOOK) -> Library:
    path = folder / "no-image" / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return Library(folder)


def calls(folder: Path, handles: Handles | None = None, records: list[CallRecord] | None = None) -> Calls:
    observers = [records.append] if records is not None else []
    clusters = Clusters(prod=shop(), other=shop())
    made = Calls(clusters, all_tools(), observers, books(folder), keys=[KEY])
    if handles is not None:
        made.handles = handles
    return made


async def run(given: Calls, **arguments: Any) -> dict[str, Any]:
    """The answer as it leaves over MCP."""
    every: Mapping[str, object] = {"runbook": "no-image", **arguments}
    answer = await given.call("run_runbook", every)
    return egress.unfenced(egress.answer(answer, given.find("run_runbook")))


SHOP = {"namespace": "shop"}


async def test_a_run_stops_at_its_question_and_ends_in_a_proposal(tmp_path: Path) -> None:
    given = calls(tmp_path)
    waits = await run(given, params=SHOP)
    assert (waits["ended"], waits["following"], waits["cluster"]) == ("waiting", "which_tag", "prod")
    assert waits["question"]["name"] == "tag" and waits["question"]["choices"] == ["1", "3"]
    assert "Which tag of cart works?" in waits["question"]["text"]
    done = await run(given, handle=waits["handle"], answers={"tag": "3"})
    assert (done["ended"], done["cause"]) == ("proposed", "image-not-found")
    assert done["proposal"]["command"] == (
        "kubectl --context CONTEXT -n shop set image deployment/cart app=registry.shop.example/cart:3"
    )
    assert [one["id"] for one in done["visited"]] == ["look", "which", "which_tag", "use_tag"]
    verified = await run(given, handle=done["handle"])
    assert (verified["ended"], verified["visited"][-2]["id"]) == ("escalated", "settled")
    at_once = await run(given, params=SHOP, answers={"tag": "3"})
    assert at_once["proposal"] == done["proposal"]


async def test_what_the_cluster_said_is_fenced_and_our_own_words_are_not(tmp_path: Path) -> None:
    given = calls(tmp_path)
    answer = await given.call("run_runbook", {"runbook": "no-image", "params": SHOP})
    tree = egress.answer(answer, given.find("run_runbook"))
    mark = str(tree["untrusted"]).partition(">")[0][1:]
    text = tree["question"]["text"]
    assert text.startswith("Which tag of cart works? <" + mark + ">") and text.endswith(f"</{mark}>")
    assert tree["visited"][1]["outcome"] == "no such image"


async def test_what_no_step_could_look_at_stands_in_the_coverage(tmp_path: Path) -> None:
    found = await run(calls(tmp_path), params={"namespace": "nowhere"})
    assert found["ended"] == "inconclusive"
    ((entry,),) = [found["coverage"]["not_checked"]]
    assert entry["why"] == "failed" and entry["what"].startswith("step look: There is no namespace 'nowhere'")
    assert "step look" not in found["coverage"].get("checked", []), "what could not tell has not checked anything"


async def test_a_run_is_about_one_cluster(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Two clusters are named"):
        await run(calls(tmp_path), params={**SHOP, "cluster": "other"}, cluster="prod")
    found = await run(calls(tmp_path), params={**SHOP, "cluster": "other"}, cluster="other")
    assert found["cluster"] == "other"


async def test_one_step_at_a_time_comes_to_the_same_end(tmp_path: Path) -> None:
    given = calls(tmp_path)
    found = await run(given, params=SHOP, answers={"tag": "3"}, one_step=True)
    taken = [found["following"]]
    while "ended" not in found:
        found = await run(given, handle=found["handle"], one_step=True)
        taken.append(found["following"])
    assert taken == ["which", "which_tag", "use_tag", "settled"] and found["ended"] == "proposed"


async def test_each_step_is_a_call_of_its_own_for_those_who_watch(tmp_path: Path) -> None:
    records: list[CallRecord] = []
    await run(calls(tmp_path, records=records), params=SHOP)
    assert [(one.tool, one.cluster) for one in records] == [("diagnose", "prod"), ("run_runbook", None)]
    assert records[0].requests >= 0 and records[0].outcome == "problems_found"


async def test_another_replica_with_the_same_key_goes_on(tmp_path: Path) -> None:
    waits = await run(calls(tmp_path), params=SHOP, cluster="other")
    done = await run(calls(tmp_path), handle=waits["handle"], answers={"tag": "1"})
    assert (done["ended"], done["cluster"]) == ("proposed", "other")
    rotated = calls(tmp_path, Handles([b"x" * 32, KEY]))
    assert (await run(rotated, handle=waits["handle"], answers={"tag": "1"}))["ended"] == "proposed"


async def refused(given: Calls, **arguments: Any) -> str:
    with pytest.raises(UsageError) as caught:
        await run(given, **arguments)
    return str(caught.value)


async def test_a_handle_that_is_forged_or_foreign_is_refused(tmp_path: Path) -> None:
    given = calls(tmp_path)
    handle = (await run(given, params=SHOP))["handle"]
    none_of_ours = "it is none that this server has made"
    assert none_of_ours in await refused(given, handle=handle[:-4] + "AAAA")
    assert none_of_ours in await refused(given, handle=handle[: len(handle) // 2])
    assert none_of_ours in await refused(given, handle="v1.AAAA")
    assert none_of_ours in await refused(given, handle="x" * (MOST + 1))
    assert none_of_ours in await refused(calls(tmp_path, Handles()), handle=handle)
    assert "belongs to another cluster" in await refused(given, handle=handle, cluster="other")
    assert "stand fast" in await refused(given, handle=handle, params=SHOP)
    with calling(Caller("token", "bot", families=frozenset({"read"}))):
        assert "made for another caller" in await refused(given, handle=handle)


async def test_a_handle_expires(tmp_path: Path) -> None:
    handle = (await run(calls(tmp_path), params=SHOP))["handle"]
    late = Handles([KEY], now=lambda: datetime.now(UTC) + TTL + timedelta(seconds=1))
    assert "it has expired" in await refused(calls(tmp_path, late), handle=handle)


async def test_a_handle_of_another_content_of_the_runbook_is_refused(tmp_path: Path) -> None:
    handle = (await run(calls(tmp_path), params=SHOP))["handle"]
    given = calls(tmp_path)
    books(tmp_path, BOOK.replace("container: app", "container: evil"))
    assert "has changed since" in await refused(given, handle=handle)


async def test_a_handle_tells_nothing_and_survives_the_egress_filter(tmp_path: Path) -> None:
    given = calls(tmp_path)
    for _ in range(20):
        answer = await given.call("run_runbook", {"runbook": "no-image", "params": SHOP})
        handle = str(answer.model_dump()["handle"])
        tree = egress.answer(answer, given.find("run_runbook"))
        assert tree["handle"] == handle == redact(handle) == redact_shapes(handle)
        assert len(handle) < 1500 and "cart" not in handle and "shop" not in handle


async def test_what_does_not_fit_a_handle_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstmate.runbooks.handle.MOST", 100)
    waits = await run(calls(tmp_path), params=SHOP)
    assert waits["ended"] == "waiting" and "handle" not in waits
    assert "does not fit a handle" in waits["coverage"]["cut"][0]


async def test_wrong_words_are_told_with_the_right_ones(tmp_path: Path) -> None:
    given = calls(tmp_path)
    assert "needs the parameter `namespace`" in await refused(given)
    assert "Did you mean `namespace`?" in await refused(given, params={"namspace": "shop"})
    assert "It is one of 1, 3." in await refused(given, params=SHOP, answers={"tag": "2"})


def serving(folder: Path) -> FirstmateServer:
    return build(calls(folder), books(folder))


@pytest.mark.parametrize("version", EVERY[2:])
async def test_a_client_that_can_ask_its_person_is_asked(tmp_path: Path, version: str) -> None:
    asked: list[Any] = []

    async def person(context: Any, params: Any) -> ElicitResult:
        asked.append((params.message, params.requested_schema))
        return ElicitResult(action="accept", content={"tag": "3"})

    async with connected(serving(tmp_path), version, elicitation_callback=person) as client:
        result = await client.call_tool("run_runbook", {"runbook": "no-image", "params": SHOP})
    assert result.structured_content["ended"] == "proposed", result
    ((message, schema),) = asked
    assert message.startswith("Which tag of cart works?")
    assert schema["properties"]["tag"]["enum"] == ["1", "3"] and schema["required"] == ["tag"]


@pytest.mark.parametrize("version", [EVERY[-2], MODERN])
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_who_does_not_answer_gets_the_question_and_the_handle(tmp_path: Path, version: str, action: Any) -> None:
    async def person(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action=action)

    async with connected(serving(tmp_path), version, elicitation_callback=person) as client:
        result = await client.call_tool("run_runbook", {"runbook": "no-image", "params": SHOP})
        assert result.structured_content["ended"] == "waiting"
        more = {"runbook": "no-image", "handle": result.structured_content["handle"], "answers": {"tag": "1"}}
        done = await client.call_tool("run_runbook", more)
    assert done.structured_content["ended"] == "proposed"


@pytest.mark.parametrize("version", EVERY)
async def test_a_client_that_cannot_ask_gets_the_question(tmp_path: Path, version: str) -> None:
    async with connected(serving(tmp_path), version) as client:
        result = await client.call_tool("run_runbook", {"runbook": "no-image", "params": SHOP})
    assert result.structured_content["ended"] == "waiting" and not result.is_error
    assert json.loads(result.content[0].text) == result.structured_content


async def test_a_wrong_answer_of_a_person_is_told(tmp_path: Path) -> None:
    async def person(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"tag": "9"})

    for version in (EVERY[-2], MODERN):
        async with connected(serving(tmp_path), version, elicitation_callback=person) as client:
            result = await client.call_tool("run_runbook", {"runbook": "no-image", "params": SHOP})
        assert result.is_error and "It is one of 1, 3." in result.content[0].text


def test_a_key_that_is_too_short_is_refused() -> None:
    with pytest.raises(FirstmateError, match="at least 32 bytes"):
        Handles([b"short"])
