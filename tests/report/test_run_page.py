"""The page of a run as data: its histograms, and texts that can't become markup."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.report.histogram import label_bins, plot_histograms, write_amount, write_number
from gamesales.report.run_page import render_run_page
from gamesales.report.run_sections import PredictedTitle, RejectGroup, RunPage
from support.pages import HOSTILE, Outline, make_run_report, read_text

COUNTS = st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(any)


@given(COUNTS, COUNTS)
def test_bars_have_the_length_of_shares(training, counts):
    """The length of a bar is its share of the titles, on an axis that starts at 0 and holds all shares."""
    svg = plot_histograms("a", "b", list("abcd"), training, counts).svg
    filled = np.array([float(width) for width in re.findall(r'<rect x="104" y="[^"]*" width="([\d.]+)"', svg)])
    limit = float(re.findall(r">(\d+)%</text>", svg.split(">a</text>")[0])[-1])
    assert filled == pytest.approx(202 * 100 * np.array(counts) / sum(counts) / limit, abs=0.06)
    assert filled.max() <= 202


def test_labels():
    """Ranges are written with few characters. A column of 0 and 1 is a flag."""
    assert ["0 (no)", "1 (yes)"] == label_bins([0.5], write_number)
    assert ["all values"] == label_bins([], write_number)
    assert ["below 2.25", "2.25 to 1e+07", "1e+07 or more"] == label_bins([2.25, 1e7], write_number)
    assert ["below −$1.2k", "−$1.2k to $950", "$950 to $1M", "$1M or more"] == label_bins(
        [-1200, 950, 999_999.9], write_amount
    )


def test_texts_are_no_markup():
    """Names of files, reasons, values and ids can't add a tag to the page."""
    page = RunPage(
        make_run_report(warnings=[HOSTILE], rows_rejected=1, rejects=HOSTILE, output=HOSTILE),
        version={HOSTILE: HOSTILE},
        version_note=HOSTILE,
        highest=[PredictedTitle(HOSTILE, 1.0, None, None, is_outside=True)],
        rejects=[RejectGroup(HOSTILE, 1, [HOSTILE])],
        commands={HOSTILE: HOSTILE},
    )
    outline = Outline(document := render_run_page(page))
    assert {"script", "img"}.isdisjoint(tag for tag, _ in outline.tags)
    assert 9 <= read_text(document).count("<script>alert('x')</script>")


def test_same_content_same_bytes():
    """The page has no time and no random id."""
    assert render_run_page(RunPage(make_run_report())) == render_run_page(RunPage(make_run_report()))


def test_numbers_of_a_run():
    """Duplicates, a release, a shadow and blank rows are on the page."""
    shadow = {"model_version": 5, "mean_difference": -12.0, "mean_absolute_difference": 30.0}
    report = make_run_report(
        rows_blank=2,
        rows_in=3,
        duplicate_ids={"ids": 1, "rows": 2, "examples": ["T1"]},
        release={"actor": "an owner", "time": "2026-11-24T08:00:00+00:00", "reason": "a sale"},
        shadow=shadow,
        rows_clipped=1,
    )
    text = read_text(render_run_page(RunPage(report)))
    for expected in (
        "of 3 rows; 2 blank rows",
        "1 duplicate id with 2 extra rows: T1.",
        "an owner, November 24, 2026, 08:00 UTC: a sale",
        "differ by −$12 on average, and by $30 in absolute terms",
        "1 title with a prediction that was moved into the allowed range",
        "without profiles of its training titles",
    ):
        assert expected in text
