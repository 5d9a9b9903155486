"""Every tool that the server offers: those of `firstmate_tools` and those of `firstmate.tools`, found by themselves.

MCP and command line ask here. A new tool is a new module with one decorated function.
"""

import importlib
import pkgutil
from functools import cache

import firstmate.tools
from firstmate_tools import catalogue as looking
from firstmate_tools.toolspec import ToolSpec


@cache
def all_tools() -> tuple[ToolSpec, ...]:
    """Every tool, by name.

    Raises:
        TypeError: two tools have the same name.
    """
    found = list(looking.all_tools())
    for info in pkgutil.iter_modules(firstmate.tools.__path__):
        found += looking.tools_in(importlib.import_module(f"{firstmate.tools.__name__}.{info.name}"))
    names = sorted(spec.name for spec in found)
    if twice := {name for name in names if names.count(name) > 1}:
        raise TypeError(f"several tools are called {', '.join(sorted(twice))}")
    return tuple(sorted(found, key=lambda spec: spec.name))
