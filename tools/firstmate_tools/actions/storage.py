"""Changes of claims, volumes and classes."""

from collections.abc import Sequence

from .action import InNamespace, Kubectl, Name, Quantity, action, merge


@action(title="Expand a claim", risk="medium", undone_by=None)
class ExpandClaim(InNamespace):
    name: Name
    size: Quantity

    def kubectl(self) -> Sequence[str]:
        patch = {"spec": {"resources": {"requests": {"storage": self.size}}}}
        return self.within("patch", "pvc", self.name, *merge(patch))

    def changes(self) -> str:
        return f"claim {self.name} grows to {self.size}, which can never be made smaller again"


@action(title="Make a storage class the default", risk="medium", undone_by=None)
class SetDefaultStorageClass(Kubectl):
    name: Name

    def kubectl(self) -> Sequence[str]:
        mark = "storageclass.kubernetes.io/is-default-class=true"
        return ["annotate", "storageclass", self.name, mark, "--overwrite"]

    def changes(self) -> str:
        return f"claims without a class, those that wait included, get class {self.name}"


@action(title="Free a released volume", risk="high", undone_by=None)
class ClearClaimRef(Kubectl):
    name: Name

    def kubectl(self) -> Sequence[str]:
        return ["patch", "pv", self.name, *merge({"spec": {"claimRef": None}})]

    def changes(self) -> str:
        return f"volume {self.name} is Available to any claim that fits, with the data of its former claim in it"


@action(title="Delete a VolumeAttachment", risk="high", undone_by=None)
class DeleteVolumeAttachment(Kubectl):
    name: Name

    def kubectl(self) -> Sequence[str]:
        return ["delete", "volumeattachment", self.name]

    def changes(self) -> str:
        return f"the volume of attachment {self.name} is detached, also from a node that still writes to it"
