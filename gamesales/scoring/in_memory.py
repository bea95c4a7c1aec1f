"""Score a table in memory, as a function inside another engine: each title has a row in the result.

A row that breaks the contract has a reason instead of a prediction. All versions give the same columns, because an
engine fixes the columns of a job before it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import make_text_column, spread_rows, to_arrow
from gamesales.data.contract import VERSION_COLUMN
from gamesales.data.table import Batch, select_columns
from gamesales.errors import ColumnsError
from gamesales.scoring.parts import SCORED_COLUMNS
from gamesales.scoring.passthrough import select_passthrough
from gamesales.scoring.predict import predict_batch
from gamesales.scoring.scored_titles import PredictionCache
from gamesales.scoring.scorer import LoadedVersion

REASON_COLUMN = "reject_reason"
_ADDED_COLUMNS = (*SCORED_COLUMNS, pa.field(REASON_COLUMN, pa.string()))
# The rows of a step: few enough to keep memory flat.
_BATCH_ROWS = 65_536


def score_table(
    table: pa.Table, version: LoadedVersion, keep: Sequence[str] | None, cache: PredictionCache
) -> pa.Table:
    """Score a table.

    Args:
        table: the titles, with the columns of the contract.
        version: the version that scores.
        keep: the columns to copy to the result; by default all except the features.
        cache: the titles of earlier tables that the same version scored. The titles of this table are added.

    Returns:
        A row for each title, in the same order: the copied columns, ``SCORED_COLUMNS`` and ``reject_reason``. A value
        that a row does not have is null. The version is never null.

    Raises:
        ColumnsError: a column to copy is missing, or has the name of another column of the result in any case.
    """
    copied = select_passthrough(table.schema, version.contract, keep)
    _check_names(copied.names, keep or ())
    schema = pa.schema([*copied, *_ADDED_COLUMNS])
    batches = table.to_batches(max_chunksize=_BATCH_ROWS)
    return pa.Table.from_batches(
        [_score_batch(batch, copied.names, schema, version, cache) for batch in batches], schema
    )


def _score_batch(
    batch: pa.RecordBatch, copied: Sequence[str], schema: pa.Schema, version: LoadedVersion, cache: PredictionCache
) -> pa.RecordBatch:
    size = len(batch)
    titles = Batch(select_columns(batch, version.contract.feature_names), np.arange(1, size + 1, dtype=np.int64))
    prediction = predict_batch(titles, version, cache)
    accepted = prediction.screened.accepted
    columns = {name: batch.column(name) for name in copied}
    columns |= {name: spread_rows(column, accepted) for name, column in prediction.make_columns(version.number).items()}
    columns[VERSION_COLUMN] = to_arrow(np.full(size, version.number, np.int32))
    if not accepted.all():
        reasons = make_text_column([reject.reason for reject in prediction.screened.rejected])
        columns[REASON_COLUMN] = spread_rows(reasons, ~accepted)
    absent = (field for field in schema if field.name not in columns)
    columns |= {field.name: pa.nulls(size, field.type) for field in absent}
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _check_names(copied: Sequence[str], keep: Sequence[str]) -> None:
    """Check that the columns to copy exist, and that the result has no two names that differ only in case."""
    missing = [name for name in keep if name not in copied]
    if missing:
        raise ColumnsError(f"the table lacks {', '.join(missing)}, which is to be kept")
    used = {field.name for field in _ADDED_COLUMNS}
    for name in copied:
        if name.lower() in used:
            raise ColumnsError(
                f"the result would have two columns {name}: scoring writes {name.lower()}, or the table has it twice",
                hint="Rename the column, or leave it out of keep",
            )
        used.add(name.lower())
