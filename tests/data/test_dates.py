"""Dates become days since 1970-01-01, from text and from the types of Arrow."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.dates import format_date, parse_date, read_dates

DAYS = date(2026, 11, 30).toordinal() - date(1970, 1, 1).toordinal()


@pytest.mark.parametrize(
    "cell",
    [
        pa.array(["2026-11-30"]),
        pa.array(["2026-11-30T23:59:59"]),
        pa.array(["2026-11-30 10:00:00+05:30"]),
        pa.array([date(2026, 11, 30)], pa.date32()),
        pa.array([date(2026, 11, 30)], pa.date64()),
        pa.array([datetime(2026, 11, 30, 23, 59, tzinfo=UTC)], pa.timestamp("ns")),
        pa.array([datetime(2026, 11, 30, 1, tzinfo=UTC)], pa.timestamp("s")),
        pa.array(["2026-11-30"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0]), pa.array(["2026-11-30"], pa.string_view())),
        pa.DictionaryArray.from_arrays(pa.array([0]), pa.array([date(2026, 11, 30)], pa.date32())),
    ],
)
def test_types_of_dates(cell):
    """The same date gives the same number, whatever type it has."""
    days, missing = read_dates(cell, "", ())
    assert ([float(DAYS)], [False]) == (days.tolist(), missing.tolist())


def test_dates_before_1970():
    """A timestamp before 1970 belongs to the day that it is in."""
    assert [-1.0] == read_dates(pa.array([datetime(1969, 12, 31, 23, tzinfo=UTC)], pa.timestamp("us")), "", ())[
        0
    ].tolist()


def test_format_of_contract():
    """Text is read in the format of the contract, and other text is not a date."""
    days, missing = read_dates(pa.array(["Nov 30 2026", "2026-11-30", "TBA", ""]), "%b %d %Y", ["TBA"])
    np.testing.assert_array_equal(days, [DAYS, np.nan, np.nan, np.nan])
    assert [False, False, True, True] == missing.tolist()


def test_years():
    """A year as a number is its first day."""
    assert [parse_date("2006-01-01")] == read_dates(pa.array([2006.0]), "%Y", ())[0].tolist()


@given(st.dates())
def test_text_and_back(day):
    """The text of a date gives the date."""
    assert day.isoformat() == format_date(parse_date(day.isoformat()))


@pytest.mark.parametrize("days", [-719_163, 2_932_897])
def test_days_beyond_text(days):
    """A date before the year 1 or after 9999, which text can't have, is not a date in Arrow either."""
    for array in (pa.array([days], pa.int32()).cast(pa.date32()), pa.array([days * 86_400]).cast(pa.timestamp("s"))):
        values, missing = read_dates(array, "", ())
        assert (np.isnan(values[0]), missing[0]) == (True, False)
