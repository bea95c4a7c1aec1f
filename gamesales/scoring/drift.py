"""Drift: do the titles of a run still look like those that the version was trained on?

Training counts its rows in bins, for each feature and for the version's own predictions; a run counts its rows in the
same bins, and the population stability index compares the two. The index of a small night is large by chance alone, so
it is judged against what chance gives; docs/drift.md has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray, IntArray

# The customary rule of thumb: below 0.1 nothing changed, from 0.1 to 0.25 a little, beyond 0.25 the population shifted.
# Siddiqi, "Credit Risk Scorecards", Wiley, 2006.
PSI_THRESHOLD = 0.25
# Standard deviations that chance is given on top of its expectation.
_ALLOWED_DEVIATIONS = 3.0
# Rows added to each bin, so that an empty one has a finite logarithm: Jeffreys' prior of a multinomial.
_PRIOR_ROWS = 0.5


@dataclass(frozen=True)
class Profile:
    """How training's rows of one column fall into bins: bin j holds ``edges[j-1] <= x < edges[j]``.

    ``edges`` is float64 (b-1,), strictly ascending, in the column's own unit; ``counts`` is int64 (b,), in rows.
    """

    name: str
    edges: FloatArray
    counts: IntArray

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any]) -> Profile | None:
        """Read an entry of a manifest; None if it is of an earlier release, which counted nothing.

        Raises: ValueError: the edges do not ascend, or edges and counts do not fit together.
        """
        if "edges" not in entry and "counts" not in entry:
            return None
        try:
            edges, counts = np.array(entry["edges"], np.float64), np.array(entry["counts"])
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"the bins of {entry.get('name')} can't be read: {error!r}") from None
        if not (isinstance(entry.get("name"), str) and _fit(edges, counts)):
            raise ValueError(
                f"the bins of {entry.get('name')} expect ascending edges and one count more than edges, "
                f"found edges {edges.tolist()} and counts {counts.tolist()}"
            )
        return cls(entry["name"], edges, counts.astype(np.int64))


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column of a run is from training.

    ``psi`` beyond ``limit`` counts as drift; ``psi_by_chance`` is what as many rows from training itself would give on
    average. ``share_outside``, 0 to 1, is the share of rows below or above all that training saw; None for predictions.
    """

    column: str
    psi: float
    psi_by_chance: float
    limit: float
    share_outside: float | None
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """How far a run is from training, column by column: the features in the contract's order, then the predictions."""

    rows: int
    threshold: float
    columns: tuple[ColumnDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """The names of the columns that drifted."""
        return tuple(each.column for each in self.columns if each.drifted)


def profiles_of(manifest: Mapping[str, Any], feature_names: Sequence[str]) -> tuple[Profile, ...] | None:
    """Read a version's profiles: the features' in the given order, then the predictions'.

    Returns: None for a version of an earlier release, which has none.
    Raises: ValueError: one is malformed, or some are missing.
    """
    entries = {entry.get("name"): entry for entry in manifest["training_profile"]}
    found = [Profile.from_manifest(entries.get(name, {})) for name in feature_names]
    found.append(Profile.from_manifest(manifest.get("prediction_profile", {})))
    profiles = tuple(profile for profile in found if profile is not None)
    if not profiles:
        return None
    if len(profiles) < len(found):
        names = [*feature_names, "the predictions"]
        missing = [name for name, profile in zip(names, found, strict=True) if profile is None]
        raise ValueError(f"no bins for {', '.join(missing)}; expected them for every feature and the predictions")
    return profiles


def count(profile: Profile, values: npt.NDArray[Any], repeats: IntArray | None = None) -> IntArray:
    """Count a run's rows in the bins of a profile; the counts of parts of a run add up to those of the whole.

    Args:
        profile: whose bins.
        values: (n,) of floats, integers or booleans; no NaN. Contiguous ones are counted several times faster.
        repeats: int64 (n,), how many rows have each value; 1 each if left out.
    Returns: int64 (b,), rows in each bin: what the same values in float64 would give, whatever their type.
    """
    if repeats is not None:
        bins = np.searchsorted(profile.edges, values, side="right")
        return np.bincount(bins, repeats, len(profile.counts)).astype(np.int64)  # exact up to 2**53 rows
    if values.dtype == np.bool_:
        values = values.view(np.int8)
    # Some 50 microseconds for ten bins and 65,536 float32; a search is many times as much, a sort more.
    below = [np.count_nonzero(values < _first_from(edge, values.dtype)) for edge in profile.edges]
    counts: IntArray = np.diff([0, *below, len(values)]).astype(np.int64)
    return counts


def psi(expected: IntArray, found: IntArray) -> float:
    """Compute the population stability index, sum of (p - q) ln(p / q) over the bins; 0 if nothing was found.

    Args: expected, found: int64 (b,), rows in each bin; p and q are their shares, half a row added to each bin.
    """
    if not found.sum():
        return 0.0
    p, q = _shares(expected), _shares(found)
    return float(np.sum((p - q) * np.log(p / q)))


def judge(
    profiles: Sequence[Profile],
    counts: Sequence[IntArray],
    outside: Sequence[int | None],
    rows: int,
    threshold: float = PSI_THRESHOLD,
) -> Drift:
    """Judge a run by its counts.

    Without drift, the index over 1/n + 1/N is about chi-squared with b - 1 degrees of freedom, for n rows of a run and
    N of training: Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of Risk
    Model Validation, 2020. So chance is allowed its mean, (b - 1)(1/n + 1/N), and three standard deviations.

    Args:
        profiles: as ``profiles_of`` gives them.
        counts: for each profile, int64 (b,), as ``count`` gives them.
        outside: for each profile, the rows outside the training range; None for the predictions.
        rows: scored rows, in all.
        threshold: how much more than chance is drift.
    """
    judged = zip(profiles, counts, outside, strict=True)
    return Drift(rows, threshold, tuple(_judge(*column, rows, threshold) for column in judged))


def _judge(profile: Profile, found: IntArray, outside: int | None, rows: int, threshold: float) -> ColumnDrift:
    index = psi(profile.counts, found)
    freedom = len(profile.edges)
    by_row = 1 / rows + 1 / int(profile.counts.sum()) if rows else 0.0
    limit = threshold + by_row * (freedom + _ALLOWED_DEVIATIONS * math.sqrt(2 * freedom))
    share = None if outside is None else outside / max(rows, 1)
    return ColumnDrift(profile.name, index, freedom * by_row, limit, share, index > limit)


def _shares(counts: IntArray) -> FloatArray:
    rows = counts + _PRIOR_ROWS
    shares: FloatArray = rows / rows.sum()
    return shares


def _fit(edges: FloatArray, counts: npt.NDArray[Any]) -> bool:
    """Tell whether these are the edges and the counts of one profile."""
    if edges.ndim != 1 or counts.shape != (len(edges) + 1,) or counts.dtype != np.int64:
        return False
    return bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all() and counts.min() >= 0 and counts.sum() > 0)


def _first_from(edge: np.float64, dtype: np.dtype[Any]) -> Any:
    """Return the smallest number of a type that is not below an edge.

    Values of that type are below one exactly if they are below the other, and comparing within a type is several times
    faster than converting all of them.
    """
    if dtype.kind in "iu":
        return math.ceil(edge)
    with np.errstate(over="ignore"):  # beyond all numbers of the type: infinity
        near = edge.astype(dtype)
    return near if near >= edge else np.nextafter(near, np.inf, dtype=dtype)
