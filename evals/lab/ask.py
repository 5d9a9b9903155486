"""The question that a scenario asks: one call of the product's own diagnosis, and what it cost.

Called by the runner, once for each scenario. The only module of the lab that knows the product: it must ask exactly as
`firstmate diagnose --format json` does, and add nothing that a user would not get.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.lab.errors import LabError


class AskError(LabError):
    """The product could not be asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer and its price: wall-clock milliseconds, requests to the API server, bytes received."""

    answer: dict[str, Any]
    ms: float
    requests: int
    bytes: int


async def ask(kubeconfig: Path, scope: str, namespace: str | None) -> Asked:
    """Diagnoses a scope of a live cluster.

    Raises:
        AskError: there was no answer.
    """
    raise AskError("the product's diagnosis is not wired in yet")


async def differences(kubeconfig: Path, scope: str, namespace: str | None, asked: Asked) -> list[str]:
    """Records a snapshot of the cluster, diagnoses that, and says where its root causes differ from the live answer.

    Raises:
        AskError: no snapshot could be recorded, or not be asked.
    """
    raise AskError("the product's snapshot is not wired in yet")
