"""Missing cells that a contract accepts, rejects, or makes a category."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from gamesales.data.contract import Column
from gamesales.data.screen import screen
from gamesales.data.table import Batch

GAPS = Column("score", "number", minimum=0, maximum=100, missing="median")
TEXTS = ("N/A", "tbd", "n.a.")


def screen_cells(cells, column=GAPS, decimal=".", missing_values=TEXTS):
    table = pa.RecordBatch.from_arrays([cells], names=[column.name])
    batch = Batch(table, np.arange(1, len(cells) + 1), decimal=decimal)
    return screen(batch, [column], missing_values=missing_values)


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(["80", "", "N/A", " tbd ", None, "n.a."]),
        pa.array([80.0, None, float("nan"), None, None, None]),
        pa.array([80, None, None, None, None, None], pa.int16()),
        pa.array(["80", "", "N/A", " tbd ", None, "n.a."]).dictionary_encode(),
    ],
)
def test_missing_accepted(cells):
    """An empty cell, a listed text, a null and pandas' NaN are missing, and their rows are accepted."""
    screened = screen_cells(cells)
    assert screened.accepted.all()
    np.testing.assert_array_equal(screened.values[:, 0], [80, *[np.nan] * 5])
    assert [(80.0, 80.0)] == screened.extremes


def test_missing_rejected_by_default():
    """Without a rule, a missing cell rejects its row, whatever text stands for it."""
    screened = screen_cells(pa.array(["80", "N/A", "", "abc"]), Column("score", "number"))
    assert ["score: missing", "score: missing", "score: not a number"] == [row.reason for row in screened.rejected]


def test_faults_rejected_beside_gaps():
    """A column that may have gaps still rejects text and numbers out of range. A listed text has to be exact."""
    screened = screen_cells(pa.array(["n/a", "101", "50", None]))
    assert [1, 2] == [row.row for row in screened.rejected]
    assert "not a number" in screened.rejected[0].reason
    assert "out of range, allowed: 0 to 100" in screened.rejected[1].reason


@pytest.mark.parametrize("text", ["nan", "NaN", "-999", "-999.0"])
def test_numbers_as_missing_texts(text):
    """NaN and a number for missing cells are missing, whatever type the column and whatever text the other cells have.

    Otherwise the result would depend on how a file is cut into batches.
    """
    texts = ("-999", "nan")
    for others in (["80", "90"], ["80", "tbd"]):
        cells = pa.array([text, *others])
        for array in (cells, cells.dictionary_encode(), cells.slice(0, 1), pa.array([float(text)])):
            screened = screen_cells(array, replace(GAPS, minimum=None), missing_values=texts)
            assert np.isnan(screened.values[0, 0])
    integers = screen_cells(pa.array([-999, 80]), replace(GAPS, minimum=None), missing_values=texts)
    np.testing.assert_array_equal(integers.values[:, 0], [np.nan, 80])
    assert ["score: missing"] == [
        row.reason for row in screen_cells(pa.array([text]), Column("score", "number"), missing_values=texts).rejected
    ]


def test_decimal_comma():
    """A text for missing cells keeps its points where numbers have a decimal comma."""
    np.testing.assert_array_equal(screen_cells(pa.array(["1,5", "n.a."]), decimal=",").values[:, 0], [1.5, np.nan])


@pytest.mark.parametrize(("unseen", "expected"), [("other", [1, 0]), ("reject", [1])])
def test_categories(unseen, expected):
    """An unseen category is another value, or rejects its row with the reason."""
    column = Column("genre", "category", values=("RPG",), unseen=unseen)
    screened = screen_cells(pa.array(["RPG", "Puzzle", "tbd"]), column)
    assert expected == screened.values[:, 0].tolist()
    assert "genre: missing" == screened.rejected[-1].reason


def test_dates():
    """A text that is not a date rejects its row and shows the form of a date."""
    column = Column("released", "date", date_format="%d/%m/%Y")
    screened = screen_cells(pa.array(["30/11/2026", "2026-11-30", ""]), column)
    assert 1 == len(screened.values)
    assert "released: not a date, expected a date such as 30/11/2026" == screened.rejected[0].reason


def test_all_missing():
    """A column of which all cells are missing has no range."""
    assert [(np.inf, -np.inf)] == screen_cells(pa.array(["", "tbd"])).extremes
