"""The question that a scenario asks: one call of the product's own `diagnose` tool, and what it cost.

Called by the runner, once for each scenario. The only module of the lab that knows the product: it must ask as
`firstmate diagnose --format json` does (same tool, same reads, same deadline, nulls left out), and add nothing that a
user would not get.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evals.lab.errors import LabError
from evals.lab.report import root_causes
from firstmate_tools.catalogue import all_tools, declared_reads
from firstmate_tools.cluster.base import Cluster, ClusterSource
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.diagnose import diagnose
from firstmate_tools.errors import FirstmateError
from firstmate_tools.kinds import SECRET
from firstmate_tools.reads import Grant, Read
from firstmate_tools.recorder import record
from firstmate_tools.toolspec import ToolSpec, spec_of

_NAME = "lab"
_RECORD_DEADLINE_S = 120.0


class AskError(LabError):
    """The product gave no answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer and its price: wall-clock milliseconds, requests to the API server, bytes received."""

    answer: dict[str, Any]
    ms: float
    requests: int
    bytes: int


async def ask(kubeconfig: Path, scope: str, namespace: str | None) -> Asked:
    """Diagnoses a scope of a live cluster, as somebody who asks for the first time: nothing is known beforehand.

    Raises:
        AskError: there was no answer.
    """
    return await _ask(LiveSource(_NAME, kubeconfig), scope, namespace)


async def record_for(kubeconfig: Path, path: Path) -> None:
    """Records the cluster, with all that a question may need.

    Raises:
        AskError: it could not be recorded.
    """
    await _record(LiveSource(_NAME, kubeconfig), path)


async def ask_recorded(
    path: Path, scope: str, namespace: str | None, around: Callable[[Cluster], Cluster] | None = None
) -> dict[str, Any]:
    """Diagnoses a scope of a recording.

    Args:
        around: what is put around the cluster that answers.

    Raises:
        AskError: there was no answer.
    """
    return (await _ask(SnapshotSource(_NAME, path), scope, namespace, around)).answer


async def differences(kubeconfig: Path, path: Path, scope: str, namespace: str | None, asked: Asked) -> list[str]:
    """Diagnoses a recording of the cluster, and says where its root causes differ from the live answer.

    Raises:
        AskError: the recording gave no answer.
    """
    recorded = await ask_recorded(path, scope, namespace)
    if not compare(asked.answer, recorded):
        return []
    again = await ask(kubeconfig, scope, namespace)  # the cluster may have moved on between answer and recording
    return compare(again.answer, recorded)


def compare(live: dict[str, Any], recorded: dict[str, Any]) -> list[str]:
    """Sentences about every difference between the root causes of two answers."""
    here, there = root_causes(live), root_causes(recorded)
    found = [f"{one}: in the live answer only" for one in here if one not in there]
    found += [f"{one}: in the snapshot's answer only" for one in there if one not in here]
    if not found and here != there:
        found.append(f"in another order: {', '.join(here)} against {', '.join(there)}")
    if live.get("outcome") != recorded.get("outcome"):
        found.append(f"outcome {live.get('outcome')} against {recorded.get('outcome')} in the snapshot's answer")
    return found


async def record_snapshot(kubeconfig: Path, file: Path, *, name: str = "demo") -> None:
    """Records a live cluster into a file, under a name of its own instead of the kubeconfig's context.

    Raises:
        AskError: it could not be recorded.
    """
    await _record(LiveSource(name, kubeconfig), file, secrets=False, force=True)


async def _ask(
    source: ClusterSource, scope: str, namespace: str | None, around: Callable[[Cluster], Cluster] | None = None
) -> Asked:
    spec, grant = _question()
    begin = time.perf_counter()
    try:
        async with source.open(grant, deadline_s=spec.deadline_s) as cluster:
            answer = await diagnose(around(cluster) if around else cluster, scope, namespace)
            usage = cluster.usage
    except FirstmateError as error:
        raise AskError(f"{type(error).__name__}: {error}") from error
    finally:
        await source.close()
    ms = (time.perf_counter() - begin) * 1000
    return Asked(answer.model_dump(mode="json", exclude_none=True), ms, usage.requests, usage.bytes)


async def _record(source: ClusterSource, path: Path, *, secrets: bool = True, force: bool = False) -> None:
    reads = [*declared_reads(all_tools()), *([Read(SECRET, ("list",))] if secrets else [])]
    try:
        async with source.open(Grant.of(reads), deadline_s=_RECORD_DEADLINE_S) as cluster:
            await record(cluster, path, reads=reads, secrets=secrets, force=force)
    except FirstmateError as error:
        raise AskError(f"no snapshot: {type(error).__name__}: {error}") from error
    finally:
        await source.close()


@cache
def _question() -> tuple[ToolSpec, Grant]:
    spec = spec_of(diagnose)
    if spec is None:
        raise AskError("firstmate_tools.diagnose.diagnose is no tool any more")
    return spec, Grant.of(spec.reads())
