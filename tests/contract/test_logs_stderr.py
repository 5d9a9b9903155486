"""What the process writes on stderr: every logger, tracebacks and warnings pass the redaction."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from firstmate import logs

SECRET = "hunter22x"


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.parametrize("name", ["firstmate", "uvicorn.error", "mcp.server", "kubernetes.client.rest", "botocore"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_logger_tells_a_secret(name: str, form: logs.LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form)
    logging.getLogger(name).error("call with %s failed\x1b[31m", {"Authorization": f"Bearer {SECRET}"})
    written = capsys.readouterr().err
    assert SECRET not in written and "[redacted:credential]" in written and "\x1b" not in written


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_traceback_tells_a_secret(form: logs.LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form)
    try:
        raise ValueError(f"cannot reach postgres://cart:{SECRET}@db/cart")
    except ValueError:
        logging.getLogger("firstmate").exception("internal error")
    written = capsys.readouterr().err
    assert SECRET not in written and "ValueError" in written and "[redacted:password]" in written


def test_json_is_one_line_for_each_record(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json")
    logging.getLogger("a").warning("two\nlines")
    logging.getLogger("b").error("one")
    first, second = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (first["logger"], first["level"], first["message"]) == ("a", "WARNING", "two\nlines")
    assert second["message"] == "one" and "traceback" not in second


def test_handlers_that_others_set_up_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
    logs.set_up()
    logging.getLogger("x").error("password=%s", SECRET)
    assert SECRET not in capsys.readouterr().err


def test_a_thread_that_dies_and_a_warning_tell_none() -> None:
    program = (
        "import threading, warnings\n"
        "from firstmate import logs\n"
        "logs.set_up()\n"
        f"threading.Thread(target=lambda: 1/0 if 0 else exec('raise ValueError(\"token={SECRET}\")')).start()\n"
        f"warnings.warn('api_key={SECRET}')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert SECRET not in ran.stderr and ran.stderr.count("[redacted:value]") >= 2


def test_serve_writes_its_log_through_the_filter() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "firstmate", "--snapshot", "demo", "serve", "--log-format", "json"],
        input=b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"token": "hunter22x"',
        capture_output=True,
        check=False,
    )
    assert SECRET.encode() not in ran.stderr
    assert all(json.loads(line) for line in ran.stderr.splitlines())
