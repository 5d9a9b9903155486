"""Changes of nodes and of the pods on them."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from .action import InNamespace, Key, Kubectl, Label, Name, Text, action


class _OnNode(Kubectl):
    node: Name


@action(title="Close a node to new pods", risk="low", undone_by="uncordon")
class Cordon(_OnNode):
    def kubectl(self) -> Sequence[str]:
        return ["cordon", self.node]

    def changes(self) -> str:
        return f"no new pod is placed on node {self.node}; those that run stay"


@action(title="Open a node to new pods", risk="low", undone_by="cordon")
class Uncordon(_OnNode):
    def kubectl(self) -> Sequence[str]:
        return ["uncordon", self.node]

    def changes(self) -> str:
        return f"pods may be placed on node {self.node} again"


@action(title="Empty a node", risk="high", undone_by="uncordon")
class Drain(_OnNode):
    timeout_s: int = Field(default=600, ge=1)

    def kubectl(self) -> Sequence[str]:
        return ["drain", self.node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={self.timeout_s}s"]

    def changes(self) -> str:
        return f"the pods of node {self.node} move elsewhere as their budgets allow; their emptyDir volumes are lost"


@action(title="Take a taint away", risk="medium", undone_by=None)
class TaintRemove(_OnNode):
    key: Key
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]

    def kubectl(self) -> Sequence[str]:
        return ["taint", "node", self.node, f"{self.key}:{self.effect}-"]

    def changes(self) -> str:
        return f"node {self.node} takes pods that do not tolerate {self.key}:{self.effect}"


@action(title="Set a node's label", risk="medium", undone_by="label-node")
class LabelNode(_OnNode):
    key: Key
    value: Label

    def kubectl(self) -> Sequence[str]:
        return ["label", "node", self.node, f"{self.key}={self.value}", "--overwrite"]

    def changes(self) -> str:
        return f"node {self.node} has label {self.key}={self.value}, which selectors and spread see at once"


@action(title="Delete a pod", risk="medium", undone_by=None)
class DeletePod(InNamespace):
    name: Name

    def kubectl(self) -> Sequence[str]:
        return self.within("delete", "pod", self.name)

    def changes(self) -> str:
        return f"pod {self.name} ends within its grace period; its controller, if it has one, makes another"


@action(title="Delete a pod without its node's word", risk="high", undone_by=None)
class ForceDeletePod(InNamespace):
    name: Name
    why: Text = Field(description="How it is known that the node is off")

    def kubectl(self) -> Sequence[str]:
        return self.within("delete", "pod", self.name, "--grace-period=0", "--force")

    def changes(self) -> str:
        return (
            f"the API forgets pod {self.name} at once, though its containers may go on: "
            "with a node that still runs, two of them write to one volume"
        )
