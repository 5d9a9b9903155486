"""Finds every tool: each module of this package that holds a decorated function.

The server and the command line ask here; nothing is registered by hand. A new tool is a new module with one function.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from types import ModuleType

import firstmate_tools
from firstmate_tools.reads import Declared, Read
from firstmate_tools.toolspec import ToolSpec, spec_of


def tools_in(module: ModuleType) -> list[ToolSpec]:
    """The tools that a module defines itself."""
    found = [spec_of(value) for value in vars(module).values()]
    return [spec for spec in found if spec is not None and spec.function.__module__ == module.__name__]


@cache
def all_tools() -> tuple[ToolSpec, ...]:
    """Every tool of this package, by name."""
    found: dict[str, ToolSpec] = {}
    for info in pkgutil.iter_modules(firstmate_tools.__path__):
        if info.name == "catalogue":
            continue
        for spec in tools_in(importlib.import_module(f"{firstmate_tools.__name__}.{info.name}")):
            if spec.name in found:
                raise TypeError(f"two tools are called {spec.name}")
            found[spec.name] = spec
    return tuple(found[name] for name in sorted(found))


def declared_reads(tools: Iterable[ToolSpec]) -> tuple[Declared, ...]:
    """Everything that these tools may read, verbs of the same resource joined, in a stable order."""
    verbs: dict[tuple[str, str], tuple[Read, set[str]]] = {}
    others: list[Declared] = []
    for spec in tools:
        for read in spec.reads():
            if isinstance(read, Read):
                _, known = verbs.setdefault((read.kind.resource, read.subresource), (read, set()))
                known.update(read.verbs)
            elif read not in others:
                others.append(read)
    joined = [Read(read.kind, tuple(sorted(known)), read.subresource) for _, (read, known) in sorted(verbs.items())]
    return (*joined, *others)
