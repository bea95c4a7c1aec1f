"""The same command with its shards as tasks of Ray, which it starts on this machine."""

from pathlib import Path

from benchmarks.contenders import ours

LABEL = "gamesales --engine ray"
KINDS = ("folder",)
FOLDER = True


def command(source: Path, output: Path, assets: Path) -> list[str]:
    return [*ours.command(source, output, assets), "--engine", "ray"]
