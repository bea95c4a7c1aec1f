"""The plan of a run: which files it reads, which columns it keeps, and the identity of the run.

All that can be known before the first row is known here, and everything wrong with it is said at once.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

import pyarrow as pa

from gamesales.data.batches import TableFile
from gamesales.data.contract import OUTPUT_COLUMNS, Contract
from gamesales.data.tables import SUFFIXES, open_table
from gamesales.data.watching import Stamp, stamp, unchanged
from gamesales.errors import ColumnsError, InputError, InputNotFoundError
from gamesales.scoring.screen import COLUMNS_HINT, check_columns

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
    """What a run will do. ``kept`` are the columns that pass through, with their Arrow types."""

    inputs: Sequence[Input]
    kept: pa.Schema
    run_id: str


def make_plan(sources: Sequence[str], contract: Contract, digest: str, settings: dict[str, str]) -> Plan:
    """List the inputs and check their columns.

    Args:
        sources: files, folders or globs.
        contract: what the version expects of a row.
        digest: of the version's bundle.
        settings: what else changes the bytes of the result.

    Raises: InputNotFoundError: nothing to read. ColumnsError: it names every file and column that is wrong.
    """
    files = find_files(sources)
    stamps = [stamp(path) for _, path in files]  # before anything is learnt from a file
    tables = _open_all([path for _, path in files])
    _check_all(tables, contract)
    inputs = [_input(name, table, since) for (name, _), table, since in zip(files, tables, stamps, strict=True)]
    return Plan(inputs, _kept_of_all(tables, contract), run_id(inputs, digest, settings))


def find_files(sources: Sequence[str]) -> list[tuple[str, Path]]:
    """Return the CSV and Parquet files that files, folders and globs name, each once, in a stable order."""
    found: dict[Path, tuple[str, Path]] = {}
    for source in sources:
        matches = _matches(source)
        if not matches:
            raise InputNotFoundError(
                f"nothing to score at {source}: expected a .csv or .parquet file, or a folder of them",
                hint="Check the path; see: gamesales score --help",
            )
        for name, path in matches:
            found.setdefault(path.resolve(), (name, path))
    doubled = Counter(name for name, _ in found.values())
    return [(name if doubled[name] == 1 else path.as_posix(), path) for name, path in found.values()]


def _matches(source: str) -> list[tuple[str, Path]]:
    path = Path(source)
    if path.is_dir():
        return sorted((file.relative_to(path).as_posix(), file) for file in _tables_below(path))
    if path.exists():
        return [(path.name, path)]
    globbed = sorted(glob.glob(source, recursive=True)) if glob.has_magic(source) else []  # noqa: PTH207, Path.glob takes no absolute pattern
    return [match for one in globbed if Path(one).exists() for match in _matches(one)]


def _tables_below(folder: Path) -> Iterator[Path]:
    """Find tables to the bottom, through links too; a folder that can't be read is no empty one.

    Raises: InputNotFoundError: a link with a table's name leads nowhere. OSError: a folder can't be listed.
    """

    def refuse(error: OSError) -> None:
        raise error

    seen: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        seen.add(os.path.realpath(place))
        # Sorted, as through links the first way to a folder gives its files their names.
        visible = sorted(name for name in folders if not _is_hidden(name))
        folders[:] = [name for name in visible if os.path.realpath(os.path.join(place, name)) not in seen]  # noqa: PTH118
        for name in names:
            path = Path(place, name)
            if _is_hidden(name) or path.suffix.lower() not in SUFFIXES:
                continue
            if not path.exists():
                raise InputNotFoundError(f"{path} is a link that leads nowhere", hint="Mend or remove it")
            yield path


def _is_hidden(name: str) -> bool:
    """What starts with . or _ is somebody's bookkeeping, as in Hadoop and Hive."""
    return name.startswith((".", "_"))


def run_id(inputs: Sequence[Input], digest: str, settings: dict[str, str]) -> str:
    """Hash all that decides the bytes of a result, and nothing else: 64 hex digits."""
    identity = {
        "inputs": [[one.name, one.size, one.sha256] for one in inputs],
        "bundle": digest,
        "settings": settings,
        "software": [f"{name} {installed(name)}" for name in ("gamesales", "onnxruntime")],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _open_all(paths: Sequence[Path]) -> list[TableFile]:
    """Open all files, or say of each that can't be opened why.

    Raises: InputError: the only one, or one that tells of all.
    """
    tables, faults = [], []
    for path in paths:
        try:
            tables.append(open_table(path))
        except InputError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise InputError("; ".join(_few([fault.message for fault in faults])), hint=faults[0].hint)
    return tables


def _input(name: str, table: TableFile, since: Stamp) -> Input:
    with unchanged(table.path, since), table.path.open("rb") as file:
        return Input(name, table, since, hashlib.file_digest(file, "sha256").hexdigest(), table.count_rows())


def _few(faults: Sequence[str]) -> list[str]:
    return [*faults[:_SHOWN], *(["…"] if len(faults) > _SHOWN else [])]


def _kept(schema: pa.Schema, contract: Contract) -> pa.Schema:
    return pa.schema([field for field in schema if field.name not in contract.feature_names])


def _kept_of_all(tables: Sequence[TableFile], contract: Contract) -> pa.Schema:
    """Return the columns that pass through; one may be null as soon as one file says so."""
    first, *others = [_kept(table.schema, contract) for table in tables]
    return pa.schema(
        [kept.with_nullable(kept.nullable or any(o.field(kept.name).nullable for o in others)) for kept in first]
    )


def _check_all(tables: Sequence[TableFile], contract: Contract) -> None:
    faults: list[str] = []
    kept = _kept(tables[0].schema, contract)
    for table in tables:
        faults += check_columns(str(table.path), table.schema, contract.features)
        faults += _reserved(table)
        faults += _different(table, _kept(table.schema, contract), kept, tables[0].path)
    if faults:
        raise ColumnsError(
            "; ".join(_few(faults)),
            hint=COLUMNS_HINT,
        )


def _reserved(table: TableFile) -> list[str]:
    names = [name for name in table.schema.names if name in OUTPUT_COLUMNS]
    return [f"{table.path}: {name} is a column that scoring writes; rename or drop it" for name in names]


def _different(table: TableFile, mine: pa.Schema, first: pa.Schema, first_path: Path) -> list[str]:
    """Say how the columns that pass through differ from the first file's."""
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
