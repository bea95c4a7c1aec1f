"""The result of a run on disk: its paths, and the two kinds of output, partitioned and single-file."""

from __future__ import annotations

import os
import re
import shutil
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from gamesales.errors import UsageError
from gamesales.scoring.commit import publish_file, publish_folder
from gamesales.scoring.parquet_join import ParquetJoiner
from gamesales.scoring.parts import REJECT_COLUMNS, STAGED, UNFINISHED, check_types, open_part, write_csv_header
from gamesales.scoring.shard import ShardPaths
from gamesales.storage.keys import CLOUD_FORMS, hide_secrets

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

REJECTS = "rejects.csv"
REPORT = "run.json"
PAGE = "run.html"
_COPY_BYTES = 1 << 20
# A folder with this name makes a table of Delta Lake of the folder around it.
TABLE_LOG = "_delta_log"
_TABLE_URL = re.compile(r"(?:s3|gs|az)://[^/]|file:///")
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(?:s3|gs|az|file):/")

SUFFIXES = (".csv", ".csv.gz", ".parquet")
ACCEPTED_FORMS = "a path that ends in .csv, .csv.gz or .parquet, or a folder"
# Suffixes of other files. A new folder with such a name is a mistake.
_OTHER_SUFFIXES = (
    *(".7z", ".bz2", ".gz", ".lz4", ".rar", ".snappy", ".tar", ".tgz", ".xz", ".zip", ".zst"),
    *(".arrow", ".avro", ".feather", ".h5", ".hdf5", ".ipc", ".orc", ".parq", ".pq", ".db", ".duckdb", ".sqlite"),
    *(".sqlite3", ".doc", ".docx", ".html", ".md", ".ods", ".pdf", ".xls", ".xlsb", ".xlsm", ".xlsx"),
    *(".json", ".jsonl", ".ndjson", ".psv", ".tab", ".tsv", ".txt", ".xml", ".yaml", ".yml"),
    *(".arff", ".dta", ".pickle", ".pkl", ".rds", ".sas7bdat", ".sav"),
)


