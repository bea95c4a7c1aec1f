"""Notices: each fault of the titles is told once, with what to do about it, and clean titles are left in peace."""

import dataclasses

import numpy as np
import pytest

from gamesales.diagnostics import checks as concerns
from gamesales.diagnostics import checks as notices
from gamesales.diagnostics import leakage as copies
from gamesales.diagnostics.groups import Slice
from gamesales.diagnostics.residuals import Correlation
from gamesales.stats import same_features as twins
from gamesales.stats.clustered import Estimate
from support.titles import titles
from support.versions import FEATURES

PLACES = {name: place for place, name in enumerate(FEATURES)}
PRICE = PLACES["unit_price"]


def samples(past, test):
    """Two samples of ``(features, earnings)``."""
    labels = twins.label(past[0], test[0])
    return [
        notices.Sample(one[0], one[1], label, np.arange(1, len(one[1]) + 1))
        for one, label in zip((past, test), labels, strict=True)
    ]


def drawn(past=1000, test=400, seed=1, continuous=False):
    return [list(titles(rows, seed + 100 * place, continuous)[:2]) for place, rows in enumerate((past, test))]


def look(contract, past, test):
    both = samples(past, test)
    return [*notices.notices(contract, *both), *copies.about_copies(*both)]


def about(found, level):
    return [one.about for one in found if one.level == level]


def test_clean_titles_are_left_in_peace(contract):
    """Of the simulated store, whatever the seed; that titles have twins is only noted."""
    for seed in range(1, 26):
        found = look(contract, *drawn(seed=seed))
        assert [] == about(found, "warning")
        assert ["twins"] == about(found, "note")


def test_titles_of_whole_ranges_have_nothing_to_note(contract):
    found = [one for seed in range(1, 11) for one in look(contract, *drawn(seed=seed, continuous=True))]
    assert {"outside of training"} >= {one.about for one in found}


@pytest.mark.parametrize(
    "leak",
    [
        lambda earned, random: earned * 0.3,
        lambda earned, random: -np.sqrt(earned),
        lambda earned, random: earned * random.normal(1, 0.01, len(earned)),
        lambda earned, random: np.abs(earned - np.median(earned)) * np.where(earned > np.median(earned), 1, -1) + 1e6,
        lambda earned, random: np.round(earned, -3),
    ],
)
def test_a_column_made_of_the_earnings_is_told(contract, leak):
    past, test = drawn()
    random = np.random.default_rng(1)
    for one in (past, test):
        one[0][:, PRICE] = leak(one[1], random)
    (warning,) = (one.text for one in look(contract, past, test) if one.about == "leak")
    assert warning.startswith("unit_price alone tells ")
    assert "take it out of the contract" in warning


@pytest.mark.parametrize("column", [np.arange(300.0), np.zeros(300), np.random.default_rng(1).random(300)])
def test_a_column_that_has_nothing_to_do_with_the_earnings_explains_none_of_their_order(column):
    earned = np.random.default_rng(2).random(300)
    assert abs(notices.order_explained(column, earned)) < 0.3
    assert 0 == notices.order_explained(column, np.ones(300))
    assert notices.order_explained(earned**3, earned) > 0.99


def test_test_titles_that_were_learnt_from_are_counted(contract):
    past, test = drawn(continuous=True)
    for column in (0, 1):
        test[column][:30] = past[column][:30]
    (one,) = (one for one in look(contract, past, test) if one.about == "test in training")
    assert one.text.startswith("30 of 400 test titles are in training too, features and earnings")
    assert "warning" == one.level


def test_titles_that_are_twice_in_training_are_counted(contract):
    past, test = drawn(continuous=True)
    past = [np.concatenate([part, part[:40]]) for part in past]
    found = look(contract, past, test)
    assert ["doubled rows"] == about(found, "warning")
    assert any(one.text.startswith("40 of 1,040 training titles repeat another one") for one in found)


def in_steps(part, step):
    return [part[0], np.rint(np.round(part[1] / step) * step)]


@pytest.mark.parametrize("step", [300.0, 950 / 3])
def test_earnings_that_come_in_steps_are_no_copies(contract, step):
    """Twins earn the same by chance there, and no one copied anything; but a copy is still found."""
    for seed in range(1, 9):
        past, test = (in_steps(part, step) for part in drawn(seed=seed))
        assert [] == about(look(contract, past, test), "warning")
    test = [np.concatenate([part[:100], other[:300]]) for part, other in zip(test, past, strict=True)]
    assert ["test in training"] == about(look(contract, past, test), "warning")


def test_a_slip_of_the_decimal_point_is_named_by_its_row(contract):
    past, test = drawn()
    place = int(np.argmax(np.bincount(twins.label(past[0])[0])[twins.label(past[0])[0]]))
    past[1][place] *= 10
    (one,) = (one for one in look(contract, past, test) if one.about == "conflicting earnings")
    assert f"row {place + 1} the furthest" in one.text


