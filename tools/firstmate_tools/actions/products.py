"""Changes of what products manage: Argo CD, Flux, KEDA, cert-manager, External Secrets, Karpenter, Helm.

Annotations and fields are those of the products' documentation: Argo CD (argocd.argoproj.io/refresh), Flux
(reconcile.fluxcd.io/requestedAt, spec.suspend), KEDA (autoscaling.keda.sh/paused), External Secrets (any change of an
annotation starts a sync; its documentation uses force-sync), cert-manager's cmctl, Karpenter's NodePool.
"""

import shlex
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .action import AnyKind, ByShell, InNamespace, Key, Kubectl, Name, Quantity, action, lower, merge

NOW = "$(date +%s)"
"""What the shell puts in: an annotation has to change to be noticed."""


@action(title="Sync an Argo CD application", risk="medium", undone_by=None)
class ArgocdSync(InNamespace):
    name: Name

    def kubectl(self) -> Sequence[str]:
        sync = {"operation": {"initiatedBy": {"username": "firstmate"}, "sync": {}}}
        return self.within("patch", "application.argoproj.io", self.name, *merge(sync))

    def changes(self) -> str:
        return f"Argo CD applies the target revision of application {self.name}"


@action(title="Let Argo CD look again", risk="low", undone_by=None)
class ArgocdRefresh(InNamespace):
    name: Name

    def kubectl(self) -> Sequence[str]:
        mark = "argocd.argoproj.io/refresh=hard"
        return self.within("annotate", "application.argoproj.io", self.name, mark, "--overwrite")

    def changes(self) -> str:
        return f"Argo CD renders application {self.name} anew and compares; with automated sync it applies what differs"


@action(title="Let Flux reconcile now", risk="low", undone_by=None)
class FluxReconcile(ByShell):
    kind: AnyKind
    name: Name

    def command(self, context: str = "CONTEXT") -> str:
        words = self.within(context, "annotate", self.kind, self.name, "--overwrite")
        return f'{words} reconcile.fluxcd.io/requestedAt="{NOW}"'

    def changes(self) -> str:
        return f"Flux reconciles {self.kind}/{self.name} at once instead of at its next interval"


@action(title="Resume a suspended Flux object", risk="medium", undone_by=None)
class FluxResume(InNamespace):
    kind: AnyKind
    name: Name

    def kubectl(self) -> Sequence[str]:
        return self.within("patch", self.kind, self.name, *merge({"spec": {"suspend": False}}))

    def changes(self) -> str:
        return f"Flux applies {self.kind}/{self.name} again, and reverts what was changed by hand meanwhile"


@action(title="Resume a paused ScaledObject", risk="medium", undone_by=None)
class ResumeScaledobject(InNamespace):
    name: Name

    def kubectl(self) -> Sequence[str]:
        marks = ["autoscaling.keda.sh/paused-", "autoscaling.keda.sh/paused-replicas-"]
        return self.within("annotate", "scaledobject.keda.sh", self.name, *marks)

    def changes(self) -> str:
        return f"KEDA scales the target of {self.name} by its triggers again"


@action(title="Sync an external secret now", risk="low", undone_by=None)
class AnnotateForceSync(ByShell):
    kind: Annotated[Literal["externalsecret", "pushsecret"], BeforeValidator(lower)] = "externalsecret"
    name: Name

    def command(self, context: str = "CONTEXT") -> str:
        words = self.within(context, "annotate", self.kind, self.name, "--overwrite")
        return f'{words} force-sync="{NOW}"'

    def changes(self) -> str:
        return f"{self.kind}/{self.name} is synced at once; what reads its Secret sees the new value"


@action(title="Renew a certificate now", risk="medium", undone_by=None)
class RenewCertificate(ByShell):
    name: Name

    def command(self, context: str = "CONTEXT") -> str:
        return shlex.join(["cmctl", "--context", context, "renew", "-n", self.namespace, self.name])

    def changes(self) -> str:
        return f"cert-manager orders a new certificate for {self.name}; the old one serves until it comes"


@action(title="Roll a Helm release back", risk="high", undone_by="helm-rollback")
class HelmRollback(ByShell):
    release: Name
    revision: int | None = Field(default=None, ge=1, description="Left out: the one before")

    def command(self, context: str = "CONTEXT") -> str:
        to = [str(self.revision)] if self.revision else []
        words = ["helm", "--kube-context", context, "-n", self.namespace, "rollback", self.release, *to, "--wait"]
        return shlex.join(words)

    def changes(self) -> str:
        to = f"revision {self.revision}" if self.revision else "its revision before"
        return f"release {self.release} is applied as of {to}, and the pending operation is over"


@action(title="Change the limit of a NodePool", risk="medium", undone_by="set-nodepool-limit")
class SetNodepoolLimit(Kubectl):
    name: Name
    resource: Key
    value: Quantity

    def kubectl(self) -> Sequence[str]:
        return ["patch", "nodepool.karpenter.sh", self.name, *merge({"spec": {"limits": {self.resource: self.value}}})]

    def changes(self) -> str:
        return f"Karpenter may launch nodes of NodePool {self.name} up to {self.value} of {self.resource}"
