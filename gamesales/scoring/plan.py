"""The plan of a run: its input files, its columns, its shards and its run id, and the options of a run.

A plan is made before the first row is read. One error lists everything that is wrong with the columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from gamesales import __version__
from gamesales.arrays import FloatArray
from gamesales.data.contract import OUTPUT_COLUMNS, Column, Contract
from gamesales.data.dialect import DEFAULT_FORMAT, TableFormat
from gamesales.data.files import FileStamp, require_unchanged
from gamesales.data.screen import RejectLimit, find_column_faults, suggest_job_keys
from gamesales.data.table import TableFile
from gamesales.errors import ColumnsError, InputError
from gamesales.scoring.drift import PSI_THRESHOLD
from gamesales.scoring.inputs import InputFiles
from gamesales.scoring.parts import PARTS_FORMAT
from gamesales.scoring.passthrough import (
    find_passthrough_faults,
    merge_passthrough,
    select_passthrough,
    suggest_keep,
)
from gamesales.scoring.scorer import LoadedVersion, import_onnxruntime
from gamesales.scoring.shard_bounds import Shard, cut_shards

if TYPE_CHECKING:
    from gamesales.scoring.run_content import RunContent
    from gamesales.scoring.run_report import RunReport

# One message lists at most this many faults.
_MAX_FAULTS = 20
# Remote files are opened and counted by this many threads.
_REMOTE_THREADS = 8

_Result = TypeVar("_Result")
# Makes the page of a complete run from its report and its content; None if the page can't be made.
MakePage = Callable[["RunReport", "RunContent"], str | None]


@dataclass(frozen=True)
class Input:
    """One file of titles, opened and hashed.

    Attributes:
        name: its path below the folder or glob that named it.
        stamp: its size and modification time before its content was read.
        sha256: 64 hex digits.
        rows: its rows, malformed rows included.
    """

    name: str
    table: TableFile
    stamp: FileStamp
    sha256: str
    rows: int

    @property
    def size(self) -> int:
        return self.stamp[0]

    def require_unchanged(self) -> AbstractContextManager[None]:
        """Compare the file with its stamp before and after the body reads it.

        Raises:
            TryAgainError: the file was changed or removed.
        """
        return require_unchanged(self.table.path, self.stamp)


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        passthrough: the columns that are copied to the result, with their Arrow types.
        identity: the columns that identify a title; empty if an input lacks one of them.
        shards: the rows of all inputs, in order.
        run_id: the identity of the run, 64 hex digits.
        explain: the number of titles with the highest predictions that the run explains.
        references: the reference titles of the version, float64 (r, k); None if it has none, or nothing is explained.
    """

    inputs: Sequence[Input]
    passthrough: pa.Schema
    identity: Sequence[str]
    shards: Sequence[Shard]
    run_id: str
    explain: int = 0
    references: FloatArray | None = None

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.inputs)

    def metadata(self, version: LoadedVersion) -> dict[str, str]:
        """Return the metadata of a Parquet part."""
        return {
            "gamesales.run_id": self.run_id,
            "gamesales.model": version.model,
            "gamesales.model_version": str(version.number),
            "gamesales.bundle_sha256": version.digest,
        }


@dataclass(frozen=True)
class RunOptions:
    """How a run is done. These options change no byte of its result.

    Attributes:
        limit: how many rows may be rejected.
        workers: the number of threads that score; by default one per core.
        fresh: whether to score again what an earlier run scored.
        psi_threshold: the population stability index above which a column counts as drifted, before the allowance for
            chance.
        unique_ids: whether duplicate ids stop the run.
        shadow: a second version to compare with.
        max_outside: the share of the scored rows that may be outside the training range, 0 to 1.
        withhold_drift: whether the result is not published if a column drifted.
        make_page: makes the HTML page that is published with the result; None: the result has no page.
    """

    limit: RejectLimit
    workers: int | None = None
    fresh: bool = False
    psi_threshold: float = PSI_THRESHOLD
    unique_ids: bool = False
    shadow: LoadedVersion | None = None
    max_outside: float = 1.0
    withhold_drift: bool = False
    make_page: MakePage | None = None


