"""Shapley values: their laws, for exact and for sampled values, and that both agree."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.stats import shapley
from gamesales.stats.shapley import MAX_EXACT_COLUMNS, compute_shapley_values, sample_ranks

METHODS = [shapley._compute_exact_values, shapley._sample_values]
# The first three orders of five columns.
FROZEN = [[2, 4, 0, 3, 1], [4, 2, 0, 3, 1], [4, 2, 1, 0, 3]]
seeds = st.integers(0, 2**32 - 1)


def draw_game(seed, columns, references=7):
    """A small network with interactions, a title and reference titles. Some of their values are equal."""
    rng = np.random.default_rng(seed)
    inner, bias, outer = rng.normal(size=(columns, 5)), rng.normal(size=5), rng.normal(size=5)

    def predict(rows):
        return np.tanh(np.einsum("nk,kh->nh", rows, inner) + bias) @ outer * 1000

    titles = rng.integers(-2, 3, (references + 1, columns)).astype(np.float64)
    return predict, titles[0], titles[1:]


def walk_all_orders(predict, title, references):
    """The definition: the mean contribution of each column over all orders and reference titles."""
    values = []
    for reference in references:
        for order in permutations(range(len(title))):
            row, contributions = reference.copy(), np.zeros(len(title))
            for column in order:
                before = predict(row[None])[0]
                row[column] = title[column]
                contributions[column] = predict(row[None])[0] - before
            values.append(contributions)
    return np.mean(values, axis=0)


@given(seed=seeds, columns=st.integers(1, 4))
@settings(max_examples=20)
def test_definition(seed, columns):
    """Exact values are the mean contributions over all orders."""
    predict, title, references = draw_game(seed, columns, references=3)
    values = compute_shapley_values(predict, title, references).values
    assert values == pytest.approx(walk_all_orders(predict, title, references), abs=1e-8)


@pytest.mark.parametrize("compute", METHODS)
@given(seed=seeds, columns=st.integers(1, 6))
@settings(max_examples=30)
def test_efficiency(compute, seed, columns):
    """The mean prediction for the reference titles and the values add up to the prediction for the title."""
    predict, title, references = draw_game(seed, columns)
    result = compute(predict, title, references)
    assert result.mean == pytest.approx(predict(references).mean(), abs=1e-8)
    assert result.mean + result.values.sum() == pytest.approx(predict(title[None])[0], abs=1e-8)


@pytest.mark.parametrize("compute", METHODS)
@given(seed=seeds, column=st.integers(0, 4))
@settings(max_examples=30)
def test_column_without_effect(compute, seed, column):
    """A column that the function ignores has exactly the value 0, and so has a column that never differs."""
    predict, title, references = draw_game(seed, 5)
    ignoring = compute(
        lambda rows: predict(np.delete(rows, column, axis=1).repeat([2, *[1] * 3], axis=1)), title, references
    )
    assert 0.0 == ignoring.values[column]
    references[:, column] = title[column]
    assert 0.0 == compute(predict, title, references).values[column]


@given(seed=seeds)
@settings(max_examples=30)
def test_symmetry(seed):
    """Two columns with the same role and the same values have the same value."""
    predict, title, references = draw_game(seed, 4)
    title[3], references[:, 3] = title[0], references[:, 0]
    values = compute_shapley_values(
        lambda rows: predict(rows) + predict(rows[:, [3, 1, 2, 0]]), title, references
    ).values
    assert values[0] == pytest.approx(values[3], abs=1e-8)


@pytest.mark.parametrize("compute", METHODS)
def test_additive_function(compute):
    """Each column of a sum has its own difference from the mean; sampling does not add an error."""
    rng = np.random.default_rng(1)
    title, references, weights = rng.normal(size=6), rng.normal(size=(20, 6)), rng.normal(size=6)
    result = compute(lambda rows: rows @ weights, title, references)
    assert result.values == pytest.approx(weights * (title - references.mean(axis=0)), abs=1e-12)
    if result.standard_errors is not None:
        assert result.standard_errors == pytest.approx(0, abs=1e-12)


def test_sampled_values_agree():
    """Sampled values differ from exact values as their standard errors say: 200 differences are about normal."""
    scores = []
    for seed in range(20):
        predict, title, references = draw_game(seed, 10, references=30)
        exact = shapley._compute_exact_values(predict, title, references).values
        sampled = shapley._sample_values(predict, title, references)
        scores += ((sampled.values - exact) / sampled.standard_errors).tolist()
    assert 0.8 < np.std(scores) < 1.2
    assert abs(np.mean(scores)) < 0.25
    assert np.abs(scores).max() < 4.5


@pytest.mark.parametrize(("columns", "is_sampled"), [(MAX_EXACT_COLUMNS, False), (MAX_EXACT_COLUMNS + 1, True)])
def test_choice_of_method(columns, is_sampled):
    """Values are exact up to 12 columns, and sampled beyond."""
    result = compute_shapley_values(*draw_game(1, columns, references=2))
    assert is_sampled == (result.standard_errors is not None)


@pytest.mark.parametrize("compute", METHODS)
def test_memory_is_bounded(compute, monkeypatch):
    """Rows are predicted piece by piece, which does not change the result."""
    predict, title, references = draw_game(2, 6, references=25)
    whole = compute(predict, title, references)
    monkeypatch.setattr(shapley, "_CELLS_AT_A_TIME", 3_000)
    sizes = []

    def watch(rows):
        sizes.append(rows.size)
        return predict(rows)

    pieces = compute(watch, title, references)
    assert max(sizes) <= 3_000
    assert len(sizes) > 1
    assert [whole.mean, *whole.values] == pytest.approx([pieces.mean, *pieces.values], rel=1e-12)


def test_sampled_orders_never_change():
    """The sampled orders are orders, and the same with each release of NumPy."""
    ranks = sample_ranks(3, 5)
    assert [[0, 1, 2, 3, 4]] * 3 == np.sort(ranks, axis=1).tolist()
    assert FROZEN == ranks.tolist()
