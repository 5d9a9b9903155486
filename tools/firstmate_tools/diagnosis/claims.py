"""What a PersistentVolumeClaim asks for, who waits for it, and how far it is. Pure; called by the storage rules.

How a claim is bound follows pkg/controller/volume/persistentvolume/pv_controller.go (syncUnboundClaim) of Kubernetes
v1.36; https://kubernetes.io/docs/concepts/storage/persistent-volumes/ tells the same in words.
"""

from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.lib import count, severity, some, worst
from firstmate_tools.fields import Obj
from firstmate_tools.quantity import milli, show
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Severity

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONERS = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
DEFAULTS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
STATIC = "kubernetes.io/no-provisioner"
YOUNG = timedelta(seconds=3)
"""A claim this young may be ahead of what was applied together with it."""
TO_CSI = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
}
"""In-tree provisioners that moved out, and the drivers that serve them (k8s.io/csi-translation-lib, v0.36)."""


def claims(facts: Facts, *phases: str) -> list[Obj]:
    """The claims in scope in one of these phases, without those that are being deleted."""
    return [c for c in facts.all(kinds.PERSISTENT_VOLUME_CLAIM) if phase(c) in phases and not podstate.terminating(c)]


def phase(claim: Obj) -> str:
    """Pending, Bound or Lost; a claim that nobody has looked at yet is pending."""
    return fields.text(claim, "status", "phase") or "Pending"


def waiting(facts: Facts) -> list[Obj]:
    """The claims in scope that have no volume, but for those that were made a moment ago."""
    return [c for c in claims(facts, "Pending") if older(facts, c, YOUNG)]


def older(facts: Facts, claim: Obj, age: timedelta) -> bool:
    """Whether a claim was made at least so long ago."""
    made = fields.time_at(claim, "metadata", "creationTimestamp")
    return made is None or facts.now - made >= age


def ref(claim: Obj) -> Ref:
    return ref_of(claim, kinds.PERSISTENT_VOLUME_CLAIM)


def class_name(claim: Obj) -> str | None:
    """The class that a claim names; "" where it wants none, None where it leaves that to the default."""
    old = fields.string_map(claim, "metadata", "annotations").get(CLASS_ANNOTATION)
    named = fields.at(claim, "spec", "storageClassName")
    return old if old is not None else named if isinstance(named, str) else None


def asked(claim: Obj) -> int:
    """The size that it asks for, in thousandths of a byte."""
    return milli(fields.at(claim, "spec", "resources", "requests", "storage")) or 0


def volume_of(claim: Obj) -> str:
    return fields.text(claim, "spec", "volumeName")


def claim_of(pod: Ref, spec: Obj) -> Ref | None:
    """The claim that an entry of a pod's volumes stands for, None where it is none."""
    if fields.mapping(spec, "ephemeral"):
        return Ref("PersistentVolumeClaim", pod.namespace, f"{pod.name}-{fields.text(spec, 'name')}")
    name = fields.text(spec, "persistentVolumeClaim", "claimName")
    return Ref("PersistentVolumeClaim", pod.namespace, name) if name else None


def storage_class(facts: Facts, claim: Obj) -> Obj | None:
    """The StorageClass that a claim names, None where there is none, or nobody looked."""
    name = class_name(claim)
    return facts.get(Ref("StorageClass", "", name)) if name else None


def default_classes(facts: Facts) -> list[str]:
    """The names of the classes that are marked as default."""
    return [fields.name_of(c) for c in facts.everywhere(kinds.STORAGE_CLASS) if is_default(c)]


def is_default(one: Obj) -> bool:
    annotations = fields.string_map(one, "metadata", "annotations")
    return any(annotations.get(key) == "true" for key in DEFAULTS)


def is_static(one: Obj) -> bool:
    """Whether volumes of a StorageClass are made by hand."""
    return fields.text(one, "provisioner") == STATIC


def waits_for_consumer(one: Obj) -> bool:
    return fields.text(one, "volumeBindingMode") == "WaitForFirstConsumer"


def selected_node(claim: Obj) -> str:
    """The node for which the scheduler wants the volume, "" where it has not chosen one."""
    return fields.string_map(claim, "metadata", "annotations").get(SELECTED_NODE, "")


def provisioner(claim: Obj, one: Obj) -> str:
    """The driver that is to make a claim's volume, under the name by which it runs today."""
    annotations = fields.string_map(claim, "metadata", "annotations")
    named = next((annotations[key] for key in PROVISIONERS if annotations.get(key)), "")
    named = named or fields.text(one, "provisioner")
    return TO_CSI.get(named, named)


def users(facts: Facts, claim: Ref) -> list[Obj]:
    """The pods that name a claim, by name; finished and terminating ones left out."""
    found = [facts.get(pod) for pod in facts.graph.after(claim, "mounts")]
    return [pod for pod in found if pod is not None and not podstate.finished(pod) and not podstate.terminating(pod)]


def sufferers(facts: Facts, claim: Ref) -> tuple[Ref, ...]:
    """The workloads and pods that cannot do without a claim."""
    pods = [ref_of(pod, kinds.POD) for pod in users(facts, claim)]
    return tuple(dict.fromkeys([*(facts.workload(pod) for pod in pods), *pods]))


def hurts(facts: Facts, claim: Ref) -> Severity:
    """How much it hurts that a claim cannot be used; a warning where no pod wants it yet."""
    workloads = {facts.workload(ref_of(pod, kinds.POD)) for pod in users(facts, claim) if not podstate.ready(pod)}
    return worst([severity(facts, workload) for workload in workloads]) if workloads else "warning"


def who_waits(facts: Facts, claim: Ref) -> str:
    """`deployment/cart waits for it`, "no pod uses it yet"."""
    pods = users(facts, claim)
    workloads = sorted({str(facts.workload(ref_of(pod, kinds.POD))) for pod in pods})
    if not workloads:
        return "no pod uses it yet"
    return f"{some(workloads)} ({count(len(pods), 'pod')}) {'waits' if len(workloads) == 1 else 'wait'} for it"


def idle(facts: Facts, claim: Obj) -> bool:
    """Whether a pending claim is well: it waits for its first pod, and no pod uses it."""
    if users(facts, ref(claim)) or selected_node(claim):
        return False
    one = storage_class(facts, claim)
    if one is None:
        return bool(class_name(claim)) and not facts.knows(kinds.STORAGE_CLASS)
    return waits_for_consumer(one)


def told(facts: Facts, claim: Obj, *reasons: str) -> list[EventRow]:
    """Events about this very claim, newest first."""
    uid = fields.uid_of(claim)
    return [row for row in facts.events(ref(claim), *reasons) if row.about_uid in {"", uid}]


def said(row: EventRow) -> Evidence:
    """An event as evidence."""
    return fact(row.about, f"events[{row.reason}].message", row.message, row.last)


def shown_size(amount: int) -> str:
    return show("storage", amount)
