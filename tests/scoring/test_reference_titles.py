"""The file of reference titles: what is written is read again, and anything else is refused."""

import numpy as np
import pytest
from hypothesis import given, settings

from gamesales.errors import IntegrityError
from gamesales.scoring.reference_titles import format_references, parse_references
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
