"""Infer the content of a column: its kind, its range, its missing cells, and whether a model can use it.

The thresholds below are proposals for people to change in the contract. ``docs/decisions/`` has the measurements.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from gamesales.arrays import FloatArray
from gamesales.data.column_profile import ColumnProfile, DistinctCells, show_number
from gamesales.data.column_words import (
    CODE_WORDS,
    DATE_WORDS,
    ID_WORDS,
    MONEY_WORDS,
    PRICE_WORDS,
    RATING_WORDS,
    ends_in_word,
    guess_unit,
    has_word,
)
from gamesales.data.contract import OUTPUT_COLUMNS, Column
from gamesales.data.date_formats import DateFormat, find_date_format
from gamesales.data.screen import may_hold
from gamesales.data.source_table import TextColumn

# Texts that stand for a missing cell. "unknown" is not in the list: it may carry information.
MISSING_TEXTS = frozenset(
    ["NA", "N/A", "n/a", "N/a", "na", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "none", "tbd", "TBD"]
) | {"tba", "TBA", "-", "--", "?", "\\N", "."}
# The share of cells that must be numbers, or dates. The other cells do not fit.
MIN_SHARE = 0.9
# In a column of numbers, a word in this many cells is a word for a missing cell, if there are few such words.
_REPEATED, _MOST_WORDS = 2, 3
# The share of distinct texts above which texts identify rows, and above which they are no category.
_UNIQUE_SHARE, _TEXT_SHARE = 0.95, 0.5
_MOST_CATEGORIES = 10_000
# Text of more characters on average is prose, not a name.
_LONGEST_NAME = 60
# Numbers with this skewness or more enter the network by quantiles.
MAX_SKEWNESS = 2.0
# A target whose values span this factor is learned on a logarithmic scale.
_WIDE_SPAN = 1000
_MAXIMA_OF_RATINGS = (5.0, 10.0, 100.0)
_BEST_RATING_OF_STARS = 5.0
_FEW_ROWS = 20
# Numbers with a sign of a currency, separators of thousands, or a letter for thousands and millions.
_FORMATTED_NUMBER = re.compile(r"[-+]?[$€£¥]?\s?\d{1,3}([,. '\u202f]?\d{3})*([.,]\d+)?\s?(%|[kKmMbB]|\+|[$€£¥])?")
# The network computes in float32, where a larger number is infinity.
_LARGEST = float(np.finfo(np.float32).max)


def infer_column(source: TextColumn, decimal: str = ".") -> ColumnProfile:
    """Infer the content of a column from its texts and its name.

    Args:
        source: the column.
        decimal: the decimal mark of numbers.
    """
    profile = _infer_kind(source, decimal)
    if profile.column is None or may_hold(source.arrow_type, profile.column):
        return profile
    return replace(profile, column=None, why=f"has type {source.arrow_type}")


def _infer_kind(source: TextColumn, decimal: str) -> ColumnProfile:
    cells = _read_cells(source, decimal)
    if source.name in OUTPUT_COLUMNS or not source.name:
        return cells.build(None, "a name that scoring writes; rename the column", _number_texts(cells))
    if not cells.present_rows:
        return cells.build(None, "no cell has a value", np.full(len(source.texts), np.nan), shown="-")
    date_format = _find_dates(cells)
    if date_format is not None:
        return _infer_date(cells, date_format)
    if cells.number_share >= MIN_SHARE:
        return replace(_infer_number(_drop_repeated_words(cells)), is_numeric=True)
    if _are_flag_words(cells):
        return _infer_flag(cells)
    return _infer_text(cells)


def _read_cells(source: TextColumn, decimal: str) -> DistinctCells:
    is_missing = np.array([not text or text in MISSING_TEXTS for text in source.texts], bool)
    swap = str.maketrans(".,", ",.") if decimal == "," and not _is_typed(source.arrow_type) else {}
    numbers = np.array([_parse_number(text.translate(swap)) for text in source.texts], np.float64)
    return DistinctCells(source, is_missing, numbers)


def _is_typed(arrow_type: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_temporal)
    return any(test(arrow_type) for test in tests)


def _parse_number(text: str) -> float:
    try:
        number = float(text) if "_" not in text else np.nan
    except ValueError:
        return np.nan
    return number if abs(number) <= _LARGEST else np.nan


def _find_dates(cells: DistinctCells) -> DateFormat | None:
    """Find dates. Numbers are dates only if the name of the column says so: 20260101 may be an amount."""
    if cells.number_share >= MIN_SHARE and not has_word(cells.name, DATE_WORDS):
        return None
    texts = [text if present else "" for text, present in zip(cells.source.texts, cells.is_present, strict=True)]
    counts = np.where(cells.is_present, cells.source.counts, 0)
    return find_date_format(texts, counts, MIN_SHARE)


def _infer_date(cells: DistinctCells, date_format: DateFormat) -> ColumnProfile:
    if cells.distinct == 1 and not cells.source.mark(cells.is_missing).any():
        return cells.build(None, "the same value in every row", date_format.days)
    days = date_format.days[cells.is_present & ~np.isnan(date_format.days)]
    first, last = (str(np.datetime64(int(day), "D")) for day in (days.min(), days.max()))
    column = Column(cells.name, "date", date_format=date_format.pattern, **_choose_missing(cells, days))
    why = f"dates as {date_format.pattern}" if date_format.pattern else "dates in ISO 8601"
    profile = cells.build(column, why, date_format.days, shown=f"{first} to {last}")
    notes = []
    if date_format.other:
        notes.append(f"{cells.name}: the dates also fit {date_format.other}; check date_format in the contract")
    if last > str(datetime.now(UTC).date()):
        notes.append(f"{cells.name}: the newest date, {last}, is in the future; check the years")
    return replace(profile, notes=tuple(notes))


def _choose_missing(cells: DistinctCells, numbers: FloatArray) -> dict[str, Any]:
    """Choose the rule for gaps and the encoding of numbers (texts,)."""
    has_gaps = bool(cells.source.counts[cells.is_missing].sum() or (cells.source.codes < 0).any())
    if has_gaps:
        return {"missing": "median", "encoding": "quantiles"}
    return {"encoding": "quantiles"} if compute_skewness(numbers) > MAX_SKEWNESS else {}


def compute_skewness(numbers: FloatArray) -> float:
    """Return the skewness of numbers, (n,); 0 if all are equal."""
    if not len(numbers):
        return 0.0
    deviation = numbers - numbers.mean()
    variance = float((deviation**2).mean())
    return float((deviation**3).mean() / variance**1.5) if variance > 0 else 0.0


def _drop_repeated_words(cells: DistinctCells) -> DistinctCells:
    """Count a few words that appear more than once among numbers as missing, such as ``not rated``."""
    words = cells.is_present & np.isnan(cells.numbers)
    repeated = words & (cells.source.counts >= _REPEATED)
    if 0 < np.count_nonzero(repeated) <= _MOST_WORDS:
        return replace(cells, is_missing=cells.is_missing | repeated)
    return cells


def _infer_number(cells: DistinctCells) -> ColumnProfile:
    usable = cells.is_present & ~np.isnan(cells.numbers)
    distinct = np.unique(cells.numbers[usable])
    numbers = np.repeat(cells.numbers[usable], cells.source.counts[usable])
    shown = f"{show_number(distinct[0])} to {show_number(distinct[-1])}"
    reason = _find_no_number(cells, distinct, numbers)
    if reason:
        profile = cells.build(None, reason, cells.numbers, shown=shown)
        return replace(profile, is_identity=reason.startswith("identifies"))
    if _are_codes(cells, distinct):
        return _infer_category(cells, "codes, by its name")
    has_gaps = len(numbers) < len(cells.source.codes)
    if len(distinct) == 1 and has_gaps:
        return _infer_category(cells, "one value and gaps")
    if set(distinct.tolist()) <= {0.0, 1.0}:
        column = Column(cells.name, "flag", missing="median" if has_gaps else "reject")
        return cells.build(column, "only 0 and 1", cells.numbers, shown="0 or 1")
    column, why = _choose_number(cells.name, distinct)
    column = replace(column, **_choose_missing(cells, numbers))
    return cells.build(column, why, cells.numbers, shown=shown)


def infer_target(profile: ColumnProfile) -> tuple[Column, str]:
    """Propose the column of the target with its scale, and give the reason for the scale.

    Args:
        profile: a column of numbers with two or more values.
    """
    numbers = profile.values[~np.isnan(profile.values)]
    column, _ = _choose_number(profile.name, np.unique(numbers))
    skewness, positive = compute_skewness(numbers), numbers[numbers > 0]
    low, high = np.quantile(positive, [0.005, 0.995]) if len(positive) else (1.0, 1.0)
    shown = f"skewness {skewness:.1f}"
    if column.kind == "rating" or numbers.min() < 0:
        return column, f"linear: {'a rating' if column.kind == 'rating' else 'it has negative values'}"
    if skewness > MAX_SKEWNESS or high / low >= _WIDE_SPAN:
        span = f", values span a factor of {high / low:,.0f}"
        return replace(column, scale="log"), f"logarithmic: {shown}{span}"
    return column, f"linear: {shown}"


def _find_no_number(cells: DistinctCells, distinct: FloatArray, numbers: FloatArray) -> str:
    """Return why numbers are no feature; empty if they may be."""
    rows = len(cells.source.codes)
    if len(distinct) == 1 and len(numbers) == rows:
        return "the same value in every row"
    is_whole = bool((distinct == np.floor(distinct)).all())
    is_unique = is_whole and len(distinct) == len(numbers) == rows
    if is_unique and has_word(cells.name, ID_WORDS):
        return "identifies rows: whole numbers, all different"
    if is_unique and rows >= _FEW_ROWS and distinct[-1] - distinct[0] == rows - 1:
        return "numbers the rows"
    return ""


def _are_codes(cells: DistinctCells, distinct: FloatArray) -> bool:
    is_whole = bool((distinct == np.floor(distinct)).all())
    repeats = len(distinct) <= _TEXT_SHARE * cells.present_rows
    return is_whole and repeats and len(distinct) > 2 and ends_in_word(cells.name, CODE_WORDS)


def _choose_number(name: str, distinct: FloatArray) -> tuple[Column, str]:
    """Choose among rating, price, money and number, with range and unit, and give the reason."""
    low, high = float(distinct[0]), float(distinct[-1])
    best = next((best for best in _MAXIMA_OF_RATINGS if high <= best), None)
    if ends_in_word(name, RATING_WORDS) and low >= 0 and best is not None:
        unit = "stars" if best == _BEST_RATING_OF_STARS else "points"
        return Column(name, "rating", unit=unit, minimum=0, maximum=int(best)), f"rating by its name, up to {best:g}"
    if has_word(name, PRICE_WORDS) and low > 0:
        return Column(name, "price", unit=guess_unit(name, is_money=True), above=0), "price by its name"
    if has_word(name, MONEY_WORDS) and low >= 0:
        return Column(name, "money", unit=guess_unit(name, is_money=True), minimum=0), "money by its name"
    unit = guess_unit(name, is_whole=bool((distinct == np.floor(distinct)).all()))
    if low < 0:
        return Column(name, "number", unit=unit), "numbers"
    return Column(name, "number", unit=unit, minimum=0), "0 or more"


def _are_flag_words(cells: DistinctCells) -> bool:
    words = {text.lower() for text, present in zip(cells.source.texts, cells.is_present, strict=True) if present}
    return words == {"true", "false"}


def _infer_flag(cells: DistinctCells) -> ColumnProfile:
    flags = np.array([float(text.lower() == "true") for text in cells.source.texts], np.float64)
    has_gaps = cells.present_rows < len(cells.source.codes)
    column = Column(cells.name, "flag", missing="median" if has_gaps else "reject")
    return cells.build(column, "only true and false", flags, shown="true or false")


def _infer_text(cells: DistinctCells) -> ColumnProfile:
    rows = cells.present_rows
    share = cells.distinct / rows
    if _are_formatted_numbers(cells):
        return cells.build(None, "numbers with signs or separators; write plain numbers", _number_texts(cells))
    if cells.distinct == 1 and rows == len(cells.source.codes):
        return cells.build(None, "the same value in every row", _number_texts(cells))
    lengths = [len(text) for text, present in zip(cells.source.texts, cells.is_present, strict=True) if present]
    if sum(lengths) > _LONGEST_NAME * len(lengths) and cells.distinct > 2:
        return cells.build(None, "long text", _number_texts(cells))
    if share >= _UNIQUE_SHARE and rows >= 0.99 * len(cells.source.codes):
        profile = cells.build(None, f"identifies rows: {100 * share:.0f}% of its texts differ", _number_texts(cells))
        return replace(profile, is_identity=True)
    frequent = int(np.count_nonzero(cells.source.counts[cells.is_present] >= Column.min_count))
    if share > _TEXT_SHARE or cells.distinct > _MOST_CATEGORIES or not frequent:
        return cells.build(None, f"text: {cells.distinct:,} different in {rows:,} rows", _number_texts(cells))
    return _infer_category(cells, "text that repeats", frequent)


def _are_formatted_numbers(cells: DistinctCells) -> bool:
    """Return whether most cells are numbers for people, such as ``$1,234``, ``12%`` or ``10,000+``."""
    matches = [bool(_FORMATTED_NUMBER.fullmatch(text)) for text in cells.source.texts]
    counts = np.where(cells.is_present, cells.source.counts, 0)
    return float(counts[np.array(matches, bool) | ~np.isnan(cells.numbers)].sum()) >= MIN_SHARE * cells.present_rows


def _infer_category(cells: DistinctCells, why: str, frequent: int | None = None) -> ColumnProfile:
    has_gaps = cells.present_rows < len(cells.source.codes)
    column = Column(cells.name, "category", missing="category" if has_gaps else "reject")
    profile = cells.build(column, why, _number_texts(cells))
    if frequent is not None and frequent < cells.distinct:
        return replace(profile, why=f"{why}, {frequent:,} in {column.min_count}+ rows")
    return profile


def _number_texts(cells: DistinctCells) -> FloatArray:
    return np.arange(len(cells.source.texts), dtype=np.float64)
