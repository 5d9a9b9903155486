"""Switches the filter off, for the control run: every function of it lets everything pass, wherever it is imported."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

HOME = ("firstmate_tools.text", "firstmate_tools.cluster.scrub", "firstmate_tools.cluster.masking")
"""Modules (and packages) that the filter is made of."""
NAMES = ("redact", "scrub", "without_", "is_secret", "masked")
"""How its functions begin."""


def _through(value: Any, *others: Any, **more: Any) -> Any:
    return value


def _never(*given: Any, **more: Any) -> bool:
    return False


def _named(name: str, value: str) -> str:
    return value


def _log(text: str, *, stamped: bool) -> tuple[str, bool]:
    return text, stamped


OTHERS: dict[str, Callable[..., Any]] = {"is_secret": _never, "masked_named": _named, "masked_log": _log}
"""Those that give something else than their first argument, changed."""


def _filters() -> dict[int, Callable[..., Any]]:
    """By identity: modules may have functions of the same name."""
    found: dict[int, Callable[..., Any]] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith(HOME):
            for key, value in vars(module).items():
                if key.startswith(NAMES) and callable(value) and str(getattr(value, "__module__", "")).startswith(HOME):
                    found[id(value)] = value
    return found


def _forget() -> None:
    """What the filter remembers of texts that it has seen."""
    for name, module in list(sys.modules.items()):
        if name.startswith(HOME):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


@contextmanager
def unfiltered() -> Iterator[None]:
    """Within it nothing is redacted, and values of Secrets stay in what is read."""
    filters = _filters()
    assert filters, "the filter is not where this module looks for it"
    with ExitStack() as stack:
        _forget()
        stack.callback(_forget)
        for name, module in list(sys.modules.items()):
            if not name.startswith("firstmate"):
                continue
            for key, value in list(vars(module).items()):
                if id(value) in filters:
                    stack.enter_context(patch.object(module, key, OTHERS.get(key, _through)))
        yield
