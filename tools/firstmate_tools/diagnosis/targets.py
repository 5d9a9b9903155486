"""Whether a Service's target ports lead to ports that its pods have. Pure.

`containerPort` only informs: what a container declares contradicts a number, what it leaves out proves nothing. So a
number is judged only where the pod's main container declares ports at all, and never where a probe passes there.
"""

from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, lib, probing
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref, controller_of, ref_of

HELPERS = frozenset(
    {"istio-proxy", "linkerd-proxy", "envoy", "envoy-sidecar", "cloud-sql-proxy", "daprd", "vault-agent"}
)
"""Injected containers that may stand first; none of them is what a Service is for."""

Declared = dict[tuple[str, str], int]
"""Port numbers by name (or number) and protocol."""


@dataclass(frozen=True, slots=True)
class Astray:
    """A Service with target ports that lead nowhere.

    Attributes:
        ports: those entries of `spec.ports`.
        named: whether one of them is a name.
        everywhere: whether in all its pods, not only in some.
        plausible: whether a declared port stands there that was probably meant. Without one a number may well be a
            port that the container has and does not declare.
        pod: one of those pods, or the workload where there is no pod yet; `prefix` is where its spec begins.
    """

    service: Obj
    ports: list[Obj]
    named: bool
    everywhere: bool
    plausible: bool
    pod: Ref
    prefix: str
    declared: Declared


def astray(facts: Facts, service: Obj) -> Astray | None:
    """The target ports of a Service that its pods do not have, None where all is well or nothing can be told."""
    looked_at = _pods(facts, service)
    wrong: list[tuple[Obj, int]] = []
    first: tuple[Ref, str, Obj] | None = None
    for port in fields.items(service, "spec", "ports"):
        missing = [entry for entry in looked_at if _lacks(facts, entry, port)]
        if missing:
            wrong.append((port, len(missing)))
            first = first or missing[0]
    if first is None:
        return None
    ref, prefix, obj = first
    return Astray(
        service=service,
        ports=[port for port, _ in wrong],
        named=any(isinstance(target(port), str) for port, _ in wrong),
        everywhere=all(count == len(looked_at) for _, count in wrong),
        plausible=_was_meant(facts, service, [port for port, _ in wrong], obj),
        pod=ref,
        prefix=prefix,
        declared=_declared(obj),
    )


def _was_meant(facts: Facts, service: Obj, wrong: list[Obj], pod: Obj) -> bool:
    """Whether a declared port has the name of a port that goes astray, or no Service at all leads to it."""
    declared = _declared(pod)
    names = {name for name, _ in declared}
    if any(fields.text(port, "name") in names for port in wrong):
        return True
    if len(wrong) < len(fields.items(service, "spec", "ports")):
        return False
    backend = backends.Backend(ref_of(pod, kinds.POD), pod, fields.labels_of(pod), 1)
    namespace = fields.namespace_of(service)
    others = [s for s in facts.all(kinds.SERVICE, namespace) if backends.selects(s, backend)]
    reached = {target(port) for other in others for port in fields.items(other, "spec", "ports")}
    return any(name not in reached and number not in reached for (name, _), number in declared.items())


def _pods(facts: Facts, service: Obj) -> list[tuple[Ref, str, Obj]]:
    """What a Service sends to, looked up once for all Services: several rules ask, and pods may be thousands."""
    known, ref = facts.derived(_pods_of_all), ref_of(service, kinds.SERVICE)
    return known[ref] if ref in known else _pods_of(facts, service)


def _pods_of_all(facts: Facts) -> dict[Ref, list[tuple[Ref, str, Obj]]]:
    every = facts.everywhere(kinds.SERVICE)
    return {ref_of(service, kinds.SERVICE): _pods_of(facts, service) for service in every}


def _pods_of(facts: Facts, service: Obj) -> list[tuple[Ref, str, Obj]]:
    """What a Service sends to: ready pods, else any pods, else the templates of workloads that should have pods.

    Of pods that were made from one template only the first is taken.
    """
    pods = backends.pods_behind(facts, ref_of(service, kinds.SERVICE))
    chosen = [pod for pod in pods if podstate.ready(pod)] or pods
    if chosen:
        firsts: dict[object, Obj] = {}
        for pod in chosen:
            revision = fields.labels_of(pod).get("controller-revision-hash")
            firsts.setdefault((controller_of(pod) or fields.name_of(pod), revision), pod)
        return [(ref_of(pod, kinds.POD), "spec.", pod) for pod in firsts.values()]
    every = backends.candidates(facts).get(fields.namespace_of(service), [])
    return [
        (b.ref, "spec.template.spec.", fields.mapping(b.obj, "spec", "template"))
        for b in every
        if b.ref.kind != "Pod" and b.wanted and backends.selects(service, b)
    ]


