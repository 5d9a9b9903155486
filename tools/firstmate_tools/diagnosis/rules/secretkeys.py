"""Secrets and keys that a workload needs, that runs now and would not start again: somebody took them away since.

Looking at a Secret is a right that the least role leaves out (`firstmate rbac --secrets` adds it): without it this is
`not_checked`. Of a Secret that is read only the names of its keys are left when a rule sees it. What waits now is told
without it, by the kubelet's words (`config.py`).
"""

from collections.abc import Iterable

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib, trouble
from firstmate_tools.diagnosis.configrefs import Need, needs
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, Verdicts, Want, rule
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

ENV, VOLUME = "config-reference-missing", "volume-config-reference-missing"
_RUN_ON = (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET)
Needed = tuple[Ref, Need]
"""A workload, and what its template needs."""


def secrets(facts: Facts) -> Iterable[Want]:
    """The Secrets that templates of running workloads name."""
    for workload, need in facts.derived(_needed):
        yield GetWant(kinds.SECRET, _holder(workload, need), optional=True)


@rule(
    causes=(ENV, VOLUME),
    observes=(kinds.POD, kinds.REPLICA_SET, *_RUN_ON),
    digs=(Read(kinds.SECRET, ("get",), optional=True),),
    wants=secrets,
    explains=BACKENDS,
)
def secret_taken_away(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/configuration/secret/#restriction-secret-must-exist"""
    told = {t.workload for t in trouble.troubled(facts) if t.kind in ("config", "mount")}
    said: set[tuple[Ref, Ref, str]] = set()
    for workload, need in facts.derived(_needed):
        holder = _holder(workload, need)
        key = _missing_key(facts, holder, need)
        if key is None or workload in told or (workload, holder, key) in said:
            continue
        said.add((workload, holder, key))
        what = f"key {key} of Secret {holder.name}" if key else f"Secret {holder.name}"
        held = fields.mapping(facts.get(holder), "data")
        yield Finding(
            cause=ENV if need.place == "env" else VOLUME,
            object=workload,
            severity="warning",
            confidence="certain",
            summary=f"{workload} runs, but its next pod cannot start: {what} does not exist in {holder.namespace}.",
            evidence=(
                fact(
                    workload,
                    f"spec.template.{need.path}",
                    f"{holder.name}{f', key {key}' if key else ''}, not optional",
                ),
                fact(holder, "data", f"keys: {', '.join(sorted(held)) or 'none'}")
                if facts.exists(holder)
                else fact(holder, "metadata.name", "no such Secret"),
            ),
            affects=(workload,),
            culprit=f"Secret {holder.namespace}/{holder.name} {key}",
            next=(
                lib.ask("workload_status", "its last rollout", scope=_scope(workload), namespace=workload.namespace),
            ),
        )


def _needed(facts: Facts) -> list[Needed]:
    found: list[Needed] = []
    for kind in _RUN_ON:
        for obj in facts.all(kind):
            workload = ref_of(obj, kind)
            if _asked(facts, workload) and lib.serving(facts, workload):
                spec = fields.mapping(obj, "spec", "template", "spec")
                found += [(workload, need) for need in needs({"spec": spec}) if need.kind == "Secret"]
    return found


def _asked(facts: Facts, workload: Ref) -> bool:
    """Whether the question is about this workload: one about a workload or pod is about that one alone."""
    asked = facts.scope.object
    if asked is None or asked.kind in ("Service", "Ingress", "Node"):
        return True
    return workload in (asked, facts.workload(asked))


def _holder(workload: Ref, need: Need) -> Ref:
    return Ref("Secret", workload.namespace, need.name)


def _missing_key(facts: Facts, holder: Ref, need: Need) -> str | None:
    """The key that is missing, "" for the whole Secret, None where nothing is or nobody looked."""
    exists = facts.exists(holder)
    if exists is None:
        return None
    if not exists:
        return ""
    return need.key if need.key and need.key not in fields.mapping(facts.get(holder), "data") else None


def _scope(workload: Ref) -> str:
    return f"{workload.kind.lower()}/{workload.name}"
