"""Compare a second version, the shadow, with the version that scores. Only the differences are published.

The shadow scores the same titles in the same pass and screens them by its own contract. A title that the shadow can't
score is counted, not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gamesales.data.arrow import keep_rows
from gamesales.data.contract import Column
from gamesales.data.table import Batch
from gamesales.scoring.column_drift import label_code_bins
from gamesales.scoring.drift import Profile, find_bins
from gamesales.scoring.predict import BatchPrediction, predict_batch
from gamesales.scoring.scorer import LoadedVersion

# Relative differences; the report gives the share of titles beyond each.
DIFFERENCE_SHARES = (0.01, 0.05, 0.1, 0.2)


@dataclass
class ShadowComparison:
    """Sums over the predictions of two versions; a difference is the shadow's prediction less the version's.

    Attributes:
        rows: titles that both versions scored.
        not_scored: titles that the shadow rejected.
        total: sum of the differences, in the unit of the target.
        absolute: sum of the absolute differences.
        largest: the largest absolute difference.
        largest_at: the input and the row of the largest difference.
        beyond: for each of ``DIFFERENCE_SHARES``, the rows whose relative difference is larger.
        rows_by_bin: for each feature, the rows in each bin of the version's training profile; empty without profiles.
        sums_by_bin: for each feature, the sum of the differences in each bin.
    """

    rows: int
    not_scored: int
    total: float
    absolute: float
    largest: float
    largest_at: tuple[str, int] | None
    beyond: list[int]
    rows_by_bin: list[list[int]]
    sums_by_bin: list[list[float]]

    def __add__(self, other: ShadowComparison) -> ShadowComparison:
        greater = self if self.largest >= other.largest else other
        return ShadowComparison(
            rows=self.rows + other.rows,
            not_scored=self.not_scored + other.not_scored,
            total=self.total + other.total,
            absolute=self.absolute + other.absolute,
            largest=greater.largest,
            largest_at=greater.largest_at,
            beyond=[count + more for count, more in zip(self.beyond, other.beyond, strict=True)],
            rows_by_bin=_add_nested(self.rows_by_bin, other.rows_by_bin),
            sums_by_bin=_add_nested(self.sums_by_bin, other.sums_by_bin),
        )


def compare_with_shadow(
    batch: Batch, prediction: BatchPrediction, name: str, version: LoadedVersion, shadow: LoadedVersion
) -> ShadowComparison:
    """Score the accepted rows of a batch with the shadow, and compare the predictions.

    The batch has the features of both versions. ``name`` is the name of its input.
    """
    accepted = prediction.screened.accepted
    columns = [keep_rows(column, accepted) for column in batch.table.columns]
    table = type(batch.table).from_arrays(columns, names=batch.table.schema.names)
    shadow_prediction = predict_batch(Batch(table, batch.rows[accepted]), shadow)
    both = shadow_prediction.screened.accepted
    predictions = prediction.predictions[both]
    differences = shadow_prediction.predictions - predictions
    sizes = np.abs(differences)
    worst = int(sizes.argmax()) if len(sizes) else -1
    profiles = version.profiles or ()
    binned = [
        (find_bins(profile, column[both]), len(profile.counts))
        for profile, column in zip(profiles, prediction.screened.columns, strict=False)
    ]
    return ShadowComparison(
        rows=len(differences),
        not_scored=int(np.count_nonzero(~both)),
        total=float(differences.sum()),
        absolute=float(sizes.sum()),
        largest=float(sizes[worst]) if worst >= 0 else 0.0,
        largest_at=(name, int(batch.rows[accepted][both][worst])) if worst >= 0 else None,
        beyond=[int(np.count_nonzero(sizes > share * np.abs(predictions))) for share in DIFFERENCE_SHARES],
        rows_by_bin=[np.bincount(bins, minlength=count).tolist() for bins, count in binned],
        sums_by_bin=[np.bincount(bins, differences, minlength=count).tolist() for bins, count in binned],
    )


def _add_nested(first: Sequence[Sequence[Any]], second: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [[a + b for a, b in zip(*lists, strict=True)] for lists in zip(first, second, strict=True)]


@dataclass(frozen=True)
class ShadowReport:
    """A shadow version without a title to compare."""

    model: str
    model_version: int
    bundle_sha256: str
    rows_compared: int
    rows_not_scored: int


@dataclass(frozen=True)
class RowLocation:
    """A row of an input file; rows count from 1."""

    file: str
    row: int


@dataclass(frozen=True)
class FeatureDifferences:
    """The mean difference in each bin of a feature that has rows.

    Attributes:
        bins: the keys of a bin are from, to, rows and mean_difference. The first bin has no lower bound, the last bin
            no upper bound. A dictionary, as ``from`` can't name a field. A bin of a category, and the bin of missing
            cells, has its text as ``label`` too.
    """

    column: str
    bins: list[dict[str, float | str | None]]


@dataclass(frozen=True)
class ShadowDifferences(ShadowReport):
    """How and where a shadow version differs; differences are in the unit of the target, shares from 0 to 1."""

    mean_difference: float
    mean_absolute_difference: float
    largest_difference: float
    largest_difference_at: RowLocation | None
    share_beyond: dict[str, float]
    by_feature: list[FeatureDifferences]


def summarize(
    comparison: ShadowComparison | None, version: LoadedVersion, shadow: LoadedVersion
) -> ShadowReport | ShadowDifferences:
    """Summarize the comparison of a whole run, which is None if no row was scored.

    Returns:
        The differences, or only the names of the shadow if no title could be compared.
    """
    report = ShadowReport(
        model=shadow.model,
        model_version=shadow.number,
        bundle_sha256=shadow.digest,
        rows_compared=0 if comparison is None else comparison.rows,
        rows_not_scored=0 if comparison is None else comparison.not_scored,
    )
    if comparison is None or not comparison.rows:
        return report
    rows = comparison.rows
    beyond = zip(DIFFERENCE_SHARES, comparison.beyond, strict=True)
    by_feature = zip(
        version.contract.features,
        version.profiles or (),
        comparison.rows_by_bin,
        comparison.sums_by_bin,
        strict=False,
    )
    return ShadowDifferences(
        **vars(report),
        mean_difference=comparison.total / rows,
        mean_absolute_difference=comparison.absolute / rows,
        largest_difference=comparison.largest,
        largest_difference_at=None if comparison.largest_at is None else RowLocation(*comparison.largest_at),
        share_beyond={f"{share:.0%}": count / rows for share, count in beyond},
        by_feature=[
            FeatureDifferences(profile.name, _average_bins(column, profile, counts, sums))
            for column, profile, counts, sums in by_feature
        ],
    )


def _average_bins(
    column: Column, profile: Profile, rows: Sequence[int], sums: Sequence[float]
) -> list[dict[str, float | str | None]]:
    bounds = [None, *profile.edges.tolist(), None, None]  # the bin of missing cells has no bounds
    labels: dict[int, str] = {len(profile.edges) + 1: "missing"}
    if column.kind == "category":
        labels = dict(enumerate(label_code_bins(column, profile.edges.tolist())))
    return [
        {"from": bounds[index], "to": bounds[index + 1], "rows": count, "mean_difference": total / count}
        | ({"label": labels[index]} if index in labels else {})
        for index, (count, total) in enumerate(zip(rows, sums, strict=True))
        if count
    ]
