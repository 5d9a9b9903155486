"""Changes of what stands between a request and its object: webhooks, aggregated APIs, finalizers, certificates."""

import json
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .action import AnyKind, Key, Kubectl, Name, Namespace, action, lower

Configuration = Annotated[
    Literal["validatingwebhookconfiguration", "mutatingwebhookconfiguration"], BeforeValidator(lower)
]


class _OnWebhook(Kubectl):
    kind: Configuration
    name: Name


@action(title="Change a webhook's failurePolicy", risk="high", undone_by="set-webhook-failure-policy")
class SetWebhookFailurePolicy(_OnWebhook):
    index: int = Field(default=0, ge=0, description="Which of webhooks")
    policy: Literal["Fail", "Ignore"]

    def kubectl(self) -> Sequence[str]:
        change = {"op": "replace", "path": f"/webhooks/{self.index}/failurePolicy", "value": self.policy}
        return ["patch", self.kind, self.name, "--type=json", "-p", json.dumps([change], separators=(",", ":"))]

    def changes(self) -> str:
        meaning = (
            "lets requests pass unseen" if self.policy == "Ignore" else "blocks every request that it is asked about"
        )
        return f"while webhook {self.index} of {self.name} cannot be reached, it {meaning}"


@action(title="Give a webhook its certificate authority", risk="medium", undone_by=None)
class SetWebhookCa(_OnWebhook):
    index: int = Field(default=0, ge=0, description="Which of webhooks")
    ca_bundle: str = Field(pattern=r"^[A-Za-z0-9+/=]+$", description="PEM, in base64; a certificate is no secret")

    def kubectl(self) -> Sequence[str]:
        where = f"/webhooks/{self.index}/clientConfig/caBundle"
        change = {"op": "add", "path": where, "value": self.ca_bundle}
        return ["patch", self.kind, self.name, "--type=json", "-p", json.dumps([change], separators=(",", ":"))]

    def changes(self) -> str:
        return f"the API server trusts what this authority signed for webhook {self.index} of {self.name}"


@action(title="Delete a webhook's configuration", risk="high", undone_by=None)
class DeleteWebhook(_OnWebhook):
    def kubectl(self) -> Sequence[str]:
        return ["delete", self.kind, self.name]

    def changes(self) -> str:
        return f"nothing is sent to the webhooks of {self.name} any more; what they enforced is not enforced"


@action(title="Delete an APIService", risk="high", undone_by=None)
class DeleteApiservice(Kubectl):
    name: Name

    def kubectl(self) -> Sequence[str]:
        return ["delete", "apiservice", self.name]

    def changes(self) -> str:
        return f"the API {self.name} is served no more, and discovery no longer waits for it"


@action(title="Take a finalizer off an object", risk="high", undone_by=None)
class RemoveFinalizer(Kubectl):
    kind: AnyKind
    name: Name
    namespace: Namespace | None = None
    index: int = Field(ge=0, description="Which of metadata.finalizers")
    finalizer: Key

    def kubectl(self) -> Sequence[str]:
        path = f"/metadata/finalizers/{self.index}"
        # The test makes the patch fail when another finalizer stands there by now.
        changes = [{"op": "test", "path": path, "value": self.finalizer}, {"op": "remove", "path": path}]
        where = ["-n", self.namespace] if self.namespace else []
        patch = json.dumps(changes, separators=(",", ":"))
        return [*where, "patch", self.kind, self.name, "--type=json", "-p", patch]

    def changes(self) -> str:
        return f"{self.kind}/{self.name} goes without what {self.finalizer} was to clean up"


@action(title="Approve a certificate request", risk="high", undone_by=None)
class ApproveCsr(Kubectl):
    name: Name

    def kubectl(self) -> Sequence[str]:
        return ["certificate", "approve", self.name]

    def changes(self) -> str:
        return f"request {self.name} gets its certificate, for as long as the signer grants"
