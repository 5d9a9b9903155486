"""No secret comes out of firstmate, whatever is asked and however.

Some seventy secrets are planted in a cluster, in the caller's kubeconfig and in log lines (`tests/canaries/table.py`).
Then every tool is asked in every way over every transport, the command line prints everything in every format, a
snapshot is recorded, and whatever came out is searched for any twelve characters of any of them. The control run does
the same with the filter switched off, and must find most of them: a search that finds nothing because it looks nowhere
fails.
"""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from canaries import asking
from canaries import questions as asked_of
from canaries.objects import NS
from canaries.planted import Leaks, Planted, gathered
from canaries.planting import CONTEXTS, kubeconfig, plant, silence
from canaries.search import Search
from canaries.table import bystanders, fresh
from canaries.unfiltered import unfiltered
from contract.cli import run
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from evals.bench import load
from evals.lab.errors import LabError
from evals.lab.lab import Lab
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.mcp.server import build
from firstmate.settings import Settings
from firstmate_tools.cluster.limits import Limits

CONTROL_LEAST = 30
NEVER_READ = ("secret-", "kubeconfig-", "http-")
"""What no tool takes up in the first place, filter or not: Secrets, the caller's credentials, a client's headers."""
ERAS = ("auto", "legacy")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """A lab of its own: some of what is planted is cluster-wide."""
    folder = tmp_path_factory.mktemp("canaries")
    canaries, known = fresh(), bystanders()
    lab = Lab(f"canaries-{os.getpid()}")
    with ExitStack() as stack:
        try:
            lab.start()
        except (LabError, OSError) as error:
            if os.environ.get("FIRSTMATE_REQUIRE_LAB") == "1":
                pytest.fail(f"the lab did not start: {error}", pytrace=False)
            pytest.skip(f"NO LIVE TESTS: the lab did not start: {error}")
        stack.callback(lab.stop)
        plant(lab, canaries, known, folder)
        path, key = kubeconfig(lab, canaries, stack.enter_context(silence()), folder)
        canaries[key.name] = key
        yield Planted(lab, canaries, known, path, Search(canaries.values()))


def _in_a_hurry() -> Limits:
    """A cluster of our own may be asked as fast as it answers."""
    return Limits(in_flight=32, per_second=100_000, burst=100_000)


def test_every_place_that_is_planted_can_be_found_when_the_filter_is_off(planted: Planted) -> None:
    """The control: the same questions, no filter. It also shows what would leave without one."""

    async def asked() -> Leaks:
        calls = planted.calls()
        try:
            return (await gathered(planted, asking.through_calls(calls, planted_questions)))[0]
        finally:
            await calls.clusters.close()

    planted_questions = [*planted.questions(), *planted.objects()]
    with unfiltered(), patch("firstmate_tools.cluster.live.Limits", _in_a_hurry):
        leaks = asyncio.run(asked())
    assert len(leaks) >= CONTROL_LEAST, leaks.told()
    missing = {name for name in planted.canaries if not name.startswith(NEVER_READ)} - leaks.keys()
    assert not missing, f"no tool came across {missing}: what they are planted in is not looked at"


def test_no_answer_of_any_tool_holds_a_secret_and_ordinary_things_stay(planted: Planted) -> None:
    wanted = [*planted.questions(), *planted.objects(), *asked_of.quoting(all_tools(), planted.shaped())]

    async def asked() -> tuple[Leaks, str]:
        calls = planted.calls()
        try:
            return await gathered(planted, asking.through_calls(calls, wanted))
        finally:
            await calls.clusters.close()

    with patch("firstmate_tools.cluster.live.Limits", _in_a_hurry):
        leaks, said = asyncio.run(asked())
    assert not leaks, leaks.told()
    for one in planted.known.every():
        assert one in said, f"{one} was taken for a secret"
    pod = planted.lab.client.get("Pod", "leaky", NS)
    assert pod is not None and pod["metadata"]["uid"] in said
    for word in ("/etc/db/password", "3600", "--verbose"):
        assert word in said, f"{word} was taken for a secret"


def test_clusters_that_fail_say_so_without_the_secrets_of_the_kubeconfig(planted: Planted) -> None:
    wanted = asking.over_contexts(all_tools(), CONTEXTS[1:], planted.plainest())

    async def asked() -> Leaks:
        calls = planted.calls(impatient=True)
        try:
            return (await gathered(planted, asking.through_calls(calls, [*wanted, ("clusters", {})])))[0]
        finally:
            await calls.clusters.close()

    leaks = asyncio.run(asked())
    assert not leaks, leaks.told()


