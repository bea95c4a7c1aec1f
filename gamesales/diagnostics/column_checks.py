"""The checks of single columns: constant, missing, unseen, leaking, and different between training and test titles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gamesales.arrays import BoolArray, FloatArray
from gamesales.data.categories import OTHER, find_missing, format_code
from gamesales.data.contract import Column
from gamesales.data.screen import find_extremes
from gamesales.diagnostics.leakage import compare_distributions, compute_rank_r2
from gamesales.diagnostics.notices import MIN_TEST_TITLES, CheckInput, Notice
from gamesales.report.format import format_value
from gamesales.training.evaluation import profile_column, profile_features

# A column that explains this share of the order of earnings is a copy of the earnings.
_LEAK = 0.98
# The customary limits of the population stability index for some and for much change, and the significance level.
_PSI_NOTE, _PSI_WARNING, _PSI_P = 0.1, 0.25, 0.001
# A category with a larger share of rare or unseen values in the test titles, and a column with a larger share of
# missing cells, carry little information.
_MANY_UNSEEN, _NEARLY_ALL = 0.5, 0.95


def check_constant_columns(data: CheckInput) -> Iterator[Notice]:
    """Name the columns that have only one value."""
    for index, column in enumerate(data.contract.features):
        training, test = (np.unique(sample.features[:, index]) for sample in (data.training, data.test))
        if len(training) == 1:
            yield Notice(
                "warning",
                "constant column",
                f"{column.name} is {_write_value(training[0], column)} in every training title, so the "
                "network learned nothing from it. Predictions for titles with another value are guesses.",
            )
        elif len(test) == 1 and len(data.test) >= MIN_TEST_TITLES:
            yield Notice(
                "note",
                "constant in test",
                f"{column.name} is {_write_value(test[0], column)} in every test title, so errors for "
                "titles with another value are unknown.",
            )


def _write_value(value: float, column: Column) -> str:
    is_number = column.kind not in ("category", "date") and not np.isnan(value)
    return f"{value:g}" if is_number else format_value(value, column)


def check_missing(data: CheckInput) -> Iterator[Notice]:
    """Name the columns that are nearly always missing."""
    for index, column in enumerate(data.contract.features):
        share = float(find_missing(data.training.features[:, index], column).mean())
        if column.may_be_missing and share >= _NEARLY_ALL:
            yield Notice(
                "warning",
                "nearly always missing",
                f"{column.name} is missing in {100 * share:.1f}% of the training titles, so the network learned little "
                "from it. Fill the column, or remove it from the contract and train again.",
            )


def check_unseen_categories(data: CheckInput) -> Iterator[Notice]:
    """Name the categories with many test titles whose value is rare in training, or was never seen there."""
    for index, column in enumerate(data.contract.features):
        share = float((data.test.features[:, index] == OTHER).mean())
        if column.kind == "category" and share > _MANY_UNSEEN:
            yield Notice(
                "warning",
                "unseen values",
                f"{column.name} has a rare or unseen value in {100 * share:.0f}% of the test titles, which "
                f"counts as {format_code(column, OTHER)}. If it is an id or free text, remove it from the contract. "
                f"Otherwise lower min_count ({column.min_count}).",
            )


def check_leaks(data: CheckInput) -> Iterator[Notice]:
    """Name the columns that look like copies of the earnings."""
    for index, column in enumerate(data.contract.features):
        values = data.training.features[:, index]
        share = compute_rank_r2(values, data.training.earnings, is_category=column.kind == "category")
        if share >= _LEAK:
            yield Notice(
                "warning",
                "leak",
                f"{column.name} alone explains {100 * share:.1f}% of the order of earnings. Is it computed from the "
                "earnings, and unknown before a title is sold? Then remove it from the contract and train again.",
            )


def check_ranges(data: CheckInput) -> Iterator[Notice]:
    """Count the test titles outside the range of the training titles."""
    pairs = zip(data.contract.features, data.training.features.T, data.test.features.T, strict=True)
    outside = np.column_stack([_find_outside(*pair) for pair in pairs])
    if not outside.any():
        return
    columns = ", ".join(
        f"{column.name} ({int(rows):,})"
        for column, rows in zip(data.contract.features, outside.sum(axis=0), strict=True)
        if rows
    )
    yield Notice(
        "note",
        "outside of training",
        f"{int(outside.any(axis=1).sum()):,} test titles are outside the training range: {columns}.",
    )


def _find_outside(column: Column, training: FloatArray, test: FloatArray) -> BoolArray:
    """Mark the test titles outside the training range, or with a category that training did not have: bool (m,)."""
    if column.kind == "category":
        return ~np.isin(test, training)
    low, high = find_extremes(training)
    return np.asarray((test < low) | (test > high))


def check_distributions(data: CheckInput) -> Iterator[Notice]:
    """Name the columns whose distributions differ between training and test titles."""
    names = [*data.contract.feature_names, data.contract.target.name]
    profiles = profile_features(data.contract, data.training.features)
    profiles.append(profile_column(data.contract.target.name, data.training.earnings))
    test = [*data.test.features.T, data.test.earnings]
    compared = [(name, *compare_distributions(*pair)) for name, *pair in zip(names, profiles, test, strict=True)]
    shifted = [(name, psi) for name, psi, p in compared if psi >= _PSI_NOTE and p < _PSI_P / len(names)]
    if shifted:
        is_large = max(psi for _, psi in shifted) >= _PSI_WARNING
        columns = ", ".join(f"{name} ({psi:.2f})" for name, psi in shifted)
        yield Notice(
            "warning" if is_large else "note",
            "drawn differently",
            f"Training and test titles differ in {columns}, by the population stability index. The errors apply to "
            "titles like the test titles. Draw test titles like the titles to be scored.",
        )