def make_plan(
    files: InputFiles,
    contract: Contract,
    digest: str,
    settings: Mapping[str, str],
    *,
    keep: Sequence[str] | None = None,
    extra_features: Sequence[Column] = (),
    partition: str | None = None,
    table_format: TableFormat = DEFAULT_FORMAT,
    conform: Callable[[pa.Schema], pa.Schema] | None = None,
    explain: int = 0,
    references: FloatArray | None = None,
) -> Plan:
    """Check the columns of the inputs, and cut their rows into shards.

    Args:
        files: the input files.
        contract: the columns that the version expects.
        digest: the SHA-256 of the version's bundle.
        settings: everything else that changes the bytes of the result.
        keep: the columns to copy to the result; by default all except the features.
        extra_features: the features of the shadow version.
        table_format: the dialect of CSV files, and the columns to rename.
        conform: returns the pass-through columns with the types that they have in the result, maybe without some.
        explain: the number of titles with the highest predictions to explain. It changes the report.
        references: the reference titles of the version; None if it has none, or nothing is explained.
        partition: the column that the folders of the result add to it, which no pass-through column may have.

    Raises:
        ColumnsError: columns are wrong; the message lists every file and column.
        TryAgainError: an input was changed meanwhile.
    """
    tables = _open_tables(files, table_format)
    copied = [select_passthrough(table.schema, contract, keep) for table in tables]
    _check_columns(tables, [*contract.features, *extra_features], keep, copied, partition)
    merged = merge_passthrough(copied)
    passthrough = merged if conform is None else conform(merged)
    inputs = _make_inputs(files, tables)
    shards = cut_shards([source.table.rows_per_segment() for source in inputs])
    # Other shard bounds change no row of the result, but they change its files, and which shards a run can resume from.
    bounds = [[[part.source, part.start, part.stop] for part in shard.ranges] for shard in shards]
    types = [f"{field.name} {field.type}" for field in passthrough if field.type != merged.field(field.name).type]
    more = {"columns": passthrough.names, "shards": bounds, **({"types": types} if types else {})}
    explained = {"explain": explain} if explain else {}
    tables_read = {"tables": versions} if (versions := files.delta_versions) else {}
    run_id = compute_run_id(inputs, digest, {**settings, **table_format.describe(), **tables_read, **explained, **more})
    return Plan(inputs, passthrough, _find_identity(tables, contract), shards, run_id, explain, references)


def compute_run_id(inputs: Sequence[Input], digest: str, settings: Mapping[str, object]) -> str:
    """Hash everything that decides the bytes of a result, and nothing else: 64 hex digits."""
    identity = {
        "inputs": [[source.name, source.size, source.sha256] for source in inputs],
        "bundle": digest,
        "settings": dict(settings),
        "software": [f"{name} {release}" for name, release in read_software().items()],
        "parts": PARTS_FORMAT,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def read_software() -> dict[str, str]:
    """Return the release of each library that the bytes of a result depend on."""
    return {"gamesales": __version__, "onnxruntime": import_onnxruntime().__version__, "pyarrow": pa.__version__}


def _open_tables(files: InputFiles, table_format: TableFormat) -> list[TableFile]:
    """Open all files. An error lists all files that can't be opened.

    Raises:
        TryAgainError: a file was changed or removed since it was found.
    """

    def open_file(index: int) -> TableFile | InputError:
        try:
            with require_unchanged(files.files[index].path, files.stamps[index]):
                return files.files[index].open(table_format)
        except InputError as error:
            return error

    opened = _map_files(open_file, files)
    errors = [error for error in opened if isinstance(error, InputError)]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise InputError(_join_faults([error.message for error in errors]), hint=errors[0].hint)
    return [table for table in opened if not isinstance(table, InputError)]


def _make_inputs(files: InputFiles, tables: Sequence[TableFile]) -> list[Input]:
    def make_input(index: int) -> Input:
        table, stamp = tables[index], files.stamps[index]
        with require_unchanged(table.path, stamp):
            name, rows = files.files[index].name, table.count_rows()
            return Input(name, table, stamp, rows=rows, sha256=files.sha256(index))

    return _map_files(make_input, files)


def _map_files(function: Callable[[int], _Result], files: InputFiles) -> list[_Result]:
    """Apply a function to the index of each file. Several remote files at a time, because each waits for its store."""
    indices = range(len(files.files))
    if all(isinstance(file.path, Path) for file in files.files):
        return list(map(function, indices))
    with ThreadPoolExecutor(_REMOTE_THREADS) as pool:
        return list(pool.map(function, indices))


def _join_faults(faults: Sequence[str]) -> str:
    return "; ".join([*faults[:_MAX_FAULTS], *(["…"] if len(faults) > _MAX_FAULTS else [])])


def _find_identity(tables: Sequence[TableFile], contract: Contract) -> list[str]:
    """Return the identity columns if all files have all of them."""
    complete = all(name in table.schema.names for table in tables for name in contract.identity)
    return list(contract.identity) if complete and tables else []


def _check_columns(
    tables: Sequence[TableFile],
    features: Sequence[Column],
    keep: Sequence[str] | None,
    copied: Sequence[pa.Schema],
    partition: str | None,
) -> None:
    """Check the columns of all files. ``copied`` has the pass-through columns of each file."""
    needed = list({column.name: column for column in features}.values())
    faults: list[str] = []
    for table in tables:
        path, names = table.path, table.schema.names
        faults += find_column_faults(str(path), table.schema, needed)
        faults += [
            f"{path}: {name} is a column that scoring writes; rename or drop it"
            for name in names
            if name in OUTPUT_COLUMNS
        ]
        faults += [f"{path} lacks {name}, which is to be kept" for name in keep or () if name not in names]
    copy_faults = list(find_passthrough_faults(tables, copied, partition))
    if faults or copy_faults:
        schemas = [table.schema for table in tables]
        hint = suggest_job_keys(schemas, needed) if faults else suggest_keep(copy_faults, copied[0].names)
        raise ColumnsError(_join_faults([*faults, *(message for _, message in copy_faults)]), hint=hint)
