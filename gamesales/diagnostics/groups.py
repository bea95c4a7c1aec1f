"""Families of titles: the ways of dividing them that a contract and its columns suggest.

A flag divides titles in two, a rating or a price by its values or in bands. Flags of which each title has exactly one
set, as genres are, are one family together: found in the titles, not told by the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.contract import Column, Contract
from gamesales.stats import clustered as means

# Columns of more values than these are cut into bands of about equally many titles.
_MOST_VALUES = 8
_BANDS = 4
# Fewer titles than this may have exactly one of two flags by chance.
_FEWEST_TITLES = 30
# From here on a thousand dollars tell enough.
_IN_THOUSANDS = 10_000
# Steps of the search for flags that exclude each other; a contract of a hundred flags must not take for ever.
_MOST_STEPS = 10_000


@dataclass(frozen=True)
class Family:
    """A division of titles: ``slice_of`` int64 (n,) is the place in ``labels`` of each title's part.

    ``columns`` are the places of the features that it is made of.
    """

    name: str
    columns: tuple[int, ...]
    labels: tuple[str, ...]
    slice_of: IntArray


def one_hot(contract: Contract, features: FloatArray) -> list[tuple[int, ...]]:
    """Find the groups of flags of which every title has exactly one set.

    Args: features: (n, k).  Returns: the places of their columns, in order; no column is in two groups.
    """
    if len(features) < _FEWEST_TITLES:
        return []
    flags = [place for place, column in enumerate(contract.features) if column.kind == "flag"]
    values = features[:, flags].astype(np.float32)
    together = values.T @ values
    set_in = np.diag(together).astype(np.int64)
    left, groups = [one for one in range(len(flags)) if 0 < set_in[one] < len(features)], []
    while left:
        found = _cover(left, together == 0, set_in, len(features))
        groups += [tuple(flags[one] for one in found)] if found else []
        left = [one for one in left[1:] if one not in found]
    return groups


def _cover(left: Sequence[int], apart: BoolArray, set_in: IntArray, titles: int) -> tuple[int, ...]:
    """Find flags with the first one of those left that exclude each other and together are set in every title."""
    waiting: list[tuple[tuple[int, ...], int]] = [((left[0],), int(set_in[left[0]]))]
    steps = 0
    while waiting and steps < _MOST_STEPS:
        chosen, covered = waiting.pop()
        steps += 1
        if covered == titles:
            return chosen
        waiting += [
            ((*chosen, one), covered + int(set_in[one]))
            for one in reversed(left)
            if one > chosen[-1] and covered + set_in[one] <= titles and apart[one, list(chosen)].all()
        ]
    return ()


def together(contract: Contract, group: Sequence[int]) -> str:
    """Name a group of columns."""
    return " / ".join(contract.features[place].name for place in group)


def families(contract: Contract, features: FloatArray, groups: Sequence[tuple[int, ...]]) -> list[Family]:
    """Divide titles in every way.

    Args: features: (n, k), n > 0; groups: see ``one_hot``.
    """
    grouped = {place for group in groups for place in group}
    found = [
        _by_group(contract, features, group)
        for group in groups
        # Of test titles, which the groups were not found in, one may have no genre.
        if (features[:, list(group)].sum(axis=1) == 1).all()
    ]
    single = [place for place in range(len(contract.features)) if place not in grouped]
    for place in single:
        column = contract.features[place]
        found.append(Family(column.name, (place,), *divide(features[:, place], column)))
    return found


def _by_group(contract: Contract, features: FloatArray, group: Sequence[int]) -> Family:
    used, part = np.unique(features[:, list(group)].argmax(axis=1), return_inverse=True)
    labels = tuple(contract.features[group[place]].name for place in used)
    return Family(together(contract, group), tuple(group), labels, part.reshape(-1))


def divide(values: FloatArray, column: Column) -> tuple[tuple[str, ...], IntArray]:
    """Divide a column by its values, or where these are many, into bands of about equally many titles.

    Args: values: (n,).  Returns: how each part is called, and int64 (n,), which part a value is in.
    """
    distinct, place = np.unique(values, return_inverse=True)
    if column.kind == "flag":
        return tuple("yes" if value else "no" for value in distinct), place.reshape(-1)
    if len(distinct) <= _MOST_VALUES:
        return tuple(written(value, column) for value in distinct), place.reshape(-1)
    edges = np.unique(np.quantile(values, np.arange(1, _BANDS) / _BANDS))
    band = np.searchsorted(edges, values, side="left")
    used, band = np.unique(band, return_inverse=True)
    ends = [(values[band == one].min(), values[band == one].max()) for one in range(len(used))]
    return tuple(f"{written(low, column)} to {written(high, column)}" for low, high in ends), band.reshape(-1)


def written(value: float, column: Column) -> str:
    """Write a value of a column with its unit."""
    if column.kind in ("price", "money"):
        return f"${value / 1000:,.0f}k" if abs(value) >= _IN_THOUSANDS else f"${value:,.2f}"
    return f"{value:.4g} {column.unit}".strip()


# How often a report on a faultless version names a slice by chance, over all of its slices.
_DOUBT = 0.01
# Less than this is not worth a word, however sure.
_WORSE = 1.25


@dataclass(frozen=True)
class Slice:
    """A part of the titles: how far off, with 95 % bounds, and which way.

    ``times`` compares its errors with those of the rest, size allowed for: 2 is twice as far off as its predictions
    explain; None: there is no rest, or it is not off at all. ``is_worse`` is whether that is clear, and large enough to
    matter. ``held`` is the share whose earnings lie within their prediction interval; None: there are no intervals.
    """

    family: str
    label: str
    rows: int
    mae: means.Estimate
    bias: means.Estimate
    times: float | None
    is_worse: bool
    held: float | None


def measure(
    families: Sequence[Family],
    errors: FloatArray,
    scale: FloatArray,
    clusters: IntArray,
    held: BoolArray | None = None,
) -> list[Slice]:
    """Measure every slice of some titles.

    Args:
        families: how to divide them; no part is empty.
        errors: predicted minus actual, float64 (n,).
        scale: how far off a title of its size is as a rule, float64 (n,), above 0.
        clusters: int64 (n,), alike for titles with the same features.
        held: bool (n,), which titles' earnings lie within their prediction interval.
    """
    sizes = np.abs(errors)
    asked = sum(len(family.labels) for family in families)
    found = []
    for family in families:
        for place, label in enumerate(family.labels):
            rows = family.slice_of == place
            times, is_worse = _against_rest(sizes / scale, rows, clusters, asked)
            found.append(
                Slice(
                    family.name,
                    label,
                    int(rows.sum()),
                    means.mean(sizes[rows], clusters[rows]),
                    means.mean(errors[rows], clusters[rows]),
                    times,
                    is_worse,
                    None if held is None else float(held[rows].mean()),
                )
            )
    return found


def _against_rest(relative: FloatArray, rows: BoolArray, clusters: IntArray, asked: int) -> tuple[float | None, bool]:
    if rows.all():
        return None, False
    doubt = 2 * _DOUBT / asked  # one-sided
    here, rest = (means.mean(relative[part], clusters[part], doubt) for part in (rows, ~rows))
    if rest.value <= 0:
        return None, False
    times = here.value / rest.value
    if here.low is None or rest.high is None:
        return times, False
    apart = float(np.hypot(here.value - here.low, rest.high - rest.value))
    return times, times >= _WORSE and here.value - rest.value > apart
