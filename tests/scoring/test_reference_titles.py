"""The file of reference titles: what is written is read again, and anything else is refused."""

import numpy as np
import pytest
from hypothesis import given, settings

from gamesales.errors import IntegrityError
from gamesales.scoring.reference_titles import format_references, parse_references
from support.mixed import MIXED, mixed_values
from support.runs import CONTRACT
from support.strategies import titles


@given(rows=titles(min_size=1))
@settings(max_examples=30)
def test_round_trip(rows):
    """The titles are read as they were written, bit for bit."""
    values = np.array(rows)
    assert values.tolist() == parse_references(format_references(CONTRACT, values), CONTRACT, "here").tolist()


# As the first release with reference titles wrote them. They are read forever.
FROZEN = b"""{
 "columns": ["critic_rating", "is_action", "is_exclusive_to_us", "is_portable", "is_role_playing", "is_sequel", \
"is_sports", "suitable_for_kids", "unit_price"],
 "titles": [
  [3.5, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 59.99],
  [2.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 39.99]
 ]
}
"""


def test_frozen_file():
    """The form of the file does not change."""
    values = parse_references(FROZEN, CONTRACT, "here")
    assert [[3.5, 1, 0, 0, 0, 1, 0, 0, 59.99], [2, 0, 0, 0, 1, 1, 0, 1, 39.99]] == values.tolist()
    assert FROZEN == format_references(CONTRACT, values)


@pytest.mark.parametrize(
    "change",
    [
        (b"critic_rating", b"rating"),
        (b"4.5", b"NaN"),
        (b"4.5, ", b""),
        (b"4.5", b'"high"'),
        (b'"titles"', b'"rows"'),
        (b"{", b"["),
    ],
)
def test_other_content(change):
    """Other columns, missing values and anything that is no number are refused."""
    content = format_references(CONTRACT, np.array([[4.5, *[0] * 7, 59.99], [2.0, *[1] * 7, 39.99]]))
    with pytest.raises(IntegrityError, match="here has no reference titles; expected rows of numbers in the columns"):
        parse_references(content.replace(*change, 1), CONTRACT, "here")


def test_no_titles():
    """A file without titles is refused."""
    with pytest.raises(IntegrityError, match="no reference titles"):
        parse_references(format_references(CONTRACT, np.empty((0, 9))), CONTRACT, "here")


# Codes, days, null for missing cells.
MIXED_FILE = b"""{
 "columns": ["genre", "platform", "publisher", "released", "year", "is_sequel"],
 "titles": [
  [2.0, 4.0, 1.0, 18262.0, null, 1.0],
  [0.0, 1.0, 3.0, null, 2008.0, 0.0]
 ]
}
"""


def test_codes_and_missing_cells():
    """A missing cell is null in the file and NaN in memory."""
    values = mixed_values(50)
    assert np.isnan(values).any()
    assert np.array_equal(values, parse_references(format_references(MIXED, values), MIXED, "here"), equal_nan=True)
    assert MIXED_FILE == format_references(MIXED, parse_references(MIXED_FILE, MIXED, "here"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"[2.0", b"[null"),
        (b"[2.0", b"[1.5"),
        (b"[2.0", b"[-1.0"),
        (b"[2.0", b"[4.0"),
        (b"4.0", b"5.0"),
        (b"18262.0", b"NaN"),
        (b"18262.0", b"1e999"),
        (b"null, 1.0]", b"null, null]"),
    ],
)
def test_impossible_value(old, new):
    """A code that a category does not have, and a missing cell that the contract does not accept, are refused."""
    assert old in MIXED_FILE
    with pytest.raises(IntegrityError, match="no reference titles"):
        parse_references(MIXED_FILE.replace(old, new, 1), MIXED, "here")
