"""What titles earned in the end: a file of ids and earnings, to hold predictions to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.arrow import keep_rows, null_mask, text_column, to_numpy
from gamesales.data.contract import Contract
from gamesales.data.files import stamp, unchanged
from gamesales.data.open_table import open_table
from gamesales.data.screen import RejectLimit, require_columns, screen
from gamesales.data.table import BadRow, Batch
from gamesales.errors import ColumnsError, InputError, InputNotFoundError, TooManyRejectsError

_SHOWN = 3
# Between the parts of an id of several columns; ASCII's own sign for that.
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Actuals:
    """Titles and their earnings: ``ids`` Arrow text (n,), no two alike; ``earnings`` float64 (n,).

    ``left_out`` are the rows without a usable id or earnings, with their reasons.
    """

    path: Path
    sha256: str
    ids: pa.Array
    earnings: FloatArray
    left_out: Sequence[BadRow]

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, ids: pa.Array) -> IntArray:
        """Return where ids stand among ours: int64 (n,), -1 for those that don't. Args: ids: as ``as_ids`` returns."""
        found = compute.index_in(ids, value_set=self.ids)
        return np.where(null_mask(found), -1, to_numpy(found)).astype(np.int64)

    @cached_property
    def examples(self) -> str:
        return examples(self.ids)


def read_actuals(path: Path, contract: Contract, limit: RejectLimit) -> Actuals:
    """Read a CSV or Parquet file with the contract's identity and target.

    Raises: ColumnsError: columns are missing. InputError: an id comes twice, or no row can be used.
        TooManyRejectsError: more rows are unusable than the limit allows.
    """
    if not path.exists():
        raise InputNotFoundError(f"no file {path}", hint="Give --actuals a .csv or .parquet file that exists")
    since = stamp(path)
    table = open_table(path)
    _require(path, table.schema, contract)
    kept, left_out = list[tuple[pa.Array, FloatArray]](), list[BadRow]()
    with unchanged(path, since):
        for batch in table.batches([*contract.identity, contract.target.name]):
            ids, earnings, rejected = _usable(batch, contract)
            kept.append((ids, earnings))
            left_out += rejected
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    ids = pa.concat_arrays([ids for ids, _ in kept]) if kept else text_column([])
    _check_limit(path, left_out, len(ids) + len(left_out), limit)
    _check_doubled(path, ids, contract)
    return Actuals(path, digest, ids, np.concatenate([earnings for _, earnings in kept]), left_out)


def as_ids(columns: Sequence[pa.Array]) -> pa.Array:
    """Write the identity columns of some rows as text, so that 7 and "7" are one id; null where one is missing.

    Args: columns: Arrow (n,) each, of text or whole numbers.  Returns: text (n,).
    """
    texts = [_as_text(column) for column in columns]
    return texts[0] if len(texts) == 1 else compute.binary_join_element_wise(*texts, text_column([_SEPARATOR])[0])


def examples(ids: pa.Array) -> str:
    """Show some ids, as in ``'007', '008', …``."""
    shown = [repr(one.as_py().replace(_SEPARATOR, ", ")) for one in ids.drop_null()[:_SHOWN]]
    return ", ".join(shown) + (", …" if len(ids) > _SHOWN else "")


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type) and compute.all(compute.equal(column, compute.trunc(column))).as_py():
        column = column.cast(pa.int64(), safe=False)  # what pandas makes of whole numbers where one was missing
    text = compute.utf8_trim_whitespace(column.cast(pa.string()))
    return compute.if_else(compute.equal(text, text_column([""])[0]), pa.nulls(1, pa.string())[0], text)


def _require(path: Path, schema: pa.Schema, contract: Contract) -> None:
    missing = [name for name in contract.identity if name not in schema.names]
    if missing:
        raise ColumnsError(
            f"{path} lacks {', '.join(missing)}, by which predictions are found (it has {', '.join(schema.names)})",
            hint="Add the ids that the scored titles had; see docs/backtest.md",
        )
    require_columns(str(path), schema, [contract.target])


def _usable(batch: Batch, contract: Contract) -> tuple[pa.Array, FloatArray, Sequence[BadRow]]:
    """Tell the rows that have an id and earnings from those that have not."""
    screened = screen(batch, [contract.target])
    ids = as_ids([keep_rows(batch.table.column(name), screened.accepted) for name in contract.identity])
    nameless = null_mask(ids)
    rows = batch.rows[screened.accepted][nameless].tolist()
    unnamed = [BadRow(row, contract.identity[0], "", f"{contract.identity[0]}: missing", "") for row in rows]
    rejected = sorted([*screened.rejected, *unnamed], key=lambda one: one.row)
    return ids.drop_null(), screened.values[~nameless, 0], rejected


def _check_limit(path: Path, left_out: Sequence[BadRow], rows: int, limit: RejectLimit) -> None:
    if not rows:
        raise InputError(f"{path} has no rows; expected titles and their earnings")
    if len(left_out) > limit.allowed(rows):
        raise TooManyRejectsError(
            f"{len(left_out):,} of {rows:,} rows of {path} can't be used, more than the {limit.allowed(rows):,} "
            f"allowed. First: {'; '.join(told_rows(left_out))}",
            hint="Mend or remove them; or allow more: --max-rejects N or N%",
        )


def told_rows(left_out: Sequence[BadRow]) -> list[str]:
    """Tell the first few rows that were left out in words."""
    return [f"row {one.row}: {one.reason}" for one in left_out[:_SHOWN]]


def _check_doubled(path: Path, ids: pa.Array, contract: Contract) -> None:
    encoded = ids.dictionary_encode()
    if len(encoded.dictionary) == len(ids):
        return
    counts = np.bincount(to_numpy(encoded.indices))
    doubled = keep_rows(encoded.dictionary, counts > 1)
    raise InputError(
        f"{path} has {len(doubled):,} ids more than once ({examples(doubled)}); which earnings are theirs?",
        hint=f"Keep one row for each {', '.join(contract.identity)}",
    )
