"""gamesales as the night runs it: the same command, into a folder of dated partitions."""

from __future__ import annotations

from benchmarks.contenders.ours import command

__all__ = ["command"]

LABEL = "gamesales, dated folder"
KINDS = ("parquet",)
FOLDER = True
