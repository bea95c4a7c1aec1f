"""The result of a run on disk: its paths, and the two kinds of output, partitioned and single-file."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyarrow as pa

from gamesales.errors import UsageError
from gamesales.scoring import commit
from gamesales.scoring.parts import REJECT_COLUMNS, check_csv_types, format_csv_header, open_part
from gamesales.scoring.shard import ShardPaths

REJECTS = "rejects.csv"
REPORT = "run.json"
_COPY_BYTES = 1 << 20


def is_single_file(path: Path) -> bool:
    """Return whether a result at a path is a single file. Any other path is a folder of dated partitions."""
    return path.suffix.lower() in (".csv", ".parquet")


@dataclass(frozen=True)
class OutputPaths:
    """The paths of a run's result, where ``path`` is the single file or the folder of dated partitions."""

    path: Path
    run_date: date

    @property
    def is_file(self) -> bool:
        return is_single_file(self.path)

    @property
    def visible(self) -> Path:
        """The path that readers open: the file, or the folder of the date."""
        return self.path if self.is_file else self.path / f"run_date={self.run_date}"

    @property
    def work(self) -> Path:
        """The working folder next to the result; in a folder of partitions its name hides it from readers."""
        name = f"{self.visible.name}.work"
        return self.visible.with_name(name if self.is_file else f".{name}")

    @property
    def report(self) -> Path:
        return self.sidecar(REPORT) if self.is_file else self.visible / "_run.json"

    @property
    def rejects(self) -> Path:
        return self.sidecar(REJECTS) if self.is_file else self.visible / "_rejects"

    @property
    def sidecars(self) -> Sequence[Path]:
        """The files next to a single-file result."""
        return [self.rejects, self.report] if self.is_file else []

    @property
    def excluded_folder(self) -> Path | None:
        """The folder of partitions: it may be below an input folder, but its files are not inputs."""
        return None if self.is_file else self.path

    def sidecar(self, name: str) -> Path:
        """Return the path of a file next to a single-file result."""
        return self.path.with_name(f"{self.path.name}.{name}")

    def check(self, inputs: Sequence[Path]) -> None:
        """Check that the result can be written.

        Raises:
            UsageError: something else is at a path of the result, or the result would replace an input.
        """
        replaced = [path.resolve() for path in (self.visible, self.work, *self.sidecars)]
        for source in inputs:
            if any(source.resolve().is_relative_to(path) for path in replaced):
                raise UsageError(f"{source} is both input and output", hint="Give another --output")
        if self.is_file == self.path.is_dir() and self.path.exists():
            kind = "a folder" if self.is_file else "a file"
            raise UsageError(
                f"--output {self.path} is {kind}; expected a file for a path ending in .csv or .parquet, "
                "a folder for any other path",
                hint="Give another --output",
            )
        for path in self.sidecars:
            if path.is_dir():
                raise UsageError(f"{path} is a folder; expected a file of this run", hint="Give another --output")


