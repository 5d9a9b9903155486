"""Which contexts a kubeconfig has: names, addresses and users, and nothing secret.

`clusters.py` asks it for the clusters that there are. The connection itself is made elsewhere, by the official client,
when a cluster is first asked; this module must stay light and must never look at credentials.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from firstmate_tools import fields
from firstmate_tools.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Context:
    """One context: its name, the API server's address, the name of the user entry, and whom that user acts as."""

    name: str
    server: str
    user: str
    acts_as: str


@dataclass(frozen=True, slots=True)
class Contexts:
    """The contexts of one or several kubeconfig files, merged as kubectl does: the first that names a thing wins."""

    every: tuple[Context, ...]
    current: str


def paths_of(kubeconfig: str | None) -> tuple[Path, ...]:
    """The files to read: the given one (or several, joined as in KUBECONFIG), else KUBECONFIG, else ~/.kube/config.

    Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
    """
    named = kubeconfig or os.environ.get("KUBECONFIG") or ""
    found = tuple(Path(one).expanduser() for one in named.split(os.pathsep) if one)
    return found or (Path.home() / ".kube" / "config",)


def read_contexts(paths: Sequence[Path]) -> Contexts:
    """The contexts of these files; a file that does not exist adds none.

    Raises:
        ConfigurationError: a file cannot be read, or is no kubeconfig.
    """
    contexts: dict[str, dict[str, Any]] = {}
    servers: dict[str, str] = {}
    acting: dict[str, str] = {}
    current = ""
    for path in paths:
        content = _parsed(path)
        current = current or fields.text(content, "current-context")
        for one in fields.items(content, "clusters"):
            servers.setdefault(fields.text(one, "name"), fields.text(one, "cluster", "server"))
        for one in fields.items(content, "users"):
            acting.setdefault(fields.text(one, "name"), fields.text(one, "user", "as"))
        for one in fields.items(content, "contexts"):
            if name := fields.text(one, "name"):
                contexts.setdefault(name, fields.mapping(one, "context"))
    every = tuple(
        Context(
            name,
            servers.get(fields.text(inner, "cluster"), ""),
            fields.text(inner, "user"),
            acting.get(fields.text(inner, "user"), ""),
        )
        for name, inner in contexts.items()
    )
    return Contexts(every, current)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        body = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"The kubeconfig {path} cannot be read: {error.strerror}.") from error
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content: object = yaml.load(body, loader)  # noqa: S506 - a safe loader, the C one where there is one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The kubeconfig {path} is not YAML.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"The kubeconfig {path} is not shaped like one.")
    return cast("dict[str, Any]", content)
