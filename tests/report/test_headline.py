"""The headline of a version's page: first the champion, then the best baseline, and no praise before a refusal."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.registry.gate import MARGIN, check_not_worse, compare_with_champion, describe_refusal
from gamesales.report.headline import describe_comparison, write_headline
from gamesales.report.version_page import render_version_page
from support.pages import make_metrics, make_page, read_text


def make_gate(champion_mae, candidate_mae, *, rows=400, spread=0.0):
    """What training writes into the manifest about the gate, for normal errors with these means."""
    random = np.random.default_rng(1)
    champion = champion_mae * (1 + spread * random.standard_normal(rows))
    candidate = candidate_mae * (1 + spread * random.standard_normal(rows))
    comparison = compare_with_champion(champion, candidate, 1)
    return {
        "champion": 3,
        "metrics": make_metrics(comparison.champion_mae),
        "comparison": asdict(comparison),
        "refusal": describe_refusal([check_not_worse(comparison, 3)]),
    }


def headline_of(gate, mae, baseline):
    metrics = {
        "this version": make_metrics(mae),
        "version 3, champion": gate["metrics"],
        "gradient boosting": make_metrics(baseline),
    }
    return write_headline(400, metrics, gate)


def test_champion_comes_first():
    """The headline compares with the champion first, and then with the best baseline."""
    text, is_better = headline_of(make_gate(1_000, 900), 900, 1_800)
    assert text == (
        "On 400 test titles, this version has an average error of $900 (MAPE 1.0%): 10% lower than the champion, "
        "version 3; 2.0\N{NO-BREAK SPACE}times lower than gradient boosting."
    )
    assert is_better


def test_champion_may_be_slightly_better():
    """A version that passes with a larger error is not called better."""
    text, is_better = headline_of(make_gate(1_000, 1_020), 1_020, 1_800)
    assert "not better than the champion, version 3, which has $1,000; 1.8\N{NO-BREAK SPACE}times lower than" in text
    assert is_better


def test_refusal_is_the_headline():
    """If the gate would refuse the version, the headline says so, and does not mention baselines."""
    text, is_better = headline_of(make_gate(925, 1_664), 1_664, 9_000)
    assert text == (
        "The gate would refuse this version: on 400 test titles, its average error is $1,664, and the champion, "
        "version 3, has $925."
    )
    assert is_better is False


def test_refusal_for_few_titles():
    """A better version can be refused on few titles. The headline says why."""
    text, _ = headline_of(make_gate(1_000, 900, rows=20), 900, 9_000)
    assert text.endswith("has $1,000. So few titles do not show that it is at most 5% worse.")


def test_refusal_without_comparison():
    """If the versions can't be compared, the headline leaves the reason to the first warning."""
    gate = {"champion": 3, "metrics": None, "comparison": None, "refusal": "version 3 can't be scored"}
    warning = "The gate would refuse this version: version 3 can't be scored."
    text = read_text(render_version_page(make_page(gate=gate, warnings=[warning])))
    assert "The gate would refuse this version. The first warning says why. State: new, not promoted." in text
    assert "It could not be compared with the champion." in text
    assert text.index("Read this before you promote The gate would refuse") < text.index("Average error")
    assert "lower than" not in text


@settings(deadline=None, max_examples=40)
@given(st.floats(1, 1e6), st.floats(1, 1e6), st.integers(1, 200), st.floats(0, 1))
def test_refused_version_is_not_praised(champion, candidate, rows, spread):
    """No headline of a version that the gate would refuse says that the version is better than anything."""
    gate = make_gate(champion, candidate, rows=rows, spread=spread)
    text, is_better = headline_of(gate, gate["comparison"]["candidate_mae"], 1e9)
    assert ("lower than" in text) == (gate["refusal"] == "" and "gradient boosting" in text)
    assert bool(gate["refusal"]) == (is_better is False)


def test_page_has_the_champion_in_its_table():
    """The champion is the second row of the table, and the comparison is described below it."""
    gate = make_gate(1_000, 900)
    text = read_text(render_version_page(make_page(gate=gate)))
    assert text.index("version 3, champion $1,000") < text.index("gradient boosting $")
    assert (
        "On 400 titles, the average error of this version minus the error of the champion, version 3, is −$100, and at "
        f"most −$100 with 97.5% confidence. The gate allows +${1_000 * MARGIN:.0f}."
    ) in text


def test_comparison_is_on_top():
    """The cards above the warnings have both errors with their intervals, the difference and the gate's answer."""
    gate = {**make_gate(1_000, 1_080), "intervals": {"mae": [950.4, 1_049.6]}}
    text = read_text(render_version_page(make_page(gate=gate, warnings=["Look out."])))
    cards = text[text.index("Compared with the champion") : text.index(" State: new, not promoted.")]
    assert cards == (
        "Compared with the champion average error (MAE) when this version was trained Version 2 $1,080 Version 3, "
        "champion $1,000 95% confidence interval: $950 to $1,050 Difference +$80 at most +$80 with 97.5% confidence "
        "The gate refuses it allows at most +$50"
    )
    assert text.index("State: new") < text.index("Read this before you promote")


@pytest.mark.parametrize("gate", [None, {"champion": None, "metrics": None, "comparison": None, "refusal": ""}])
def test_page_without_champion(gate):
    """Without a champion, the page compares with the baselines only."""
    text = read_text(render_version_page(make_page(gate=gate)))
    assert "Compared with the champion" not in text
    assert ("There was no champion." in text) == (gate is not None)
    assert "7.4 times lower than gradient boosting." in text
    assert gate is None or describe_comparison(gate) == ""
