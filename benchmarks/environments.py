"""Environments of their own, for contenders whose libraries do not go together with ours.

``environments/NAME.txt`` pins what is installed into ``.envs/NAME``, once, when a contender first needs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).parent / "environments"
PLACE = Path(__file__).parent / ".envs"


def python(name: str) -> Path:
    """Return the interpreter of an environment, whether or not it is installed."""
    return PLACE / name / "bin/python"


def ensure(name: str) -> str | None:
    """Install an environment unless it is there, made from the same pins.

    Returns: why it can't be had, in one line, or None if it is ready.
    """
    pins = PINS / f"{name}.txt"
    stamp = PLACE / name / "installed.txt"  # written last, so that half an environment is made again
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return None
    print(f"installing {pins.name} into {PLACE.name}/{name}", file=sys.stderr)
    try:
        _run(sys.executable, "-m", "venv", "--clear", PLACE / name)
        _run(python(name), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq", "-r", pins)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        return f"{pins.name} could not be installed: {' '.join(told.split())[-300:]}"
    stamp.write_bytes(pins.read_bytes())
    return None


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, timeout=1_800)
