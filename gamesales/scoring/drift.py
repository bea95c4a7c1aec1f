"""Drift: how much the titles of a run differ from the titles that the version was trained on.

Training counts the rows in each bin of each feature and of the predictions. A run counts its rows in the same bins,
and the population stability index (PSI) compares the two. The index of a small run is large by chance alone, so the
limit allows for chance; docs/explanation/drift.md has the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gamesales.arrays import FloatArray, IntArray
from gamesales.scoring.column_drift import ColumnDrift, EncodedColumnDrift
from gamesales.stats.amounts import choose_decimals
from gamesales.stats.psi import compute_chance_psi, compute_psi

# The usual rule of thumb: below 0.1 the population is unchanged, above 0.25 it has shifted.
# Siddiqi, "Credit Risk Scorecards", Wiley, 2006.
PSI_THRESHOLD = 0.25
# The limit allows for this many standard deviations of chance.
_CHANCE_DEVIATIONS = 3.0
# Further digits of a mean depend on how the rows were cut into batches.
_MEAN_DIGITS = 10
# Means above this number are written without decimals.
_LARGE_MEAN = 10_000
# Means below this number are written with three digits.
_SMALL_MEAN = 0.01


@dataclass(frozen=True)
class Profile:
    """The distribution of one column in training: bin j holds the rows with ``edges[j-1] <= x < edges[j]``.

    Attributes:
        edges: float64 (b-1,), strictly ascending, in the unit of the column. Edges of categories are between codes.
        counts: int64 (b,), in rows. One count more, the last, has the missing cells of a column that may have them.
        mean: the mean in training, without missing cells; None if it was not recorded.
    """

    name: str
    edges: FloatArray
    counts: IntArray
    mean: float | None = None

    @property
    def has_missing(self) -> bool:
        """Whether the last bin has the missing cells."""
        return len(self.counts) == len(self.edges) + 2

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any]) -> Profile | None:
        """Read an entry of a manifest; None if an early release wrote it, without counts.

        Raises:
            ValueError: the edges do not ascend, or edges and counts do not fit together.
        """
        if "edges" not in entry and "counts" not in entry:
            return None
        try:
            edges, counts = np.array(entry["edges"], np.float64), np.array(entry["counts"])
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"the bins of {entry.get('name')} can't be read: {error!r}") from None
        if not (isinstance(entry.get("name"), str) and _are_consistent(edges, counts)):
            raise ValueError(
                f"the bins of {entry.get('name')} expect ascending edges and one count more than edges, "
                f"found edges {edges.tolist()} and counts {counts.tolist()}"
            )
        mean = entry.get("mean")
        return cls(entry["name"], edges, counts.astype(np.int64), None if mean is None else float(mean))


def read_profiles(manifest: Mapping[str, Any], feature_names: Sequence[str]) -> tuple[Profile, ...] | None:
    """Read the profiles of a version.

    Args:
        manifest: the content of MANIFEST.json.
        feature_names: the features in the contract's order.

    Returns:
        The profile of each feature, then of the predictions; None for a version of an early release, without profiles.

    Raises:
        ValueError: a profile is malformed, or some are missing.
    """
    entries = {entry.get("name"): entry for entry in manifest["training_profile"]}
    by_name = {name: Profile.from_manifest(entries.get(name, {})) for name in feature_names}
    by_name["the predictions"] = Profile.from_manifest(manifest.get("prediction_profile", {}))
    profiles = tuple(profile for profile in by_name.values() if profile is not None)
    if not profiles:
        return None
    missing = [name for name, profile in by_name.items() if profile is None]
    if missing:
        raise ValueError(f"no bins for {', '.join(missing)}; expected them for every feature and the predictions")
    return profiles


@dataclass(frozen=True)
class BinnedRows:
    """Distinct rows in the order of their bins, for several profiles.

    Attributes:
        rows: int64 (p · n,), the rows in the bins of the first profile, then of the next.
        bins: int64 (b,), the bins that have rows. The bins of a profile follow the bins of the profile before.
        starts: int64 (b,), where the rows of these bins begin.
        sizes: the bins of each profile.
    """

    rows: IntArray
    bins: IntArray
    starts: IntArray
    sizes: Sequence[int]

    @classmethod
    def from_columns(cls, profiles: Sequence[Profile], columns: Sequence[npt.NDArray[Any]]) -> Self:
        """Find the bins of n rows: columns (n,), in the order of the profiles."""
        sizes = [len(profile.counts) for profile in profiles]
        pairs = zip(profiles, columns, np.cumsum([0, *sizes[:-1]]), strict=True)
        bins = np.array([find_bins(profile, column) + low for profile, column, low in pairs])
        order = np.argsort(bins.ravel(), kind="stable")
        ordered = bins.ravel()[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        return cls(order % bins.shape[1], ordered[starts], starts, sizes)

    def count(self, repeats: IntArray) -> list[IntArray]:
        """Count as ``count_bins`` for each profile, if int64 (n,) rows of a file equal each distinct row."""
        counts = np.zeros(sum(self.sizes), np.int64)
        counts[self.bins] = np.add.reduceat(repeats[self.rows], self.starts)
        return np.split(counts, np.cumsum(self.sizes[:-1]))


def find_bins(profile: Profile, values: npt.NDArray[Any]) -> IntArray:
    """Return the bin of each value, (n,) to int64 (n,). A missing cell is in the last bin, if the profile has one."""
    bins: IntArray = np.searchsorted(profile.edges, values, side="right")
    return np.where(np.isnan(values), len(profile.edges) + 1, bins) if profile.has_missing else bins


def count_bins(profile: Profile, values: npt.NDArray[Any]) -> IntArray:
    """Count the rows in each bin. The counts of the parts of a run add up to the counts of the run.

    Args:
        profile: the bins.
        values: (n,) of floats, integers or booleans. NaN is a missing cell. A contiguous array is counted several times
            faster.

    Returns:
        int64 (b,), the rows in each bin, the same as for the values in float64.
    """
    if values.dtype == np.bool_:
        values = values.view(np.int8)
    # About 50 microseconds for ten bins and 65,536 float32; a search takes many times as long, a sort even longer.
    below = [np.count_nonzero(values < _round_up(edge, values.dtype)) for edge in profile.edges]
    missing = int(np.count_nonzero(np.isnan(values))) if profile.has_missing and values.dtype.kind == "f" else 0
    counts: IntArray = np.diff([0, *below, len(values) - missing]).astype(np.int64)
    return np.append(counts, missing) if profile.has_missing else counts


@dataclass(frozen=True)
class Drift:
    """How far a run is from training.

    Attributes:
        rows: the scored rows.
        threshold: the index that counts as drift, before the allowance for chance.
        columns: the features and the predictions, the largest PSI relative to its limit first.
        drifted: the names of the columns that drifted, in the same order.
    """

    rows: int
    threshold: float
    columns: tuple[ColumnDrift | EncodedColumnDrift, ...]
    drifted: tuple[str, ...]


def measure_drift(
    profiles: Sequence[Profile],
    counts: Sequence[IntArray],
    outside: Sequence[int | None],
    rows: int,
    threshold: float = PSI_THRESHOLD,
    sums: Sequence[float] = (),
    flags: Collection[str] = (),
) -> Drift:
    """Compare the counts of a run with training.

    The limit of a column is ``threshold`` plus the index that chance gives: its mean and three standard deviations.

    Args:
        profiles: the result of ``read_profiles``.
        counts: for each profile, int64 (b,), the result of ``count_bins`` for the whole run.
        outside: for each profile, the rows outside the range in training; None for the predictions.
        rows: the scored rows.
        threshold: the index that counts as drift, before the allowance for chance.
        sums: for each profile, the sum over the scored rows, without missing cells; empty without rows.
        flags: the names of the columns that are flags.
    """
    measured = [
        _measure_column(profile, bins, beyond, rows, threshold)
        for profile, bins, beyond in zip(profiles, counts, outside, strict=True)
    ]
    if rows and sums:
        present = [
            rows - int(bins[-1]) if profile.has_missing else rows
            for profile, bins in zip(profiles, counts, strict=True)
        ]
        measured = [
            _add_means(column, profile.mean, total / rows_with_value, is_flag=profile.name in flags)
            if rows_with_value
            else column
            for column, profile, total, rows_with_value in zip(measured, profiles, sums, present, strict=True)
        ]
    columns = tuple(sorted(measured, key=lambda column: -column.psi / column.limit))
    return Drift(rows, threshold, columns, tuple(drift.column for drift in columns if drift.drifted))


def _measure_column(
    profile: Profile, counts: IntArray, outside: int | None, rows: int, threshold: float
) -> ColumnDrift:
    index = compute_psi(profile.counts, counts)
    bins, training_rows = len(profile.counts), int(profile.counts.sum())
    by_chance = compute_chance_psi(bins, rows, training_rows)
    limit = threshold + compute_chance_psi(bins, rows, training_rows, _CHANCE_DEVIATIONS)
    share = None if outside is None else outside / max(rows, 1)
    return ColumnDrift(
        profile.name,
        index,
        by_chance,
        limit,
        share,
        index > limit,
        edges=profile.edges.tolist(),
        training_counts=profile.counts.tolist(),
        counts=counts.tolist(),
    )


def _add_means(column: ColumnDrift, before: float | None, mean: float, *, is_flag: bool) -> ColumnDrift:
    mean = float(f"{mean:.{_MEAN_DIGITS}g}")
    if before is None:
        return replace(column, mean=mean)
    if is_flag:
        change = f"{column.column}: {before:.0%} of titles in training, {mean:.0%} tonight"
    else:
        largest = max(abs(before), abs(mean))
        digits = 0 if largest >= _LARGE_MEAN else 2 if largest >= _SMALL_MEAN else choose_decimals([largest], 3)
        change = f"average {column.column}: {before:,.{digits}f} in training, {mean:,.{digits}f} tonight"
    return replace(column, training_mean=before, mean=mean, change=change)


def _are_consistent(edges: FloatArray, counts: npt.NDArray[Any]) -> bool:
    """Return whether edges and counts can belong to one profile."""
    if edges.ndim != 1 or counts.ndim != 1 or len(counts) - len(edges) not in (1, 2) or counts.dtype != np.int64:
        return False
    return bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all() and counts.min() >= 0 and counts.sum() > 0)


def _round_up(edge: np.float64, dtype: np.dtype[Any]) -> Any:
    """Return the smallest number of a type that is not below an edge.

    The same values of that type are below the edge and below this number. Comparing within the type is several times
    faster than converting all values.
    """
    if dtype.kind in "iu":
        return math.ceil(edge)
    with np.errstate(over="ignore"):  # an edge beyond all numbers of the type becomes infinity
        near = edge.astype(dtype)
    return near if near >= edge else np.nextafter(near, np.inf, dtype=dtype)
