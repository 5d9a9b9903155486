"""Imports the MCP SDK without building the hundreds of pydantic validators that one session never uses.

`serve` and the demo's client call `load` before anything imports the SDK, for a quick start: the SDK defines some 500
models, for two protocol eras, and pydantic builds a validator for each while it is imported, which is a third of the
time to tools/list. Deferred, each is built when it is first used (`defer_build`, a setting of pydantic). Only what is
defined during that import is concerned. The SDK works as well without this module, only slower.
"""

import gc
import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import pydantic


@contextmanager
def starting() -> Generator[None]:
    """Within it no garbage is collected, and what was made in it is never looked through again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.freeze()
            gc.enable()


def load() -> None:
    """Imports the SDK, unless somebody has done so."""
    if "mcp" in sys.modules:
        return
    with _deferred():
        server: Any = importlib.import_module("mcp.server.mcpserver.server")
        importlib.import_module("mcp.client")
    # The SDK would load rich to set logging up, which `serve` does itself.
    server.configure_logging = _no_logging


def _no_logging(level: str = "") -> None:
    pass


@contextmanager
def _deferred() -> Generator[None]:
    """Within it, models and type adapters are defined without being built."""
    every_model = cast("dict[str, Any]", pydantic.BaseModel.model_config)
    adapter: Any = pydantic.TypeAdapter
    build = adapter.__init__

    def later(self: Any, type: Any, *, config: Any = None, _parent_depth: int = 2, module: str | None = None) -> None:
        if config is None and not hasattr(type, "model_config"):
            config = pydantic.ConfigDict(defer_build=True)
        build(self, type, config=config, _parent_depth=_parent_depth + 1, module=module)

    every_model["defer_build"], adapter.__init__ = True, later
    try:
        yield
    finally:
        del every_model["defer_build"]
        adapter.__init__ = build