def test_constant_columns_are_told_by_where_they_are_constant(contract):
    past, test = drawn()
    past[0][:, PRICE] = test[0][:, PRICE] = 49.99
    test[0][:, PLACES["is_portable"]] = 0
    found = {one.about: one for one in look(contract, past, test)}
    assert found["constant column"].text.startswith("unit_price is 49.99 in every training title")
    assert "warning" == found["constant column"].level
    assert found["constant in test"].text.startswith("is_portable is 0 in every test title")
    assert "note" == found["constant in test"].level


def test_few_titles_are_told_with_how_many_there_should_be(contract):
    found = look(contract, *drawn(60, 20))
    assert {"tiny training", "tiny test"} <= set(about(found, "warning"))
    texts = " ".join(one.text for one in found)
    assert "Only 60 titles to learn 9 columns from" in texts
    assert "Collect 90 or more." in texts
    assert "Hold back 50 or more." in texts


def test_test_titles_beyond_the_range_of_training_are_counted_by_column(contract):
    past, test = drawn()
    test[0][:5, PRICE] = 99.0
    (one,) = (one for one in look(contract, past, test) if one.about == "outside of training")
    assert "5 test titles lie outside of what training saw: unit_price (5)." == one.text


@pytest.mark.parametrize(("share", "level"), [(0.2, "note"), (0.9, "warning")])
def test_a_test_that_was_drawn_differently_is_told_by_its_columns(contract, share, level):
    past, test = drawn(2000, 1000)
    far = np.random.default_rng(1).random(1000) < share
    test[0][far, PRICE] = 39.99
    (one,) = (one for one in look(contract, past, test) if one.about == "drawn differently")
    assert level == one.level
    assert "they differ in unit_price (" in one.text


def test_a_few_test_titles_or_a_slight_shift_are_chance():
    random = np.random.default_rng(1)
    index, p = notices.shift(random.random(1000), random.random(30))
    assert p > 1e-4
    index, p = notices.shift(random.random(100_000), random.random(100_000) ** 1.02)
    assert index < 0.01
    assert (0.0, 1.0) == notices.shift(np.ones(50), np.zeros(50))


# --- What the errors give away.


def test_errors_that_grow_when_like_titles_are_kept_apart_are_told():
    random = np.random.default_rng(1)
    plain, labels = np.abs(random.normal(size=600)), np.arange(600) // 3
    levels = [[one.level for one in concerns.about_folds(plain, plain * times, labels)] for times in (1.1, 1.3, 1.8)]
    assert [[], ["note"], ["warning"]] == levels
    assert [] == list(concerns.about_folds(plain, None, labels))
    assert [] == list(concerns.about_folds(plain * 0, plain, labels))
    noisy = np.abs(random.normal(size=12)) * 9
    assert [] == list(concerns.about_folds(plain[:12], np.where(noisy > noisy.mean() * 2, noisy * 9, 0.1), labels[:12]))


def test_a_worse_slice_is_a_note_and_one_that_is_far_worse_a_warning():
    usd = Estimate(1500.0, 1200.0, 1800.0)
    one = Slice("is_portable", "yes", 90, usd, usd, 1.6, is_worse=True, held=0.7)
    (note,) = concerns.about_slices([one, dataclasses.replace(one, is_worse=False)])
    assert note.text.startswith("is_portable yes: 1.6 times as far off as other titles of that size ($1,500 on average")
    assert "note" == note.level
    (warning,) = concerns.about_slices([dataclasses.replace(one, times=2.4)])
    assert "warning" == warning.level


def test_a_seed_that_was_luckier_than_all_others_is_told():
    (note,) = concerns.about_seeds(800.0, [1000.0, 1400.0])
    assert "from 2 other seeds is off by $1,000 to $1,400 on average" in note.text
    assert [] == list(concerns.about_seeds(950.0, [1000.0, 1400.0]))
    assert [] == list(concerns.about_seeds(950.0, []))


def test_errors_that_follow_the_row_before_are_told():
    assert 1 == len(list(concerns.about_order(Correlation("the row before", 0.4, is_clear=True))))
    assert [] == list(concerns.about_order(Correlation("the row before", 0.4, is_clear=False)))
    assert [] == list(concerns.about_order(Correlation("the row before", 0.1, is_clear=True)))


def test_errors_that_are_mostly_no_noise_are_told():
    noise = twins.Noise(500, 300, Estimate(100.0, 80.0, 120.0), 3.0, 1e-9)
    (one,) = concerns.about_fit(np.full(50, 20.0), noise)
    assert one.text.startswith("The mean squared error is 4.0 times the noise")
    for other in (None, dataclasses.replace(noise, p=None), dataclasses.replace(noise, p=0.2)):
        assert [] == list(concerns.about_fit(np.full(50, 20.0), other))
    assert [] == list(concerns.about_fit(np.full(50, 12.0), noise))
    assert [] == list(concerns.about_fit(np.full(50, 12.0), dataclasses.replace(noise, variance=Estimate(0, 0, 0))))
