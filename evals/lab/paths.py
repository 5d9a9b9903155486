"""Where the lab keeps things outside the repository: built binaries, and the state of running labs.

Called by the builder (`binaries`) and by the lab itself. Must never answer with a folder inside the repository: a lab
leaves hundreds of megabytes behind, and none of them belong into a commit or a wheel.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The folder of built binaries: `$FIRSTMATE_LAB_CACHE`, else `firstmate-lab` in `$XDG_CACHE_HOME` or ~/.cache."""
    if own := os.environ.get("FIRSTMATE_LAB_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache").absolute() / "firstmate-lab"


def state_dir() -> Path:
    """The folder that holds one folder for each lab by name: `$FIRSTMATE_LAB_STATE`, else `state` in the cache."""
    if own := os.environ.get("FIRSTMATE_LAB_STATE"):
        return Path(own).expanduser().absolute()
    return cache_dir() / "state"
