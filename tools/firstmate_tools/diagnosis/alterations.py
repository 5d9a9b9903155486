"""How a pod differs from the template that it was made from, in what may keep it from running. Pure.

Called by the rules about LimitRanges' defaults and about mutating webhooks. What the API server, controllers and its
own admission plugins write into every pod is no difference: the service account's volume, tolerations of node trouble,
a DaemonSet's node affinity, a StatefulSet's volumes, priority, and what a resize changes later.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.quantity import milli
from firstmate_tools.refs import Ref, ref_of

_OF_TROUBLE: dict[str, tuple[str, ...]] = {
    "oom": ("limits.memory",),
    "lowmem": ("limits.memory",),
    "image": ("image",),
    "arch": ("image",),
    "config": ("env", "envFrom"),
    "mount": ("volumes",),
    "command": ("image", "command", "args"),
    "exit": ("image", "command", "args", "env"),
    "init": ("image", "command", "args", "env"),
    "completes": ("image", "command", "args"),
    "user": ("securityContext", "image"),
    "volume": ("securityContext",),
    "liveness": ("livenessProbe",),
    "startup": ("startupProbe", "livenessProbe"),
    "readiness": ("readinessProbe",),
}
"""Which fields of a container may bring which trouble."""
_OF_PLACEMENT = ("nodeSelector", "affinity", "schedulerName", "runtimeClassName", "topologySpreadConstraints")
_INJECTED = frozenset({"image", "oom", "lowmem", "config", "command", "arch"})
"""Trouble of a container that the template does not have, for which whoever put it there answers."""


@dataclass(frozen=True, slots=True)
class Alteration:
    """One field of a pod in trouble that its template does not have so.

    Attributes:
        kind: the trouble, `placement` for a pod that finds no node.
        field: path in the pod's spec.
        wanted, got: what the template says and what the pod has.
        template: labels of the template.
    """

    workload: Ref
    ref: Ref
    pod: Obj
    container: str
    kind: str
    field: str
    wanted: object
    got: object
    template: dict[str, str]


def alterations(facts: Facts) -> list[Alteration]:
    """Of every pod in trouble within the scope, the first field that was altered and may be why."""
    return facts.derived(_alterations)


def _alterations(facts: Facts) -> list[Alteration]:
    found: list[Alteration] = []
    for one in trouble.troubled(facts):
        found += _first(_in_container(facts, one.workload, one.ref, one.pod, one.container, one.kind))
    for pod in lib.unsettled(facts):
        if podstate.unschedulable(pod) and not podstate.terminating(pod) and not podstate.finished(pod):
            ref = ref_of(pod, kinds.POD)
            found += _first(_in_placement(facts, facts.workload(ref), ref, pod))
    return found


def _first(found: Iterator[Alteration]) -> list[Alteration]:
    one = next(found, None)
    return [one] if one is not None else []


def template_of(facts: Facts, ref: Ref, pod: Obj) -> Obj:
    """The template from which a pod was made, {} where that is not known or may be another revision's."""
    owner = next(facts.graph.owners(ref), None)
    obj = facts.get(owner) if owner is not None else None
    if owner is None or obj is None or owner.kind not in {"ReplicaSet", "StatefulSet", "DaemonSet", "Job"}:
        return {}
    revision = fields.labels_of(pod).get("controller-revision-hash", "")
    if owner.kind == "StatefulSet" and revision != fields.text(obj, "status", "updateRevision"):
        return {}
    if owner.kind == "DaemonSet" and not _current(obj):
        return {}
    return fields.mapping(obj, "spec", "template")


def _current(daemon_set: Obj) -> bool:
    status = fields.mapping(daemon_set, "status")
    wanted = fields.number(status, "desiredNumberScheduled")
    return fields.number(status, "updatedNumberScheduled") >= wanted > 0


def _sections(role: str) -> str:
    return "containers" if role == "app" else "initContainers"


