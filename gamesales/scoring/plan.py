"""The plan of a run: which files it reads, which columns it keeps, and the identity of the run.

All that can be known before the first row is known here, and everything wrong with it is said at once.
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

from gamesales.data.contract import OUTPUT_COLUMNS, Column, Contract
from gamesales.data.files import Stamp, unchanged
from gamesales.data.open_table import open_table, with_partitions
from gamesales.data.screen import COLUMNS_HINT, check_columns
from gamesales.data.table import TableFile
from gamesales.errors import ColumnsError, InputError
from gamesales.release import RELEASE
from gamesales.scoring.inputs import Found
from gamesales.scoring.scorer import LoadedVersion, load_runtime

# Faults that one message tells.
_SHOWN = 20


@dataclass(frozen=True)
class Input:
    """One file of titles; ``name`` is its path relative to what the command line named."""

    name: str
    table: TableFile
    stamp: Stamp
    sha256: str
    rows: int

    @property
    def size(self) -> int:
        return self.stamp[0]

    def unchanged(self) -> AbstractContextManager[None]:
        """Hold the file to what was planned, before and after the body reads it."""
        return unchanged(self.table.path, self.stamp)


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    ``kept`` are the columns that pass through, with their Arrow types; ``identity`` are those that identify a title,
    none if an input lacks them.
    """

    inputs: Sequence[Input]
    kept: pa.Schema
    identity: Sequence[str]
    shards: Sequence[Shard]
    run_id: str

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.inputs)

    def metadata(self, version: LoadedVersion) -> dict[str, str]:
        """Return what a Parquet part says of itself."""
        return {
            "gamesales.run_id": self.run_id,
            "gamesales.model": version.model,
            "gamesales.model_version": str(version.number),
            "gamesales.bundle_sha256": version.digest,
        }


def make_plan(
    found: Found,
    contract: Contract,
    digest: str,
    settings: Mapping[str, str],
    *,
    keep: Sequence[str] | None = None,
    also: Sequence[Column] = (),
) -> Plan:
    """Check the columns of the inputs, and cut their rows into shards.

    Args:
        found: the inputs.
        contract: what the version expects of a row.
        digest: of the version's bundle.
        settings: what else changes the bytes of the result.
        keep: the columns that pass through; by default all that are no feature.
        also: columns that a second version needs.

    Raises: ColumnsError: it names every file and column that is wrong. TryAgainError: an input was changed meanwhile.
    """
    tables = _open_all(found)
    _check_all(tables, contract, keep, also)
    inputs = [_input(found, place, table) for place, table in enumerate(tables)]
    kept = _kept_of_all(tables, contract, keep)
    shards = cut([one.table.units() for one in inputs])
    # Where shards are cut changes no row of the result, but its files, and what an interrupted run can take over.
    cuts = [[[one.source, one.start, one.stop] for one in shard.slices] for shard in shards]
    identity = run_id(inputs, digest, {**settings, "columns": kept.names, "shards": cuts})
    return Plan(inputs, kept, _identity_of_all(tables, contract), shards, identity)