def find_form(path: Path) -> str:
    """Return the suffix of a single-file result; empty for a folder of dated partitions."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix) and len(name) > len(suffix)), "")


def is_single_file(path: Path) -> bool:
    """Return whether a result at a path is a single file. Any other path is a folder of dated partitions."""
    return find_form(path) != ""


def parse_output(text: str) -> Path | str:
    """Return a path, or the URL of a table as text: a Path would join its slashes.

    Raises:
        UsageError: the URL is of another kind.
    """
    if _TABLE_URL.match(text):
        return text.rstrip("/")
    if _ANY_URL.match(text):
        raise UsageError(
            f"{hide_secrets(text)!r} can't hold a result; expected a path, file:///FOLDER, {CLOUD_FORMS}",
            hint="For example: --output s3://BUCKET/predictions, with two slashes and a lowercase scheme",
        )
    return Path(text)


def is_table(output: Path | str) -> bool:
    """Return whether a Delta table is at a path, or can be at a URL."""
    return isinstance(output, str) or (output / TABLE_LOG).is_dir()


@dataclass(frozen=True)
class OutputPaths:
    """The paths of a run's result, where ``path`` is the single file or the folder of dated partitions.

    Raises:
        UsageError: the name is the name of a file in a format that can't be written. An existing folder is accepted.
    """

    path: Path
    run_date: date

    def __post_init__(self) -> None:
        is_other_file = not self.is_file and self.path.suffix.lower() in _OTHER_SUFFIXES
        if self.path.name == "-" or (is_other_file and not self.path.is_dir()):
            raise UsageError(
                f"--output expects {ACCEPTED_FORMS}, received {self.path}",
                hint=f"For example: --output {self._suggestion}" if is_other_file else "Give another path",
            )

    @property
    def _suggestion(self) -> Path:
        path = self.path.with_suffix("")
        return path if is_single_file(path) else path.with_suffix(".csv")

    @property
    def is_file(self) -> bool:
        return is_single_file(self.path)

    @property
    def suffix(self) -> str:
        """The format of the rows: ``.csv``, ``.csv.gz`` or ``.parquet``."""
        return find_form(self.path) or ".parquet"

    @property
    def visible(self) -> Path:
        """The path that readers open: the file, or the folder of the date."""
        return self.path if self.is_file else self.path / f"{self.partition}={self.run_date}"

    @property
    def name(self) -> str:
        """The result as people name it."""
        return str(self.visible)

    @property
    def partition(self) -> str | None:
        """The column that the names of the date folders add to the result; None for a single file."""
        return None if self.is_file else "run_date"

    @property
    def work(self) -> Path:
        """The working folder next to the result; in a folder of partitions its name hides it from readers."""
        name = f"{self.visible.name}.work"
        return self.visible.with_name(name if self.is_file else f".{name}")

    @property
    def report(self) -> Path:
        return self.sidecar(REPORT) if self.is_file else self.visible / "_run.json"

    @property
    def page(self) -> Path:
        return self.sidecar(PAGE) if self.is_file else self.visible / f"_{PAGE}"

    @property
    def rejects(self) -> Path:
        return self.sidecar(REJECTS) if self.is_file else self.visible / "_rejects"

    def staged_rejects(self, work: Path) -> Path:
        """The rejected rows of a run that is not published, below its working folder."""
        return work / REJECTS if self.is_file else work / STAGED / "_rejects"

    @property
    def sidecars(self) -> Sequence[Path]:
        """The files next to a single-file result."""
        return [self.rejects, self.report, self.page] if self.is_file else []

    @property
    def all(self) -> Sequence[Path]:
        """Everything that runs for any date write."""
        return [self.path, self.work, *self.sidecars] if self.is_file else [self.path]

    def sidecar(self, name: str) -> Path:
        """Return the path of a file next to a single-file result."""
        return self.path.with_name(f"{self.path.name}.{name}")

    def check(self, inputs: Sequence[TablePath], schema: pa.Schema) -> None:
        """Check that the result can be written.

        Args:
            inputs: the files that the run reads.
            schema: the columns of the result.

        Raises:
            UsageError: something else is at a path of the result, or the result would replace an input.
            ColumnsError: the format of the result can't hold the columns.
        """
        check_types(schema, self.suffix)
        replaced = [path.resolve() for path in (self.visible, self.work, *self.sidecars)]
        for source in inputs:
            if isinstance(source, Path) and any(source.resolve().is_relative_to(path) for path in replaced):
                raise UsageError(f"{source} is both input and output", hint="Give another --output")
        if self.is_file == self.path.is_dir() and self.path.exists():
            kind = "a folder" if self.is_file else "a file"
            raise UsageError(
                f"--output {self.path} is {kind}; expected a file for a path ending in .csv, .csv.gz or .parquet, "
                "a folder for any other path",
                hint="Give another --output",
            )
        if not self.is_file and is_table(self.path):
            raise UsageError(f"--output {self.path} is a Delta table", hint="Write to the table: --format delta")
        for path in self.sidecars:
            if path.is_dir():
                raise UsageError(f"{path} is a folder; expected a file of this run", hint="Give another --output")


class Output(AbstractContextManager["Output"]):
    """Collects the shards of a run in its working folder and publishes them; ``with`` closes its files."""

    rejects: Path  # where the rejected rows are before anything is published

    def __init__(self, target: OutputPaths, work: Path) -> None:
        self._target, self._work = target, work
        self._files = ExitStack()
        (work / "ids").mkdir(exist_ok=True)

    @abstractmethod
    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""

    def add(self, number: int) -> None:
        """Add a finished shard."""

    @abstractmethod
    def close(self) -> Sequence[Path]:
        """Complete the result, and return the files with scored rows."""

    def join_rejects(self) -> None:
        """Join the rejected rows so far, so that people can inspect them."""

    @abstractmethod
    def list_rejects(self) -> Sequence[Path]:
        """Return the files with rejected rows of a result that is complete."""

    @abstractmethod
    def publish(self, report: str, confirm: Callable[[], None], page: str | None = None) -> None:
        """Move everything to the visible paths. ``confirm`` is called before the first of them; it may raise."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)


def open_output(target: OutputPaths, work: Path, run_id: str, schema: pa.Schema, metadata: Mapping[str, str]) -> Output:
    """Open the output of a run: its columns, and the metadata of its parts."""
    if target.is_file:
        return SingleFileOutput(target, work, schema, metadata)
    return PartitionedOutput(target, work, run_id)


