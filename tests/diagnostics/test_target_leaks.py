"""Columns that leak the target: sums, products, ranks, parts and groupings of it."""

import numpy as np
import pytest

from gamesales.diagnostics.target_leaks import correlate, find_leaks, rank

RANDOM = np.random.default_rng(5)
ROWS = 400
TARGET = np.round(np.exp(RANDOM.normal(3, 1.5, ROWS)), 2)


def leaks_of(numbers, groups=None, target=TARGET):
    return find_leaks(numbers, groups or {}, target, "sales")


def test_addends():
    """The columns that sum to the target are named with the sum, although they are rounded. Others are not."""
    shares = RANDOM.dirichlet([4, 2, 1], ROWS)
    parts = {name: np.round(TARGET * shares[:, number], 2) for number, name in enumerate(["na", "eu", "jp"])}
    report = leaks_of(
        {"year": RANDOM.integers(1980, 2020, ROWS) * 1.0, **parts, "votes": RANDOM.integers(0, 9, ROWS) * 1.0}
    )
    assert dict.fromkeys(parts, "is part of sales = na + eu + jp") == report.leaks


def test_addends_with_gaps():
    """A missing addend counts as nothing."""
    first = np.round(TARGET * 0.6, 2)
    second = np.round(TARGET - first, 2)
    first[:100], second[:100] = TARGET[:100], np.nan
    assert {"first", "second"} == leaks_of({"first": first, "second": second}).leaks.keys()


def test_factors():
    """A price and the copies sold are named if their product is the target."""
    price = RANDOM.choice([19.99, 39.99, 59.99], ROWS)
    copies = RANDOM.integers(1, 5000, ROWS) * 1.0
    report = leaks_of(
        {"price": price, "copies": copies, "noise": RANDOM.random(ROWS)}, target=np.round(price * copies, 2)
    )
    assert dict.fromkeys(["price", "copies"], "is a factor of sales = price × copies") == report.leaks


@pytest.mark.parametrize("direction", [1, -1])
def test_rank(direction):
    """A rank of the target is named, upwards or downwards."""
    order = np.argsort(np.argsort(direction * TARGET)) + 1.0
    assert leaks_of({"rank": order}).leaks["rank"].startswith("is a rank of sales")


def test_another_unit():
    """The target in another unit is named."""
    assert (
        leaks_of({"euros": 0.9 * TARGET + RANDOM.normal(0, 0.01, ROWS)})
        .leaks["euros"]
        .startswith("is sales in another")
    )


def test_part_without_the_rest():
    """A column that is never above the target and often equal to it is part of it; the reverse contains it."""
    abroad = np.where(RANDOM.random(ROWS) < 0.3, 0.0, np.round(np.exp(RANDOM.normal(3, 2, ROWS)), 2))
    total = np.round(TARGET + abroad, 2)
    assert "is part of sales: never above it, and equal in" in leaks_of({"us": TARGET}, target=total).leaks["us"]
    assert "contains sales: never below it, and equal in" in leaks_of({"world": total}).leaks["world"]


def test_grouping():
    """A category that was cut from the target is named; an honest category is not."""
    cut = np.searchsorted(np.quantile(TARGET, np.linspace(0, 1, 12)[1:-1]), TARGET).astype(float)
    genre = RANDOM.integers(0, 10, ROWS).astype(float)
    assert ["class"] == list(leaks_of({}, {"class": cut, "genre": genre}).leaks)


def test_correlated_column():
    """A strong correlation is a note, and no leak."""
    report = leaks_of({"demand": np.log(TARGET) + RANDOM.normal(0, 0.3, ROWS)})
    assert {} == report.leaks
    assert "demand correlates 0.9" in report.notes[0]


def test_honest_columns():
    """Features with gaps, constants and few rows are no leaks."""
    price = np.where(RANDOM.random(ROWS) < 0.5, np.nan, RANDOM.random(ROWS))
    report = leaks_of({"price": price, "one": np.ones(ROWS), "nothing": np.full(ROWS, np.nan), "zero": np.zeros(ROWS)})
    assert ({}, []) == (report.leaks, report.notes)
    assert {} == leaks_of({"a": TARGET[:5]}, target=TARGET[:5]).leaks


def test_ranks_of_ties():
    """Equal values share the mean of their ranks."""
    assert [0.5, 2.0, 0.5, 3.0] == rank(np.array([1.0, 2.0, 1.0, 7.0])).tolist()
    assert (0.0, 0.0) == correlate(np.full(20, np.nan), np.arange(20.0))
