"""The raw columns of an export: which texts become which codes, and rows to check an export with.

An export reads a cell as screening does; see ``gamesales.data.categories`` and ``gamesales.data.dates``. A row with a
cell that scoring rejects, because it is missing, unseen or no date, gets NaN. ``text_columns`` reads columns in
TensorFlow, and ``onnx_columns`` in ONNX.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import cycle, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.arrow import make_text_column
from gamesales.data.categories import OTHER, UNSEEN, encode_categories, list_distinct_texts
from gamesales.data.contract import Column, Contract
from gamesales.data.dates import format_date, read_dates

# The raw cells of each column by its name: str objects for text, float64 for numbers.
RawColumns = dict[str, npt.NDArray[Any]]

INPUTS_FORMAT = 1
_EPOCH = date(1970, 1, 1).toordinal()
# Directives of strptime that a graph can parse with regular expressions.
_DIRECTIVES = "YymdbBHMSf%"
# Blanks around a text, which an export must remove.
_PADDINGS = ("", " ", "", "\u00a0\t")


def list_text_codes(column: Column, missing_values: tuple[str, ...]) -> dict[str, int]:
    """Return the code of each text that a category knows: its values and the missing texts.

    A negative code rejects its row. Texts that no cell has after normalization are left out.
    """
    texts = ["", *missing_values, *column.values]
    codes, _ = encode_categories(make_text_column(texts), column, missing_values)
    normalized = normalize_texts(texts)
    pairs = zip(texts, normalized, codes.tolist(), strict=True)
    return {text: code for text, same, code in pairs if text == same}


def get_unseen_code(column: Column) -> int:
    """Return the code of a text that a category does not know."""
    return OTHER if column.unseen == "other" else UNSEEN


def list_missing_texts(missing_values: tuple[str, ...]) -> list[str]:
    """Return the texts of a missing cell, the empty text first."""
    texts = ["", *missing_values]
    return list(dict.fromkeys(text for text, same in zip(texts, normalize_texts(texts), strict=True) if text == same))


def normalize_texts(texts: list[str]) -> list[str]:
    """Return texts as screening compares them."""
    distinct, indices = list_distinct_texts(make_text_column(texts))
    return [distinct[index] for index in indices.tolist()]


def is_parsable(date_format: str) -> bool:
    """Return whether a graph can parse dates of this format. An empty format is ISO 8601."""
    directives = re.findall(r"%(.?)", date_format, re.DOTALL)
    counts = [sum(name in kind for name in directives) for kind in ("Yy", "mbB", *"dHMSf")]
    return all(name and name in _DIRECTIVES for name in directives) and max(counts) <= 1


def takes_text(column: Column) -> bool:
    """Return whether a SavedModel takes the column as text."""
    return column.kind == "category" or (column.kind == "date" and is_parsable(column.date_format))


def make_raw_columns(contract: Contract, values: FloatArray, *, onnx: bool = False) -> RawColumns:
    """Make raw cells that screening reads as given titles.

    Args:
        contract: the k columns, with the values of their categories.
        values: the titles, float64 (n, k), with codes, days and NaN.
        onnx: whether the cells are for ONNX, which takes dates as days and text without blanks around it.
    """
    missing = list_missing_texts(contract.missing_values)
    raw: RawColumns = {}
    for column, cells in zip(contract.features, values.T, strict=True):
        if column.kind == "category":
            texts = _write_categories(column, cells, missing)
        elif takes_text(column) and not onnx:
            texts = _write_dates(column, cells, missing)
        else:
            raw[column.name] = cells.copy()
            continue
        raw[column.name] = np.array(texts if onnx else [*_pad(texts)], object)
    return raw


def _write_categories(column: Column, codes: FloatArray, missing: list[str]) -> list[str]:
    values = {*column.values, *missing}
    unseen = next(text for number in range(len(values) + 1) if (text := f"unseen {number}") not in values)
    gaps = cycle(missing)
    texts = [unseen, *column.values]
    return [texts[int(code)] if code < len(texts) else next(gaps) for code in codes.tolist()]


def _write_dates(column: Column, days: FloatArray, missing: list[str]) -> list[str]:
    write = _write_iso if not column.date_format else _make_date_writer(column.date_format)
    gaps = cycle(missing)
    return [next(gaps) if np.isnan(day) else write(day) for day in days.tolist()]


def _write_iso(day: float) -> str:
    return format_date(_limit_day(day) - _EPOCH)


def _make_date_writer(date_format: str) -> Callable[[float], str]:
    return lambda day: date.fromordinal(_limit_day(day)).strftime(date_format)


def _limit_day(day: float) -> int:
    return int(min(max(day + _EPOCH, 1), date.max.toordinal()))


def _pad(texts: list[str]) -> Iterator[str]:
    """Yield texts with blanks around some of them."""
    for text, padding in zip(texts, islice(cycle(_PADDINGS), len(texts)), strict=True):
        yield f"{padding}{text}{padding}"


def read_raw_columns(contract: Contract, raw: RawColumns) -> tuple[FloatArray, BoolArray]:
    """Read raw cells as screening does.

    Returns:
        float64 (n, k), and bool (n,), True for a title with a cell that is missing, unseen or no date, and that the
        contract rejects.
    """
    columns, rejected = [], np.zeros(len(next(iter(raw.values()))), bool)
    for column in contract.features:
        cells = raw[column.name]
        if column.kind == "category":
            codes, _ = encode_categories(make_text_column(cells.tolist()), column, contract.missing_values)
            values, fails = codes.astype(np.float64), codes < 0
        elif cells.dtype == object:
            values, missing = read_dates(make_text_column(cells.tolist()), column.date_format, contract.missing_values)
            fails = np.isnan(values) & ~(missing & column.may_be_missing)
        else:
            values, fails = cells.astype(np.float64), np.isnan(cells) & (not column.may_be_missing)
        columns.append(values)
        rejected = rejected | fails
    return np.column_stack(columns), rejected


def describe_inputs(contract: Contract) -> str:
    """Describe the inputs of a network that takes a matrix of codes, as a document in JSON."""
    document = {
        "format": INPUTS_FORMAT,
        "input": "a matrix, float32 (n, k): the columns in this order",
        "output": {"name": contract.target.name, "unit": contract.target.unit},
        "missing_texts": list_missing_texts(contract.missing_values),
        "columns": [_describe_column(column, contract.missing_values) for column in contract.features],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _describe_column(column: Column, missing_values: tuple[str, ...]) -> Mapping[str, Any]:
    entry: dict[str, Any] = {"name": column.name, "kind": column.kind}
    if column.unit:
        entry["unit"] = column.unit
    if column.kind == "category":
        codes = list_text_codes(column, missing_values)
        # A text without a code rejects its row in scoring.
        entry["codes"] = {text: code for text, code in codes.items() if code >= 0}
        entry["unseen"] = get_unseen_code(column) if column.unseen == "other" else None
        return entry
    if column.kind == "date":
        entry |= {"unit": "days since 1970-01-01", "date_format": column.date_format or "ISO 8601"}
    return entry | {"missing": "NaN" if column.may_be_missing else None}
