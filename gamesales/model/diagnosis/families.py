"""Families of titles: the ways of dividing them that a contract and its columns suggest.

A flag divides titles in two, a rating or a price by its values or in bands. Flags of which each title has exactly one
set, as genres are, are one family together: found in the titles, not told by the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gamesales.data.contract import Column, Contract
from gamesales.model.folds import FloatArray

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
    slice_of: npt.NDArray[np.int64]


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


def _cover(
    left: Sequence[int], apart: npt.NDArray[np.bool_], set_in: npt.NDArray[np.int64], titles: int
) -> tuple[int, ...]:
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


def divide(values: FloatArray, column: Column) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
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
