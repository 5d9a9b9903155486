"""Reads the output of `kubectl cluster-info dump`: as a folder, or everything in one stream.

`layouts.read` calls it. What the dump holds and how: k8s.io/kubectl pkg/cmd/clusterinfo/clusterinfo_dump.go, v1.36.
Eight kinds, the current log of every container, nothing else; it stops at the first error, so that what is missing was
never asked for. It does not say whether its namespaces are all that there are: a list across namespaces is refused,
unless a person vouches for it (`SnapshotSource(whole=True)`).
"""

import re

from firstmate_tools import kinds
from firstmate_tools.cluster.files import Files
from firstmate_tools.errors import ObjectNotFoundError, SnapshotError
from firstmate_tools.kinds import NODE, Kind

from .foreign import newest_time, outcome_of
from .recording import Form, LogText, Recording, Shelf, Slice, unanswered

LAYOUT = "cluster-info dump"
NAMESPACED: dict[str, Kind] = {
    "events": kinds.EVENT,
    "replication-controllers": kinds.REPLICATION_CONTROLLER,
    "services": kinds.SERVICE,
    "daemonsets": kinds.DAEMON_SET,
    "deployments": kinds.DEPLOYMENT,
    "replicasets": kinds.REPLICA_SET,
    "pods": kinds.POD,
}
MARKER = re.compile(
    rb"==== (?P<edge>START|END) logs for container (?P<container>[a-z0-9-]{1,63}) of pod "
    rb"(?P<namespace>[a-z0-9-]{1,63})/(?P<pod>[a-z0-9.-]{1,253}) ====\n"
)
_LIST = re.compile(r"(?P<namespace>[^/]+)/(?P<list>[a-z-]+)\.(?P<form>json|yaml)")
_NO_LOG = ("Request log error: ", "Create log request error: ")
_HOW_NAMESPACES = "Dump again with --all-namespaces and configure the dump as whole."
_HOW_LOGS = "A dump holds the current log of each container, never a previous one, and none that failed to be read."
_HOW = "`kubectl cluster-info dump` never collects it: record a snapshot with `firstmate snapshot create`."


def is_dump(names: set[str]) -> bool:
    """Whether these files are a dump's: nodes, and a folder of lists for each namespace."""
    return bool({"nodes.json", "nodes.yaml"} & names) and any(_lists(name) for name in names)


def _lists(name: str) -> re.Match[str] | None:
    match = _LIST.fullmatch(name)
    return match if match and match["list"] in NAMESPACED else None


def read_dump(files: Files) -> Recording:
    """The recording in a dump's folder.

    Raises:
        SnapshotError: nothing in it bears a time, or a file cannot be read.
    """
    names = set(files.names())
    nodes = "nodes.json" if "nodes.json" in names else "nodes.yaml"
    shelves = {
        (NODE.group, NODE.plural): Shelf(NODE, parts={"": Slice(file=nodes, form=_form(nodes))}),
        **{(kind.group, kind.plural): Shelf(kind) for kind in NAMESPACED.values()},
    }
    lists = sorted(name for name in names if _lists(name))
    for name in lists:
        match = _LIST.fullmatch(name)
        assert match is not None  # `lists` holds nothing else
        kind = NAMESPACED[match["list"]]
        shelves[kind.group, kind.plural].parts[match["namespace"]] = Slice(file=name, form=_form(name))
    held = sorted({name.partition("/")[0] for name in lists})
    return Recording(
        layout=LAYOUT,
        files=files,
        now=newest_time(files, [nodes, *lists]),
        server="",
        version="",
        default_namespace="default",
        namespaces=tuple(held),
        shelves=shelves,
        logs=DumpLogs(files),
        how=_HOW,
        how_namespaces=_HOW_NAMESPACES,
        how_logs=_HOW_LOGS,
    )


def _form(name: str) -> Form:
    return "yaml" if name.endswith(".yaml") else "json"


class DumpLogs:
    """The logs of a dump: one file a pod, in which each container's stands between two marks."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names = frozenset(name for name in files.names() if name.endswith("/logs.txt"))

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> LogText | None:
        name = f"{namespace}/{pod}/logs.txt"
        if previous or name not in self._names:
            return None
        try:
            content = self._files.read(name)
        except SnapshotError as error:
            raise unanswered("failed", error.message, error.hint) from error
        text = section(content, namespace, pod, container, name)
        if text is None:
            return None
        said = text.decode("utf-8", "replace")
        for start in _NO_LOG:
            if said.startswith(start) and said.count("\n") <= 1:
                message = said.removeprefix(start).strip()
                if "waiting to start" in message or "PodInitializing" in message:
                    raise ObjectNotFoundError(f'There is no log yet for container "{container}" of pod "{pod}".')
                raise unanswered(
                    outcome_of(message), f'The log of container "{container}" of pod "{pod}" was not had: {message}.'
                )
        return LogText(said, stamped=False)

    def any_from(self, namespace: str | None) -> bool:
        return any(namespace is None or name.startswith(f"{namespace}/") for name in self._names)


def section(content: bytes, namespace: str, pod: str, container: str, name: str) -> bytes | None:
    """What stands between the marks of a container, None where there are none.

    Raises:
        FailedReadError: a mark is there twice: a log line imitates it, and nobody can tell what is whose.
    """
    mine = (container.encode(), namespace.encode(), pod.encode())
    edges: dict[bytes, list[re.Match[bytes]]] = {b"START": [], b"END": []}
    for mark in MARKER.finditer(content):
        if (mark["container"], mark["namespace"], mark["pod"]) == mine:
            edges[mark["edge"]].append(mark)
    if not edges[b"START"] and not edges[b"END"]:
        return None
    if len(edges[b"START"]) != 1 or len(edges[b"END"]) != 1 or edges[b"END"][0].start() < edges[b"START"][0].end():
        raise unanswered("failed", f'{name}: the marks around the log of container "{container}" do not add up.')
    return content[edges[b"START"][0].end() : edges[b"END"][0].start()]