class PartitionedOutput(Output):
    """The folder of one date; each shard writes one part and its own rejects. ``run_id`` names the parts."""

    def __init__(self, target: OutputPaths, work: Path, run_id: str) -> None:
        super().__init__(target, work)
        self._run_id = run_id
        self._staged = work / STAGED
        self.rejects = target.staged_rejects(work)
        self.rejects.mkdir(parents=True, exist_ok=True)
        self._parts: list[Path] = []

    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""
        name = f"part-{self._run_id[:8]}-{number:05d}"
        return ShardPaths(
            work=self._work,
            part=f"{STAGED}/{name}.parquet{UNFINISHED}",
            rejects=f"{STAGED}/_rejects/{name}.csv",
            rejects_header=True,
            ids=f"ids/{number:05d}",
        )

    def add(self, number: int) -> None:
        """Add a finished shard."""
        self._parts.append(self._work / self.paths_of(number).part)

    def close(self) -> Sequence[Path]:
        """Return the parts."""
        return sorted(self._parts)

    def list_rejects(self) -> Sequence[Path]:
        """Return the rejects of each shard that has some."""
        return sorted(self.rejects.glob("*.csv"))

    def publish(self, report: str, confirm: Callable[[], None], page: str | None = None) -> None:
        """Swap the folder with the published folder."""
        (self._staged / "_run.json").write_text(report, encoding="utf-8")
        if page is not None:
            (self._staged / f"_{PAGE}").write_text(page, encoding="utf-8")
        (self._staged / "_SUCCESS").touch()
        publish_folder(self._staged, self._target.visible, confirm)


class SingleFileOutput(Output):
    """One file; the pieces of the shards are joined in order as soon as they are finished."""

    def __init__(self, target: OutputPaths, work: Path, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
        super().__init__(target, work)
        self._is_csv = target.suffix != ".parquet"
        self._schema, self._metadata = schema, metadata
        self._staged = work / f"result{target.suffix}{UNFINISHED}"
        self._finished: set[int] = set()
        self._joined = 0
        self.rejects = target.staged_rejects(work)
        self.rejects.unlink(missing_ok=True)
        (work / "pieces").mkdir(exist_ok=True)
        if self._is_csv:
            write_csv_header(self._staged, schema)
        self._file = self._files.enter_context(self._staged.open("ab" if self._is_csv else "wb"))
        self._parquet = None if self._is_csv else ParquetJoiner(self._file)

    def paths_of(self, number: int) -> ShardPaths:
        """Return where the files of a shard go."""
        piece = f"pieces/{number:05d}"
        return ShardPaths(
            work=self._work,
            part=f"{piece}{self._target.suffix}{UNFINISHED}",
            rejects=f"{piece}.rejects.csv{UNFINISHED}",
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
        if self._parquet is None:
            _append(piece, self._file)
        else:
            self._encode_stream(piece)
            self._parquet.add(piece)
        self._file.flush()
        os.fsync(self._file.fileno())  # while workers score: publishing waits only for the last piece

    def _encode_stream(self, piece: Path) -> None:
        """Write a piece from the Arrow stream of an earlier release that withheld the run, if there is one."""
        stream = piece.with_name(f"{piece.name.partition('.')[0]}.arrow")
        if stream.exists():
            with open_part(piece, self._schema, self._metadata) as write, pa.OSFile(str(stream)) as source:
                for batch in pa.ipc.open_stream(source):
                    write(batch)

    def close(self) -> Sequence[Path]:
        """Complete the file, join the rejects, and return the file."""
        if self._parquet is not None:
            self._parquet.finish()
        self._files.close()
        self.join_rejects()
        return [self._staged]

    def join_rejects(self) -> None:
        """Join the rejects of the finished shards, in order."""
        pieces = sorted((self._work / "pieces").glob(f"[0-9]*.rejects.csv{UNFINISHED}"))
        if pieces:
            with self.rejects.open("wb") as joined:
                joined.write((",".join(REJECT_COLUMNS) + "\r\n").encode())
                for piece in pieces:
                    _append(piece, joined)

    def list_rejects(self) -> Sequence[Path]:
        """Return the joined rejects, if there are some."""
        return [self.rejects] if self.rejects.exists() else []

    def publish(self, report: str, confirm: Callable[[], None], page: str | None = None) -> None:
        """Move the file and its sidecars to the visible paths."""
        staged_report, staged_page = self._work / REPORT, self._work / PAGE
        staged_report.write_text(report, encoding="utf-8")
        if page is not None:
            staged_page.write_text(page, encoding="utf-8")
        publish_file(
            self._staged,
            self._target.path,
            (self.rejects if self.rejects.exists() else None, self._target.rejects),
            (staged_report, self._target.report),
            confirm,
            (None if page is None else staged_page, self._target.page),
        )


def _append(piece: Path, joined: BinaryIO) -> None:
    with piece.open("rb") as rows:
        shutil.copyfileobj(rows, joined, _COPY_BYTES)
