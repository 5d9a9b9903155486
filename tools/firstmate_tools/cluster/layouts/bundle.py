"""Reads a support bundle of Replicated's troubleshoot.sh.

`layouts.read` calls it. What the `clusterResources` collector writes and where: replicatedhq/troubleshoot
pkg/collect/cluster_resources.go and logs.go, pkg/constants/constants.go (v0.123); the places that older versions used
by mistake (lists without `.json`, ReplicaSets under `statefulsets-errors.json/`) are known, too. What its other
collectors write is not read, least of all what they copy out of Secrets.
"""

import re
from typing import Any, cast

from firstmate_tools import fields, kinds
from firstmate_tools.cluster.files import Files
from firstmate_tools.errors import SnapshotError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

from .bundle_logs import BundleLogs
from .foreign import newest_time, outcome_of
from .objects import read_json
from .recording import Form, Recording, ResourceKey, Shelf, Slice

ROOT = "cluster-resources/"
_CSR = Kind("CertificateSigningRequest", "certificatesigningrequests", "certificates.k8s.io", namespaced=False)
_NAMESPACED: dict[str, Kind] = {
    "configmaps": kinds.CONFIG_MAP,
    "cronjobs": kinds.CRON_JOB,
    "daemonsets": kinds.DAEMON_SET,
    "deployments": kinds.DEPLOYMENT,
    "endpoints": kinds.ENDPOINTS,
    "endpointslices": kinds.ENDPOINT_SLICE,
    "events": kinds.EVENT,
    "ingress": kinds.INGRESS,
    "jobs": kinds.JOB,
    "leases": kinds.LEASE,
    "limitranges": kinds.LIMIT_RANGE,
    "network-policy": kinds.NETWORK_POLICY,
    "pod-disruption-budgets": kinds.POD_DISRUPTION_BUDGET,
    "pods": kinds.POD,
    "pvcs": kinds.PERSISTENT_VOLUME_CLAIM,
    "replicasets": kinds.REPLICA_SET,
    "resource-quota": kinds.RESOURCE_QUOTA,
    "rolebindings": kinds.ROLE_BINDING,
    "roles": kinds.ROLE,
    "serviceaccounts": kinds.SERVICE_ACCOUNT,
    "services": kinds.SERVICE,
    "statefulsets": kinds.STATEFUL_SET,
}
_CLUSTER_SCOPED: dict[str, Kind] = {
    "certificatesigningrequests": _CSR,
    "clusterrolebindings": kinds.CLUSTER_ROLE_BINDING,
    "clusterRoleBindings": kinds.CLUSTER_ROLE_BINDING,
    "clusterroles": kinds.CLUSTER_ROLE,
    "custom-resource-definitions": kinds.CUSTOM_RESOURCE_DEFINITION,
    "ingress-classes": kinds.INGRESS_CLASS,
    "mutating-webhook-configurations": kinds.MUTATING_WEBHOOK,
    "nodes": kinds.NODE,
    "priorityclasses": kinds.PRIORITY_CLASS,
    "pvs": kinds.PERSISTENT_VOLUME,
    "storage-classes": kinds.STORAGE_CLASS,
    "validating-webhook-configurations": kinds.VALIDATING_WEBHOOK,
    "volumeattachments": kinds.VOLUME_ATTACHMENT,
}
_OLD_FOLDERS = {"statefulsets-errors.json": "replicasets"}
_LIST = re.compile(r"cluster-resources/(?P<folder>[A-Za-z.-]+)/(?P<namespace>[a-z0-9-]+)\.json")
_CUSTOM = re.compile(
    r"cluster-resources/custom-resources/(?P<crd>[a-z0-9.-]+?)(?:/(?P<namespace>[a-z0-9-]+))?\.(?P<form>json|yaml)"
)
_CUSTOM_ERRORS = f"{ROOT}custom-resources/custom-resources-errors.json"
_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_HOW_NAMESPACES = "Collect the bundle again with `clusterResources` that names no namespaces."
_HOW_LOGS = "Add a `logs` collector for this pod, and collect the bundle again."
_HOW = "The bundle's collectors leave it out: record a snapshot with `firstmate snapshot create`."


def is_bundle(names: set[str]) -> bool:
    """Whether these files are a support bundle's: pods or nodes below cluster-resources/."""
    return any(name.startswith((f"{ROOT}pods/", f"{ROOT}nodes.json", f"{ROOT}pods-errors.json")) for name in names)


