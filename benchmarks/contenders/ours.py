"""gamesales as the night runs it: the command line, with the promoted version, screening and flags included."""

from __future__ import annotations

from pathlib import Path

LABEL = "gamesales"


def command(source: Path, output: Path, assets: Path) -> list[str]:
    """Return what follows the interpreter."""
    return ["-m", "gamesales", "score", str(source), "--output", str(output), "--registry", str(assets / "registry")]
