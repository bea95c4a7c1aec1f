"""The command ``gamesales score`` into one file: the promoted version, with screening, flags and drift."""

from pathlib import Path

LABEL = "gamesales"


def command(source: Path, output: Path, assets: Path, registry: str = "registry") -> list[str]:
    return ["-m", "gamesales", "score", str(source), "--output", str(output), "--registry", str(assets / registry)]
