"""Columns that leak the target: its addends, its factors, a copy, a rank, or a grouping of it.

A model with such a column is accurate on past titles and useless for new titles, where the column is not known yet. The
search is for arithmetic: a sum or a product must hold in nearly every row. A column that only correlates is a note for
people, because a good feature correlates, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.diagnostics.leakage import compute_rank_r2

# The absolute correlation, of values or of ranks, at which a column is the target in another form.
PERFECT = 0.995
# The correlation above which people should ask whether the column is known in time.
NOTABLE = 0.7
# The share of rows in which a sum, a product or a bound must hold.
_MIN_SHARE = 0.98
# The share of rows in which an addend that is never above the target must equal it.
_MIN_EQUAL = 0.05
# The share of the target's order that a category explains, if the category was made from the target.
_MAX_RANK_R2 = 0.95
_MIN_ROWS = 10
_MAX_ADDENDS, _MAX_FACTORS = 30, 40
# More rows do not change the result of a search for sums.
_MAX_ROWS = 50_000
_MAX_DECIMALS = 6


@dataclass(frozen=True)
class LeakReport:
    """The columns that leak the target, and the columns that may leak it.

    Attributes:
        leaks: the reason why a column leaks, by its name.
        notes: what people should check, a sentence for each column.
    """

    leaks: Mapping[str, str]
    notes: Sequence[str]


def find_leaks(
    numbers: Mapping[str, FloatArray], groups: Mapping[str, FloatArray], target: FloatArray, target_name: str
) -> LeakReport:
    """Find the columns that leak the target.

    Args:
        numbers: float64 (n,) for each column of numbers or days, NaN for a missing cell.
        groups: float64 (n,), a code for each value of a category, NaN for a missing cell.
        target: float64 (n,), finite.
        target_name: the name of the target, for the reasons.
    """
    if len(target) < _MIN_ROWS or (target == target[0]).all():
        return LeakReport({}, [])
    leaks = _find_groupings(groups, target, target_name)
    rest = dict(numbers)
    for search in (_find_correlated, _find_sum, _find_product, _find_parts):
        leaks |= search(rest, target, target_name)
        rest = {name: values for name, values in rest.items() if name not in leaks}
    return LeakReport(leaks, _list_notes(rest, target))


def correlate(values: FloatArray, target: FloatArray) -> tuple[float, float]:
    """Return the correlation of Pearson and that of Spearman over the rows without a missing cell; 0 if undefined."""
    present = ~np.isnan(values)
    if np.count_nonzero(present) < _MIN_ROWS:
        return 0.0, 0.0
    values, target = values[present], target[present]
    return _compute_pearson(values, target), _compute_pearson(rank(values), rank(target))


def rank(values: FloatArray) -> FloatArray:
    """Return the rank of each value, (n,), counted from 0. Equal values share the mean of their ranks."""
    _, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[positions.reshape(-1)]


def _compute_pearson(first: FloatArray, second: FloatArray) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / scale) if scale > 0 else 0.0


def _find_correlated(numbers: Mapping[str, FloatArray], target: FloatArray, target_name: str) -> dict[str, str]:
    leaks = {}
    for name, values in numbers.items():
        pearson, spearman = correlate(values, target)
        if abs(pearson) >= PERFECT:
            leaks[name] = f"is {target_name} in another form: correlation {pearson:.4f}"
        elif abs(spearman) >= PERFECT:
            leaks[name] = f"is a rank of {target_name}: rank correlation {spearman:.4f}"
    return leaks


def _find_groupings(groups: Mapping[str, FloatArray], target: FloatArray, target_name: str) -> dict[str, str]:
    leaks = {}
    for name, codes in groups.items():
        present = ~np.isnan(codes)
        if len(np.unique(codes[present])) < np.count_nonzero(present) / 3:
            share = compute_rank_r2(_order_groups(codes[present], target[present]), target[present])
            if share >= _MAX_RANK_R2:
                leaks[name] = f"groups {target_name}: it explains {100 * share:.0f}% of the order of the rows"
    return leaks


def _order_groups(codes: FloatArray, target: FloatArray) -> FloatArray:
    """Number the groups by the mean rank of their targets, so that groups can be cut into bins."""
    _, group = np.unique(codes, return_inverse=True)
    group = group.reshape(-1)
    means = np.bincount(group, rank(target)) / np.bincount(group)
    return rank(means)[group]


def _find_sum(numbers: Mapping[str, FloatArray], target: FloatArray, target_name: str) -> dict[str, str]:
    """Find columns whose sum is the target, by least squares: such columns have the coefficient 1, the others 0."""
    rows = _choose_rows(len(target))
    target = target[rows]
    addends = {name: np.nan_to_num(values[rows]) for name, values in numbers.items()}
    addends = {name: values for name, values in addends.items() if _may_be_part(values, target)}
    names = _choose_addends(addends, target)
    while len(names) > 1:
        matrix = np.column_stack([addends[name] for name in names])
        coefficients = np.linalg.lstsq(matrix, target, rcond=None)[0]
        kept = [name for name, value in zip(names, coefficients, strict=True) if value > 0.5]
        if len(kept) == len(names):
            break
        names = kept
    if len(names) < 2:
        return {}
    total = np.sum([addends[name] for name in names], axis=0)
    tolerance = _find_tolerance([target, *(addends[name] for name in names)])
    if np.mean(np.abs(total - target) <= tolerance + 1e-9 * np.abs(target)) < _MIN_SHARE:
        return {}
    formula = " + ".join(names)
    return dict.fromkeys(names, f"is part of {target_name} = {formula}")


def _choose_rows(rows: int) -> slice:
    return slice(0, rows, -(-rows // _MAX_ROWS))


def _may_be_part(values: FloatArray, target: FloatArray) -> bool:
    """Return whether a column is never negative, sometimes positive, and hardly ever above the target."""
    slack = 10.0 ** -_count_decimals(target) + 1e-9 * np.abs(target)
    return bool((values >= 0).all() and (values > 0).any() and np.mean(values <= target + slack) >= _MIN_SHARE)


def _choose_addends(addends: Mapping[str, FloatArray], target: FloatArray) -> list[str]:
    """Choose the columns with the largest sums, in the order of the table."""
    largest = sorted(addends, key=lambda name: -float(addends[name].sum()))[:_MAX_ADDENDS]
    total = float(target.sum())
    return [name for name in addends if name in largest and float(addends[name].sum()) > 1e-4 * total]


def _find_tolerance(columns: Sequence[FloatArray]) -> float:
    """Return how far a sum of rounded numbers may be from their rounded total: half a digit for each."""
    decimals = min(_count_decimals(values) for values in columns)
    is_rounded = decimals < _MAX_DECIMALS
    return 0.5 * len(columns) * 10.0**-decimals + 1e-9 if is_rounded else 1e-6


def _count_decimals(values: FloatArray) -> int:
    """Return the number of decimals that nearly all values have, at most 6."""
    for decimals in range(_MAX_DECIMALS):
        rounded = np.round(values, decimals)
        if np.mean(np.abs(values - rounded) <= 1e-9 * np.maximum(np.abs(values), 1)) >= 0.999:
            return decimals
    return _MAX_DECIMALS


def _find_product(numbers: Mapping[str, FloatArray], target: FloatArray, target_name: str) -> dict[str, str]:
    """Find two columns whose product is the target, such as a price and the copies sold."""
    rows = _choose_rows(len(target))
    scale, target = np.maximum(np.abs(target[rows]), 1e-12), target[rows]
    tolerance = 1e-3 + 10.0 ** -_count_decimals(target) / scale
    factors = {name: values[rows] for name, values in list(numbers.items())[:_MAX_FACTORS]}
    for first, second in combinations(factors, 2):
        error = np.abs(factors[first] * factors[second] - target) / scale
        present = ~np.isnan(error)
        if np.count_nonzero(present) < max(_MIN_ROWS, len(target) / 2):
            continue
        if (
            _varies(factors[first])
            and _varies(factors[second])
            and np.mean((error <= tolerance)[present]) >= _MIN_SHARE
        ):
            return dict.fromkeys((first, second), f"is a factor of {target_name} = {first} × {second}")
    return {}


def _varies(values: FloatArray) -> bool:
    present = values[~np.isnan(values)]
    return bool(len(present) and present.min() < present.max())


def _find_parts(numbers: Mapping[str, FloatArray], target: FloatArray, target_name: str) -> dict[str, str]:
    """Find addends and totals of the target whose other addends are not in the table.

    An addend is never above the target, and often equal to it. A total is never below it.
    """
    leaks = {}
    for name, values in numbers.items():
        present = ~np.isnan(values)
        values_here, target_here = values[present], target[present]
        share = float(np.mean((values_here == target_here) & (target_here != 0))) if present.any() else 0.0
        if len(values_here) < _MIN_ROWS or share < _MIN_EQUAL:
            continue
        if _may_be_part(values_here, target_here):
            leaks[name] = f"is part of {target_name}: never above it, and equal in {100 * share:.0f}% of the rows"
        elif _may_be_part(target_here, values_here):
            leaks[name] = f"contains {target_name}: never below it, and equal in {100 * share:.0f}% of the rows"
    return leaks


def _list_notes(numbers: Mapping[str, FloatArray], target: FloatArray) -> list[str]:
    notes = []
    for name, values in numbers.items():
        strongest = max(correlate(values, target), key=abs)
        if abs(strongest) >= NOTABLE:
            notes.append(f"{name} correlates {strongest:.2f} with the target: is it known when you predict?")
    return notes
