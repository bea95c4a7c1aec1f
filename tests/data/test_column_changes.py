"""How the columns of two contracts differ, in words."""

from dataclasses import replace

import pytest

from gamesales.data.column_changes import list_column_changes
from gamesales.data.contract import Column, Contract

GENRE = Column("genre", "category", values=("Action", "Sports"))
YEAR = Column("year", "number", minimum=1980, missing=0)


def list_changes(before, after):
    """The changes between features as text, with a mark for those that concern inputs."""
    contracts = [Contract(Column("sales", "number"), columns) for columns in (before, after)]
    return [f"{change.change}{'!' * change.concerns_inputs}" for change in list_column_changes(*contracts)]


def test_equal_contracts():
    """Equal contracts have no changes, and the order of the values of a category does not matter."""
    assert [] == list_changes((GENRE, YEAR), (YEAR, replace(GENRE, values=("Sports", "Action"))))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((GENRE, YEAR), ["new, a category", "a missing cell becomes 0, before it becomes the mean!"]),
        ((GENRE,), ["new, a category", "no longer needed"]),
        ((Column("year", "date", missing="mean"),), ["a date, before a number!", "minimum none, before 1980"]),
        (
            (Column("year", "number"),),
            ["a missing cell rejects its row, before it becomes the mean!", "minimum none, before 1980"],
        ),
    ],
)
def test_changes_in_words(after, expected):
    """New and removed columns, other kinds, missing rules and ranges are in words."""
    assert expected == list_changes((replace(YEAR, missing="mean"),), after)


def test_values_in_words():
    """New and removed values are counted, and the first three are listed, cut to one short line."""
    values = ("Action", "RPG", "Puzzle\n" * 99 + "Puzzle", "Racing", "Strategy")
    (change,) = list_changes((GENRE,), (replace(GENRE, values=values),))
    assert change.startswith("4 new values: RPG, Puzzle Puzzle ")
    assert change.endswith("…, Racing, and 1 more; 1 removed value: Sports")
    assert ["an unseen value rejects its row, before it becomes other!"] == list_changes(
        (GENRE,), (replace(GENRE, unseen="reject"),)
    )
