"""The choice of rows that represent many."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.stats import herding
from gamesales.stats.herding import choose_representatives


@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=1, max_size=30), count=st.integers(0, 40)
)
@settings(max_examples=50)
def test_rows_are_distinct(rows, count):
    """As many different rows as requested are chosen, or all of them, in order."""
    chosen = choose_representatives(np.array(rows, np.float64), count, seed=1)
    assert min(count, len(rows)) == len(chosen)
    assert sorted(set(chosen.tolist())) == chosen.tolist()


def test_chosen_rows_represent_all():
    """The means and a correlation of chosen rows are 4 times as close to those of all rows as of random rows."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(2_000, 3))
    values[:, 1] += values[:, 0]
    values[:, 2] = values[:, 2] > 1

    def measure(rows):
        return np.append(values[rows].mean(axis=0), np.corrcoef(values[rows].T)[0, 1])

    expected = measure(slice(None))
    errors = np.abs(measure(choose_representatives(values, 100, seed=1)) - expected)
    random_errors = [np.abs(measure(rng.choice(2_000, 100, replace=False)) - expected) for _ in range(50)]
    assert (errors < np.mean(random_errors, axis=0) / 4).all()


def test_many_rows_are_sampled(monkeypatch):
    """Of many rows, a sample is compared. The same seed gives the same rows."""
    monkeypatch.setattr(herding, "_MOST_CANDIDATES", 50)
    values = np.random.default_rng(1).normal(size=(400, 2))
    chosen = choose_representatives(values, 20, seed=3)
    assert chosen.tolist() == choose_representatives(values, 20, seed=3).tolist()
    assert chosen.tolist() != choose_representatives(values, 20, seed=4).tolist()
    assert np.abs(values[chosen].mean(axis=0)).max() < 0.4


def test_constant_column():
    """A column with a single value changes nothing."""
    values = np.random.default_rng(1).normal(size=(60, 2))
    with_constant = np.column_stack([values, np.full(60, 7.0)])
    assert choose_representatives(values, 9, 1).tolist() == choose_representatives(with_constant, 9, 1).tolist()
