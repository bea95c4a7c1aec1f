"""The Python API: find a version in a registry and predict with it.

    >>> from gamesales import Registry
    >>> Registry("registry").load("game-earnings@champion").predict(titles)
    array([ 88736.42, 67396.57, …])

It loads what scoring loads and nothing more: no TensorFlow, no pandas, no unpickling.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.arrays import FloatArray
from gamesales.data.arrow import text_column, to_arrow
from gamesales.data.contract import Contract
from gamesales.data.screen import require_columns
from gamesales.data.table import Batch, shorten
from gamesales.errors import ColumnsError, InputError, UsageError
from gamesales.jobs.loading import load, open_registry
from gamesales.registry.refs import DEFAULT_MODEL, parse_ref
from gamesales.scoring.output import FILE_SUFFIXES
from gamesales.scoring.predict import Predicted, predict_titles
from gamesales.scoring.results import read_file, read_folder
from gamesales.scoring.scorer import LoadedVersion


class Predictor:
    """One loaded version. It keeps predicting with that version, whatever is promoted meanwhile."""

    def __init__(self, version: LoadedVersion) -> None:
        self._version = version

    @property
    def model(self) -> str:
        return self._version.model

    @property
    def version(self) -> int:
        return self._version.number

    @property
    def contract(self) -> Contract:
        return self._version.contract

    @property
    def coverage(self) -> float | None:
        """The share of titles that the version's intervals are to hold; None if it gives none."""
        return self._version.interval.coverage if self._version.interval else None

    def predict(self, titles: Any) -> FloatArray:
        """Predict what titles will earn.

        Args:
            titles: an Arrow table or record batch, a pandas frame, or a mapping of column names to arrays, (n,)
                each. Columns beyond the contract's are ignored; their order does not matter.

        Returns: float64 (n,), US dollars, in the order of the rows.
        Raises: ColumnsError: columns are missing, doubled or hold no numbers. InputError: rows break the contract;
            the first few are named, counted from 1. TypeError: it is no table.
        """
        return self._predict(titles).earnings

    def predict_interval(self, titles: Any) -> tuple[FloatArray, FloatArray]:
        """Predict between which dollars the earnings of titles lie.

        Args: titles: as for ``predict``.
        Returns: the lower and the upper bounds, float64 (n,) each, US dollars, in the order of the rows. They are to
            hold the share of titles that ``coverage`` tells.
        Raises: UsageError: the version gives no intervals. And what ``predict`` raises.
        """
        if self._version.interval is None:
            raise UsageError(
                f"version {self.version} of {self.model} gives no prediction intervals",
                hint="Train one that does: see [intervals] in docs/train.md",
            )
        low, high = self._predict(titles).bounds
        return low, high

    def _predict(self, titles: Any) -> Predicted:
        _check_columns(titles, self.contract)
        table = _as_batch(titles, self.contract.feature_names)
        rows = np.arange(1, len(table) + 1, dtype=np.int64)
        predicted = predict_titles(Batch(table, rows), self._version)
        rejected = predicted.screened.rejected
        if rejected:
            raise InputError(
                f"{len(rejected):,} of {len(table):,} rows can't be scored: {shorten(rejected)}",
                hint="Mend or drop these rows; see docs/contract.md",
            )
        return predicted


class Registry:
    """A registry of versions, on disk or in an object store.

    Args: path: its folder or URL; ``make train`` and the command line use ``registry``.
    """

    def __init__(self, path: str | Path = "registry") -> None:
        self._path = path

    def load(self, ref: str) -> Predictor:
        """Load a version, every byte of it checked and its golden rows reproduced.

        Args: ref: ``4``, ``game-earnings/4``, ``@champion`` or ``game-earnings@champion``.
        Raises: UnknownVersionError, NothingPromotedError: there is none. IntegrityError: its bytes were changed.
            SelfTestError: it does not work on this machine.
        """
        parsed = parse_ref(ref, DEFAULT_MODEL)
        registry = open_registry(self._path, parsed.model)
        return Predictor(load(registry, parsed))


def read_predictions(path: str | Path, day: str | date | None = None) -> pa.Table:
    """Read what was predicted, whole: all of one run, never of two.

    A run that is published in between is noticed; then it is read again.

    Args:
        path: the folder of dated partitions, or a single file, of which what passes through a CSV is text.
        day: ``2026-11-23``; a single file need not be asked for its date.

    Raises: InputNotFoundError: nothing was published there for the date. InputError: a single file is not the one that
        the report beside it tells of. UsageError: a folder without a date.
    """
    place = Path(path)
    if place.suffix.lower() in FILE_SUFFIXES:
        return read_file(place, day)
    if day is None:
        raise UsageError(f"{place} is a folder of dates; which one?", hint='read_predictions(path, "2026-11-23")')
    return read_folder(place, day)


def _check_columns(titles: Any, contract: Contract) -> None:
    """Raises: ColumnsError: columns are missing or doubled, or of an Arrow type that holds no numbers."""
    if isinstance(titles, (pa.Table, pa.RecordBatch)):
        schema = titles.schema
    elif isinstance(titles, Mapping) or hasattr(titles, "columns"):
        schema = pa.schema([(str(name), pa.null()) for name in getattr(titles, "columns", titles)])
    else:
        raise TypeError(
            f"expected an Arrow table, a pandas frame or a mapping of arrays, received {type(titles).__name__}"
        )
    doubled = [name for name in contract.feature_names if schema.names.count(name) > 1]
    if doubled:
        raise ColumnsError(f"the table has columns twice: {', '.join(doubled)}", hint="Rename or drop one of each")
    require_columns("the table", schema, contract.features)


def _as_batch(titles: Any, names: tuple[str, ...]) -> pa.RecordBatch:
    """Bring the features of any kind of table into one record batch."""
    if isinstance(titles, (pa.Table, pa.RecordBatch)):
        columns = [_whole(titles.column(name)) for name in names]
    else:
        columns = [_from_array(name, titles[name]) for name in names]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{name}: {len(column)}" for name, column in zip(names, columns, strict=True))
        raise InputError(f"the columns have different lengths ({lengths})")
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        combined = column.combine_chunks()
        return combined.combine_chunks() if isinstance(combined, pa.ChunkedArray) else combined
    return column


def _from_array(name: str, column: Any) -> pa.Array:
    """Numbers and booleans become float64; anything else is read as text, None as an empty one."""
    if isinstance(column, np.ma.MaskedArray):
        column = np.ma.filled(column.astype(np.float64), np.nan)
    values = np.asarray(column)
    if values.ndim != 1:
        raise InputError(
            f"{name} has shape {values.shape}, expected (n,): a number for each title",
            hint=f'For one title, give lists of one: {{"{name}": [4.5], …}}',
        )
    if values.dtype.kind in "biuf":
        return to_arrow(values.astype(np.float64))
    return text_column(["" if value is None else str(value) for value in values.tolist()])
