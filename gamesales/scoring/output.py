"""Where a run's result goes, and what the working folder beside it is called."""

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
from gamesales.scoring.parts import REJECT_COLUMNS, check_for_csv, csv_header, open_part
from gamesales.scoring.shard import ShardPaths

REJECTS = "rejects.csv"
REPORT = "run.json"
# Of results that are one file.
FILE_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Target:
    """One file, or a folder of dated partitions."""

    path: Path
    day: date

    @property
    def is_file(self) -> bool:
        return self.path.suffix.lower() in FILE_SUFFIXES

    @property
    def place(self) -> Path:
        """What readers look at: the file, or the date's folder."""
        return self.path if self.is_file else self.path / f"run_date={self.day}"

    @property
    def work(self) -> Path:
        """The working folder, beside the result; in a folder of partitions its name hides it from readers."""
        name = f"{self.place.name}.work"
        return self.place.with_name(name if self.is_file else f".{name}")

    @property
    def report(self) -> Path:
        return self.beside(REPORT) if self.is_file else self.place / "_run.json"

    @property
    def rejects(self) -> Path:
        return self.beside(REJECTS) if self.is_file else self.place / "_rejects"

    @property
    def sidecars(self) -> Sequence[Path]:
        return [self.rejects, self.report] if self.is_file else []

    @property
    def leaves_out(self) -> Path | None:
        """The folder of results, which may lie below an input folder and is no input."""
        return None if self.is_file else self.path

    def beside(self, name: str) -> Path:
        """The place of a file that comes with a single-file result."""
        return self.path.with_name(f"{self.path.name}.{name}")

    def check(self, inputs: Sequence[Path]) -> None:
        """Raises: UsageError: the result can't go there, or would replace an input."""
        replaced = [path.resolve() for path in (self.place, self.work, *self.sidecars)]
        for one in inputs:
            if any(one.resolve().is_relative_to(path) for path in replaced):
                raise UsageError(f"{one} is both input and output", hint="Give another --output")
        if self.is_file == self.path.is_dir() and self.path.exists():
            found = "a folder" if self.is_file else "a file"
            raise UsageError(
                f"--output {self.path} is {found}; .csv and .parquet mean one file, all else a folder",
                hint="Give another --output",
            )
        for path in self.sidecars:
            if path.is_dir():
                raise UsageError(f"{path} is a folder, where a file of this run belongs", hint="Give another --output")


class Result(Protocol):
    """What shards are gathered in; open until ``with`` ends."""

    @property
    def rejects(self) -> Path:
        """Where the rejected rows lie before anything is published."""

    def places(self, number: int) -> ShardPaths:
        """Say where a shard's files go."""

    def add(self, number: int) -> None:
        """Take in a shard that is done."""

    def close(self) -> Sequence[Path]:
        """Finish, and return the files with scored rows."""

    def abandon(self) -> None:
        """Leave what was rejected for people to look into."""

    def publish(self, report: str, *, any_rejects: bool) -> None:
        """Move all into place."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass
class Folder:
    """A date's folder: every shard makes a part of it."""

    target: Target
    work: Path
    run_id: str
    made: Path = field(init=False)

    def __post_init__(self) -> None:
        self.made = self.work / "made"
        (self.made / "_rejects").mkdir(parents=True, exist_ok=True)
        (self.work / "ids").mkdir(exist_ok=True)

    @property
    def rejects(self) -> Path:
        return self.made / "_rejects"

    def places(self, number: int) -> ShardPaths:
        name = f"part-{self.run_id[:8]}-{number:05d}"
        return ShardPaths(
            work=self.work,
            part=f"made/{name}.parquet",
            rejects=f"made/_rejects/{name}.csv",
            rejects_header=True,
            ids=f"ids/{number:05d}",
        )

    def add(self, number: int) -> None:
        """Nothing is left to do for a part."""

    def close(self) -> Sequence[Path]:
        """Return the parts."""
        return sorted(self.made.glob("part-*.parquet"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Leave what was rejected for people to look into."""

    def publish(self, report: str, *, any_rejects: bool) -> None:  # noqa: ARG002, the folder is there anyway
        """Swap the folder with the one that is there."""
        (self.made / "_run.json").write_text(report, encoding="utf-8")
        (self.made / "_SUCCESS").touch()
        commit.publish_folder(self.made, self.target.place)


@dataclass
class File:
    """One file: the pieces are joined in order as they are done. ``schema`` has its columns."""

    target: Target
    work: Path
    schema: pa.Schema
    metadata: Mapping[str, str]
    _ready: set[int] = field(default_factory=set)
    _joined: int = 0
    _out: Any = None
    _files: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        (self.work / "pieces").mkdir(exist_ok=True)
        (self.work / "ids").mkdir(exist_ok=True)
        self.made = self.work / f"result{self.target.path.suffix.lower()}"
        self.rejects.unlink(missing_ok=True)
        if self._is_csv:
            check_for_csv(self.schema)
            self._out = self._files.enter_context(self.made.open("wb"))
            self._out.write(csv_header(self.schema))
        else:
            self._out = self._files.enter_context(open_part(self.made, self.schema, self.metadata))

    @property
    def rejects(self) -> Path:
        return self.work / "rejects.csv"

    @property
    def _is_csv(self) -> bool:
        return self.made.suffix == ".csv"

    def places(self, number: int) -> ShardPaths:
        piece = f"pieces/{number:05d}"
        return ShardPaths(
            work=self.work,
            part=piece + (".csv" if self._is_csv else ".arrow"),
            rejects=f"{piece}.rejects.csv",
            rejects_header=False,
            ids=f"ids/{number:05d}",
        )

    def add(self, number: int) -> None:
        """Join what has come so far, as far as it follows without a gap."""
        self._ready.add(number)
        while self._joined in self._ready:
            self._join(self.work / self.places(self._joined).part)
            self._joined += 1

    def _join(self, piece: Path) -> None:
        if self._is_csv:
            with piece.open("rb") as rows:
                shutil.copyfileobj(rows, self._out, 1 << 20)
            return
        with pa.OSFile(str(piece)) as source:  # not mapped: a large piece would count as memory
            for batch in pa.ipc.open_stream(source):
                self._out.write(batch)

    def close(self) -> Sequence[Path]:
        """Finish the file, join the rejects, and return the file."""
        self._files.close()
        self.abandon()
        return [self.made]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what is open."""
        self._files.__exit__(kind, error, trace)

    def abandon(self) -> None:
        """Join what was rejected, for people to look into."""
        pieces = sorted((self.work / "pieces").glob("[0-9]*.rejects.csv"))
        if pieces:
            with self.rejects.open("wb") as joined:
                joined.write((",".join(REJECT_COLUMNS) + "\r\n").encode())
                for piece in pieces:
                    with piece.open("rb") as rows:
                        shutil.copyfileobj(rows, joined, 1 << 20)

    def publish(self, report: str, *, any_rejects: bool) -> None:
        """Move the file and what comes with it into place."""
        made_report = self.work / "run.json"
        made_report.write_text(report, encoding="utf-8")
        commit.publish_file(
            self.made,
            self.target.path,
            (self.rejects if any_rejects else None, self.target.rejects),
            (made_report, self.target.report),
        )
