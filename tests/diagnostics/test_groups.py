"""Ways of dividing titles: by what the contract says of a column, and by flags that are found to exclude each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.contract import Column, Contract
from gamesales.diagnostics import groups as families
from support.titles import titles
from support.versions import FEATURES

GENRES = tuple(FEATURES.index(name) for name in ("is_action", "is_role_playing", "is_sports"))


def flags(number):
    return Contract(Column("earned", "money"), tuple(Column(f"flag_{place}", "flag") for place in range(number)))


def test_genres_of_the_store_are_found_and_nothing_else(contract):
    for seed in range(1, 6):
        assert [GENRES] == families.one_hot(contract, titles(1000, seed)[0])


@given(st.integers(2, 5), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_flags_of_which_one_is_always_set_are_found_wherever_they_stand(together, alone, seed):
    random = np.random.default_rng(seed)
    hot = np.eye(together)[np.r_[np.arange(together), random.integers(0, together, 300)]]
    free = (random.random((len(hot), alone)) < 0.4).astype(float)
    free[0], free[1] = 1.0, 1.0
    order = random.permutation(together + alone)
    values = np.concatenate([hot, free], axis=1)[:, order]
    expected = tuple(sorted(int(np.flatnonzero(order == place)[0]) for place in range(together)))
    assert [expected] == families.one_hot(flags(together + alone), values)


def test_two_groups_are_two_families():
    random = np.random.default_rng(1)
    values = np.concatenate([np.eye(3)[random.integers(0, 3, 200)], np.eye(2)[random.integers(0, 2, 200)]], axis=1)
    assert [(0, 1, 2), (3, 4)] == families.one_hot(flags(5), values)


def test_flags_that_are_never_or_always_set_are_no_group():
    values = np.stack([np.ones(100), np.zeros(100), np.arange(100) % 3 == 0], axis=1).astype(float)
    assert [] == families.one_hot(flags(3), values)


def test_few_titles_prove_no_group():
    assert [] == families.one_hot(flags(2), np.eye(2)[[0, 1] * 5])


def test_the_search_ends_where_many_flags_exclude_each_other():
    """No group of them is whole: of each title in a thousand none is set."""
    values = np.concatenate([np.repeat(np.eye(120), 2, axis=0), np.zeros((1, 120))])
    assert [] == families.one_hot(flags(120), values)


def test_every_title_is_in_one_part_of_each_family_and_no_part_is_empty(contract):
    features = titles(300)[0]
    for family in families.families(contract, features, [GENRES]):
        assert (300,) == family.slice_of.shape
        assert set(range(len(family.labels))) == set(family.slice_of)


def test_a_test_title_without_a_genre_makes_genres_no_family(contract):
    features = titles(300)[0]
    features[7, list(GENRES)] = 0
    names = [family.name for family in families.families(contract, features, [GENRES])]
    assert "is_action / is_role_playing / is_sports" not in names
    assert "critic_rating" in names


@pytest.mark.parametrize(
    ("column", "values", "labels"),
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
def test_parts_are_called_by_their_values_or_by_their_ends(column, values, labels):
    found, part = families.divide(np.array(values, float), column)
    assert labels == found
    assert len(values) == len(part)
