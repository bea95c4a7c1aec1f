"""The titles with the largest errors."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.contract import Column
from gamesales.report.largest_errors import build_largest_errors
from gamesales.scoring.prediction_interval import PredictionInterval

COLUMNS = (Column("critic_rating", "rating", "stars"), Column("is_sequel", "flag"), Column("unit_price", "price"))
FEATURES = np.array([[4.5, 1, 59.99], [3, 0, 39.99], [2, 1, 49.99]])
# 1,000 dollars on each side.
BAND = PredictionInterval(0.9, 1000.0, 0.0, 1.0, whole_units=True)


def build(actual, predicted, *, rows=None, features=None, band=BAND):
    rows = np.arange(1, len(actual) + 1) if rows is None else rows
    features = np.zeros((len(actual), 3)) if features is None else features
    return build_largest_errors(rows, features, COLUMNS, np.array(actual), np.array(predicted), band)


def test_row_has_the_title_and_its_error():
    """A row has the number of the title, its features, its error, the prediction, the earnings and the interval."""
    rows = build([50_000.0, 0.0, 9_000.0], [50_500.4, 4.6, 7_000.0], features=FEATURES, rows=np.array([7, 9, 1_200]))
    assert ["Row 1,200", "Row 7", "Row 9"] == [row.label for row in rows]
    assert ["2 stars, $49.99, is_sequel", "4.5 stars, $59.99, is_sequel", "3 stars, $39.99"] == [
        row.note for row in rows
    ]
    assert rows[0].cells == ("−$2,000", "−22.2%", "$7,000", "$9,000", "$6,000 to $8,000")
    assert rows[1].cells == ("+$500", "+1.0%", "$50,500", "$50,000", "$49,500 to $51,501")
    assert rows[2].cells == ("+$5", "—", "$4.60", "$0", "$0 to $1,005")


def test_titles_outside_their_interval_are_marked():
    """A title that earned an amount outside its interval is marked. Without intervals, no title is."""
    actual, predicted = [5_000.0, 5_000.0], [6_000.0, 6_001.0]
    assert [True, False] == [row.is_marked for row in build(actual, predicted)]
    rows = build(actual, predicted, band=None)
    assert [False, False] == [row.is_marked for row in rows]
    assert {"—"} == {row.cells[-1] for row in rows}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_ten_largest_errors(errors):
    """At most ten titles are listed, those with the largest errors, the largest first."""
    rows = build([1e6] * len(errors), 1e6 + np.array(errors))
    listed = [int(row.label.split()[1]) - 1 for row in rows]
    sizes = np.abs((1e6 + np.array(errors)) - 1e6)
    assert len(rows) == min(10, len(errors))
    assert [*sizes[listed]] == sorted(sizes, reverse=True)[:10]


def test_values_of_kinds():
    """A text stands alone. A number, a date, a code and a missing cell have the name of their column."""
    columns = (
        Column("genre", "category", values=("RPG",)),
        Column("publisher", "category", values=("2006",), missing="category"),
        Column("released", "date"),
        Column("year", "number", missing="mean"),
        Column("length", "number", "hours"),
        Column("is_sequel", "flag", missing="median"),
    )
    features = np.array([[1, 1, 20_787, 2006, 12.5, 1], [0, 2, 0, np.nan, 1, np.nan], [1, 0, 0, 0, 0, 0]])
    earned, predicted = np.array([5.0, 5.0, 5.0]), np.array([9.0, 8.0, 7.0])
    notes = [row.note for row in build_largest_errors(np.arange(1, 4), features, columns, earned, predicted, None)]
    assert [
        "RPG, publisher 2006, released 2026-11-30, year 2006, 12.5 hours, is_sequel",
        "genre other, publisher missing, released 1970-01-01, year missing, 1 hours, is_sequel missing",
        "RPG, publisher other, released 1970-01-01, year 0, 0 hours",
    ] == notes


def test_scores_with_the_same_unit():
    """Of two scores in points, each has its name. Large amounts of money are written in millions."""
    columns = (Column("critics", "rating", "points"), Column("users", "rating", "points"), Column("budget", "money"))
    features, earned = np.array([[76.0, 8.0, 68e6]]), np.array([1.0])
    rows = build_largest_errors(np.arange(1, 2), features, columns, earned, earned, None)
    assert ["critics 76 points, users 8 points, $68M"] == [row.note for row in rows]
