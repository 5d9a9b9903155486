"""The clusters that are configured, behind the `ClusterSet` of the tools.

Where they come from, in this order: a snapshot that a flag names; the clusters of the configuration file; every context
of the kubeconfig; the cluster that this process runs in. `calls.py` opens them. Nothing is read or imported before a
call needs it, and a kubeconfig that changes on disk is read again. Must never contact a cluster by itself.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firstmate import user_agent
from firstmate.contexts import paths_of, read_contexts
from firstmate.settings import ClusterSettings, Settings
from firstmate_tools.aws.place import Place
from firstmate_tools.aws.reader import Aws
from firstmate_tools.cluster.base import ClusterSource
from firstmate_tools.cluster.impersonation import ActAs
from firstmate_tools.errors import ConfigurationError, SnapshotError, UnknownClusterError
from firstmate_tools.reads import Grant
from firstmate_tools.results import AwsPlace, ClusterIdentity

DEMO = "demo"
BUNDLED = Path(__file__).parent / "data" / "demo.tar.gz"
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class Known:
    """One configured cluster: how to get at it, and what is known of it without asking."""

    settings: ClusterSettings
    server: str = ""
    user: str = ""


class ConfiguredClusters:
    """All configured clusters.

    Args:
        settings: where to look.
        act_as: says for each call as whom a live cluster is asked; None for firstmate itself.
    """

    def __init__(self, settings: Settings, act_as: ActAs | None = None) -> None:
        self._settings = settings
        self._act_as = act_as
        self._known: dict[str, Known] = {}
        self._default = ""
        self._stamp: object = None
        self._sources: dict[str, ClusterSource] = {}
        self._retired: list[ClusterSource] = []

    def names(self) -> Sequence[str]:
        """Their names, in the order of the file or kubeconfig. May be none."""
        return list(self._fresh())

    def default(self) -> str:
        """The one that answers where a call names none.

        Raises:
            ConfigurationError: there is none, or several and none is chosen.
        """
        known = self._fresh()
        if self._default:
            return self._default
        if not known:
            raise ConfigurationError(
                "No cluster is configured: there is no kubeconfig with contexts, and no configuration file.",
                "Set KUBECONFIG, or name --kubeconfig, --context or --snapshot (`--snapshot demo` is a bundled one).",
            )
        raise ConfigurationError(
            "The kubeconfig has no current context.", f"Name a cluster; there are: {_listed(list(known))}."
        )

    def describe(self) -> Sequence[ClusterIdentity]:
        """Who each is, from configuration alone."""
        return [
            ClusterIdentity(
                name=name,
                server=one.server or None,
                snapshot=_file_name(one.settings.snapshot),
                aws=_aws_place(one.settings),
            )
            for name, one in self._fresh().items()
        ]

    def aws(self, grant: Grant, *, profile: str | None, region: str | None, deadline_s: float) -> Aws:
        """AWS at a place; see `ClusterSet.aws`. Sends nothing."""
        return Aws(Place(profile or "", region or ""), grant, deadline_s=deadline_s)

    def user(self, name: str) -> str:
        """Whom firstmate is to a cluster by its kubeconfig: the user entry, and whom it acts as. "" where unknown."""
        return self._fresh()[name].user

    def source(self, name: str | None = None) -> ClusterSource:
        """The named cluster, or the default.

        Raises:
            UnknownClusterError: lists those that there are.
            ConfigurationError: there is none at all, or it cannot be used.
        """
        known = self._fresh()
        chosen = name or self.default()
        if chosen not in known:
            raise UnknownClusterError(f"No cluster {chosen!r} is configured.", f"There are: {_listed(list(known))}.")
        if chosen not in self._sources:
            self._sources[chosen] = _source(chosen, known[chosen].settings, self._act_as)
        return self._sources[chosen]

    async def close(self) -> None:
        for source in (*self._sources.values(), *self._retired):
            await source.close()
        self._sources, self._retired = {}, []

    def _fresh(self) -> dict[str, Known]:
        """What is known, read again where a kubeconfig has changed since."""
        stamp = tuple((path, _changed(path)) for path in paths_of(self._settings.kubeconfig))
        if stamp != self._stamp:
            self._known, self._default = _look(self._settings)
            self._retired += self._sources.values()
            self._sources, self._stamp = {}, stamp
        return self._known


def _look(settings: Settings) -> tuple[dict[str, Known], str]:
    """Every cluster by name, and the default, "" where none is chosen."""
    if settings.snapshot is not None:
        name = DEMO if settings.snapshot == DEMO else _stem(settings.snapshot)
        return {name: Known(ClusterSettings(snapshot=settings.snapshot))}, name
    if settings.clusters and settings.kubeconfig is None:
        contexts = {one.context: name for name, one in settings.clusters.items() if one.context}
        if (chosen := settings.context) is None or chosen in settings.clusters:
            return _configured(settings, chosen)
        if chosen in contexts:
            return _configured(settings, contexts[chosen])
    return _of_kubeconfig(settings)


def _configured(settings: Settings, chosen: str | None) -> tuple[dict[str, Known], str]:
    known = {name: Known(one) for name, one in settings.clusters.items()}
    default = chosen or settings.default_cluster or next(iter(known))
    if default not in known:
        raise ConfigurationError(
            f"default_cluster {default!r} is not among the configured clusters.", f"There are: {_listed(list(known))}."
        )
    return known, default


def _of_kubeconfig(settings: Settings) -> tuple[dict[str, Known], str]:
    paths = paths_of(settings.kubeconfig)
    if settings.kubeconfig is not None and not any(path.exists() for path in paths):
        raise ConfigurationError(f"There is no kubeconfig {settings.kubeconfig}.", "Check --kubeconfig.")
    contexts = read_contexts(paths)
    known = {
        one.name: Known(
            ClusterSettings(context=one.name, kubeconfig=settings.kubeconfig),
            one.server,
            f"{one.user}, acting as {one.acts_as}" if one.acts_as else one.user,
        )
        for one in contexts.every
    }
    if not known and os.environ.get("KUBERNETES_SERVICE_HOST") and _TOKEN.is_file():
        known = {"in-cluster": Known(ClusterSettings(in_cluster=True))}
        return known, "in-cluster"
    wanted = settings.context or settings.default_cluster
    if wanted is not None and wanted not in known:
        there = list(dict.fromkeys([*settings.clusters, *known]))
        files = os.pathsep.join(map(str, paths))
        raise ConfigurationError(f"There is no context {wanted!r} in {files}.", f"There are: {_listed(there)}.")
    return known, wanted or (contexts.current if contexts.current in known else "")


def _source(name: str, settings: ClusterSettings, act_as: ActAs | None) -> ClusterSource:
    if settings.snapshot is not None:
        from firstmate_tools.cluster.snapshot import SnapshotSource

        return SnapshotSource(name, snapshot_path(settings.snapshot), whole=settings.whole)
    from firstmate_tools.cluster.live import LiveSource

    metrics = settings.prometheus.place() if settings.prometheus is not None else None
    if settings.eks is not None:
        place = Place(settings.profile or "", settings.region or "", settings.role_arn or "")
        return LiveSource.eks(name, settings.eks, place, user_agent=user_agent(), act_as=act_as, prometheus=metrics)
    if settings.in_cluster:
        return LiveSource.in_cluster(name, user_agent=user_agent(), act_as=act_as, prometheus=metrics)
    return LiveSource(
        name, settings.kubeconfig, settings.context, user_agent=user_agent(), act_as=act_as, prometheus=metrics
    )


def _aws_place(settings: ClusterSettings) -> AwsPlace | None:
    if settings.eks is None:
        return None
    return AwsPlace(region=settings.region, profile=settings.profile, eks=settings.eks)


def snapshot_path(named: str) -> Path:
    """The file or folder of a snapshot; `demo` is the bundled one.

    Raises:
        SnapshotError: there is no such file.
    """
    path = BUNDLED if named == DEMO else Path(named).expanduser()
    if path.exists():
        return path
    if named == DEMO:
        raise SnapshotError("This installation has no bundled snapshot.", "Install firstmate from its wheel.")
    raise SnapshotError(f"There is no snapshot {named}.", "Check --snapshot; `demo` names the bundled one.")


def _stem(path: str) -> str:
    name = Path(path).expanduser().absolute().name
    for ending in (".tar.gz", ".tgz", ".tar"):
        name = name.removesuffix(ending)
    return name or "snapshot"


def _file_name(snapshot: str | None) -> str | None:
    if snapshot is None:
        return None
    return (BUNDLED if snapshot == DEMO else Path(snapshot).expanduser().absolute()).name


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return (", ".join(names[:_MOST_LISTED]) or "none") + more
