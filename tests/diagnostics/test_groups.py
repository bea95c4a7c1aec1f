"""Groups of titles: how titles are divided, and which groups have larger errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.contract import Column, Contract
from gamesales.diagnostics.groups import Grouping, find_one_hot_flags, make_groupings, split_column
from gamesales.diagnostics.residuals import measure_groups
from gamesales.stats.same_features import number_distinct_rows
from support.sampling import many
from support.titles import titles
from support.versions import FEATURES

GENRES = tuple(FEATURES.index(name) for name in ("is_action", "is_role_playing", "is_sports"))
SPORTS = FEATURES.index("is_sports")


def flags(count):
    """A contract of flags."""
    return Contract(Column("earned", "money"), tuple(Column(f"flag_{index}", "flag") for index in range(count)))


# --- One-hot flags.


def test_genres_are_one_hot(contract):
    """The store's genres are found and nothing else."""
    for seed in range(1, 6):
        assert [GENRES] == find_one_hot_flags(contract, titles(1000, seed)[0])


@given(st.integers(2, 5), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_one_hot_flags_in_any_order(together, alone, seed):
    """Flags of which one is always set are found at any position."""
    random = np.random.default_rng(seed)
    hot = np.eye(together)[np.r_[np.arange(together), random.integers(0, together, 300)]]
    free = (random.random((len(hot), alone)) < 0.4).astype(float)
    free[0], free[1] = 1.0, 1.0
    order = random.permutation(together + alone)
    values = np.concatenate([hot, free], axis=1)[:, order]
    expected = tuple(sorted(int(np.flatnonzero(order == index)[0]) for index in range(together)))
    assert [expected] == find_one_hot_flags(flags(together + alone), values)


def test_two_one_hot_sets():
    """Two sets of flags are found separately."""
    random = np.random.default_rng(1)
    values = np.concatenate([np.eye(3)[random.integers(0, 3, 200)], np.eye(2)[random.integers(0, 2, 200)]], axis=1)
    assert [(0, 1, 2), (3, 4)] == find_one_hot_flags(flags(5), values)


def test_constant_flags_are_not_one_hot():
    """Flags that are never or always set are in no set."""
    values = np.stack([np.ones(100), np.zeros(100), np.arange(100) % 3 == 0], axis=1).astype(float)
    assert [] == find_one_hot_flags(flags(3), values)


def test_few_titles_prove_nothing():
    """Among few titles, flags exclude each other by chance."""
    assert [] == find_one_hot_flags(flags(2), np.eye(2)[[0, 1] * 5])


def test_search_for_flags_ends():
    """The search ends for many flags that exclude each other but leave one title without a flag."""
    count = many(120, 25)
    values = np.concatenate([np.repeat(np.eye(count), 2, axis=0), np.zeros((1, count))])
    assert [] == find_one_hot_flags(flags(count), values)


# --- Groupings.


def test_groupings_are_partitions(contract):
    """Every title is in one group of each grouping, and no group is empty."""
    features = titles(300)[0]
    for grouping in make_groupings(contract, features, [GENRES]):
        assert (300,) == grouping.group_of.shape
        assert set(range(len(grouping.labels))) == set(grouping.group_of)


def test_title_without_genre(contract):
    """A test title without a genre makes genres no grouping."""
    features = titles(300)[0]
    features[7, list(GENRES)] = 0
    names = [grouping.name for grouping in make_groupings(contract, features, [GENRES])]
    assert "is_action / is_role_playing / is_sports" not in names
    assert "critic_rating" in names


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (Column("is_new", "flag"), [0, 1, 1, 0], ("no", "yes")),
        (Column("is_new", "flag"), [1, 1], ("yes",)),
        (Column("critics", "rating", "stars"), [4.5, 2, 4.5], ("2 stars", "4.5 stars")),
        (Column("price", "price", "US dollars"), [59.99, 39.99], ("$39.99", "$59.99")),
        (
            Column("spent", "money"),
            np.arange(1, 101),
            ("$1.00 to $25.00", "$26.00 to $50.00", "$51.00 to $75.00", "$76.00 to $100.00"),
        ),
        (
            Column("spent", "money"),
            np.arange(9) * 10_000,
            ("$0.00 to $20k", "$30k to $40k", "$50k to $60k", "$70k to $80k"),
        ),
        (Column("spent", "money"), [*[5.0] * 90, *range(10, 20)], ("$5.00 to $5.00", "$10.00 to $19.00")),
    ],
)
def test_groups_are_labeled(column, values, expected):
    """Groups are labeled by their value, or by the ends of their band."""
    labels, group_of = split_column(np.array(values, float), column)
    assert expected == labels
    assert len(values) == len(group_of)


