"""The software that makes a version: the releases of the packages, and the commit of the checkout."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version as find_release

_PACKAGES = (
    "gamesales",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "tf2onnx",
    "onnxruntime",
    "scikit-learn",
    "numpy",
)


def list_software_releases() -> dict[str, str]:
    """Return the releases of Python and of the installed packages that affect a version."""
    releases = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            releases[package] = find_release(package)
        except ModuleNotFoundError:  # TensorFlow has one of two package names
            continue
    return releases


def find_git_commit() -> str | None:
    """Return the commit of the current folder's checkout, with ``-dirty`` if it has changes, or None outside one."""
    try:
        process = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()
