"""Changes of what a namespace allows and holds: quotas, limit ranges, service accounts, rights, configuration."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .action import InNamespace, Key, Kubectl, Label, Name, Namespace, Quantity, action, lower, merge


@action(title="Change a quota", risk="medium", undone_by="set-quota")
class SetQuota(InNamespace):
    name: Name
    resource: Key
    hard: Quantity

    def kubectl(self) -> Sequence[str]:
        return self.within("patch", "resourcequota", self.name, *merge({"spec": {"hard": {self.resource: self.hard}}}))

    def changes(self) -> str:
        return f"quota {self.name} of namespace {self.namespace} allows {self.hard} of {self.resource}"


@action(title="Change a limit range", risk="medium", undone_by="set-limit-range")
class SetLimitRange(InNamespace):
    name: Name
    index: int = Field(default=0, ge=0, description="Which of spec.limits")
    constraint: Literal["min", "max", "default", "defaultRequest", "maxLimitRequestRatio"]
    resource: Key
    value: Quantity

    def kubectl(self) -> Sequence[str]:
        import json

        key = self.resource.replace("~", "~0").replace("/", "~1")
        path = f"/spec/limits/{self.index}/{self.constraint}/{key}"
        patch = json.dumps([{"op": "replace", "path": path, "value": self.value}], separators=(",", ":"))
        return self.within("patch", "limitrange", self.name, "--type=json", "-p", patch)

    def changes(self) -> str:
        return f"limit range {self.name}: {self.constraint} of {self.resource} becomes {self.value}, for new pods"


@action(title="Create a service account", risk="low", undone_by=None)
class CreateServiceAccount(InNamespace):
    name: Name

    def kubectl(self) -> Sequence[str]:
        return self.within("create", "serviceaccount", self.name)

    def changes(self) -> str:
        return f"namespace {self.namespace} has a service account {self.name}, without any right of its own"


@action(title="Bind a role to a service account", risk="high", undone_by=None)
class BindRole(InNamespace):
    role_kind: Annotated[Literal["role", "clusterrole"], BeforeValidator(lower)]
    role_name: Name
    service_account: Name
    service_account_namespace: Namespace | None = Field(default=None, description="Left out: the binding's own")

    def kubectl(self) -> Sequence[str]:
        home = self.service_account_namespace or self.namespace
        name = f"{self.service_account}-{self.role_name}".replace(":", "-")
        who = f"--serviceaccount={home}:{self.service_account}"
        return self.within("create", "rolebinding", name, f"--{self.role_kind}={self.role_name}", who)

    def changes(self) -> str:
        return f"{self.service_account} gets the rights of {self.role_kind} {self.role_name} in {self.namespace}"


@action(title="Create a ConfigMap", risk="low", undone_by=None)
class CreateConfigMap(InNamespace):
    name: Name
    keys: dict[Key, str] = Field(default_factory=dict, description="Content by key, as plain text")

    def kubectl(self) -> Sequence[str]:
        content = [f"--from-literal={key}={value}" for key, value in sorted(self.keys.items())]
        return self.within("create", "configmap", self.name, *content)

    def changes(self) -> str:
        keys = ", ".join(sorted(self.keys)) or "no key"
        return f"namespace {self.namespace} has a ConfigMap {self.name} with {keys}"


@action(title="Let a service account pull with a secret", risk="low", undone_by=None)
class CreatePullSecretReference(InNamespace):
    service_account: Name
    secret: Name

    def kubectl(self) -> Sequence[str]:
        patch = ["-p", f'{{"imagePullSecrets":[{{"name":"{self.secret}"}}]}}']
        return self.within("patch", "serviceaccount", self.service_account, *patch)

    def changes(self) -> str:
        return f"new pods of service account {self.service_account} pull images with secret {self.secret}"


@action(title="Change what Pod Security enforces", risk="high", undone_by="set-namespace-pod-security")
class SetNamespacePodSecurity(Kubectl):
    namespace: Namespace
    level: Literal["privileged", "baseline", "restricted"]

    def kubectl(self) -> Sequence[str]:
        label = f"pod-security.kubernetes.io/enforce={self.level}"
        return ["label", "namespace", self.namespace, label, "--overwrite"]

    def changes(self) -> str:
        return f"namespace {self.namespace} enforces Pod Security level {self.level} on new pods"


@action(title="Suspend or resume a CronJob", risk="low", undone_by="suspend-cronjob")
class SuspendCronjob(InNamespace):
    name: Name
    suspend: bool

    def kubectl(self) -> Sequence[str]:
        return self.within("patch", "cronjob", self.name, *merge({"spec": {"suspend": self.suspend}}))

    def changes(self) -> str:
        return f"CronJob {self.name} {'starts no more Jobs' if self.suspend else 'starts Jobs again'}"


@action(title="Delete a Job", risk="medium", undone_by=None)
class DeleteJob(InNamespace):
    name: Name

    def kubectl(self) -> Sequence[str]:
        return self.within("delete", "job", self.name)

    def changes(self) -> str:
        return f"Job {self.name} and its pods are gone"


@action(title="Change the bounds of an autoscaler", risk="medium", undone_by="set-hpa-bounds")
class SetHpaBounds(InNamespace):
    name: Name
    min_replicas: int | None = Field(default=None, ge=0)
    max_replicas: int | None = Field(default=None, ge=1)

    def _bounds(self) -> dict[str, int]:
        every = {"minReplicas": self.min_replicas, "maxReplicas": self.max_replicas}
        return {name: value for name, value in every.items() if value is not None}

    def kubectl(self) -> Sequence[str]:
        return self.within("patch", "hpa", self.name, *merge({"spec": self._bounds()}))

    def changes(self) -> str:
        bounds = ", ".join(f"{name} {value}" for name, value in self._bounds().items())
        return f"autoscaler {self.name} keeps to {bounds or 'the bounds that it has'}"


@action(title="Change a disruption budget", risk="medium", undone_by="set-pdb")
class SetPdb(InNamespace):
    name: Name
    min_available: int | str | None = Field(default=None, description="A number or a percentage")
    max_unavailable: int | str | None = Field(default=None, description="A number or a percentage")

    def kubectl(self) -> Sequence[str]:
        spec = {"minAvailable": self.min_available, "maxUnavailable": self.max_unavailable}
        # A budget has one of the two; null takes the other away.
        return self.within("patch", "pdb", self.name, *merge({"spec": spec}))

    def changes(self) -> str:
        said = f"minAvailable {self.min_available}" if self.min_available is not None else ""
        said = said or f"maxUnavailable {self.max_unavailable}"
        return f"disruption budget {self.name} has {said}"


@action(title="Set a namespace's label", risk="medium", undone_by="label-namespace")
class LabelNamespace(Kubectl):
    namespace: Namespace
    key: Key
    value: Label

    def kubectl(self) -> Sequence[str]:
        return ["label", "namespace", self.namespace, f"{self.key}={self.value}", "--overwrite"]

    def changes(self) -> str:
        return f"namespace {self.namespace} has label {self.key}={self.value}"
