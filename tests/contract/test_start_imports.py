"""What `firstmate serve` has loaded when a client knows its tools: the SDK, and little more.

Every start pays for every import. What the SDK loads by itself is measured in a process that loads nothing else.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ALLOWED = {
    "annotated_doc",
    "dotenv",
    "firstmate",
    "firstmate_tools",
    "orjson",
    "pydantic_settings",
    "shellingham",
    "typer",
}
"""Packages beyond the SDK's own: the command line (typer with two small helpers), settings, JSON, and we."""
NEVER = {
    "aiohttp",
    "boto3",
    "botocore",
    "jwt",
    "kubernetes",
    "markdown_it",
    "rich",
    "yaml",
    "opentelemetry.sdk",
    "sqlite3",
}
"""Needed later, by some call, by HTTP or by another command; each costs tens of milliseconds or megabytes."""
AS_FAR_AS_THE_SDK = ("cryptography", "opentelemetry", "starlette", "uvicorn", "httpx2", "sse_starlette")
"""Packages that the SDK loads in part: we must not load more of them."""

_HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
_CONVERSATION = [
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _HELLO},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}},
]
_SERVE = "from firstmate.cli import main\nmain(['serve', '--snapshot', 'demo'{}])"
_SDK = "import mcp.server.mcpserver.server, mcp.client"


def loaded(code: str, file: Path, said: str = "") -> tuple[set[str], str]:
    """The modules of a process at its end, and what it printed."""
    at_exit = (
        f"import atexit, json, sys\natexit.register(lambda: open({str(file)!r}, 'w').write(json.dumps([*sys.modules])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{at_exit}\n{code}"], input=said, capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(file.read_text())), done.stdout


def packages(modules: set[str]) -> set[str]:
    tops = {name.partition(".")[0] for name in modules}
    return {name for name in tops if name not in sys.stdlib_module_names and not name.startswith("_")}


@pytest.mark.parametrize("more", ["", ", '--toolsets', 'all'"])
def test_serving_loads_what_the_sdk_loads_and_little_more(tmp_path: Path, more: str) -> None:
    sdk, _ = loaded(_SDK, tmp_path / "sdk")
    ours, said = loaded(_SERVE.format(more), tmp_path / "serve", "".join(json.dumps(m) + "\n" for m in _CONVERSATION))
    assert '"diagnose"' in said, "it did not come as far as tools/list"
    assert not NEVER & ours
    assert packages(ours) - packages(sdk) <= ALLOWED
    beyond = {name for name in ours - sdk if name.partition(".")[0] in AS_FAR_AS_THE_SDK}
    assert not beyond
