"""The diagnosis of categories, dates and columns with missing cells: checks, groups, importance and dependence."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from gamesales.data.contract import Column, Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.diagnostics.checks import run_checks
from gamesales.diagnostics.groups import find_one_hot_flags, make_groupings, split_column
from gamesales.diagnostics.importance import measure_dependence, measure_importance
from gamesales.diagnostics.notices import CheckInput
from gamesales.diagnostics.residuals import Correlation
from gamesales.stats.same_features import number_distinct_rows

GENRES = tuple(f"genre {number}" for number in range(30))
CONTRACT = Contract(
    Column("sales", "number"),
    (
        Column("genre", "category", values=GENRES, missing="category"),
        Column("released", "date", missing="median"),
        Column("year", "number", missing="mean"),
        Column("is_sequel", "flag", missing=0),
    ),
)
GENRE, RELEASED, YEAR, SEQUEL = range(4)


def draw(rows, seed):
    """Titles with 30 genres of very different frequencies, and with gaps: features (rows, 4), and their sales."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 33)
    genre = random.choice(np.array([*range(1, 31), 0, 31]), rows, p=shares / shares.sum())
    columns = [
        genre,
        random.integers(9_000, 18_000, rows),
        random.integers(1990, 2020, rows),
        random.integers(0, 2, rows),
    ]
    features = np.column_stack(columns).astype(float)
    features[:, 1:][random.random((rows, 3)) < 0.1] = np.nan
    return features, 10 * random.random(rows) + genre % 3


def find_notices(training, test, contract=CONTRACT):
    clusters = number_distinct_rows(training[0], test[0])
    samples = [
        LabeledTitles(Path("titles.csv"), "ab" * 32, features, sales, np.arange(1, len(sales) + 1))
        for features, sales in (training, test)
    ]
    order, zeros = Correlation("the row before", 0.0, is_clear=False), np.zeros(len(test[1]))
    return run_checks(CheckInput(contract, *samples, *clusters, zeros, None, [], order, {}, []))


def sales(values):
    """A model of known answer: sales by genre, and 3 more without a year."""
    return values[:, GENRE] % 5 + np.where(np.isnan(values[:, YEAR]), 3.0, 0.0)


def test_clean_titles_give_no_warning():
    """Random titles of 30 genres, with gaps, give no warning, and no note about another distribution."""
    notices = [notice for seed in range(20) for notice in find_notices(draw(1_000, seed), draw(300, 100 + seed))]
    assert set() == {notice.about for notice in notices} - {"twins", "outside of training"}


def test_faults_of_columns_are_named():
    """A constant category, an empty column, unseen values and a new missing category are named in words."""
    training, test = draw(500, 1), draw(200, 2)
    training[0][:, GENRE], test[0][:150, GENRE], test[0][150:, GENRE] = 2, 0, 31
    training[0][:, RELEASED] = np.nan
    texts = {notice.about: notice.text for notice in find_notices(training, test)}
    assert texts["constant column"].startswith(("genre is genre 1 in every", "released is missing in every"))
    assert texts["nearly always missing"].startswith("released is missing in 100.0% of the training titles")
    assert texts["unseen values"].startswith("genre has a rare or unseen value in 75% of the test titles")
    assert "200 test titles are outside the training range: genre (200)" in texts["outside of training"]
    assert "genre (" in texts["drawn differently"]


def test_category_that_leaks():
    """A category that decides the sales is named, whatever the order of its codes is."""
    features, _ = draw(1_000, 1)
    order = np.random.default_rng(3).permutation(32)
    texts = [
        notice.text for notice in find_notices((features, order[features[:, GENRE].astype(int)] * 1.0), draw(300, 2))
    ]
    assert any(text.startswith("genre alone explains 100.0% of the order") for text in texts)


def test_skewed_sales_are_no_conflict():
    """Sales of a logarithmic target are compared by factors: a skewed distribution is clean, a typing error is not."""
    contract = dataclasses.replace(CONTRACT, target=Column("sales", "number", scale="log"))
    random = np.random.default_rng(1)
    features = np.resize(draw(100, 1)[0], (500, 4))
    test, sales = draw(200, 2), random.lognormal(0, 1.5, 500)
    notices = find_notices((features, sales), test, contract)
    assert "conflicting earnings" not in {notice.about for notice in notices}
    sales[7] = 1e9
    texts = [notice.text for notice in find_notices((features, sales), test, contract)]
    assert any("Row 8 differs most" in text for text in texts)