def read_bundle(files: Files) -> Recording:
    """The recording in a support bundle.

    Raises:
        SnapshotError: nothing in it bears a time, or a file cannot be read.
    """
    names = set(files.names())
    shelves: dict[ResourceKey, Shelf] = {}
    _fill_namespaced(files, names, shelves)
    for folder, kind in _CLUSTER_SCOPED.items():
        _fill_cluster_scoped(files, names, shelves, folder, kind)
    every = _fill_namespaces(files, names, shelves)
    held = sorted({inside for shelf in shelves.values() for inside in shelf.parts if inside})
    _fill_custom(files, names, shelves, held)
    version = _content(files, names, "cluster-info/cluster_version.json")
    pods = shelves[kinds.POD.group, kinds.POD.plural].parts if ("", "pods") in shelves else {}
    collected = {inside for inside, part in pods.items() if part.outcome == "collected"}
    timed = [name for name in names if name.startswith(ROOT) and name.endswith(".json") and "/custom-" not in name]
    return Recording(
        layout="support bundle",
        files=files,
        now=newest_time(files, sorted(timed)),
        server="",
        version=fields.text(version, "info", "gitVersion") or fields.text(version, "string"),
        default_namespace="default",
        namespaces=None if every is not None and every <= collected else tuple(held),
        every_namespace=every,
        shelves=shelves,
        logs=BundleLogs(files, frozenset(names), pods),
        kinds=_discovered(files, names),
        how=_HOW,
        how_namespaces=_HOW_NAMESPACES,
        how_logs=_HOW_LOGS,
    )


def _content(files: Files, names: set[str], name: str) -> object:
    """A file that describes the rest, None where it is missing or damaged: then we know less, and say so."""
    try:
        return read_json(files, name) if name in names else None
    except SnapshotError:
        return None


def _objects_of(content: object) -> list[Obj]:
    """The objects of a bare JSON array."""
    whole: Obj = {"items": content}
    return fields.items(whole, "items")


def _errors(files: Files, names: set[str], name: str) -> dict[str, str]:
    """What a collector noted: by namespace, or "" for what concerns the whole list."""
    try:
        noted: object = read_json(files, name) if name in names else None
    except SnapshotError as error:
        return {"": error.message}
    if isinstance(noted, dict):
        return {key: str(value) for key, value in cast("Obj", noted).items() if value}
    if isinstance(noted, list):
        said = "; ".join(str(entry) for entry in cast("list[Any]", noted) if entry)
        return {"": said} if said else {}
    return {}


def _failed(message: str) -> Slice:
    return Slice(outcome_of(message), message)


def _fill_namespaced(files: Files, names: set[str], shelves: dict[ResourceKey, Shelf]) -> None:
    for name in sorted(names):
        match = _LIST.fullmatch(name)
        if match is None:
            continue
        kind = _NAMESPACED.get(_OLD_FOLDERS.get(match["folder"], match["folder"]))
        if kind is not None:
            shelf = shelves.setdefault((kind.group, kind.plural), Shelf(kind))
            shelf.parts[match["namespace"]] = Slice(file=name)
    for folder, kind in _NAMESPACED.items():
        for namespace, message in _errors(files, names, f"{ROOT}{folder}-errors.json").items():
            shelf = shelves.setdefault((kind.group, kind.plural), Shelf(kind))
            if namespace:
                shelf.parts.setdefault(namespace, _failed(message))
            else:
                shelf.whole = _failed(message)


def _fill_cluster_scoped(
    files: Files, names: set[str], shelves: dict[ResourceKey, Shelf], folder: str, kind: Kind
) -> None:
    name = next((n for n in (f"{ROOT}{folder}.json", f"{ROOT}{folder}") if n in names), None)
    message = _errors(files, names, f"{ROOT}{folder}-errors.json").get("")
    if message:
        # An empty file lies beside the errors; a list of which a part failed is not one.
        shelves[kind.group, kind.plural] = Shelf(kind, parts={"": _failed(message)})
    elif name is not None:
        shelves[kind.group, kind.plural] = Shelf(kind, parts={"": Slice(file=name)})


