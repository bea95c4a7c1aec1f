"""Find the format of dates in text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.dates import parse_date

# Formats, the least ambiguous first. The empty format is ISO 8601. Of two formats that fit equally well,
# the first is proposed, and the second is named.
_FORMATS = (
    "",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%b %d %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%B %d %Y",
    "%d %b %Y",
    "%d %b, %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d-%B-%Y",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%Y%m%d",
    "%Y-%m",
    "%b %Y",
    "%B %Y",
    "%m/%Y",
)
# The number of texts that rule formats out. The remaining formats then parse all texts.
_TRIED_TEXTS = 50


class DateFormat(NamedTuple):
    """The format that most texts have.

    Attributes:
        pattern: the format as ``strptime`` has it, empty for ISO 8601.
        days: float64 (texts,), days since 1970-01-01, NaN for a text that is no date in this format.
        other: another format that fits all of the texts as well; empty if there is none.
    """

    pattern: str
    days: FloatArray
    other: str = ""


def find_date_format(texts: Sequence[str], counts: IntArray, min_share: float) -> DateFormat | None:
    """Find the format of dates.

    Args:
        texts: the distinct texts.
        counts: int64 (texts,), the cells of each.
        min_share: the share of cells that must be dates.

    Returns:
        None if no format fits enough cells.
    """
    if not counts.sum() or not any(character.isdigit() for text in texts[:_TRIED_TEXTS] for character in text):
        return None
    fits = [(share, fit) for share, fit in _try_formats(texts, counts) if share >= min_share]
    if not fits:
        return None
    best_share, best = max(fits, key=lambda item: item[0])
    others = [fit.pattern for share, fit in fits if share == best_share and fit.pattern != best.pattern]
    differing = [pattern for pattern in others if pattern and _reads_differently(texts, best.pattern, pattern)]
    return best._replace(other=differing[0] if differing else "")


def _try_formats(texts: Sequence[str], counts: IntArray) -> Iterator[tuple[float, DateFormat]]:
    """Yield the share of cells that are dates, for each format that the first texts do not rule out."""
    sample = [int(number) for number in np.argsort(-counts, kind="stable")[:_TRIED_TEXTS]]
    for pattern in _FORMATS:
        if 2 * sum(not math.isnan(parse_date(texts[number], pattern)) for number in sample) >= len(sample):
            days = np.array([parse_date(text, pattern) for text in texts], np.float64)
            yield float(counts[~np.isnan(days)].sum() / counts.sum()), DateFormat(pattern, days)


def _reads_differently(texts: Sequence[str], first: str, second: str) -> bool:
    return any(parse_date(text, first) != parse_date(text, second) for text in texts)
