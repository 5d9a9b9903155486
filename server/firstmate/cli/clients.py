"""The MCP clients whose configuration `firstmate config` can print: where it goes, and in which shape.

One entry a client. Shapes are those of the clients' own documentation, as of November 2026.
"""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Shape = Callable[[str, Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Client:
    """One client.

    Attributes:
        name: as on the command line.
        title: as people call it.
        where: the file or the place in its settings.
        shape: the text of the configuration, from the executable and its arguments.
        command: the shell command that does the same, where the client has one.
    """

    name: str
    title: str
    where: str
    shape: Shape
    command: Shape | None = None


def _servers(command: str, arguments: Sequence[str]) -> str:
    return _json({"mcpServers": {"firstmate": {"command": command, "args": list(arguments)}}})


def _typed_servers(command: str, arguments: Sequence[str]) -> str:
    return _json({"mcpServers": {"firstmate": {"type": "stdio", "command": command, "args": list(arguments)}}})


def _vscode(command: str, arguments: Sequence[str]) -> str:
    return _json({"servers": {"firstmate": {"type": "stdio", "command": command, "args": list(arguments)}}})


def _vscode_command(command: str, arguments: Sequence[str]) -> str:
    entry = {"name": "firstmate", "type": "stdio", "command": command, "args": list(arguments)}
    return shlex.join(["code", "--add-mcp", json.dumps(entry)])


def _zed(command: str, arguments: Sequence[str]) -> str:
    return _json({"context_servers": {"firstmate": {"command": command, "args": list(arguments)}}})


def _copilot(command: str, arguments: Sequence[str]) -> str:
    entry = {"type": "local", "command": command, "args": list(arguments), "tools": ["*"]}
    return _json({"mcpServers": {"firstmate": entry}})


def _opencode(command: str, arguments: Sequence[str]) -> str:
    return _json({"mcp": {"firstmate": {"type": "local", "command": [command, *arguments], "enabled": True}}})


def _codex(command: str, arguments: Sequence[str]) -> str:
    # A JSON string or array of strings is one of TOML as well.
    return f"[mcp_servers.firstmate]\ncommand = {json.dumps(command)}\nargs = {json.dumps(list(arguments))}"


def _continue(command: str, arguments: Sequence[str]) -> str:
    # JSON values are YAML values as well.
    head = "name: firstmate\nversion: 0.0.1\nschema: v1\nmcpServers:\n  - name: firstmate\n"
    return f"{head}    command: {json.dumps(command)}\n    args: {json.dumps(list(arguments))}"


def _added_by(*words: str) -> Shape:
    return lambda command, arguments: shlex.join([*words, "--", command, *arguments])


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


CLIENTS: tuple[Client, ...] = (
    Client(
        "claude-code",
        "Claude Code",
        ".mcp.json in the project, or ~/.claude.json",
        _typed_servers,
        _added_by("claude", "mcp", "add", "--transport", "stdio", "firstmate"),
    ),
    Client(
        "claude-desktop",
        "Claude Desktop",
        "claude_desktop_config.json (Settings, Developer, Edit Config); then quit and start it again",
        _servers,
    ),
    Client("cursor", "Cursor", "~/.cursor/mcp.json, or .cursor/mcp.json in the project", _servers),
    Client("vscode", "VS Code", ".vscode/mcp.json, or `MCP: Open User Configuration`", _vscode, _vscode_command),
    Client(
        "codex",
        "Codex",
        "~/.codex/config.toml",
        _codex,
        _added_by("codex", "mcp", "add", "firstmate"),
    ),
    Client("windsurf", "Windsurf", "~/.codeium/windsurf/mcp_config.json", _servers),
    Client("zed", "Zed", "~/.config/zed/settings.json, or .zed/settings.json in the project", _zed),
    Client("gemini-cli", "Gemini CLI", "~/.gemini/settings.json, or .gemini/settings.json in the project", _servers),
    Client("copilot-cli", "GitHub Copilot CLI", "~/.copilot/mcp-config.json", _copilot),
    Client(
        "jetbrains",
        "JetBrains AI Assistant and Junie",
        "Settings, Tools, AI Assistant, Model Context Protocol, Add (Junie: ~/.junie/mcp/mcp.json)",
        _servers,
    ),
    Client("cline", "Cline", "MCP Servers, Configure MCP Servers (cline_mcp_settings.json)", _servers),
    Client("kiro", "Kiro", "~/.kiro/settings/mcp.json, or .kiro/settings/mcp.json in the project", _servers),
    Client("opencode", "opencode", "opencode.json in the project, or ~/.config/opencode/opencode.json", _opencode),
    Client("continue", "Continue", ".continue/mcpServers/firstmate.yaml", _continue),
)
