"""Strips: a scale that starts at 0, has round ticks, and places every amount where it belongs."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gamesales.report.strips import Strip, choose_scale

amounts = st.floats(1e-3, 1e12)


@given(st.lists(amounts, min_size=1))
def test_scale_holds_all_amounts(values):
    """The scale starts at 0, ends at or above the largest amount, and has two to four ticks at equal distances."""
    scale = choose_scale(values)
    places, labels = zip(*scale.ticks, strict=True)
    assert labels[0] == "$0"
    assert (places[0], places[-1]) == (0, 100)
    assert 2 <= len(places) <= 4
    shown = list(filter(None, labels))
    assert labels[-1] in shown
    assert len(set(shown)) == len(shown)
    assert max(values) <= scale.limit * (1 + 1e-6)
    assert scale.limit < 2.6 * max(values)


@given(amounts, st.floats(0, 1), st.floats(0, 1))
@example(0.0010000000000000002, 0.0, 0.0)
def test_strip_is_proportional(value, below, above):
    """Places are in proportion to amounts, and an interval contains its estimate."""
    low, high = value * (1 - below), value * (1 + above)
    scale = choose_scale([high])
    strip = scale.draw(value, low, high)
    assert strip.place == pytest.approx(100 * value / scale.limit, abs=0.06)
    assert strip.low <= strip.place <= strip.low + strip.width + 0.11
    assert not strip.is_beyond


def test_amounts_beyond_the_scale_are_marked():
    """An estimate beyond the scale is marked, and an interval that reaches below 0 starts at 0."""
    scale = choose_scale([1_400.0])
    assert [(0, "$0"), (33.33, "$500"), (66.67, "$1k"), (100, "$1.5k")] == scale.ticks
    assert scale.draw(33_000.0) == Strip(100.0, 0.0, 100.0, is_beyond=True)
    assert scale.draw(300.0, -300.0, 900.0) == Strip(0.0, 60.0, 20.0)


def test_long_labels():
    """Labels that would overlap are left out between the ends of the scale."""
    assert ["$0", "", "", "$300M"] == [label for _, label in choose_scale([2.9e8]).ticks]


@pytest.mark.parametrize("values", [[], [0.0], [None, math.nan]])
def test_scale_without_amounts(values):
    """Without an amount above 0, there is still a scale, and nothing is drawn for a missing amount."""
    scale = choose_scale(values)
    assert scale.ticks == [(0.0, "$0"), (100.0, "$1")]
    assert scale.draw(None) is None
    assert scale.draw(math.nan) is None
