"""Pods that name a claim which does not exist: a name mistyped, or a claim that nobody applied. Pure.

What a StatefulSet's or an ephemeral volume's controller makes itself is not meant: why those are missing their refusals
tell (`quota`, `objectquota`). A full quota on claims explains this too (`objectquota`).
"""

from collections.abc import Iterator
from difflib import get_close_matches

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import claims, lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

CAUSE = "volume-config-reference-missing"


@rule(
    causes=(CAUSE,),
    observes=(kinds.POD, kinds.PERSISTENT_VOLUME_CLAIM, kinds.REPLICA_SET, kinds.STATEFUL_SET, kinds.JOB),
    explains=BACKENDS,
    confirms=(kinds.POD, kinds.PERSISTENT_VOLUME_CLAIM),
)
def claim_does_not_exist(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/storage/persistent-volumes/#claims-as-volumes"""
    said: set[tuple[Ref, Ref]] = set()
    for pod in lib.unsettled(facts):
        ref = ref_of(pod, kinds.POD)
        workload = facts.workload(ref)
        for claim in _missing(facts, ref, pod):
            if (workload, claim) in said:
                continue
            said.add((workload, claim))
            there = sorted(fields.name_of(one) for one in facts.all(kinds.PERSISTENT_VOLUME_CLAIM, ref.namespace))
            near = get_close_matches(claim.name, there, n=1)
            hint = f"; one of a similar name is {near[0]}" if near else ""
            yield Finding(
                cause=CAUSE,
                object=workload,
                severity=lib.severity(facts, workload),
                confidence="certain",
                summary=f"{workload} does not start: claim {claim.name}, which pod {ref.name} mounts, does not "
                f"exist{hint}.",
                evidence=(
                    fact(claim, "metadata.name", "no such PersistentVolumeClaim"),
                    fact(ref, "spec.volumes[].persistentVolumeClaim.claimName", claim.name),
                ),
                affects=(workload, ref),
                since=fields.time_at(pod, "metadata", "creationTimestamp"),
                culprit=f"{claim.namespace}/{claim.name}",
                next=(lib.ask("get", "which claims there are", kind="pvc", namespace=ref.namespace),),
            )


def _missing(facts: Facts, ref: Ref, pod: Obj) -> Iterator[Ref]:
    """The claims that a pod without a node names itself and that do not exist."""
    if podstate.finished(pod) or podstate.terminating(pod) or fields.text(pod, "spec", "nodeName"):
        return
    if not claims.older(facts, pod, claims.YOUNG):
        return
    owner = facts.get(facts.workload(ref)) or {}
    made = {fields.name_of(one) for one in fields.items(owner, "spec", "volumeClaimTemplates")}
    for volume in fields.items(pod, "spec", "volumes"):
        name = fields.text(volume, "persistentVolumeClaim", "claimName")
        claim = Ref(kinds.PERSISTENT_VOLUME_CLAIM.kind, ref.namespace, name)
        if name and fields.text(volume, "name") not in made and facts.exists(claim) is False:
            yield claim