def run_id(inputs: Sequence[Input], digest: str, settings: Mapping[str, object]) -> str:
    """Hash all that decides the bytes of a result, and nothing else: 64 hex digits."""
    software = {"gamesales": RELEASE, "onnxruntime": load_runtime().__version__, "pyarrow": pa.__version__}
    identity = {
        "inputs": [[one.name, one.size, one.sha256] for one in inputs],
        "bundle": digest,
        "settings": dict(settings),
        "software": [f"{name} {release}" for name, release in software.items()],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _open_all(found: Found) -> list[TableFile]:
    """Open all files, or say of each that can't be opened why.

    Raises: InputError: the only one, or one that tells of all.
    """
    tables, faults = [], []
    for name, path in zip(found.names, found.paths, strict=True):
        try:
            tables.append(with_partitions(open_table(path), PurePosixPath(name).parts[:-1]))
        except InputError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise InputError("; ".join(_few([fault.message for fault in faults])), hint=faults[0].hint)
    return tables


def _input(found: Found, place: int, table: TableFile) -> Input:
    since = found.stamps[place]
    with unchanged(table.path, since):
        rows = table.count_rows()
        return Input(found.names[place], table, since, found.sha256(place), rows)


def _few(faults: Sequence[str]) -> list[str]:
    return [*faults[:_SHOWN], *(["…"] if len(faults) > _SHOWN else [])]


def _kept(schema: pa.Schema, contract: Contract, keep: Sequence[str] | None) -> pa.Schema:
    if keep is None:
        return pa.schema([field for field in schema if field.name not in contract.feature_names])
    return pa.schema([field for field in schema if field.name in keep])


def _identity_of_all(tables: Sequence[TableFile], contract: Contract) -> list[str]:
    """Return the columns that identify a title, where all files have all of them."""
    there = all(name in table.schema.names for table in tables for name in contract.identity)
    return list(contract.identity) if there and tables else []


def _kept_of_all(tables: Sequence[TableFile], contract: Contract, keep: Sequence[str] | None) -> pa.Schema:
    """Return the columns that pass through; one may be null as soon as one file says so."""
    if not tables:
        return pa.schema([])
    first, *others = [_kept(table.schema, contract, keep) for table in tables]
    return pa.schema(
        [kept.with_nullable(kept.nullable or any(o.field(kept.name).nullable for o in others)) for kept in first]
    )


def _check_all(
    tables: Sequence[TableFile], contract: Contract, keep: Sequence[str] | None, also: Sequence[Column]
) -> None:
    faults: list[str] = []
    for table in tables:
        needed = {column.name: column for column in [*contract.features, *also]}
        faults += check_columns(str(table.path), table.schema, list(needed.values()))
        faults += _reserved(table)
        faults += [f"{table.path} lacks {name}, which is to be kept" for name in _lacking(table.schema, keep)]
        faults += _different(table, tables[0], contract, keep)
    if faults:
        raise ColumnsError(
            "; ".join(_few(faults)),
            hint=COLUMNS_HINT,
        )


def _reserved(table: TableFile) -> list[str]:
    names = [name for name in table.schema.names if name in OUTPUT_COLUMNS]
    return [f"{table.path}: {name} is a column that scoring writes; rename or drop it" for name in names]


def _lacking(schema: pa.Schema, keep: Sequence[str] | None) -> list[str]:
    return [name for name in keep or () if name not in schema.names]


def _different(table: TableFile, other: TableFile, contract: Contract, keep: Sequence[str] | None) -> list[str]:
    """Say how the columns that pass through differ from the first file's."""
    mine, first = (_kept(one.schema, contract, keep) for one in (table, other))
    first_path = other.path
    faults = [
        f"{table.path} lacks {field.name}, which {first_path} has" for field in first if field.name not in mine.names
    ]
    for field in mine:
        if field.name not in first.names:
            faults.append(f"{table.path} has {field.name}, which {first_path} lacks")
        elif field.type != first.field(field.name).type:
            expected = first.field(field.name).type
            faults.append(f"{table.path}: {field.name} has type {field.type}, in {first_path} it has {expected}")
    return faults


# About so many shards a run: enough to keep any usual number of workers busy to the end.
SHARDS = 64
FEWEST_ROWS, MOST_ROWS = 1 << 18, 1 << 21
# A stretch that can only be read from its beginning is cut where it is so large a share of the run that workers would
# wait for it, and into so many pieces at most: each reads past those before it.
_LARGE, _CUTS = 1 / 8, 4


@dataclass(frozen=True)
class Slice:
    """The rows ``start + 1`` to ``stop`` of one input, named by its place in the plan."""

    source: int
    start: int
    stop: int


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of a run, which may come from several inputs."""

    number: int
    slices: tuple[Slice, ...]

    @property
    def rows(self) -> int:
        return sum(one.stop - one.start for one in self.slices)


def cut(units: Sequence[Sequence[int]]) -> list[Shard]:
    """Cut a run into shards, at least one.

    Args: units: for each input, the rows of each stretch that can be read by itself.
    """
    total = sum(map(sum, units))
    wanted = min(max(-(-total // SHARDS), FEWEST_ROWS), MOST_ROWS)
    shards: list[list[Slice]] = [[]]
    filled = 0
    for source, each in enumerate(units):
        for piece in _pieces(source, each, wanted, total):
            if filled >= wanted:
                shards.append([])
                filled = 0
            shards[-1].append(piece)
            filled += piece.stop - piece.start
    return [Shard(number, tuple(_joined(slices))) for number, slices in enumerate(shards)]


def _pieces(source: int, units: Sequence[int], wanted: int, total: int) -> Iterator[Slice]:
    """Yield an input's stretches, the large ones in equal pieces."""
    start = 0
    for rows in units:
        pieces = min(max(rows // wanted, 1), _CUTS) if rows > _LARGE * total else 1
        bounds = [start + rows * piece // pieces for piece in range(pieces + 1)]
        yield from (Slice(source, first, last) for first, last in pairwise(bounds) if last > first)
        start += rows


def _joined(slices: Sequence[Slice]) -> Iterator[Slice]:
    """Join what follows each other in one input."""
    joined: list[Slice] = []
    for one in slices:
        if joined and (joined[-1].source, joined[-1].stop) == (one.source, one.start):
            joined[-1] = Slice(one.source, joined[-1].start, one.stop)
        else:
            joined.append(one)
    yield from joined
