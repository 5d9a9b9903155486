"""Pod Security Standards against a pod: which controls of a level it breaks, in the words that the API server uses.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ and k8s.io/pod-security-admission policy/
(v0.36, one file for each check). Of older policy versions only the differences that matter since v1.25 are kept; the
AppArmor, SELinux and Windows controls are evaluated for their fields, not for annotations.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.admission.defaults import containers
from firstmate_tools.fields import Obj

ENFORCE = "pod-security.kubernetes.io/enforce"
ENFORCE_VERSION = "pod-security.kubernetes.io/enforce-version"
_BASELINE_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"}
    | {"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)
_RESTRICTED_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"}
    | {"persistentVolumeClaim", "projected", "secret"}
)
_SAFE_SYSCTLS: tuple[tuple[int, str], ...] = (
    (0, "kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time net.ipv4.tcp_fin_timeout net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem net.ipv4.tcp_wmem"),
)
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
NEWEST = 999
"""Stands for the version `latest`: newer than any minor version."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One control that a pod breaks.

    Attributes:
        control: its name in refusals, such as `allowPrivilegeEscalation != false`.
        where: the containers, volumes or fields that break it, in words.
    """

    control: str
    where: str


@dataclass(frozen=True, slots=True)
class Enforced:
    """What a namespace enforces: the level, and the minor version of the policy (NEWEST for `latest`)."""

    level: str
    minor: int


def enforced(namespace: Obj) -> Enforced:
    """What a namespace's labels enforce; `privileged`, which forbids nothing, where they say nothing."""
    labels = fields.labels_of(namespace)
    level = labels.get(ENFORCE, "privileged")
    return Enforced(level, minor_of(labels.get(ENFORCE_VERSION, "latest")))


def minor_of(version: str) -> int:
    match = re.fullmatch(r"v1\.(\d{1,3})", version)
    return int(match.group(1)) if match else NEWEST


def violations(pod: Obj, level: str, minor: int = NEWEST) -> list[Violation]:
    """The controls of a level that a pod or pod template breaks, in a stable order; none for `privileged`."""
    if level not in {"baseline", "restricted"}:
        return []
    spec = fields.mapping(pod, "spec")
    found = list(_baseline(spec, minor))
    if level == "restricted":
        # What the stricter control says replaces what the laxer one says of the same field.
        stricter = list(_restricted(spec, minor))
        replaced = {"non-default capabilities": "unrestricted capabilities", "hostPath volumes": _VOLUMES}
        controls = {v.control for v in stricter}
        kept = [v for v in found if v.control not in controls and replaced.get(v.control) not in controls]
        found = kept + stricter
    return found


_VOLUMES = "restricted volume types"


def _named(spec: Obj, breaks: Callable[[Obj], bool]) -> str:
    """The containers that break something: `containers app, log`, "" for none."""
    names = [fields.text(c, "name") for c in containers({"spec": spec}) if breaks(c)]
    return f"container{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else ""


def _with_pod(spec: Obj, own: bool, found: str) -> str:
    return " and ".join(part for part in ("pod" if own else "", found) if part)


def _security(one: Obj, *path: str) -> object:
    return fields.at(one, "securityContext", *path)


def _baseline(spec: Obj, minor: int) -> Iterator[Violation]:
    shared = [name for name in ("hostNetwork", "hostPID", "hostIPC") if fields.flag(spec, name)]
    in_user_namespace = spec.get("hostUsers") is False and minor >= 35
    checks = (
        ("host namespaces", ", ".join(f"{name}=true" for name in shared)),
        ("privileged", _named(spec, lambda c: _security(c, "privileged") is True)),
        ("non-default capabilities", _named(spec, lambda c: bool(_added(c) - _BASELINE_CAPABILITIES))),
        ("hostPath volumes", _volumes(spec, lambda volume: "hostPath" in volume)),
        ("hostPort", _named(spec, _has_host_port)),
        ("hostProcess", _either(spec, lambda o: _security(o, "windowsOptions", "hostProcess") is True)),
        (
            "forbidden AppArmor profile",
            _either(spec, lambda o: _security(o, "appArmorProfile", "type") == "Unconfined"),
        ),
        ("seLinuxOptions", _either(spec, _bad_selinux)),
        ("seccompProfile", _either(spec, lambda o: _security(o, "seccompProfile", "type") == "Unconfined")),
        ("procMount", "" if in_user_namespace else _named(spec, _bad_proc_mount)),
        ("forbidden sysctls", ", ".join(_sysctls(spec, minor))),
        ("probe or lifecycle host", _named(spec, _names_host) if minor >= 34 else ""),
    )
    yield from (Violation(control, where) for control, where in checks if where)


