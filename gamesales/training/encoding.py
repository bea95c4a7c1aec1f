"""The encoding of columns: how the first layer of a network encodes categories, dates, gaps and skewed numbers.

A network gets the raw columns of such a contract: numbers, codes of categories, days of dates, and NaN for a missing
cell. Its first layer, a ``ColumnEncoder``, turns each column into numbers of about 0 to 1:

- A category becomes an indicator for each code that occurs in training.
- A number is scaled to 0..1. With the encoding ``quantiles``, it also gets pieces: piece j grows from 0 to 1 between
  the quantiles j and j + 1 of training. Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in
  Tabular Deep Learning", NeurIPS 2022, found that such pieces let networks match boosted trees.
- A date gets the pieces of its days, and indicators for its month and its weekday.
- A missing cell gets the fill value of its column, and an indicator if training has missing cells.

A contract of numbers without these rules needs no encoder; see ``scaling``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray
from gamesales.data.contract import Column, Contract
from gamesales.training.train_job import LayerSpec, NetworkSpec

Float32Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

ENCODER = "ColumnEncoder"
# The pieces of a number are between this many quantiles and one more.
_PIECES = 16
_MONTHS, _WEEKDAYS = 12, 7


@dataclass(frozen=True)
class ColumnEncoding:
    """The encoding of a column.

    Attributes:
        kind: number, category or date.
        scale, offset: ``value * scale + offset`` is 0 to 1 in training.
        edges: the quantiles between which the pieces grow, ascending; empty for a number without pieces.
        fill: the value of a missing cell.
        has_indicator: whether a missing cell is marked.
        first_code, codes: of a category, the smallest code that occurs in training, and the number of codes from there.
    """

    name: str
    kind: str
    scale: float = 1.0
    offset: float = 0.0
    edges: tuple[float, ...] = ()
    fill: float = 0.0
    has_indicator: bool = False
    first_code: int = 0
    codes: int = 0

    @property
    def width(self) -> int:
        """The number of inputs of the network that the column becomes."""
        if self.kind == "category":
            return self.codes
        parts = _MONTHS + _WEEKDAYS if self.kind == "date" else 0
        return 1 + self.pieces + parts + self.has_indicator

    @property
    def pieces(self) -> int:
        return max(len(self.edges) - 1, 0)


# The encodings of all features, in the order of the contract.
Encoding = tuple[ColumnEncoding, ...]


def count_inputs(encoding: Encoding) -> int:
    """Return the number of inputs of the network that all columns become."""
    return sum(column.width for column in encoding)


def needs_encoding(contract: Contract) -> bool:
    """Return whether a contract has columns that need more than scaling."""
    return any(
        column.kind in ("category", "date") or column.may_be_missing or column.encoding != "minmax"
        for column in contract.features
    )


def fit_encoding(contract: Contract, features: FloatArray) -> Encoding | None:
    """Fit the encoding of titles.

    Args:
        contract: the k features, with the values of their categories.
        features: the training titles, float64 (n, k).

    Returns:
        The encoding; None for a contract that needs none.
    """
    if not needs_encoding(contract):
        return None
    return tuple(_fit_column(column, values) for column, values in zip(contract.features, features.T, strict=True))


def _fit_column(column: Column, values: FloatArray) -> ColumnEncoding:
    if column.kind == "category":
        first, last = int(values.min()), int(values.max())
        return ColumnEncoding(column.name, "category", first_code=first, codes=last - first + 1)
    missing = np.isnan(values)
    present = values[~missing] if not missing.all() else np.array([_guess_value(column)])
    low, high = float(present.min()), float(present.max())
    # Without a range, a value far from 0 must not become a large number, for which float32 has few digits.
    scale = 1 / (high - low if high > low else max(abs(low), 1.0))
    edges: FloatArray = np.empty(0)
    if column.kind == "date" or column.encoding == "quantiles":
        edges = np.unique(np.quantile(present, np.linspace(0, 1, _PIECES + 1)).astype(np.float32))
    return ColumnEncoding(
        name=column.name,
        kind="date" if column.kind == "date" else "number",
        scale=scale,
        offset=-low * scale,
        edges=tuple(edges.tolist()) if len(edges) > 1 else (),
        fill=_compute_fill(column, present),
        has_indicator=bool(missing.any()),
    )


def _guess_value(column: Column) -> float:
    """Return a value that the contract allows, for a column without any value in training."""
    bounds = (column.minimum, column.above, column.maximum)
    return float(next((bound for bound in bounds if bound is not None), 0.0))


def _compute_fill(column: Column, present: FloatArray) -> float:
    if isinstance(column.missing, str):
        return float(present.mean() if column.missing == "mean" else np.median(present))
    return float(column.missing)


def add_encoder(network: NetworkSpec, encoding: Encoding | None) -> NetworkSpec:
    """Return a network with an encoder as its first layer; the same network without an encoding."""
    if encoding is None:
        return network
    columns = [asdict(column) | {"edges": list(column.edges)} for column in encoding]
    encoder = LayerSpec.model_validate({"layer": ENCODER, "columns": columns})
    return NetworkSpec(layers=(encoder, *network.layers))


def remove_encoder(network: NetworkSpec) -> NetworkSpec:
    """Return a network without its encoder."""
    return NetworkSpec(layers=network.layers[1:]) if network.layers[0].layer == ENCODER else network


def read_encoding(network: NetworkSpec) -> Encoding | None:
    """Return the encoding of a network whose first layer is an encoder, or None."""
    first = network.layers[0]
    return restore_encoding(first.arguments["columns"]) if first.layer == ENCODER else None


def restore_encoding(columns: Sequence[Mapping[str, Any]]) -> Encoding:
    """Return the encoding from the configuration of an encoder."""
    return tuple(ColumnEncoding(**{**column, "edges": tuple(column["edges"])}) for column in columns)


@dataclass(frozen=True)
class EncodingTables:
    """An encoding as arrays, which the layer, the scoring graph and NumPy apply to titles (n, k).

    The numbers of all columns become p numbers: ``clip((value - start) * slope, low, high)``, each from one column.

    Attributes:
        fills: float32 (k,), the values of missing cells.
        columns: int (p,), the column of each number.
        starts, slopes, lows, highs: float32 (p,).
        indicators: int (i,), the columns whose missing cells are marked.
        categories: the column, the first code and the number of codes of each category.
        dates: the columns of dates.
    """

    fills: Float32Array
    columns: Indices
    starts: Float32Array
    slopes: Float32Array
    lows: Float32Array
    highs: Float32Array
    indicators: Indices
    categories: tuple[tuple[int, int, int], ...]
    dates: tuple[int, ...]

    @classmethod
    def from_encoding(cls, encoding: Encoding) -> EncodingTables:
        rows: list[tuple[int, float, float, float, float]] = []
        for index, column in enumerate(encoding):
            if column.kind == "category":
                continue
            # The first number is not clipped, so that it goes on beyond the training range.
            rows.append((index, -column.offset / column.scale, column.scale, -np.inf, np.inf))
            for start, end in zip(column.edges, column.edges[1:], strict=False):
                rows.append((index, start, 1 / (end - start), 0.0, 1.0))
        columns, *numbers = zip(*rows, strict=True) if rows else [()] * 5
        starts, slopes, lows, highs = (np.array(values, np.float32) for values in numbers)
        return cls(
            fills=np.array([column.fill for column in encoding], np.float32),
            columns=np.array(columns, np.int32),
            starts=starts,
            slopes=slopes,
            lows=lows,
            highs=highs,
            indicators=np.array([i for i, column in enumerate(encoding) if column.has_indicator], np.int32),
            categories=tuple(
                (index, column.first_code, column.codes)
                for index, column in enumerate(encoding)
                if column.kind == "category"
            ),
            dates=tuple(index for index, column in enumerate(encoding) if column.kind == "date"),
        )

    @property
    def code_counts(self) -> list[int]:
        """The number of codes of each category, month and weekday, in the order of ``list_codes``."""
        return [count for *_, count in self.categories] + [_MONTHS, _WEEKDAYS] * len(self.dates)

    def encode_numbers(self, values: Any) -> tuple[Any, Any]:
        """Return the titles without missing cells, (n, k), and their numbers and indicators, (n, p + i)."""
        from keras import ops

        is_missing = ops.isnan(values)
        filled = ops.where(is_missing, self.fills, values)
        numbers = (ops.take(filled, self.columns, axis=1) - self.starts) * self.slopes
        numbers = ops.minimum(ops.maximum(numbers, self.lows), self.highs)
        if len(self.indicators):
            marks = ops.cast(ops.take(is_missing, self.indicators, axis=1), "float32")
            numbers = ops.concatenate([numbers, marks], axis=1)
        return filled, numbers

    def list_codes(self, filled: Any) -> list[tuple[Any, int]]:
        """Return the codes of each category, month and weekday, int32 (n,), with the number of codes.

        A category's codes count from its first code. A code of the number or above has no indicator.
        """
        from keras import ops

        codes = []
        for index, first, count in self.categories:
            code = ops.cast(filled[:, index], "int32") - first
            codes.append((ops.where(code < 0, count, code), count))  # ONNX counts negative codes from the last
        for index in self.dates:
            month, weekday = split_days(filled[:, index])
            codes += [(month, _MONTHS), (weekday, _WEEKDAYS)]
        return codes


# The days from 0000-03-01 to 1970-01-01, and of 400 years. A year begins in March here, so a leap day is last.
_DAYS_TO_EPOCH, _DAYS_OF_ERA = 719_468, 146_097
_LAST_DAY = 2_932_896  # 9999-12-31


def split_days(days: Any) -> tuple[Any, Any]:
    """Return the month, 0 for January, and the weekday, 0 for Monday, of days since 1970-01-01: int32 (n,) each.

    The Gregorian calendar by integers: Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013.
    """
    from keras import ops

    day = ops.cast(ops.floor(ops.clip(days, -_DAYS_TO_EPOCH, _LAST_DAY)), "int32") + _DAYS_TO_EPOCH
    of_era = day - day // _DAYS_OF_ERA * _DAYS_OF_ERA
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    from_march = (5 * of_year + 2) // 153
    month = from_march + 2 - (from_march + 2) // 12 * 12
    weekday = day + 2 - (day + 2) // 7 * 7
    return month, weekday


def encode(encoding: Encoding, values: Any) -> Any:
    """Encode titles (n, k) as inputs of a network, float32 (n, w): numbers, indicators, then codes."""
    from keras import ops

    tables = EncodingTables.from_encoding(encoding)
    filled, numbers = tables.encode_numbers(ops.cast(values, "float32"))
    indicators = [ops.one_hot(codes, count, dtype="float32") for codes, count in tables.list_codes(filled)]
    return ops.concatenate([numbers, *indicators], axis=1) if indicators else numbers