# --- The errors of groups.


def measure(contract, seed, times=1.0, rows=400):
    """The groups of a model that is the formula, but whose errors of sports titles are multiplied."""
    features, earnings, expected = titles(rows, seed)
    one_hot = find_one_hot_flags(contract, features)
    errors = (expected - earnings) * np.where(features[:, SPORTS] == 1, times, 1.0)
    groupings = [
        *make_groupings(contract, features, one_hot),
        Grouping("predicted", (), *split_column(expected, Column("predicted", "money"))),
    ]
    within_interval = np.abs(errors) < 0.02 * expected
    clusters = number_distinct_rows(features)[0]
    return measure_groups(groupings, errors, 0.008 * expected, clusters, within_interval), errors


def test_groups_add_up(contract):
    """The rows and errors of the groups of a grouping sum to those of all titles."""
    measured, errors = measure(contract, 1)
    names = {group.grouping for group in measured}
    assert {"is_action / is_role_playing / is_sports", "critic_rating", "unit_price", "predicted"} <= names
    assert not {"is_action", "is_sports"} & names
    for name in names:
        groups = [group for group in measured if group.grouping == name]
        assert 400 == sum(group.rows for group in groups)
        assert np.abs(errors).sum() == pytest.approx(sum(group.rows * group.mae.value for group in groups))
        assert errors.sum() == pytest.approx(sum(group.rows * group.bias.value for group in groups))


def test_faultless_model_has_no_worse_group(contract):
    """Expensive titles have larger errors, but not larger relative errors."""
    worse = sum(group.is_worse for seed in range(1, 31) for group in measure(contract, seed)[0])
    assert worse <= 1
    predicted = [group.mae.value for group in measure(contract, 1)[0] if group.grouping == "predicted"]
    assert predicted[-1] > 1.5 * predicted[0]


def test_worse_group_is_named(contract):
    """A group with larger relative errors is named, with the ratio."""
    measured, _ = measure(contract, 1, times=3.0)
    (worse,) = (group for group in measured if group.is_worse)
    assert "is_sports" == worse.label
    assert worse.relative_error == pytest.approx(3.0, rel=0.3)
    assert (
        worse.interval_coverage
        < 0.6
        < next(group.interval_coverage for group in measured if group.label == "is_action")
    )


def test_group_of_all_titles():
    """A group of all titles is compared with nothing."""
    grouping = Grouping("all", (), ("all",), np.zeros(30, np.int64))
    (group,) = measure_groups([grouping], np.ones(30), np.ones(30), np.arange(30))
    assert (None, False, None) == (group.relative_error, group.is_worse, group.interval_coverage)


@pytest.mark.parametrize("errors", [np.zeros(40), np.r_[np.ones(3), np.zeros(37)], np.r_[5 * np.ones(3), np.ones(37)]])
def test_few_titles_are_not_worse(errors):
    """Few titles or no errors make no group worse."""
    grouping = Grouping("some", (), ("a", "b"), np.r_[np.zeros(3, np.int64), np.ones(37, np.int64)])
    assert not any(group.is_worse for group in measure_groups([grouping], errors, np.ones(40), np.arange(40)))
