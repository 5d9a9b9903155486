"""Changes of workloads: restart, undo, scale, and what a container of the template is given."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from .action import Image, Name, OnWorkload, Quantity, action, pod_patch, strategic


@action(title="Restart a rollout", risk="medium", undone_by=None)
class RolloutRestart(OnWorkload):
    def kubectl(self) -> Sequence[str]:
        return self.within("rollout", "restart", self.workload)

    def changes(self) -> str:
        return f"every pod of {self.workload} is replaced, by its own rollout strategy"


@action(title="Go back to an earlier revision", risk="medium", undone_by="rollout-undo")
class RolloutUndo(OnWorkload):
    revision: int | None = Field(default=None, ge=1, description="Left out: the one before")

    def kubectl(self) -> Sequence[str]:
        to = [f"--to-revision={self.revision}"] if self.revision else []
        return self.within("rollout", "undo", self.workload, *to)

    def changes(self) -> str:
        to = f"revision {self.revision}" if self.revision else "its revision before"
        return f"the template of {self.workload} becomes that of {to}, and its pods are replaced"


@action(title="Resume a paused rollout", risk="medium", undone_by=None)
class RolloutResume(OnWorkload):
    def kubectl(self) -> Sequence[str]:
        return self.within("rollout", "resume", self.workload)

    def changes(self) -> str:
        return f"{self.workload} rolls out what its template holds"


@action(title="Change the number of replicas", risk="medium", undone_by="scale")
class Scale(OnWorkload):
    replicas: int = Field(ge=0, le=10_000)

    @model_validator(mode="after")
    def _scalable(self) -> "Scale":
        if self.kind == "daemonset":
            raise ValueError("a DaemonSet has no replicas: it runs on every node that fits")
        return self

    def kubectl(self) -> Sequence[str]:
        return self.within("scale", self.workload, f"--replicas={self.replicas}")

    def changes(self) -> str:
        return f"{self.workload} is asked for {self.replicas} replicas"


class _OnContainer(OnWorkload):
    container: Name


@action(title="Change a container's image", risk="medium", undone_by="rollout-undo")
class SetImage(_OnContainer):
    image: Image

    def kubectl(self) -> Sequence[str]:
        return self.within("set", "image", self.workload, f"{self.container}={self.image}")

    def changes(self) -> str:
        return f"container {self.container} of {self.workload} runs {self.image}, and its pods are replaced"


@action(title="Change a container's requests and limits", risk="medium", undone_by="rollout-undo")
class SetResources(_OnContainer):
    requests_cpu: Quantity | None = None
    requests_memory: Quantity | None = None
    limits_cpu: Quantity | None = None
    limits_memory: Quantity | None = None
    limits_ephemeral_storage: Quantity | None = None

    @model_validator(mode="after")
    def _something(self) -> "SetResources":
        if not self._wanted():
            raise ValueError("name at least one request or limit")
        return self

    def _wanted(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for field in ("requests_cpu", "requests_memory", "limits_cpu", "limits_memory", "limits_ephemeral_storage"):
            value = getattr(self, field)
            if value is not None:
                half, _, resource = field.partition("_")
                found.setdefault(half, {})[resource.replace("_", "-")] = value
        return found

    def kubectl(self) -> Sequence[str]:
        halves = [
            f"--{half}=" + ",".join(f"{name}={value}" for name, value in wanted.items())
            for half, wanted in self._wanted().items()
        ]
        return self.within("set", "resources", self.workload, "-c", self.container, *halves)

    def changes(self) -> str:
        parts = [f"{half} {name} {value}" for half, wanted in self._wanted().items() for name, value in wanted.items()]
        return f"container {self.container} of {self.workload} gets {', '.join(parts)}, and its pods are replaced"


@action(title="Change an environment variable", risk="medium", undone_by="rollout-undo")
class SetEnv(_OnContainer):
    variable: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)
    value: str = Field(max_length=1000)

    def kubectl(self) -> Sequence[str]:
        return self.within("set", "env", self.workload, "-c", self.container, f"{self.variable}={self.value}")

    def changes(self) -> str:
        return f"{self.variable} of container {self.container} of {self.workload} is set, and its pods are replaced"


@action(title="Change the service account", risk="medium", undone_by="rollout-undo")
class SetServiceAccount(OnWorkload):
    service_account: Name

    def kubectl(self) -> Sequence[str]:
        return self.within("set", "serviceaccount", self.workload, self.service_account)

    def changes(self) -> str:
        return f"pods of {self.workload} run as service account {self.service_account}, and are replaced"


@action(title="Change a probe", risk="medium", undone_by="rollout-undo")
class SetProbe(_OnContainer):
    probe: Literal["liveness", "readiness", "startup"]
    port: int | Name | None = None
    path: str | None = Field(default=None, pattern=r"^/", max_length=500)
    initial_delay_s: int | None = Field(default=None, ge=0)
    period_s: int | None = Field(default=None, ge=1)
    timeout_s: int | None = Field(default=None, ge=1)
    failure_threshold: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _something(self) -> "SetProbe":
        if not self._wanted():
            raise ValueError("name at least one field of the probe")
        return self

    def _wanted(self) -> dict[str, Any]:
        seconds = {
            "initialDelaySeconds": self.initial_delay_s,
            "periodSeconds": self.period_s,
            "timeoutSeconds": self.timeout_s,
            "failureThreshold": self.failure_threshold,
        }
        wanted: dict[str, Any] = {name: value for name, value in seconds.items() if value is not None}
        http = {name: value for name, value in (("port", self.port), ("path", self.path)) if value is not None}
        return {**wanted, "httpGet": http} if http else wanted

    def kubectl(self) -> Sequence[str]:
        container = {"name": self.container, f"{self.probe}Probe": self._wanted()}
        return self.within("patch", self.workload, *strategic(pod_patch(container)))

    def changes(self) -> str:
        return f"the {self.probe} probe of container {self.container} of {self.workload} changes; its pods are replaced"
