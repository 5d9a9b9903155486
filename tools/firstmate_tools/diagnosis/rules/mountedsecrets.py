"""Secrets that the Secrets Store CSI driver is to mount and cannot fetch: no Kubernetes Secret is involved.

The driver answers the kubelet, which repeats it as FailedMount of the pod; the SecretProviderClass that the volume
names says what is to be fetched, and from where. Nothing of a secret itself is read.

Source: kubernetes-sigs/secrets-store-csi-driver v1.5 (pkg/secrets-store/nodeserver.go) and AWS' provider for it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from firstmate_tools import fields
from firstmate_tools.customkinds import SECRET_PROVIDER_CLASS
from firstmate_tools.diagnosis import ended, lib, trouble
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, fact, quote
from firstmate_tools.diagnosis.heard import heard, lately, said
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

DRIVER = "secrets-store.csi.k8s.io"
_VOLUME = re.compile(r'for volume "([^"]+)"')
_DENIED = re.compile(r"AccessDenied|is not authorized to perform|\b403\b|permission denied", re.IGNORECASE)
_ABSENT = re.compile(r"ResourceNotFoundException|ParameterNotFound|SecretNotFound|can't find the specified|\b404\b")


@dataclass(frozen=True, slots=True)
class _Case:
    """A pod that waits for such a volume, what the driver says, and the class that the volume names."""

    group: list[Trouble]
    row: EventRow
    volume: Obj
    named: Ref


def _cases(facts: Facts) -> list[_Case]:
    return list(_each(facts))


def _each(facts: Facts) -> Iterator[_Case]:
    for group in trouble.groups(facts, "mount"):
        one = trouble.worst(group)
        for row in heard(facts, one.ref, one.pod, "", "FailedMount"):
            match = _VOLUME.search(row.message)
            volume = _volume(one.pod, match.group(1)) if match and lately(facts, row) else {}
            name = fields.text(volume, "csi", "volumeAttributes", "secretProviderClass")
            if fields.text(volume, "csi", "driver") == DRIVER and name:
                yield _Case(group, row, volume, Ref(SECRET_PROVIDER_CLASS.kind, one.ref.namespace, name))
                break


def _volume(pod: Obj, name: str) -> Obj:
    found: list[Obj] = [v for v in fields.items(pod, "spec", "volumes") if v.get("name") == name]
    return found[0] if found else {}


def classes(facts: Facts) -> Iterable[Want]:
    """The classes that volumes name which cannot be mounted."""
    for case in facts.derived(_cases):
        yield GetWant(SECRET_PROVIDER_CLASS, case.named)


@rule(
    causes=("external-secret-sync-failed",),
    observes=OBSERVED,
    digs=(Read(SECRET_PROVIDER_CLASS, ("get",)),),
    wants=classes,
    explains=(
        *explains(
            "volume-config-reference-missing",
            "config-reference-missing",
            "csi-provisioner-unauthorized",  # a refusal in the same words, of another driver
            "efs-mount-unreachable",
            along=("owns",),
        ),
        *BACKENDS,
    ),
)
def mounted_secrets(facts: Facts) -> Verdicts:
    """https://secrets-store-csi-driver.sigs.k8s.io/troubleshooting"""
    for case in facts.derived(_cases):
        one, words = trouble.worst(case.group), case.row.message
        absent = facts.exists(case.named) is False
        why = "what it asks for cannot be had"
        if absent:
            why = "that class does not exist"
        elif _ABSENT.search(words):
            why = "the store holds nothing of a name that it asks for"
        elif _DENIED.search(words):
            why = "the store refuses it"
        proof: list[Evidence] = [
            fact(one.ref, f"spec.volumes[{fields.text(case.volume, 'name')}].csi", case.volume["csi"])
        ]
        obj = facts.get(case.named)
        if obj is not None:
            proof.append(quote(case.named, obj, "spec"))
        elif absent:
            proof.append(fact(case.named, "metadata.name", "(does not exist)"))
        found = ended.finding(
            facts,
            case.group,
            cause="external-secret-sync-failed",
            confidence="certain" if absent else "likely",
            summary=(
                f"{one.workload} waits for the secrets of SecretProviderClass {case.named.name}, which the driver does "
                f"not mount: {why}."
            ),
            evidence=(said(case.row), *proof),
            next_=(
                lib.ask(
                    "get",
                    "what is to be fetched, and from where",
                    kind="secretproviderclass",
                    name=case.named.name,
                    namespace=case.named.namespace,
                ),
            ),
        )
        yield found if absent else replace(found, object=case.named, affects=(one.workload, *found.affects))
