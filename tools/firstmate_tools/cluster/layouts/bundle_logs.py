"""The container logs in a support bundle.

`bundle.py` makes one `BundleLogs`. Logs lie below cluster-resources/pods/logs/, where every version of the collector
puts those of unwell pods, and newer ones all; older ones put what a `logs` collector takes into a folder of that
collector's name, without saying which namespace a pod is in. Must never return a log whose pod may be another of the
same name.
"""

import re

from firstmate_tools.cluster.files import Files
from firstmate_tools.errors import ObjectNotFoundError, SnapshotError

from .foreign import outcome_of
from .recording import LogText, Slice, unanswered

_FOLDER = "cluster-resources/pods/logs/"
_OLD = re.compile(r"(?!cluster-resources/).+/(?P<pod>[a-z0-9.-]+)/(?P<container>[a-z0-9-]+?)(?P<old>-previous)?\.log")


class BundleLogs:
    """Finds logs by name.

    Args:
        files: the bundle's.
        names: all of their names.
        pods: the pod lists, by namespace.
    """

    def __init__(self, files: Files, names: frozenset[str], pods: dict[str, Slice]) -> None:
        self._files, self._names, self._pods = files, names, pods
        self._old: dict[tuple[str, str, bool], list[str]] = {}
        for name in sorted(names):
            if (match := _OLD.fullmatch(name)) is not None:
                place = (match["pod"], match["container"], match["old"] is not None)
                self._old.setdefault(place, []).append(name)

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> LogText | None:
        base = f"{_FOLDER}{namespace}/{pod}/{container}"
        name = f"{base}-previous.log" if previous else f"{base}.log"
        if name in self._names:
            return self._text(name)
        errors = f"{base}-logs-errors.log"
        if errors in self._names and not previous:
            message = " ".join(self._text(errors).text.split())[:300]
            if "waiting to start" in message or "PodInitializing" in message:
                raise ObjectNotFoundError(f'There is no log yet for container "{container}" of pod "{pod}".')
            raise unanswered(
                outcome_of(message), f'The log of container "{container}" of pod "{pod}" was not had: {message}.'
            )
        found = self._old.get((pod, container, previous), [])
        return self._text(found[0]) if len(found) == 1 and self._is_only(pod, namespace) else None

    def _text(self, name: str) -> LogText:
        try:
            return LogText(self._files.read(name).decode("utf-8", "replace"), stamped=False)
        except SnapshotError as error:
            raise unanswered("failed", error.message, error.hint) from error

    def _is_only(self, pod: str, namespace: str) -> bool:
        """Whether the pod lists know this name in this namespace alone."""
        named = f'"name": "{pod}"'.encode()
        holders = {inside for inside, part in self._pods.items() if part.file and named in self._files.read(part.file)}
        return holders == {namespace}

    def any_from(self, namespace: str | None) -> bool:
        start = f"{_FOLDER}{namespace}/" if namespace else _FOLDER
        return any(name.startswith(start) for name in self._names)
