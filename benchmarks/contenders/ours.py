"""gamesales as one calls it for one file: the command line, with screening, flags and drift included."""

from __future__ import annotations

from pathlib import Path

LABEL = "gamesales"


def command(source: Path, output: Path, assets: Path) -> list[str]:
    """Return what follows the interpreter."""
    return ["-m", "gamesales", "score", str(source), "--output", str(output), "--registry", str(assets / "registry")]
