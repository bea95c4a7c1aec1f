"""The plan of a run: its input files, its columns, its shards and its run id, and the options of a run.

A plan is made before the first row is read. One error lists everything that is wrong with the columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import pyarrow as pa

from gamesales import __version__
from gamesales.data.contract import OUTPUT_COLUMNS, Column, Contract
from gamesales.data.files import FileStamp, require_unchanged
from gamesales.data.open_table import add_partition_columns, open_table
from gamesales.data.screen import COLUMNS_HINT, RejectLimit, find_column_faults
from gamesales.data.table import TableFile
from gamesales.errors import ColumnsError, InputError
from gamesales.scoring.drift import PSI_THRESHOLD
from gamesales.scoring.inputs import InputFiles
from gamesales.scoring.scorer import LoadedVersion, import_onnxruntime

# One message lists at most this many faults.
_MAX_FAULTS = 20
# The usual number of shards of a run: enough to keep any usual number of workers busy to the end.
TARGET_SHARDS = 64
MIN_SHARD_ROWS, MAX_SHARD_ROWS = 1 << 18, 1 << 21
# A segment can only be read from its beginning, so each piece of it costs reading past the pieces before. A segment is
# cut only if it is more than this share of the run, because workers would wait for it, and into few pieces.
_LARGE_SHARE, _MAX_PIECES = 1 / 8, 4


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
class RowRange:
    """The rows ``start + 1`` to ``stop`` of one input; ``source`` is the index of the input in the plan."""

    source: int
    start: int
    stop: int


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of a run, possibly from several inputs."""

    number: int
    ranges: tuple[RowRange, ...]

    @property
    def rows(self) -> int:
        return sum(part.stop - part.start for part in self.ranges)


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        passthrough: the columns that are copied to the result, with their Arrow types.
        identity: the columns that identify a title; empty if an input lacks one of them.
        shards: the rows of all inputs, in order.
        run_id: the identity of the run, 64 hex digits.
    """

    inputs: Sequence[Input]
    passthrough: pa.Schema
    identity: Sequence[str]
    shards: Sequence[Shard]
    run_id: str

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
    """

    limit: RejectLimit
    workers: int | None = None
    fresh: bool = False
    psi_threshold: float = PSI_THRESHOLD
    unique_ids: bool = False
    shadow: LoadedVersion | None = None


def make_plan(
    files: InputFiles,
    contract: Contract,
    digest: str,
    settings: Mapping[str, str],
    *,
    keep: Sequence[str] | None = None,
    extra_features: Sequence[Column] = (),
) -> Plan:
    """Check the columns of the inputs, and cut their rows into shards.

    Args:
        files: the input files.
        contract: the columns that the version expects.
        digest: the SHA-256 of the version's bundle.
        settings: everything else that changes the bytes of the result.
        keep: the columns to copy to the result; by default all except the features.
        extra_features: the features of the shadow version.

    Raises:
        ColumnsError: columns are wrong; the message lists every file and column.
        TryAgainError: an input was changed meanwhile.
    """
    tables = _open_tables(files)
    _check_columns(tables, contract, keep, extra_features)
    inputs = [_make_input(files, index, table) for index, table in enumerate(tables)]
    passthrough = _merge_passthrough(tables, contract, keep)
    shards = cut_shards([source.table.rows_per_segment() for source in inputs])
    # Other shard bounds change no row of the result, but they change its files, and which shards a run can resume from.
    bounds = [[[part.source, part.start, part.stop] for part in shard.ranges] for shard in shards]
    run_id = compute_run_id(inputs, digest, {**settings, "columns": passthrough.names, "shards": bounds})
    return Plan(inputs, passthrough, _find_identity(tables, contract), shards, run_id)


