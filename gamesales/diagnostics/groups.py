"""Divisions of titles into groups, by flags, numbers, dates and categories.

A flag divides titles in two. A rating or a price divides them by its values or into bands, a date by its years, and a
category by its values. Titles with a missing cell are a group of their own. Flags of which each title has exactly one
set, such as genres, form one grouping. They are found in the titles, because the contract does not say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.categories import OTHER, format_code, list_codes, shorten_label
from gamesales.data.contract import Column, Contract
from gamesales.data.dates import count_years
from gamesales.report.format import MISSING_CELL, format_value

# Columns with more distinct values are cut into bands with about equally many titles.
_MAX_VALUES = 8
_BANDS = 4
# A category with more values has a group for each of the most frequent, and one for the others.
_MAX_CODES = 12
# Among fewer titles, two flags may exclude each other by chance.
_MIN_TITLES = 30
# Limits the search for flags that exclude each other, which is exponential in the worst case.
_MAX_STEPS = 10_000


@dataclass(frozen=True)
class Grouping:
    """A division of n titles into groups.

    ``columns`` has the indices of the features that define the groups. ``group_of`` is int64 (n,), the index in
    ``labels`` of each title's group.
    """

    name: str
    columns: tuple[int, ...]
    labels: tuple[str, ...]
    group_of: IntArray


def find_one_hot_flags(contract: Contract, features: FloatArray) -> list[tuple[int, ...]]:
    """Find the sets of flags of which every title has exactly one set.

    Returns:
        The column indices of each set of flags, ascending. No column is in two sets.
    """
    if len(features) < _MIN_TITLES:
        return []
    flags = [
        index
        for index, column in enumerate(contract.features)
        if column.kind == "flag" and not np.isnan(features[:, index]).any()
    ]
    values = features[:, flags].astype(np.float32)
    titles_with_both = values.T @ values
    titles_with = np.diag(titles_with_both).astype(np.int64)
    remaining = [flag for flag in range(len(flags)) if 0 < titles_with[flag] < len(features)]
    one_hot = []
    while remaining:
        cover = _find_cover(remaining, titles_with_both == 0, titles_with, len(features))
        one_hot += [tuple(flags[flag] for flag in cover)] if cover else []
        remaining = [flag for flag in remaining[1:] if flag not in cover]
    return one_hot


def _find_cover(remaining: Sequence[int], exclusive: BoolArray, titles_with: IntArray, titles: int) -> tuple[int, ...]:
    """Find mutually exclusive flags, the first of the remaining among them, that together are set in every title."""
    stack: list[tuple[tuple[int, ...], int]] = [((remaining[0],), int(titles_with[remaining[0]]))]
    steps = 0
    while stack and steps < _MAX_STEPS:
        chosen, covered = stack.pop()
        steps += 1
        if covered == titles:
            return chosen
        stack += [
            ((*chosen, flag), covered + int(titles_with[flag]))
            for flag in reversed(remaining)
            if flag > chosen[-1] and covered + titles_with[flag] <= titles and exclusive[flag, list(chosen)].all()
        ]
    return ()


def make_groupings(contract: Contract, features: FloatArray, one_hot: Sequence[tuple[int, ...]]) -> list[Grouping]:
    """Divide titles, (n, k), n > 0, by each set of ``find_one_hot_flags``, and by each other column."""
    groupings = [
        _group_by_flags(contract, features, flags)
        for flags in one_hot
        # The sets were found in the training titles. A test title may have no genre.
        if (features[:, list(flags)].sum(axis=1) == 1).all()
    ]
    in_a_set = {index for flags in one_hot for index in flags}
    for index, column in enumerate(contract.features):
        if index not in in_a_set:
            groupings.append(Grouping(column.name, (index,), *split_column(features[:, index], column)))
    return groupings


def _group_by_flags(contract: Contract, features: FloatArray, flags: tuple[int, ...]) -> Grouping:
    used, group_of = np.unique(features[:, list(flags)].argmax(axis=1), return_inverse=True)
    labels = tuple(contract.features[flags[position]].name for position in used)
    name = " / ".join(contract.features[index].name for index in flags)
    return Grouping(name, flags, labels, group_of.reshape(-1))


def split_column(values: FloatArray, column: Column) -> tuple[tuple[str, ...], IntArray]:
    """Divide titles by the values of a column, or into bands with about equally many titles if there are many values.

    Returns:
        The label of each group, and int64 (n,), the group of each title. No group is empty.
    """
    if column.kind == "category":
        return _split_codes(values, column)
    missing = np.isnan(values)
    if missing.any():
        return _split_with_gaps(values, missing, column)
    if column.kind == "date":
        return split_column(count_years(values), Column(column.name, "number"))
    distinct, group_of = np.unique(values, return_inverse=True)
    if column.kind == "flag":
        return tuple("yes" if value else "no" for value in distinct), group_of.reshape(-1)
    if len(distinct) <= _MAX_VALUES:
        return tuple(format_value(value, column) for value in distinct), group_of.reshape(-1)
    edges = np.unique(np.quantile(values, np.arange(1, _BANDS) / _BANDS))
    used, band = np.unique(np.searchsorted(edges, values, side="left"), return_inverse=True)
    ends = [(values[band == number].min(), values[band == number].max()) for number in range(len(used))]
    return tuple(f"{format_value(low, column)} to {format_value(high, column)}" for low, high in ends), band.reshape(-1)


def _split_with_gaps(values: FloatArray, missing: BoolArray, column: Column) -> tuple[tuple[str, ...], IntArray]:
    """Divide titles with a value as usual, and put the others into a last group."""
    labels: tuple[str, ...] = ()
    group_of = np.zeros(len(values), np.int64)
    if not missing.all():
        labels, group_of[~missing] = split_column(values[~missing], column)
    group_of[missing] = len(labels)
    return (*labels, MISSING_CELL), group_of


def _split_codes(values: FloatArray, column: Column) -> tuple[tuple[str, ...], IntArray]:
    """Divide titles by the values of a category, the most frequent first, then the rarer values, ``other``, missing."""
    codes = values.astype(np.int64)
    rows = np.bincount(codes, minlength=len(list_codes(column)))
    value_codes = np.arange(1, len(column.values) + 1)
    used = value_codes[np.argsort(-rows[value_codes], kind="stable")][: np.count_nonzero(rows[value_codes])]
    frequent, rarer = (used, used[:0]) if len(used) <= _MAX_CODES else np.split(used, [_MAX_CODES - 1])
    groups = [([code], shorten_label(format_code(column, code))) for code in frequent.tolist()]
    groups += [(rarer.tolist(), f"{len(rarer):,} rarer values")] if len(rarer) else []
    groups += [
        ([code], format_code(column, code)) for code in (OTHER, len(column.values) + 1) if rows[code : code + 1].any()
    ]
    number_of_code = np.zeros(len(rows) + 1, np.int64)
    for number, (members, _) in enumerate(groups):
        number_of_code[members] = number
    return tuple(label for _, label in groups), number_of_code[codes]
