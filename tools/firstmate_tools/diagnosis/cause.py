"""What a cause is. The rows stand in `catalogue/`, put together in `causes.py`."""

from dataclasses import dataclass
from typing import Literal, NewType

CauseSlug = NewType("CauseSlug", str)

Source = Literal[
    "cluster",
    "logs",
    "prometheus",
    "aws",
    "audit",
    "flows",
    "ack",
    "argo-cd",
    "aws-load-balancer-controller",
    "cert-manager",
    "external-secrets",
    "flux",
    "karpenter",
    "keda",
]
"""What shows a cause: objects and events of the cluster, container logs, another place that facts come from, or the
custom resources of a product."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause.

    Attributes:
        slug: its name everywhere.
        title: what it is, in one line.
        runbook: slug of the runbook that treats it.
        source: what has to be readable for a rule to tell it.
        victim: whether it is only ever a symptom of something else, and a root cause only where nothing explains it.
    """

    slug: CauseSlug
    title: str
    runbook: str
    source: Source = "cluster"
    victim: bool = False


def causes(runbook: str, *, source: Source = "cluster", **titles: str) -> list[Cause]:
    """Rows of one runbook and source: slugs with underscores, and what each is."""
    return [Cause(CauseSlug(name.replace("_", "-")), title, runbook, source) for name, title in titles.items()]


def victims(runbook: str, **titles: str) -> list[Cause]:
    """As `causes`, of what is never the first in a chain."""
    return [Cause(CauseSlug(name.replace("_", "-")), title, runbook, victim=True) for name, title in titles.items()]
