"""A second version scores the same titles in the same pass, and its answers are compared, not published.

It screens by its own contract: a title that it can't score is counted, and not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.arrow import keep_rows
from gamesales.data.table import Batch
from gamesales.scoring.predict import Predicted, predict_titles
from gamesales.scoring.scorer import LoadedVersion

# Shares of the first version's prediction by which the two may differ.
BEYOND = (0.01, 0.05, 0.1, 0.2)


@dataclass
class Comparison:
    """What two versions' predictions came to, added up; differences are the shadow's less the first version's, dollars.

    ``beyond`` counts rows that differ by more than each share of ``BEYOND``. ``rows_by_bin`` and ``sums_by_bin`` are,
    for each feature, rows and differences by the bins of the first version's training profile, if it has one.
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

    def __add__(self, other: Comparison) -> Comparison:
        greater = self if self.largest >= other.largest else other
        return Comparison(
            rows=self.rows + other.rows,
            not_scored=self.not_scored + other.not_scored,
            total=self.total + other.total,
            absolute=self.absolute + other.absolute,
            largest=greater.largest,
            largest_at=greater.largest_at,
            beyond=[one + more for one, more in zip(self.beyond, other.beyond, strict=True)],
            rows_by_bin=_added(self.rows_by_bin, other.rows_by_bin),
            sums_by_bin=_added(self.sums_by_bin, other.sums_by_bin),
        )


def compare(batch: Batch, predicted: Predicted, name: str, version: LoadedVersion, shadow: LoadedVersion) -> Comparison:
    """Let the shadow score the rows of a batch that the first version scored.

    Args: name: of the input; version: the one that gave ``predicted``.
    """
    accepted = predicted.screened.accepted
    columns = [keep_rows(column, accepted) for column in batch.table.columns]
    table = type(batch.table).from_arrays(columns, names=batch.table.schema.names)
    other = predict_titles(Batch(table, batch.rows[accepted]), shadow)
    both = other.screened.accepted
    first = predicted.earnings[both]
    difference = other.earnings - first
    off = np.abs(difference)
    worst = int(off.argmax()) if len(off) else -1
    bins = [
        np.searchsorted(profile.edges, column[both], side="right")
        for profile, column in zip(version.profiles or (), predicted.screened.columns, strict=False)
    ]
    sizes = [len(profile.counts) for profile in version.profiles or ()]
    return Comparison(
        rows=len(difference),
        not_scored=int(np.count_nonzero(~both)),
        total=float(difference.sum()),
        absolute=float(off.sum()),
        largest=float(off[worst]) if worst >= 0 else 0.0,
        largest_at=(name, int(batch.rows[accepted][both][worst])) if worst >= 0 else None,
        beyond=[int(np.count_nonzero(off > share * np.abs(first))) for share in BEYOND],
        rows_by_bin=[np.bincount(each, minlength=size).tolist() for each, size in zip(bins, sizes, strict=False)],
        sums_by_bin=[
            np.bincount(each, difference, minlength=size).tolist() for each, size in zip(bins, sizes, strict=False)
        ],
    )


def report(found: Comparison | None, version: LoadedVersion, shadow: LoadedVersion) -> dict[str, Any]:
    """Tell how and where the two versions differ, ready for JSON; None: no row was scored."""
    told: dict[str, Any] = {
        "model": shadow.model,
        "model_version": shadow.number,
        "bundle_sha256": shadow.digest,
        "rows_compared": 0 if found is None else found.rows,
        "rows_not_scored": 0 if found is None else found.not_scored,
    }
    if found is None or not found.rows:
        return told
    at = found.largest_at
    return {
        **told,
        "mean_difference": found.total / found.rows,
        "mean_absolute_difference": found.absolute / found.rows,
        "largest_difference": found.largest,
        "largest_difference_at": None if at is None else {"file": at[0], "row": at[1]},
        "share_beyond": {f"{share:.0%}": count / found.rows for share, count in zip(BEYOND, found.beyond, strict=True)},
        "by_feature": [
            {"column": profile.name, "bins": _bins(profile.edges, rows, sums)}
            for profile, rows, sums in zip(version.profiles or (), found.rows_by_bin, found.sums_by_bin, strict=False)
        ],
    }


def _bins(edges: FloatArray, rows: Sequence[int], sums: Sequence[float]) -> list[dict[str, Any]]:
    """Tell the mean difference of each bin that has rows; the first and the last are open."""
    bounds = [None, *edges.tolist(), None]
    return [
        {"from": bounds[place], "to": bounds[place + 1], "rows": count, "mean_difference": total / count}
        for place, (count, total) in enumerate(zip(rows, sums, strict=True))
        if count
    ]


def _added(one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [[a + b for a, b in zip(these, those, strict=True)] for these, those in zip(one, other, strict=True)]