class Output(ABC):
    """Collects the shards of a run in its working folder and publishes them; ``with`` closes its files."""

    rejects: Path  # where the rejected rows are before anything is published

    def __init__(self, target: OutputPaths, work: Path) -> None:
        self._target, self._work = target, work
        self._files = ExitStack()
        (work / "ids").mkdir(exist_ok=True)

    @abstractmethod
    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""

    def add(self, number: int) -> None:  # noqa: B027, only the pieces of a single file are joined
        """Add a finished shard."""

    @abstractmethod
    def close(self) -> Sequence[Path]:
        """Complete the result, and return the files with scored rows."""

    def join_rejects(self) -> None:  # noqa: B027, only the pieces of a single file are joined
        """Join the rejected rows so far, so that people can inspect them."""

    @abstractmethod
    def publish(self, report: str, *, any_rejects: bool) -> None:
        """Move everything to the visible paths."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)


class PartitionedOutput(Output):
    """The folder of one date; each shard writes one part and its own rejects. ``run_id`` names the parts."""

    def __init__(self, target: OutputPaths, work: Path, run_id: str) -> None:
        super().__init__(target, work)
        self._run_id = run_id
        self._staged = work / "made"
        self.rejects = self._staged / "_rejects"
        self.rejects.mkdir(parents=True, exist_ok=True)

    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""
        name = f"part-{self._run_id[:8]}-{number:05d}"
        return ShardPaths(
            work=self._work,
            part=f"made/{name}.parquet",
            rejects=f"made/_rejects/{name}.csv",
            rejects_header=True,
            ids=f"ids/{number:05d}",
        )

    def close(self) -> Sequence[Path]:
        """Return the parts."""
        return sorted(self._staged.glob("part-*.parquet"))

    def publish(self, report: str, *, any_rejects: bool) -> None:  # noqa: ARG002, the folder exists in any case
        """Swap the folder with the published folder."""
        (self._staged / "_run.json").write_text(report, encoding="utf-8")
        (self._staged / "_SUCCESS").touch()
        commit.publish_folder(self._staged, self._target.visible)


class SingleFileOutput(Output):
    """One file; the pieces of the shards are joined in order as soon as they are finished."""

    def __init__(self, target: OutputPaths, work: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
        super().__init__(target, work)
        self._suffix = target.path.suffix.lower()
        self._staged = work / f"result{self._suffix}"
        self._finished: set[int] = set()
        self._joined = 0
        self.rejects = work / "rejects.csv"
        self.rejects.unlink(missing_ok=True)
        (work / "pieces").mkdir(exist_ok=True)
        if self._suffix == ".csv":
            check_csv_types(schema)
            self._csv: Any = self._files.enter_context(self._staged.open("wb"))
            self._csv.write(format_csv_header(schema))
        else:
            self._write_batch = self._files.enter_context(open_part(self._staged, schema, metadata))

    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""
        piece = f"pieces/{number:05d}"
        return ShardPaths(
            work=self._work,
            part=piece + (".csv" if self._suffix == ".csv" else ".arrow"),
            rejects=f"{piece}.rejects.csv",
            rejects_header=False,
            ids=f"ids/{number:05d}",
        )

    def add(self, number: int) -> None:
        """Add a finished shard, and join all pieces that follow each other without a gap."""
        self._finished.add(number)
        while self._joined in self._finished:
            self._join(self._work / self.paths_of(self._joined).part)
            self._joined += 1

    def _join(self, piece: Path) -> None:
        if self._suffix == ".csv":
            _append(piece, self._csv)
            return
        with pa.OSFile(str(piece)) as source:  # not memory-mapped: the pages of a large piece would count as memory
            for batch in pa.ipc.open_stream(source):
                self._write_batch(batch)

    def close(self) -> Sequence[Path]:
        """Complete the file, join the rejects, and return the file."""
        self._files.close()
        self.join_rejects()
        return [self._staged]

    def join_rejects(self) -> None:
        """Join the rejects of the finished shards, in order."""
        pieces = sorted((self._work / "pieces").glob("[0-9]*.rejects.csv"))
        if pieces:
            with self.rejects.open("wb") as joined:
                joined.write((",".join(REJECT_COLUMNS) + "\r\n").encode())
                for piece in pieces:
                    _append(piece, joined)

    def publish(self, report: str, *, any_rejects: bool) -> None:
        """Move the file and its sidecars to the visible paths."""
        staged_report = self._work / "run.json"
        staged_report.write_text(report, encoding="utf-8")
        commit.publish_file(
            self._staged,
            self._target.path,
            (self.rejects if any_rejects else None, self._target.rejects),
            (staged_report, self._target.report),
        )


def _append(piece: Path, joined: BinaryIO) -> None:
    with piece.open("rb") as rows:
        shutil.copyfileobj(rows, joined, _COPY_BYTES)
