"""The drift of categories, dates and columns with missing cells, in numbers and in words."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from gamesales.data.categories import shorten_label
from gamesales.data.contract import Column, Contract
from gamesales.scoring.column_drift import add_encoding, label_code_bins
from gamesales.scoring.drift import count_bins, measure_drift, read_profiles
from gamesales.scoring.ledger import ShardResult, TopTitle, format_entry, parse_entry
from gamesales.training.evaluation import profile_column, profile_features

GENRES = Column("genre", "category", values=("Action", "Puzzle", "Sports"), missing="category")
RELEASED = Column("released", "date")
YEAR = Column("year", "number", missing="median")
PRICE = Column("price", "price", unit="US dollars")
CONTRACT = Contract(Column("sales", "number"), (GENRES, RELEASED, YEAR, PRICE))
GAP = math.nan
TRAINING = np.array([[1, 16_000, 2000, 10], [1, 16_010, 2002, 20], [2, 16_020, GAP, 30], [3, 16_030, 2004, 40]] * 25)


def measure(night):
    """Measure the drift of a night, (n, 4), and return its columns by name."""
    manifest = {
        "training_profile": profile_features(CONTRACT, TRAINING),
        "prediction_profile": profile_column("predicted_earnings", np.arange(100.0)),
    }
    profiles = read_profiles(json.loads(json.dumps(manifest, allow_nan=False)), CONTRACT.feature_names)
    values = [*night.T, np.zeros(len(night))]
    counts = [count_bins(profile, column) for profile, column in zip(profiles, values, strict=True)]
    sums = [float(np.nansum(column)) for column in values]
    drift = measure_drift(profiles, counts, [0] * 4 + [None], len(night), sums=sums)
    return {
        column.column: add_encoding(column, next(known for known in CONTRACT.features if known.name == column.column))
        for column in drift.columns
        if column.column != "predicted_earnings"
    }


def test_unseen_category_in_words():
    """The words of a category name the value whose share changed most, and the share of unseen values."""
    column = measure(np.array([[0, 16_000, 2000, 10]] * 3 + [[4, 16_000, 2000, 10]] * 5 + [[1, 16_000, 2000, 10]] * 17))
    assert (0.0, 0.12) == (column["genre"].training_share_unseen, column["genre"].share_unseen)
    assert "rare or unseen genre: 0% of titles in training, 12% tonight" in column["genre"].change
    assert ["other", "Action", "Puzzle", "Sports", "missing"] == column["genre"].labels
    assert column["genre"].mean is column["genre"].training_mean is None


def test_missing_cells_in_words():
    """The words of a column with gaps have its mean without missing cells, and the share of missing cells."""
    column = measure(np.array([[1, 16_000, 2010, 10], [1, 16_000, GAP, 10]]))["year"]
    assert (
        "average year: 2,002.00 in training, 2,010.00 tonight; missing year: 25% of titles in training, 50% tonight"
        == column.change
    )
    assert (0.25, 0.5, 2010.0) == (column.training_share_missing, column.share_missing, column.mean)
    column = measure(np.array([[1, 16_000, GAP, 10]] * 9))["year"]
    assert column.mean is None
    assert column.drifted
    assert "missing year: 25% of titles in training, 100% tonight" == column.change


def test_dates_in_words():
    """The means of a date are dates."""
    column = measure(np.array([[1, 20_000, 2010, 10]]))["released"]
    assert "average released: 2013-11-06 in training, 2024-10-04 tonight" == column.change


def test_plain_number_has_old_keys():
    """A number without gaps has the keys that earlier releases wrote, and an empty run has no words."""
    assert {"kind", "labels", "share_unseen"}.isdisjoint(asdict(measure(TRAINING)["price"]))
    assert {""} == {column.change for column in measure(TRAINING[:0]).values()}


@pytest.mark.parametrize(
    ("values", "missing", "last"),
    [
        (2, "reject", "v1"),
        (2, "category", "missing"),
        (300, "reject", "280 rarer values"),
        (300, "category", "missing"),
    ],
)
def test_labels_of_code_bins(values, missing, last):
    """Each bin has a label: the frequent values, one bin for the rarer values, and one for missing cells."""
    column = Column("genre", "category", values=tuple(f"v{number}" for number in range(values)), missing=missing)
    codes = np.arange(values + 1 + (missing == "category"), dtype=float)
    (profile,) = profile_features(Contract(Column("sales", "number"), (column,)), codes[:, np.newaxis])
    labels = label_code_bins(column, profile["edges"])
    assert (len(profile["counts"]), ["other", "v0", "v1"], last) == (len(labels), labels[:3], labels[-1])
    assert min(profile["counts"]) > 0


def test_nasty_label_is_one_short_line():
    """A label has no control characters, no line breaks, and at most 40 characters."""
    assert "a b c" == shorten_label("a\nb\0c")
    assert 40 == len(shorten_label("<script>" * 2_000))


def test_ledger_is_valid_json():
    """An entry of a shard without a value in a column, and of a title with a missing cell, is valid JSON."""
    title = TopTitle(1, 5.0, [math.nan, 2.0], {})
    result = ShardResult(scored={0: 1}, extremes=[(math.inf, -math.inf), (1.0, 2.0)], top_titles=[title])
    content = format_entry(result)
    assert "null" in json.dumps(json.loads(content, parse_constant=pytest.fail))
    parsed = parse_entry(content.encode())
    assert [(math.inf, -math.inf), (1.0, 2.0)] == parsed.extremes
    assert math.isnan(parsed.top_titles[0].values[0])
