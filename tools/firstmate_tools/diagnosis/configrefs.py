"""Which ConfigMaps and Secrets a pod needs, and which of them the kubelet says are missing. Pure.

Texts: makeEnvironmentVariables (pkg/kubelet/kubelet_pods.go) and MakePayload (pkg/volume/configmap/configmap.go,
pkg/volume/secret/secret.go), v1.36. A text alone is never enough: what it names must be in the pod's spec.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from firstmate_tools import fields, podstate
from firstmate_tools.fields import Obj

Holder = Literal["ConfigMap", "Secret"]


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """One thing that a pod needs.

    Attributes:
        kind, name: the object.
        key: the key in it, "" for the whole object.
        place: `env` or the name of a volume.
        path: where the spec says so.
        container: whose environment, "" for volumes.
    """

    kind: Holder
    name: str
    key: str
    place: str
    path: str
    container: str = ""


def needs(pod: Obj) -> list[Need]:
    """What a pod cannot start without; optional references are left out."""
    return [*_of_environments(pod), *_of_volumes(pod)]


_ENV: tuple[tuple[Holder, str], ...] = (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef"))
_ENV_FROM: tuple[tuple[Holder, str], ...] = (("ConfigMap", "configMapRef"), ("Secret", "secretRef"))


def _of_environments(pod: Obj) -> Iterator[Need]:
    for container in podstate.containers(pod):
        if container.role == "ephemeral":
            continue
        section = "containers" if container.role == "app" else "initContainers"
        base = f"spec.{section}[{container.name}]"
        for variable in fields.items(container.spec, "env"):
            for kind, source in _ENV:
                ref = fields.mapping(variable, "valueFrom", source)
                if (name := fields.text(ref, "name")) and not fields.flag(ref, "optional"):
                    path = f"{base}.env[{fields.text(variable, 'name')}].valueFrom.{source}"
                    yield Need(kind, name, fields.text(ref, "key"), "env", path, container.name)
        for position, entry in enumerate(fields.items(container.spec, "envFrom")):
            for kind, source in _ENV_FROM:
                ref = fields.mapping(entry, source)
                if (name := fields.text(ref, "name")) and not fields.flag(ref, "optional"):
                    yield Need(kind, name, "", "env", f"{base}.envFrom[{position}].{source}", container.name)


def _of_volumes(pod: Obj) -> Iterator[Need]:
    for volume in fields.items(pod, "spec", "volumes"):
        name = fields.text(volume, "name")
        base = f"spec.volumes[{name}]"
        yield from _of_source("ConfigMap", fields.mapping(volume, "configMap"), "name", name, f"{base}.configMap")
        yield from _of_source("Secret", fields.mapping(volume, "secret"), "secretName", name, f"{base}.secret")
        driver = fields.mapping(volume, "csi", "nodePublishSecretRef")
        yield from _of_source("Secret", driver, "name", name, f"{base}.csi.nodePublishSecretRef")
        for source in fields.items(volume, "projected", "sources"):
            path = f"{base}.projected"
            yield from _of_source("ConfigMap", fields.mapping(source, "configMap"), "name", name, path)
            yield from _of_source("Secret", fields.mapping(source, "secret"), "name", name, path)


def _of_source(kind: Holder, source: Obj, field: str, place: str, path: str) -> Iterator[Need]:
    name = fields.text(source, field)
    if not name or fields.flag(source, "optional"):
        return
    yield Need(kind, name, "", place, path)
    for item in fields.items(source, "items"):
        if key := fields.text(item, "key"):
            yield Need(kind, name, key, place, f"{path}.items")


@dataclass(frozen=True, slots=True)
class Lack:
    """What a text says is missing; `name` is "" where it only gives the key, `volume` where it names none."""

    kind: Holder
    name: str
    key: str
    volume: str = ""


_OBJECT = re.compile(r"(?i)\b(secret|configmap)s? \"([^\"]+)\" not found")
_KEY = re.compile(r"couldn't find key (\S+) in (ConfigMap|Secret) [^/\s]+/([^\s,\]]+)")
_VOLUME_KEY = re.compile(r"references non-existent (secret|config) key: ([^\s,\]]+)")
_VOLUME = re.compile(r"for volume \"([^\"]+)\"")


def lacks(text: str) -> list[Lack]:
    """What a container's message or a FailedMount event says is missing; [] for any other trouble.

    That the kubelet's cache of ConfigMaps was late ("failed to sync configmap cache") is none.
    """
    volume = match.group(1) if (match := _VOLUME.search(text)) else ""
    found = [Lack(_holder(kind), name, "", volume) for kind, name in _OBJECT.findall(text)]
    found += [Lack(_holder(kind), name, key, volume) for key, kind, name in _KEY.findall(text)]
    return found + [Lack(_holder(kind), "", key, volume) for kind, key in _VOLUME_KEY.findall(text)]


def _holder(word: str) -> Holder:
    return "Secret" if word.lower().startswith("secret") else "ConfigMap"


def needed(pod: Obj, lack: Lack, container: str) -> list[Need]:
    """What of a pod's needs a lack is about: in a container's environment, or in the volume that it names."""
    return [
        need
        for need in needs(pod)
        if need.kind == lack.kind
        and lack.name in {"", need.name}
        and (not lack.key or lack.key == need.key)
        and (need.container == container if container else need.place == lack.volume or not lack.volume)
        and (container or need.place != "env")
    ]  # fmt: skip
