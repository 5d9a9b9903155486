"""What stands behind a Service: its pods, the workloads that would make them, and what nearly matches. Pure.

Endpoints come from pods alone; a template that matches promises pods. Templates of ReplicaSets that a Deployment has
left behind promise nothing, and neither do pods that have run to their end.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.graph import template_labels
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.selectors import matches_map

WORKLOADS: tuple[Kind, ...] = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.REPLICA_SET)
ALIKE = 0.7
"""How alike two label values must be to be taken for a slip of the pen, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Something that a Service could select: a workload by its template, or a pod.

    Attributes:
        wanted: how many pods it should have; 1 for a pod.
    """

    ref: Ref
    obj: Obj
    labels: dict[str, str]
    wanted: int


def serves(service: Obj) -> bool:
    """Whether a Service is one that selects pods and sends traffic to them.

    Not one without a selector (its endpoints are written by hand, or by a leader election), not ExternalName, and not
    a headless one, which only names pods, if there are any.
    """
    spec = fields.mapping(service, "spec")
    return (
        fields.text(spec, "type") != "ExternalName"
        and bool(fields.mapping(spec, "selector"))
        and fields.text(spec, "clusterIP") != "None"
    )


def candidates(facts: Facts) -> dict[str, list[Backend]]:
    """Everything that a Service could select, by namespace, in a stable order."""
    return facts.derived(_candidates)


def _candidates(facts: Facts) -> dict[str, list[Backend]]:
    found: dict[str, list[Backend]] = defaultdict(list)
    for kind in WORKLOADS:
        for obj in facts.all(kind):
            owner = controller_of(obj)
            if kind == kinds.REPLICA_SET and owner is not None and facts.get(owner) is not None:
                continue
            found[fields.namespace_of(obj)].append(
                Backend(ref_of(obj, kind), obj, template_labels(obj), wanted(kind, obj))
            )
    for pod in facts.all(kinds.POD):
        if not podstate.finished(pod):
            found[fields.namespace_of(pod)].append(Backend(ref_of(pod, kinds.POD), pod, fields.labels_of(pod), 1))
    return dict(found)


def wanted(kind: Kind, workload: Obj) -> int:
    """How many pods a workload should have."""
    if kind == kinds.DAEMON_SET:
        return fields.number(workload, "status", "desiredNumberScheduled")
    return fields.number(workload, "spec", "replicas", default=1)


@dataclass(frozen=True, slots=True)
class Near:
    """A backend that a selector misses.

    Attributes:
        missed: the pairs of the selector that it does not have.
        strong: whether little doubt is left that it was meant.
    """

    backend: Backend
    missed: dict[str, str]
    strong: bool
    score: int


GIVEN_TO_PODS = frozenset(
    {
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "controller-revision-hash",
        "pod-template-hash",
    }
)
"""Labels that controllers add to pods; no template has them."""


def selects(service: Obj, backend: Backend) -> bool:
    """Whether a Service selects a pod, or the pods that a workload makes."""
    selector = fields.string_map(service, "spec", "selector")
    if backend.ref.kind != "Pod":
        rest = {key: value for key, value in selector.items() if key not in GIVEN_TO_PODS}
        selector = rest or selector
    return matches_map(selector, backend.labels)


IDENTITY = frozenset({"app", "name", "k8s-app", "run", "app.kubernetes.io/name"})
"""Labels whose value names one program."""


def nearest(service: Obj, backends: list[Backend]) -> Near | None:
    """What a selector that selects nothing was probably meant for, None where nothing comes near.

    Near is who shares a pair with the selector, has a value that is one slip away, or bears the Service's name.
    Workloads come before their pods, then the first by name.
    """
    selector = fields.string_map(service, "spec", "selector")
    found = [near for backend in backends if (near := _near(fields.name_of(service), selector, backend)) is not None]
    return min(
        found, key=lambda n: (-n.score, n.backend.ref.kind == "Pod", n.backend.wanted == 0, n.backend.ref), default=None
    )


def _near(name: str, selector: dict[str, str], backend: Backend) -> Near | None:
    labels = backend.labels
    missed = {key: value for key, value in selector.items() if labels.get(key) != value}
    shared = selector.keys() - missed.keys()
    slips = [key for key, value in missed.items() if _alike(value, labels.get(key, ""))]
    moved = [key for key, value in missed.items() if key not in labels and value in labels.values()]
    named = name == backend.ref.name or any(labels.get(key) == name for key in IDENTITY)
    score = len(shared) + len(slips) + len(moved) + (2 if named else 0)
    strong = named or bool(shared & IDENTITY) or len(slips) + len(moved) == len(missed)
    return Near(backend, missed, strong, score) if score else None


def _alike(one: str, other: str) -> bool:
    return bool(other) and SequenceMatcher(None, one, other).ratio() >= ALIKE


def pods_behind(facts: Facts, service: Ref) -> list[Obj]:
    """The pods that a Service selects, by name; finished and terminating ones left out."""
    behind = facts.derived(_behind)
    return behind[service] if service in behind else _selected(facts, service)


def _behind(facts: Facts) -> dict[Ref, list[Obj]]:
    every = (ref_of(service, kinds.SERVICE) for service in facts.everywhere(kinds.SERVICE))
    return {service: _selected(facts, service) for service in every}


def _selected(facts: Facts, service: Ref) -> list[Obj]:
    found = [facts.get(ref) for ref in facts.graph.before(service, "selects") if ref.kind == "Pod"]
    return [pod for pod in found if pod is not None and not podstate.finished(pod) and not podstate.terminating(pod)]


def workloads_behind(facts: Facts, service: Ref) -> list[Ref]:
    """The topmost workloads whose pods a Service selects, or would."""
    return sorted({facts.workload(ref) for ref in facts.graph.before(service, "selects")})


def routed(facts: Facts, service: Ref) -> list[Ref]:
    """The Ingresses that send to a Service."""
    return facts.graph.after(service, "routes")


def of_ingress(ingress: Obj) -> Iterator[tuple[str, Obj]]:
    """The backends of an Ingress, each with where it stands."""
    default = fields.mapping(ingress, "spec", "defaultBackend")
    if default:
        yield "spec.defaultBackend", default
    for number, rule in enumerate(fields.items(ingress, "spec", "rules")):
        for index, path in enumerate(fields.items(rule, "http", "paths")):
            yield f"spec.rules[{number}].http.paths[{index}].backend", fields.mapping(path, "backend")


_HOST_SETTING = re.compile(r"(?i)host|addr|url|uri|endpoint|server|service|upstream|broker|dsn|target|peer")


def callers(facts: Facts, service: Obj) -> list[Ref]:
    """Workloads of the namespace whose environment or arguments name the Service as a host, without its own."""
    name, namespace = fields.name_of(service), fields.namespace_of(service)
    own = set(workloads_behind(facts, ref_of(service, kinds.SERVICE)))
    return [
        backend.ref
        for backend in candidates(facts).get(namespace, [])
        if backend.ref.kind != "Pod" and backend.ref not in own and calls(backend.obj, name, namespace)
    ]


def calls(workload: Obj, name: str, namespace: str) -> bool:
    """Whether a workload's template names a Service of its namespace as a host."""
    return any(_names(key, value, name, namespace) for key, value in _settings(workload))


def _settings(workload: Obj) -> Iterator[tuple[str, str]]:
    for container in podstate.containers(fields.mapping(workload, "spec", "template")):
        for variable in fields.items(container.spec, "env"):
            yield fields.text(variable, "name"), fields.text(variable, "value")
        for word in (*fields.strings(container.spec, "command"), *fields.strings(container.spec, "args")):
            key, _, value = word.rpartition("=")
            yield key, value


def _names(key: str, value: str, name: str, namespace: str) -> bool:
    """As a URL, with a port or with its namespace; alone only in a setting that by its name holds a host."""
    _, scheme, rest = value.rpartition("://")
    host, colon, port = rest.rpartition("@")[2].partition("/")[0].partition(":")
    labels = host.lower().split(".")
    if labels[0] != name or (len(labels) > 1 and (labels[1] != namespace or (labels[2:] or ["svc"])[0] != "svc")):
        return False
    return bool(scheme or len(labels) > 1 or (colon and port.isdigit()) or _HOST_SETTING.search(key))
