"""The audit trail: which calls it holds, what of them, and where it is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from contract.cli import run
from contract.server_doubles import Clusters, record_shop, shop

from firstmate.audit import AppendedFile, Trail, digest
from firstmate.caller import ANONYMOUS, Caller, calling
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate_tools.errors import ConfigurationError, FirstmateError

pytestmark = pytest.mark.anyio


def trailed() -> tuple[Calls, list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    trail = Trail(lambda line: lines.append(json.loads(line)), {spec.name: spec for spec in all_tools()})
    return Calls(Clusters(prod=shop()), all_tools(), [trail.observe]), lines


async def test_a_call_is_written_down_without_what_its_arguments_say() -> None:
    calls, lines = trailed()
    caller = Caller("oauth", "u-1", "ann@shop.example", "ide", "https://idp", frozenset({"read"}), ("sre",))
    with calling(caller, "r-1"):
        await calls.call("diagnose", {"namespace": "shop"})
        with pytest.raises(FirstmateError):
            await calls.call("diagnose", {"namespace": "shop", "password is hunter2": 1})
        with pytest.raises(FirstmateError):
            await calls.call("hunter2", {"x": "y"})
    first, wrong, unknown = lines
    assert first["event"] == "tool_call" and first["request"] == "r-1" and first["at"].endswith("Z")
    assert first["caller"] == {
        "kind": "oauth",
        "user": "ann@shop.example",
        "subject": "u-1",
        "client": "ide",
        "issuer": "https://idp",
        "groups": ["sre"],
    }
    assert (first["tool"], first["cluster"], first["outcome"]) == ("diagnose", "prod", "problems_found")
    assert first["arguments"] == ["namespace"] and first["arguments_sha256"] == digest({"namespace": "shop"})
    assert first["requests"] > 0 and first["ms"] >= 0
    assert wrong["arguments"] == ["(unknown)", "namespace"] and wrong["outcome"] == "UsageError"
    assert (unknown["tool"], unknown["arguments"]) == ("(unknown)", ["(unknown)"])
    assert "hunter2" not in json.dumps(lines)


async def test_a_refused_call_is_written_down_too() -> None:
    calls, lines = trailed()
    with calling(Caller("token", "bot", "bot", families=frozenset({"read"}))), pytest.raises(FirstmateError) as caught:
        await calls.call("logs", {"scope": "pod/web"})
    assert "insufficient_scope" in str(caught.value)
    assert [(one["tool"], one["outcome"]) for one in lines] == [("logs", "InsufficientScopeError")]


def test_the_digest_is_that_of_the_meaning() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
    assert len({digest({"x": "\udcff"}), digest({"x": 1 << 70}), digest({})}) == 3


def test_the_file_is_appended_to_for_its_owner_alone_and_follows_rotation(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    out = AppendedFile(path, fsync=True)
    out.write(b"1\n")
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(tmp_path / "audit.jsonl.1")
    out.write(b"2\n")
    AppendedFile(path).write(b"3\n")
    assert path.read_text() == "2\n3\n" and (tmp_path / "audit.jsonl.1").read_text() == "1\n"


def test_a_line_that_cannot_be_written_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    out = AppendedFile(folder / "audit.jsonl")
    (folder / "audit.jsonl").unlink()
    folder.rmdir()
    trail = Trail(out.write, {})
    trail.refused(ANONYMOUS, "x", {}, "insufficient_scope")
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["outcome"] == "insufficient_scope"
    with pytest.raises(ConfigurationError, match="cannot be appended to"):
        AppendedFile(folder / "audit.jsonl")


def test_the_command_line_keeps_a_trail_where_one_is_configured(tmp_path: Path) -> None:
    config, snapshot = tmp_path / "c.toml", str(record_shop(tmp_path))
    config.write_text('[audit]\nfile = "audit.jsonl"\n')
    assert run("diagnose", "--snapshot", snapshot, "-n", "shop", "--config", str(config)).code == 1
    (line,) = [json.loads(one) for one in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert line["caller"] == {"kind": "local", "user": "local", "subject": "local"}
    assert (line["tool"], line["outcome"]) == ("diagnose", "problems_found")
