"""Actual earnings: read a file of title ids and earnings, and join the predictions of a date with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.arrow import convert_to_numbers, keep_rows, make_text_column, null_mask, to_numpy
from gamesales.data.contract import (
    HIGH_COLUMN,
    LOW_COLUMN,
    OUTSIDE_COLUMN,
    PREDICTION_COLUMN,
    VERSION_COLUMN,
    Contract,
)
from gamesales.data.files import hash_file, read_stamp, require_unchanged
from gamesales.data.open_table import open_table
from gamesales.data.screen import RejectLimit, require_columns, screen
from gamesales.data.table import Batch, RejectedRow
from gamesales.errors import ColumnsError, InputError, InputNotFoundError, TooManyRejectsError
from gamesales.report.format import format_count
from gamesales.scoring.results import PublishedRun
from gamesales.stats.error_sums import MatchedRows, TitleSums

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

_EXAMPLES = 3
# The ASCII unit separator, between the parts of an id that has several columns.
_SEPARATOR = "\x1f"
_BOUNDS = (LOW_COLUMN, HIGH_COLUMN)


@dataclass(frozen=True)
class Actuals:
    """Titles and their actual earnings.

    ``ids`` is Arrow text (n,) without duplicates. ``earnings`` is float64 (n,). ``left_out`` has the rows without a
    usable id or earnings.
    """

    path: TablePath
    sha256: str
    ids: pa.Array
    earnings: FloatArray
    left_out: Sequence[RejectedRow]

    def __len__(self) -> int:
        return len(self.ids)

    def find_positions(self, ids: pa.Array) -> IntArray:
        """Return the positions of ids, text (m,), among the ids of the actuals: int64 (m,), -1 for a missing id."""
        positions = compute.index_in(ids, value_set=self.ids)
        return np.where(null_mask(positions), -1, to_numpy(positions)).astype(np.int64)


def read_actuals(path: TablePath, contract: Contract, limit: RejectLimit) -> Actuals:
    """Read a CSV or Parquet file with the identity and target columns of a contract.

    Raises:
        ColumnsError: columns are missing.
        InputError: an id is a duplicate, or no row is usable.
        TooManyRejectsError: more rows are unusable than the limit allows.
    """
    if not path.exists():
        raise InputNotFoundError(f"no file {path}", hint="Give --actuals a .csv or .parquet file that exists")
    stamp = read_stamp(path)
    table = open_table(path)
    _require_columns(path, table.schema, contract)
    usable, left_out = list[tuple[pa.Array, FloatArray]](), list[RejectedRow]()
    with require_unchanged(path, stamp):
        for batch in table.read_batches([*contract.identity, contract.target.name]):
            ids, earnings, rejected = _select_usable(batch, contract)
            usable.append((ids, earnings))
            left_out += rejected
        digest = hash_file(path)
    ids = pa.concat_arrays([ids for ids, _ in usable]) if usable else make_text_column([])
    _check_limit(path, left_out, len(ids) + len(left_out), limit)
    _check_duplicates(path, ids, contract)
    return Actuals(path, digest, ids, np.concatenate([earnings for _, earnings in usable]), left_out)


def _require_columns(path: TablePath, schema: pa.Schema, contract: Contract) -> None:
    missing = [name for name in contract.identity if name not in schema.names]
    if missing:
        raise ColumnsError(
            f"{path} lacks {', '.join(missing)}, which identifies a title (it has {', '.join(schema.names)})",
            hint="Add the ids that the scored titles had; see docs/guides/backtest.md",
        )
    require_columns(str(path), schema, [contract.target])


def _select_usable(batch: Batch, contract: Contract) -> tuple[pa.Array, FloatArray, Sequence[RejectedRow]]:
    """Return the ids and the earnings of the usable rows, and the unusable rows."""
    screened = screen(batch, [contract.target], missing_values=contract.missing_values)
    ids = make_ids([keep_rows(batch.table.column(name), screened.accepted) for name in contract.identity])
    lacks_id = null_mask(ids)
    rows = batch.rows[screened.accepted][lacks_id].tolist()
    without_id = [RejectedRow(row, contract.identity[0], "", f"{contract.identity[0]}: missing", "") for row in rows]
    rejected = sorted([*screened.rejected, *without_id], key=lambda reject: reject.row)
    return ids.drop_null(), screened.values[~lacks_id, 0], rejected


def _check_limit(path: TablePath, left_out: Sequence[RejectedRow], rows: int, limit: RejectLimit) -> None:
    if not rows:
        raise InputError(f"{path} has no rows; expected titles and their earnings")
    if len(left_out) > limit.allowed(rows):
        raise TooManyRejectsError(
            f"{len(left_out):,} of {format_count(rows, 'row')} of {path} can't be used, "
            f"more than the {limit.allowed(rows):,} allowed. First: {'; '.join(describe_left_out(left_out))}",
            hint="Correct or remove them; or allow more: --max-rejects N or N%",
        )


def _check_duplicates(path: TablePath, ids: pa.Array, contract: Contract) -> None:
    encoded = ids.dictionary_encode()
    if len(encoded.dictionary) == len(ids):
        return
    counts = np.bincount(to_numpy(encoded.indices))
    duplicates = keep_rows(encoded.dictionary, counts > 1)
    raise InputError(
        f"{path} has {format_count(len(duplicates), 'duplicate id')} ({format_examples(duplicates)}); "
        "expected one row per title",
        hint=f"Keep one row for each {', '.join(contract.identity)}",
    )


def describe_left_out(left_out: Sequence[RejectedRow]) -> list[str]:
    """Describe the first few rows that were left out."""
    return [f"row {reject.row}: {reject.reason}" for reject in left_out[:_EXAMPLES]]


def make_ids(columns: Sequence[pa.Array]) -> pa.Array:
    """Join the identity columns into one text id, so that 7 and "7" are the same id.

    Args:
        columns: Arrow (n,) each, of text or whole numbers.

    Returns:
        Arrow text (n,), null where a part is missing.
    """
    texts = [_to_text(column) for column in columns]
    return texts[0] if len(texts) == 1 else compute.binary_join_element_wise(*texts, make_text_column([_SEPARATOR])[0])


def _to_text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type) and compute.all(compute.equal(column, compute.trunc(column))).as_py():
        column = column.cast(pa.int64(), safe=False)  # pandas turns whole numbers into floats if one is missing
    text = compute.utf8_trim_whitespace(column.cast(pa.string()))
    return compute.if_else(compute.equal(text, make_text_column([""])[0]), pa.nulls(1, pa.string())[0], text)


def format_examples(ids: pa.Array) -> str:
    """Format some ids, as in ``'007', '008', …``."""
    examples = [repr(value.as_py().replace(_SEPARATOR, ", ")) for value in ids.drop_null()[:_EXAMPLES]]
    return ", ".join(examples) + (", …" if len(ids) > _EXAMPLES else "")


@dataclass
class DayMatches:
    """The predictions of a date, joined with actual earnings.

    Attributes:
        sums: the errors of the predictions with actual earnings.
        waiting: the number of predictions of titles without actual earnings.
        without_id: the number of predictions without an id.
        duplicates: the number of titles with more than one prediction.
        example_ids: some predicted ids, for messages.
    """

    sums: TitleSums
    rows: int = 0
    waiting: int = 0
    without_id: int = 0
    duplicates: int = 0
    example_ids: str = ""


def join_date(run: PublishedRun, actuals: Actuals, contract: Contract) -> DayMatches:
    """Join the predictions of a date with actual earnings.

    Raises:
        InputError: a prediction is not finite, or is of another version than the report says.
    """

    def join(tables: Iterator[pa.Table]) -> DayMatches:
        matches = DayMatches(TitleSums(len(actuals)))
        for number, table in enumerate(tables):
            _add_table(matches, table, run, actuals, contract, number)
        matches.duplicates = int(np.count_nonzero(matches.sums.rows > 1))
        return matches

    if not run.columns:
        return DayMatches(TitleSums(len(actuals)))
    bounds = _BOUNDS if set(_BOUNDS) <= set(run.columns) else ()
    return run.scan([*contract.identity, PREDICTION_COLUMN, OUTSIDE_COLUMN, VERSION_COLUMN, *bounds], join)


def _add_table(
    matches: DayMatches, table: pa.Table, run: PublishedRun, actuals: Actuals, contract: Contract, number: int
) -> None:
    ids = make_ids([_read_column(table, name) for name in contract.identity])
    predicted = _read_numbers(table, PREDICTION_COLUMN)
    _check_predictions(run, predicted, _read_numbers(table, VERSION_COLUMN))
    titles = actuals.find_positions(ids)
    has_actual, lacks_id = titles >= 0, null_mask(ids)
    low, high = (
        _read_numbers(table, name)[has_actual]
        if name in table.column_names
        else np.full(np.count_nonzero(has_actual), np.nan)
        for name in _BOUNDS
    )
    matches.rows += len(table)
    matches.without_id += int(lacks_id.sum())
    matches.waiting += int((~has_actual & ~lacks_id).sum())
    matches.example_ids = matches.example_ids or format_examples(ids)
    rows = MatchedRows(
        titles=titles[has_actual],
        actual=actuals.earnings[titles[has_actual]],
        predicted=predicted[has_actual],
        outside=_read_numbers(table, OUTSIDE_COLUMN)[has_actual] == 1,
        low=low,
        high=high,
    )
    matches.sums.add(rows, seed=(run.day.toordinal(), number))


def _check_predictions(run: PublishedRun, predicted: npt.NDArray[Any], versions: npt.NDArray[Any]) -> None:
    infinite = np.flatnonzero(~np.isfinite(predicted))
    if len(infinite):
        raise InputError(
            f"{run.path} has {format_count(len(infinite), 'prediction')} without a finite value",
            hint="Score this date again",
        )
    others = sorted({int(version) for version in np.unique(versions) if version != run.version})
    if others:
        raise InputError(
            f"{run.path} holds predictions of version {others[0]}; expected version {run.version}, as in its report",
            hint="Score this date again",
        )


def _read_column(table: pa.Table, name: str) -> pa.Array:
    combined = table.column(name).combine_chunks()
    return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined


def _read_numbers(table: pa.Table, name: str) -> FloatArray:
    numbers, _ = convert_to_numbers(_read_column(table, name), words=True)
    return numbers.astype(np.float64)