def _in_container(
    facts: Facts, workload: Ref, ref: Ref, pod: Obj, container: Container, kind: str
) -> Iterator[Alteration]:
    template = template_of(facts, ref, pod)
    spec = fields.mapping(template, "spec")
    section = _sections(container.role)
    if not fields.items(spec, "containers"):
        return
    labels = fields.string_map(template, "metadata", "labels")
    place = f"spec.{section}[{container.name}]"
    original = next((c for c in fields.items(spec, section) if fields.text(c, "name") == container.name), None)
    if original is None:
        if kind in _INJECTED:
            image = fields.text(container.spec, "image")
            yield Alteration(workload, ref, pod, container.name, kind, place, None, {"image": image}, labels)
        return
    for name in _OF_TROUBLE.get(kind, ()):
        if name == "limits.memory":
            yield from _limit(workload, ref, pod, container, kind, original, labels)
        elif name == "volumes":
            yield from _volumes(workload, ref, pod, container, spec, labels)
        else:
            before, after = _plain(name, original), _plain(name, container.spec)
            if before != after and not _edited(pod, name):
                yield Alteration(workload, ref, pod, container.name, kind, f"{place}.{name}", before, after, labels)


def _plain(name: str, container: Obj) -> object:
    """A field as it may be compared: environments by what they name, other fields as they are."""
    value = fields.at(container, name)
    if name == "env":
        return [entry for entry in fields.items(container, "env") if not _of_platform(fields.text(entry, "name"))]
    return value or None


def _of_platform(variable: str) -> bool:
    """Variables that the clouds' own webhooks give every pod."""
    return variable.startswith(("AWS_", "AZURE_", "GOOGLE_", "KUBERNETES_"))


def _edited(pod: Obj, field: str) -> bool:
    """Whether somebody has edited a pod since, where that may be: its image, and by a resize its resources."""
    return field in {"image", "limits.memory"} and fields.number(pod, "metadata", "generation") > 1


def _limit(
    workload: Ref, ref: Ref, pod: Obj, container: Container, kind: str, original: Obj, labels: dict[str, str]
) -> Iterator[Alteration]:
    wanted = fields.at(original, "resources", "limits", "memory")
    got = fields.at(container.spec, "resources", "limits", "memory")
    before, after = milli(str(wanted)) if wanted else None, milli(str(got)) if got else None
    if after is None or (before is not None and after >= before) or _edited(pod, "limits.memory"):
        return
    field = f"spec.{_sections(container.role)}[{container.name}].resources.limits.memory"
    yield Alteration(workload, ref, pod, container.name, kind, field, wanted, got, labels)


def _volumes(
    workload: Ref, ref: Ref, pod: Obj, container: Container, spec: Obj, labels: dict[str, str]
) -> Iterator[Alteration]:
    """Volumes that name an object and that the template does not have."""
    known = {fields.text(volume, "name") for volume in fields.items(spec, "volumes")}
    for volume in fields.items(pod, "spec", "volumes"):
        name = fields.text(volume, "name")
        named = [source for source in ("secret", "configMap") if fields.mapping(volume, source)]
        if name and name not in known and named:
            got = {source: volume[source] for source in named}
            yield Alteration(workload, ref, pod, container.name, "mount", f"spec.volumes[{name}]", None, got, labels)


def _in_placement(facts: Facts, workload: Ref, ref: Ref, pod: Obj) -> Iterator[Alteration]:
    template = template_of(facts, ref, pod)
    spec, labels = fields.mapping(template, "spec"), fields.string_map(template, "metadata", "labels")
    owner = next(facts.graph.owners(ref), None)
    if not fields.items(spec, "containers"):
        return
    for name in _OF_PLACEMENT:
        if name == "affinity" and owner is not None and owner.kind == "DaemonSet":
            continue  # its controller writes the node into it
        before, after = fields.at(spec, name) or None, fields.at(pod, "spec", name) or None
        if before != after:
            yield Alteration(workload, ref, pod, "", "placement", f"spec.{name}", before, after, labels)
    for section in ("containers", "initContainers"):
        originals = {fields.text(c, "name"): c for c in fields.items(spec, section)}
        for one in fields.items(pod, "spec", section):
            name = fields.text(one, "name")
            before = fields.mapping(originals.get(name, {}), "resources", "requests")
            after = fields.mapping(one, "resources", "requests")
            field = f"spec.{section}[{name}].resources.requests"
            if any(_more(after.get(key), before.get(key)) for key in after) and not _edited(pod, "limits.memory"):
                yield Alteration(workload, ref, pod, name, "placement", field, before or None, after, labels)


def _more(after: object, before: object) -> bool:
    large, small = milli(str(after)) if after else None, milli(str(before)) if before else None
    return large is not None and large > (small or 0)
