"""Brings Debian's package `prometheus` into a folder of this user's cache, without installing it. `make test` runs it.

    python -m tests.prometheus_install

For tests that ask a real Prometheus; takes some seconds once. The system is not changed, no service is started and no
root is needed: apt downloads the package from where this machine's apt is told to and checks it, dpkg unpacks it. On
machines without apt, or with a Prometheus on PATH, nothing is done.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ("prometheus", "promtool")


def cache_dir() -> Path:
    """`$FIRSTMATE_PROMETHEUS_CACHE`, else `firstmate-prometheus` in `$XDG_CACHE_HOME` or ~/.cache."""
    if own := os.environ.get("FIRSTMATE_PROMETHEUS_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache").absolute() / "firstmate-prometheus"


def programs() -> tuple[Path, ...] | None:
    """`prometheus` and `promtool`, on PATH or in the cache; None where one is missing."""
    on_path = [shutil.which(name) for name in NAMES]
    if all(on_path):
        return tuple(Path(one) for one in on_path if one)
    cached = tuple(cache_dir() / "usr" / "bin" / name for name in NAMES)
    return cached if all(os.access(one, os.X_OK) for one in cached) else None


def install() -> str:
    """Brings them where they are missing, and says in words what came of it."""
    if (found := programs()) is not None:
        return f"Prometheus for tests: {found[0]}"
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return "No Prometheus for tests: there is no apt here. Put prometheus and promtool on PATH to run them."
    cache_dir().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir().parent) as folder:
        if not _downloaded(folder) and os.geteuid() == 0:
            subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)  # images come without lists
            _downloaded(folder)
        package = next(Path(folder).glob("prometheus_*.deb"), None)
        if package is None:
            return "No Prometheus for tests: apt does not find the package `prometheus` (try `apt-get update`)."
        unpacked = Path(folder) / "unpacked"
        subprocess.run(["dpkg", "-x", str(package), str(unpacked)], check=True)
        shutil.rmtree(cache_dir(), ignore_errors=True)
        unpacked.rename(cache_dir())
    return f"Prometheus for tests: {cache_dir()}"


def _downloaded(folder: str) -> bool:
    made = subprocess.run(["apt-get", "-q", "download", "prometheus"], cwd=folder, capture_output=True, check=False)
    return made.returncode == 0


if __name__ == "__main__":
    sys.stdout.write(install() + "\n")
