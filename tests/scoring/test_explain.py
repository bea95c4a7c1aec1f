"""Explanations of a version's predictions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data.contract import Column, Contract
from gamesales.errors import InputError
from gamesales.scoring.explain import Explainer
from gamesales.scoring.scorer import Scorer, load_version
from gamesales.stats.shapley import MAX_EXACT_COLUMNS
from support.runs import CONTRACT, network_version, picky_version, simple_version
from support.strategies import titles
from support.versions import FEATURES, simple_details, simple_earnings, simple_graph, title_values

NETWORK = network_version()
REFERENCES = title_values(10, seed=3)


def explain_titles(version, references, titles):
    explainer = Explainer(version, references)
    return [explainer.explain(title) for title in titles]


def effects_of(explanation):
    return {effect.column: effect.effect for effect in explanation.effects}


@given(rows=titles(min_size=1, max_size=6), data=st.data())
@settings(max_examples=15, deadline=None)
def test_each_title_by_itself(rows, data):
    """A title has the same explanation in any order, with any other titles, and alone: bit for bit."""
    explanations = explain_titles(NETWORK, REFERENCES, rows)
    order = data.draw(st.permutations(range(len(rows))))
    assert [explanations[index] for index in order] == explain_titles(
        NETWORK, REFERENCES, [rows[index] for index in order]
    )
    assert explanations[:1] == explain_titles(NETWORK, REFERENCES, rows[:1])


@given(rows=titles(min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_sum_is_prediction(rows):
    """The mean and the effects add up to the prediction of scoring, and the largest effect comes first."""
    for row, explanation in zip(rows, explain_titles(NETWORK, REFERENCES, rows), strict=True):
        assert NETWORK.scorer.score(np.array([row])).tolist() == [explanation.prediction]
        effects = [effect.effect for effect in explanation.effects]
        assert explanation.mean + sum(effects) == pytest.approx(explanation.prediction, rel=1e-9, abs=1e-6)
        assert sorted(effects, key=abs, reverse=True) == effects
        assert sorted(FEATURES) == sorted(effect.column for effect in explanation.effects)


def test_clipped_predictions():
    """What is explained is the prediction that scoring publishes, within the target's range."""
    version = simple_version(bias=-5_500.0)
    titles = title_values(5, seed=8)
    for row, explanation in zip(titles, explain_titles(version, REFERENCES, titles.tolist()), strict=True):
        assert max(simple_earnings(row[None], -5_500.0)[0], 0.0) == explanation.prediction
        assert explanation.mean == np.maximum(simple_earnings(REFERENCES, -5_500.0), 0).mean()
        total = explanation.mean + sum(effects_of(explanation).values())
        assert total == pytest.approx(explanation.prediction, abs=1e-6)


def test_ignored_column():
    """A column that the graph ignores has exactly the effect 0."""
    weights = [1000.0, 100.0, 0.0, 300.0, 400.0, 500.0, 600.0, 700.0, 10.0]
    version = replace(NETWORK, scorer=Scorer(simple_graph(weights=weights)))
    (explanation,) = explain_titles(version, REFERENCES, title_values(1).tolist())
    assert 0.0 == effects_of(explanation)["is_exclusive_to_us"]
    assert "is_exclusive_to_us" == explanation.effects[-1].column


def test_many_columns():
    """With more than 12 columns, effects have standard errors. Those of a sum are 0, and the effects are right."""
    names = [f"score_{number}" for number in range(MAX_EXACT_COLUMNS + 1)]
    features = tuple(Column(name, "rating", "points") for name in names)
    contract = Contract(CONTRACT.target, features)
    rng = np.random.default_rng(1)
    weights, references = rng.integers(1, 9, len(names)).astype(float), rng.integers(0, 9, (8, len(names)))
    golden = {"values": [[1.0] * len(names)], "expected_predictions": [weights.sum()], "prediction_tolerance": [0.01]}
    profile = [{"name": name, "minimum": 0, "maximum": 9} for name in names]
    details = {**simple_details(contract), "golden": golden, "training_profile": profile}
    version = load_version("many", 1, "0" * 64, details, simple_graph(weights=weights.tolist()))
    title = rng.integers(0, 9, len(names)).astype(float)
    (explanation,) = explain_titles(version, references.astype(float), [title.tolist()])
    expected = dict(zip(names, weights * (title - references.mean(axis=0)), strict=True))
    assert expected == pytest.approx(effects_of(explanation), abs=1e-9)
    assert [0.0] * len(names) == pytest.approx([effect.standard_error for effect in explanation.effects], abs=1e-9)


def test_prediction_of_mixture_is_not_finite():
    """A title whose mixture with a reference title has no finite prediction can't be explained."""
    details = simple_details(CONTRACT)
    details["golden"] = {"values": [[1] * 9], "expected_predictions": [-1 / 12], "prediction_tolerance": [0.01]}
    del details["contract"]["target"]["minimum"]
    version = load_version("game-earnings", 1, "0" * 64, details, picky_version(forbidden=13.0))
    with pytest.raises(InputError, match="this title can't be explained: mixed with a reference title"):
        explain_titles(version, np.array([[4.5, *[0] * 7, 13.0]]), [[4.5, *[0] * 7, 14.0]])
