"""The columns of a table: their types in Delta Lake, and what may change from night to night.

A table has the columns that runs copied from their inputs, then all columns that scoring writes, and the partition
column. All can be null: a version without prediction intervals has none, and a column that is added later has no values
on earlier dates. A column keeps its type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from gamesales.errors import ColumnsError, UsageError
from gamesales.lake.location import PARTITION, TableLocation
from gamesales.scoring.parts import SCORED_COLUMNS
from gamesales.scoring.passthrough import merge_types

if TYPE_CHECKING:
    from deltalake import DeltaTable

# Characters that Spark refuses in the columns of a Delta table.
_BAD_CHARACTERS = re.compile(r"[ ,;{}()\n\t=]")
_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
}
# What a table may use without a promise that this release does not keep, such as a constraint on its rows.
_FEATURES = {"appendOnly", "invariants", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
_FOREIGN_HINT = "Give another --output; a run creates its table"


def make_table_schema(passthrough: pa.Schema) -> pa.Schema:
    """Return the columns of a table for runs with these pass-through columns."""
    fields = [*passthrough, *SCORED_COLUMNS, pa.field(PARTITION, pa.date32())]
    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in fields])


def read_table_schema(table: DeltaTable) -> pa.Schema:
    """Return the columns of a table with their Arrow types."""
    return pa.schema(table.schema().to_arrow())


def conform(passthrough: pa.Schema, table: pa.Schema | None, location: TableLocation) -> pa.Schema:
    """Give the pass-through columns of a run the types that they have in the table.

    A column without any value has the type of the table. If it is new, it is left out until it has values.

    Args:
        passthrough: the columns that the run copies from its inputs.
        table: the columns of the table; None for a new table.
        location: the table, for messages.

    Raises:
        ColumnsError: a column has another type than in the table, a type that Delta Lake does not have, or a name that
            Delta Lake does not allow. The message lists all of them.
    """
    present = {} if table is None else {field.name: field.type for field in table}
    fields, faults = [], list(_find_bad_names(passthrough, present))
    for field in passthrough:
        expected = present.get(field.name)
        if pa.types.is_null(field.type):
            fields += [] if expected is None else [field.with_type(expected)]
            continue
        arrow_type = to_delta_type(field.type)
        if arrow_type is None:
            faults.append(f"{field.name} has type {field.type}, which Delta Lake does not have")
            continue
        plain = _plain_type(arrow_type)
        if expected is not None and plain != expected:
            arrow_type = expected
            if merge_types(expected, plain) != expected:
                faults.append(f"{field.name}: expected type {expected}, as in the table, found {field.type}")
        fields.append(field.with_type(arrow_type))
    if faults:
        raise ColumnsError(
            f"{location}: {'; '.join(faults)}; nothing was published",
            hint="Correct the inputs, or leave the columns out of --keep",
        )
    return pa.schema(fields)


def to_delta_type(arrow_type: pa.DataType) -> pa.DataType | None:
    """Return the type itself, or the type that holds its values exactly in a table; None if there is no such type."""
    if arrow_type in _WIDER:
        return _WIDER[arrow_type]
    if pa.types.is_timestamp(arrow_type):
        return pa.timestamp("us", None if arrow_type.tz is None else "UTC")
    if pa.types.is_dictionary(arrow_type):
        value_type = to_delta_type(arrow_type.value_type)
        return arrow_type if value_type == arrow_type.value_type else value_type
    if pa.types.is_fixed_size_binary(arrow_type):
        return pa.binary()
    if pa.types.is_list(arrow_type):
        value_type = to_delta_type(arrow_type.value_type)
        return None if value_type is None else pa.list_(arrow_type.value_field.with_type(value_type))
    if pa.types.is_struct(arrow_type):
        inner = [(field, to_delta_type(field.type)) for field in arrow_type]
        return None if any(kind is None for _, kind in inner) else pa.struct([f.with_type(kind) for f, kind in inner])
    is_plain = any(
        test(arrow_type)
        for test in (
            pa.types.is_boolean,
            pa.types.is_signed_integer,
            pa.types.is_floating,
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_date32,
            pa.types.is_decimal128,
        )
    )
    return arrow_type if is_plain else None


def _plain_type(arrow_type: pa.DataType) -> pa.DataType:
    """Return how a table describes a type: without a dictionary, and without large offsets."""
    if pa.types.is_dictionary(arrow_type):
        return _plain_type(arrow_type.value_type)
    if pa.types.is_large_string(arrow_type):
        return pa.string()
    if pa.types.is_large_binary(arrow_type):
        return pa.binary()
    if pa.types.is_list(arrow_type):
        return pa.list_(pa.field("element", _plain_type(arrow_type.value_type)))
    if pa.types.is_struct(arrow_type):
        return pa.struct([pa.field(field.name, _plain_type(field.type)) for field in arrow_type])
    return arrow_type


def _find_bad_names(passthrough: pa.Schema, present: dict[str, pa.DataType]) -> Iterator[str]:
    names = {name.lower(): name for name in present}
    for name in passthrough.names:
        if _BAD_CHARACTERS.search(name):
            yield f"{name!r} has a character that the columns of Delta Lake can't have; rename it with [columns]"
        elif names.get(name.lower(), name) != name:
            yield f"{name} differs only in case from {names[name.lower()]} of the table; rename it with [columns]"


def find_new_columns(table: pa.Schema, passthrough: pa.Schema) -> pa.Schema:
    """Return the columns of a run that a table lacks."""
    return pa.schema(
        [pa.field(field.name, _plain_type(field.type)) for field in passthrough if field.name not in table.names]
    )


def require_predictions(table: DeltaTable, location: TableLocation) -> None:
    """Check that a table is one that runs write to.

    Raises:
        UsageError: it has another partitioning or other columns, or it uses a feature of Delta Lake that this release
            does not write.
    """
    schema = read_table_schema(table)
    partitioning = list(table.metadata().partition_columns)
    if partitioning != [PARTITION]:
        layout = f"partitioned by {', '.join(partitioning)}" if partitioning else "without partitions"
        raise UsageError(f"{location}: expected a table partitioned by {PARTITION}, found {layout}", hint=_FOREIGN_HINT)
    expected = [*SCORED_COLUMNS, pa.field(PARTITION, pa.date32())]
    faults = [
        f"{field.name} ({field.type})"
        for field in expected
        if field.name not in schema.names or schema.field(field.name).type != field.type
    ]
    faults += [f"{field.name} (it must allow null)" for field in schema if not field.nullable]
    if faults:
        raise UsageError(f"{location}: expected a table with the columns {', '.join(faults)}", hint=_FOREIGN_HINT)
    if reason := _find_foreign_feature(table):
        raise UsageError(f"{location}: the table has {reason}, which gamesales does not write", hint=_FOREIGN_HINT)


def _find_foreign_feature(table: DeltaTable) -> str:
    """Return the property or the feature of a table that forbids writing to it; empty if there is none."""
    protocol, properties = table.protocol(), table.metadata().configuration
    if properties.get("delta.appendOnly", "").lower() == "true":
        return "the property delta.appendOnly"
    if properties.get("delta.columnMapping.mode", "none").lower() != "none":
        return "the property delta.columnMapping.mode"
    features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())} - _FEATURES
    if features:
        return f"the feature {', '.join(sorted(features))}"
    if 2 < protocol.min_writer_version < 7:
        return f"writer version {protocol.min_writer_version}"
    return ""
