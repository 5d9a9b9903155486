"""Changes of Services, Ingresses and what traffic is let through."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from .action import ByShell, InNamespace, Key, Label, Name, Namespace, action, merge


@action(title="Change whom a Service selects", risk="high", undone_by="set-service-selector")
class SetServiceSelector(InNamespace):
    name: Name
    selector: dict[Key, Label] = Field(min_length=1)

    def kubectl(self) -> Sequence[str]:
        wanted = ",".join(f"{key}={value}" for key, value in sorted(self.selector.items()))
        return self.within("set", "selector", "service", self.name, wanted)

    def changes(self) -> str:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(self.selector.items()))
        return f"Service {self.name} sends to the pods with {wanted}, and to no others"


@action(title="Change where a Service's port leads", risk="medium", undone_by="set-service-port")
class SetServicePort(InNamespace):
    name: Name
    port: int = Field(ge=1, le=65535)
    target_port: int | Name
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"

    def kubectl(self) -> Sequence[str]:
        port = {"port": self.port, "targetPort": self.target_port, "protocol": self.protocol}
        patch = json.dumps({"spec": {"ports": [port]}}, separators=(",", ":"))
        return self.within("patch", "service", self.name, "-p", patch)

    def changes(self) -> str:
        return f"port {self.port} of Service {self.name} leads to {self.target_port} of its pods, over {self.protocol}"


@action(title="Change externalTrafficPolicy", risk="medium", undone_by="set-external-traffic-policy")
class SetExternalTrafficPolicy(InNamespace):
    name: Name
    policy: Literal["Cluster", "Local"]

    def kubectl(self) -> Sequence[str]:
        return self.within("patch", "service", self.name, *merge({"spec": {"externalTrafficPolicy": self.policy}}))

    def changes(self) -> str:
        kept = "no longer sees" if self.policy == "Cluster" else "sees"
        return (
            f"Service {self.name} has externalTrafficPolicy {self.policy}, and its backend {kept} the client's address"
        )


@action(title="Change an Ingress's class", risk="medium", undone_by="set-ingress-class")
class SetIngressClass(InNamespace):
    name: Name
    class_name: Name

    def kubectl(self) -> Sequence[str]:
        return self.within("patch", "ingress", self.name, *merge({"spec": {"ingressClassName": self.class_name}}))

    def changes(self) -> str:
        return f"Ingress {self.name} belongs to the controller of class {self.class_name}"


@action(title="Change an Ingress's backend", risk="medium", undone_by="set-ingress-backend")
class SetIngressBackend(InNamespace):
    name: Name
    rule: int = Field(ge=0, description="Which of spec.rules")
    path: int = Field(default=0, ge=0, description="Which of its paths")
    service: Name
    port: int | Name

    def kubectl(self) -> Sequence[str]:
        port: dict[str, Any] = {"number": self.port} if isinstance(self.port, int) else {"name": self.port}
        backend = {"service": {"name": self.service, "port": port}}
        where = f"/spec/rules/{self.rule}/http/paths/{self.path}/backend"
        patch = json.dumps([{"op": "replace", "path": where, "value": backend}], separators=(",", ":"))
        return self.within("patch", "ingress", self.name, "--type=json", "-p", patch)

    def changes(self) -> str:
        return f"rule {self.rule}, path {self.path} of Ingress {self.name} leads to Service {self.service}:{self.port}"


@action(title="Allow traffic by a NetworkPolicy", risk="medium", undone_by=None)
class AllowTraffic(ByShell):
    name: Name = Field(description="Of the new policy")
    to_selector: dict[Key, Label] = Field(description="Labels of the pods that are to be reached; empty: all")
    port: int = Field(ge=1, le=65535)
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    from_namespace: Namespace | None = Field(default=None, description="Left out: the same")
    from_selector: dict[Key, Label] | None = Field(default=None, description="Labels of those who call; left out: all")

    def _policy(self) -> dict[str, Any]:
        peer: dict[str, Any] = {"podSelector": {"matchLabels": self.from_selector or {}}}
        if self.from_namespace and self.from_namespace != self.namespace:
            peer["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": self.from_namespace}}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "podSelector": {"matchLabels": self.to_selector},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [peer], "ports": [{"port": self.port, "protocol": self.protocol}]}],
            },
        }

    def command(self, context: str = "CONTEXT") -> str:
        import shlex

        words = self.within(context, "apply", "-f", "-")
        return f"echo {shlex.quote(json.dumps(self._policy(), separators=(',', ':')))} | {words}"

    def changes(self) -> str:
        whence = f"namespace {self.from_namespace}" if self.from_namespace else "the same namespace"
        return f"pods of {self.namespace} take {self.protocol} {self.port} from {whence}, by NetworkPolicy {self.name}"
