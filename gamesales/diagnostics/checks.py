"""The checks of a trained model and its titles. ``CHECKS`` is the table of all checks, in the order of the report.

A warning says that metrics are wrong or that the version is unfit for use. A note is good to know. Both must be rare,
or nobody reads them. So most checks have a threshold of size as well as a test of significance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gamesales.diagnostics.column_checks import (
    check_constant_columns,
    check_distributions,
    check_leaks,
    check_missing,
    check_ranges,
    check_unseen_categories,
)
from gamesales.diagnostics.leakage import CopyFinder
from gamesales.diagnostics.notices import MIN_TEST_TITLES, CheckInput, Notice
from gamesales.stats.amounts import format_amount
from gamesales.stats.clustered import clustered_mean

# With fewer titles, metrics are more chance than fact.
_MIN_TRAINING_TITLES_PER_COLUMN = 10
# A title conflicts with titles of the same features if it differs by this many times the usual difference.
_CONFLICT = 12.0
# Errors of grouped k-fold divided by those of plain k-fold.
_FOLDS_NOTE, _FOLDS_WARNING = 1.2, 1.5
# A seed is lucky if its error is below this share of the lowest error of another seed.
_LUCKY = 0.9
# The relative error of a group from which a note becomes a warning.
_GROUP_WARNING = 2.0
# A weaker correlation with the row before is not worth reporting.
_MIN_ORDER = 0.2
# From this many times the noise on, less than half of the squared error is noise.
_LACK_OF_FIT, _LACK_OF_FIT_P = 2.0, 0.001


def run_checks(data: CheckInput) -> list[Notice]:
    """Run every check, in the order of the table."""
    return [notice for check in CHECKS for notice in check(data)]


def check_sample_sizes(data: CheckInput) -> Iterator[Notice]:
    """Warn of too few training or test titles."""
    training, test, columns = len(data.training), len(data.test), len(data.contract.features)
    if training < _MIN_TRAINING_TITLES_PER_COLUMN * columns:
        yield Notice(
            "warning",
            "tiny training",
            f"There are only {training:,} training titles for {columns} columns, so another sample would give another "
            f"version. Collect {_MIN_TRAINING_TITLES_PER_COLUMN * columns} titles or more.",
        )
    if test < MIN_TEST_TITLES:
        yield Notice(
            "warning",
            "tiny test",
            f"There are only {test:,} test titles, so the metrics on this page are largely chance. "
            f"Hold out {MIN_TEST_TITLES} titles or more.",
        )


def check_conflicts(data: CheckInput) -> Iterator[Notice]:
    """Find training titles that earn far more or less than titles with the same features."""
    training = data.training
    is_log = data.contract.target.scale == "log"
    order = np.lexsort((training.earnings, data.training_clusters))
    clusters, earnings = data.training_clusters[order], training.earnings[order]
    if is_log and (earnings > 0).any():  # of skewed earnings, factors are compared
        earnings = np.log(np.maximum(earnings, earnings[earnings > 0].min()))
    first = np.flatnonzero(np.r_[True, clusters[1:] != clusters[:-1]])
    size = np.diff(np.r_[first, len(clusters)])
    median = np.repeat((earnings[first + (size - 1) // 2] + earnings[first + size // 2]) / 2, size)
    is_shared = np.repeat(size > 1, size)
    scale = 1.0 if is_log else np.maximum(np.abs(median[is_shared]), 1.0)
    difference = np.abs(earnings - median)[is_shared] / scale
    usual = float(np.median(difference)) if len(difference) >= MIN_TEST_TITLES else 0.0
    conflicts = difference > _CONFLICT * max(usual, 1e-3)
    if usual and conflicts.any():
        row = int(training.rows[order][is_shared][np.argmax(difference)])
        yield Notice(
            "warning",
            "conflicting earnings",
            f"{int(conflicts.sum()):,} training titles earn far more or less than titles with the same features. "
            f"Row {row:,} differs most. Correct typing errors, or add a column that distinguishes these titles.",
        )


def check_copies(data: CheckInput) -> Iterator[Notice]:
    """Find test titles that are also training titles, and training titles that occur twice."""
    training, test = (data.training_clusters, data.training.earnings), (data.test_clusters, data.test.earnings)
    finder = CopyFinder(*training)
    same_features = int(np.isin(data.test_clusters, data.training_clusters).sum())
    copies = finder.count(*test)
    if finder.exceeds_chance(copies, *test):
        yield Notice(
            "warning",
            "test in training",
            f"{copies:,} of {len(data.test):,} test titles are also training titles, with equal features and "
            "earnings, so the errors on this page are too low. Remove these titles from one of the files.",
        )
    elif same_features:
        yield Notice(
            "note",
            "twins",
            f"{same_features:,} of {len(data.test):,} test titles have the same features as a training title. "
            "For titles unlike any training title, see the grouped cross-validation.",
        )
    if finder.exceeds_chance(finder.repeated, *training):
        yield Notice(
            "warning",
            "doubled rows",
            f"{finder.repeats:,} of {len(data.training):,} training titles equal another title in features and "
            "earnings. They weigh more, and k-fold and noise look better than they are. Remove true duplicates.",
        )


def check_folds(data: CheckInput) -> Iterator[Notice]:
    """Compare k-fold with and without titles of the same features in one fold."""
    plain, grouped = data.fold_errors.get("plain"), data.fold_errors.get("grouped")
    if plain is None or grouped is None or not plain.any():
        return
    times = float(grouped.mean() / plain.mean())
    increase = clustered_mean(grouped - plain, data.training_clusters)
    if times >= _FOLDS_NOTE and increase.low is not None and increase.low > 0:
        errors = [format_amount(float(mean)) for mean in (grouped.mean(), plain.mean())]
        yield Notice(
            "warning" if times >= _FOLDS_WARNING else "note",
            "grouped folds",
            f"For titles unlike any training title, the error is {times:.1f} times as large "
            f"({errors[0]} instead of {errors[1]}). The test error is too low if test titles "
            "resemble training titles. Expect the larger error for new kinds of titles.",
        )


def check_seeds(data: CheckInput) -> Iterator[Notice]:
    """Compare the error with the errors of the same network with other seeds."""
    if data.seed_errors and float(np.abs(data.errors).mean()) < _LUCKY * min(data.seed_errors):
        yield Notice(
            "note",
            "lucky seed",
            f"This seed is lucky. With {len(data.seed_errors)} other seeds, the mean absolute error of the same "
            f"network is {format_amount(min(data.seed_errors))} to {format_amount(max(data.seed_errors))}. "
            "Do not expect the next training run to be as good.",
        )


def check_groups(data: CheckInput) -> Iterator[Notice]:
    """Name the groups of titles with clearly larger relative errors."""
    for group in data.groups:
        if group.is_worse and group.relative_error is not None:
            yield Notice(
                "warning" if group.relative_error >= _GROUP_WARNING else "note",
                "worse slice",
                f"{group.grouping} {group.label}: the relative error is {group.relative_error:.1f} times the error of "
                f"other titles ({format_amount(group.mae.value)} on average, {group.rows:,} titles). "
                "Collect more of these titles, or add a column that explains them.",
            )


def check_order(data: CheckInput) -> Iterator[Notice]:
    """Find errors that depend on the order of the file."""
    if data.order.is_clear and abs(data.order.value) >= _MIN_ORDER:
        yield Notice(
            "note",
            "order",
            f"Errors are correlated with the error of the row before ({data.order.value:.2f}). Is the file in an "
            "order that matters, such as by date? A column may be missing.",
        )


def check_fit(data: CheckInput) -> Iterator[Notice]:
    """Find errors that are mostly not noise."""
    noise = data.noise
    if noise is None or noise.p is None or noise.variance.value <= 0:
        return
    times = float((data.errors**2).mean()) / noise.variance.value
    if times >= _LACK_OF_FIT and noise.p < _LACK_OF_FIT_P:
        yield Notice(
            "note",
            "lack of fit",
            f"The mean squared error is {times:.1f} times the noise, so most of it can be learned. Try a larger "
            "network, longer training or more titles.",
        )


CHECKS: tuple[Callable[[CheckInput], Iterator[Notice]], ...] = (
    check_sample_sizes,
    check_constant_columns,
    check_missing,
    check_unseen_categories,
    check_leaks,
    check_conflicts,
    check_ranges,
    check_distributions,
    check_copies,
    check_folds,
    check_seeds,
    check_groups,
    check_order,
    check_fit,
)
