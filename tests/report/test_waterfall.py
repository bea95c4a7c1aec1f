"""The waterfall of an explanation: arrows as long as their effects, and a table of the same numbers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.report.waterfall import plot_waterfall
from support.pages import HOSTILE, Outline, read_text

ARROW = re.compile(r'<path d="M([\d.]+) \d+H[\d.]+L([\d.]+) [\d.]+L[^"]*" style="fill: var\(--(accent|card)\)')
CENTS = st.integers(-(10**8), 10**8).map(lambda cents: cents / 100)
EFFECTS = st.lists(CENTS, min_size=1, max_size=12)


def explain(effects, mean=100_000.0, unit="US dollars", error=None, names=None):
    names = names or [f"column_{number}" for number in range(len(effects))]
    return {
        "prediction": mean + sum(effects),
        "mean": mean,
        "unit": unit,
        "reference_titles": 100,
        "effects": [
            {"column": name, "kind": "rating", "unit": "stars", "value": 4.5, "effect": effect, "standard_error": error}
            for name, effect in zip(names, effects, strict=True)
        ],
    }


def read_table(plot):
    return re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', plot.details)


@given(effects=EFFECTS, mean=CENTS)
def test_arrows_have_the_length_of_effects(effects, mean):
    """Each arrow starts where the one above ends, and is as long as its effect. A filled arrow goes to the right."""
    svg = plot_waterfall("a", explain(effects, mean)).svg
    arrows = [(float(start), float(end), fill) for start, end, fill in ARROW.findall(svg)]
    assert len(effects) == len(arrows)
    assert [start for start, _, _ in arrows[1:]] == [end for _, end, _ in arrows[:-1]]
    ends = [mean]
    for effect in effects:
        ends.append(ends[-1] + effect)
    scale = 304 / ((max(ends) - min(ends)) * 1.08 or 2.0)
    for effect, (start, end, fill) in zip(effects, arrows, strict=True):
        assert effect * scale == pytest.approx(end - start, abs=0.15)
        assert fill == ("accent" if end >= start else "card")
        assert 8 <= min(start, end) <= max(start, end) <= 312


def test_numbers():
    """The caption, the labels and the table have the amounts with their signs, and they add up."""
    plot = plot_waterfall("1. T1", explain([30_000.0, -12_345.6]))
    assert "Predicted $117,654, $17,654 above the mean." == plot.caption
    text = re.findall(r">([^<]+)</text>", plot.svg)
    assert ["mean of 100 reference titles", "$100,000"] == text[text.index("mean of 100 reference titles") :][:2]
    assert ["column_1: 4.5 stars", "−$12,346"] == text[text.index("column_1: 4.5 stars") :][:2]
    assert ["prediction", "$117,654"] == text[-2:]
    rows = [read_text(f"<body>{label} {cells}") for label, cells in read_table(plot)]
    assert [
        "mean of 100 reference titles $100,000",
        "column_0: 4.5 stars +$30,000",
        "column_1: 4.5 stars −$12,346",
        "prediction $117,654",
    ] == rows


def test_standard_errors():
    """Sampled effects have their standard errors, on the plot and in the table."""
    plot = plot_waterfall("1", explain([300.0, -20.0], error=4.0))
    assert "+$300 ± $4" in plot.svg
    assert "Standard error" in plot.details
    assert "<td>$4</td>" in plot.details


def test_many_columns():
    """Beyond 12 columns, the smallest effects share an arrow. The table has all of them."""
    plot = plot_waterfall("1", explain([1000.0 - number for number in range(20)]))
    assert 12 == len(ARROW.findall(plot.svg))
    assert "9 other columns" in plot.svg
    assert 22 == len(read_table(plot))


@pytest.mark.parametrize("unit", ["hours", "million copies", ""])
def test_other_unit(unit):
    """A target that is not in dollars has its unit."""
    plot = plot_waterfall("1", explain([1.25, -0.5], mean=3.0, unit=unit))
    assert f"Predicted 3.750 {unit}".strip() in plot.caption
    assert "$" not in plot.svg + plot.details
    assert f"−0.500 {unit}".strip() in read_text(f"<body>{plot.details}")


@pytest.mark.parametrize("effects", [[0.0, 0.0], [1e-12], [1e300, -1e300], [5.0]])
def test_extreme_effects(effects):
    """Effects of 0 and of any size are drawn, with labels of ticks that are not equal."""
    svg = plot_waterfall("1", explain(effects)).svg
    assert "nan" not in svg
    assert "inf" not in svg
    ticks = re.findall(r"text-anchor: middle[^>]*>([^<]+)</text>", svg)
    assert len(ticks) <= 7


def test_texts_are_no_markup():
    """Names and labels can't add a tag. A long label is cut on the plot."""
    plot = plot_waterfall(HOSTILE, explain([1.0], names=[HOSTILE]))
    outline = Outline(f"<html><body>{plot.svg}{plot.details}</body></html>")
    assert {"script", "img"}.isdisjoint(tag for tag, _ in outline.tags)
    assert "…" in plot.svg


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("category", "RPG", "RPG"),
        ("category", None, "missing"),
        ("category", "x" * 100, "x" * 59 + "…"),
        ("date", "2026-11-30", "2026-11-30"),
        ("number", None, "missing"),
        ("number", 2006.0, "2006"),
    ],
)
def test_values_of_kinds(kind, value, text):
    """A category and a date are their text, and a missing cell is missing."""
    document = explain([1.0])
    document["effects"][0] |= {"kind": kind, "value": value, "unit": ""}
    assert f"column_0: {text}</th>" in plot_waterfall("1", document).details
