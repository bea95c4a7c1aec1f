"""The result of a run on disk: its paths, and the two kinds of output, partitioned and single-file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

from gamesales.errors import UsageError
from gamesales.scoring import commit
from gamesales.scoring.parts import REJECT_COLUMNS, check_csv_types, format_csv_header, open_part
from gamesales.scoring.shard import ShardPaths

REJECTS = "rejects.csv"
REPORT = "run.json"
# A path with one of these suffixes is a single-file result; any other path is a folder of dated partitions.
FILE_SUFFIXES = (".csv", ".parquet")
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class OutputPaths:
    """The paths of a run's result.

    Attributes:
        path: the single file, or the folder of dated partitions.
        run_date: the date of the run.
    """

    path: Path
    run_date: date

    @property
    def is_file(self) -> bool:
        return self.path.suffix.lower() in FILE_SUFFIXES

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


class Output(Protocol):
    """Collects the shards of a run and publishes them; ``with`` closes its files."""

    @property
    def rejects(self) -> Path:
        """Where the rejected rows are before anything is published."""

    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""

    def add(self, number: int) -> None:
        """Add a finished shard."""

    def close(self) -> Sequence[Path]:
        """Complete the result, and return the files with scored rows."""

    def join_rejects(self) -> None:
        """Join the rejected rows so far, so that people can inspect them."""

    def publish(self, report: str, *, any_rejects: bool) -> None:
        """Move everything to the visible paths."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass
class PartitionedOutput:
    """The folder of one date; each shard writes one part.

    Attributes:
        target: the paths of the result.
        work: the working folder.
        run_id: the identity of the run, which names the parts.
    """

    target: OutputPaths
    work: Path
    run_id: str
    staged: Path = field(init=False)

    def __post_init__(self) -> None:
        self.staged = self.work / "made"
        (self.staged / "_rejects").mkdir(parents=True, exist_ok=True)
        (self.work / "ids").mkdir(exist_ok=True)

    @property
    def rejects(self) -> Path:
        return self.staged / "_rejects"

    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""
        name = f"part-{self.run_id[:8]}-{number:05d}"
        return ShardPaths(
            work=self.work,
            part=f"made/{name}.parquet",
            rejects=f"made/_rejects/{name}.csv",
            rejects_header=True,
            ids=f"ids/{number:05d}",
        )

    def add(self, number: int) -> None:
        """Do nothing: the part is already in the folder."""

    def close(self) -> Sequence[Path]:
        """Return the parts."""
        return sorted(self.staged.glob("part-*.parquet"))

    def join_rejects(self) -> None:
        """Do nothing: the rejects of each shard are already in the folder."""

    def publish(self, report: str, *, any_rejects: bool) -> None:  # noqa: ARG002, the folder exists in any case
        """Swap the folder with the published folder."""
        (self.staged / "_run.json").write_text(report, encoding="utf-8")
        (self.staged / "_SUCCESS").touch()
        commit.publish_folder(self.staged, self.target.visible)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no file is open."""


@dataclass
class SingleFileOutput:
    """One file; the pieces of the shards are joined in order as soon as they are finished.

    Attributes:
        target: the paths of the result.
        work: the working folder.
        schema: the columns of the file.
        metadata: the metadata of a Parquet file.
    """

    target: OutputPaths
    work: Path
    schema: pa.Schema
    metadata: Mapping[str, str]
    _finished: set[int] = field(default_factory=set)
    _joined: int = 0
    _out: Any = None
    _files: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        (self.work / "pieces").mkdir(exist_ok=True)
        (self.work / "ids").mkdir(exist_ok=True)
        self.staged = self.work / f"result{self.target.path.suffix.lower()}"
        self.rejects.unlink(missing_ok=True)
        if self._is_csv:
            check_csv_types(self.schema)
            self._out = self._files.enter_context(self.staged.open("wb"))
            self._out.write(format_csv_header(self.schema))
        else:
            self._out = self._files.enter_context(open_part(self.staged, self.schema, self.metadata))

    @property
    def rejects(self) -> Path:
        return self.work / "rejects.csv"

    @property
    def _is_csv(self) -> bool:
        return self.staged.suffix == ".csv"

    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""
        piece = f"pieces/{number:05d}"
        return ShardPaths(
            work=self.work,
            part=piece + (".csv" if self._is_csv else ".arrow"),
            rejects=f"{piece}.rejects.csv",
            rejects_header=False,
            ids=f"ids/{number:05d}",
        )

    def add(self, number: int) -> None:
        """Add a finished shard, and join all pieces that follow each other without a gap."""
        self._finished.add(number)
        while self._joined in self._finished:
            self._join(self.work / self.paths_of(self._joined).part)
            self._joined += 1

    def _join(self, piece: Path) -> None:
        if self._is_csv:
            with piece.open("rb") as rows:
                shutil.copyfileobj(rows, self._out, _COPY_BYTES)
            return
        with pa.OSFile(str(piece)) as source:  # not memory-mapped: the pages of a large piece would count as memory
            for batch in pa.ipc.open_stream(source):
                self._out.write(batch)

    def close(self) -> Sequence[Path]:
        """Complete the file, join the rejects, and return the file."""
        self._files.close()
        self.join_rejects()
        return [self.staged]

    def join_rejects(self) -> None:
        """Join the rejects of the finished shards, in order."""
        pieces = sorted((self.work / "pieces").glob("[0-9]*.rejects.csv"))
        if pieces:
            with self.rejects.open("wb") as joined:
                joined.write((",".join(REJECT_COLUMNS) + "\r\n").encode())
                for piece in pieces:
                    with piece.open("rb") as rows:
                        shutil.copyfileobj(rows, joined, _COPY_BYTES)

    def publish(self, report: str, *, any_rejects: bool) -> None:
        """Move the file and its sidecars to the visible paths."""
        staged_report = self.work / "run.json"
        staged_report.write_text(report, encoding="utf-8")
        commit.publish_file(
            self.staged,
            self.target.path,
            (self.rejects if any_rejects else None, self.target.rejects),
            (staged_report, self.target.report),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the open file."""
        self._files.__exit__(kind, error, trace)
