"""Values of columns as pages and terminals show them."""

import math

import pytest

from gamesales.data.contract import Column
from gamesales.report.format import format_value

GENRE = Column("genre", "category", values=("RPG", "x" * 100), missing="category")


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (GENRE, 0, "other"),
        (GENRE, 1.0, "RPG"),
        (GENRE, 2, "x" * 59 + "…"),
        (GENRE, 3, "missing"),
        (Column("released", "date"), 20_787.0, "2026-11-30"),
        (Column("released", "date", date_format="%d/%m/%Y"), 0, "1970-01-01"),
        (Column("released", "date", missing="median"), math.nan, "missing"),
        (Column("year", "number", missing="mean"), math.nan, "missing"),
        (Column("length", "number", "hours"), 12.5, "12.5 hours"),
        (Column("unit_price", "price", "US dollars"), 59.99, "$59.99"),
    ],
)
def test_values(column, value, text):
    """A code is its category, days are a date, and NaN is missing. Numbers have their unit."""
    assert text == format_value(value, column)