def compute_run_id(inputs: Sequence[Input], digest: str, settings: Mapping[str, object]) -> str:
    """Hash everything that decides the bytes of a result, and nothing else: 64 hex digits."""
    software = {"gamesales": __version__, "onnxruntime": import_onnxruntime().__version__, "pyarrow": pa.__version__}
    identity = {
        "inputs": [[source.name, source.size, source.sha256] for source in inputs],
        "bundle": digest,
        "settings": dict(settings),
        "software": [f"{name} {release}" for name, release in software.items()],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _open_tables(files: InputFiles) -> list[TableFile]:
    """Open all files. An error lists all files that can't be opened."""
    tables, errors = [], []
    for name, path in zip(files.names, files.paths, strict=True):
        try:
            tables.append(add_partition_columns(open_table(path), PurePosixPath(name).parts[:-1]))
        except InputError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise InputError(_join_faults([error.message for error in errors]), hint=errors[0].hint)
    return tables


def _make_input(files: InputFiles, index: int, table: TableFile) -> Input:
    stamp = files.stamps[index]
    with require_unchanged(table.path, stamp):
        return Input(files.names[index], table, stamp, rows=table.count_rows(), sha256=files.sha256(index))


def _join_faults(faults: Sequence[str]) -> str:
    return "; ".join([*faults[:_MAX_FAULTS], *(["…"] if len(faults) > _MAX_FAULTS else [])])


def _select_passthrough(schema: pa.Schema, contract: Contract, keep: Sequence[str] | None) -> pa.Schema:
    if keep is None:
        return pa.schema([field for field in schema if field.name not in contract.feature_names])
    return pa.schema([field for field in schema if field.name in keep])


def _merge_passthrough(tables: Sequence[TableFile], contract: Contract, keep: Sequence[str] | None) -> pa.Schema:
    """Return the columns to copy to the result; a column is nullable if it is nullable in any file."""
    if not tables:
        return pa.schema([])
    first, *others = [_select_passthrough(table.schema, contract, keep) for table in tables]
    return pa.schema(
        [
            field.with_nullable(field.nullable or any(other.field(field.name).nullable for other in others))
            for field in first
        ]
    )


def _find_identity(tables: Sequence[TableFile], contract: Contract) -> list[str]:
    """Return the identity columns if all files have all of them."""
    complete = all(name in table.schema.names for table in tables for name in contract.identity)
    return list(contract.identity) if complete and tables else []


def _check_columns(
    tables: Sequence[TableFile], contract: Contract, keep: Sequence[str] | None, extra_features: Sequence[Column]
) -> None:
    needed = list({column.name: column for column in [*contract.features, *extra_features]}.values())
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
        faults += _find_differences(table, tables[0], contract, keep)
    if faults:
        raise ColumnsError(_join_faults(faults), hint=COLUMNS_HINT)


def _find_differences(
    table: TableFile, reference: TableFile, contract: Contract, keep: Sequence[str] | None
) -> list[str]:
    """Describe how the pass-through columns of a file differ from those of the first file."""
    fields, first_fields = (_select_passthrough(file.schema, contract, keep) for file in (table, reference))
    path, first_path = table.path, reference.path
    faults = [
        f"{path} lacks {field.name}, which {first_path} has" for field in first_fields if field.name not in fields.names
    ]
    for field in fields:
        if field.name not in first_fields.names:
            faults.append(f"{path} has {field.name}, which {first_path} lacks")
        elif field.type != first_fields.field(field.name).type:
            first_type = first_fields.field(field.name).type
            faults.append(f"{path}: {field.name} has type {field.type}, in {first_path} it has {first_type}")
    return faults


def cut_shards(segments: Sequence[Sequence[int]]) -> list[Shard]:
    """Cut a run into shards, at least one; the bounds depend on the inputs alone.

    Args:
        segments: for each input, the rows of each segment that can be read by itself.
    """
    total = sum(map(sum, segments))
    target = min(max(-(-total // TARGET_SHARDS), MIN_SHARD_ROWS), MAX_SHARD_ROWS)
    shards: list[list[RowRange]] = [[]]
    filled = 0
    for source, rows_per_segment in enumerate(segments):
        for piece in _cut_segments(source, rows_per_segment, target, total):
            if filled >= target:
                shards.append([])
                filled = 0
            shards[-1].append(piece)
            filled += piece.stop - piece.start
    return [Shard(number, tuple(_join_ranges(ranges))) for number, ranges in enumerate(shards)]


def _cut_segments(source: int, rows_per_segment: Sequence[int], target: int, total: int) -> Iterator[RowRange]:
    """Yield the segments of an input, large segments in equal pieces."""
    start = 0
    for rows in rows_per_segment:
        pieces = min(max(rows // target, 1), _MAX_PIECES) if rows > _LARGE_SHARE * total else 1
        bounds = [start + rows * piece // pieces for piece in range(pieces + 1)]
        yield from (RowRange(source, first, last) for first, last in pairwise(bounds) if last > first)
        start += rows


def _join_ranges(ranges: Sequence[RowRange]) -> Iterator[RowRange]:
    """Join adjacent ranges of one input."""
    joined: list[RowRange] = []
    for part in ranges:
        if joined and (joined[-1].source, joined[-1].stop) == (part.source, part.start):
            joined[-1] = RowRange(part.source, joined[-1].start, part.stop)
        else:
            joined.append(part)
    yield from joined
