"""Pages of titles with categories, dates and missing cells: plots by text, and texts that can't become markup."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from gamesales.data.contract import Column, Contract
from gamesales.diagnostics.importance import measure_dependence
from gamesales.report.run_page import render_run_page
from gamesales.report.run_sections import RunPage
from gamesales.report.version_plots import plot_dependences
from gamesales.scoring.column_drift import add_encoding
from gamesales.scoring.drift import Drift, Profile, count_bins, measure_drift
from gamesales.scoring.familiarity import OutsideEncodedColumn
from gamesales.training.evaluation import profile_features
from support.pages import HOSTILE, Outline, make_run_report, read_text

NASTY = ("<script>alert('x')</script>", "x" * 10_000, "a\nb\0c", "\u202emirror", "ゲーム" * 9, "🎮")
VALUES = (*NASTY, *(f"value {number}" for number in range(294)))
CONTRACT = Contract(
    Column("sales", "number"),
    (
        Column("tag", "category", values=VALUES, missing="category"),
        Column("released", "date", missing="mean"),
        Column("year", "number", missing="mean"),
        Column("constant", "number", missing="mean"),
        Column("is_sequel", "flag", missing=0),
    ),
)


def draw(rows, seed=1):
    random = np.random.default_rng(seed)
    columns = [
        random.geometric(0.05, rows) % 302,
        random.integers(9_000, 18_000, rows),
        random.integers(1990, 2020, rows),
    ]
    features = np.column_stack([*columns, np.ones(rows), random.integers(0, 2, rows)]).astype(float)
    features[:, 1:][random.random((rows, 4)) < 0.2] = np.nan
    features[:6, 0] = range(1, 7)
    return features


@pytest.fixture(scope="module")
def plots():
    """The plots of partial dependence by the name of the column, and of flags."""

    def predict(values):
        return values[:, 0] + np.nan_to_num(values[:, 2])

    features = draw(500)
    features[:100, 0] = np.resize(range(1, 7), 100)
    dependences = [asdict(effect) for effect in measure_dependence(CONTRACT, predict, features, [], 1)]
    return {plot.heading: plot for plot in plot_dependences(dependences, CONTRACT.feature_names)}


def test_categories_are_dots_by_text(plots):
    """A category has a row for each frequent value, cut and escaped, and says which values are high and low."""
    tag = plots["tag"]
    assert {"script", "img"}.isdisjoint(tag for tag, _ in Outline(tag.svg).tags)
    assert "&lt;script&gt;alert" in tag.svg
    assert "x" * 22 not in tag.svg
    assert "\0" not in tag.svg + tag.caption
    assert "\u202e" not in tag.svg + tag.caption
    assert "The most frequent values are at the top." in tag.caption


def test_dates_and_gaps(plots):
    """An axis of dates has ISO dates, and a missing value is a dashed line; a constant with gaps has two rows."""
    released, year, constant = plots["released"], plots["year"], plots["constant"]
    assert ">1994-" in released.svg
    assert released.caption.endswith("Dashed line: a missing value.")
    assert "from 1990 to 2019" in year.caption
    assert ">missing</text>" in constant.svg
    assert "is_sequel: missing" in plots["Effect of each flag"].svg


def render_night(features):
    profiles = [Profile.from_manifest(profile) for profile in profile_features(CONTRACT, draw(1_000, seed=2))]
    counts = [count_bins(profile, column) for profile, column in zip(profiles, features.T, strict=True)]
    sums = np.nansum(features, axis=0).tolist()
    drift = measure_drift(profiles, counts, [0] * 5, len(features), sums=sums)
    by_name = {column.name: column for column in CONTRACT.features}
    columns = tuple(add_encoding(column, by_name[column.column]) for column in drift.columns)
    outside = [
        OutsideEncodedColumn("tag", 2, 0.0, 5.0, 1.0, 5.0, "", kind="category"),
        OutsideEncodedColumn("released", 3, 16_000.0, 17_000.0, 1.0, 5.0, "", kind="date"),
    ]
    drift = asdict(Drift(drift.rows, 0.25, columns, drift.drifted))
    report = make_run_report(drift=drift, outside_columns=list(map(asdict, outside)))
    return render_run_page(RunPage(report))


def test_run_page_of_mixed_titles():
    """A night with 300 values shows bins by text, missing cells, dates, and no markup from values."""
    document = render_night(draw(400, seed=3))
    assert {"script", "img"}.isdisjoint(tag for tag, _ in Outline(document).tags)
    text = read_text(document)
    for words in (
        "280 rarer values",
        "other",
        "missing",
        "values that training did not have",
        "2013-10-22 to 2016-07-18",
    ):
        assert words in text
    assert len(document) < 200_000
    assert HOSTILE not in document


def test_run_page_of_empty_columns():
    """A night without any value in a column, or without titles, has a page."""
    features = draw(50)
    features[:, 1:] = math.nan
    assert "100% tonight" in read_text(render_night(features))
    assert "tag" in read_text(render_night(features[:0]))
