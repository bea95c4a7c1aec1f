"""gamesales as the night runs it: into a folder of dates, every shard a file of its own."""

from __future__ import annotations

from pathlib import Path

LABEL = "gamesales, a folder of dates"
KINDS = ("parquet",)


def command(source: Path, output: Path, assets: Path) -> list[str]:
    """Return what follows the interpreter; a name without a suffix is a folder."""
    folder = output.with_suffix("")
    return ["-m", "gamesales", "score", str(source), "--output", str(folder), "--registry", str(assets / "registry")]
