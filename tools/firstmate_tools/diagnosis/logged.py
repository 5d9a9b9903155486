"""Containers whose log is worth a read although nothing ended: not ready ones, and those that were asked about. Pure.

A container that is ready is read only where somebody asks about its workload: a namespace of hundreds of healthy pods
costs no log.
"""

from collections.abc import Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, logsigns, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.logsigns import Told
from firstmate_tools.diagnosis.rule import LogWant
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref, ref_of

MOST_ASKED = 3
"""Logs that are read of a workload that looks well."""
COMPLAINS = 3
"""Lines of one sign from which a program that is ready is believed."""
OF_HEALTHY = frozenset({"shm", "files"})
"""Signs that matter in a program that is ready."""


def wants(facts: Facts) -> Iterator[LogWant]:
    """The current logs that may tell more."""
    for group in trouble.groups(facts, "readiness", "other"):
        one = trouble.worst(group)
        if one.container.running and not one.end:
            yield LogWant(one.ref.namespace, one.ref.name, one.container.name)
    for one in _asked(facts)[:MOST_ASKED]:
        yield LogWant(one.ref.namespace, one.ref.name, one.container.name, aside=True)


def complaints(facts: Facts) -> Iterator[tuple[Trouble, Told]]:
    """Containers that are ready and say again and again that they lack something."""
    for one in _asked(facts):
        log = facts.log(one.ref.namespace, one.ref.name, one.container.name)
        told = logsigns.repeated(log.splitlines(), one.container, COMPLAINS) if log else None
        if told is not None and told.sign in OF_HEALTHY:
            yield one, told


def _asked(facts: Facts) -> list[Trouble]:
    """The containers of the workload in question that run and are in no trouble, one pod's for each name."""
    asked = facts.scope.object
    if asked is None or asked.kind in {"Node", "Service", "Ingress"}:
        return []
    ailing = {(t.ref, t.container.name) for t in trouble.troubled(facts)}
    workload = facts.workload(asked)
    found: dict[str, Trouble] = {}
    for pod in lib.pods_of(facts, workload):
        ref = ref_of(pod, kinds.POD)
        for container in podstate.containers(pod):
            well = container.running and container.ready and container.role in {"app", "sidecar"}
            if well and (ref, container.name) not in ailing:
                whole = _whole(facts, workload, container)
                found.setdefault(container.name, Trouble(workload, ref, pod, whole, "other", {}, False))
    return list(found.values())


def _whole(facts: Facts, workload: Ref, container: Container) -> Container:
    """The container as its template has it: of a pod that is well little is kept."""
    template = lib.named_template(facts, workload)
    mine = next((c for c in podstate.containers(template) if c.name == container.name), None)
    return (
        container._replace(spec=mine.spec) if mine and not fields.items(container.spec, "volumeMounts") else container
    )
