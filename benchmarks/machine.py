"""What the figures were taken on: the machine, its software, the commit, and what else was going on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# What a figure depends on, of all that is in a commit.
MEASURED = ("gamesales", "benchmarks", "requirements")
LIBRARIES = (
    "gamesales",
    "numpy",
    "pyarrow",
    "onnxruntime",
    "pandas",
    "scikit-learn",
    "keras",
    "tensorflow-cpu",
    "tensorflow",
)


def machine() -> dict[str, Any]:
    """Name the machine and its software; neither its host nor a path on it."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": _system(),
        "python": platform.python_version(),
        "libraries": {name: release for name in LIBRARIES if (release := _release(name))},
    }


def commit(checkout: Path) -> str | None:
    """Name the commit that is measured, with ``-dirty`` if what is measured or what measures was changed since.

    Returns: None if it is no checkout, or there is no git.
    """
    try:
        name = _git(checkout, "rev-parse", "--short", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no", "--", *MEASURED)
    except (OSError, subprocess.CalledProcessError):
        return None
    return name + ("-dirty" if changed else "")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """Return how many programs wanted a core over the last minute."""
    return round(os.getloadavg()[0], 2)


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _processor() -> str:
    info = _lines(Path("/proc/cpuinfo"), ":")
    name = info.get("model name", "").strip() or platform.processor() or platform.machine()
    widest = next((flag for flag in ("avx512f", "avx2", "asimd") if flag in info.get("flags", "").split()), "")
    return f"{name}, {platform.machine()}" + (f" with {widest}" if widest else "")


def _system() -> str:
    name = _lines(Path("/etc/os-release"), "=").get("PRETTY_NAME", "").strip('"')
    return name or f"{platform.system()} {platform.mac_ver()[0]}".strip()


def _lines(path: Path, separator: str) -> dict[str, str]:
    """Read the first value of each key of a file of keys and values; nothing where there is no such file."""
    try:
        pairs = [line.partition(separator) for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in reversed(pairs)}


def _release(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
