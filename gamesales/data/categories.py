"""The codes of a category column: text becomes the index of a value that training has seen.

Code 0 is any other value, codes 1 to V are the V values of the contract, and V + 1 is a missing cell, if the contract
makes it a category of its own. Texts are compared without the blanks around them. Case matters. The text of an integer
is its decimal digits. A number such as ``2006.0``, which pandas writes for integers in a column with gaps, is 2006.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.arrow import is_text, make_text_column, may_be_text, null_mask, to_arrow, to_numpy
from gamesales.data.column_rules import normalize_text
from gamesales.data.contract import Column

# The codes of cells that reject their row.
MISSING, UNSEEN = -1, -2
OTHER = 0
# Texts of categories in reports and on pages are cut to this many characters.
_MAX_LABEL = 40
_REASONS = {MISSING: "missing", UNSEEN: "a value that the contract does not have"}

Codes = npt.NDArray[np.int32]


def holds_categories(arrow_type: pa.DataType) -> bool:
    """Return whether a column of this type may hold categories: text, whole numbers or booleans."""
    if pa.types.is_dictionary(arrow_type):
        return holds_categories(arrow_type.value_type)
    tests = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_floating, pa.types.is_null)
    return may_be_text(arrow_type) or any(test(arrow_type) for test in tests)


def encode_categories(array: pa.Array, column: Column, missing_values: Collection[str]) -> tuple[Codes, BoolArray]:
    """Encode the cells of a column.

    Args:
        array: Arrow (n,) of a type that may hold categories.
        column: the category with its values.
        missing_values: the texts of a missing cell.

    Returns:
        int32 (n,) codes, negative for a cell that rejects its row, and bool (n,), True where a cell is missing.
    """
    texts, indices = list_distinct_texts(array)
    codes = {value: code for code, value in enumerate(column.values, 1)}
    unseen = OTHER if column.unseen == "other" else UNSEEN
    missing_code = len(column.values) + 1 if column.missing == "category" else MISSING
    is_missing = np.array([not text or text in missing_values for text in texts], bool)
    distinct = np.array([codes.get(text, unseen) for text in texts], np.int32)
    distinct[is_missing] = missing_code
    return distinct[indices], is_missing[indices]


def explain_code(code: int) -> str:
    """Return why a negative code rejects its row."""
    return _REASONS[code]


def count_categories(array: pa.Array, missing_values: Collection[str]) -> Counter[str]:
    """Count the texts of a column, without missing cells."""
    texts, indices = list_distinct_texts(array)
    rows = np.bincount(indices, minlength=len(texts)).tolist()
    counts: Counter[str] = Counter()
    for text, count in zip(texts, rows, strict=True):
        if text and text not in missing_values:
            counts[text] += count
    return counts


def choose_values(counts: Counter[str], min_count: int) -> tuple[str, ...]:
    """Return the texts with enough rows, the most frequent first. Equal counts are in the order of their texts."""
    frequent = [(-count, text) for text, count in counts.items() if count >= min_count]
    return tuple(text for _, text in sorted(frequent))


def format_code(column: Column, code: float) -> str:
    """Return the text of a code: a value of the column, ``other`` or ``missing``."""
    index = int(code)
    if index == OTHER:
        return "other"
    return "missing" if index > len(column.values) or index < 0 else column.values[index - 1]


def list_codes(column: Column) -> list[str]:
    """Return the texts of all codes of a column, from 0."""
    last = ["missing"] if column.missing == "category" else []
    return ["other", *column.values, *last]


def find_missing(cells: FloatArray, column: Column) -> BoolArray:
    """Mark the missing cells of a column of numbers or codes, (n,): NaN, or the code of missing categories."""
    return np.asarray(cells > len(column.values)) if column.kind == "category" else np.isnan(cells)


def shorten_label(text: str) -> str:
    """Cut the text of a category, which may have any length and any characters, to a line of 40 characters."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 2 * _MAX_LABEL])
    is_long = len(text) > _MAX_LABEL
    return f"{printable[: _MAX_LABEL - 1]}…" if is_long else printable


def is_unseen(text: str, column: Column, missing_values: Collection[str] = ()) -> bool:
    """Return whether a text is neither a value of a category nor missing."""
    (code,), (missing,) = encode_categories(make_text_column([text]), column, missing_values)
    return code in (OTHER, UNSEEN) and not missing


def list_distinct_texts(array: pa.Array) -> tuple[list[str], npt.NDArray[np.intp]]:
    """Return the distinct texts of a column without blanks around them, and the index of each cell's text, int (n,).

    The text of a null is empty. Different texts may be equal after their blanks are removed.
    """
    nulls = null_mask(array)
    if pa.types.is_null(array.type):
        return [""], np.zeros(len(array), np.intp)
    if pa.types.is_dictionary(array.type) and len(array.dictionary) > len(array):
        array = _drop_unused(array)  # a batch may have the dictionary of a whole file
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    texts = [*_list_texts(encoded.dictionary), ""]
    if nulls.any():
        return texts, np.where(nulls, len(texts) - 1, to_numpy(encoded.indices).astype(np.intp))
    return texts, to_numpy(encoded.indices).astype(np.intp)


def _drop_unused(array: pa.Array) -> pa.Array:
    """Return a dictionary column without the values that no cell has."""
    nulls, values = null_mask(array.indices), array.dictionary
    used, places = np.unique(np.where(nulls, 0, to_numpy(array.indices)), return_inverse=True)
    if may_be_text(values.type):
        values = values.cast(pa.large_binary())  # Arrow can't take views
    return pa.DictionaryArray.from_arrays(to_arrow(places.astype(np.int32), nulls), values.take(to_arrow(used)))


def _list_texts(values: pa.Array) -> list[str]:
    """Return the texts of distinct values."""
    if may_be_text(values.type):
        binary = values if not is_text(values.type) else values.cast(pa.large_binary())
        cells = binary.cast(pa.large_binary()).to_pylist()  # Parquet does not check that text is UTF-8
        return [normalize_text("" if cell is None else cell.decode(errors="replace")) for cell in cells]
    return [_format_number(cell) for cell in values.to_pylist()]


def _format_number(cell: float | None) -> str:
    if cell is None or math.isnan(cell):
        return ""
    return str(int(cell)) if float(cell).is_integer() else repr(cell)
