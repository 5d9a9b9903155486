"""`snapshot.json`, the manifest of our own layout: what was recorded, when, from where, and what was not and why.

The recorder writes it, `own.py` reads it; docs/snapshots.md describes it for people. Must never hold a credential, nor
a path of the machine that recorded it.
"""

from datetime import datetime
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from firstmate_tools.kinds import Kind

from .recording import Outcome

FORMAT = "firstmate-snapshot"
VERSION = 1
NAME = "snapshot.json"
OBJECTS, LOGS, PATHS = "objects", "logs", "nonresource"
SOURCES = ("metrics", "audit", "flows", "aws")
"""Folders beside the objects in which other sources keep what they recorded."""
CLUSTER_SCOPED = "_cluster"
"""The file name of a cluster-scoped list; no namespace can have it."""


class Entry(BaseModel):
    """Unknown members are kept out silently: a later minor version may add some."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class KindEntry(Entry):
    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short: tuple[str, ...] = ()

    @staticmethod
    def of(kind: Kind) -> "KindEntry":
        return KindEntry(
            kind=kind.kind,
            plural=kind.plural,
            group=kind.group,
            version=kind.version,
            namespaced=kind.namespaced,
            short=kind.short,
        )

    def as_kind(self) -> Kind:
        return Kind(self.kind, self.plural, self.group, self.version, self.namespaced, self.short)


class ListEntry(Entry):
    """What became of one list."""

    outcome: Outcome
    reason: str = ""
    objects: int | None = None


class ResourceEntry(Entry):
    """One kind. `all` is the list across namespaces (or of a cluster-scoped kind), `namespaces` those of single ones.

    Where `all` was collected, `namespaces` names those that have objects, and each other namespace has none.
    """

    kind: KindEntry
    all: ListEntry | None = None
    namespaces: dict[str, ListEntry] = Field(default_factory=dict[str, ListEntry])


class LogEntry(Entry):
    """One log. `absent` where the container has no (previous) run."""

    namespace: str
    pod: str
    container: str
    previous: bool = False
    outcome: Outcome | Literal["absent"]
    reason: str = ""
    stamped: bool = False
    lines: int | None = None
    cut: bool = Field(default=False, description="Older lines were left out")


class PathEntry(Entry):
    """What became of one path that is no resource, such as `/metrics`, or of one question to Prometheus."""

    outcome: Outcome
    reason: str = ""


class ClusterEntry(Entry):
    name: str
    server: str = ""
    version: str = ""
    default_namespace: str = "default"


class Discovery(Entry):
    outcome: Outcome
    reason: str = ""
    kinds: tuple[KindEntry, ...] = ()


class SourceEntry(Entry):
    outcome: Outcome
    reason: str = ""
    files: tuple[str, ...] = ()


class Manifest(Entry):
    format: Literal["firstmate-snapshot"] = "firstmate-snapshot"
    version: int = VERSION
    recorded_by: str = ""
    started_at: datetime
    recorded_at: datetime
    cluster: ClusterEntry
    namespaces: tuple[str, ...] | None = Field(default=None, description="None: all of them")
    every_namespace: tuple[str, ...] | None = Field(default=None, description="All that the cluster had, where known")
    discovery: Discovery
    resources: dict[str, ResourceEntry] = Field(default_factory=dict[str, ResourceEntry])
    logs: tuple[LogEntry, ...] = ()
    logs_left_out: int = Field(default=0, description="Containers whose logs were due and were not read")
    paths: dict[str, PathEntry] = Field(default_factory=dict[str, PathEntry], description="By path, without query")
    questions: dict[str, PathEntry] = Field(
        default_factory=dict[str, PathEntry], description="To Prometheus, by name; none where it was not asked"
    )
    sources: dict[str, SourceEntry] = Field(default_factory=dict[str, SourceEntry])


def objects_file(resource: str, namespace: str) -> str:
    """Where the objects of one list are: one JSON object a line."""
    return f"{OBJECTS}/{resource}/{namespace or CLUSTER_SCOPED}.jsonl"


def path_file(path: str) -> str:
    """Where the answer of a path is. The whole path is one file name, percent-encoded."""
    return f"{PATHS}/{quote(path.lstrip('/'), safe='')}.txt"


def question_file(name: str) -> str:
    """Where the answer of Prometheus to a question is."""
    return f"metrics/{name}.json"


def log_file(namespace: str, pod: str, container: str, *, previous: bool) -> str:
    """Where a log is. Names of containers hold no dot, so that `.previous` is no container's name."""
    return f"{LOGS}/{namespace}/{pod}/{container}{'.previous' if previous else ''}.log"
