"""Environment variables that a container sets twice: the last one wins, and nobody is told."""

from collections import defaultdict

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.fields import Obj
from firstmate_tools.graph import TEMPLATED
from firstmate_tools.refs import Ref, ref_of

OBSERVED = (
    kinds.POD,
    kinds.REPLICA_SET,
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.CRON_JOB,
)
_PREFIX = {"Pod": "spec.", "CronJob": "spec.jobTemplate.spec.template.spec."}


@rule(causes=("duplicate-env-var",), observes=OBSERVED)
def duplicate_variables(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables"""
    seen: set[Ref] = set()
    for kind in (kinds.CRON_JOB, *TEMPLATED, kinds.POD):
        for obj in facts.all(kind):
            if kind == kinds.POD and not any("env" in c for c in fields.items(obj, "spec", "containers")):
                continue  # of pods that are well nothing of this kind is kept
            ref = ref_of(obj, kind)
            workload = facts.workload(ref)
            if workload in seen or (workload != ref and facts.get(workload) is not None):
                continue
            template = obj if kind == kinds.POD else lib.named_template(facts, ref)
            found = _twice(template)
            if found:
                seen.add(workload)
                yield _finding(ref, workload, _PREFIX.get(kind.kind, "spec.template.spec."), found)


Twice = tuple[str, str, list[Obj]]
"""Section and name of a container, and the entries that have one name, in their order."""


def _twice(template: Obj) -> list[Twice]:
    found: list[Twice] = []
    for container in podstate.containers(template):
        by_name: dict[str, list[Obj]] = defaultdict(list)
        for entry in fields.items(container.spec, "env"):
            by_name[fields.text(entry, "name")].append(entry)
        section = "containers" if container.role == "app" else "initContainers"
        found += [
            (section, container.name, entries)
            for name, entries in sorted(by_name.items())
            if name and _differ(entries) and not _builds_on(name, entries)
        ]
    return found


def _differ(entries: list[Obj]) -> bool:
    return any(fields.without(entry, "name") != fields.without(entries[0], "name") for entry in entries)


def _builds_on(name: str, entries: list[Obj]) -> bool:
    """Whether each later entry takes up the one before, which is meant (`$(NAME)`)."""
    return all(f"$({name})" in fields.text(entry, "value") for entry in entries[1:])


def _finding(ref: Ref, workload: Ref, prefix: str, found: list[Twice]) -> Finding:
    section, container, entries = found[0]
    names = lib.some({fields.text(entries[0], "name") for _, _, entries in found})
    return Finding(
        cause="duplicate-env-var",
        object=workload,
        severity="info",
        confidence="certain",
        summary=(
            f"Container {container} of {workload} sets {names} more than once with different values: the last one "
            "wins, the others are ignored."
        ),
        evidence=tuple(
            fact(
                ref,
                f"{prefix}{section}[{container}].env[{fields.text(entry, 'name')}]",
                _source(entry),
            )
            for entry in (entries[0], entries[-1])
        ),
        next=(
            lib.ask(
                "get", "its environment, in order", kind=workload.kind, name=workload.name, namespace=workload.namespace
            ),
        ),
    )


def _source(entry: Obj) -> object:
    """Where the value comes from; a literal value may be a secret, and is not what matters."""
    value_from = entry.get("valueFrom")
    return value_from if value_from else "a literal value"
