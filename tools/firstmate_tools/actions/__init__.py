"""The typed changes that a runbook may propose, and later a remediation may make.

Runbooks name them in their `act` steps, `firstmate.runbooks` checks the parameters and shows the command. Nothing here
speaks to a cluster, and nothing that is not an `Action` can be proposed. A new action is one decorated class.
"""

import importlib
import pkgutil

from .action import Action, ActionSpec, Risk, spec_of

__all__ = ["ACTIONS", "Action", "ActionSpec", "Risk"]


def _found() -> dict[str, ActionSpec]:
    every: dict[str, ActionSpec] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            spec = spec_of(value)
            if spec is None or spec.parameters.__module__ != module.__name__:
                continue
            if spec.name in every:
                raise TypeError(f"two actions are called {spec.name}")
            every[spec.name] = spec
    return dict(sorted(every.items()))


ACTIONS = _found()
"""Every action, by name."""
