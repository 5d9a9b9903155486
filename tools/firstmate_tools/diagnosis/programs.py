"""Whether one Service selects different programs, or versions of one. Pure; for the rule about too broad selectors.

A canary, both sides of a blue-green pair, and a metrics Service over many workloads share a selector on purpose: they
run one image, or all have the port that the Service sends to.
"""

from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, targets
from firstmate_tools.diagnosis.backends import IDENTITY, Backend
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import ref_of

_PART = frozenset({"component", "app.kubernetes.io/component", "tier", "role", "service", "process"}) | IDENTITY
"""Labels that tell one program of an application from another; those of versions and tracks do not."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """Workloads behind one Service that are not the same program.

    Attributes:
        own: those that it is for.
        foreign: the others.
        refused: whether the others have no port where the Service sends to, so that connections are refused.
        why: in words.
        sure: whether it is known for which of them the Service is.
    """

    own: list[Backend]
    foreign: list[Backend]
    refused: bool
    why: str
    sure: bool = True


def mixed(facts: Facts, service: Obj) -> Mixed | None:
    """The programs behind a Service where they differ, None where they are one, or nothing tells."""
    if len(backends.workloads_behind(facts, ref_of(service, kinds.SERVICE))) < 2:
        return None
    behind = _behind(facts, service)
    if len(behind) < 2:
        return None
    having = [b for b in behind if _takes(service, b)]
    lacking = [b for b in behind if b not in having]
    if having and lacking:
        foreign = [b for b in lacking if all(_another(b, own) for own in having)]
        # What declares no port at all may still have it; then labels must say as well that it is something else.
        foreign = [b for b in foreign if _ports(b) or all(_differ(b, own) or _is_task(b) for own in having)]
        if foreign:
            return Mixed(having, foreign, bool(_ports(foreign[0])), "without the port that it sends to")
        return None
    if _metrics(service):
        return None
    named = [b for b in behind if _is_named(fields.name_of(service), b)] or behind[:1]
    foreign = [b for b in behind if b not in named and all(_other_image(b, n) and _differ(b, n) for n in named)]
    if len(named) == 1 and foreign:
        sure = _is_named(fields.name_of(service), named[0])
        return Mixed(named, foreign, False, "another program, by image and labels", sure)
    return None


def _behind(facts: Facts, service: Obj) -> list[Backend]:
    """What a Service sends to now or soon: workloads that want pods, tasks that run, pods of nobody."""
    ref = ref_of(service, kinds.SERVICE)
    every = backends.candidates(facts).get(ref.namespace, [])
    found = {b.ref: b for b in every if b.ref.kind != "Pod" and b.wanted and backends.selects(service, b)}
    for pod in backends.pods_behind(facts, ref):
        top = facts.workload(ref_of(pod, kinds.POD))
        if top.kind in {"Job", "CronJob", "Pod"} or facts.get(top) is None:
            found.setdefault(top, Backend(top, pod, fields.labels_of(pod), 1))
    return [found[key] for key in sorted(found)]


def _template(backend: Backend) -> Obj:
    return fields.mapping(backend.obj, "spec", "template") or backend.obj


def _serving(backend: Backend) -> list[Container]:
    return [c for c in podstate.containers(_template(backend)) if c.role in {"app", "sidecar"}]


def _main(backend: Backend) -> Obj:
    mains = [c.spec for c in _serving(backend) if c.role == "app" and c.name not in targets.HELPERS]
    return mains[0] if mains else {}


def _ports(backend: Backend) -> set[int | str]:
    found: set[int | str] = set()
    for container in _serving(backend):
        for port in fields.items(container.spec, "ports"):
            found |= {fields.number(port, "containerPort"), fields.text(port, "name")}
    return found - {0, ""}


def _takes(service: Obj, backend: Backend) -> bool:
    """Whether it declares a port that the Service sends to."""
    ports = _ports(backend)
    return any(targets.target(port) in ports for port in fields.items(service, "spec", "ports"))


def image_of(backend: Backend) -> str:
    """The image of its main container, without tag and digest."""
    image = fields.text(_main(backend), "image").partition("@")[0]
    head, slash, last = image.rpartition("/")
    return head + slash + last.partition(":")[0]


def _other_image(one: Backend, other: Backend) -> bool:
    return bool(image_of(one)) and bool(image_of(other)) and image_of(one) != image_of(other)


def _is_task(backend: Backend) -> bool:
    return backend.ref.kind in {"Job", "CronJob"}


def _another(one: Backend, other: Backend) -> bool:
    """Whether two are different programs: by image, by what they run, or because one is a task that ends."""
    runs = [(_main(b).get("command"), _main(b).get("args")) for b in (one, other)]
    return _other_image(one, other) or runs[0] != runs[1] or _is_task(one)


def _differ(one: Backend, other: Backend) -> bool:
    """Whether their labels call them different parts."""
    return any(one.labels.get(key) != other.labels.get(key) for key in _PART if key in {*one.labels, *other.labels})


def _is_named(name: str, backend: Backend) -> bool:
    """Whether a Service bears the name of a workload, as it is or with the usual ends (`cart`, `cart-svc`)."""
    names = {name, name.removesuffix("-svc"), name.removesuffix("-service"), name.removeprefix("svc-")}
    return backend.ref.name in names or any(backend.labels.get(key) in names for key in _PART)


def _metrics(service: Obj) -> bool:
    """Whether a Service only leads to what many programs have in common."""
    names = [fields.text(port, "name") for port in fields.items(service, "spec", "ports")]
    return bool(names) and all("metric" in name or "prom" in name for name in names)


def shown(backend: Backend) -> str:
    """`registry/app; ports 8080, http`."""
    ports = ", ".join(sorted(map(str, _ports(backend)))) or "none"
    return f"{image_of(backend)}; ports {ports}"
