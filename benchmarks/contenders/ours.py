"""gamesales by its command line, into one file: the promoted version, with screening, flags and drift."""

from __future__ import annotations

from pathlib import Path

LABEL = "gamesales"


def command(source: Path, output: Path, assets: Path) -> list[str]:
    """Return what follows the interpreter."""
    return ["-m", "gamesales", "score", str(source), "--output", str(output), "--registry", str(assets / "registry")]