def _restricted(spec: Obj, minor: int) -> Iterator[Violation]:
    windows = fields.text(spec, "os", "name") == "windows" and minor >= 25
    in_user_namespace = spec.get("hostUsers") is False and minor >= 35
    if not windows:
        escalates = _named(spec, lambda c: _security(c, "allowPrivilegeEscalation") is not False)
        capabilities = _named(spec, lambda c: "ALL" not in _dropped(c) or bool(_added(c) - {"NET_BIND_SERVICE"}))
        yield from _some("allowPrivilegeEscalation != false", escalates)
        yield from _some("unrestricted capabilities", capabilities)
        yield from _some("seccompProfile", _unset(spec, ("seccompProfile", "type"), ("RuntimeDefault", "Localhost")))
    yield from _some(_VOLUMES, _volumes(spec, lambda volume: not _RESTRICTED_VOLUMES & set(volume)))
    if not in_user_namespace:
        yield from _some("runAsNonRoot != true", _unset(spec, ("runAsNonRoot",), (True,)))
        yield from _some("runAsUser=0", _either(spec, _runs_as_zero))
    yield from _some("procMount", _named(spec, _bad_proc_mount) if minor >= 35 else "")


def _some(control: str, where: str) -> Iterator[Violation]:
    if where:
        yield Violation(control, where)


def _either(spec: Obj, breaks: Callable[[Obj], bool]) -> str:
    """Who of the pod as a whole and its containers breaks something."""
    return _with_pod(spec, breaks(spec), _named(spec, breaks))


def _unset(spec: Obj, path: tuple[str, ...], allowed: tuple[object, ...]) -> str:
    """Who lacks a value that must be set: containers may inherit it from the pod, and nobody may set another."""
    of_pod = _security(spec, *path)
    bad_pod = of_pod is not None and of_pod not in allowed

    def breaks(container: Obj) -> bool:
        own = _security(container, *path)
        return own not in allowed if own is not None else of_pod not in allowed

    return _with_pod(spec, bad_pod, _named(spec, breaks))


def _runs_as_zero(one: Obj) -> bool:
    user = _security(one, "runAsUser")
    return user == 0 and not isinstance(user, bool)


def _added(container: Obj) -> set[str]:
    return set(fields.strings(container, "securityContext", "capabilities", "add"))


def _dropped(container: Obj) -> set[str]:
    return set(fields.strings(container, "securityContext", "capabilities", "drop"))


def _has_host_port(container: Obj) -> bool:
    return any(fields.number(port, "hostPort") for port in fields.items(container, "ports"))


def _bad_proc_mount(container: Obj) -> bool:
    return _security(container, "procMount") not in (None, "", "Default")


def _bad_selinux(one: Obj) -> bool:
    options = fields.mapping(one, "securityContext", "seLinuxOptions")
    kind = fields.text(options, "type")
    return kind not in _SELINUX_TYPES or bool(fields.text(options, "user") or fields.text(options, "role"))


def _sysctls(spec: Obj, minor: int) -> list[str]:
    safe = {name for since, names in _SAFE_SYSCTLS if minor >= since for name in names.split()}
    used = {fields.text(s, "name") for s in fields.items(spec, "securityContext", "sysctls")}
    return sorted(used - safe - {""})


def _volumes(spec: Obj, breaks: Callable[[Obj], bool]) -> str:
    found = [v for v in fields.items(spec, "volumes") if breaks({k: s for k, s in v.items() if s is not None})]
    names = ", ".join(fields.text(volume, "name") for volume in found)
    return f"volume{'s' if len(found) > 1 else ''} {names}" if found else ""


_HANDLERS = ("livenessProbe", "readinessProbe", "startupProbe")


def _names_host(container: Obj) -> bool:
    lifecycle = fields.mapping(container, "lifecycle")
    handlers = [fields.mapping(container, name) for name in _HANDLERS]
    handlers += [fields.mapping(lifecycle, name) for name in ("postStart", "preStop")]
    return any(fields.text(handler, way, "host") for handler in handlers for way in ("httpGet", "tcpSocket"))