def test_missing_cells_are_equal():
    """Titles with the same values and the same gaps have the same number, across tables."""
    first, second = np.array([[1, np.nan], [1, 2], [np.nan, 2]]), np.array([[1, np.nan], [np.nan, np.nan]])
    ours, theirs = number_distinct_rows(first, second)
    assert 3 == len(set(ours.tolist()))
    assert ours[0] == theirs[0]
    assert theirs[1] not in ours


class TestGroups:
    """Dividing titles by categories, dates and gaps."""

    def test_groups_of_category(self):
        """The most frequent values have groups of their own; the others, other values and missing cells follow."""
        features, _ = draw(3_000, 1)
        labels, group_of = split_column(features[:, GENRE], CONTRACT.features[GENRE])
        assert ("genre 0", "genre 1") == labels[:2]
        assert ("19 rarer values", "other", "missing") == labels[-3:]
        assert {*range(14)} == set(group_of.tolist())
        assert (group_of == 13).sum() == (features[:, GENRE] == 31).sum()
        assert (group_of == 11).sum() == ((features[:, GENRE] > 11) & (features[:, GENRE] < 31)).sum()

    def test_few_codes(self):
        """A category without rare or missing values has a group for each value that occurs."""
        labels, group_of = split_column(np.array([2.0, 2, 1, 9]), CONTRACT.features[GENRE])
        assert (("genre 1", "genre 0", "genre 8"), [0, 0, 1, 2]) == (labels, group_of.tolist())

    def test_groups_of_dates(self):
        """Dates are grouped by year; many years become bands."""
        days = np.array([np.datetime64(day).astype(int) for day in ("1999-12-31", "2000-01-01", "2000-12-31")], float)
        labels, group_of = split_column(days, CONTRACT.features[RELEASED])
        assert (("1999", "2000"), [0, 1, 1]) == (labels, group_of.tolist())
        labels, _ = split_column(draw(500, 1)[0][:, RELEASED], CONTRACT.features[RELEASED])
        assert ("missing", 5) == (labels[-1], len(labels))
        assert labels[0].startswith("1994 to ")

    def test_gaps_are_a_group(self):
        """Titles without a value are the last group, also if no title has a value."""
        labels, group_of = split_column(np.array([1.0, np.nan, 0.0]), CONTRACT.features[SEQUEL])
        assert (("no", "yes", "missing"), [1, 2, 0]) == (labels, group_of.tolist())
        labels, group_of = split_column(np.array([np.nan]), CONTRACT.features[YEAR])
        assert (("missing",), [0]) == (labels, group_of.tolist())

    def test_flags_with_gaps_are_no_set(self):
        """A flag with missing cells is not treated as one of a set, and every column has a grouping."""
        features, _ = draw(200, 1)
        assert [] == find_one_hot_flags(CONTRACT, features)
        assert list(CONTRACT.feature_names) == [grouping.name for grouping in make_groupings(CONTRACT, features, [])]


class TestEffects:
    """Importance and partial dependence."""

    def test_importance_of_category(self):
        """A shuffled category matters, and so does a column whose gaps decide; others have no importance."""
        features, _ = draw(500, 1)
        clusters = number_distinct_rows(features)[0]
        measured = measure_importance(CONTRACT, sales, features, sales(features), clusters, [], 1)
        changes = {importance.columns[0]: importance.error_change.value for importance in measured}
        assert changes["genre"] > changes["year"] > 0
        assert 0.0 == changes["released"] == changes["is_sequel"]

    def test_dependence_by_kind(self):
        """A category has its 12 most frequent values by text, a date has dates, and gaps come last as None."""
        measured = measure_dependence(CONTRACT, sales, draw(3_000, 1)[0], [], 1)
        genre, released, year, sequel = (dataclasses.asdict(dependence) for dependence in measured)
        assert ("genre 0", "genre 1", 12, 12) == (*genre["labels"][:2], len(genre["labels"]), len(set(genre["values"])))
        assert ([1.0, 2.0], "category") == (list(genre["values"][:2]), genre["kind"])
        assert ["missing"] * 3 == [effect["labels"][-1] for effect in (released, year, sequel)]
        assert all(label.startswith(("19", "20")) for label in released["labels"][:-1])
        assert 3.0 == pytest.approx(year["prediction_mean"][-1] - year["prediction_mean"][0])
        assert year["values"][-1] is None
        assert ["no", "yes", "missing"] == list(sequel["labels"])
        json.dumps([genre, released, year, sequel], allow_nan=False)
        assert all(map(math.isfinite, year["prediction_mean"]))
