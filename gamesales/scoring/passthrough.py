"""The columns that a run copies from its inputs to the result.

All files must have the same pass-through columns. The types of a column may differ where another type holds the values
of all files exactly: a column without values in one file, text in any encoding, integers of any width, and times of any
unit. Any other difference is an error, because one result has one type for each column.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from gamesales.data.arrow import FAULT_KEY, is_text
from gamesales.data.contract import OUTPUT_COLUMNS, Contract
from gamesales.data.table import TableFile, format_on_one_line
from gamesales.errors import ColumnsError

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

_SIGNED = {arrow_type.bit_width: arrow_type for arrow_type in (pa.int8(), pa.int16(), pa.int32(), pa.int64())}
_TIME_UNITS = ("s", "ms", "us", "ns")
# The longest list of columns that a hint suggests.
_MAX_HINT_CHARACTERS = 200

# The name of a column, and what is wrong with it.
ColumnFault = tuple[str, str]


def select_passthrough(schema: pa.Schema, contract: Contract, keep: Sequence[str] | None) -> pa.Schema:
    """Return the columns of a file that are copied to the result: ``keep``, or all columns that are not features."""
    if keep is None:
        return pa.schema([field for field in schema if field.name not in contract.feature_names])
    return pa.schema([field for field in schema if field.name in keep])


def merge_passthrough(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Merge the pass-through columns of all files. A column is nullable if it is nullable in any file.

    The columns must have no faults. They keep the order of the first file.
    """
    if not schemas:
        return pa.schema([])
    merged = {field.name: field for field in schemas[0]}
    for schema in schemas[1:]:
        for field in schema:
            present = merged[field.name]
            common = present.with_type(merge_types(present.type, field.type))
            merged[field.name] = common.with_nullable(present.nullable or field.nullable)
    return pa.schema(list(merged.values()))


def merge_types(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both types exactly; None if there is no such type.

    The finer unit of two times may be too small for a distant date. ``convert_column`` checks the values.
    """
    if pa.types.is_dictionary(first) and pa.types.is_dictionary(second):
        if (first.value_type, first.ordered) == (second.value_type, second.ordered):
            # The dictionaries of two files may together have more values than narrow indices count.
            return pa.dictionary(pa.int32(), first.value_type, first.ordered)
    elif first == second:
        return first
    if pa.types.is_null(first) or pa.types.is_null(second):
        return second if pa.types.is_null(first) else first
    first, second = (kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (first, second))
    if first == second:
        return first
    if is_text(first) and is_text(second):
        return pa.string()
    for is_family in (pa.types.is_signed_integer, pa.types.is_unsigned_integer, pa.types.is_floating):
        if is_family(first) and is_family(second):
            return max(first, second, key=lambda kind: kind.bit_width)
    if pa.types.is_integer(first) and pa.types.is_integer(second):
        signed, unsigned = (first, second) if pa.types.is_signed_integer(first) else (second, first)
        return _SIGNED.get(max(signed.bit_width, 2 * unsigned.bit_width))
    if pa.types.is_timestamp(first) and pa.types.is_timestamp(second) and first.tz == second.tz:
        return max(first, second, key=lambda kind: _TIME_UNITS.index(kind.unit))
    return None


def convert_column(column: pa.Array, field: pa.Field, path: TablePath) -> pa.Array:
    """Convert a column of one file to its type in the result.

    Raises:
        ColumnsError: the type can't hold a value.
    """
    if column.type == field.type:
        return column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), field.type)
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise ColumnsError(
            f"{path}: {field.name} has a value that {field.type}, the type of this column in the result, can't hold: "
            f"{format_on_one_line(error)}; nothing was published",
            hint=f"Write the column with one type, or leave {field.name} out of --keep",
        ) from None


def find_passthrough_faults(
    tables: Sequence[TableFile], schemas: Sequence[pa.Schema], partition: str | None
) -> Iterator[ColumnFault]:
    """Find the pass-through columns that can't be read, differ between files, or clash with a name of the result.

    Args:
        tables: the files.
        schemas: the pass-through columns of each file.
        partition: the column of the result's folders; None for a single file.
    """
    if not tables:
        return
    yield from _find_clashes(tables[0].path, schemas[0].names, partition)
    for table, schema in zip(tables, schemas, strict=True):
        for field in schema:
            if FAULT_KEY in (field.metadata or {}):
                yield field.name, f"{table.path}: {field.name} {field.metadata[FAULT_KEY].decode()}"
    # The type of each column so far, with the file that it is from and the type there.
    merged = {field.name: (field.type, tables[0].path, field.type) for field in schemas[0]}
    for table, schema in zip(tables[1:], schemas[1:], strict=True):
        for name in merged:
            if name not in schema.names:
                yield name, f"{table.path} lacks {name}, which {tables[0].path} has"
        for field in schema:
            if field.name not in merged:
                yield field.name, f"{table.path} has {field.name}, which {tables[0].path} lacks"
                continue
            type_so_far, path, type_there = merged[field.name]
            if (common := merge_types(type_so_far, field.type)) is None:
                yield field.name, f"{table.path}: {field.name} has type {field.type}, in {path} it has {type_there}"
            elif common != type_so_far:
                merged[field.name] = common, table.path, field.type


def _find_clashes(path: TablePath, names: Sequence[str], partition: str | None) -> Iterator[ColumnFault]:
    """Find names that a reader of the result could confuse. Spark and DuckDB ignore the case of a name."""
    used = {name.lower(): f"{name}, which scoring writes" for name in OUTPUT_COLUMNS}
    for name in names:
        if name in OUTPUT_COLUMNS:
            continue  # reported with the columns of every file
        if partition is not None and name.lower() == partition:
            yield name, f"{path}: {name} is also the name of the result's date folders; rename it with [columns]"
        elif name.lower() in used:
            yield name, f"{path}: {name} differs only in case from {used[name.lower()]}; rename it with [columns]"
        used.setdefault(name.lower(), name)


def suggest_keep(faults: Sequence[ColumnFault], names: Sequence[str]) -> str:
    """Return a hint: how to leave the columns with faults out of the result.

    Args:
        faults: the faults.
        names: the pass-through columns.
    """
    faulty = {name for name, _ in faults}
    kept = ",".join(name for name in names if name not in faulty)
    if len(kept) > _MAX_HINT_CHARACTERS or any("," in name for name in names):
        kept = "NAME,NAME"
    return f"Copy the other columns only: --keep {shlex.quote(kept)}"
