"""What a container's reason for waiting, or for never having started, means. Pure.

Used by `trouble` and `ends`. Reasons and texts: pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime (v1.36); the
texts of runtimes are those of containerd 1.6 to 2.1 with runc, of CRI-O 1.30 with crun and of the old dockershim, and
are looked for only beside a reason that says that a start failed.
"""

import re
from typing import Literal

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.heard import heard, lately
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref

Kind = Literal["image", "config", "user", "hook", "lowmem", "arch", "command", "other"]

IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable"}
)
CALM_WAITING = frozenset({"", "ContainerCreating", "PodInitializing"})
NEVER_STARTED = frozenset({"StartError", "ContainerCannotRun", "RunContainerError"})
_START_FAILS = frozenset({"RunContainerError", "CreateContainerError", "StartError", "ContainerCannotRun"})

_LOW_MEMORY = re.compile(
    r"""(?i)OOM-killed|memory\ limit\ too\ low|set\ memory\ limit\ \d+\ too\ low|minimum\ memory\ limit
    |unable\ to\ set\ memory\ limit""",
    re.VERBOSE,
)
_MOUNTS = re.compile(r"(?i)error mounting|failed to mount|mount through procfd|rootfs_linux|subPath|chdir to cwd")
_NO_COMMAND = re.compile(
    r"""(?i)executable\ (?:file\ )?\S+\ not\ found|executable\ file\ not\ found|no\ command\ specified
    |\bexec(?::|\ container\ process)?\ .*
    (?:no\ such\ file|permission\ denied|is\ a\ directory|not\ found)|\bstat\ \S+:\ no\ such\ file
    |\bopen\ executable:|cannot\ find\ \S+\ in\ rootfs
    |exec\ user\ process""",
    re.VERBOSE,
)
_ROOT = re.compile(r"runAsNonRoot|runAsUser breaks non-root policy")


def of_waiting(facts: Facts, ref: Ref, pod: Obj, container: Container) -> Kind | None:
    """What keeps a waiting container from starting; None for one that is on its way up or backs off."""
    reason = container.waiting_reason
    if reason in CALM_WAITING or reason == "CrashLoopBackOff":
        return None
    if reason in IMAGE_REASONS:
        return "image"
    words = words_of_start(facts, ref, pod, container, fields.text(container.waiting, "message"))
    if reason == "CreateContainerConfigError":
        return "user" if _ROOT.search(words) else "config"
    if reason == "PostStartHookError":
        return "hook"
    return of_start(words) if reason in _START_FAILS else "other"


def words_of_start(facts: Facts, ref: Ref, pod: Obj, container: Container, message: str) -> str:
    """The text that says why a start failed: the state's own, or that of the newest Failed event of this container."""
    if message and message != container.waiting_reason:
        return message
    rows = [row for row in heard(facts, ref, pod, container.name, "Failed") if lately(facts, row)]
    return rows[0].message if rows else ""


def of_start(words: str) -> Kind:
    """What a runtime's text about a start that failed means."""
    if low_memory(words):
        return "lowmem"
    if "exec format error" in words.lower():
        return "arch"
    return "command" if _NO_COMMAND.search(words) and not _MOUNTS.search(words) else "other"


def low_memory(words: str) -> bool:
    """Whether a runtime says that the memory limit leaves no room to start."""
    return bool(_LOW_MEMORY.search(words))
