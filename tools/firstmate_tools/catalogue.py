"""Finds every tool: each module of this package that holds a decorated function.

The server and the command line ask here; nothing is registered by hand. A new tool is a new module with one function.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from types import ModuleType

import firstmate_tools
from firstmate_tools.reads import AnyKindButSecrets, Declared, Read
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
        if info.name in ("catalogue", "actions"):  # actions are no tools, and many: who proposes one loads them
            continue
        for spec in tools_in(importlib.import_module(f"{firstmate_tools.__name__}.{info.name}")):
            if spec.name in found:
                raise TypeError(f"two tools are called {spec.name}")
            found[spec.name] = spec
    return tuple(found[name] for name in sorted(found))


def declared_reads(tools: Iterable[ToolSpec]) -> tuple[Declared, ...]:
    """Everything that these tools may read, in a stable order.

    Verbs of the same resource are joined. What one tool needs and another takes where it may is needed; what is
    optional to all stays apart.
    """
    kinds: dict[tuple[str, str], Read] = {}
    verbs: dict[bool, dict[tuple[str, str], set[str]]] = {False: {}, True: {}}
    others: dict[Declared, None] = {}
    for spec in tools:
        for read in spec.reads():
            if isinstance(read, Read):
                key = (read.kind.resource, read.subresource)
                kinds.setdefault(key, read)
                verbs[read.optional].setdefault(key, set()).update(read.verbs)
            else:
                others[read] = None
    joined: list[Read] = []
    for key, read in sorted(kinds.items()):
        needed = verbs[False].get(key, set())
        for optional, wanted in ((False, needed), (True, verbs[True].get(key, set()) - needed)):
            if wanted:
                joined.append(Read(read.kind, tuple(sorted(wanted)), read.subresource, optional))
    kept = [read for read in others if not getattr(read, "optional", False) or _needed(read) not in others]
    return (*joined, *sorted(kept, key=repr))


def _needed(read: Declared) -> Declared:
    """The same, as somebody declares it who cannot do without."""
    return read if isinstance(read, AnyKindButSecrets) else replace(read, optional=False)