@pytest.mark.parametrize("era", ERAS)
def test_nothing_leaks_over_mcp_in_memory(planted: Planted, era: Any, caplog: pytest.LogCaptureFixture) -> None:
    wanted = [*planted.questions(), *planted.objects()]
    wanted += asked_of.quoting(all_tools(), planted.shaped())
    with patch("firstmate_tools.cluster.live.Limits", _in_a_hurry):
        leaks = asyncio.run(_over_mcp(planted, build(planted.calls()), era, wanted))
    assert not leaks, leaks.told()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_nothing_leaks_from_a_server_process_nor_its_logs(
    planted: Planted, transport: str, era: Any, tmp_path: Path
) -> None:
    """Fewer questions, as whole objects were asked for in memory; what the process writes besides is searched too."""
    log, trail = tmp_path / "stderr", tmp_path / "audit"
    wanted = [*planted.plainest().items(), *_telling(planted.objects())]
    wanted += asked_of.quoting(all_tools(), planted.shaped()[:1])
    serve = ["-m", "firstmate", "serve", "--kubeconfig", str(planted.kubeconfig), "--toolsets", "all"]
    settings = {"FIRSTMATE_DEBUG": "1", "FIRSTMATE_AUDIT__FILE": str(trail)}
    settings |= {f"FIRSTMATE_HTTP__LIMITS__{name}": "100000" for name in ("PER_SECOND", "BURST")}
    with log.open("w") as stderr:
        if transport == "stdio":
            server = StdioServerParameters(command=sys.executable, args=serve, env=settings)
            leaks = asyncio.run(_over_mcp(planted, stdio_client(server, errlog=stderr), era, wanted))
        else:
            command = [sys.executable, *serve, "--transport", "http", "--port", "0"]
            environment = {**os.environ, **settings}
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
            ) as process:
                assert process.stdout is not None
                url = json.loads(process.stdout.readline())["url"]
                leaks = asyncio.run(_over_mcp(planted, url, era, wanted))
                leaks.look(planted, ("answer to odd headers", _with_headers(planted, url)))
                process.terminate()
                assert process.wait(20) == 0
    for path in (log, trail):
        leaks.look(planted, (path.name, path.read_text()))
    assert not leaks, leaks.told()
    assert '"diagnose"' in trail.read_text()


async def _over_mcp(planted: Planted, target: Any, era: Any, wanted: list[tuple[str, asked_of.Question]]) -> Leaks:
    async with Client(target, mode=era) as client:
        streams = asking.over_mcp(client, wanted), asking.everything_else(client, planted.shaped())
        return (await gathered(planted, *streams))[0]


def _with_headers(planted: Planted, url: str) -> str:
    """What the server says to requests that bring secrets in their headers and address."""
    text = {name: one.text for name, one in planted.canaries.items()}
    headers = {"Authorization": text["http-authorization"], "Cookie": text["http-cookie"]}
    answers = []
    for address in (url, f"{url}?access_token={text['http-query']}", f"{url}/{text['http-query']}"):
        request = urllib.request.Request(address, b"{}", {**headers, "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answers.append(response.read().decode())
        except urllib.error.HTTPError as error:
            answers.append(f"{error.headers} {error.read().decode()}")
    for method, params in _odd_requests(planted.canaries["annotation-jwt"].text):
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": load.META}}
        named = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": str(params.get("name", ""))}
        request = urllib.request.Request(url, json.dumps(message).encode(), {**named, **load.JSON})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answers.append(response.read().decode())
        except urllib.error.HTTPError as error:
            answers.append(error.read().decode())
    return "\n".join(answers)


def _odd_requests(secret: str) -> list[tuple[str, dict[str, Any]]]:
    """Methods that a client library does not let one misuse."""
    return [
        ("skills/get", {"uri": f"skill://{secret}/SKILL.md"}),
        ("resources/directory/read", {"uri": f"skill://{secret}"}),
        ("prompts/get", {"name": secret}),
        ("prompts/get", {"name": "triage", "arguments": {secret: "x"}}),
        ("tools/list", {"cursor": secret}),
        ("tools/call", {"name": secret, "arguments": {}}),
        ("tools/call", {"name": "get", "arguments": {"kind": {secret: secret}}}),
        (secret, {}),
    ]


def _telling(every: list[tuple[str, asked_of.Question]]) -> list[tuple[str, asked_of.Question]]:
    """Of all objects those of our namespace, whole."""
    return [one for one in every if one[1].get("namespace") == NS and one[1].get("detail") == "detailed"]


# --- the command line


def _printed(planted: Planted, *arguments: str) -> list[asking.Said]:
    ran = run(*arguments, KUBECONFIG=str(planted.kubeconfig), FIRSTMATE_DEBUG="1")
    return [(f"firstmate {' '.join(arguments)}", ran.out), (f"stderr of firstmate {' '.join(arguments)}", ran.err)]


def test_nothing_leaks_from_the_command_line(planted: Planted) -> None:
    leaks = Leaks()
    commands = [("diagnose", "-n", NS), ("diagnose", "pod/leaky", "-n", NS), ("doctor",), ("rbac",), ("tools", "list")]
    for words in commands:
        for form in ("text", "json", "markdown"):
            for said in _printed(planted, *words, "--format", form):
                leaks.look(planted, said)
    for context in CONTEXTS:
        if context != "silent":  # it would be waited for until the deadline of each command
            for said in _printed(planted, "doctor", "--context", context):
                leaks.look(planted, said)
    for name, question in planted.plainest().items():
        for form in ("text", "json", "markdown"):
            for said in _printed(planted, "tools", "call", name, "--json", json.dumps(question), "--format", form):
                leaks.look(planted, said)
    assert not leaks, leaks.told()


@pytest.mark.parametrize("form", ["cluster.tar.gz", "folder"])
def test_nothing_leaks_into_a_snapshot_nor_out_of_it(planted: Planted, tmp_path: Path, form: str) -> None:
    path, leaks = tmp_path / form, Leaks()
    for said in _printed(planted, "snapshot", "create", str(path), "--secrets", "--format", "json"):
        leaks.look(planted, said)
    assert path.exists()
    for name, where in planted.search.file(path).items():
        leaks.setdefault(name, []).append(f"the file: …{where}…")
    settings = Settings(snapshot=str(path), toolsets=("all",))

    async def asked() -> tuple[Leaks, str]:
        calls = Calls(ConfiguredClusters(settings), all_tools())
        wanted = [(name, {k: v for k, v in one.items() if k != "cluster"}) for name, one in planted.questions()]
        return await gathered(planted, asking.through_calls(calls, wanted))

    found, said = asyncio.run(asked())
    leaks.update({name: [*leaks.get(name, []), *where] for name, where in found.items()})
    assert not leaks, leaks.told()
    assert planted.known.digest in said
