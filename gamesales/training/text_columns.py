"""Read raw columns in TensorFlow: text to codes and days, with operators that a SavedModel and TF Serving have."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gamesales.data.contract import Column, Contract
from gamesales.training.export_columns import get_unseen_code, list_missing_texts, list_text_codes, takes_text

# The characters that str.strip() removes, for RE2, which knows the blanks of ASCII only.
_BLANK = r"[\t\n\v\f\r \x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
_HOUR, _SIXTY = r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_ZONE = rf"(?:Z|[+-]{_HOUR}:{_SIXTY})"
_TIME = rf"{_HOUR}(?::{_SIXTY}(?::{_SIXTY}(?:[.,]\d+)?)?)?{_ZONE}?"
_ISO = rf"(?P<Y>\d\d\d\d)-(?P<m>\d\d)-(?P<d>\d\d)(?:[T ]{_TIME})?"
_ISO_BASIC = r"(?P<Y>\d\d\d\d)(?P<m>\d\d)(?P<d>\d\d)"
_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# The patterns of strptime, in its order of alternatives.
_PATTERNS = {
    "Y": r"\d\d\d\d",
    "y": r"\d\d",
    "m": r"1[0-2]|0[1-9]|[1-9]",
    "d": r"3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]",
    "H": r"2[0-3]|[0-1]\d|\d",
    "M": r"[0-5]\d|\d",
    "S": r"[0-5]\d|\d",
    "f": r"[0-9]{1,6}",
}


class ColumnReader:
    """Reads the raw columns of a contract: a tensor for each, (n,), to a matrix (n, k).

    Attributes:
        tables: the tables of the categories, which a SavedModel must track.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._missing = list_missing_texts(contract.missing_values)
        self.tables = {
            column.name: _make_table(list_text_codes(column, contract.missing_values), get_unseen_code(column))
            for column in contract.features
            if column.kind == "category"
        }

    def make_signature(self) -> list[Any]:
        """Return the specification of each column: text for categories and for dates that can be parsed."""
        import tensorflow as tf

        return [
            tf.TensorSpec((None,), tf.string if takes_text(column) else tf.float32, name=column.name)
            for column in self._contract.features
        ]

    def read(self, tensors: Sequence[Any]) -> tuple[Any, Any]:
        """Return the titles, float32 (n, k), and bool (n,), True for a title that scoring rejects."""
        import tensorflow as tf

        cells = [self._read_column(*pair) for pair in zip(self._contract.features, tensors, strict=True)]
        rejected = tf.reduce_any(tf.stack([fails for _, fails in cells], axis=1), axis=1)
        return tf.stack([values for values, _ in cells], axis=1), rejected

    def _read_column(self, column: Column, tensor: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        if column.kind == "category":
            codes = self.tables[column.name].lookup(normalize(tensor))
            return tf.cast(codes, tf.float32), codes < 0
        if not takes_text(column):
            missing = tf.math.is_nan(tensor)
            return tensor, tf.zeros_like(missing) if column.may_be_missing else missing
        texts = normalize(tensor)
        days, is_date = parse_dates(texts, column.date_format)
        missing = tf.reduce_any(texts[:, None] == tf.constant(self._missing), axis=1)
        present = is_date & ~missing
        passes = (is_date | missing) if column.may_be_missing else present
        return tf.where(present, days, float("nan")), ~passes


def _make_table(codes: Mapping[str, int], unseen: int) -> Any:
    import tensorflow as tf

    keys, values = tf.constant([*codes]), tf.constant([*codes.values()], tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), unseen)


def normalize(texts: Any) -> Any:
    """Remove the blanks around texts, and the ``.0`` of whole numbers, as screening does: string (n,)."""
    import tensorflow as tf

    valid = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    stripped = tf.strings.regex_replace(valid, rf"\A{_BLANK}+|{_BLANK}+\z", "")
    return tf.strings.regex_replace(stripped, r"\A(-*[0-9]+)\.0\z", r"\1")


def parse_dates(texts: Any, date_format: str) -> tuple[Any, Any]:
    """Parse normalized texts (n,).

    Returns:
        Days since 1970-01-01, float32 (n,), and bool (n,), True for a text that is a date of the format. An ISO date of
        a week, such as 2026-W49-1, is no date here.
    """
    import tensorflow as tf

    if date_format:
        return _parse(texts, _make_pattern(date_format))
    days, is_date = _parse(texts, _ISO)
    basic_days, is_basic = _parse(texts, _ISO_BASIC)
    return tf.where(is_date, days, basic_days), is_date | is_basic


def _make_pattern(date_format: str) -> str:
    """Translate a format of strptime."""
    patterns = {
        **_PATTERNS,
        "b": "|".join(map(re.escape, list(calendar.month_abbr)[1:])),
        "B": "|".join(sorted(map(re.escape, list(calendar.month_name)[1:]), key=len, reverse=True)),
    }
    pattern = ""
    for part in re.findall(r"%.|\s+|[^%\s]+", date_format, re.DOTALL):
        if part.isspace():
            pattern += f"{_BLANK}+"
        elif part[0] == "%" and part[1] != "%":
            pattern += f"(?P<{part[1]}>{patterns[part[1]]})"
        else:
            pattern += re.escape(part[-1] if part[0] == "%" else part)
    return f"(?i){pattern}"


def _parse(texts: Any, pattern: str) -> tuple[Any, Any]:
    import tensorflow as tf

    # strptime takes the first way in which the pattern matches, and then refuses a rest.
    whole = rf"(?s)\A(?:{pattern})(?P<rest>.*)\z"
    groups = re.findall(r"\(\?P<(\w+)>", whole)
    matches = tf.strings.regex_full_match(texts, whole)

    def take(name: str) -> Any:
        return tf.strings.regex_replace(texts, whole, rf"\{groups.index(name) + 1}")

    def take_number(name: str, default: str) -> Any:
        if name not in groups:
            return tf.fill(tf.shape(texts), int(default))
        digits = tf.strings.regex_replace(take(name), " ", "")
        return tf.strings.to_number(tf.where(matches, digits, default), tf.int32)

    year = take_number("Y", "1970")
    if "Y" not in groups:
        short = take_number("y", "70")
        year = tf.where(short < 69, short + 2000, short + 1900)  # as POSIX has it
    month = _take_month(tf.where(matches, take(name), "")) if (name := _find(groups, "bB")) else take_number("m", "1")
    day = take_number("d", "1")
    is_date = matches & (tf.strings.length(take("rest")) == 0)
    is_date &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    month = tf.clip_by_value(month, 1, 12)
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    length = tf.gather(tf.constant(_MONTH_LENGTHS), month - 1) + tf.cast(is_leap & (month == 2), tf.int32)
    return tf.cast(_count_days(year, month, day), tf.float32), is_date & (day <= length)


def _find(groups: Sequence[str], names: str) -> str:
    return next((name for name in names if name in groups), "")


def _take_month(names: Any) -> Any:
    import tensorflow as tf

    lowered = tf.strings.lower(names, encoding="utf-8")
    month = tf.zeros(tf.shape(names), tf.int32)
    for number in range(1, 13):
        for name in {calendar.month_abbr[number].lower(), calendar.month_name[number].lower()}:
            month = tf.where(lowered == name, number, month)
    return month


def _count_days(year: Any, month: Any, day: Any) -> Any:
    """Count the days since 1970-01-01; Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013."""
    import tensorflow as tf

    year = tf.where(month <= 2, year - 1, year)  # a year begins in March, so a leap day is last
    from_march = (month + 9) % 12
    of_year = (153 * from_march + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719_468
