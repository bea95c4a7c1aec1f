"""gamesales as the night runs it: the same command, into a folder of dated partitions, a file for each shard."""

from __future__ import annotations

from benchmarks.contenders.ours import command

__all__ = ["command"]

LABEL = "gamesales, dated folder"
KINDS = ("parquet",)
FOLDER = True
