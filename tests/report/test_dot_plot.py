"""Dot plots: marks are where their values are, axes start at 0, and ticks are few."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.report.dot_plot import (
    Mark,
    Style,
    choose_date_ticks,
    choose_number_ticks,
    plot_dots,
    trace_steps,
    write_integer,
)

DOT, SQUARE = Style("published"), Style("withheld", "square", "second")
DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))
VALUES = st.lists(st.floats(0, 1e9), min_size=1, max_size=30)


def plot(marks, ticks=(), **options):
    return plot_dots("A heading", "A caption.", "Rows per run", marks, ticks, write=write_integer, **options)


def read_points(svg):
    path = re.search(r'<path d="((?:M[\d.]+ [\d.]+h0)+)"', svg)[1]
    return [tuple(map(float, point)) for point in re.findall(r"M([\d.]+) ([\d.]+)h0", path)]


@given(VALUES)
def test_heights_are_in_proportion(values):
    """0 is at the bottom of the axis, and the height of a mark is in proportion to its value."""
    points = read_points(plot([Mark(place, value, DOT) for place, value in enumerate(values)]).svg)
    heights = [160 - y for _, y in points]
    assert all(0 <= height <= 120 for height in heights)
    largest = max(values)
    if largest > 1e-3:
        top = max(heights)
        assert top >= 60
        assert heights == pytest.approx([top * value / largest for value in values], abs=0.2)


@given(st.lists(DAYS, min_size=1, max_size=20))
def test_places_are_in_proportion(days):
    """The distance of two marks is in proportion to the days between them."""
    places = [day.toordinal() for day in days]
    points = [x for x, _ in read_points(plot([Mark(place, 1, DOT) for place in places]).svg)]
    span, width = max(places) - min(places), max(points) - min(points)
    if span:
        expected = [min(points) + width * (place - min(places)) / span for place in places]
        assert points == pytest.approx(expected, abs=0.2)


@given(DAYS, DAYS)
def test_date_ticks(first, last):
    """There are at most six ticks, ascending, between both days or at the start of their month."""
    first, last = sorted([first, last])
    ticks = choose_date_ticks(first, last)
    places = [place for place, _ in ticks]
    assert len(ticks) <= 11
    assert places == sorted(set(places))
    assert len({label for _, label in ticks}) == len(ticks)


def test_labels_of_dates():
    """Ticks are days in a short span, months in a longer span, and years in the longest."""
    assert ["Nov 1", "Nov 2", "Nov 3"] == [
        label for _, label in choose_date_ticks(date(2026, 11, 1), date(2026, 11, 3))
    ]
    assert ["Nov 1", "Nov 8", "Nov 15"] == [
        label for _, label in choose_date_ticks(date(2026, 11, 1), date(2026, 11, 20))
    ]
    assert "Sep 2026" in [label for _, label in choose_date_ticks(date(2026, 7, 3), date(2026, 11, 20))]
    assert ["2024", "2025", "2026"] == [label for _, label in choose_date_ticks(date(2023, 6, 1), date(2026, 6, 1))]


def test_labels_of_numbers():
    """Whole numbers have round ticks; counts are short."""
    assert [(5, "5"), (10, "10")] == choose_number_ticks(1, 12)
    assert [(1, "1"), (2, "2"), (3, "3")] == choose_number_ticks(1, 3)
    assert (1000, "1,000") in choose_number_ticks(1, 1000)
    assert ["0", "800", "1,500", "25k", "3M", "2B"] == list(map(write_integer, (0, 800, 1500, 25_000, 3e6, 2e9)))


def test_legend():
    """A legend names the styles if there are several. Marks of different styles have different shapes."""
    both = plot([Mark(1, 1, DOT), Mark(2, 1, SQUARE)]).svg
    assert all(f">{style.label}</text>" in both for style in (DOT, SQUARE))
    assert ">published</text>" not in plot([Mark(1, 1, DOT)]).svg


def test_intervals():
    """Intervals are drawn and named in the caption, unless their number would cover the plot."""
    marks = [Mark(place, 10, DOT, 8, 12) for place in range(20)]
    assert "A caption. Lines: 95% confidence interval." == plot(marks).caption
    assert "A caption." == plot(marks * 20).caption
    assert "A caption." == plot([Mark(1, 10, DOT)]).caption


def test_steps():
    """A value holds until the next value."""
    assert [(0, 1), (2, 1), (2, 3), (5, 3)] == trace_steps([(0, 1), (2, 3)], 5)
    assert [] == trace_steps([], 5)


def test_plot_without_marks():
    """A plot without a mark is drawn too."""
    assert "<svg" in plot([]).svg