def target(port: Obj) -> int | str:
    """Where a port of a Service leads: a number, or a name."""
    value = port.get("targetPort")
    if isinstance(value, str) and value and not (value.isascii() and value.isdigit()):
        return value
    return fields.number({"v": int(value) if isinstance(value, str) and value else value}, "v") or fields.number(
        port, "port"
    )


def _protocol(port: Obj) -> str:
    return fields.text(port, "protocol") or "TCP"


def _serving(pod: Obj) -> list[Container]:
    return [c for c in podstate.containers(pod) if c.role in {"app", "sidecar"}]


def _declared(pod: Obj) -> Declared:
    ports: Declared = {}
    for container in _serving(pod):
        for port in fields.items(container.spec, "ports"):
            number = fields.number(port, "containerPort")
            if number:
                ports[fields.text(port, "name") or str(number), _protocol(port)] = number
    return ports


def _lacks(facts: Facts, entry: tuple[Ref, str, Obj], port: Obj) -> bool:
    """Whether a pod has no port where this one leads. A port of the other protocol is another fault."""
    ref, _, pod = entry
    wanted, declared = target(port), _declared(pod)
    if isinstance(wanted, str):
        return wanted not in {name for name, _ in declared}
    if wanted in declared.values() or not wanted:
        return False
    main = next((c for c in _serving(pod) if c.role == "app" and c.name not in HELPERS), None)
    return main is not None and bool(probing.declared(main)) and wanted not in _probed(facts, ref, pod)


def _probed(facts: Facts, ref: Ref, pod: Obj) -> set[int]:
    """The ports that probes of a pod ask; of healthy pods only the template still tells."""
    template = lib.named_template(facts, facts.workload(ref))
    ports: set[int] = set()
    for container in (*_serving(pod), *_serving(template)):
        for check in ("readiness", "liveness", "startup"):
            probe = probing.read(container, check)
            number = probing.number(container, probe) if probe else None
            if number is not None:
                ports.add(number)
    return ports


def told(astray: Astray) -> str:
    """`port 80 to http-api, and no container of its pods has a port of that name`."""
    port = astray.ports[0]
    wanted = target(port)
    more = f" (and {lib.count(len(astray.ports) - 1, 'more port')})" if len(astray.ports) > 1 else ""
    whose = "of its pods" if astray.everywhere else "of some of its pods"
    what = "has a port of that name" if isinstance(wanted, str) else "declares it"
    return f"port {fields.number(port, 'port')} to {wanted}{more}, and no container {whose} {what}"


def shown(declared: Declared) -> str:
    """`http 8080/TCP, metrics 9090/TCP`."""
    return ", ".join(f"{name} {number}/{protocol}" for (name, protocol), number in sorted(declared.items())) or "none"


@dataclass(frozen=True, slots=True)
class OtherProtocol:
    """A port of a Service that leads to a port of its pods, by another protocol.

    Attributes:
        port: the entry of `spec.ports`, `protocol` what it says.
        number: the container's port, `declared` the protocols that the container declares for it.
        named: whether the target is a name, so that it certainly is not found.
    """

    port: Obj
    protocol: str
    number: int
    declared: tuple[str, ...]
    named: bool
    pod: Ref
    prefix: str


def other_protocols(facts: Facts, service: Obj) -> list[OtherProtocol]:
    """The ports of a Service that all its pods declare under another protocol only.

    A Service that offers one target by several protocols (DNS, HTTP/3) says more than most containers declare.
    """
    looked_at = _pods(facts, service)
    ports = fields.items(service, "spec", "ports")
    offered = {(target(port), _protocol(port)) for port in ports}
    found: list[OtherProtocol] = []
    for port in ports:
        wanted, protocol = target(port), _protocol(port)
        if not looked_at or any(there == wanted and by != protocol for there, by in offered):
            continue
        declared = [_by_protocol(pod, wanted) for _, _, pod in looked_at]
        if all(by and protocol not in by for by in declared):
            ref, prefix, _ = looked_at[0]
            number = next(iter(declared[0].values()))
            named = isinstance(wanted, str)
            found.append(OtherProtocol(port, protocol, number, tuple(sorted(declared[0])), named, ref, prefix))
    return found


def _by_protocol(pod: Obj, wanted: int | str) -> dict[str, int]:
    """The protocols under which a pod declares a port, and its number."""
    return {by: number for (name, by), number in _declared(pod).items() if wanted in {name, number}}
