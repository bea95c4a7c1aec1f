"""Drift: do the titles of a run look like those that the version was trained on?

A version carries the histogram of each feature, and of its own predictions, over the titles that it was trained on. A
run counts its rows by the same bins, and the population stability index tells how far the two are apart:

    PSI = sum over bins of (p - q) ln(p / q)

Few rows are apart by chance alone, so an index is held against what chance explains: without drift, with B bins, n
rows and N rows of training, PSI / (1/n + 1/N) is about chi-squared distributed with B - 1 degrees of freedom
(B. Yurdakul, J. Naranjo: Statistical properties of the population stability index, 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

# The customary reading: below 0.1 nothing has changed, above 0.25 the population is another one.
PSI_THRESHOLD = 0.25
# Half a row is added to each bin on both sides, Jeffreys' prior for shares: an empty bin is then no infinite surprise.
_PRIOR = 0.5
# Standard deviations that chance is allowed; a column passes this limit by chance in far less than one run of 100.
_BY_CHANCE = 4.0
PREDICTIONS = "predicted_earnings"


@dataclass(frozen=True)
class Profile:
    """How one column lay in training: ``edges`` float64 (B - 1,) ascending, ``counts`` int64 (B,).

    Bin j holds the values from ``edges[j - 1]`` up to but not including ``edges[j]``.
    """

    name: str
    edges: npt.NDArray[np.float64]
    counts: Counts

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any]) -> Profile | None:
        """Read a profile; None where an older version has none.

        Raises: ValueError: edges or counts are not what a histogram has.
        """
        if "edges" not in entry or "counts" not in entry:
            return None
        edges, counts = np.array(entry["edges"], np.float64), np.array(entry["counts"], np.int64)
        shapes_fit = edges.ndim == counts.ndim == 1 and len(counts) == len(edges) + 1
        if not shapes_fit or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any() or (counts < 0).any():
            raise ValueError(f"the profile of {entry.get('name')} is no histogram")
        return cls(str(entry["name"]), edges, counts)


def profiles_of(manifest: Mapping[str, Any], features: Sequence[str]) -> tuple[Profile, ...] | None:
    """Return the profiles of the features, in their order, and then of the predictions; None if any is missing."""
    by_name = {entry["name"]: entry for entry in manifest["training_profile"]}
    entries = [*(by_name[name] for name in features), manifest.get("prediction_profile", {})]
    profiles = [Profile.from_manifest(entry) for entry in entries]
    found = tuple(profile for profile in profiles if profile is not None)
    return found if len(found) == len(profiles) else None


def count(profile: Profile, values: npt.NDArray[Any], repeats: Counts | None = None) -> Counts:
    """Count values by the bins of a profile.

    Args: values: (n,) numbers; repeats: int64 (n,), how often each stands for; once each by default.
    Returns: int64 (B,).
    """
    if repeats is None:
        # Comparing with every edge is many times faster than searching the edges for every value.
        below = [int(np.count_nonzero(values < _edge(edge, values.dtype))) for edge in profile.edges]
    else:
        below = [int(repeats[values < _edge(edge, values.dtype)].sum()) for edge in profile.edges]
    total = len(values) if repeats is None else int(repeats.sum())
    bounds = np.array([0, *below, total], np.int64)
    return bounds[1:] - bounds[:-1]


def _edge(edge: float, dtype: np.dtype[Any]) -> Any:
    """Return an edge that compares as fast as the type of the values can: whole numbers lie below it all the same."""
    if dtype.kind in "iu":
        whole = int(np.ceil(edge))
        information = np.iinfo(dtype)
        return dtype.type(whole) if information.min <= whole <= information.max else np.float64(edge)
    return np.float64(edge)


@dataclass(frozen=True)
class ColumnDrift:
    """One column of a run against training.

    ``psi_by_chance`` is what to expect of so many rows without any drift; beyond ``limit`` it counts as drift.
    ``share_outside`` of the rows lie outside the range of training; None for the predictions.
    """

    column: str
    psi: float
    psi_by_chance: float
    limit: float
    share_outside: float | None
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """All columns of a run against training."""

    rows: int
    threshold: float
    columns: tuple[ColumnDrift, ...]

    @property
    def drifted(self) -> list[str]:
        return [one.column for one in self.columns if one.drifted]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "columns": [asdict(one) for one in self.columns], "drifted": self.drifted}


def judge(
    profiles: Sequence[Profile],
    histograms: Sequence[Sequence[int]],
    outside: Sequence[int],
    rows: int,
    threshold: float = PSI_THRESHOLD,
) -> Drift:
    """Hold a run's histograms to those of training.

    Args:
        profiles: of the features and of the predictions.
        histograms: of the run, one for each profile; none for a run without rows.
        outside: for each feature, the rows outside its range in training.
        rows: how many rows the run scored.
        threshold: the index from which on, chance allowed for, a column has drifted.
    """
    if not rows:
        return Drift(0, threshold, ())
    shares = [*(found / rows for found in outside), *[None] * (len(profiles) - len(outside))]
    columns = [
        _judge_column(profile, np.array(found, np.int64), share, threshold)
        for profile, found, share in zip(profiles, histograms, shares, strict=True)
    ]
    return Drift(rows, threshold, tuple(columns))


def _judge_column(profile: Profile, found: Counts, share: float | None, threshold: float) -> ColumnDrift:
    index, (by_chance, deviation) = psi(profile.counts, found), chance(profile.counts, found)
    limit = threshold + by_chance + _BY_CHANCE * deviation
    return ColumnDrift(
        column=profile.name,
        psi=round(index, 6),
        psi_by_chance=round(by_chance, 6),
        limit=round(limit, 6),
        share_outside=share,
        drifted=index > limit,
    )


def psi(expected: Counts, found: Counts) -> float:
    """Return the population stability index of two histograms (B,) with the same bins."""
    bins = len(expected)
    p, q = ((each + _PRIOR) / (each.sum() + _PRIOR * bins) for each in (found, expected))
    return float(np.sum((p - q) * np.log(p / q)))


def chance(expected: Counts, found: Counts) -> tuple[float, float]:
    """Return mean and standard deviation of the index where both were drawn from one population."""
    freedom = len(expected) - 1
    scale = 1 / max(int(found.sum()), 1) + 1 / max(int(expected.sum()), 1)
    return freedom * scale, float(np.sqrt(2 * freedom)) * scale