def _fill_namespaces(files: Files, names: set[str], shelves: dict[ResourceKey, Shelf]) -> frozenset[str] | None:
    """The namespaces: all of them only where the file is a list object; the collector writes an array, or a single
    object, where it was told which to take."""
    kind = kinds.NAMESPACE
    message = _errors(files, names, f"{ROOT}namespaces-errors.json").get("")
    name = f"{ROOT}namespaces.json"
    if message:
        shelves[kind.group, kind.plural] = Shelf(kind, parts={"": _failed(message)})
        return None
    content = _content(files, names, name)
    if fields.text(content, "kind") != "NamespaceList":
        return None
    shelves[kind.group, kind.plural] = Shelf(kind, parts={"": Slice(file=name)})
    return frozenset(fields.name_of(item) for item in fields.items(content, "items"))


def _fill_custom(files: Files, names: set[str], shelves: dict[ResourceKey, Shelf], held: list[str]) -> None:
    """Custom resources. The collector writes no file for an empty list: where it ran and noted no error, a kind (of a
    namespace) without a file has no objects."""
    if not any(name.startswith(f"{ROOT}custom-resources/") for name in names):
        return
    definitions = _content(files, names, f"{ROOT}custom-resource-definitions.json")
    errors = _errors(files, names, _CUSTOM_ERRORS)
    found: dict[str, dict[str, Slice]] = {}
    for name in sorted(names, reverse=True):  # .yaml before .json, which stays where there are both
        if (match := _CUSTOM.fullmatch(name)) is not None:
            form: Form = "yaml" if match["form"] == "yaml" else "json"
            found.setdefault(match["crd"], {})[match["namespace"] or ""] = Slice(file=name, form=form)
    for definition in fields.items(definitions, "items"):
        kind, crd = _defined(definition), fields.name_of(definition)
        shelf = Shelf(kind, parts=found.get(crd, {}))
        for inside in held if kind.namespaced else [""]:
            message = errors.get(f"{crd}/{inside}") or errors.get(crd) or errors.get("crdList") or errors.get("")
            if message:
                shelf.parts[inside] = _failed(message)
            else:
                shelf.parts.setdefault(inside, Slice())
        shelves[kind.group, kind.plural] = shelf


def _defined(definition: Obj) -> Kind:
    """The kind that a CRD defines, in the version that the collector takes: the highest of all."""
    names = fields.mapping(definition, "spec", "names")
    versions = [fields.text(version, "name") for version in fields.items(definition, "spec", "versions")]
    return Kind(
        fields.text(names, "kind"),
        fields.text(names, "plural"),
        fields.text(definition, "spec", "group"),
        max(versions, key=_priority, default=fields.text(definition, "spec", "version") or "v1"),
        fields.text(definition, "spec", "scope") == "Namespaced",
        tuple(fields.strings(names, "shortNames")),
    )


def _priority(version: str) -> tuple[int, int, int]:
    """Kubernetes' order of versions: stable over beta over alpha over others, then by number
    (k8s.io/apimachinery pkg/version/helpers.go)."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1, 0, 0)
    major, stage, minor = match.groups()
    return ({None: 2, "beta": 1, "alpha": 0}[stage], int(major), int(minor or 0))


def _discovered(files: Files, names: set[str]) -> tuple[Kind, ...] | None:
    """Every kind that can be listed, each in its group's preferred version; None where discovery is not whole."""
    lists = _content(files, names, f"{ROOT}resources.json")
    groups = _content(files, names, f"{ROOT}groups.json")
    if not lists or not groups or f"{ROOT}groups-resources-errors.json" in names:
        return None
    preferred = {fields.text(group, "preferredVersion", "groupVersion") for group in _objects_of(groups)}
    found: dict[ResourceKey, Kind] = {}
    for resources in _objects_of(lists):
        api_version = fields.text(resources, "groupVersion")
        group, _, version = api_version.rpartition("/")
        for entry in fields.items(resources, "resources"):
            plural = fields.text(entry, "name")
            if "/" in plural or "list" not in fields.strings(entry, "verbs"):
                continue
            if (group, plural) not in found or api_version in preferred:
                short = tuple(fields.strings(entry, "shortNames"))
                found[group, plural] = Kind(
                    fields.text(entry, "kind"), plural, group, version, fields.flag(entry, "namespaced"), short
                )
    return tuple(found.values()) or None
