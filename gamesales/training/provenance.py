"""What a version was made with: the releases of the software, and the commit of the checkout."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version as installed

_SOFTWARE = (
    "gamesales",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "tf2onnx",
    "onnxruntime",
    "scikit-learn",
    "numpy",
)


def software() -> dict[str, str]:
    """Return the releases of what a version was made with."""
    found = {"python": platform.python_version()}
    for name in _SOFTWARE:
        try:
            found[name] = installed(name)
        except ModuleNotFoundError:  # tensorflow goes by one of two names
            continue
    return found


def git_commit() -> str | None:
    """Return the commit of the current folder's checkout, ``-dirty`` if it has changes; None outside one."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip()
