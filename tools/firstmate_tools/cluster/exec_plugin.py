"""Runs a kubeconfig's credential plugin and reads what it prints.

`kubeconfig.py` uses it for every `exec` entry that is not an EKS token. The official client's own runner is not used:
it logs failures and goes on without credentials, lets the plugin read our standard input (which carries MCP), and
waits for ever. Must never pass on what a plugin prints except cleaned and redacted, and only when it fails.

Protocol: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import orjson

from firstmate_tools import fields
from firstmate_tools.errors import ConfigurationError
from firstmate_tools.fields import Obj
from firstmate_tools.text import is_harmless, is_secret, mark, shorten, untrusted

from .auth import Presented

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_TIMEOUT_S = 60.0
_LONGEST_OUTPUT = 1_000_000
_SKEW_S = 30.0
_FOR_EVER_S = 3600.0 * 24 * 365


@dataclass(frozen=True, slots=True)
class ExecEntry:
    """An `exec` entry of a kubeconfig user.

    Attributes:
        command: as written; a relative path with a slash starts at the kubeconfig's folder.
        env: variables set beside ours.
        folder: the kubeconfig's folder.
        cluster: the `spec.cluster` that the plugin wants to know (`provideClusterInfo`), else {}.
        install_hint: what to do where the command is missing, in the kubeconfig's words.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    api_version: str = _VERSIONS[0]
    folder: Path = Path()
    cluster: Obj = field(default_factory=dict[str, object], repr=False)
    install_hint: str = ""

    @property
    def name(self) -> str:
        return self.command.replace("\\", "/").rpartition("/")[2]


def entry_of(spec: Obj, folder: Path, cluster: Obj) -> ExecEntry:
    """Reads an `exec` entry.

    Args:
        spec: the entry, as in the kubeconfig.
        folder: the kubeconfig's folder.
        cluster: `spec.cluster` for plugins that ask for it.

    Raises:
        ConfigurationError: the entry cannot be used by a program without a terminal, or is incomplete.
    """
    command, version = fields.text(spec, "command"), fields.text(spec, "apiVersion")
    if not command:
        raise ConfigurationError("The kubeconfig's exec entry names no command.")
    if version not in _VERSIONS:
        raise ConfigurationError(
            f"The kubeconfig's exec entry for {command!r} has apiVersion {version!r}.",
            f"Update the entry to {_VERSIONS[1]} or {_VERSIONS[0]}.",
        )
    if spec.get("interactiveMode") == "Always":
        raise ConfigurationError(
            f"Credential plugin {command!r} wants a terminal (interactiveMode: Always), and there is none.",
            "Use a context whose credentials need no questions.",
        )
    env = {fields.text(one, "name"): fields.text(one, "value") for one in fields.items(spec, "env")}
    wants = fields.flag(spec, "provideClusterInfo")
    hint = shorten(untrusted(fields.text(spec, "installHint")), 200)
    return ExecEntry(command, tuple(fields.strings(spec, "args")), env, version, folder, cluster if wants else {}, hint)


async def run(entry: ExecEntry) -> tuple[Presented, float]:
    """Runs the plugin once.

    Returns:
        The credentials, and the seconds for which they may be used.

    Raises:
        ConfigurationError: it is missing, fails, takes more than a minute, or prints something else.
    """
    code, out, err = await _output(entry)
    if code != 0:
        told = err.decode("utf-8", "replace")
        for secret in _secrets(entry):
            told = told.replace(secret, mark("value"))
        words = shorten(" ".join(untrusted(told).split()), 400)
        raise ConfigurationError(
            f"Credential plugin {entry.name!r} failed with exit code {code}: {words or 'it printed no reason'}.",
            "Run it by hand, or log in again.",
        )
    return _credentials(entry, out)


def _secrets(entry: ExecEntry) -> list[str]:
    """What the plugin was given and must not tell: values of variables and flags with secret names."""
    named = [(name, value) for name, value in entry.env.items() if is_secret(name, whole=True)]
    named += [(flag, value) for flag, value in pairwise(entry.args) if flag[:1] == "-" and is_secret(flag.lstrip("-"))]
    named += [(flag, value) for flag, _, value in (one.partition("=") for one in entry.args) if is_secret(flag)]
    return sorted({value for _, value in named if value and not is_harmless(value)}, key=len, reverse=True)


def _environment(entry: ExecEntry) -> dict[str, str]:
    spec: Obj = {"interactive": False}
    if entry.cluster:
        spec["cluster"] = entry.cluster
    info = {"apiVersion": entry.api_version, "kind": "ExecCredential", "spec": spec}
    return {**os.environ, **entry.env, "KUBERNETES_EXEC_INFO": orjson.dumps(info).decode()}


async def _output(entry: ExecEntry) -> tuple[int, bytes, bytes]:
    inside = "/" in entry.command and not Path(entry.command).is_absolute()
    command = str(entry.folder / entry.command) if inside else entry.command
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            command, *entry.args, env=_environment(entry), stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"Credential plugin {entry.name!r} cannot be started: {error}.",
            entry.install_hint or "Install it, or put it on the PATH of this process.",
        ) from error
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise ConfigurationError(
            f"Credential plugin {entry.name!r} did not end within {_TIMEOUT_S:.0f} s.", "Log in by hand first."
        ) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, out[:_LONGEST_OUTPUT], err[:_LONGEST_OUTPUT]


def _credentials(entry: ExecEntry, out: bytes) -> tuple[Presented, float]:
    try:
        value: object = orjson.loads(out)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"Credential plugin {entry.name!r} printed no ExecCredential.") from error
    if fields.text(value, "kind") != "ExecCredential" or fields.text(value, "apiVersion") != entry.api_version:
        raise ConfigurationError(
            f"Credential plugin {entry.name!r} printed no ExecCredential of {entry.api_version}.",
            "The kubeconfig entry and the plugin must name the same apiVersion.",
        )
    token = fields.text(value, "status", "token")
    pair = (fields.text(value, "status", "clientCertificateData"), fields.text(value, "status", "clientKeyData"))
    if not token and not all(pair):
        raise ConfigurationError(f"Credential plugin {entry.name!r} printed neither a token nor a certificate.")
    presented = Presented(f"Bearer {token}" if token else "", pair if all(pair) else None)
    expiry = fields.time_at(value, "status", "expirationTimestamp")
    if expiry is None:
        return presented, _FOR_EVER_S
    # The plugin's clock is this machine's clock: the cluster's says nothing about it.
    return presented, max(0.0, (expiry - datetime.now(UTC)).total_seconds() - _SKEW_S)
