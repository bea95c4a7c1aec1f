"""The checks: each fault gives one notice that says what to do, and faultless titles and models give none."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gamesales.data.labeled_titles import LabeledTitles
from gamesales.diagnostics.checks import (
    CHECKS,
    check_fit,
    check_folds,
    check_groups,
    check_order,
    check_seeds,
    run_checks,
)
from gamesales.diagnostics.notices import CheckInput
from gamesales.diagnostics.residuals import Correlation, GroupErrors
from gamesales.stats.clustered import Estimate
from gamesales.stats.same_features import NoiseEstimate, number_distinct_rows
from support.titles import titles
from support.versions import FEATURES

COLUMNS = {name: index for index, name in enumerate(FEATURES)}
PRICE = COLUMNS["unit_price"]


def make_input(contract, training, test):
    """The input of the checks, from ``(features, earnings)`` twice and a model without any fault."""
    clusters = number_distinct_rows(training[0], test[0])
    samples = [
        LabeledTitles(Path("titles.csv"), "ab" * 32, features, earnings, np.arange(1, len(earnings) + 1))
        for features, earnings in (training, test)
    ]
    return CheckInput(
        contract,
        *samples,
        *clusters,
        errors=np.zeros(len(test[1])),
        noise=None,
        groups=[],
        order=Correlation("the row before", 0.0, is_clear=False),
        fold_errors={},
        seed_errors=[],
    )


def draw(training=1000, test=400, seed=1, continuous=False):
    return [list(titles(rows, seed + 100 * index, continuous)[:2]) for index, rows in enumerate((training, test))]


def find_notices(contract, training, test):
    return run_checks(make_input(contract, training, test))


def list_about(notices, level):
    return [notice.about for notice in notices if notice.level == level]


def find_notice(notices, about):
    (notice,) = (notice for notice in notices if notice.about == about)
    return notice


@pytest.fixture
def faultless(contract):
    return make_input(contract, *draw())


# --- The table.


def test_notices_follow_the_table(contract):
    """Notices come in the order of the checks, and each check is in the table once."""
    training, test = draw(60, 20)
    training[0][:, PRICE] = 49.99
    abouts = [notice.about for notice in find_notices(contract, training, test)]
    assert ["tiny training", "tiny test", "constant column"] == abouts[:3]
    assert len(CHECKS) == len(set(CHECKS))


# --- The titles.


def test_clean_titles_give_no_warning(contract):
    """Titles of the simulated store give only the note that titles share features, for any seed."""
    for seed in range(1, 26):
        notices = find_notices(contract, *draw(seed=seed))
        assert [] == list_about(notices, "warning")
        assert ["twins"] == list_about(notices, "note")


def test_continuous_titles_give_no_warning(contract):
    """Titles of whole ranges can only be outside of the training range."""
    notices = [notice for seed in range(1, 11) for notice in find_notices(contract, *draw(seed=seed, continuous=True))]
    assert {"outside of training"} >= {notice.about for notice in notices}


@pytest.mark.parametrize(
    "leak",
    [
        lambda earnings, random: earnings * 0.3,
        lambda earnings, random: -np.sqrt(earnings),
        lambda earnings, random: earnings * random.normal(1, 0.01, len(earnings)),
        lambda earnings, random: (
            np.abs(earnings - np.median(earnings)) * np.where(earnings > np.median(earnings), 1, -1) + 1e6
        ),
        lambda earnings, random: np.round(earnings, -3),
    ],
)
def test_leak_is_a_warning(contract, leak):
    """A column made from the earnings is named."""
    training, test = draw()
    random = np.random.default_rng(1)
    for sample in (training, test):
        sample[0][:, PRICE] = leak(sample[1], random)
    text = find_notice(find_notices(contract, training, test), "leak").text
    assert text.startswith("unit_price alone explains ")
    assert "remove it from the contract" in text


def test_copied_test_titles_are_counted(contract):
    """Test titles that are also training titles are a warning."""
    training, test = draw(continuous=True)
    for column in (0, 1):
        test[column][:30] = training[column][:30]
    notice = find_notice(find_notices(contract, training, test), "test in training")
    assert notice.text.startswith("30 of 400 test titles are also training titles, with equal features and earnings")
    assert "warning" == notice.level


def test_repeated_training_titles_are_counted(contract):
    """Training titles that occur twice are a warning."""
    training, test = draw(continuous=True)
    training = [np.concatenate([part, part[:40]]) for part in training]
    notices = find_notices(contract, training, test)
    assert ["doubled rows"] == list_about(notices, "warning")
    assert any(notice.text.startswith("40 of 1,040 training titles equal another title") for notice in notices)


def round_earnings(sample, step):
    return [sample[0], np.rint(np.round(sample[1] / step) * step)]


@pytest.mark.parametrize("step", [300.0, 950 / 3])
def test_equal_earnings_by_chance_are_not_copies(contract, step):
    """Where earnings come in steps, titles are equal by chance; real copies are still found."""
    for seed in range(1, 9):
        training, test = (round_earnings(sample, step) for sample in draw(seed=seed))
        assert [] == list_about(find_notices(contract, training, test), "warning")
    test = [np.concatenate([own[:100], copied[:300]]) for own, copied in zip(test, training, strict=True)]
    assert ["test in training"] == list_about(find_notices(contract, training, test), "warning")


def test_conflicting_earnings_name_the_row(contract):
    """A slip of the decimal point is found among titles with the same features."""
    training, test = draw()
    clusters = number_distinct_rows(training[0])[0]
    row = int(np.argmax(np.bincount(clusters)[clusters]))
    training[1][row] *= 10
    notice = find_notice(find_notices(contract, training, test), "conflicting earnings")
    assert f"Row {row + 1} differs most" in notice.text


def test_constant_columns_are_named(contract):
    """A column that is constant in training is a warning, in the test alone a note."""
    training, test = draw()
    training[0][:, PRICE] = test[0][:, PRICE] = 49.99
    test[0][:, COLUMNS["is_portable"]] = 0
    notices = {notice.about: notice for notice in find_notices(contract, training, test)}
    assert notices["constant column"].text.startswith("unit_price is 49.99 in every training title")
    assert "warning" == notices["constant column"].level
    assert notices["constant in test"].text.startswith("is_portable is 0 in every test title")
    assert "note" == notices["constant in test"].level


def test_few_titles_are_a_warning(contract):
    """The warning says how many titles there should be."""
    notices = find_notices(contract, *draw(60, 20))
    assert {"tiny training", "tiny test"} <= set(list_about(notices, "warning"))
    texts = " ".join(notice.text for notice in notices)
    assert "only 60 training titles for 9 columns" in texts
    assert "Collect 90 titles or more." in texts
    assert "Hold out 50 titles or more." in texts


def test_titles_outside_the_range_are_counted(contract):
    """Test titles outside the training range are counted by column."""
    training, test = draw()
    test[0][:5, PRICE] = 99.0
    notice = find_notice(find_notices(contract, training, test), "outside of training")
    assert "5 test titles are outside the training range: unit_price (5)." == notice.text


@pytest.mark.parametrize(("share", "level"), [(0.2, "note"), (0.9, "warning")])
def test_shifted_columns_are_named(contract, share, level):
    """Test titles with another distribution are a note or a warning, by the size of the shift."""
    training, test = draw(2000, 1000)
    shifted = np.random.default_rng(1).random(1000) < share
    test[0][shifted, PRICE] = 39.99
    notice = find_notice(find_notices(contract, training, test), "drawn differently")
    assert level == notice.level
    assert "differ in unit_price (" in notice.text


# --- The model.


def test_larger_grouped_errors_are_reported(faultless):
    """Errors that grow when titles of the same features stay together are a note or a warning, unless by chance."""
    random = np.random.default_rng(1)

    def check(clusters, **fold_errors):
        return list(check_folds(dataclasses.replace(faultless, training_clusters=clusters, fold_errors=fold_errors)))

    plain, clusters = np.abs(random.normal(size=600)), np.arange(600) // 3
    levels = [
        [notice.level for notice in check(clusters, plain=plain, grouped=plain * times)] for times in (1.1, 1.3, 1.8)
    ]
    assert [[], ["note"], ["warning"]] == levels
    assert [] == check(clusters, plain=plain)
    assert [] == check(clusters, plain=plain * 0, grouped=plain)
    noisy = np.abs(random.normal(size=12)) * 9
    grouped = np.where(noisy > noisy.mean() * 2, noisy * 9, 0.1)
    assert [] == check(clusters[:12], plain=plain[:12], grouped=grouped)


def test_worse_groups_are_reported(faultless):
    """A worse group is a note, and a group with twice the relative error a warning."""
    money = Estimate(1500.0, 1200.0, 1800.0)
    worse = GroupErrors("is_portable", "yes", 90, money, money, 1.6, is_worse=True, interval_coverage=0.7)
    good = dataclasses.replace(worse, is_worse=False)
    (note,) = check_groups(dataclasses.replace(faultless, groups=[worse, good]))
    assert note.text.startswith(
        "is_portable yes: the relative error is 1.6 times the error of other titles ($1,500 on average"
    )
    assert "note" == note.level
    (warning,) = check_groups(dataclasses.replace(faultless, groups=[dataclasses.replace(worse, relative_error=2.4)]))
    assert "warning" == warning.level


def test_lucky_seed_is_reported(faultless):
    """A seed is lucky if its error is far below the errors of all other seeds."""

    def check(mae, seed_errors):
        return list(check_seeds(dataclasses.replace(faultless, errors=np.full(9, mae), seed_errors=seed_errors)))

    (note,) = check(800.0, [1000.0, 1400.0])
    assert "With 2 other seeds, the mean absolute error of the same network is $1,000 to $1,400." in note.text
    assert [] == check(950.0, [1000.0, 1400.0])
    assert [] == check(950.0, [])


def test_order_of_errors_is_reported(faultless):
    """Errors that follow the row before are a note if the correlation is clear and not small."""

    def check(value, is_clear):
        order = Correlation("the row before", value, is_clear)
        return list(check_order(dataclasses.replace(faultless, order=order)))

    assert 1 == len(check(0.4, is_clear=True))
    assert [] == check(0.4, is_clear=False)
    assert [] == check(0.1, is_clear=True)


def test_lack_of_fit_is_reported(faultless):
    """Errors that are mostly not noise are a note."""

    def check(error, noise):
        return list(check_fit(dataclasses.replace(faultless, errors=np.full(50, error), noise=noise)))

    noise = NoiseEstimate(500, 300, Estimate(100.0, 80.0, 120.0), 3.0, 1e-9)
    (note,) = check(20.0, noise)
    assert note.text.startswith("The mean squared error is 4.0 times the noise")
    for other in (None, dataclasses.replace(noise, p=None), dataclasses.replace(noise, p=0.2)):
        assert [] == check(20.0, other)
    assert [] == check(12.0, noise)
    assert [] == check(12.0, dataclasses.replace(noise, variance=Estimate(0, 0, 0)))
