"""The same command as the nightly run uses it: into a folder of dated partitions, one file per shard."""

from benchmarks.contenders.ours import command

__all__ = ["command"]

LABEL = "gamesales, dated folder"
KINDS = ("parquet", "folder")
FOLDER = True
